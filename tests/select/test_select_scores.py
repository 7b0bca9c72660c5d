"""Figures from planted measurements, whose answer is known."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from planted_grids import CURVE, HIGH, LOW, REFS, Knobs, grid_of

from engine.errors import LorasmithError
from engine.select.cells import BASE, Cell, Likeness, Measurements, Point, align
from engine.select.families import Family
from engine.select.fidelity import CannotTell, held_out_choice, neutral_adjusted, picture_scores, real_scores, top_mean
from engine.select.flexibility import flexible
from engine.select.quality import pixel_statistics
from engine.select.scores import evaluate

ONE = Point(1)
PARTS = {"follows": "prompt", "obeys": "style", "varies": "diversity", "copies": "copying", "bleeds": "bleed"}


def test_the_base_given_as_a_checkpoint_is_0_and_100():
    measured = grid_of({}, noise=0.1)
    scores = evaluate(_under_another_point(measured, BASE, ONE), "person")
    assert scores.fidelity.value.tolist() == [0, 0]
    assert scores.flexibility.value.tolist() == [100, 100]
    assert all(part.tolist() == [100, 100] for part in scores.parts.values())
    assert "nothing of this file took effect" in scores.broken[ONE]


def test_likeness_is_the_planted_share_of_the_way_to_the_photographs():
    knobs = {Point(k): Knobs(likeness=k / 10) for k in (2, 5, 10)}
    scores = evaluate(grid_of(knobs), "person")
    assert scores.fidelity.value == pytest.approx([0, 20, 50, 100])
    assert (scores.anchors.low, scores.anchors.high) == pytest.approx((LOW, HIGH))
    assert scores.flexibility.value == pytest.approx(100)


@pytest.mark.parametrize("knob", PARTS)
def test_each_knob_moves_its_own_part_and_no_other(knob):
    worse = (0.2, 0.4, 0.6, 0.8)
    settings = [value if knob in {"copies", "bleeds"} else 1 - value for value in worse]
    points = {Point(at + 1): replace(Knobs(likeness=0.5), **{knob: value}) for at, value in enumerate(settings)}
    scores = evaluate(grid_of(points), "person")
    moved = scores.parts[PARTS[knob]]
    assert (np.diff(moved[1:]) < -5).all() and moved[-1] < 60
    assert scores.fidelity.value[1:] == pytest.approx(50)
    for name, figures in scores.parts.items():
        if name != PARTS[knob]:
            assert figures == pytest.approx(100), name
    assert (np.diff(scores.flexibility.value[1:]) < -1).all()


def test_planted_parts_have_the_planted_size():
    knobs = Knobs(0.5, follows=0.7, obeys=0.6, copies=0.25, bleeds=0.3)
    scores = evaluate(grid_of({ONE: knobs}, seeds=4), "person")
    found = {name: float(part[1]) for name, part in scores.parts.items()}
    assert found["prompt"] == pytest.approx(70)
    assert found["style"] == pytest.approx(60)
    assert found["bleed"] == pytest.approx(70) and scores.bleed[1] == pytest.approx(30)
    assert found["copying"] == pytest.approx(75, abs=15) and scores.hard_copies[1] == pytest.approx(0.25, abs=0.15)
    assert scores.photo_leak[1] == pytest.approx(32)  # the base's 80 % of the wanted style, less 40 % of it


def test_flexibility_is_the_weighted_harmonic_mean_by_hand():
    parts = {"prompt": np.array([80.0]), "style": np.array([40.0]), "bleed": np.array([100.0])}
    weights = {"prompt": 0.5, "style": 0.25, "diversity": 0.15, "bleed": 0.1}
    # diversity is absent: (0.5 + 0.25 + 0.1) / (0.5/80 + 0.25/40 + 0.1/100)
    assert flexible(parts, weights)[0] == pytest.approx(0.85 / 0.0135)
    assert flexible({"prompt": np.array([0.0]), "style": np.array([100.0])}, {"prompt": 1, "style": 1})[0] < 10


def test_a_collapsed_part_is_not_averaged_away():
    scores = evaluate(grid_of({ONE: Knobs(0.9, obeys=0.05)}), "person")
    assert scores.flexibility.value[1] < 20
    assert np.mean([part[1] for part in scores.parts.values()]) > 80


def test_a_style_is_not_asked_for_other_styles():
    scores = evaluate(grid_of({ONE: Knobs(0.5, obeys=0.1)}), "style")
    assert "style" not in scores.parts and scores.flexibility.value[1] == pytest.approx(100)


def test_real_photographs_by_hand():
    refs = np.array([[1, 0.9, 0.8, 0.1], [0.9, 1, 0.5, 0.3], [0.8, 0.5, 1, 0.2], [0.1, 0.3, 0.2, 1]])
    likeness = Likeness("hand", np.array([[0.8, 0.6, 0.4, 0.2]]), refs)
    # Three others each, so the mean of all of them.
    assert real_scores(likeness) == pytest.approx([0.6, 1.7 / 3, 0.5, 0.2])
    # Leaving out 0.8, 0.6, 0.4 and 0.2 in turn: means of the other three.
    assert picture_scores(likeness)[0] == pytest.approx(np.mean([1.2 / 3, 1.4 / 3, 1.6 / 3, 1.8 / 3]))
    assert top_mean(np.array([1.0, 5.0, 3.0, 4.0])) == 4.0


def test_photographs_given_as_pictures_reach_100():
    rng = np.random.default_rng(0)
    photos = rng.normal(size=(12, 16)) * 0.5 + 1
    photos /= np.linalg.norm(photos, axis=1, keepdims=True)
    other = rng.normal(size=(12, 16))
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    held, train = photos[:3], photos[3:]
    cells = tuple(Cell(p, f"identity-{i}", Family.IDENTITY, 0) for p in (BASE, ONE) for i in range(9))
    pictures = np.vstack([other[:9], train])
    measured = Measurements(cells, Likeness("cosine", pictures @ held.T, train @ held.T, held_out=True))
    scores = evaluate(measured, "person")
    assert scores.fidelity.value == pytest.approx([0, 100])
    assert np.isnan(scores.flexibility.value).all() and any("No part" in note for note in scores.notes)


def test_a_measure_that_cannot_tell_gives_no_number():
    measured = grid_of(CURVE, noise=0.1)
    same = replace(measured.likeness, real=np.full((REFS, REFS), LOW + 0.001))
    scores = evaluate(replace(measured, likeness=same), "person")
    assert isinstance(scores.fidelity, CannotTell) and isinstance(scores.anchors, CannotTell)
    assert "cannot tell your subject" in scores.fidelity.reason and "look at the pictures" in scores.fidelity.reason
    assert "bleed" not in scores.parts and np.isfinite(scores.flexibility.value).all()


@pytest.mark.parametrize("photos", [0, 1])
def test_without_photographs_there_is_no_fidelity(photos):
    measured = grid_of(CURVE)
    likeness = Likeness("few", measured.likeness.to_refs[:, :1], np.ones((photos, 1)))
    assert isinstance(evaluate(replace(measured, likeness=likeness), "person").fidelity, CannotTell)


def test_pairs_stay_pairs_when_pictures_are_missing():
    measured = grid_of(CURVE)
    lost = next(i for i, c in enumerate(measured.cells) if c.point == Point(3) and c.prompt == "context-2")
    holes = measured.likeness.to_refs.copy()
    holes[lost] = np.nan
    grid = align(replace(measured, likeness=replace(measured.likeness, to_refs=holes)))
    assert [(cell.point, cell.prompt) for cell in grid.missing] == [(Point(3), "context-2")]
    assert len(grid.slots) == len(measured.cells) // 9 - 1
    assert "1 of 44 prompts and seeds are left out" in grid.notes[0] and "context-2, seed 0" in grid.notes[0]


def test_a_checkpoint_without_its_pictures_is_named_and_left_out():
    measured = grid_of(CURVE)
    gone = [i for i, c in enumerate(measured.cells) if c.point == Point(5) and i % 2]
    values = measured.likeness.to_refs.copy()
    values[gone] = np.nan
    scores = evaluate(replace(measured, likeness=replace(measured.likeness, to_refs=values)), "person")
    assert Point(5) not in scores.points and len(scores.grid.slots) == 44
    assert any("Checkpoint 5 has only" in note for note in scores.notes)


def test_nothing_measured_is_an_error_a_person_understands():
    measured = grid_of(CURVE)
    empty = np.full_like(measured.likeness.to_refs, np.nan)
    with pytest.raises(LorasmithError, match="The base has only 18 of 44 pictures"):
        evaluate(replace(measured, likeness=replace(measured.likeness, to_refs=empty)), "person")


def test_rows_must_match_the_cells():
    measured = grid_of({ONE: Knobs()})
    with pytest.raises(ValueError, match="a row for each"):
        replace(measured, pixels=measured.pixels[:-1])
    with pytest.raises(ValueError, match="measured twice"):
        replace(measured, cells=(measured.cells[0], *measured.cells[:-1]))


def test_prompts_that_the_base_cannot_draw_are_left_out_and_named():
    measured = grid_of({ONE: Knobs(0.5, follows=0.5)})
    weak = measured.following.prompts.index("context-1")
    texts = measured.following.to_texts.copy()
    texts[:, weak] = 0.1
    scores = evaluate(replace(measured, following=replace(measured.following, to_texts=texts)), "person")
    assert any("'prompt'" in note and "context-1" in note for note in scores.notes)


def test_real_pictures_of_one_subject_are_not_taken_for_copies():
    measured = grid_of({ONE: Knobs(0.9)})
    alike = np.full((REFS, REFS), 0.72) + np.random.default_rng(0).normal(0, 0.01, (REFS, REFS))
    near = np.where(measured.copying.to_train > 0, 0.69, 0)
    copying = replace(measured.copying, to_train=near, among_train=alike)
    scores = evaluate(replace(measured, copying=copying), "person")
    assert scores.copies.soft > 0.7 and scores.copied[1] == 0


def test_an_encoder_without_marks_of_its_own_gets_them_from_real_pictures():
    measured = grid_of({ONE: Knobs(0.9, copies=0.5)})
    copying = replace(measured.copying, floor=None, hard=None)
    scores = evaluate(replace(measured, copying=copying), "person")
    assert 0.2 <= scores.copies.soft < scores.copies.hard < 0.9
    assert scores.hard_copies[1] == pytest.approx(0.5, abs=0.2)


def test_one_seed_has_no_diversity_and_says_so():
    scores = evaluate(grid_of({ONE: Knobs(0.5)}, seeds=1), "person")
    assert "diversity" not in scores.parts and any("two seeds" in note for note in scores.notes)


def test_burnt_and_blank_pictures():
    measured = grid_of({ONE: Knobs(0.5), Point(2): Knobs(0.6)}, noise=0.05)
    second = np.array([cell.point == Point(2) for cell in measured.cells])
    burnt = measured.pixels.copy()
    burnt[second, 0] += 0.4
    scores = evaluate(replace(measured, pixels=burnt), "person")
    assert scores.quality.veto(1) is None and scores.quality.veto(2) == "its colours are burnt"
    # Photographs as colourful as that, or more so: it is the subject's, until it goes beyond them as far again.
    real = np.tile(burnt[second].mean(axis=0), (5, 1))
    assert evaluate(replace(measured, pixels=burnt, real_pixels=real), "person").quality.veto(2) is None
    real[:, 0] -= 0.25
    assert evaluate(replace(measured, pixels=burnt, real_pixels=real), "person").quality.veto(2) is not None
    pale = np.tile(measured.pixels.mean(axis=0) - [0.4, 0, 0, 0], (5, 1))
    assert evaluate(replace(measured, pixels=burnt, real_pixels=pale), "person").quality.veto(2) is not None
    black = measured.pixels.copy()
    black[second] = np.nan
    assert "100% of its pictures are blank" in evaluate(replace(measured, pixels=black), "person").broken[Point(2)]


def test_pixel_statistics_by_hand():
    assert np.isnan(pixel_statistics(np.zeros((8, 8, 3), np.uint8))).all()
    half = np.zeros((8, 8, 3), np.uint8)
    half[:, 4:] = 255
    saturation, clipping, contrast, _ = pixel_statistics(half)
    assert (saturation, clipping, contrast) == pytest.approx((0, 1, 0.5), abs=1e-6)
    red = half.copy()
    red[:, 4:] = (255, 0, 0)
    assert pixel_statistics(red)[0] == pytest.approx(0.5)
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
    smooth = np.repeat(np.linspace(0, 255, 32, dtype=np.uint8)[None, :, None], 32, 0).repeat(3, 2)
    assert pixel_statistics(noisy)[3] > pixel_statistics(smooth)[3] + 3


def test_what_is_common_to_all_pictures_is_taken_off_a_style():
    similarity, bank = np.full((2, 3), 0.8), np.full((2, 5), 0.7)
    refs = np.full((3, 5), 0.6)
    assert neutral_adjusted(similarity, bank, refs, nearest=3) == pytest.approx(1.6 - 0.7 - 0.6)


def test_held_out_photographs_are_no_twins():
    angles = np.array([0, 0.01, 0.8, 0.81, 2.2])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    chosen = held_out_choice(vectors @ vectors.T, 3)
    assert 4 in chosen and len({0, 1} & set(chosen)) == 1 and len({2, 3} & set(chosen)) == 1


def test_every_measure_can_be_absent():
    measured = grid_of(CURVE)
    for field in fields(Measurements):
        if field.name in {"cells", "broken"}:
            continue
        scores = evaluate(replace(measured, **{field.name: None}), "person")
        assert np.isfinite(scores.flexibility.value).all(), field.name


def _under_another_point(measured: Measurements, source: Point, target: Point) -> Measurements:
    rows = [i for i, cell in enumerate(measured.cells) if cell.point == source]
    twin = tuple(replace(measured.cells[i], point=target) for i in rows)

    def doubled(array):
        return np.vstack([array, array[rows]])

    return replace(
        measured,
        cells=(*measured.cells, *twin),
        likeness=replace(measured.likeness, to_refs=doubled(measured.likeness.to_refs)),
        following=replace(measured.following, to_texts=doubled(measured.following.to_texts)),
        styles=replace(measured.styles, shares=doubled(measured.styles.shares)),
        looks=replace(measured.looks, vectors=doubled(measured.looks.vectors)),
        copying=replace(measured.copying, to_train=doubled(measured.copying.to_train)),
        pixels=doubled(measured.pixels),
    )
