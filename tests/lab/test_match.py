"""The truth without a network: where a drawing stands is found, and the less of it is spoiled the better it matches."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFilter

from engine.lab.judge import Judge, load_judge
from engine.lab.match import match
from engine.lab.objects import OBJECTS
from engine.lab.paint import paint
from engine.lab.proof import Subject
from engine.lab.scenes import GROUNDS, Ground, Scene, Style
from engine.lab.spoil import WAYS, Spoil
from engine.lab.sprites import drawn

SUBJECTS = ("fox", "koala", "robot")


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge(Path(__file__).parents[2] / "presets" / "base" / "readers" / "judge.safetensors")


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


@pytest.mark.parametrize("name", SUBJECTS)
def test_it_orders_known_damage_better_than_the_judge_does(name: str, judge: Judge):
    """Why the proof of the choice takes its fidelity from here: ranks against the share that is truly left."""
    subject, sure = Subject(judge, name), []
    for way in WAYS:
        pictures, left = damaged(name, way)
        by_match, by_judge = [match(one, name) for one in pictures], subject.nearness(pictures).numpy()
        sure.append((rank_correlation(left, by_match), rank_correlation(left, by_judge)))
    assert min(own for own, _ in sure) > 0.6, sure
    assert all(own > other for own, other in sure), sure


def damaged(name: str, way, count: int = 40):
    """Pictures of a drawing spoiled in one way by up to 60 %, as soft as the base's, and the shares left."""
    rng = random.Random(5)
    kin = [other for other, thing in OBJECTS.items() if thing.kind is OBJECTS[name].kind and other != name]
    pictures, left = [], []
    for at in range(count):
        spoil, other = Spoil(((way, rng.uniform(0, 0.6)),)), rng.choice(kin)
        scene = Scene(name, rng.choice(GROUNDS), place=rng.choice(("centre", "left", "right")), seed=at)
        change = lambda d, spoil=spoil, other=other: spoil(d, drawn(other, Style.FLAT, d.width), rng)  # noqa: E731
        pictures.append(paint(scene, change=change).filter(ImageFilter.GaussianBlur(0.6)))
        left.append(spoil.left)
    return pictures, left


def rank_correlation(a, b) -> float:
    """Spearman's: the correlation of the ranks (no ties here)."""
    return float(np.corrcoef(*(np.argsort(np.argsort(values)) for values in (a, b)))[0, 1])
