"""Samplers by the names people know, as A1111 spells them, and the diffusers scheduler that each one is. Light."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import LorasmithError, shown

if TYPE_CHECKING:
    from engine.base.load import Base

_SDE = {"algorithm_type": "sde-dpmsolver++"}
_KARRAS = {"use_karras_sigmas": True}
_EXPONENTIAL = {"use_exponential_sigmas": True}
_DDIM = {"clip_sample": False, "set_alpha_to_one": False}


@dataclass(frozen=True)
class Sampler:
    """One way from noise to a picture: a solver and the spacing of its noise levels.

    `solver` and `schedule` are what A1111 writes as "Sampler" and "Schedule type". Its "Automatic" takes Karras or
    exponential levels for some solvers; where plain ones are meant here, that has to be said ("Uniform").
    """

    solver: str
    schedule: str
    scheduler: str  # the class, in diffusers or in `dpmpp_sde`
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name in one piece, as people say it: "DPM++ 2M Karras"."""
        return self.solver if self.schedule in ("Automatic", "Uniform") else f"{self.solver} {self.schedule}"

    def evaluations(self, steps: int) -> int:
        """How often the UNet is asked in so many steps: Heun's kind asks twice, but once in the last."""
        return 2 * steps - 1 if self.scheduler in _SECOND_ORDER else steps


SAMPLERS: Mapping[str, Sampler] = {
    "euler": Sampler("Euler", "Automatic", "EulerDiscreteScheduler"),
    "euler_karras": Sampler("Euler", "Karras", "EulerDiscreteScheduler", _KARRAS),
    "euler_a": Sampler("Euler a", "Automatic", "EulerAncestralDiscreteScheduler"),
    "dpmpp_2m": Sampler("DPM++ 2M", "Uniform", "DPMSolverMultistepScheduler"),
    "dpmpp_2m_karras": Sampler("DPM++ 2M", "Karras", "DPMSolverMultistepScheduler", _KARRAS),
    "dpmpp_2m_sde": Sampler("DPM++ 2M SDE", "Uniform", "DPMSolverMultistepScheduler", _SDE),
    "dpmpp_2m_sde_karras": Sampler("DPM++ 2M SDE", "Karras", "DPMSolverMultistepScheduler", _SDE | _KARRAS),
    "dpmpp_2m_sde_exponential": Sampler(
        "DPM++ 2M SDE", "Exponential", "DPMSolverMultistepScheduler", _SDE | _EXPONENTIAL
    ),
    "dpmpp_sde": Sampler("DPM++ SDE", "Uniform", "DpmppSdeScheduler"),
    "dpmpp_sde_karras": Sampler("DPM++ SDE", "Karras", "DpmppSdeScheduler", _KARRAS),
    "ddim": Sampler("DDIM", "Automatic", "DDIMScheduler", _DDIM),
    "unipc": Sampler("UniPC", "Automatic", "UniPCMultistepScheduler"),
    "heun": Sampler("Heun", "Automatic", "HeunDiscreteScheduler"),
    "heun_karras": Sampler("Heun", "Karras", "HeunDiscreteScheduler", _KARRAS),
    "dpm2": Sampler("DPM2", "Uniform", "KDPM2DiscreteScheduler"),
    "dpm2_karras": Sampler("DPM2", "Karras", "KDPM2DiscreteScheduler", _KARRAS),
    "dpm2_a": Sampler("DPM2 a", "Uniform", "KDPM2AncestralDiscreteScheduler"),
    "dpm2_a_karras": Sampler("DPM2 a", "Karras", "KDPM2AncestralDiscreteScheduler", _KARRAS),
}
"""Every sampler by the key that orders and files carry."""

# These ask the UNet twice a step. They also have no zero terminal SNR of their own; they work all noise levels out
# from `alphas_cumprod`.
_SECOND_ORDER = {
    "HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "DpmppSdeScheduler",
}  # fmt: skip
_LEAST_SIGNAL = 2**-24  # what diffusers leaves at the last timestep, where a signal of zero is an infinite noise level


def sampler_key(said: str) -> str:
    """The key of a sampler as a person writes it, whatever its case, spaces, underscores or `++`.

    Raises LorasmithError with all the names.
    """
    wanted = _plain(said)
    for key, sampler in SAMPLERS.items():
        if wanted in (_plain(key), _plain(sampler.name), _plain(f"{sampler.solver} {sampler.schedule}")):
            return key
    names = ", ".join(sampler.name for sampler in SAMPLERS.values())
    raise LorasmithError(f"{shown(said)!r} is no sampler that lorasmith has: write one of {names}.")


def build_scheduler(base: Base, key: str) -> Any:
    """A scheduler with the base's noise schedule; zero terminal SNR starts at the last timestep, as it must."""
    import diffusers

    from engine.draw import dpmpp_sde

    sampler = SAMPLERS[key]
    kind = getattr(dpmpp_sde if sampler.scheduler == "DpmppSdeScheduler" else diffusers, sampler.scheduler)
    options = {
        **base.noise_schedule(),
        "prediction_type": base.prediction_type,
        "timestep_spacing": "trailing" if base.zero_terminal_snr else "leading",
        "steps_offset": 0 if base.zero_terminal_snr else 1,
        **sampler.options,
    }
    if sampler.scheduler not in _SECOND_ORDER:
        options["rescale_betas_zero_snr"] = base.zero_terminal_snr
    scheduler = kind(**options)
    if base.zero_terminal_snr and sampler.scheduler in _SECOND_ORDER:
        signal = base.train_scheduler().alphas_cumprod.clone()
        signal[-1] = _LEAST_SIGNAL
        scheduler.alphas_cumprod = signal
    return scheduler


def _plain(said: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", said.lower().replace("++", "pp"))
    return re.sub(r"^(sample)?k?(?=euler|heun|dpm)", "", plain).replace("ancestral", "a")
