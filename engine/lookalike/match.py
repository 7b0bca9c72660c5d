"""Which known word's pictures are most like the subject, and by how much they stand out from the class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.lookalike.consistency import Consistency, Vectors, centroid, weigh

USEFUL_PERCENTILE = 99.0
LEAST_OF_CLASS = 100  # pictures of the class prompt, below which a 99th percentile cannot be told
# How many names may be expected to come as near as the best if none is like the subject. The nearest of three hundred
# is nearly always past a 99th percentile, so that alone would find a look-alike for everybody.
MOST_BY_CHANCE = 0.1


@dataclass(frozen=True)
class Nearness:
    """One known word beside the subject; `similarity` as in `rank`."""

    word: str
    similarity: float
    percentile: float
    z: float
    consistency: Consistency


@dataclass(frozen=True)
class Ranking:
    """Known words, nearest first, and the words the base does not know; `among` words in all were searched."""

    nearest: tuple[Nearness, ...]
    unknown: tuple[str, ...]
    among: int

    @property
    def useful(self) -> bool:
        if not self.nearest or self.nearest[0].percentile < USEFUL_PERCENTILE:
            return False
        return self.by_chance < MOST_BY_CHANCE

    @property
    def by_chance(self) -> float:
        """How many of all words would come as near as the best if none were like the subject.

        By the normal distribution of the class pictures, whose own number is too small for the far tail.
        """
        if not self.nearest:
            return float(self.among)
        return self.among * math.erfc(self.nearest[0].z / math.sqrt(2)) / 2

    @property
    def margin(self) -> float | None:
        """The best one's lead over the second."""
        if len(self.nearest) < 2:
            return None
        return self.nearest[0].similarity - self.nearest[1].similarity


def shortlist(subject: Sequence[np.ndarray], words: Mapping[str, Vectors], of_class: Vectors, count: int) -> list[str]:
    """The words whose pictures are most like the subject, nearest first; those without any are left out."""
    middle = centroid(of_class)
    target = _direction(np.mean(np.stack(list(subject)), axis=0), middle)
    near = {word: float(_direction(centroid(vectors), middle) @ target) for word, vectors in words.items() if vectors}
    return sorted(near, key=lambda word: -near[word])[:count]


def rank(
    subject: Sequence[np.ndarray],
    words: Mapping[str, Vectors],
    made_up: Sequence[Vectors],
    of_class: Vectors,
    *,
    same: float | None = None,
    among: int | None = None,
) -> Ranking:
    """The words the base knows, by their likeness to the subject's photographs, both seen from the class.

    Likeness is the cosine between the two means, measured from the mean of `of_class`, the class prompt's pictures:
    what all of the class have in common says nothing. A word counts as known as in `weigh` and, where `same` gives
    the cosine of one person, where its pictures agree at least as much as that. The percentile is the share of class
    pictures less like the subject; it never reaches 100: of 120 pictures all less like it, it is 99.2. `among` is how
    many words these were chosen from, where they are a shortlist.
    """
    middle = centroid(of_class)
    target = _direction(np.mean(np.stack(list(subject)), axis=0), middle)
    others = np.array([float(_direction(vector, middle) @ target) for vector in of_class.values()])
    mean, spread = float(others.mean()), max(float(others.std(ddof=1)), 1e-6)
    nearest, unknown = [], []
    for word, vectors in words.items():
        found = weigh(vectors, made_up)
        if not found.known or (same is not None and (found.kappa or 0.0) < same):
            unknown.append(word)
            continue
        similarity = float(_direction(centroid(vectors), middle) @ target)
        percentile = 100.0 * int((others < similarity).sum()) / (len(others) + 1)
        nearest.append(Nearness(word, similarity, percentile, (similarity - mean) / spread, found))
    nearest.sort(key=lambda one: -one.similarity)
    return Ranking(tuple(nearest), tuple(unknown), len(words) if among is None else among)


def _direction(vector: np.ndarray, middle: np.ndarray) -> np.ndarray:
    away = vector - middle
    return away / max(float(np.linalg.norm(away)), 1e-9)
