"""What is known of checkpoints before any picture: how far their weights moved, and their loss on held-out pictures.

Nothing here chooses: twins are not drawn twice, and the loss puts the work into an order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import LorasmithError, shown
from engine.lora.keys import kohya_name
from engine.lora.weights import LoraWeights, open_weights
from engine.runs.events import Event, latest_attempt_view

TWINS = 0.05  # a checkpoint that moved less than this share of its length draws nearly the same pictures
_COPIED = 1e-4  # of its length: what rounding leaves of the distance of two copies

Update = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Movement:
    """One checkpoint's weights: the length of its update, and how far it lies from the last one that is not a twin.

    norm: Frobenius norm of all updates together. change: distance / norm; nan for the first. twin_of: the checkpoint
    that stands for it, None where it is drawn itself.
    """

    checkpoint: int
    norm: float
    change: float
    twin_of: int | None


@dataclass(frozen=True)
class HeldOutLoss:
    """log(loss / the untouched base's loss) on held-out pictures: below 0 better than the base, rising = overtrained.

    Its minimum is a lower bound on a good epoch, not the answer: likeness goes on rising after it.
    """

    checkpoint: int
    log_ratio: float


def movements(files: Mapping[int, Path], twins: float = TWINS) -> list[Movement]:
    """Weighs the checkpoints of a run in order, two or three in memory at a time.

    A checkpoint is a twin of the last one drawn where it lies near it, and of any before it whose very copy it is.
    Raises LorasmithError for a file that cannot be read or whose weights are not finite.
    """
    found: list[Movement] = []
    kept: tuple[int, Update, float] | None = None
    for checkpoint, path in sorted(files.items()):
        update = read_update(path)
        norm = math.sqrt(max(inner(update, update), 0.0))
        if not math.isfinite(norm):
            raise LorasmithError(f"The weights of {shown(path.name)} are not finite: leave this checkpoint out.")
        change, twin = math.nan, None
        if kept is not None:
            change = distance(update, kept[1], norm, kept[2]) / norm if norm else 0.0
            twin = kept[0] if change < twins else None
        if twin is None and norm and (copied := _copied(update, norm, found, files)) is not None:
            twin, change = copied, 0.0
        found.append(Movement(checkpoint, norm, change, twin))
        if twin is None:
            kept = (checkpoint, update, norm)
    return found


def _copied(update: Update, norm: float, before: Sequence[Movement], files: Mapping[int, Path]) -> int | None:
    """The checkpoint among those before whose weights these are, under another name; None where there is none."""
    for one in before:
        if one.twin_of is None and math.isclose(one.norm, norm, rel_tol=1e-9):
            other = read_update(files[one.checkpoint])
            if distance(update, other, norm, one.norm) < _COPIED * norm:
                return one.checkpoint
    return None


def read_update(path: Path) -> Update:
    """A LoRA's factors by module, the scale in the first: the update is up @ down."""
    weights: LoraWeights = open_weights(path)
    update = {_name(name): (up, down) for name, up, down in weights.factors()}
    if not update:
        raise LorasmithError(f"{shown(path)} holds no LoRA; choose a LoRA file.")
    return update


def inner(a: Update, b: Update) -> float:
    """The inner product of two updates over all modules, from the factors alone.

    <U1 D1, U2 D2> = trace(D1^T U1^T U2 D2) = sum((U1^T U2) * (D1 D2^T)): two products of rank x rank, where forming
    an update would take out x in. Modules that only one of them has, or of another shape, contribute nothing.
    """
    total = 0.0
    for name, (up, down) in a.items():
        if name in b:
            other_up, other_down = b[name]
            if len(up) == len(other_up) and down.shape[1] == other_down.shape[1]:
                with np.errstate(invalid="ignore"):  # weights that are not finite make a sum that is not, which is told
                    ups = up.T.astype(np.float64) @ other_up.astype(np.float64)
                    downs = down.astype(np.float64) @ other_down.T.astype(np.float64)
                    total += float((ups * downs).sum())
    return total


def distance(a: Update, b: Update, norm_a: float | None = None, norm_b: float | None = None) -> float:
    """The Frobenius norm of the difference of two updates; ranks may differ."""
    square_a = inner(a, a) if norm_a is None else norm_a**2
    square_b = inner(b, b) if norm_b is None else norm_b**2
    return math.sqrt(max(square_a + square_b - 2 * inner(a, b), 0.0))


def to_draw(found: Sequence[Movement], always: Iterable[int] = ()) -> list[int]:
    """The checkpoints worth drawing: those that are no twins, the last one, and `always`."""
    named = set(always) | {found[-1].checkpoint} if found else set(always)
    return [one.checkpoint for one in found if one.twin_of is None or one.checkpoint in named]


def held_out_losses(events: Sequence[Event]) -> list[HeldOutLoss]:
    """The validation losses of a run's record by epoch, against the untouched base's; empty where none were taken.

    The ratio takes off the scale of loss and timesteps, so that runs compare. Losses that are not finite or not
    positive are left out; of an epoch measured twice the later one counts.
    """
    found: dict[int, float] = {}
    for event in latest_attempt_view(events):
        epoch, loss, base = event.get("epoch"), event.number("loss"), event.number("base")
        if event.name != "validation" or not isinstance(epoch, int) or not loss or not base:
            continue
        ratio = loss / base
        if ratio > 0 and math.isfinite(ratio):
            found[epoch] = math.log(ratio)
    return [HeldOutLoss(epoch, ratio) for epoch, ratio in sorted(found.items())]


def drawing_order(checkpoints: Sequence[int], losses: Sequence[HeldOutLoss]) -> list[int]:
    """Which checkpoint to draw first: from the lowest held-out loss outwards, later epochs before earlier at a tie.

    Without losses, from the third and fourth of ten outwards: the usual place, a habit and not a law.
    """
    if not checkpoints:
        return []
    ordered = sorted(checkpoints)
    by_epoch = {loss.checkpoint: loss.log_ratio for loss in losses if loss.checkpoint in set(ordered)}
    centre = ordered.index(min(by_epoch, key=lambda e: by_epoch[e])) if by_epoch else round(0.35 * (len(ordered) - 1))
    return sorted(ordered, key=lambda epoch: (abs(ordered.index(epoch) - centre), -epoch))


def _name(name: str) -> str:
    """One name for a module whatever program wrote the file."""
    try:
        return kohya_name(name)
    except KeyError:
        return name
