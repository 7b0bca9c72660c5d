"""Fidelity: 0 is the untouched base, 100 is what real photographs of the subject reach among themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.select.bootstrap import mean_weights
from engine.select.cells import Likeness

TOP = 3  # the nearest references that count: a picture need not look like every photograph
FEW_PHOTOS = 6


@dataclass(frozen=True)
class CannotTell:
    """The answer of a measure that cannot answer; never shown as a number."""

    reason: str


@dataclass(frozen=True)
class Anchors:
    """Where 0 and 100 lie on the encoder's own scale, and the standard error of their distance."""

    low: float
    high: float
    error: float
    photos: int
    held_out: bool

    @property
    def gap(self) -> float:
        return self.high - self.low

    @property
    def tells(self) -> bool:
        """Whether the encoder can tell the subject from its class at all."""
        return self.gap > 0 and self.gap >= 2 * self.error

    @property
    def low_confidence(self) -> bool:
        """Few photographs: what real ones reach is itself uncertain, and none could be held out."""
        return self.photos < FEW_PHOTOS


def top_mean(similarity: np.ndarray, top: int = TOP) -> np.ndarray:
    """The mean of the highest `top` of the last axis (of all, where there are fewer)."""
    top = min(top, similarity.shape[-1])
    return np.sort(similarity, axis=-1)[..., -top:].mean(axis=-1)


def picture_scores(likeness: Likeness, rows: np.ndarray | None = None) -> np.ndarray:
    """Each picture's likeness [pictures]: the mean of its nearest references.

    Photographs that are their own references are compared with the others only, one fewer; so that pictures get no
    larger choice than those had, the mean over leaving each reference out once is taken.
    """
    similarity = likeness.to_refs if rows is None else likeness.to_refs[rows]
    if likeness.held_out or similarity.shape[-1] == 1:
        return top_mean(similarity)
    without = [top_mean(np.delete(similarity, ref, axis=-1)) for ref in range(similarity.shape[-1])]
    return np.mean(without, axis=0)


def real_scores(likeness: Likeness) -> np.ndarray:
    """What each real photograph reaches [photographs], by the same rule as `picture_scores`."""
    real = np.asarray(likeness.real, dtype=float)
    if likeness.held_out:
        return top_mean(real)
    if len(real) < 2:
        return np.empty(0)
    others = real[~np.eye(len(real), dtype=bool)].reshape(len(real), -1)
    return top_mean(others)


def real_draws(scores: np.ndarray, draws: int, seed: int = 1) -> np.ndarray:
    """The mean of the photographs' scores under a bootstrap of the photographs: [draws]."""
    weights = mean_weights(len(scores), draws, np.random.default_rng(seed))
    return weights @ scores / len(scores)


def anchors(low: float, low_draws: np.ndarray, real: np.ndarray, held_out: bool) -> Anchors | CannotTell:
    """The two anchors, or why there are none: under two photographs, or a base as near as the photographs are."""
    if len(real) < 2 and not (held_out and len(real)):
        return CannotTell("There is one photograph or none to compare with, so nothing says how like the subject is.")
    if not np.isfinite(real).all() or not np.isfinite(low):
        return CannotTell("The photographs or the base's pictures could not be measured: check that they open.")
    high = float(real.mean())
    gaps = real_draws(real, len(low_draws)) - low_draws
    found = Anchors(float(low), high, float(gaps.std()), len(real), held_out)
    if not found.tells:
        return CannotTell(
            "This measure cannot tell your subject from any other of its class "
            f"(real photographs reach {high:.3f}, the untouched base {low:.3f}, give or take {found.error:.3f}): "
            "look at the pictures."
        )
    return found


def neutral_adjusted(
    similarity: np.ndarray, picture_bank: np.ndarray, reference_bank: np.ndarray, nearest: int = 10
) -> np.ndarray:
    """A style's similarity with what is common to all pictures taken off (CSLS): 2 cos(x, y) - r(x) - r(y).

    similarity: [pictures, refs]; the banks are similarities [pictures, bank] and [refs, bank] to neutral pictures
    (the base's, of the same contents); r is the mean over the `nearest` of them. Raw style cosines rank by content as
    much as by style (Frochte 2026, arXiv 2605.09030).
    """
    own = top_mean(picture_bank, nearest)[:, None]
    refs = top_mean(reference_bank, nearest)[None, :]
    return 2 * similarity - own - refs


def held_out_choice(similarity: np.ndarray, count: int) -> tuple[int, ...]:
    """Which photographs to keep out as references: the `count` farthest from all others, so that none has a twin.

    similarity: [photographs, photographs]. Begins with the one least like the rest, then takes the one farthest from
    what is chosen already.
    """
    away = 1 - np.asarray(similarity, dtype=float)
    np.fill_diagonal(away, 0)
    chosen = [int(away.mean(axis=1).argmax())]
    while len(chosen) < min(count, len(away)):
        nearest = away[:, chosen].min(axis=1)
        nearest[chosen] = -np.inf
        chosen.append(int(nearest.argmax()))
    return tuple(sorted(chosen))


def held_out_count(photographs: int) -> int:
    """How many to hold out: none under 8, else an eighth and at least 2."""
    return 0 if photographs < 8 else max(2, round(photographs / 8))
