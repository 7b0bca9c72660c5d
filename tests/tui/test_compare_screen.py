"""The mode *compare* under a pilot, at three sizes, over painted comparisons whose answer is known."""

from __future__ import annotations

import json
import shutil

import pytest
from pilots import holds, text_of, until
from recorded_run import RecordedRun

from engine.compare.report import read_report, report_path
from tui.app import LorasmithApp

pytestmark = pytest.mark.asyncio

SIZES = [(80, 24), (100, 30), (160, 50)]


def opened(run, size=(80, 24), **options):
    return LorasmithApp(run, look_seconds=0.05, **options).run_test(size=size)


def fits(pilot) -> bool:
    """Whether every widget that is shown lies within the screen."""
    screen = pilot.app.screen
    shown = [widget for widget in screen.walk_children() if widget.display and widget.size]
    return all(screen.region.contains_region(widget.region) for widget in shown)


def told(run) -> dict:
    return json.loads(report_path(run.compare).read_text("utf-8"))


def tell(run, **changes: object) -> None:
    """Writes the report with something else in it."""
    report_path(run.compare).write_text(json.dumps(told(run) | changes), encoding="utf-8")


def job_of(run) -> RecordedRun:
    """The comparison's own record, as an engine writes it."""
    recorded = RecordedRun(run)
    recorded.event("started", verb="compare", from_step=None)
    return recorded


@pytest.mark.parametrize("size", SIZES)
async def test_the_four_views_one_after_the_other(comparison_run, size):
    run = comparison_run()
    job_of(run).finish()
    async with opened(run, size) as pilot:
        text = await until(pilot, "fox-compare  comparison", "✓ finished", "Take epoch 4: clearly", "4 ← choice")
        assert "last, most photographic" in text and "(10)" in text and "○ ← base" in text
        assert "Epoch 4 is clearly the best balance" in text and fits(pilot)
        await pilot.press("2")
        text = await until(pilot, "▸2 Table", "▸● 4", "Epoch 4: choice")
        assert "balance chance fidelity flexib. prompt style varied own class" in text and fits(pilot)
        await pilot.press("3")
        await until(pilot, "▸3 Grid", "▸epoch 4 ●", "▀", "the base")
        assert fits(pilot)
        await pilot.press("enter")
        await until(pilot, "the base", "epoch 4, the choice", "(seed 1)")
        assert fits(pilot)
        await pilot.press("4")
        await until(pilot, "▸4 Vote", "There is nothing to vote on")
        await pilot.press("tab")
        await until(pilot, "▸1 Choice", "4 ← choice")
        assert fits(pilot)


async def test_a_sentence_shows_the_pictures_that_made_it(comparison_run):
    async with opened(comparison_run()) as pilot:
        await until(pilot, "Epoch 10, the last one and the likest")
        await pilot.press("down", "enter")
        text = await until(pilot, "Epoch 10, the last one", "1 of 14", "▸epoch 10", "▀")
        assert "the base" in text and "escape" not in text
        await pilot.press("right")
        await until(pilot, "2 of 14")
        await pilot.press("enter")  # large, in the grid
        await until(pilot, "▸3 Grid", "epoch 4, the choice", "▸ epoch 10")
        await pilot.press("1", "escape")
        await until(pilot, "4 ← choice")


async def test_the_sentences_scroll_with_the_cursor(comparison_run):
    async with opened(comparison_run()) as pilot:
        await until(pilot, "▸ Epoch 4 is clearly")
        await pilot.press("end")
        text = await until(pilot, "▸ Invented for a test.")
        assert "Epoch 4 is clearly" not in text


async def test_wide_screens_show_the_pictures_beside_the_words(comparison_run):
    async with opened(comparison_run(), (120, 36)) as pilot:
        await until(pilot, "4 ← choice", "1 of 4", "▀")
        await pilot.press("down")
        await until(pilot, "1 of 14", "epoch 10")
        assert fits(pilot)


async def test_the_dial_turns_at_once_and_is_kept(comparison_run):
    run = comparison_run()
    at = {one["lean"]: one["decision"]["choice"] for one in told(run)["dial"]}
    async with opened(run) as pilot:
        await until(pilot, "both count the same")
        await pilot.press("left_square_bracket", "left_square_bracket")
        text = await until(pilot, "likeness above all")
        assert f"Take epoch {at[0.5][0]}" in text
        await holds(pilot, lambda: read_report(run.compare).lean == 0.5, "the dial in the report")
        await pilot.press("left_square_bracket")  # there is nothing beyond
        await until(pilot, "likeness above all", f"Take epoch {at[0.5][0]}")
    async with opened(run) as pilot:
        await until(pilot, "likeness above all")


async def test_a_dial_that_cannot_be_kept_is_said(comparison_run):
    run = comparison_run()
    async with opened(run) as pilot:
        await until(pilot, "both count the same")
        (run.compare / "measured.npz").write_bytes(b"damaged")
        await pilot.press("right_square_bracket")
        await until(pilot, "rather more freedom", "measured.npz is damaged")


async def test_the_table_in_another_order(comparison_run):
    async with opened(comparison_run(), (80, 30)) as pilot:
        await pilot.press("2")
        await until(pilot, "▸● 4")
        await pilot.press("o", "o", "home")
        text = await until(pilot, "▸✗ 10")
        lines = text.splitlines()
        assert lines[5].split()[1] == "10" and lines[6].split()[1] == "9"  # the likest first


async def test_what_is_ruled_out_a_twin_or_broken_is_said_in_words(comparison_run):
    run = comparison_run()
    report = told(run)
    rows = {row["checkpoint"]: row for row in report["checkpoints"]}
    rows[6] |= {"twin_of": 5, "change": 0.02}
    rows[7] |= {"problem": "fox-000007.safetensors is cut off: copy it again."}
    tell(run, points=[p for p in report["points"] if p["checkpoint"] not in {6, 7}], checkpoints=list(rows.values()))
    async with opened(run, (80, 30)) as pilot:
        await pilot.press("2")
        await until(pilot, "twin of epoch 5: too alike to be drawn twice", "fox-000007.safetensors is cut off")
        await pilot.press("end")
        text = await until(pilot, "Epoch 10: last, most photographic")
        assert "Ruled out: copies training pictures; draws the subject for the class word" in text
        await pilot.press("up", "up", "up")
        await until(pilot, "Epoch 7", "! 7")
        assert "make this the LoRA" not in text_of(pilot)
        await pilot.press("up")
        await until(pilot, "Its weights hardly moved since epoch 5 (2 % of its length)")


async def test_the_grid_pages_in_both_directions_and_keeps_the_base(comparison_run):
    async with opened(comparison_run()) as pilot:
        await pilot.press("3")
        await until(pilot, "▸epoch 4 ●", "1 of 58")
        await pilot.press("end")
        text = await until(pilot, "▸epoch 10")
        assert "the base" in text and "epoch 4 ●" not in text
        await pilot.press("pagedown")
        await until(pilot, "3 of 58")
        await pilot.press("home", "pageup")
        await until(pilot, "▸the base", "1 of 58", "what everything is measured against")


async def test_a_picture_ends_where_it_ends(comparison_run):
    """Nothing beside a picture takes on its ground: between two of them, and behind the last, is the screen's own."""
    async with opened(comparison_run()) as pilot:
        await pilot.press("3")
        await until(pilot, "▸epoch 4 ●", "▀")
        lines = pilot.app.screen._compositor.render_strips()
        grounds = [column_ground(lines[9], column) for column in (13, 79)]
        assert grounds == [column_ground(lines[21], 40)] * 2 != [column_ground(lines[9], 5)] * 2


def column_ground(strip, column: int):
    """The background colour of one cell."""
    style = strip.crop(column, column + 1)._segments[0].style
    return style.bgcolor


async def test_large_pictures_step_by_step_and_the_high_res_fix(comparison_run):
    async with opened(comparison_run()) as pilot:
        await pilot.press("3")
        await until(pilot, "▸epoch 4 ●")
        await pilot.press("right", "right", "right", "enter")
        text = await until(pilot, "epoch 4, the choice", "▸ epoch 5", "fidelity 86")
        assert "both count" not in text  # the dial makes room
        await pilot.press("h")
        await until(pilot, "epoch 4, high-res")
        await pilot.press("enter")
        text = await until(pilot, "epoch 5")
        assert "the choice" not in text
        await pilot.press("escape", "escape")
        await until(pilot, "▸epoch 5", "both count the same")


async def test_pictures_that_are_gone_are_said_in_their_place(comparison_run):
    run = comparison_run()
    shutil.rmtree(run.compare / "pictures" / "005-w1")
    async with opened(run) as pilot:
        await pilot.press("3", "right", "right", "right")
        await until(pilot, "▸epoch 5", "no longer", "there")


async def test_the_measures_cannot_tell(comparison_run):
    run = comparison_run("undecided")
    async with opened(run) as pilot:
        text = " ".join((await until(pilot, "No choice: the measures cannot tell", "▀")).split())
        assert "This measure cannot tell your subject" in text and "look at the pictures" in text
        assert "make this the LoRA" not in text and "flexibility ]" not in text
        await pilot.press("4")
        await until(pilot, "since no choice could be made")
        await pilot.press("2", "end")
        await until(pilot, "Epoch 10", "make this the LoRA")  # a person may choose all the same


async def test_files_from_elsewhere_go_by_number_and_name(comparison_run):
    async with opened(comparison_run("from_elsewhere")) as pilot:
        await until(pilot, "Take fox-middle: clearly the best", "2 ← choice")
        await pilot.press("2")
        await until(pilot, "LoRA ", "● 2 fox-middle", "✗ 3 fox_hard_", "fox-middle: choice")


async def test_hostile_names_move_no_cursor(comparison_run):
    run = comparison_run()
    report = told(run)
    bad = "\x1b[2J\u202e猫" * 20
    checkpoints = [row | {"name": bad, "problem": bad} for row in report["checkpoints"]]
    prompts = [row | {"drawn": bad} for row in report["prompts"]]
    words = [{"text": bad, "cells": report["words"][0]["cells"]}]
    dial = [one | {"words": words} for one in report["dial"]]
    tell(run, name=bad, checkpoints=checkpoints, prompts=prompts, dial=dial, notes=[bad])
    async with opened(run) as pilot:
        seen = await until(pilot, "Take \\x1b[2J", "猫")
        for keys in (["enter"], ["2"], ["3"], ["enter"], ["4"]):
            await pilot.press(*keys)
            await pilot.pause(0.1)
            seen += text_of(pilot)
        assert "\x1b" not in seen and "\u202e" not in seen and fits(pilot)


async def test_one_checkpoint(comparison_run):
    run = comparison_run()
    report = told(run)

    def few(rows: list[dict]) -> list[dict]:
        return [row for row in rows if row["checkpoint"] in {0, 4} and row.get("weight", 1.0) in {0.0, 1.0}]

    four = [4, 1.0]
    decision = report["decision"] | {"front": [four], "equals": [four], "last": four, "likest": four}
    changed = {name: few(report[name]) for name in ("points", "checkpoints", "pictures")}
    tell(run, decision=decision, dial=[], **changed)
    async with opened(run) as pilot:
        await until(pilot, "1 LoRA", "choice, last, most photographic → 4")
        await pilot.press("3")
        await until(pilot, "▸epoch 4 ●")
        assert fits(pilot)


async def test_live_while_it_is_drawn(comparison_run):
    run = comparison_run("half_way")
    report = told(run)
    tell(run, state="drawing", points=[], words=[], decision=None, dial=[], weight=None, ask=[],
         pictures=[p for p in report["pictures"] if p["checkpoint"] == 0])  # fmt: skip
    job = job_of(run)
    job.event("stage", name="first pictures", done=0, total=400)
    with job.alive():
        async with opened(run) as pilot:
            text = await until(pilot, "▸ running: first pictures", "No choice yet", "Drawn last: the base", "▀")
            assert "It goes on when you leave (q); `lorasmith` comes back." in text and fits(pilot)
            for done in (20, 40, 60, 120):
                job.event("stage", name="first pictures", done=done, total=400)
            await until(pilot, "30 %", "120 of 400", "a second", "done ")
            report_path(run.compare).write_text(json.dumps(report | {"state": "drawing"}), encoding="utf-8")
            await until(pilot, "So far epoch 4", "4 ← choice")
            job.finish("stopped", "stopped after saving, as asked")
            tell(run, state="stopped")
    async with opened(run) as pilot:
        await until(pilot, "▪ stopped", "It was stopped; what is drawn is kept. w, then r goes on.", "So far epoch 4")
        await pilot.press("w")
        await until(pilot, "c compare", "r resume")
        await pilot.press("c")
        await until(pilot, "4 ← choice")


async def test_the_first_of_several_is_no_choice_yet(comparison_run):
    run = comparison_run("half_way")
    report = told(run)
    tell(run, points=[row for row in report["points"] if row["checkpoint"] in {0, 4}])
    async with opened(run) as pilot:
        await until(pilot, "So far only epoch 4 is measured")


async def test_a_comparison_that_has_just_begun_has_no_report_yet(own_home):
    from engine.compare.settings import CompareJob, job_text
    from engine.runs.folder import create_run

    job = job_of(create_run("fox-compare", job_text(CompareJob()), kind="compare"))
    with job.alive():
        async with opened(job.folder) as pilot:
            await until(pilot, "Nothing is drawn yet: the untouched base comes first.")
            for key in "1234":
                await pilot.press(key)
            assert "Nothing is drawn yet" in text_of(pilot)


@pytest.mark.parametrize(
    ("text", "said"),
    [('{"version": 1, "na', "cannot be read"), ("[]", "cannot be read"), ('{"version": 9}', "by a newer")],
    ids=["half", "list", "newer"],
)
async def test_a_report_that_cannot_be_read_is_said(comparison_run, text, said):
    run = comparison_run()
    whole = report_path(run.compare).read_text("utf-8")
    report_path(run.compare).write_text(text, encoding="utf-8")
    async with opened(run) as pilot:
        await until(pilot, said)
        for key in ("2", "3", "enter", "4", "m", "1"):
            await pilot.press(key)
        report_path(run.compare).write_text(whole, encoding="utf-8")
        await until(pilot, "4 ← choice")


async def test_a_folder_that_is_deleted_meanwhile(comparison_run):
    run = comparison_run()
    async with opened(run) as pilot:
        await until(pilot, "4 ← choice")
        shutil.rmtree(run.path)
        await until(pilot, "The folder of fox-compare was moved or deleted.")
        await pilot.press("3", "right", "enter")


async def test_in_ascii_nothing_else_is_shown(comparison_run):
    async with opened(comparison_run(), ascii_only=True) as pilot:
        text = await until(pilot, "4 < choice", "o--o--*--o--o")
        await pilot.press("2")
        text += await until(pilot, ">* 4")
        await pilot.press("3")
        text += await until(pilot, ">epoch 4 *", "|            |")
        assert text.isascii() and text.count("?") == text.count("? help")


async def test_without_pictures_their_names_are_shown(comparison_run):
    async with opened(comparison_run(), images="off") as pilot:
        await pilot.press("3")
        text = await until(pilot, ".png")
        assert "▀" not in text


async def test_resizing_at_any_moment(comparison_run):
    async with opened(comparison_run()) as pilot:
        for view in ("1", "2", "3"):
            await pilot.press(view)
            for size in ((60, 15), (120, 36), (20, 5), (200, 60), (80, 24)):
                await pilot.resize_terminal(*size)
                await until(pilot, "lorasmith needs"[: size[0]] if size[0] < 80 else "fox-compare")
                assert fits(pilot) or size[0] < 80
        await pilot.resize_terminal(70, 20)
        await until(pilot, "fox-compare. Take epoch 4")


async def test_help_tells_of_the_view_that_is_open(comparison_run):
    async with opened(comparison_run()) as pilot:
        await until(pilot, "4 ← choice")
        await pilot.press("question_mark")
        await until(pilot, "Each sentence rests on pictures", "escape closes this")
        await pilot.press("escape", "3", "f1")
        await until(pilot, "The same prompts and seeds for everyone")


async def test_the_list_of_everything_knows_the_views(comparison_run):
    async with opened(comparison_run()) as pilot:
        await until(pilot, "4 ← choice")
        await pilot.press("colon", *"table")
        await until(pilot, "Every epoch with its figures")
        await pilot.press("down", "enter")
        await until(pilot, "▸2 Table")


async def test_a_screen_at_rest_sends_nothing(comparison_run):
    run = comparison_run()
    async with opened(run) as pilot:
        for view in ("3", "2", "1"):
            await pilot.press(view)
        await until(pilot, "4 ← choice")
        await pilot.pause(0.3)
        painted = []
        pilot.app._display = lambda *_: painted.append(1)  # type: ignore[method-assign]
        await pilot.pause(0.5)
        assert painted == []
