"""The wizard's class pictures: four ways with what each does, drawn ones as a job that is left and come back to."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import wizard_steps
from painted_pictures import painted_folder
from pilots import holds, text_of, until
from recorded_run import RecordedRun

from engine.draw.class_settings import KIND, class_setup, job_text, pictures_of
from engine.runs.folder import create_run, list_runs
from tui.draft import Draft
from tui.steps.class_pictures import ClassPicturesScreen
from tui.steps.class_pictures_ways import class_missing, way_of, with_folder, with_way
from tui.steps.outlook import look
from tui.steps.overview import blocking, warnings
from tui.steps.step import Step
from tui.steps.words import WordsScreen
from tui.steps.words_said import words_missing

pytestmark = pytest.mark.asyncio
SIZES = [(80, 24), (160, 50)]


STEPS = [
    Step("class", "Class", class_missing, ClassPicturesScreen), Step("words", "Words", words_missing, WordsScreen),
]  # fmt: skip
opened = partial(wizard_steps.opened, steps=STEPS)


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    return wizard_steps.painted_draft("object", tmp_path / "bear", "bear")


@pytest.mark.parametrize("size", SIZES)
async def test_each_way_says_what_it_does_and_choosing_one_is_in_the_plan(draft, size):
    async with opened(draft, size=size) as (pilot, journey):
        text = await until(pilot, "Advice: Prior prediction", "2.4 x as long  advised", "turns into yours within")
        assert "● none" in text and "n next" in text.splitlines()[-1]
        await pilot.press("down", "enter")
        await until(pilot, "● prior prediction", "held to what the base predicts")
        assert journey.draft.plan.regularization.prior_prediction
        await pilot.press("up", "space")
        await until(pilot, "● none")
        assert journey.draft.plan.regularization == draft.plan.regularization


async def test_drawn_ones_are_counted_and_explained_before_anything_is_drawn(draft):
    async with opened(draft) as (pilot, journey):
        await until(pilot, "advised")
        await pilot.press("down", "down", "enter")
        await until(pilot, "class pictures: 5 pictures with repeats make", "of 64x64", "prompts, the first: photo of",
                    "! d has the base draw them")  # fmt: skip
        await pilot.press("tab", *"no")
        await until(pilot, "no is no number of pictures")
        await pilot.press("backspace", "backspace", *"12", "escape")
        await until(pilot, "12 class pictures: 5 pictures")
        assert not journey.draft.plan.regularization.folders and list_runs() == []


def drawing(draft: Draft) -> RecordedRun:
    """A run of this draft's class pictures, as the engine has begun it."""
    run = create_run("bear-class", job_text(class_setup(draft.plan, count=12).job), kind=KIND)
    record = RecordedRun(run)
    record.event("started", verb=KIND, pid=1)
    pictures_of(run).mkdir()
    record.event("plan", pictures=12, found=5, base="demo")
    record.event("stage", name="drawing class pictures", done=5, total=12)
    record.event("step", step=6, steps=12)
    return record


async def test_a_drawing_under_way_is_come_back_to_and_does_not_hold_the_person_up(draft):
    record = drawing(draft)
    draft = with_way(draft.with_job(KIND, record.folder.name).with_typed("class.count", "12"), "drawn")
    assert way_of(draft) == "drawn"
    with record.alive():
        async with opened(draft) as (pilot, journey):
            record.event("step", step=7, steps=12)
            await until(pilot, "7 of 12", "They are still being drawn", "x stop")
            await pilot.press("n")
            await until(pilot, "2▸Words")
            await pilot.press("b")
            await until(pilot, "1▸Class", "of 12")
            await pilot.press("x")
            await holds(pilot, lambda: list(record.folder.control.glob("*stop*")), "the stop is asked for")
    asked = json.loads(next(record.folder.control.glob("*stop*")).read_text("utf-8"))
    assert asked["verb"] == "stop" and asked["now"] is False


async def test_drawn_pictures_are_the_plans_and_what_was_there_is_said(draft):
    record = drawing(draft)
    painted_folder(record.folder.path / "p", 3, first=9)
    for file in (record.folder.path / "p").iterdir():
        file.rename(pictures_of(record.folder) / file.name)
    record.event("finished", outcome="ok")
    async with opened(draft.with_job(KIND, record.folder.name).with_typed("class.count", "12")) as (pilot, journey):
        await until(pilot, "advised")
        await pilot.press("down", "down", "enter")
        await until(pilot, "12 pictures drawn", "✓ n goes on")
        assert [one.path for one in journey.draft.plan.regularization.folders] == [str(pictures_of(record.folder))]
        await until(pilot, "Advice: Prior prediction")
        await pilot.press("down", "enter")  # another way, and back: they are taken up again
        await pilot.press("escape", "up", "enter")
        await until(pilot, "● drawn by the base", "✓ n goes on")


async def test_a_folder_of_ones_own_is_held_against_the_plan_and_mistakes_are_answered(draft, tmp_path):
    others = painted_folder(tmp_path / "others", 4, first=9)
    async with opened(draft) as (pilot, journey):
        await until(pilot, "advised")
        await pilot.press("end", "enter")
        await until(pilot, "Say where the class pictures are")
        await pilot.press(*str(tmp_path / "nowhere"))
        await until(pilot, "There is no folder or .zip")
        field = pilot.app.screen.query_one("#folder")
        field.value = draft.folder
        await until(pilot, "These are the subject's own pictures")
        field.value = str(others)
        await until(pilot, "4 pictures, and the plan wants", "✓ n goes on")
        assert [one.path for one in journey.draft.plan.regularization.folders] == [str(others)]
        assert "4 have no caption" in text_of(pilot).replace("\n", " ") or "no caption" in text_of(pilot)


async def test_a_folder_without_a_usable_picture_is_said_here_and_in_the_review(draft, tmp_path):
    empty = tmp_path / "others"
    empty.mkdir()
    async with opened(draft) as (pilot, journey):
        await until(pilot, "advised")
        await pilot.press("end", "enter")
        await until(pilot, "Say where the class pictures are")
        pilot.app.screen.query_one("#folder").value = str(empty)
        await until(pilot, "usable picture: name another folder")
        named = journey.draft
        against = [line for line in warnings(named, named.looks.outlook) if line.step == "class"]
        assert "holds no usable picture" in blocking(against)
        painted_folder(empty / "cats", 4, first=9)
        named.looks.outlook = look(named, named.looks.outlook, None, lambda done, total: None, again=True)
        assert class_missing(named) == ""


async def test_a_folder_that_may_not_be_read_is_said_and_stays_out_of_the_plan(draft, tmp_path, monkeypatch):
    others = painted_folder(tmp_path / "others", 4, first=9)
    # Root, as whom tests may run, may read everything.
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != others)
    closed = with_folder(draft, str(others))
    assert "cannot be read: give this user the right" in class_missing(closed)
    assert closed.plan.regularization.folders == ()


async def test_a_home_folder_of_nobody_is_said_and_the_search_begins_above_it(draft):
    async with opened(draft) as (pilot, _):
        await until(pilot, "advised")
        await pilot.press("end", "enter")
        await until(pilot, "Say where the class pictures are")
        pilot.app.screen.query_one("#folder").value = "~nobody-of-that-name/cats"
        await until(pilot, "~nobody-of-that-name/cats cannot be looked at")
        await pilot.press("escape", "o")
        await until(pilot, "take this folder")


async def test_prior_prediction_without_a_class_word_says_so(draft):
    without = draft.with_plan({"subject.class_prompt": "", "regularization.prior_prediction": True})
    assert class_missing(without).startswith("Prior prediction keeps the class prompt, and there is none")
