"""How sure a figure is: prompts drawn anew, the same draw for every checkpoint (a paired cluster bootstrap).

A prompt is the cluster: its seeds stay together, for they share most of their luck. Within each group of exchangeable
prompts n - 1 of n are drawn, which makes the variance of a mean right for few prompts (Rao and Wu 1988); plain
redrawing of n is too sure of itself by (n - 1) / n.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DRAWS = 2000


def prompt_weights(groups: Sequence[int], draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """How often each prompt is drawn: [draws, prompts]; `groups` numbers the group of each prompt.

    A group of a single prompt has nothing to be drawn from and counts once in every draw. Every group keeps its
    share of the whole, since its counts are scaled by n / (n - 1).
    """
    generator = np.random.default_rng(seed)
    numbers = np.asarray(groups)
    weights = np.ones((draws, len(numbers)))
    for group in np.unique(numbers):
        members = np.flatnonzero(numbers == group)
        weights[:, members] = mean_weights(len(members), draws, generator)
    return weights


def mean_weights(count: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """Weights [draws, count] of one group, each row adding up to `count`."""
    if count < 2:
        return np.ones((draws, count))
    drawn = generator.multinomial(count - 1, np.full(count, 1 / count), size=draws)
    return drawn * (count / (count - 1))


def weighted_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means of values [points, prompts] under weights [draws, prompts]: [draws, points].

    A draw that took none of these prompts has the plain mean.
    """
    total = weights.sum(axis=1, keepdims=True)
    plain = np.broadcast_to(values.mean(axis=1), (len(weights), len(values)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, weights @ values.T / total, plain)


def with_doubt(draws: np.ndarray, doubt: float, seed: int = 0) -> np.ndarray:
    """Draws [draws, points] of points whose readers err, too: by `doubt` (standard deviation), each point by its own.

    Points with the same draws are of the same pictures, and so are erred about alike.
    """
    seen: dict[bytes, int] = {}
    which = [seen.setdefault(column.tobytes(), len(seen)) for column in draws.round(9).T]
    error = np.random.default_rng(seed).normal(0, doubt, (len(draws), len(seen)))
    return draws + (error - error.mean(axis=0))[:, which]


def chance_of_best(draws: np.ndarray) -> np.ndarray:
    """The share of draws [draws, points] in which each point is the highest; equals share a draw."""
    best = draws >= draws.max(axis=1, keepdims=True) - 1e-9
    return (best / best.sum(axis=1, keepdims=True)).mean(axis=0)


def not_separated(draws: np.ndarray, best: int, confidence: float = 0.95) -> np.ndarray:
    """Which points [points] cannot be told from `best` at this one-sided confidence."""
    behind = draws[:, [best]] - draws
    return np.quantile(behind, 1 - confidence, axis=0) <= 1e-9
