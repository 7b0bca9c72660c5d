"""Planted vectors: which words are told from made-up ones, and by which figure."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.lookalike.bank import shots
from engine.lookalike.consistency import kappa, least_kinship, weigh
from engine.lookalike.match import rank, shortlist

NUMBERS = shots(8, 4)
WIDTH = 64
RNG = np.random.default_rng(3)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def drawn(own: float, common: float = 3.0, *, spread: float = 1.0, direction: np.ndarray | None = None):
    """Vectors of one word: what all words share, what is its own, and noise."""
    shared = np.zeros(WIDTH)
    shared[0] = common
    mine = unit(RNG.normal(size=WIDTH) if direction is None else direction)
    rows = unit(shared + own * mine + spread * RNG.normal(size=(len(NUMBERS), WIDTH)) / WIDTH**0.5)
    return dict(zip(NUMBERS, rows.astype(np.float32), strict=True))


def test_kappa_is_the_mean_over_all_pairs():
    vectors = drawn(1.0)
    pairs = [float(a @ b) for a, b in itertools.combinations(vectors.values(), 2)]
    assert kappa(vectors) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert kappa({0: unit(np.ones(4))}) is None


def test_a_word_of_its_own_is_known_and_a_made_up_one_is_not():
    nulls = [drawn(0.3) for _ in range(12)]
    assert weigh(drawn(2.0), nulls).known
    assert not any(weigh(drawn(0.3), nulls).known for _ in range(20))


def test_words_drawn_alike_because_all_are_drawn_alike_are_not_known():
    nulls = [drawn(0.1, common=10.0, spread=0.2) for _ in range(12)]
    found = weigh(drawn(0.1, common=10.0, spread=0.2), nulls)
    assert found.kappa is not None and found.kappa > 0.95
    assert not found.known


def test_too_few_faces_give_no_verdict():
    nulls = [drawn(0.3) for _ in range(6)]
    only_first = {number: vector for number, vector in drawn(2.0).items() if number < 1000}
    found = weigh(only_first, nulls)
    assert found.own is None and found.own_z is None and not found.known
    assert weigh({}, nulls).seen == 0
    assert weigh(drawn(2.0), nulls[:2]).own_z is None


def test_the_least_kinship_is_the_odd_picture_s():
    row = unit(np.array([1.0, 0.0, 0.0]))
    odd = unit(np.array([1.0, 1.0, 0.0]))
    assert least_kinship({0: row, 1: row, 2: odd}) == pytest.approx(2**-0.5, abs=1e-6)


def bank(subject: np.ndarray | None):
    nulls = [drawn(0.3) for _ in range(12)]
    words = {f"name {at}": drawn(2.0) for at in range(10)} | {"nobody": drawn(0.2)}
    if subject is not None:
        words["planted"] = drawn(2.0, direction=subject)
    numbers = shots(60, 60)
    # A class prompt draws many different faces.
    of_class = {number: next(iter(drawn(1.5).values())) for number in numbers}
    return words, nulls, of_class


def test_the_planted_look_alike_is_found_with_its_lead():
    subject = unit(RNG.normal(size=WIDTH))
    photographs = [vector for vector in drawn(2.0, direction=subject).values()]
    words, nulls, of_class = bank(subject)
    found = rank(photographs, words, nulls, of_class)
    assert found.nearest[0].word == "planted" and found.useful
    assert found.margin is not None and found.margin > 0.1
    assert "nobody" in found.unknown


def test_without_a_planted_one_there_is_none():
    photographs = list(drawn(2.0).values())
    words, nulls, of_class = bank(None)
    assert not rank(photographs, words, nulls, of_class).useful


@pytest.mark.parametrize("planted", [False, True])
def test_the_best_of_a_long_list_is_no_look_alike_unless_it_beats_chance(planted: bool):
    """The nearest of 300 names passes a 99th percentile in most searches, whoever is looked for."""
    passed = useful = 0
    for _ in range(20):
        subject = unit(RNG.normal(size=WIDTH))
        names = {f"name {at}": drawn(2.0) for at in range(300)}
        if planted:
            names["planted"] = drawn(2.0, direction=unit(0.8 * subject + 0.6 * unit(RNG.normal(size=WIDTH))))
        _, nulls, of_class = bank(None)
        photographs = list(drawn(2.0, direction=subject).values())
        nearest = shortlist(photographs, names, of_class, 5)
        found = rank(photographs, {name: names[name] for name in nearest}, nulls, of_class, among=len(names))
        passed += found.nearest[0].percentile >= 99
        useful += found.useful
    assert passed >= 10, "the percentile alone finds somebody for most"
    assert useful == 20 if planted else useful <= 5


def test_names_that_agree_less_than_one_person_would_are_not_known():
    words, nulls, of_class = bank(None)
    subject = list(drawn(2.0).values())
    assert rank(subject, words, nulls, of_class, same=0.999).nearest == ()


def test_a_percentile_of_few_class_pictures_never_reaches_ninety_nine():
    subject = unit(RNG.normal(size=WIDTH))
    words, nulls, of_class = bank(subject)
    few = dict(list(of_class.items())[:50])
    photographs = list(drawn(2.0, direction=subject).values())
    assert shortlist(photographs, words, few, 1) == ["planted"]
    assert not rank(photographs, words, nulls, few).useful
