"""DPM++ SDE, for which diffusers needs a library of Brownian trees: the solver with noise of each picture's own."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import HeunDiscreteScheduler
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor


class DpmppSdeScheduler(HeunDiscreteScheduler):
    """The second-order stochastic solver of DPM-Solver++ (https://arxiv.org/abs/2211.01095), one midpoint a step.

    As "DPM++ SDE" is known from A1111: eta 1, the midpoint half way in the logarithm of the noise level, and one
    Brownian path for both halves of a step. Its noise levels, its karras spacing and its settings are Heun's.
    """

    def set_timesteps(self, *given: Any, **options: Any) -> None:
        super().set_timesteps(*given, **options)
        levels = torch.cat([self.sigmas[:1], self.sigmas[1:-1:2]])  # Heun lists each but the first and last (0) twice
        middles = (levels[:-1] * levels[1:]).sqrt()
        known = ((1 - self.alphas_cumprod) / self.alphas_cumprod).sqrt().log().numpy()
        between = torch.tensor([float(self._sigma_to_t(level, known)) for level in middles.numpy()])
        self.sigmas = _alternating(levels, middles, torch.zeros(1))
        own = torch.cat([self.timesteps[:1], self.timesteps[1::2]])
        self.timesteps = _alternating(own.float(), between, torch.zeros(0))
        self._begun: tuple[Tensor, Tensor] | None = None

    def step(  # type: ignore[override]
        self, model_output: Tensor, timestep: Tensor, sample: Tensor, return_dict: bool = False,
        generator: Any = None,
    ) -> tuple[Tensor]:  # fmt: skip
        """The next sample; asked twice a step, for the midpoint first."""
        if self.step_index is None:
            self._init_step_index(timestep)
        index: int = self._step_index  # type: ignore[assignment]
        level = float(self.sigmas[index])
        picture = self._picture(model_output, sample, level)
        self._step_index = index + 1
        if not float(self.sigmas[index + 1]):
            return (picture,)
        fresh = randn_tensor(sample.shape, generator=generator, device=sample.device, dtype=sample.dtype)
        if self._begun is None:
            self._begun = sample, fresh
            return (_moved(sample, picture, level, float(self.sigmas[index + 1]), fresh),)
        start, before = self._begun
        self._begun = None
        first, last = float(self.sigmas[index - 1]), float(self.sigmas[index + 1])
        # The path over the whole step begins with the path to the midpoint; its time is the noise level.
        shares = (first - level) / (first - last), (level - last) / (first - last)
        path = shares[0] ** 0.5 * before + shares[1] ** 0.5 * fresh
        return (_moved(start, picture, first, last, path),)

    def _picture(self, predicted: Tensor, sample: Tensor, level: float) -> Tensor:
        if self.config.prediction_type == "v_prediction":
            return sample / (level**2 + 1) - predicted * (level / (level**2 + 1) ** 0.5)
        return sample - level * predicted


def _moved(sample: Tensor, picture: Tensor, level: float, to: float, noise: Tensor) -> Tensor:
    """An ancestral step from one noise level to another: straight down below it, then up again with noise."""
    up = (to**2 * (level**2 - to**2) / level**2) ** 0.5
    down = (to**2 - up**2) ** 0.5
    return down / level * sample + (1 - down / level) * picture + up * noise


def _alternating(ones: Tensor, others: Tensor, end: Tensor) -> Tensor:
    """The first of one list, the first of the other, and so on; the first list is one longer."""
    pairs = torch.stack([ones[:-1], others], dim=1).flatten()
    return torch.cat([pairs, ones[-1:], end.to(ones)])
