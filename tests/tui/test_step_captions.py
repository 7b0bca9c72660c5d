"""The wizard's captions: read and mended by keys alone, nothing a person wrote lost or overwritten."""

from __future__ import annotations

import os
import statistics
import time
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import wizard_steps
from painted_pictures import painted_folder
from PIL import Image
from pilots import holds, text_of, until
from recorded_run import RecordedRun

from engine.caption.plan import CaptionPlan, caption_toml
from engine.caption.store import Change
from engine.runs.folder import create_run
from tui.draft import Draft, list_drafts, read_draft
from tui.steps.captions import CaptionsScreen, captions_missing
from tui.steps.captions_book import Outcome, typings
from tui.steps.step import Step
from tui.widgets.dialogs import Choice

pytestmark = pytest.mark.asyncio
SIZES = [(80, 24), (160, 50)]
TEXTS = ("bear on a red ground", "bear in the snow", "bear in the grass, pencil sketch", "", "bear in the snow")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five painted pictures; the fourth has no caption, the second and fifth say the same."""
    place = painted_folder(tmp_path / "bear", 5)
    for picture, text in zip(sorted(place.glob("*.png")), TEXTS, strict=True):
        if text:
            picture.with_suffix(".txt").write_text(text + "\n", encoding="utf-8")
        else:
            picture.with_suffix(".txt").unlink(missing_ok=True)
    return place


def draft_of(folder: Path) -> Draft:
    return wizard_steps.draft_of("object", folder, "bear")


@asynccontextmanager
async def opened(draft: Draft, size: tuple[int, int] = (80, 24)):
    steps = [Step("captions", "Captions", captions_missing, CaptionsScreen)]
    async with wizard_steps.opened(draft, steps, size) as (pilot, journey):
        await holds(pilot, lambda: pilot.app.screen.ready, "the captions are read")
        yield pilot, journey


def said(folder: Path) -> list[str]:
    """What the caption files say, in the pictures' order; "-" where there is none."""
    files = [picture.with_suffix(".txt") for picture in sorted(folder.glob("*.png"))]
    return [file.read_text("utf-8").strip() if file.exists() else "-" for file in files]


@pytest.mark.parametrize("size", SIZES)
async def test_picture_and_text_stand_beside_each_other_and_all_of_it_fits(folder, size):
    async with opened(draft_of(folder), size) as (pilot, _):
        text = await until(pilot, "5 pictures, 1 without a caption, 5 with a problem", "bear on a red ground", "▀")
        assert "1 of 5, 5 tokens" in text
        assert all(key in text for key in (" c write", " u undo", " q leave", " ? help"))
        await pilot.press("down")
        await until(pilot, "2 of 5", "Says the same as")


async def test_a_caption_is_mended_in_place_the_next_is_a_key_away_and_undo_takes_each_back(folder):
    async with opened(draft_of(folder)) as (pilot, journey):
        await pilot.press("enter", *", sad", "pagedown", *"!", "enter")
        await holds(pilot, lambda: said(folder)[:2] == [TEXTS[0] + ", sad", TEXTS[1] + "!"], "both are written")
        await holds(pilot, lambda: not typings(journey.draft), "nothing is still being typed")
        assert text_of(pilot).count("✓ n goes on") == 1
        await pilot.press("u")
        await until(pilot, "Taken back: the caption of 1.png")
        await pilot.press("u")
        await until(pilot, "Taken back: the caption of 0.png")
        assert said(folder) == [*TEXTS[:3], "-", TEXTS[4]]


async def test_what_is_typed_is_in_the_draft_and_back_in_its_field_after_the_terminal_went(folder):
    async with opened(draft_of(folder)) as (pilot, journey):
        await pilot.press("enter", *" now")
        await holds(pilot, lambda: list_drafts() and typings(list_drafts()[0].draft), "the draft has it")
        kept = read_draft(list_drafts()[0].path)
        assert said(folder)[0] == TEXTS[0]
        journey.draft = draft_of(folder)  # as if nothing of this terminal were left
        pilot.app.screen.entry = None
    async with opened(kept) as (pilot, journey):
        await until(pilot, "This was being typed when the terminal went", TEXTS[0] + " now")
        await pilot.press("enter")
        await holds(pilot, lambda: said(folder)[0] == TEXTS[0] + " now", "it is written")


async def test_leaving_in_the_middle_of_a_word_writes_it(folder):
    async with opened(draft_of(folder)) as (pilot, journey):
        await pilot.press("enter", *" now", "ctrl+c")
    assert said(folder)[0] == TEXTS[0] + " now"
    assert not typings(journey.draft)


async def test_what_somebody_else_wrote_meanwhile_stays_until_the_person_says_whose_words_hold(folder):
    async with opened(draft_of(folder)) as (pilot, _):
        await pilot.press("enter", *" mine")
        (folder / "0.txt").write_text("theirs", encoding="utf-8")
        await pilot.press("enter")
        await until(pilot, "was changed by somebody else while you typed", "theirs")
        assert said(folder)[0] == "theirs"
        await pilot.pause()  # the question is shown a moment before it takes keys
        await pilot.press("escape")
        await holds(pilot, lambda: getattr(pilot.app.focused, "id", "") == "text", "back in the field")
        assert " mine" in text_of(pilot)
        await pilot.press("enter")
        await holds(pilot, lambda: said(folder)[0] == TEXTS[0] + " mine", "the person's own")
        await pilot.press("u")
        await holds(pilot, lambda: said(folder)[0] == "theirs", "theirs is one undo away")


async def test_a_clash_that_comes_twice_is_asked_about_once(folder):
    """Leaving the field while it is being written finds the same clash again."""
    async with opened(draft_of(folder)) as (pilot, _):
        screen = pilot.app.screen
        await until(pilot, TEXTS[0])
        clash = Change(replace(screen.book.entries[0], text="theirs"), "mine")
        for _ in range(2):
            screen.post_message(screen.Read(Outcome(screen.book, clash=clash), quiet=True))
        await until(pilot, "was changed by somebody else while you typed")
        await pilot.pause()
        assert sum(isinstance(one, Choice) for one in pilot.app.screen_stack) == 1
        await pilot.press("k")
        await holds(pilot, lambda: pilot.app.screen is screen, "the captions again")
        screen.post_message(screen.Read(Outcome(screen.book, clash=clash), quiet=True))
        await until(pilot, "was changed by somebody else while you typed")


async def test_a_bulk_edit_shows_what_it_does_before_it_does_it_and_is_one_undo(folder):
    async with opened(draft_of(folder)) as (pilot, _):
        await pilot.press("r")
        await until(pilot, "5 of the 5 captions would change", "+ ohwx bear on a red ground")
        assert said(folder)[0] == TEXTS[0]
        await pilot.press("end", "tab", *[*["backspace"] * 9], *"bear (in", "tab", *"cat")
        await until(pilot, "is no regular expression")
        await pilot.press("shift+tab", *[*["backspace"] * 8], *"(red|snow)", "tab", *[*["backspace"] * 3], *"<\\1>")
        await until(pilot, "3 of the 5 captions would change", "+ bear on a <red> ground")
        await pilot.press("enter", "enter")
        await until(pilot, "3 captions written")
        assert said(folder) == ["bear on a <red> ground", "bear in the <snow>", *TEXTS[2:3], "-", said(folder)[1]]
        await pilot.press("u")
        await until(pilot, "Take back what fits '(red|snow)' replaced by")
        await pilot.press("t")
        await until(pilot, "Taken back: what fits", "3 captions are as")
        assert said(folder) == [*TEXTS[:3], "-", TEXTS[4]]


async def test_an_expression_without_end_is_given_up_while_the_screen_answers(folder):
    (folder / "0.txt").write_text("a" * 60, encoding="utf-8")
    async with opened(draft_of(folder)) as (pilot, _):
        await pilot.press("r", "end", "tab", *[*["backspace"] * 9], *"(a|aa)+$ ")
        await pilot.pause(0.3)  # it is being tried now
        await pilot.press(*"here")
        assert "(a|aa)+$ here" in text_of(pilot)
        await until(pilot, "takes longer than 1 s on these captions, so nothing is")
        assert said(folder)[0] == "a" * 60


async def test_problems_words_and_phrases_sift_the_list(folder):
    draft = draft_of(folder).with_plan({"subject.instance_prompt": ""})
    async with opened(draft) as (pilot, _):
        await until(pilot, "3 with a problem")
        await pilot.press("p")
        await until(pilot, "shown: 3 (problems)", "Says the same as 4.png")
        await pilot.press("p", "slash", *"pencil", "enter")
        await until(pilot, "shown: 1 ('pencil')")
        await pilot.press("slash", *["backspace"] * 6, "escape", "f")
        await until(pilot, "100 %", "bear", "What the 5 captions say most")
        await pilot.press("down", "enter")
        await until(pilot, "shown:")


async def test_long_and_foreign_captions_and_codes_are_shown_and_kept(folder):
    long = "很长的说明 " + "bear, " * 1_650
    (folder / "0.txt").write_text(long, encoding="utf-8")
    (folder / "1.txt").write_text("a \x1b[31mred\x1b]0;x\x07 bear", encoding="utf-8")
    async with opened(draft_of(folder)) as (pilot, _):
        await until(pilot, "很长的说明", "tokens, 75 are read")
        assert "\x1b" not in text_of(pilot)
        await pilot.press("enter", *"end", "enter")
        await holds(pilot, lambda: (folder / "0.txt").read_text("utf-8").endswith("bear,end"), "the end is written")
        assert (folder / "0.txt").read_text("utf-8").startswith("很长的说明 bear,")
        await pilot.press("down", "enter")
        pilot.app.screen.area.insert("\x1b[2J")
        await pilot.pause()
        assert "\x1b" not in text_of(pilot)


async def test_pictures_that_go_while_it_is_open_are_said_and_nothing_is_written_for_them(folder):
    async with opened(draft_of(folder)) as (pilot, _):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        await pilot.press("down", "enter", *" x", "enter")
        await until(pilot, "no longer there")
        assert not folder.exists()
        await pilot.press("escape", "g")
        await until(pilot, "✓ n goes on")
        sentence = "exist: give the folder that holds the pictures"  # wrapped wherever the path leaves it
        await holds(pilot, lambda: sentence in " ".join(text_of(pilot).split()), sentence)


async def test_a_running_captioner_is_followed_and_its_captions_appear(folder):
    run = create_run("captions-bear", caption_toml(CaptionPlan(str(folder), "scenes")), kind="caption")
    record = RecordedRun(run)
    with record.alive():
        record.start()
        record.event("stage", name="captioning", done=1, total=4)
        record.event("stage", name="captioning", done=2, total=4)
        record.event("stage", name="captioning", done=3, total=4)
        async with opened(draft_of(folder).with_job("caption", run.name)) as (pilot, _):
            await until(pilot, "The captioner: captioning 3 of 4", "a second", "c stop")
            (folder / "3.txt").write_text("ohwx bear, written by a model", encoding="utf-8")
            record.event("caption", picture="3.png", text="ohwx bear", done=4, total=4, rate=2.0, left=None)
            await until(pilot, "written by a model")


async def test_a_missing_captioner_is_answered_in_one_sentence(folder):
    async with opened(draft_of(folder)) as (pilot, _):
        await pilot.press("c")
        await until(pilot, "only the 1 picture without a caption", "'ohwx bear' goes in front")
        await pilot.press("tab", *"no/such/model", "enter")
        await until(pilot, "there is no captioner 'no/such/model'")
        pilot.app.screen.query_one("#other").value = "~nobody-of-that-name/model"
        await pilot.press("enter")
        await until(pilot, "begins with the home folder of nobody here")
        await pilot.press("escape")
        await holds(pilot, lambda: isinstance(pilot.app.screen, CaptionsScreen), "nothing was begun")


async def test_the_persons_editor_edits_and_undo_takes_it_back(folder, monkeypatch, tmp_path):
    script = tmp_path / "editor"
    script.write_text("#!/bin/sh\nprintf 'from outside\\n' > \"$1\"\n")
    script.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.delenv("VISUAL", raising=False)
    async with opened(draft_of(folder)) as (pilot, _):
        monkeypatch.setattr(type(pilot.app), "suspend", lambda self: nullcontext())
        await pilot.press("e")
        await holds(pilot, lambda: said(folder)[0] == "from outside", "the editor's text")
        monkeypatch.setenv("EDITOR", "no-such-editor")
        await pilot.press("e")
        await until(pilot, "EDITOR names no-such-editor, which is not here")


async def test_a_thousand_captions_answer_each_key_at_once(tmp_path):
    place = tmp_path / "many"
    place.mkdir()
    Image.new("RGB", (64, 64), "red").save(place / "0000.png")
    for number in range(1_000):
        if number:
            os.link(place / "0000.png", place / f"{number:04d}.png")
        (place / f"{number:04d}.txt").write_text(f"a bear, number {number}, in the snow {number % 7}")
    draft = draft_of(place).with_plan({"subject.instance_prompt": ""})
    async with opened(draft) as (pilot, _):
        await until(pilot, "1,000 pictures, all with captions")
        times = {
            "down": await timed(pilot, ["down"] * 12), "page": await timed(pilot, ["pagedown"] * 6),
            "type": await timed(pilot, ["enter", *"quickly"]),
            "find": await timed(pilot, ["escape", "slash", *"snow 3"]),
        }  # fmt: skip
        print(times)
        assert max(times.values()) < 0.25
        await until(pilot, "shown: 143")


async def timed(pilot, keys: list[str]) -> float:
    """The median of seconds a key takes until everything it set off in the terminal's process is drawn."""
    spent = []
    for key in keys:
        began = time.perf_counter()
        await pilot.press(key)
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)
