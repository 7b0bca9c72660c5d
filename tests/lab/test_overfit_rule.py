"""The rule that says which epochs are truly best, by hand-computed cases."""

from __future__ import annotations

import pytest

from engine.lab.overfit import Reality
from engine.lab.truth import Told


def told(fidelity: float, ground: tuple[float, ...], others: tuple[float, ...] = (1.0, 1.0)) -> Told:
    return Told((fidelity, fidelity), ground, (1.0, 1.0), (0.0, 0.0), others)


BASE = told(0.2, (1.0, 1.0))


def test_balance_is_the_harmonic_mean_between_the_base_and_true_pictures():
    real = Reality(0.8, BASE, (told(0.5, (1.0, 1.0)), told(0.8, (0.0, 0.0), (0.0, 0.0)), told(0.9, (1.0, 1.0))))
    # Fidelity .5, 1 and 1 (held at 1); flexibility 3/4, 1/4 and 3/4.
    assert real.balances() == pytest.approx([0.6, 0.4, 6 / 7])
    assert real.best() == (3,) and not real.overfit
    assert real.hit(3) and real.hit(2) and not real.hit(1)


def test_what_cannot_be_told_from_the_best_is_best_too():
    half_wrong = told(0.8, (1.0, 0.0))
    real = Reality(0.8, BASE, (told(0.8, (1.0, 1.0), (1.0, 0.0)), half_wrong, told(0.2, (1.0, 1.0))))
    assert real.error() > 0
    assert real.best() == (1, 2) and real.overfit


def test_worse_than_the_base_is_no_fidelity_at_all():
    real = Reality(0.8, BASE, (told(0.0, (1.0, 1.0)), told(0.5, (1.0, 1.0))))
    assert real.balances()[0] == 0.0 and real.best() == (2,) and not real.overfit
