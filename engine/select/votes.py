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
    root = _root(np.atleast_2d(np.cov(draws, rowvar=False)))
    shift, curvature = _most_probable(contrast @ root / SCALE, contrast @ worth / SCALE, share)
    moved = worth + root @ shift
    squeeze = root @ _inverse_root(curvature) @ np.linalg.pinv(root)
    return moved, moved + (draws - draws.mean(axis=0)) @ squeeze.T


def _root(covariance: np.ndarray) -> np.ndarray:
    """A square root [points, directions] of what is known before the votes; twins share their row."""
    size, directions = np.linalg.eigh(covariance)
    real = size > 1e-9 * size.max()
    return directions[:, real] * np.sqrt(size[real])


def _inverse_root(matrix: np.ndarray) -> np.ndarray:
    size, directions = np.linalg.eigh(matrix)
    return directions / np.sqrt(size) @ directions.T


def _design(votes: Sequence[Vote], at: dict[Point, int]) -> tuple[np.ndarray, np.ndarray]:
    contrast = np.zeros((len(votes), len(at)))
    share = np.empty(len(votes))
    for row, vote in enumerate(votes):
        contrast[row, at[vote.left]], contrast[row, at[vote.right]] = 1, -1
        share[row] = 0.5 if vote.better is None else float(vote.better == vote.left)
    return contrast, share


def _most_probable(votes: np.ndarray, before: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The most probable shift [directions], each with a standard deviation of 1 before, and the curvature there.

    votes: [votes, directions], what a vote asks for each; before: [votes] its log odds by the worths as measured.
    Newton's steps, halved until they gain: from far away whole ones can overshoot without end.
    """

    def value(shift: np.ndarray) -> float:
        odds = before + votes @ shift
        return float((share * odds - np.logaddexp(0, odds)).sum() - shift @ shift / 2)

    shift = np.zeros(votes.shape[1])
    for _ in range(100):
        chance = 0.5 * (1 + np.tanh((before + votes @ shift) / 2))
        slope = votes.T @ (share - chance) - shift
        curvature = np.eye(len(shift)) + votes.T @ ((chance * (1 - chance))[:, None] * votes)
        step = np.linalg.solve(curvature, slope)
        while value(shift + step) < value(shift) and np.abs(step).max(initial=0) > 1e-9:
            step /= 2
        if np.abs(step).max(initial=0) <= 1e-9:
            break
        shift = shift + step
    return shift, curvature


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
