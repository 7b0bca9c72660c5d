"""The wizard's words: tokens while one types, what the base draws, and the look-alike search with its question."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import wizard_steps
from painted_pictures import painted_folder
from pilots import holds, text_of, until
from recorded_run import RecordedRun

from engine.lookalike.consent import CONFIRMED
from engine.lookalike.jobs import words_job
from engine.lookalike.results import Figures, Match, MatchResult, WordResult, write_result
from engine.lookalike.settings import job_toml, read_job
from engine.runs.folder import RunFolder, create_run, list_runs
from tui.draft import Draft
from tui.steps import job_watch
from tui.steps.step import Step
from tui.steps.words import WordsScreen
from tui.steps.words_said import words_missing
from tui.steps.words_windows import Permission

pytestmark = pytest.mark.asyncio
SIZES = [(80, 24), (160, 50)]
FIGURES = Figures("ohwx", 12, 12, 0.61, 1.0, 0.02, 0.4)


opened = partial(wizard_steps.opened, steps=[Step("words", "Words", words_missing, WordsScreen)])


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    return wizard_steps.painted_draft("animal", tmp_path / "bear", "dog", base="sdxl-1.0")


@pytest.mark.parametrize("size", SIZES)
async def test_both_encoders_tokens_and_the_judgement_follow_what_is_typed(draft, size):
    async with opened(draft, size=size) as (pilot, journey):
        text = await until(pilot, "1 token: ohwx (47,993)", "encoder 2  the same", "rare: one token")
        assert "l look-alike" in text.splitlines()[-1]
        await pilot.press("i", *["backspace"] * 4, *"man")
        await until(pilot, "1 token: man (786)", "common: an everyday word")  # as CLIP's own vocabulary numbers it
        await pilot.press(*["backspace"] * 3)
        await until(pilot, "! Give the animal a word to be called by")
        await pilot.press(*"sks", "escape")
        await until(pilot, "1 token: sks (48,136)", "a rifle's name", "✓ n goes on")
        assert journey.draft.plan.subject.instance_prompt == "sks"


async def test_class_words_are_offered_by_kind_with_what_each_brings(draft):
    async with opened(draft) as (pilot, journey):
        await until(pilot, "Class words for animal", "● dog")
        await pilot.press("down", "enter")
        await until(pilot, "● cat")
        assert journey.draft.plan.subject.class_prompt == "cat"


def drawn(draft: Draft) -> RunFolder:
    """A finished drawing of the draft's word, as the engine leaves it."""
    run = create_run("bear-words", job_toml(words_job(draft.plan)), kind="words")
    run.samples.mkdir(exist_ok=True)
    for file in painted_folder(run.path / "drawn", 8, first=9).iterdir():
        file.rename(run.samples / file.name)
    names = tuple(f"samples/{at}.png" for at in range(8))
    write_result(run, WordResult(
        "ohwx", "dog", "animal", "rare", "Rare: the base draws nothing of its own for ohwx.", "a reader", FIGURES, None,
        0.4, 0.3, (FIGURES,), names, names[0],
    ))  # fmt: skip
    record = RecordedRun(run)
    record.event("started", verb="words", pid=1)
    record.event("finished", outcome="ok")
    return run


async def test_what_the_base_draws_for_a_word_is_shown_and_not_drawn_twice(draft):
    run = drawn(draft)
    async with opened(draft) as (pilot, journey):
        await until(pilot, "encoder 2")
        await pilot.press("d")
        await until(pilot, "Rare: the base draws nothing of its own for ohwx", "▀")
        assert journey.draft.jobs["words"] == run.name and len(list_runs()) == 1
        await pilot.press("c")
        await until(pilot, "Class words for animal")


async def test_another_base_draws_the_word_anew(draft, monkeypatch):
    run = drawn(draft)
    begun: list[str] = []
    monkeypatch.setattr(job_watch, "start_engine", lambda run, verb: begun.append(run.name))
    other = draft.with_job("words", run.name).with_plan({"base.model": "demo"})
    async with opened(other) as (pilot, _):
        await until(pilot, "encoder 2")
        await holds(pilot, lambda: pilot.app.screen.drawn is not None, "the old drawing is found")
        await pilot.press("d")
        await holds(pilot, lambda: begun, "the word is drawn by the base that is chosen now")
    assert begun != [run.name]
    assert read_job(list_runs()[0].job).base.model == "demo"


async def test_no_face_is_looked_at_before_yes_is_typed(draft, monkeypatch):
    begun: list[str] = []
    monkeypatch.setattr(job_watch, "start_engine", lambda run, verb: begun.append(verb))
    person = draft.with_plan({"subject.kind": "person", "subject.class_prompt": "woman", "base.model": "demo"})
    async with opened(person) as (pilot, _):
        await pilot.press("l")
        text = await until(pilot, "Do these pictures show you, or someone who has agreed", "It identifies nobody")
        assert "Type yes" in text and "You answer for both" in text and "escape leaves all" in text
        await pilot.press("enter")
        await until(pilot, "Nothing is looked at before you have typed yes")
        await pilot.press(*"no", "enter")
        await until(pilot, "Nothing is looked at before you have typed yes")
        await pilot.press("escape")
        await until(pilot, "Nothing was looked at and nothing drawn")
        assert list_runs() == [] and begun == []
        await pilot.press("l")
        await holds(pilot, lambda: isinstance(pilot.app.screen, Permission), "asked again")
        await pilot.press(*"yes", "enter")
        await holds(pilot, lambda: begun == ["bank"], "the search is begun")
        job = read_job(list_runs()[0].job)
        assert job.permission.startswith(CONFIRMED) and len(job.words) > 100


async def test_the_nearest_names_are_listed_and_one_is_taken_as_the_word(draft):
    run = create_run("bear-lookalike", 'kind = "bank"\n', kind="bank")
    folder = painted_folder(run.path / "drawn", 4, first=9)
    pictures = tuple(str(path) for path in sorted(folder.iterdir()))
    matches = (
        Match("bulldog", 0.71, 99.5, 4.0, replace(FIGURES, word="bulldog"), pictures),
        Match("corgi", 0.52, 91.0, 2.0, replace(FIGURES, word="corgi"), pictures),
    )
    write_result(run, MatchResult(
        "dog", "animal", True, "bulldog is the base's nearest look-alike.", "a reader", 5, 5, 30, 12, 2, 0.3, 0.19,
        matches, ("other",), None,
    ))  # fmt: skip
    record = RecordedRun(run)
    record.event("started", verb="bank", pid=1)
    record.event("finished", outcome="ok")
    async with opened(draft.with_job("bank", run.name)) as (pilot, journey):
        await holds(pilot, lambda: pilot.app.screen.matches is not None, "the answer is read")
        await pilot.press("l")
        await until(pilot, "bulldog is the base's nearest look-alike", "bulldog", "0.71", "99.5", "corgi", "▀")
        await pilot.press("enter")
        await holds(pilot, lambda: journey.draft.plan.subject.instance_prompt == "bulldog", "the name is taken")
        assert "Instance    bulldog" in text_of(pilot)


async def test_other_kinds_need_words_of_ones_own_and_mistakes_are_answered(draft, tmp_path):
    async with opened(draft) as (pilot, _):
        await pilot.press("l")
        await until(pilot, "Your base draws each word of a list")
        await pilot.press("enter")
        await until(pilot, "the list that travels with lorasmith holds people")
        await pilot.press(*"/no/list.txt", "enter")
        await until(pilot, "/no/list.txt cannot be read")
        pilot.app.screen.query_one("#names").value = "~nobody-of-that-name/list.txt"
        await pilot.press("enter")
        await until(pilot, "begins with the home folder of nobody here")


async def test_the_gravest_that_is_to_be_said_of_the_words_is_read_to_its_end(draft):
    async with opened(draft) as (pilot, _):
        pilot.app.screen.query_one("#instance").value = draft.plan.subject.class_prompt
        text = " ".join((await until(pilot, "says no more than the class prompt")).split())
        (remark,) = [one.sentence for one in pilot.app.screen.report.remarks if "says no more" in one.sentence]
        assert remark in text


async def test_a_base_that_cannot_be_read_is_one_sentence(draft, tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights")
    async with opened(draft.with_plan({"base.model": str(broken)})) as (pilot, _):
        await until(pilot, "is not a safetensors file")
        assert "Traceback" not in text_of(pilot)
