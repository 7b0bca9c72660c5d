"""Blind A/B votes: what a person prefers, brought together with what was measured.

The measured balance is taken as what is known before the votes: the mean and covariance of its draws, which hold both
what other prompts and what erring readers would change. A vote for one of two points is a Bradley-Terry comparison of
their true worth: of two LoRAs `SCALE` points apart the better one gets 73 % of the votes. "No difference" counts as
half a vote for each. The most probable worth is found by Newton's method (the problem is concave), and the draws are
moved and squeezed to that mean and covariance, so that everything that was computed from draws is computed in the same
way after the votes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.select.cells import Point

SCALE = 5.0  # points of balance that make the odds of a vote e to 1


@dataclass(frozen=True)
class Vote:
    """One blind comparison; `better` None where the person saw no difference."""

    left: Point
    right: Point
    better: Point | None

    def __post_init__(self) -> None:
        if self.left == self.right or self.better not in {self.left, self.right, None}:
            raise ValueError(f"a vote is for one of two different points: {self}")


def with_votes(
    worth: np.ndarray, draws: np.ndarray, points: Sequence[Point], votes: Sequence[Vote]
) -> tuple[np.ndarray, np.ndarray]:
    """Worth [points] and draws [draws, points] after the votes; unchanged without any on these points.

    Votes on points that are not among these are passed over (a checkpoint dropped since).
    """
    at = {point: index for index, point in enumerate(points)}
    cast = [vote for vote in votes if vote.left in at and vote.right in at]
    if not cast:
        return worth, draws
    contrast, share = _design(cast, at)
    known = np.atleast_2d(np.cov(draws, rowvar=False))
    shift = _shift(contrast, share, worth, known)
    moved = worth + shift
    return moved, moved + _squeezed(draws - draws.mean(axis=0), contrast, moved, known)


def _design(votes: Sequence[Vote], at: dict[Point, int]) -> tuple[np.ndarray, np.ndarray]:
    contrast = np.zeros((len(votes), len(at)))
    share = np.empty(len(votes))
    for row, vote in enumerate(votes):
        contrast[row, at[vote.left]], contrast[row, at[vote.right]] = 1, -1
        share[row] = 0.5 if vote.better is None else float(vote.better == vote.left)
    return contrast, share


def _shift(contrast: np.ndarray, share: np.ndarray, worth: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The most probable shift of the worths: Newton's steps, by way of the votes (of twins `known` has no inverse)."""
    shift = np.zeros(len(worth))
    for _ in range(50):
        chance = 1 / (1 + np.exp(-contrast @ (worth + shift) / SCALE))
        root = np.sqrt(chance * (1 - chance)) / SCALE
        gain = _gain(contrast, root, known)
        step = gain @ (root * (contrast @ shift) + (share - chance) / SCALE / root) - shift
        shift = shift + step
        if np.abs(step).max() < 1e-9:
            break
    return shift


def _gain(contrast: np.ndarray, root: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[points, votes]: how far the worths follow what the votes say, each in units of its own uncertainty."""
    weighed = root[:, None] * contrast
    return known @ weighed.T @ np.linalg.inv(np.eye(len(root)) + weighed @ known @ weighed.T)


def _squeezed(draws: np.ndarray, contrast: np.ndarray, moved: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Draws around zero as they are after the votes: each is led by votes of its own (Matheron's rule)."""
    chance = 1 / (1 + np.exp(-contrast @ moved / SCALE))
    root = np.sqrt(chance * (1 - chance)) / SCALE
    luck = np.random.default_rng(len(draws)).normal(0, 1, (len(draws), len(root)))
    return draws - (draws @ contrast.T * root + luck) @ _gain(contrast, root, known).T


def pairs_to_ask(
    points: Sequence[Point], chance: np.ndarray, count: int = 5, seed: int = 0
) -> list[tuple[Point, Point]]:
    """Which pairs to show next: the likeliest against the others that may be best, sides by lot."""
    order = [int(i) for i in np.argsort(-chance, kind="stable") if chance[i] > 0][:4]
    wanted = [(a, b) for position, a in enumerate(order) for b in order[position + 1 :]]
    wanted.sort(key=lambda pair: -min(chance[pair[0]], chance[pair[1]]))
    generator = np.random.default_rng(seed)
    asked: list[tuple[Point, Point]] = []
    while wanted and len(asked) < count:
        left, right = wanted[len(asked) % len(wanted)]
        if generator.random() < 0.5:
            left, right = right, left
        asked.append((points[left], points[right]))
    return asked
