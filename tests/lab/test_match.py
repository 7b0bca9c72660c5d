"""The truth without a network: where a drawing stands is found, and the less of it is spoiled the better it matches."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFilter

from engine.lab.damage import ORDERED, by_both, by_drawing, by_judge, damaged, failed, rank_correlation
from engine.lab.match import match
from engine.lab.paint import paint
from engine.lab.scenes import Ground, Scene

READERS = Path(__file__).parents[2] / "presets" / "base" / "readers"
SUBJECTS = ("fox", "koala", "robot")


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_drawing_itself_matches_wherever_it_stands(name: str):
    scenes = [
        Scene(name, Ground("plain", "blue"), place="left", seed=1),
        Scene(name, Ground("checked", "pink"), seed=2),
        Scene(name, Ground("snow"), size="small", seed=3),
        Scene(name, Ground("night"), place="right", seed=4),
    ]
    assert min(match(paint(scene), name) for scene in scenes) > 0.97


def test_another_object_matches_worse_than_a_spoiled_one():
    fox = match(paint(Scene("fox", Ground("snow"))).filter(ImageFilter.GaussianBlur(0.8)), "fox")
    others = [match(paint(Scene(other, Ground("snow"))), "fox") for other in ("dog", "pig", "banana", "house")]
    assert fox > 0.9 > max(others) + 0.03


@pytest.mark.parametrize("name", [SUBJECTS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in SUBJECTS[1:])])
def test_it_orders_known_damage_better_than_the_judge_does(name: str):
    """Why the proof of the choice reads by the drawing, too: over all ways and two draws of them, not in each."""
    drawing, judge = by_drawing(name), by_judge(name, READERS)
    found = []
    for way, seed in itertools.product(ORDERED, (5, 10)):
        pictures, left = damaged(name, way, count=16, seed=seed)
        found.append([rank_correlation(left, read(pictures)) for read in (drawing, judge)])
    own, other = np.mean(found, axis=0)
    assert own > 0.75 and own > other + 0.1, (own, other)


@pytest.mark.slow
def test_with_the_judge_it_orders_failures_more_surely_than_either_alone():
    """Why the proof takes both: a second one beside the first is outside the outline, and the judge sees it."""
    found = []
    for name in SUBJECTS:
        pictures, left = failed(name)
        crowded = np.arange(len(pictures)) % 3 == 0
        reads = [read(pictures) for read in (by_both(name, READERS), by_drawing(name), by_judge(name, READERS))]
        found.append([(rank_correlation(left, one), rank_correlation(left[crowded], one[crowded])) for one in reads])
    (both, both_crowded), (drawing, drawing_crowded), (judge, _) = np.mean(found, axis=0)
    assert both > max(drawing, judge) and both_crowded > drawing_crowded + 0.05
