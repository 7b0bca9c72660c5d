"""The rule that says which epochs are truly best, by hand-computed cases."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from engine.lab.outcomes import (
    Choice,
    Outcome,
    Reality,
    Yardstick,
    crossed,
    fixed,
    halved,
    looked_at,
    narrowly,
    summed,
)
from engine.lab.trials import Trial
from engine.lab.truth import Told


def told(fidelity: float, ground: tuple[float, ...], others: tuple[float, ...] = (1.0, 1.0)) -> Told:
    """By the drawing and by the judge alike."""
    return Told((fidelity, fidelity), ground, (1.0, 1.0), (0.0, 0.0), others, (fidelity, fidelity))


def all_ways(real: Reality) -> dict[Yardstick, Reality]:
    """By each of the yardsticks."""
    return {by: replace(real, by=by) for by in get_args(Yardstick)}


BASE = told(0.2, (1.0, 1.0))
TRUE = {"drawing": 0.8, "fidelity": 0.8}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A bootstrap of few draws: what is asked here does not hang on their number."""
    monkeypatch.setattr("engine.lab.outcomes._DRAWS", 50)


def test_balance_is_the_harmonic_mean_between_the_base_and_true_pictures():
    real = Reality(TRUE, BASE, (told(0.5, (1.0, 1.0)), told(0.8, (0.0, 0.0), (0.0, 0.0)), told(0.9, (1.0, 1.0))))
    # Fidelity .5, 1 and 1 (held at 1); flexibility 3/4, 1/4 and 3/4.
    assert real.balances() == pytest.approx([0.6, 0.4, 6 / 7])
    assert real.best() == (3,) and not real.overfit
    assert real.hit(3) and real.hit(2) and not real.hit(1)


def test_what_cannot_be_told_from_the_best_is_best_too():
    half_wrong = told(0.8, (1.0, 0.0))
    real = Reality(TRUE, BASE, (told(0.8, (1.0, 1.0), (1.0, 0.0)), half_wrong, told(0.2, (1.0, 1.0))))
    assert real.error() > 0
    assert real.best() == (1, 2) and real.overfit


def test_worse_than_the_base_is_no_fidelity_at_all():
    real = Reality(TRUE, BASE, (told(0.0, (1.0, 1.0)), told(0.5, (1.0, 1.0))))
    assert real.balances()[0] == 0.0 and real.best() == (2,) and not real.overfit


def test_each_yardstick_reads_its_own_fidelity_and_both_are_their_mean():
    base = replace(BASE, drawing=(0.5, 0.5), fidelity=(0.0, 0.0))
    true = {"drawing": 1.0, "fidelity": 0.8}
    drawn = replace(told(0.0, (1.0, 1.0)), drawing=(0.9, 0.9), fidelity=(0.2, 0.2))  # .8 and .25 of the way
    named = replace(told(0.0, (1.0, 1.0)), drawing=(0.6, 0.6), fidelity=(0.76, 0.76))  # .2 and .95
    epochs = drawn, named
    # Flexibility is 3/4: balances 2 * f * .75 / (f + .75) of f = .8, .2; .25, .95; .525, .575.
    assert Reality(true, base, epochs, "drawing").balances() == pytest.approx([1.2 / 1.55, 0.3 / 0.95])
    assert Reality(true, base, epochs, "judge").balances() == pytest.approx([0.375, 1.425 / 1.7])
    assert Reality(true, base, epochs).balances() == pytest.approx([0.7875 / 1.275, 0.8625 / 1.325])


def test_the_error_of_the_reading_is_how_far_two_readings_differ_near_the_top():
    fidelities = ((0.8, 0.8), (0.8, 0.68), (0.8, 0.74), (0.2, 0.8))  # judge and drawing; the last is far off
    epochs = tuple(replace(told(f, (1.0, 1.0)), drawing=(d, d)) for f, d in fidelities)
    real = Reality(TRUE, BASE, epochs)
    # Of the way 1 by the judge; 1, .8, .9 by the drawing: balances of 6/7 less 1.2/1.55 and 1.35/1.65 with 3/4.
    apart = [0, 1.2 / 1.55 - 6 / 7, 1.35 / 1.65 - 6 / 7]
    middle = sum(apart) / 3
    deviation = (sum((one - middle) ** 2 for one in apart) / 2) ** 0.5
    assert real.reading_error() == pytest.approx(deviation / 2)
    assert replace(real, by="judge").reading_error() == pytest.approx(deviation / 2**0.5)
    assert real.scenes_error() == pytest.approx(0, abs=1e-12) and real.error() == pytest.approx(real.reading_error())
    # The second is .045 below the best, the third .021: of an error of .021 the one is out, the other just in or out.
    assert real.best() == tuple(at for at, b in enumerate(real.balances(), 1) if b >= 6 / 7 - deviation / 2)
    assert 1 in real.best() and 2 not in real.best()


def test_what_one_yardstick_would_reach_by_another():
    judged = (told(0.5, (1.0, 1.0)), told(0.8, (1.0, 1.0)), told(0.3, (1.0, 1.0)), told(0.3, (1.0, 1.0)))
    drawn = tuple(replace(one, drawing=(value, value)) for one, value in zip(judged, (0.3, 0.5, 0.3, 0.8), strict=True))
    real = Reality(TRUE, BASE, drawn, "judge")
    outcomes = [Outcome(Trial("fox", 1), {"judge": real, "drawing": replace(real, by="drawing")}, Choice(2, ()))]
    # The drawing's best is epoch 4, two from the judge's 2: .3 is a sixth of the way, balance 2/6 * .75 / (1/6 + .75).
    assert "Had the true drawing chosen: 0 of 1 hit by the judge, 58.4 points" in crossed(outcomes, "drawing", "judge")
    # The judge's is no nearer to the drawing's, but by that reading so far apart are the two that its error covers it.
    assert "Had the judge chosen: 1 of 1 hit by the true drawing, 25.7" in crossed(outcomes, "judge", "drawing")


def test_how_far_a_yardstick_agrees_with_itself():
    # By the first scene epoch 1 is best, by the second epoch 4: what one calls best the other calls worst.
    first, none = (told(0.2, (1.0, 1.0)), told(0.2, (1.0, 1.0)))
    epochs = (replace(first, fidelity=(0.8, 0.2)), none, none, replace(first, fidelity=(0.2, 0.8)))
    split = Reality(TRUE, BASE, epochs, "judge")
    said = halved([Outcome(Trial("fox", 1), {"judge": split}, Choice(2, ()))], "judge")
    assert "the judge calls best from the other half hits in 0%, the choice in 50%" in said
    agreed = Reality(TRUE, BASE, (told(0.5, (1.0, 1.0)), told(0.8, (1.0, 1.0)), BASE, BASE))
    said = halved([Outcome(Trial("fox", 1), {"judge": agreed}, Choice(4, ()))], "judge")
    assert "hits in 100%, the choice in 0%" in said


def test_the_table_counts_hits_and_what_is_given_up():
    real = Reality(TRUE, BASE, (told(0.5, (1.0, 1.0)), told(0.8, (1.0, 1.0)), told(0.5, (1.0, 1.0)), BASE))
    reals = all_ways(real)
    outcomes = [Outcome(Trial("fox", 1), reals, Choice(2, (1, 2))), Outcome(Trial("fox", 2), reals, Choice(4, (3, 4)))]
    assert outcomes[0].row == "| fox 1 | 60 86 60 0 | 2 | 2 | 2 | 2 | hit | hit | hit |"
    said = summed(outcomes, "judge")
    assert "1 of 2 hit (taken blindly 1.5)" in said and "the last epoch taken in 1 of 2" in said
    assert "the choice 42.9, the last epoch 85.7, one taken blindly 34.3" in said


def test_a_rule_of_thumb_and_the_narrower_rule():
    # Balances 60, 86, 60, 60 and 86, 60, 60, 60: epochs 1 and 2 hit in both, and 1 gives up as much as 2 does.
    half, best = told(0.5, (1.0, 1.0)), told(0.8, (1.0, 1.0))
    reals = [Reality(TRUE, BASE, epochs) for epochs in ((half, best, half, half), (best, half, half, half))]
    outcomes = [Outcome(Trial("fox", seed), all_ways(real), Choice(3, (1,))) for seed, real in enumerate(reals)]
    assert fixed(outcomes, "both") == (
        "Had epoch 1 been taken each time: 2 of 2 hit by both, 12.9 points below the best.\n"
        "Had 5% of the way been taken each time: 2 of 2 hit by both, 12.9 points below the best."
    )
    assert narrowly(outcomes) == "By the scenes' error alone, of 2: 1 by both, 1 by the judge, 1 by the true drawing."


def test_an_epoch_within_the_readings_error_only_is_no_hit_by_the_narrower_rule():
    half, best = told(0.5, (1.0, 1.0)), told(0.8, (1.0, 1.0))
    drawn = (0.8, 0.2, 0.2, 0.8)
    epochs = [replace(one, drawing=(d, d)) for one, d in zip((best, half, half, half), drawn, strict=True)]
    real = Reality(TRUE, BASE, tuple(epochs), "judge")
    assert real.hit(4) and not real.hit(4, real.scenes_error())
    assert "of 1: 0 by both" not in narrowly([Outcome(Trial("fox", 1), all_ways(real), Choice(2, ()))])
    assert ", 0 by the judge," in narrowly([Outcome(Trial("fox", 1), all_ways(real), Choice(4, ()))])


def test_no_choice_is_better_than_what_the_first_look_leaves():
    real = Reality(TRUE, BASE, (told(0.5, (1.0, 1.0)), told(0.8, (1.0, 1.0)), told(0.5, (1.0, 1.0)), BASE, BASE))
    left = ((2, 4), (3, 5), (4, 5), ())
    outcomes = [Outcome(Trial("fox", seed), {"judge": real}, Choice(5, kept)) for seed, kept in enumerate(left)]
    # Epoch 2 is best: it is left, then its neighbour 3, then neither, then nothing at all.
    assert "1.5 were looked at twice" in (said := looked_at(outcomes, "judge"))
    assert "had the judge chosen among those: 2 of 4 hit" in said
