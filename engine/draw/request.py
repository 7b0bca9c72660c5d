"""What `lorasmith draw` is asked for, and what is wrong with it before anything heavy is loaded. Light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.draw.order import MOST_WEIGHT, HiresFix, check_limits
from engine.draw.samplers import sampler_key
from engine.errors import LorasmithError, shown
from engine.files import check_free, check_writable

_LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class PictureRequest:
    """What is to be drawn. `size` None is the base's native square; `loras` are files with their weights.

    A seed of -1 is any; `sampler` is a name as people write it; `hires` None is one pass. What is there already is
    overwritten only with `force`.
    """

    prompt: str
    to: Path
    base: str = "demo"
    loras: tuple[tuple[Path, float], ...] = ()
    negative: str = ""
    seed: int = 0
    steps: int = 25
    cfg: float = 5.0
    size: tuple[int, int] | None = None
    sampler: str = "euler"
    hires: HiresFix | None = None
    force: bool = False


def check_request(request: PictureRequest) -> None:
    """LorasmithError for a sampler or a number that cannot be drawn with, and where the picture cannot be written or
    something is there that was not said to be overwritten.
    """
    sampler_key(request.sampler)
    _check_numbers(request)
    _check_place(request)


def first_pass(to: Path) -> Path:
    """Where the first of two passes is kept."""
    return to.with_name(f"{to.stem}-first-pass.png")


def _check_numbers(request: PictureRequest) -> None:
    if request.steps < 1:
        raise LorasmithError(f"{request.steps} steps cannot be made: --steps takes a whole number from 1 up.")
    check_limits(request.size, request.steps)
    if not 0 <= request.cfg <= 100:  # also refuses NaN
        raise LorasmithError(f"A guidance of {request.cfg:g} cannot be followed: --cfg takes 0 to 100; 5 is usual.")
    if not -1 <= request.seed <= _LARGEST_SEED:
        raise LorasmithError(f"{request.seed} is no seed: --seed takes 0 to {_LARGEST_SEED}, or -1 for any.")
    for path, weight in request.loras:
        if not -MOST_WEIGHT <= weight <= MOST_WEIGHT:  # also refuses NaN
            raise LorasmithError(f"{shown(path.name)} has the weight {weight:g}: write a number such as 0.8.")


def _check_place(request: PictureRequest) -> None:
    to = request.to
    if to.suffix.lower() != ".png":
        raise LorasmithError(f"{shown(to)} does not end in .png, which is what is written: add that ending.")
    if not to.parent.is_dir():
        raise LorasmithError(f"There is no folder {shown(to.parent)}: make it first, or choose another.")
    for path in (to, first_pass(to)) if request.hires else (to,):
        check_free(path, force=request.force)
    check_writable(to.parent)
