"""The report and deciding anew: what is written is read, votes and the dial change what they should, figures agree."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import comparison
import numpy as np
import pytest
from planted_grids import CURVE, Knobs, grid_of
from planted_loras import planted_lora

from engine.compare.again import decide_again, unvote, vote, vote_all, votes_of
from engine.compare.judging import LEANS, judged, parsed_point
from engine.compare.measuring import Measuring
from engine.compare.report import CheckpointRow, Report, read_report, report_of, report_path, report_text, write_report
from engine.compare.rows import joined, of_prompts, picked, without
from engine.errors import LorasmithError
from engine.runs.launch import engine_environment
from engine.select.cells import BASE, Point
from engine.select.decide import best_weight
from engine.select.families import Family
from engine.select.scores import evaluate
from engine.select.votes import Vote

HEAVY = ("torch", "diffusers", "transformers", "textual", "numpy")


def test_what_is_written_is_read(tmp_path):
    report = comparison.finished().report
    assert report_of(json.loads(report_text(report))) == report
    write_report(tmp_path, report)
    assert read_report(tmp_path) == report


def test_a_report_of_a_newer_version_or_in_pieces_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(LorasmithError, match="no comparison"):
        read_report(tmp_path)
    said = json.loads(report_text(Report("a")))
    report_path(tmp_path).write_text(json.dumps({**said, "something": "new"}))
    assert read_report(tmp_path) == Report("a"), "keys of later versions are passed over"
    report_path(tmp_path).write_text(json.dumps({**said, "version": 2}))
    with pytest.raises(LorasmithError, match="newer lorasmith"):
        read_report(tmp_path)
    report_path(tmp_path).write_text("{")
    with pytest.raises(LorasmithError, match="--again"):
        read_report(tmp_path)


def test_reading_a_report_and_finding_a_comparison_loads_nothing_heavy():
    code = (
        "import sys, engine.compare.report, engine.compare.find, engine.compare.settings, engine.compare.sources\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=engine_environment({}))
    assert done.stdout.strip() == "[]", done.stderr


def test_the_planted_best_is_chosen_and_every_point_has_a_row():
    report = comparison.finished().report
    assert report.choice == (comparison.BEST, 1.0) and report.decision.last == (10, 1.0)
    assert {row.at for row in report.points} == {(row.checkpoint, row.weight) for row in report.pictures}
    assert [one.lean for one in report.dial] == list(LEANS)
    assert all(row.balance is not None for row in report.points if row.at != (0, 0.0))
    assert report.hires is not None and "high-res fix" in report.hires.sentence


def test_a_checkpoint_that_was_given_up_keeps_the_figures_of_its_first_pictures():
    made = comparison.finished()
    figures = {row.at: row for row in made.report.points}
    early = {row.name for row in made.report.prompts if row.first}
    from engine.compare.again import measurements

    measured = measurements(made.folder, made.report)
    scores = evaluate(of_prompts(measured, early), "animal", points=[Point(8), Point(9), Point(10)])
    at = scores.index(Point(9))
    assert figures[9, 1.0].fidelity == pytest.approx(float(scores.fidelity.value[at]))


def test_another_weight_stands_beside_weight_1_by_its_difference_on_their_own_prompts():
    made = comparison.finished()
    from engine.compare.again import measurements

    measured = measurements(made.folder, made.report)
    early = {row.name for row in made.report.prompts if row.first}
    own = [point for point in measured.points if point.checkpoint == 4]
    scores = evaluate(of_prompts(measured, early), "animal", points=own)
    apart = scores.fidelity.value[scores.index(Point(4, 0.6))] - scores.fidelity.value[scores.index(Point(4))]
    rows = {row.at: row for row in made.report.points}
    assert rows[4, 0.6].fidelity - rows[4, 1.0].fidelity == pytest.approx(apart)


def test_the_dial_leans_and_stays_where_it_was_left():
    made = comparison.too_close()
    towards = {lean: decide_again(made.folder, lean).choice[0] for lean in (0.5, 2.0)}
    assert towards[0.5] >= towards[2.0]
    assert made.report.lean == 2.0 and decide_again(made.folder).lean == 2.0
    with pytest.raises(LorasmithError, match="0.1"):
        decide_again(made.folder, 50)


def test_votes_settle_what_the_figures_cannot():
    made = comparison.too_close()
    rivals = [at for at in made.report.decision.equals if at != made.report.choice]
    favourite = Point(*rivals[-1])
    for other in made.report.decision.equals:
        if Point(*other) != favourite:
            for _ in range(4):
                report = vote(made.folder, favourite, Point(*other), "left")
    assert report.decision.best == rivals[-1] and report.votes == report.decision.votes > 0
    assert "votes are counted in" in report.words[0].text


def test_votes_are_read_as_the_page_writes_them():
    assert votes_of("4>5 6=4@0.8 3<2") == [
        Vote(Point(4), Point(5), Point(4)), Vote(Point(6), Point(4, 0.8), None), Vote(Point(3), Point(2), Point(2)),
    ]  # fmt: skip
    for wrong in ("", "4", "4>4", "x>3", "4>nan@1", "0>3"):
        with pytest.raises(LorasmithError):
            votes_of(wrong)
    assert parsed_point("4@0.8") == Point(4, 0.8)


def test_a_vote_on_what_was_not_drawn_is_refused():
    made = comparison.too_close()
    with pytest.raises(LorasmithError, match="no pictures of checkpoint 77"):
        vote_all(made.folder, [Vote(Point(4), Point(77), None)])
    assert made.report.votes == 0


def test_the_engine_decides_anew_without_torch_and_prints_the_report():
    made = comparison.too_close()
    command = [sys.executable, "-P", "-X", "importtime", "-m", "engine.compare", "vote", str(made.run.path), "4", "6",
               "right", "--json"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=engine_environment({}))
    assert done.returncode == 0, done.stderr
    assert report_of(json.loads(done.stdout)) == made.report and made.report.votes == 1
    assert not [line for line in done.stderr.splitlines() if line.split("|")[-1].strip() in ("torch", "diffusers")]
    refused = subprocess.run(
        [sys.executable, "-P", "-m", "engine.compare", "vote", str(made.folder), "4", "x", "left"],
        capture_output=True, text=True, env=engine_environment({}),
    )  # fmt: skip
    assert refused.returncode == 1 and "'x' is no point" in refused.stderr


def test_two_windows_lose_no_vote_and_take_back_their_own():
    made = comparison.too_close()
    say = [sys.executable, "-P", "-m", "engine.compare"]
    votes = [[*say, "vote", str(made.folder), "4", "6", side, "--name", name]
             for side, name in (("left", "a"), ("right", "b"), ("left", "c"), ("same", "d"))]  # fmt: skip
    for commands in (votes, [[*say, "unvote", str(made.folder), "--name", name] for name in "abc"]):
        begun = [subprocess.Popen(one, stdout=subprocess.DEVNULL, env=engine_environment({})) for one in commands]
        assert [one.wait() for one in begun] == [0] * len(commands)
        assert made.report.votes == (4 if commands is votes else 1)
    taken, report = unvote(made.folder)
    assert taken == Vote(Point(4), Point(6), None) and report.votes == 0
    with pytest.raises(LorasmithError, match="No vote counts in"):
        unvote(made.folder)


def test_one_checkpoint_is_held_against_the_base_alone():
    report = comparison.from_elsewhere().report
    measured = grid_of({Point(1): CURVE[Point(4)]})
    prompts = tuple(replace(row, name=name) for row, name in zip(report.prompts, {c.prompt for c in measured.cells},
                                                                  strict=False))  # fmt: skip
    alone = judged(replace(report, prompts=prompts, checkpoints=report.checkpoints[:1]), measured)
    assert alone.words[0].text.startswith("One checkpoint is measured: against the untouched base, fox-soft reaches")


def test_one_checkpoint_that_bleeds_is_shown_as_it_is_weighed():
    made = comparison.finished()
    own = replace(CURVE[Point(4)], bleeds=0.95)
    half = replace(CURVE[Point(2)], bleeds=0.6)
    prompts = {row.name: Family(row.family) for row in made.report.prompts}
    measured = grid_of({Point(4): own, Point(4, 0.6): half}, prompts=prompts)
    one = replace(made.report, checkpoints=tuple(row for row in made.report.checkpoints if row.checkpoint == 4))
    alone = judged(one, measured)
    assert alone.decision.relaxed == ("bleeding",)
    for row in alone.points:
        if row.checkpoint:
            balance = 2 * row.fidelity * row.flexibility / (row.fidelity + row.flexibility)
            assert row.balance == pytest.approx(balance, abs=1e-6), "the figures that are shown make the balance"
    assert f"flexibility {alone.point((4, 1.0)).flexibility:.0f}" in alone.words[0].text
    tested = judged(replace(one, dose=4), measured)
    assert tested.point((4, 1.0)).flexibility < alone.point((4, 1.0)).flexibility, "there the class word is the dose"


def test_of_loras_from_anywhere_none_is_the_earlier():
    made = comparison.from_elsewhere()
    prompts = {row.name: Family(row.family) for row in made.report.prompts}
    worse = replace(CURVE[Point(4)], likeness=CURVE[Point(4)].likeness - 0.004)
    measured = grid_of({Point(1): worse, Point(2): CURVE[Point(4)], Point(3): CURVE[Point(6)]}, prompts=prompts)
    files, epochs = judged(made.report, measured), judged(replace(made.report, checkpoints=tuple(
        replace(row, name=f"epoch {row.checkpoint}") for row in made.report.checkpoints)), measured)  # fmt: skip
    assert epochs.decision.best == (2, 1.0) and epochs.decision.choice == (1, 1.0)
    assert "earliest" in epochs.words[0].text
    assert files.decision.best == (2, 1.0) == files.decision.choice
    assert "fox-middle is probably the best" in files.words[0].text
    assert "earliest" not in " ".join(one.text for one in files.words)


def test_no_weight_is_ruled_out_by_a_gate_that_weight_1_fails_too():
    knobs = CURVE[Point(6)]
    bleeding = {Point(1): replace(knobs, bleeds=0.8), Point(1, 0.6): replace(CURVE[Point(4)], bleeds=0.6)}
    scores = evaluate(grid_of(bleeding), "animal")
    assert best_weight(scores, 1) == Point(1, 0.6)


def test_rows_are_cut_and_put_together_again():
    measured = grid_of({Point(1): CURVE[Point(1)]})
    half = len(measured.cells) // 2
    whole = joined(picked(measured, range(half)), picked(measured, range(half, len(measured.cells))))
    assert whole.cells == measured.cells
    for name, array in measured.arrays().items():
        assert np.array_equal(whole.arrays()[name], array), name
    assert without(measured, set(measured.cells)) is None
    of_base = {cell for cell in measured.cells if cell.point == BASE}
    assert {cell.point for cell in without(measured, of_base).cells} == {Point(1)}


class CountingReader:
    """Gives planted rows and counts what it was asked."""

    key, notes = "planted", ()

    def __init__(self, measured) -> None:
        self.measured, self.read_cells = measured, []

    def read(self, cells, pictures):
        self.read_cells += cells
        return picked(self.measured, [self.measured.cells.index(cell) for cell in cells])


@pytest.fixture
def shots():
    from engine.compare.grid import Shot
    from engine.draw.order import Order

    prompts = {"identity-1": Family.IDENTITY, "context-1": Family.CONTEXT}
    measured = grid_of({Point(1): CURVE[Point(1)]}, prompts=prompts)
    return measured, [Shot(cell, Order("a", (8, 8), cell.seed)) for cell in measured.cells]


def test_no_picture_is_measured_twice_unless_it_or_its_reader_changed(tmp_path, shots):
    measured, wanted = shots
    keys = [f"{at}" for at in range(len(wanted))]
    first = CountingReader(measured)
    Measuring(tmp_path, "measured.npz", "set", lambda: first).look(wanted, keys)
    assert len(first.read_cells) == len(wanted)

    second = CountingReader(measured)
    again = Measuring(tmp_path, "measured.npz", "set", lambda: second)
    again.look(wanted, ["other", *keys[1:]])
    assert second.read_cells == [wanted[0].cell] and set(again.measured.cells) == set(measured.cells)

    third = CountingReader(measured)
    third.key = "another encoder"
    Measuring(tmp_path, "measured.npz", "set", lambda: third).look(wanted, keys)
    assert len(third.read_cells) == len(wanted)
    fourth = CountingReader(measured)
    Measuring(tmp_path, "measured.npz", "other prompts", lambda: fourth).look(wanted[:2], keys[:2])
    assert len(fourth.read_cells) == 2


def test_what_of_a_lora_is_left_out_is_said_and_one_that_does_not_fit_is_not_drawn(tiny_base, tmp_path):
    import safetensors.torch
    import torch

    from engine.base.load import open_base
    from engine.compare.presignal import fitted_rows
    from engine.plan import Network

    base = open_base(tiny_base)
    whole = planted_lora(base, tmp_path / "whole.safetensors", Network(rank=2))
    half, foreign = {"lora_unet_half.lora_down.weight": torch.ones(2, 8)}, tmp_path / "foreign.safetensors"
    partly = tmp_path / "partly.safetensors"
    safetensors.torch.save_file(safetensors.torch.load_file(whole) | half, partly)
    safetensors.torch.save_file(half | {"lora_unet_half.lora_up.weight": torch.ones(8, 2)}, foreign)
    paths = (whole, partly, foreign)
    rows, notes = fitted_rows([CheckpointRow(at, path.name, str(path)) for at, path in enumerate(paths, 1)], base)
    assert notes == ("lora_unet_half of partly.safetensors has only one of its two factors and is left out.",)
    assert [row.problem is None for row in rows] == [True, True, False]


def test_where_nothing_is_told_apart_eight_checkpoints_get_more_pictures_the_last_among_them():
    from engine.compare.job import _kept
    from engine.compare.settings import MOST_SURVIVORS, CompareJob
    from engine.select.decide import decide

    even = {Point(number): CURVE[Point(4)] for number in range(1, 11)}
    decision = decide(evaluate(grid_of(even, noise=0.2), "animal"))
    kept = _kept([decision], CompareJob())
    assert len(kept) == MOST_SURVIVORS and {decision.choice, decision.last, decision.likest} <= set(kept)
    assert len(_kept([decision], CompareJob(depth="thorough"))) > MOST_SURVIVORS


def test_where_all_bleed_the_high_res_fix_is_weighed_as_the_rows_are():
    made = comparison.finished()
    best = comparison.BEST
    curve = {Point(best): Knobs(0.8, bleeds=0.95), Point(10): Knobs(0.95, obeys=0.6, bleeds=1.0)}
    measured = grid_of(curve, prompts={row.name: Family(row.family) for row in made.report.prompts})
    report = judged(made.report, measured, hires=measured)
    assert report.decision.relaxed == ("bleeding",)
    assert report.hires.flexibility == pytest.approx(tuple(report.point((at, 1.0)).flexibility for at in (best, 10)))
    assert "on the first prompts" in report.hires.sentence
