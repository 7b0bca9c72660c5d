"""Journeys through the wizard by keys alone, at three sizes; its review, and the list of drafts."""

from __future__ import annotations

import errno
import os

import pytest
from pilots import holds, text_of, until
from wizard_keys import all_in_sight, draft_of, open_draft, through_subject, type_folder, with_pictures

from engine.errors import RunError
from engine.plan_file import read_plan
from engine.runs.folder import list_runs
from tui.draft import Keeper, drafts_folder, list_drafts
from tui.steps import review

pytestmark = pytest.mark.asyncio


# Whole ways.


async def test_from_nothing_to_a_training_by_keys_alone(pilot, any_size, pictures, begun):
    await through_subject(pilot)
    await pilot.press("n")
    await until(pilot, "▸Pictures", "Say where the pictures are")
    all_in_sight(pilot)
    await type_folder(pilot, pictures)
    await until(pilot, "11 pictures trained", "8.png", "n goes on", "? help")
    all_in_sight(pilot)
    await pilot.press("n")
    await until(pilot, "▸Parameters", "● normal", "in 10 epochs")
    all_in_sight(pilot)
    await pilot.press("right")
    await until(pilot, "● strong")
    await holds(pilot, lambda: draft_of(pilot).plan.pictures.folders[0].repeats == 27, "the dial's repeats")
    await pilot.press("n")
    await until(pilot, "▸Review", "dog, an animal", "n starts the training")
    all_in_sight(pilot)
    await pilot.press("n")
    await holds(pilot, lambda: begun == ["dog"], "the start")
    await until(pilot, "not started")  # the monitor of a run whose engine this test has not started
    (run,) = list_runs()
    plan = read_plan(run.plan)
    assert (plan.output.name, plan.base.model, plan.subject.kind) == ("dog", "demo", "animal")
    assert plan.pictures.folders[0].path == str(pictures)
    (found,) = list_drafts()
    assert found.draft is not None and found.draft.started == ("dog",) and found.draft.plan == plan


async def test_real_photographs(pilot, shared_data, begun):
    await open_draft(pilot, with_pictures(shared_data / "dreambooth" / "dog6"), "▸Subject")
    await pilot.press("n")
    await until(pilot, "5 pictures trained", "1.6", "5 pictures: ten or more")
    await pilot.press("n")
    await until(pilot, "5 pictures x 40 x 10 epochs")


async def test_back_and_forward_lose_no_letter(pilot, pictures):
    await open_draft(pilot, with_pictures(pictures), "▸Subject")
    before = draft_of(pilot).plan
    await pilot.press("n")
    await until(pilot, "11 pictures trained")
    await pilot.press("b")
    await until(pilot, "▸Subject", "● animal")
    await pilot.press("2")
    await until(pilot, "▸Pictures", "11 pictures trained")
    assert draft_of(pilot).plan == before


async def test_leaving_the_first_step_comes_to_the_drafts_and_enter_goes_on(pilot, pictures):
    await open_draft(pilot, with_pictures(pictures), "▸Subject")
    await pilot.press("n")
    await until(pilot, "▸Pictures")
    await pilot.press("b")
    await until(pilot, "▸Subject")
    await pilot.press("b")
    await until(pilot, "new LoRA", "dog", "at 2 Pictures", "a new LoRA")
    await pilot.press("enter")
    await until(pilot, "▸Pictures", "11 pictures trained")


async def test_a_terminal_that_dies_has_saved_what_was_typed(pilot):
    """Nothing is done on the way out here: the file is looked at while the app goes on."""
    await pilot.press("n")
    await until(pilot, "▸Subject")
    await pilot.press(*"plush bear")
    await holds(pilot, lambda: [found.name for found in list_drafts()] == ["plush bear"], "the draft on the disk")


async def test_on_a_full_disk_leaving_asks_and_what_was_typed_is_saved_once_there_is_room(pilot, monkeypatch):
    def full(path, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    await pilot.press("n")
    await until(pilot, "▸Subject")
    with monkeypatch.context() as disk:
        disk.setattr("tui.draft.write_atomic", full)
        await pilot.press(*"bear")
        await until(pilot, "the draft cannot be saved in", "No space left on device")
        await pilot.press("ctrl+c")
        await until(pilot, "The draft cannot be saved in", "leave all the same", "is lost")
        await pilot.press("s")
        assert list_drafts() == []
    await pilot.press("ctrl+c")  # it is tried again, and there is nothing to ask any more
    assert [found.name for found in list_drafts()] == ["bear"]


async def test_what_could_not_be_saved_is_saved_without_a_further_key(pilot, monkeypatch):
    monkeypatch.setattr("tui.steps.wizard._SAVE_AGAIN_SECONDS", 0.05)
    await pilot.press("n")
    await until(pilot, "▸Subject")
    with monkeypatch.context() as disk:
        disk.setattr("tui.draft.write_atomic", lambda path, text: (_ for _ in ()).throw(OSError(28, "full")))
        await pilot.press(*"bear")
        await until(pilot, "the draft cannot be saved in")
    await holds(pilot, lambda: [found.name for found in list_drafts()] == ["bear"], "the draft on the disk")
    await holds(pilot, lambda: "cannot be saved" not in text_of(pilot), "no word of it any more")


# Review.


async def test_a_warning_leads_to_its_step(pilot, pictures):
    await open_draft(pilot, with_pictures(pictures).with_plan({"pictures.bucketing": False}), "▸Subject")
    await pilot.press("4")
    await until(pilot, "! 3  pictures.bucketing is off", " a checkpoint: ")  # all rows are there
    await pilot.press("end")
    await until(pilot, "▸ ! 3")
    await pilot.press("enter")
    await until(pilot, "▸Parameters", "● normal")


async def test_a_refusal_is_one_sentence_and_leaves_nothing_behind(pilot, pictures, monkeypatch):
    def refuse(run, verb):
        raise RunError("the engine does not want to: give it a rest")

    monkeypatch.setattr(review, "start_engine", refuse)
    await open_draft(pilot, with_pictures(pictures), "▸Subject")
    await pilot.press("4")
    await until(pilot, "n starts the training")
    await pilot.press("n")
    await until(pilot, "Not started. The engine does not want to: give it a rest", "▸Review")
    assert list_runs() == []
    assert list_drafts()[0].draft.started == ()


async def test_pictures_gone_since_are_seen_at_the_start(pilot, pictures, begun):
    await open_draft(pilot, with_pictures(pictures), "▸Subject")
    await pilot.press("4")
    await until(pilot, "n starts the training")
    away = pictures.rename(pictures.with_name("away"))
    await pilot.press("n")
    await until(pilot, "not exist: give the folder", "▸Review")
    assert begun == [] and list_runs() == []
    away.rename(pictures)  # the disk is there again: no step keeps saying that it is not
    await pilot.press("b")
    await until(pilot, "▸Parameters", "11 pictures x", "n goes on")


# The list of drafts.


async def test_a_broken_draft_is_answered_and_kept(pilot, pictures):
    Keeper()(with_pictures(pictures))
    path = drafts_folder() / "dog.toml"
    path.write_text(path.read_text().replace("rank = 8", "rank = = 8"))
    pilot.app.show_drafts()
    await until(pilot, "✗ cannot be read", "is not TOML")
    await pilot.press("enter")
    await until(pilot, "correct that line", "a new LoRA")
    assert "rank = = 8" in path.read_text()


async def test_a_draft_is_deleted_after_a_question_only(pilot, pictures):
    Keeper()(with_pictures(pictures))
    pilot.app.show_drafts()
    await until(pilot, "a new LoRA", "x delete")
    await pilot.press("x")
    await until(pilot, "Delete the draft dog?")
    await pilot.press("escape")
    assert len(list_drafts()) == 1
    await pilot.press("x")
    await until(pilot, "Delete the draft dog?")
    await pilot.press("y")
    await holds(pilot, lambda: list_drafts() == [], "the end of the draft")


async def test_help_speaks_of_the_field_and_lists_the_keys(pilot, pictures):
    await open_draft(pilot, with_pictures(pictures), "▸Subject")
    await pilot.press("question_mark")
    await until(pilot, "What is trained", "download", "escape closes this")
