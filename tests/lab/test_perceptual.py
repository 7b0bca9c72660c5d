"""The perceptual encoder sees how much of a drawing is left, wherever it stands; drawings are spoiled by degrees."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.lab import pairs as made_pairs
from engine.lab.objects import HELD_OUT, TRAINED
from engine.lab.paint import object_boxes, paint
from engine.lab.pairs import pairs
from engine.lab.perceptual import Perceptual, load_perceptual, share_seen, train_perceptual
from engine.lab.plan import ReaderSettings
from engine.lab.scenes import Ground, Scene, Style
from engine.lab.spoil import WAYS, Spoil, crossed, differs, in_places, share_left, some_spoil
from engine.lab.sprites import drawn

READERS = Path(__file__).parents[2] / "presets" / "base" / "readers"
GROUNDS = (Ground("plain", "blue"), Ground("snow"), Ground("checked", "purple"), Ground("striped", "orange"))
STRANGERS = 0.39  # what two objects' flat drawings differ by, in the mean


@pytest.fixture(scope="module")
def encoder() -> Perceptual:
    return load_perceptual(READERS / "perceptual.safetensors")


def painted(name: str, ground: Ground, seed: int, spoil: Spoil | None = None, other: str = "owl"):
    rng = random.Random(seed)

    def change(drawing):
        return drawing if spoil is None else spoil(drawing, drawn(other, Style.FLAT, drawing.width), rng)

    return paint(Scene(name, ground, seed=seed, place=("centre", "left", "right")[seed % 3]), change=change)


def seen(encoder: Perceptual, photographs, pictures) -> np.ndarray:
    """[photographs, pictures], by the function that training uses."""
    refs, found = ([[torch.from_numpy(part)[None] for part in one] for one in encoder.patches(some)]
                   for some in (photographs, pictures))  # fmt: skip
    return np.array([[float(share_seen(own, weights, one)) for one, _ in found] for own, weights in refs])


@pytest.mark.parametrize("way", [*WAYS, in_places(WAYS[0])], ids=lambda way: way.__qualname__)
def test_a_drawing_is_spoiled_by_degrees(way):
    drawing, other = drawn("fox", Style.FLAT, 46), drawn("owl", Style.FLAT, 46)

    def left(lost: float) -> float:
        return float(np.mean([
            share_left(drawing, way(drawing, other, lost, random.Random(at)), STRANGERS) for at in range(12)
        ]))  # fmt: skip

    little, more, most = left(0.05), left(0.4), left(0.95)
    assert left(0.0) > 0.99
    assert little > more > most


def test_what_two_drawings_differ_by_is_of_what_either_covers():
    plain = Image.new("RGBA", (32, 32))
    red, blue = plain.copy(), plain.copy()
    red.paste((255, 0, 0, 255), (8, 8, 24, 24))
    blue.paste((0, 0, 255, 255), (8, 8, 24, 24))
    assert differs(red, red) == 0
    # Two of four channels differ wholly over the square; each beside nothing differs by its colour and its cover.
    assert differs(red, blue) == pytest.approx(0.5, abs=0.01)
    assert differs(red, plain) == pytest.approx(0.5, abs=0.01)
    assert share_left(red, blue, 0.4) == 0 and share_left(red, blue, 1.0) == pytest.approx(0.5, abs=0.01)


def test_a_crossed_drawing_has_something_of_both():
    fox, owl = drawn("fox", Style.FLAT, 46), drawn("owl", Style.FLAT, 46)
    both = [crossed(fox, owl, random.Random(seed)) for seed in range(8)]
    assert all(differs(one, fox) < differs(owl, fox) for one in both)
    assert np.mean([differs(one, fox) for one in both]) > 0.1


def test_a_step_is_the_same_whenever_it_is_painted():
    settings = ReaderSettings(batch=8, seed=31)
    once, again, next_one = pairs(settings, 5), pairs(settings, 5), pairs(settings, 6)
    for name in ("whole", "spoiled", "left", "shown"):
        assert torch.equal(getattr(once, name), getattr(again, name)) and len(getattr(once, name)) == 4
    assert not torch.equal(once.whole, next_one.whole)


def test_what_is_left_is_spread_over_all_there_is():
    left = torch.cat([pairs(ReaderSettings(batch=32, seed=31), step).left for step in range(8)])
    low, middle, high = (float(some.float().mean()) for some in (left < 0.1, (left > 0.2) & (left < 0.8), left > 0.9))
    assert low > 0.03 and middle > 0.25 and high > 0.15 and float(left.min()) >= 0 and float(left.max()) == 1


def test_nothing_is_left_of_what_differs_as_strangers_do():
    drawings = [drawn(thing.name, Style.FLAT, 64) for thing in TRAINED]
    apart = [differs(one, other) for one, other in itertools.combinations(drawings, 2)]
    assert made_pairs.strangers(Style.FLAT) == pytest.approx(STRANGERS, abs=0.005)
    assert made_pairs.strangers(Style.FLAT) == pytest.approx(np.mean(apart), rel=0.05)  # of some, as of all


def test_the_drawings_that_a_lora_is_to_learn_are_never_painted(monkeypatch):
    shown = set()
    real = made_pairs.drawn
    monkeypatch.setattr(made_pairs, "drawn", lambda *asked: shown.add(asked[:2]) or real(*asked))
    made_pairs._drawing.cache_clear()
    made_pairs.strangers.cache_clear()
    for step in range(12):
        pairs(ReaderSettings(batch=16, seed=31), step)
    assert len(shown) > 50
    assert not {name for name, _ in shown} & {thing.name for thing in HELD_OUT}
    assert Style.NEON not in {style for _, style in shown}


def test_most_spoils_leave_something():
    drawing, other = drawn("dog", Style.FLAT, 64), drawn("owl", Style.FLAT, 64)
    left = [
        share_left(drawing, some_spoil(random.Random(seed))(drawing, other, random.Random(seed)), STRANGERS)
        for seed in range(200)
    ]
    assert min(left) < 0.1 and max(left) > 0.95
    assert 0.35 < float(np.median(left)) < 0.85


def test_training_goes_on_bit_by_bit(tmp_path):
    settings = ReaderSettings(steps=6, batch=8, seed=31)
    whole = train_perceptual(tmp_path / "whole.pt", settings, lambda *_, **__: None, lambda: False)
    asked = iter([False, False, True])
    train_perceptual(tmp_path / "cut.pt", settings, lambda *_, **__: None, lambda: next(asked))
    resumed = train_perceptual(tmp_path / "cut.pt", settings, lambda *_, **__: None, lambda: False)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("size", "count"), [
    ((64, 64), 16 * 16), ((86, 48), 22 * 12), ((48, 86), 12 * 22), ((200, 150), 19 * 14), ((48, 48), 12 * 12),
])  # fmt: skip
def test_a_picture_of_any_size_shows_what_a_square_one_shows(encoder: Perceptual, size, count):
    picture = paint(Scene("robot", Ground("snow")), size)
    [(patches, weights)] = encoder.patches([picture])
    assert patches.shape == (count, 64) and weights.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(np.linalg.norm(patches, axis=1), 1, atol=1e-5)
    square = paint(Scene("robot", Ground("plain", "blue")))
    other = paint(Scene("lion", Ground("plain", "blue")))
    own, strange = seen(encoder, [picture], [square, other])[0]
    assert own > 0.6 > 0.3 > strange


def test_what_is_seen_is_by_hand_the_weighed_mean_of_the_nearest():
    photograph = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    picture = torch.tensor([[[0.6, 0.8], [1.0, 0.0], [-1.0, 0.0]]])
    assert float(share_seen(photograph, torch.tensor([[0.25, 0.75]]), picture)) == pytest.approx(0.25 * 1 + 0.75 * 0.8)


def test_the_subject_counts_and_its_ground_does_not(encoder: Perceptual):
    for name in ("fox", "robot", "dog"):
        scene = Scene(name, Ground("checked", "purple"), place="left", size="small", seed=3)
        [(_, weights)] = encoder.patches([paint(scene)])
        [(left, top, side)] = object_boxes(scene, 64, 64)
        across, down = (np.arange(16) * 4 + 2 for _ in range(2))
        inside = ((across >= left - 4) & (across < left + side + 4))[None] & (
            (down >= top - 4) & (down < top + side + 4)
        )[:, None]
        assert inside.mean() < 0.4 and float(weights[inside.reshape(-1)].sum()) > 0.8


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_more_is_spoiled_the_less_is_seen_on_any_ground(encoder: Perceptual, way):
    """Drawings it never saw and others, each against whole ones on other grounds.

    A third of `doubled` and of `softened` takes little, and softness such as the base's own was not to count.
    """
    names = [thing.name for thing in (*HELD_OUT[:4], *TRAINED[:4])]
    alike = []
    for lost in (0.0, 0.3, 0.7):
        rows = []
        for name in names:
            whole = [painted(name, ground, at) for at, ground in enumerate(GROUNDS[:2])]
            spoil = Spoil(((way, lost),))
            pictures = [painted(name, ground, 7 + at, spoil) for at, ground in enumerate(GROUNDS)]
            rows.append(float(seen(encoder, whole, pictures).mean()))
        alike.append(float(np.mean(rows)))
    assert alike[0] > 0.8
    assert alike[0] > alike[1] + 0.005 and alike[1] > alike[2] + 0.03, alike


def test_another_object_is_far_whatever_its_ground(encoder: Perceptual):
    fox = [painted("fox", ground, at) for at, ground in enumerate(GROUNDS)]
    others = [painted(thing.name, GROUNDS[0], at) for at, thing in enumerate(TRAINED)]
    own = [painted("fox", GROUNDS[2], 50 + at) for at in range(6)]
    assert float(seen(encoder, fox, own).mean()) > 0.85
    assert float(seen(encoder, fox, others).mean()) < 0.35
