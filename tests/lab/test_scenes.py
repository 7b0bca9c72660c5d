"""The painter's pictures and captions tell the truth, and what is held out stays out."""

from __future__ import annotations

import random
import re
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from engine.lab.objects import HELD_OUT, OBJECTS, TRAINED
from engine.lab.paint import ground_picture, object_boxes, paint
from engine.lab.scenes import (
    COLOURS,
    GROUNDS,
    HELD_OUT_STYLE,
    OUTDOORS,
    Ground,
    Scene,
    Style,
    caption,
    is_held_out,
    prompt,
    sample_scene,
)


def scenes(count: int, seed: int = 1, **which: object) -> list[Scene]:
    rng = random.Random(seed)
    return [sample_scene(rng, **which) for _ in range(count)]


def test_the_same_scene_is_the_same_picture_and_the_same_seed_the_same_scene():
    for first, second in zip(scenes(40), scenes(40), strict=True):
        assert first == second
        assert paint(first).tobytes() == paint(second).tobytes()


def test_training_never_meets_a_held_out_object_style_or_combination():
    met = scenes(5000)
    assert {scene.object for scene in met} == {thing.name for thing in TRAINED}
    assert HELD_OUT_STYLE not in {scene.style for scene in met}
    assert not any(is_held_out(scene) for scene in met)
    assert len(HELD_OUT) >= 6 and len({scene.style for scene in met}) >= 5
    # and they exist: about a tenth of all combinations of trained objects and styles
    every = [
        Scene(thing.name, ground, style)
        for thing in TRAINED
        for ground in GROUNDS
        for style in list(Style)[:5]
    ]
    share = sum(map(is_held_out, every)) / len(every)
    assert 0.08 < share < 0.12


def test_asking_for_held_out_combinations_gives_only_them():
    assert all(is_held_out(scene) for scene in scenes(100, held_out=True))


@pytest.mark.parametrize("colour", COLOURS)
def test_the_corner_of_a_plain_ground_has_the_named_colour(colour: str):
    for style in (Style.FLAT, Style.RENDER, Style.SKETCH, Style.SILHOUETTE, Style.PIXEL):
        picture = paint(Scene("apple", Ground("plain", colour), style))
        assert picture.getpixel((1, 1)) == COLOURS[colour]


def test_every_ground_is_nearest_to_its_own_name_and_patterns_show_two_tones():
    for ground in GROUNDS:
        pixels = np.asarray(ground_picture(ground, 64, 64)).reshape(-1, 3).astype(int)
        if ground.kind in OUTDOORS:
            assert pixels.std(axis=0).max() > 15
            continue
        has_colour = (np.abs(pixels - COLOURS[ground.colour]).max(axis=1) <= 2).mean()
        assert has_colour == 1 if ground.kind == "plain" else 0.2 < has_colour < 0.8, ground


@pytest.mark.parametrize("size", [(64, 64), (80, 48), (48, 80), (300, 200)])
def test_objects_stand_where_the_scene_says_and_wholly_inside(size: tuple[int, int]):
    width, height = size
    for scene in scenes(300, seed=3):
        boxes = object_boxes(scene, width, height)
        assert len(boxes) == scene.count
        for left, top, side in boxes:
            assert left >= 0 and left + side <= width and top >= 0 and top + side <= height
        middle = sum(left + side / 2 for left, _, side in boxes) / len(boxes)
        if scene.place == "left" and width >= 64:
            assert middle < width / 2
        if scene.place == "right" and width >= 64:
            assert middle > width / 2
    small = object_boxes(Scene("apple", Ground("grass"), size="small"), 64, 64)[0]
    assert small[2] >= 26


def test_what_changes_against_the_bare_ground_lies_in_the_objects_boxes():
    for scene in scenes(60, seed=4):
        bare = np.asarray(ground_picture(scene.ground, 64, 64)).astype(int)
        differs = np.abs(np.asarray(paint(scene)).astype(int) - bare).max(axis=2) > 0
        for left, top, side in object_boxes(scene, 64, 64):
            assert differs[top : top + side, left : left + side].mean() > 0.05
            differs[top : top + side, left : left + side] = False
        assert not differs.any()


def test_a_small_picture_is_the_large_one_reduced():
    for scene in scenes(12, seed=5, styles=[Style.FLAT]):
        large = paint(scene, 256).resize((64, 64), Image.Resampling.BOX)
        gap = np.abs(np.asarray(large).astype(int) - np.asarray(paint(scene)).astype(int)).mean()
        assert gap < 8, scene


def test_styles_of_one_object_look_different_on_one_ground():
    pictures = [
        np.asarray(paint(Scene("dog", Ground("plain", "blue"), style))).astype(int) for style in Style
    ]
    for index, first in enumerate(pictures):
        for second in pictures[index + 1 :]:
            assert np.abs(first - second).mean() > 4


def test_a_prompt_names_object_ground_and_style():
    scene = Scene("apple", Ground("striped", "blue"), Style.SKETCH, count=2)
    assert prompt(scene) == "two apples on a blue striped ground, pencil sketch"
    assert (
        prompt(Scene("owl", Ground("snow"), size="small", place="left"))
        == "a small owl on the left in the snow"
    )
    assert prompt(Scene("owl", Ground("plain", "orange"))) == "an owl on an orange ground"


def test_captions_say_nothing_untrue_and_vary():
    rng = random.Random(6)
    varied = 0
    for scene in scenes(400, seed=6):
        said = {caption(scene, rng) for _ in range(8)}
        varied += len(said)
        for text in said:
            own = {scene.object, scene.thing.plural, scene.thing.kind, f"{scene.thing.kind}s"}
            assert any(word in text for word in own)
            for style in Style:
                assert style not in text or style is scene.style
            assert scene.style is Style.FLAT or scene.style in text
            if named := re.search(r"on an? ((?:\w+ )+)(?:ground|background)", text):
                assert set(named[1].split()) <= {scene.ground.colour, scene.ground.kind}
            for kind, words in OUTDOORS.items():
                assert words not in text or kind == scene.ground.kind
            for name, other in OBJECTS.items():
                assert name == scene.object or f" {name} " not in f" {text} " or name in str(other.kind)
    assert varied > 4 * 400


def test_a_colour_said_of_an_object_is_the_objects_own_and_only_in_coloured_styles():
    rng = random.Random(7)
    told = 0
    for scene in islice(scenes(4000, seed=7), 4000):
        text = caption(scene, rng)
        for colour in (*COLOURS, "golden"):
            if any(f"{colour} {noun}" in text for noun in (scene.object, scene.thing.plural)):
                assert colour == scene.thing.colour
                assert scene.style not in (Style.SKETCH, Style.SILHOUETTE)
                told += 1
    assert told > 50
