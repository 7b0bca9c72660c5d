"""Which known word's pictures are most like the subject, and by how much they stand out from the class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.lookalike.consistency import Consistency, Vectors, centroid, weigh

USEFUL_PERCENTILE = 99.0
LEAST_OF_CLASS = 100  # pictures of the class prompt, below which a 99th percentile cannot be told


@dataclass(frozen=True)
class Nearness:
    """One known word beside the subject; `similarity` is the mean cosine between the subject and its pictures."""

    word: str
    similarity: float
    percentile: float
    z: float
    consistency: Consistency


@dataclass(frozen=True)
class Ranking:
    """Known words, nearest first, and the words the base does not know."""

    nearest: tuple[Nearness, ...]
    unknown: tuple[str, ...]

    @property
    def useful(self) -> bool:
        return bool(self.nearest) and self.nearest[0].percentile >= USEFUL_PERCENTILE

    @property
    def margin(self) -> float | None:
        """The best one's lead over the second."""
        if len(self.nearest) < 2:
            return None
        return self.nearest[0].similarity - self.nearest[1].similarity

    @property
    def by_chance(self) -> float:
        """Known words that would pass the percentile if none were like the subject."""
        return len(self.nearest) * (1 - USEFUL_PERCENTILE / 100)


def subject_centroid(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """The subject's direction: the mean of its photographs' vectors, of length 1."""
    middle = np.mean(np.stack(list(vectors)), axis=0)
    return middle / max(float(np.linalg.norm(middle)), 1e-9)


def rank(
    subject: np.ndarray,
    words: Mapping[str, Vectors],
    made_up: Sequence[Vectors],
    of_class: Vectors,
    *,
    same: float | None = None,
) -> Ranking:
    """The words the base knows, by their likeness to the subject; `of_class` are the class prompt's pictures.

    A word counts as known as in `weigh` and, where `same` gives the cosine of one person, its pictures agree at
    least as much as that. The percentile is the share of class pictures less like the subject, which never
    reaches 100: of 120 pictures all less like it, it is 99.2.
    """
    others = np.array([float(vector @ subject) for vector in of_class.values()])
    middle, spread = float(others.mean()), max(float(others.std(ddof=1)), 1e-6)
    nearest, unknown = [], []
    for word, vectors in words.items():
        found = weigh(vectors, made_up)
        if not found.known or (same is not None and (found.kappa or 0.0) < same):
            unknown.append(word)
            continue
        similarity = float(centroid(vectors) @ subject)
        below = int((others < similarity).sum())
        percentile = 100.0 * below / (len(others) + 1)
        nearest.append(Nearness(word, similarity, percentile, (similarity - middle) / spread, found))
    nearest.sort(key=lambda one: -one.similarity)
    return Ranking(tuple(nearest), tuple(unknown))
