"""The way through the wizard's steps, on two small steps of this test's own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import pytest_asyncio
from pilots import holds, text_of, until
from textual.app import ComposeResult
from textual.widgets import Static

from tui.app import LorasmithApp
from tui.steps.step import Field, Journey, Step, StepScreen

pytestmark = pytest.mark.asyncio


@dataclass(frozen=True)
class Draft:
    name: str = ""
    word: str = ""


class NameScreen(StepScreen[Draft]):
    HELP = "What the LoRA is called."

    def fields(self) -> ComposeResult:
        yield Static("Name")
        yield Field(self.draft.name, help_text="Letters and digits.", id="name")

    def on_input_changed(self, event: Field.Changed) -> None:
        self.change(replace(self.draft, name=event.value))


class WordScreen(StepScreen[Draft]):
    def fields(self) -> ComposeResult:
        yield Static("Word")
        yield Field(self.draft.word, id="word")

    def on_input_changed(self, event: Field.Changed) -> None:
        self.change(replace(self.draft, word=event.value))


STEPS = [
    Step("name", "Name", lambda draft: "" if draft.name else "Give it a name.", NameScreen),
    Step("word", "Word", lambda draft: "" if draft.word else "Give it a word.", WordScreen),
]


@pytest.fixture
def saved() -> list[Draft]:
    return []


@pytest.fixture
def finished() -> list[Draft]:
    return []


@pytest.fixture
def journey(saved, finished) -> Journey[Draft]:
    return Journey(Draft(), STEPS, saved.append, finished.append)


@pytest_asyncio.fixture
async def pilot(journey):
    app = LorasmithApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "see it work")
        app.show_journey(journey)
        await until(pilot, "Give it a name.")
        yield pilot


async def test_the_rail_says_where_one_is_and_what_is_done(pilot):
    assert text_of(pilot).splitlines()[0] == " 1▸Name 2·Word"
    await pilot.press("tab", *"bear", "escape", "n")
    await until(pilot, " 1✓Name 2▸Word", "Give it a word.")


async def test_next_says_what_is_missing_instead_of_doing_nothing(pilot):
    await pilot.press("n")
    text = await until(pilot, "! Give it a name.")
    assert "1▸Name" in text


async def test_letters_belong_to_the_field_until_it_is_left(pilot, journey):
    await pilot.press("tab", *"nb1q?")
    await holds(pilot, lambda: journey.draft.name == "nb1q?", "the letters")
    text = await until(pilot, "done typing")
    assert " n next" not in text and "1▸Name" in text
    assert text.splitlines()[-1] == " esc done typing  f1 help  f2 all"  # keys that are no letters
    await pilot.press("escape")
    await until(pilot, "n next")
    assert journey.draft.name == "nb1q?"


async def test_back_and_forward_lose_no_letter(pilot, journey):
    await pilot.press("tab", *"bear", "escape", "n")
    await until(pilot, "2▸Word")
    await pilot.press("tab", *"ohwx", "escape", "b")
    await until(pilot, "1▸Name", "bear")
    await pilot.press("2")
    await until(pilot, "2▸Word", "ohwx")
    assert journey.draft == Draft("bear", "ohwx")


async def test_a_later_step_is_not_reached_past_an_open_one(pilot):
    await pilot.press("2")
    await until(pilot, "Name comes first: Give it a name.", "1▸Name")


async def test_the_draft_is_saved_soon_after_a_change_and_on_leaving_the_step(pilot, saved):
    await pilot.press("tab", *"be")
    await holds(pilot, lambda: saved and saved[-1] == Draft("be"), "the draft was saved")
    await pilot.press("a", "escape", "n")
    assert saved[-1] == Draft("bea")


async def test_the_last_step_finishes_with_the_whole_draft(pilot, finished):
    await pilot.press("tab", *"bear", "escape", "n")
    await until(pilot, "2▸Word", "n start")
    await pilot.press("n")
    await until(pilot, "! Give it a word.")
    assert finished == []
    await pilot.press("tab", *"ohwx", "escape", "n")
    await holds(pilot, lambda: finished == [Draft("bear", "ohwx")], "the end")


async def test_help_speaks_of_the_field_first(pilot):
    await pilot.press("tab", "f1")
    text = await until(pilot, "What the LoRA is called.", "leave the text field")
    assert text.index("Letters and digits.") < text.index("What the LoRA is called.")


async def test_it_is_taken_up_again_where_something_is_missing(saved):
    journey = Journey(Draft("bear", ""), STEPS, saved.append)
    assert journey.first_open() == 1
    assert Journey(Draft("bear", "ohwx"), STEPS, saved.append).first_open() == 1


async def test_a_field_at_rest_repaints_nothing(pilot):
    await pilot.press("tab")
    assert pilot.app.screen.focused is not None and not pilot.app.screen.focused.cursor_blink
