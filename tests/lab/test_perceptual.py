"""The perceptual encoder sees how much of a drawing is left, wherever it stands; drawings are spoiled by degrees."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.lab.objects import HELD_OUT, TRAINED
from engine.lab.paint import paint
from engine.lab.perceptual import Perceptual, load_perceptual, pairs, train_perceptual
from engine.lab.plan import ReaderSettings
from engine.lab.scenes import Ground, Scene, Style
from engine.lab.spoil import WAYS, Spoil, some_spoil
from engine.lab.sprites import drawn

READERS = Path(__file__).parents[2] / "presets" / "base" / "readers"
GROUNDS = (Ground("plain", "blue"), Ground("snow"), Ground("checked", "purple"), Ground("striped", "orange"))


@pytest.fixture(scope="module")
def encoder() -> Perceptual:
    return load_perceptual(READERS / "perceptual.safetensors")


def painted(name: str, ground: Ground, seed: int, spoil: Spoil | None = None, other: str = "owl"):
    rng = random.Random(seed)

    def change(drawing):
        return drawing if spoil is None else spoil(drawing, drawn(other, Style.FLAT, drawing.width), rng)

    return paint(Scene(name, ground, seed=seed, place=("centre", "left", "right")[seed % 3]), change=change)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_drawing_is_spoiled_by_degrees(way):
    drawing, other = drawn("fox", Style.FLAT, 46), drawn("owl", Style.FLAT, 46)

    def distance(lost: float) -> float:
        pixels = [np.asarray(way(drawing, other, lost, random.Random(at)), dtype=float) for at in range(12)]
        return float(np.mean([np.abs(one - np.asarray(drawing)).mean() for one in pixels]))

    little, more, most = distance(0.05), distance(0.4), distance(0.95)
    assert distance(0.0) < 1.0  # rounding
    assert little < more < most


def test_what_is_left_is_what_no_step_took():
    assert Spoil().left == 1.0
    assert Spoil(((WAYS[0], 0.5), (WAYS[1], 0.2))).left == pytest.approx(0.4)
    assert all(0 <= some_spoil(random.Random(seed)).left <= 1 for seed in range(50))


def test_a_step_is_the_same_whenever_it_is_painted():
    settings = ReaderSettings(batch=8, seed=31)
    once, again = pairs(settings, 5), pairs(settings, 5)
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert [len(part) for part in once] == [4, 4, 4, 4]
    assert not torch.equal(once[0], pairs(settings, 6)[0])


def test_training_goes_on_bit_by_bit(tmp_path):
    settings = ReaderSettings(steps=6, batch=8, seed=31)
    whole = train_perceptual(tmp_path / "whole.pt", settings, lambda *_, **__: None, lambda: False)
    asked = iter([False, False, True])
    train_perceptual(tmp_path / "cut.pt", settings, lambda *_, **__: None, lambda: next(asked))
    resumed = train_perceptual(tmp_path / "cut.pt", settings, lambda *_, **__: None, lambda: False)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_more_is_spoiled_the_less_alike_on_any_ground(encoder: Perceptual, way):
    """Drawings held out of the base's training and others, each against whole ones on other grounds."""
    names = [thing.name for thing in (*HELD_OUT[:4], *TRAINED[:4])]
    alike = []
    for lost in (0.0, 0.3, 0.7):
        rows = []
        for name in names:
            whole = encoder.pictures([painted(name, ground, at) for at, ground in enumerate(GROUNDS[:2])])
            spoil = Spoil(((way, lost),))
            seen = encoder.pictures([painted(name, ground, 7 + at, spoil) for at, ground in enumerate(GROUNDS)])
            rows.append(float((seen @ whole.T).mean()))
        alike.append(float(np.mean(rows)))
    assert alike[0] > 0.8
    assert alike[0] > alike[1] + 0.03 and alike[1] > alike[2] + 0.05, alike


def test_another_object_is_far_whatever_its_ground(encoder: Perceptual):
    fox = encoder.pictures([painted("fox", ground, at) for at, ground in enumerate(GROUNDS)])
    others = encoder.pictures([painted(thing.name, GROUNDS[0], at) for at, thing in enumerate(TRAINED)])
    own = encoder.pictures([painted("fox", GROUNDS[2], 50 + at) for at in range(6)])
    assert float((own @ fox.T).mean()) > 0.85
    assert float((others @ fox.T).mean()) < 0.35
