"""What the self-test says of its figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.compare.dose import findings
from engine.compare.report import PointRow, Report

PARTS = {"prompt": 100.0, "style": 100.0, "copying": 100.0, "bleed": 100.0}
DOSE = tuple(PointRow(4, weight, 50 * weight, 100.0, parts=PARTS) for weight in (0.0, 0.5, 1.0, 2.0))


def last(points: tuple[PointRow, ...], kind: str = "object"):
    return findings(Report("test", kind=kind, points=points), Path("nowhere"))[-1]


def at(weight: float, flexibility: float, **parts: float) -> tuple[PointRow, ...]:
    changed = [replace(row, flexibility=flexibility, parts={**PARTS, **parts}) if row.weight == weight else row
               for row in DOSE]  # fmt: skip
    return tuple(changed)


def test_twice_the_dose_must_cost_freedom():
    assert last(at(2.0, 80.0)).passed is True
    assert last(DOSE).passed is False


def test_a_class_word_that_weight_1_has_lost_is_left_out_of_what_it_can_lose():
    """A wreck at weight 2 leaves the class word alone again, and is not freer for it."""
    ruined = tuple(
        replace(row, flexibility=85.0, parts={**PARTS, "style": 50.0, "bleed": 60.0}) if row.weight == 2.0 else row
        for row in at(1.0, 31.0, bleed=2.0)
    )
    found = last(ruined)
    # Without it: 100 at weight 1; at 2 the mean of 100 (weights .35 and .15) and 50 (.25), harmonic: .75 / 1 = 75.
    assert found.passed and "75 at weight 2 and 100 at weight 1" in found.sentence
    assert "'leaves the class word alone' aside" in found.sentence


def test_with_everything_lost_at_weight_1_an_earlier_checkpoint_is_advised():
    lost = at(1.0, 5.0, prompt=1.0, style=1.0, copying=1.0, bleed=1.0)
    found = last(lost)
    assert found.passed is False and "try an earlier checkpoint" in found.sentence


@pytest.mark.parametrize("weight", [1.0, 2.0])
def test_what_was_not_measured_says_nothing(weight: float):
    points = tuple(replace(row, flexibility=None) if row.weight == weight else row for row in DOSE)
    assert last(points).passed is None
