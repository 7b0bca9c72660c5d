"""What is said of planted runs, and the pictures that are shown for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from planted_grids import CURVE, REFS, Knobs, grid_of

from engine.select.cells import BASE, Point
from engine.select.decide import best_weight, decide
from engine.select.families import Family
from engine.select.scores import evaluate
from engine.select.words import explain


def said(measured, kind="person", **options):
    scores = evaluate(measured, kind)
    return explain(scores, decide(scores), **options)


def test_a_usual_run_is_told_with_what_the_last_epoch_would_have_cost():
    sentences = said(grid_of(CURVE, noise=0.1))
    texts = [sentence.text for sentence in sentences]
    assert texts[0].startswith("Epoch 4 is probably the best balance (fidelity 8")
    cost = next(sentence for sentence in sentences if sentence.text.startswith("Epoch 8, the last one and the likest,"))
    for words in ("looks more like your photographs", "came out as photographs", "repeat a training picture",
                  "the class word alone draws your subject more"):  # fmt: skip
        assert words in cost.text
    assert {cell.point for cell in cost.cells} == {Point(8)}
    families = [cell.family for cell in cost.cells]
    assert Family.STYLE in families and Family.CLASS in families
    assert any(text.startswith("Epoch 8 has drawn training pictures again") for text in texts)


def test_pictures_are_those_that_made_the_sentence():
    measured = grid_of({Point(1): Knobs(0.7), Point(2): Knobs(0.72)}, noise=0.0)
    bad = next(i for i, c in enumerate(measured.cells) if c.point == Point(2) and c.prompt == "style-3" and c.seed == 1)
    shares = measured.styles.shares.copy()
    shares[bad] = [1, 0, 0, 0]
    sentences = said(replace(measured, styles=replace(measured.styles, shares=shares)))
    cost = next(sentence for sentence in sentences if sentence.text.startswith("Epoch 2, the last one"))
    assert (cost.cells[0].prompt, cost.cells[0].seed) == ("style-3", 1)


def test_too_close_names_the_rivals_and_takes_the_earliest():
    measured = grid_of({Point(k): Knobs(0.8, 0.9, 0.9, 0.9) for k in (1, 2, 3, 5)}, noise=0.0)
    sentences = said(measured)
    assert sentences[0].text.startswith("Too close to call between epochs 1 to 3 and 5: epoch 1 is the earliest")
    assert "is no stiffer than epoch 1" in sentences[1].text


def test_loras_from_elsewhere_keep_their_names():
    texts = [s.text for s in said(grid_of(CURVE, noise=0.1), names={4: "mine_v2\x1b[2J", 8: "theirs"})]
    assert texts[0].startswith("mine_v2\\x1b[2J is probably")
    assert any(text.startswith("theirs, the likest, looks more") for text in texts)
    assert not any("the last" in text for text in texts), "a list has no last epoch"


def test_what_protects_a_person_from_the_last_and_the_likest_has_its_pictures():
    flat = {Point(k): Knobs(0.8, 0.9, 0.9, 0.9) for k in (1, 2, 3)} | {Point(5): Knobs(0.8, 0.88, 0.88, 0.88)}
    last = next(sentence for sentence in said(grid_of(flat)) if sentence.text.startswith("Epoch 5, the last one,"))
    assert "is about as near to your photographs (fidelity 80 against 80), and is no stiffer" in last.text
    assert {cell.point for cell in last.cells} == {Point(5)} and len(last.cells) == 4


def test_a_lead_of_less_than_a_point_is_none():
    knobs = {Point(1): Knobs(0.80, 0.9, 0.9, 0.9), Point(2): Knobs(0.805, 0.9, 0.9, 0.9)}
    texts = [s.text for s in said(grid_of(knobs))]  # without noise even so little would be no chance
    assert texts[0].startswith("Take epoch 1 (") and "epoch 2 measured a little higher" in texts[0]
    assert "Epochs 1 and 2 cannot be told apart by such measures." in texts


def test_a_large_lead_is_clear():
    first = said(grid_of({Point(k): CURVE[Point(k)] for k in (2, 4, 6)}, noise=0.1))[0].text
    assert first.startswith("Epoch 4 is clearly the best balance (fidelity 8")


def test_a_lora_that_can_neither_is_not_told_to_train_longer():
    knobs = {Point(1): Knobs(0.1, 0.05, 0.05, 0.05), Point(2): Knobs(0.8, 0.9, 0.9, 0.9), Point(3): Knobs(0.1)}
    texts = [s.text for s in said(grid_of(knobs))]
    assert any(t.startswith("Epoch 1 is left out: it draws neither your subject nor what the prompts") for t in texts)
    assert any(t.startswith("Epoch 3 has not learnt your subject yet") for t in texts)


def test_one_lora_that_bleeds_is_not_called_every_epoch():
    texts = [s.text for s in said(grid_of({Point(1): Knobs(0.8, bleeds=0.9)}), names={1: "theirs"})]
    assert any(text.startswith("It bleeds: the class word alone") for text in texts)


def test_bleeding_everywhere_gives_the_remedy():
    knobs = {Point(1): Knobs(0.3), **{Point(k): Knobs(0.7 + k / 50, bleeds=0.9) for k in (2, 3)}}
    found = next(s for s in said(grid_of(knobs)) if "Every epoch that is trained far enough bleeds" in s.text)
    assert "class pictures" in found.text and {cell.family for cell in found.cells} == {Family.CLASS}


def test_a_trigger_that_was_never_learnt():
    texts = " ".join(s.text for s in said(grid_of({Point(1): Knobs(0.2), Point(2): Knobs(0.3)})))
    assert "Fidelity never passed 30" in texts and "Epoch 1 has not learnt your subject yet" in texts
    first, *others = (s.text for s in said(grid_of({Point(1): Knobs(0.1), Point(2): Knobs(0.2)})))
    assert first.startswith("No epoch has learnt your subject; epoch 2 comes nearest to it (fidelity 20")
    assert any(text.startswith("Train longer") for text in others) and "never passed" not in " ".join(others)


def test_a_measure_that_cannot_tell_says_no_number_of_fidelity():
    measured = grid_of(CURVE, noise=0.1)
    likeness = replace(measured.likeness, real=np.full((REFS, REFS), 0.31))
    first = said(replace(measured, likeness=likeness))[0]
    assert "cannot tell your subject" in first.text and {cell.point for cell in first.cells} == {BASE, Point(8)}


def test_the_weight_is_recommended_only_where_it_helps():
    knobs = {Point(1): Knobs(0.9, 0.6, 0.6, 0.6), Point(1, 0.8): Knobs(0.85, 0.95, 0.95, 0.95)}
    scores = evaluate(grid_of(knobs, noise=0.1), "person")
    texts = [s.text for s in explain(scores, decide(scores), weight=best_weight(scores, 1))]
    assert any(text.startswith("Use it at weight 0.8, which balances better than weight 1") for text in texts)
    flat = {Point(1, w): Knobs(0.8, 0.9, 0.9, 0.9) for w in (0.8, 1.0)}
    scores = evaluate(grid_of(flat, noise=0.1), "person")
    texts = [s.text for s in explain(scores, decide(scores), weight=best_weight(scores, 1))]
    assert any(text.startswith("Use it at weight 1: no other weight") for text in texts)


def test_broken_files_are_named_with_the_reason():
    measured = replace(grid_of(CURVE, noise=0.1), broken={Point(6): "0 of 722 modules matched this base."})
    texts = [s.text for s in said(measured)]
    assert "Epoch 6 is left out: 0 of 722 modules matched this base." in texts
