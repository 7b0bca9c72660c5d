"""Whether a base draws something of its own for a word, by the vectors of its pictures.

Two figures. `kappa` is the mean cosine between a word's pictures. It alone would mislead: a base may draw meaningless
words alike, too (the demo's base draws them more alike than real ones). So the words are held against made-up ones:
`own` is how far a word's pictures by one prompt and its pictures by another prompt lie off the made-up words' in
the same direction. Both are given as z = (value - mean of the made-up words) / their standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.lookalike.bank import SECOND

Vectors = Mapping[int, np.ndarray]
KNOWN_Z = 3.0
PERHAPS_Z = 1.5  # from here to KNOWN_Z the figures do not tell a word that is drawn from one that is not
_LEAST = 2  # vectors by a prompt, below which nothing can be said


@dataclass(frozen=True)
class Consistency:
    """The figures of one word; None where too few pictures showed anything (a face) to say."""

    seen: int
    kappa: float | None
    kappa_z: float | None
    own: float | None
    own_z: float | None

    @property
    def known(self) -> bool:
        """Whether the base draws something of its own for the word; what that is, the figures do not say."""
        return self.own_z is not None and self.own_z > KNOWN_Z

    @property
    def unclear(self) -> bool:
        """Whether the figures leave it open."""
        return self.own_z is not None and PERHAPS_Z < self.own_z <= KNOWN_Z


def kappa(vectors: Vectors) -> float | None:
    """The mean cosine of all pairs; None for fewer than two."""
    rows = np.stack(list(vectors.values())) if len(vectors) > 1 else np.zeros((0, 1))
    count = len(rows)
    if count < _LEAST:
        return None
    total = rows.sum(axis=0)
    return float((total @ total - (rows * rows).sum()) / (count * (count - 1)))


def weigh(vectors: Vectors, made_up: Sequence[Vectors]) -> Consistency:
    """A word's figures beside those of made-up words; the word itself must not be among them."""
    nulls = [null for null in made_up if _enough(null)]
    own = _own(vectors, nulls) if len(nulls) >= 3 else None
    # Each made-up word is held against the other ones, as the word is against them all.
    others = [_own(null, [*nulls[:at], *nulls[at + 1 :]]) for at, null in enumerate(nulls)]
    alike = kappa(vectors)
    return Consistency(
        seen=len(vectors),
        kappa=alike,
        kappa_z=_z(alike, [kappa(null) for null in nulls]),
        own=own,
        own_z=_z(own, others),
    )


def _own(vectors: Vectors, nulls: Sequence[Vectors]) -> float | None:
    """The product of a word's two mean differences from the made-up words', one for each prompt.

    Seeds shared by word and made-up words leave the same marks on both, which fall out; seeds differ between
    the prompts, so that only what the word itself brings is left.
    """
    if not _enough(vectors):
        return None
    offsets = []
    for second in (False, True):
        middle = np.mean([_mean(null, second) for null in nulls], axis=0)
        offsets.append(_mean(vectors, second) - middle)
    return float(offsets[0] @ offsets[1])


def _mean(vectors: Vectors, second: bool) -> np.ndarray:
    return np.mean([row for number, row in vectors.items() if (number >= SECOND) == second], axis=0)


def _enough(vectors: Vectors) -> bool:
    by_second = sum(number >= SECOND for number in vectors)
    return by_second >= _LEAST and len(vectors) - by_second >= _LEAST


def _z(value: float | None, others: Sequence[float | None]) -> float | None:
    sample = [other for other in others if other is not None]
    if value is None or len(sample) < 3:
        return None
    spread = float(np.std(sample, ddof=1))
    return (value - float(np.mean(sample))) / max(spread, 1e-6)


def centroid(vectors: Vectors) -> np.ndarray:
    """The mean of the vectors, not brought to length 1: its product with a unit vector is their mean cosine."""
    return np.mean(list(vectors.values()), axis=0)


def least_kinship(vectors: Vectors) -> float:
    """How near the most unlike of these pictures is to the others: their lowest mean cosine."""
    rows = np.stack(list(vectors.values()))
    products = rows @ rows.T
    return float(((products.sum(axis=1) - np.diag(products)) / (len(rows) - 1)).min())
