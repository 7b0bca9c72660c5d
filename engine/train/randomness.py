"""Every random draw of the training, derived from (seed, step, position in the global batch) and nothing else.

No generator runs along with the training: resuming needs the step number only, and N processes draw what one
process with the N-fold batch draws, because a position belongs to the global batch and not to a rank.
"""

from __future__ import annotations

import hashlib

import torch

TRAIN_TIMESTEPS = 1000


def derived_seed(seed: int, *place: int | str) -> int:
    """A 63-bit seed for one draw, e.g. `derived_seed(seed, "noise", step, position)`."""
    text = ":".join(str(part) for part in (seed, *place))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *place: int | str) -> torch.Generator:
    """A CPU generator for one draw; CPU, so that every device and number of processes sees the same numbers."""
    return torch.Generator().manual_seed(derived_seed(seed, *place))


def timestep(seed: int, step: int, position: int) -> int:
    """The noise level of one picture at one step, uniform over 0..999."""
    return derived_seed(seed, "timestep", step, position) % TRAIN_TIMESTEPS


def has_prior(seed: int, step: int, position: int, share: float) -> bool:
    """Whether prior prediction takes the picture at this place of the run; `share` is the plan's ratio, 1 takes all."""
    return derived_seed(seed, "prior", step, position) / 2**63 < share


def noise(
    shape: tuple[int, int, int],
    seed: int,
    step: int,
    position: int,
    *,
    offset: float = 0.0,
    multires_iterations: int = 0,
    multires_discount: float = 0.3,
) -> torch.Tensor:
    """Standard normal noise of (channels, height, width) in fp32, with the two optional low-frequency additions.

    `offset` adds one normal value a channel (noise offset, lets the model reach darker and brighter pictures);
    multi-resolution noise adds ever coarser noise, discount**level strong, and rescales to unit variance.
    """
    draw = generator(seed, "noise", step, position)
    result = torch.randn(shape, generator=draw)
    if offset:
        result += offset * torch.randn((shape[0], 1, 1), generator=draw)
    if multires_iterations:
        result = _with_coarser_noise(result, draw, multires_iterations, multires_discount)
    return result


def _with_coarser_noise(
    fine: torch.Tensor, draw: torch.Generator, iterations: int, discount: float
) -> torch.Tensor:
    channels, height, width = fine.shape
    result = fine
    for level in range(1, iterations + 1):
        size = (max(1, height >> level), max(1, width >> level))
        coarse = torch.randn((1, channels, *size), generator=draw)
        spread = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[0]
        result = result + discount**level * spread
        if size == (1, 1):
            break
    return result / result.std()
