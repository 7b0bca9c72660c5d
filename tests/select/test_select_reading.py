"""Measuring painted pictures with the demo's encoder: one knob moves its measure and the others hardly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from painted_grids import CLASS, TRIGGER, Knobs, Photo, grid, photographs
from PIL import Image

from engine.select.cells import BASE, Cell, Measurements, Point
from engine.select.families import Family
from engine.select.fidelity import Anchors
from engine.select.prompts import PromptSet, prompt_set
from engine.select.readers import choose_readers
from engine.select.reading import PictureReader, measure
from engine.select.scores import Scores, evaluate

GOOD, HALF = Point(1), Point(2)
KNOBS = {"copying": "copying", "resists": "style", "deaf": "prompt", "bleeding": "bleed", "frozen": "diversity"}
"""Knob -> the part that it moves."""

TURNED = {knob: Point(3 + at) for at, knob in enumerate(KNOBS)}
# What a knob truly moves besides: a copied picture does not show what was asked for, and is as like as can be.
COUPLED = {"copying": {"prompt", "style", "diversity"}}


@pytest.fixture(scope="module")
def prompts() -> PromptSet:
    return prompt_set("demo")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    return photographs(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def measured(prompts: PromptSet, photos: list[Photo]) -> Measurements:
    """The base; a checkpoint that always draws the subject and does what it is told; half of one; one of each knob."""
    good = Knobs(identity=1)
    points = {GOOD: good, HALF: Knobs(identity=0.5)}
    points |= {point: replace(good, **{knob: 1.0 if knob == "frozen" else 0.5}) for knob, point in TURNED.items()}
    return measure(choose_readers("animal", demo=True), grid(prompts, points, photos), photos, prompts, TRIGGER, CLASS)


@pytest.fixture(scope="module")
def scores(measured: Measurements) -> Scores:
    return evaluate(measured, "animal")


def test_the_subject_is_told_from_its_class(scores: Scores):
    """Whole pictures would not: an encoder of scenes sees the ground first."""
    assert isinstance(scores.anchors, Anchors)
    assert scores.anchors.gap > 4 * scores.anchors.error
    good, half = (scores.fidelity.value[scores.index(point)] for point in (GOOD, HALF))
    assert scores.fidelity.value[0] == 0 and 85 < good < 115 and 0.35 * good < half < 0.65 * good


@pytest.mark.parametrize("knob", KNOBS)
def test_each_knob_moves_its_own_part_and_the_others_hardly(scores: Scores, knob: str):
    at, good = scores.index(TURNED[knob]), scores.index(GOOD)
    fell = {name: float(min(part[good], 100) - min(part[at], 100)) for name, part in scores.parts.items()}
    own = fell.pop(KNOBS[knob])
    assert own > 35
    for name, other in fell.items():
        if name not in COUPLED.get(knob, ()):
            assert abs(other) < 0.22 * own, (name, other, own)
    moved = scores.fidelity.value[at] - scores.fidelity.value[good]
    assert abs(moved) < 0.25 * own


def test_resisting_styles_is_seen_as_photographs_leaking(scores: Scores):
    assert scores.photo_leak[scores.index(TURNED["resists"])] > 25
    assert abs(scores.photo_leak[scores.index(GOOD)]) < 5


def test_training_pictures_given_as_outputs_are_faithful_and_found_out(prompts: PromptSet, photos: list[Photo]):
    held = [replace(photo, held_out=at in (2, 5)) for at, photo in enumerate(photos)]
    trained = [Image.open(one.path) for one in held if not one.held_out]
    base = grid(prompts, {}, held)
    shown = [cell for cell, _ in base if cell.family not in {Family.CLASS, Family.UNRELATED}]
    copied = [(replace(cell, point=GOOD), trained[at % len(trained)]) for at, cell in enumerate(shown)]
    rest = [(replace(cell, point=GOOD), image) for cell, image in base if cell not in set(shown)]
    readers = choose_readers("animal", demo=True)
    scores = evaluate(measure(readers, base + copied + rest, held, prompts, TRIGGER, CLASS), "animal")
    assert scores.fidelity.value[1] == pytest.approx(100, abs=8)
    assert scores.parts["copying"][1] == 0 and scores.hard_copies[1] == 1
    assert scores.flexibility.value[1] < 20


def test_the_base_as_a_checkpoint_and_one_file_under_two_names(prompts: PromptSet, photos: list[Photo]):
    few = prompts.first()
    points = {GOOD: Knobs(), HALF: Knobs(identity=1), Point(3): Knobs(identity=1)}
    scores = evaluate(
        measure(choose_readers("animal", demo=True), grid(few, points, photos), photos, few, TRIGGER, CLASS), "animal"
    )
    assert scores.fidelity.value[1] == 0 and scores.flexibility.value[1] == 100
    assert [part[1] for part in scores.parts.values()] == pytest.approx([100] * len(scores.parts), abs=1e-9)
    assert "nothing of this file took effect" in scores.broken[GOOD]
    assert scores.fidelity.value[2] == scores.fidelity.value[3]
    assert scores.flexibility.value[2] == scores.flexibility.value[3]
    assert np.array_equal(scores.fidelity.draws[:, 2], scores.fidelity.draws[:, 3])


def test_black_pictures_are_blank_and_missing_ones_are_missing(prompts: PromptSet, photos: list[Photo], tmp_path: Path):
    few = prompts.first()
    cells = grid(few, {GOOD: Knobs(identity=1), HALF: Knobs(identity=1)}, photos)
    broken = tmp_path / "torn.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    lost = next(cell for cell, _ in cells if cell.point == HALF)
    pictures = [
        (cell, Image.new("RGB", (64, 64)) if cell.point == GOOD else broken if cell == lost else image)
        for cell, image in cells
    ]
    measured = measure(choose_readers("animal", demo=True), pictures, photos, few, TRIGGER, CLASS)
    row = measured.cells.index(lost)
    assert all(np.isnan(array[row]).all() for array in measured.arrays().values())
    scores = evaluate(measured, "animal")
    assert "100% of its pictures are blank" in scores.broken[GOOD]
    assert scores.grid.missing == (lost,)


def test_batches_give_what_the_whole_gives_and_no_picture_is_embedded_twice(
    prompts: PromptSet, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
):
    few = prompts.first()
    cells = grid(few, {GOOD: Knobs(identity=0.5)}, photos)
    reader = PictureReader(choose_readers("animal", demo=True), photos, few, TRIGGER, CLASS)
    whole = reader.read([cell for cell, _ in cells], [image for _, image in cells])
    seen: list[str] = []
    for source, encoder in reader._encoders.items():
        for name in ("embed", "embed_patches"):
            if hasattr(encoder, name):
                monkeypatch.setattr(encoder, name, lambda images, said=f"{source.name} {name}": seen.append(said))
    assert {source.name for source in reader._encoders} == {"demo", "demo-perceptual"}
    again = reader.read([cell for cell, _ in cells[:5]], [image for _, image in cells[:5]])
    assert not seen
    for name, array in again.arrays().items():
        np.testing.assert_array_equal(array, whole.arrays()[name][:5])
    fresh = PictureReader(choose_readers("animal", demo=True), photos, few, TRIGGER, CLASS)
    assert fresh.key == reader.key
    part = fresh.read([cell for cell, _ in cells[5:9]], [image for _, image in cells[5:9]])
    for name, array in part.arrays().items():
        np.testing.assert_allclose(array, whole.arrays()[name][5:9], atol=1e-6)
    np.testing.assert_allclose(part.likeness.real, whole.likeness.real, atol=1e-6)


def test_another_caption_or_photograph_is_another_reading(prompts: PromptSet, photos: list[Photo]):
    readers = choose_readers("animal", demo=True)
    keys = {
        PictureReader(readers, some, prompts, TRIGGER, CLASS).key
        for some in (photos, photos[1:], [replace(photos[0], caption="a fox"), *photos[1:]],
                     [replace(photos[0], held_out=True), *photos[1:]])
    }  # fmt: skip
    keys.add(PictureReader(readers, photos, prompts, TRIGGER, "cat").key)
    assert len(keys) == 5


def test_photographs_that_training_left_out_are_the_yardstick(prompts: PromptSet, photos: list[Photo]):
    few = prompts.first()
    cells = grid(few, {GOOD: Knobs(identity=1)}, photos)
    held = [replace(photo, held_out=at in (2, 6)) for at, photo in enumerate(photos)]
    readers = choose_readers("animal", demo=True)
    measured = measure(readers, cells, held, few, TRIGGER, CLASS)
    assert measured.likeness.held_out and measured.likeness.real.shape == (8, 2)
    assert measured.likeness.to_refs.shape[1] == 2 and measured.copying.to_train.shape[1] == 8
    assert evaluate(measured, "animal").fidelity.value[1] > 60
    few_photos = measure(readers, cells[:3], held[:7], few, TRIGGER, CLASS)
    assert not few_photos.likeness.held_out and few_photos.likeness.real.shape == (7, 7)


def test_a_photograph_that_does_not_open_is_passed_over_and_named(
    prompts: PromptSet, photos: list[Photo], tmp_path: Path
):
    gone = Photo(tmp_path / "gone.jpg")
    reader = PictureReader(choose_readers("animal", demo=True), [gone, *photos[:3]], prompts, TRIGGER, CLASS)
    cell = Cell(BASE, "context-1", Family.CONTEXT, 1)
    measured = reader.read([cell], [Image.new("RGB", (64, 64), "red")])
    assert measured.likeness.to_refs.shape == (1, 3)
    assert len(reader.notes) == 1 and "gone.jpg" in reader.notes[0]
    nothing = PictureReader(choose_readers("animal", demo=True), [gone], prompts, TRIGGER, CLASS)
    alone = nothing.read([cell], [Image.new("RGB", (64, 64), "red")])
    assert alone.likeness is None and alone.copying is None and alone.following is not None


def test_photographs_are_measured_at_the_size_that_is_drawn_and_not_enlarged(prompts: PromptSet, tmp_path: Path):
    rng = np.random.default_rng(2)
    fine = Image.fromarray(rng.integers(0, 256, (256, 512, 3), np.uint8))
    fine.save(tmp_path / "large.png")
    fine.resize((60, 30)).save(tmp_path / "small.png")
    photos = [Photo(tmp_path / "large.png"), Photo(tmp_path / "small.png")]
    cell, drawn = Cell(BASE, "context-1", Family.CONTEXT, 1), fine.resize((90, 45), Image.Resampling.LANCZOS)
    reader = PictureReader(choose_readers("animal", demo=True), photos, prompts, TRIGGER, CLASS, native=64)
    measured = reader.read([cell], [drawn])
    assert measured.real_pixels.shape == (1, 4), "60x30 has less than 64x64 pixels"
    np.testing.assert_allclose(measured.real_pixels[0], measured.pixels[0], rtol=0.05)
    plain = PictureReader(choose_readers("animal", demo=True), photos, prompts, TRIGGER, CLASS)
    assert plain.read([cell], [drawn]).real_pixels is None and plain.key != reader.key


def test_nothing_opens(prompts: PromptSet, photos: list[Photo]):
    reader = PictureReader(choose_readers("animal", demo=True), photos[:3], prompts, TRIGGER, CLASS)
    measured = reader.read([Cell(BASE, "context-1", Family.CONTEXT, 1)], [None])
    assert all(np.isnan(array).all() for array in measured.arrays().values())
    assert set(measured.encoders) == {"likeness", "following", "styles", "looks", "copying"}
