"""Likeness by patches, faces, words and whole pictures: by hand, and with the offline encoders on real photographs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from painted_grids import CLASS, TRIGGER, Photo
from PIL import Image, ImageFilter, ImageOps

from engine.dataset.picture import open_small
from engine.select.cells import BASE, Cell, Point
from engine.select.families import Family
from engine.select.fidelity import Anchors
from engine.select.likeness import (
    SubjectPatches,
    WholePictures,
    compared_photographs,
    directions,
    mask_weights,
    without,
    yardstick,
)
from engine.select.looking import Seen
from engine.select.prompts import parse_prompt_set, prompt_set
from engine.select.readers import choose_readers
from engine.select.reading import PictureReader, measure
from engine.select.scores import evaluate

ONE = Point(1)


class Colours:
    """Patches are the colours of a picture's sixteen parts; the whole is their mean."""

    name = licence = "colours"
    size = 3

    def __init__(self) -> None:
        self.looked = 0

    def embed(self, images):
        return self.embed_patches(images)[0]

    def embed_patches(self, images):
        self.looked += len(images)
        rows = [np.asarray(image.resize((4, 4), Image.Resampling.BOX), np.float32).reshape(16, 3) for image in images]
        patches = np.stack([row / np.maximum(np.linalg.norm(row, axis=1, keepdims=True), 1e-6) for row in rows])
        whole = patches.mean(axis=1)
        return whole / np.linalg.norm(whole, axis=1, keepdims=True), patches.astype(np.float16)

    def patch_shares(self, masks):
        small = [mask.convert("L").resize((4, 4), Image.Resampling.BOX) for mask in masks]
        return np.stack([np.asarray(mask, np.float32).reshape(16) / 255 for mask in small])


def scene(subject: str, ground: str, box: tuple[int, int, int, int] = (16, 16, 48, 48)) -> Image.Image:
    image = Image.new("RGB", (64, 64), ground)
    image.paste(subject, box)
    return image


def test_a_mask_keeps_the_background_out_of_it():
    photograph = scene("red", "lime")
    mask = scene("white", "black").convert("L")
    elsewhere = scene("red", "blue", (0, 0, 32, 32))
    background_only = scene("blue", "lime")
    masked = SubjectPatches(Colours(), Seen([photograph]), mask_weights(Colours(), [photograph], [mask]))
    np.testing.assert_allclose(masked.to_photographs(Seen([elsewhere, background_only]))[:, 0], [1, 0], atol=1e-3)
    whole = SubjectPatches(Colours(), Seen([photograph]), mask_weights(Colours(), [photograph], [None]))
    # By hand: a quarter of the photograph's parts is red, three quarters are lime.
    np.testing.assert_allclose(whole.to_photographs(Seen([elsewhere, background_only]))[:, 0], [0.25, 0.75], atol=1e-3)


def test_patches_are_the_mean_of_the_nearest_by_hand():
    rng = np.random.default_rng(3)
    images = [Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)) for _ in range(5)]
    encoder = Colours()
    _, patches = encoder.embed_patches(images)
    masks = [scene("white", "black", (0, 0, 64, 32)).convert("L"), None, scene("white", "black").convert("L")]
    weights = mask_weights(encoder, images[:3], masks)
    found = SubjectPatches(encoder, Seen(images[:3]), weights).to_photographs(Seen(images[3:]))
    inside = [list(range(8)), list(range(16)), [5, 6, 9, 10]]
    for at, picture in enumerate(patches[3:].astype(np.float32)):
        for ref, kept in enumerate(inside):
            cosines = patches[ref].astype(np.float32)[kept] @ picture.T
            assert found[at, ref] == pytest.approx(cosines.max(axis=1).mean(), abs=2e-3)


def test_patches_count_by_their_weights_whatever_those_add_up_to_by_hand():
    class Given:
        name = licence = "given"
        size = 2
        rows: ClassVar = {  # patches of the photographs, of two counts, and of a picture
            1: [[1, 0], [0, 1], [0.6, 0.8]], 2: [[0, 1]], 3: [[0.8, 0.6], [1, 0]],
        }  # fmt: skip

        def embed(self, images):
            return self.embed_patches(images)[0]

        def embed_patches(self, images):
            found = [np.array(self.rows[image.width], np.float32) for image in images]
            return np.array([one.mean(axis=0) for one in found]), found

    first, second, picture = (Image.new("RGB", (width, 1)) for width in (1, 2, 3))
    weights = [np.array([0.6, 1.4, 0.0]), np.array([0.3])]
    found = SubjectPatches(Given(), Seen([first, second]), weights).to_photographs(Seen([picture]))
    # (1, 0) finds itself: 1; (0, 1) finds (0.8, 0.6): 0.6; the third patch has no weight.
    np.testing.assert_allclose(found, [[(0.6 * 1 + 1.4 * 0.6) / 2, 0.6]], atol=1e-6)


def test_directions_hold_what_texts_vary_and_are_taken_off():
    rng = np.random.default_rng(0)
    ground, subject = np.eye(8)[:3], np.eye(8)[5:]
    texts = rng.normal(size=(20, 3)) @ ground + subject[0]
    off = directions(texts)
    np.testing.assert_allclose(off @ off.T, np.eye(len(off)), atol=1e-6)
    assert directions(texts, 1.0).shape[0] >= 3 and np.abs(off[:, 3:]).max() < 1e-6
    row = (ground[0] * 5 + subject[1])[None]
    np.testing.assert_allclose(without(row, np.eye(8)[:3]), subject[1][None], atol=1e-6)
    assert directions(np.ones((4, 8))) is None


def test_every_encoder_looks_once():
    encoder = Colours()
    seen = Seen([scene("red", "lime"), scene("blue", "lime")])
    reader = WholePictures(encoder, seen)
    reader.to_photographs(seen)
    seen.vectors(encoder)
    assert encoder.looked == 2
    seen.patches(encoder)
    assert encoder.looked == 4, "patches were not asked for before"


def test_references_are_32_of_each_sort_and_held_out_ones_where_there_are_enough():
    held = [at % 10 == 0 for at in range(400)]
    chosen = compared_photographs(held)
    assert len(chosen) == 64 and sum(held[at] for at in chosen) == 32 and chosen[-1] > 380
    images = [scene("red", "lime", (0, 0, 8 + at, 8)) for at in range(10)]
    out = [at < 2 for at in range(10)]
    found = yardstick(WholePictures(Colours(), Seen(images)), Seen(images), out)
    assert found.held_out and found.real.shape == (8, 2) and found.references.tolist() == [0, 1]
    few = yardstick(WholePictures(Colours(), Seen(images[:7])), Seen(images[:7]), out[:7])
    assert not few.held_out and few.real.shape == (7, 7)


def test_a_caption_is_read_without_its_trigger():
    reader = PictureReader(choose_readers("animal", demo=True), [], prompt_set("demo"), "ohwx", "animal")
    assert reader._untriggered("an ohwx animal on a blue ground") == "an animal on a blue ground"
    assert reader._untriggered("a big ohwx, dog at night") == "a big, dog at night"
    assert reader._untriggered("a photo of an ohwx dog, ohwxs") == "a photo of a dog, ohwxs"


def test_a_style_is_told_from_the_contents(tmp_path: Path):
    """Half of the pictures in the style are half of the way, whatever they show."""
    from engine.lab.demo_sets import STYLE_SCENES, style_caption
    from engine.lab.paint import paint
    from engine.lab.scenes import Ground, Scene, Style

    photos = []
    for at, (one, (width, height)) in enumerate(STYLE_SCENES):
        path = tmp_path / f"{at}.png"
        paint(one, (width * 64 // 1600, height * 64 // 1600)).save(path)
        photos.append(Photo(path, style_caption(one)))
    contents = [("cat", "pink"), ("lion", "white"), ("bus", "green"), ("banana", "blue"), ("owl", "orange"),
                ("star", "purple"), ("crab", "yellow"), ("donut", "red")]  # fmt: skip
    text = 'version = 1\nkind = "style"\n[styles]\nphoto = "flat emoji"\nneon = "neon sign"\n'
    for thing, colour in contents:
        text += f'[[prompt]]\nfamily = "context"\ntext = "a {thing} on a {colour} ground, {{style}}"\n'
    prompts = parse_prompt_set(text, "here")
    pictures, neutral = [], []
    for point, share in ((BASE, 0.0), (ONE, 0.5), (Point(2), 1.0)):
        for at, (thing, colour) in enumerate(contents):
            style = Style.NEON if at / len(contents) < share else Style.FLAT
            image = paint(Scene(thing, Ground("plain", colour), style, seed=at)).filter(ImageFilter.GaussianBlur(0.5))
            pictures.append((Cell(point, f"context-{at + 1}", Family.CONTEXT, 1), image))
            if point == BASE:
                neutral.append(tmp_path / f"base-{at}.png")
                image.save(neutral[-1])
    readers = choose_readers("style", demo=True)
    scores = evaluate(measure(readers, pictures, photos, prompts, "zwv style", "", neutral), "style")
    assert scores.anchors.gap > 5 * scores.anchors.error
    assert scores.fidelity.value == pytest.approx([0, 50, 100], abs=15)


def cells(families: list[Family], point: Point = BASE) -> list[Cell]:
    return [Cell(point, f"{family.value}-{at}", family, 1) for at, family in enumerate(families)]


def test_one_dog_is_told_from_other_animals_and_its_copies_are_found(offline_models: Path, shared_data: Path):
    """EfficientNet-Lite0 and SSCD on DreamBooth's dog6; three other things stand in for what a base draws."""
    sets = shared_data / "dreambooth"
    photos = [Photo(path) for path in sorted((sets / "dog6").glob("*.jpg"))]
    others = [path for name in ("bear_plushie", "duck_toy", "teapot") for path in sorted((sets / name).glob("*.jpg"))]
    small = {path: open_small(path, 256).image for path in [*others[::2], *(photo.path for photo in photos)]}
    given = [str(offline_models / "efficientnet-lite0"), str(offline_models / "sscd")]
    readers = choose_readers("animal", demo=False, given=given)
    slots = [Family.IDENTITY, *[Family.CONTEXT] * 4]
    drawn = [ImageOps.mirror(small[photo.path]) for photo in photos]
    pictures = list(zip(cells(slots), list(small.values())[:5], strict=True))
    pictures += list(zip(cells(slots, ONE), drawn, strict=True))
    prompts = prompt_set("animal")
    measured = measure(readers, pictures, photos, prompts, TRIGGER, CLASS)
    assert measured.following is None and measured.styles is None
    scores = evaluate(measured, "animal")
    assert isinstance(scores.anchors, Anchors) and scores.anchors.gap > 5 * scores.anchors.error
    assert scores.fidelity.value[1] > 90
    assert scores.hard_copies[1] == 1 and scores.copies.hard == 0.75 and scores.hard_copies[0] == 0


def test_faces_are_compared_and_their_absence_counts_by_what_was_asked(offline_models: Path, tmp_path: Path):
    if not os.environ.get("CI"):
        pytest.importorskip("dlib", reason="needs the package dlib: pip install dlib-bin")
    people = {path.stem: path for path in (offline_models / "people").glob("*.jpg")}
    ground = tmp_path / "ground.png"
    Image.effect_noise((64, 64), 60).convert("RGB").save(ground)
    photos = [Photo(people["obama"]), Photo(people["obama2"]), Photo(ground)]
    readers = choose_readers("person", demo=False, given=[str(offline_models / "dlib")])
    assert readers.way == "faces"
    reader = PictureReader(readers, photos, prompt_set("person"), TRIGGER, "man")
    families = [Family.IDENTITY, Family.IDENTITY, Family.CONTEXT, Family.STYLE, Family.STYLE]
    shown = [people["obama3"], people["biden"], ground, ground, people["obama3"]]
    found = reader.read(cells(families), shown).likeness.to_refs
    assert found.shape == (5, 2) and any("In 1 of 3 photographs no face was found" in note for note in reader.notes)
    same, other, none, styled, drawn = found.mean(axis=1)
    assert same > 0.6 and other < 0.4 < same - 0.25 and none == 0
    assert np.isnan(styled) and drawn == same
    assert reader.style_faces == {BASE: (1, 2)}
