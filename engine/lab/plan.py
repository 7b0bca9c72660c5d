"""How the small base is made: every figure of its trainings, as a job.toml a person can read and change.

Light: the terminal may read and write it.
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import PlanError, shown


@dataclass(frozen=True)
class VaeSettings:
    """How the autoencoder is trained; `crop` in pixels, a batch is `batch` crops.

    `noise`, in standard deviations of the latents, is added before decoding: the decoder learns to smooth
    over what a UNet leaves imperfect.
    """

    steps: int = 5000
    batch: int = 32
    crop: int = 32
    rate: float = 2e-3
    warmup: int = 100
    kl: float = 1e-6
    noise: float = 0.0
    decoder_only: bool = False
    seed: int = 11


@dataclass(frozen=True)
class SceneSettings:
    """How many scenes of each shape are painted and encoded for training."""

    square: int = 40_960
    wide: int = 4_096
    tall: int = 4_096
    seed: int = 5

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.square, self.wide, self.tall


@dataclass(frozen=True)
class BaseSettings:
    """How the base is trained: a flat rate after the warm-up, a 1 - sqrt decay over the last `decay` steps.

    Because the rate is flat, `steps` may be raised later and the training goes on; a release is a decay of a
    copy. `text_steps` is when the text encoders are frozen: they learn early, and cost a fifth of a step.
    """

    steps: int = 4_000
    decay: int = 0
    batch: int = 48
    rate: float = 1.5e-3
    muon_rate: float = 3e-3
    warmup: int = 200
    text_steps: int = 2_000
    ema: float = 0.998
    drop: float = 0.1
    seed: int = 7

    @property
    def kept(self) -> str:
        """What must not change when a training goes on."""
        return f"batch={self.batch} text_steps={self.text_steps} drop={self.drop} seed={self.seed}"


@dataclass(frozen=True)
class ReaderSettings:
    """How a reader of pictures (the judge, the two encoders) is trained."""

    steps: int = 4000
    batch: int = 48
    rate: float = 2e-3
    seed: int = 23


@dataclass(frozen=True)
class LabPlan:
    """The whole recipe: `release` decay steps follow the base's flat ones, `proof` pictures are judged.

    `sheet` is the number of pictures on each contact sheet.
    """

    release: int = 800
    proof: int = 1_000
    sheet: int = 40
    autoencoder: VaeSettings = VaeSettings()
    decoder: VaeSettings = VaeSettings(steps=4000, rate=1e-3, noise=0.05, decoder_only=True, seed=12)
    scenes: SceneSettings = SceneSettings()
    base: BaseSettings = BaseSettings()
    judge: ReaderSettings = ReaderSettings()
    encoder: ReaderSettings = ReaderSettings(seed=29)
    perceptual: ReaderSettings = ReaderSettings(steps=2_500, batch=64, seed=31)

    @property
    def steps(self) -> int:
        """Training steps of all parts together."""
        parts = (self.autoencoder, self.decoder, self.base, self.judge, self.encoder, self.perceptual)
        return sum(part.steps for part in parts) + self.release


_HIDDEN = {"base": {"decay"}, "autoencoder": {"decoder_only"}, "decoder": {"decoder_only"}}
"""Settings the job itself decides."""

_MAY_BE_ZERO = ("release", "seed", "kl", "noise", "drop", "warmup", "muon_rate")


def lab_toml(plan: LabPlan) -> str:
    """The plan as job.toml; `read_lab_plan` gives it back."""
    lines = [
        'kind = "lab"',
        f"release = {plan.release}  # steps of falling rate at the end of the base's training",
        f"proof = {plan.proof}  # pictures the judge reads at the end",
        f"sheet = {plan.sheet}  # pictures on a contact sheet",
    ]
    for name, part in _parts(plan):
        lines += ["", f"[{name}]"]
        lines += [f"{key} = {value}" for key, value in _shown_settings(name, part).items()]
    return "\n".join(lines) + "\n"


def read_lab_plan(path: Path) -> LabPlan:
    """The plan in a job.toml; what it leaves out keeps its default. Raises PlanError naming the key."""
    try:
        said: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PlanError(f"{shown(path)} cannot be read as TOML ({error}); make the run again.") from error
    plan = LabPlan()
    said.pop("kind", None)
    changes: dict[str, Any] = {}
    for key in ("release", "proof", "sheet"):
        if key in said:
            changes[key] = _whole(key, said.pop(key), getattr(plan, key))
    for name, part in _parts(plan):
        allowed = _shown_settings(name, part)
        values = said.pop(name, {})
        for key, value in values.items():
            if key not in allowed:
                raise PlanError(
                    f"{shown(path)}: {name}.{shown(key)} is not a setting; known are {', '.join(allowed)}."
                )
            values[key] = _whole(f"{name}.{key}", value, allowed[key])
        changes[name] = dataclasses.replace(part, **values)
    if said:
        raise PlanError(f"{shown(path)}: {shown(next(iter(said)))} is not a part of a lab job; remove it.")
    return dataclasses.replace(plan, **changes)


def _parts(plan: LabPlan) -> list[tuple[str, Any]]:
    return [
        (name, getattr(plan, name))
        for name in ("autoencoder", "decoder", "scenes", "base", "judge", "encoder", "perceptual")
    ]


def _shown_settings(name: str, part: Any) -> dict[str, int | float]:
    hidden = _HIDDEN.get(name, set())
    return {key: value for key, value in dataclasses.asdict(part).items() if key not in hidden}


def _whole(key: str, value: Any, default: int | float) -> int | float:
    kind = type(default)
    # A whole number also stands for a rate such as 1.
    fits = isinstance(value, (int, kind)) and not isinstance(value, bool)
    if not fits or value < 0 or (value == 0 and not key.endswith(_MAY_BE_ZERO)):
        wanted = "a whole number" if kind is int else "a number"
        raise PlanError(f"{key} = {shown(value)}: it must be {wanted} above zero, such as {default}.")
    return kind(value)
