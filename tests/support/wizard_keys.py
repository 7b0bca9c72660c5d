"""Ways through the wizard by keys, that its tests share."""

from __future__ import annotations

from pathlib import Path

from pilots import holds, text_of, until
from textual.pilot import Pilot

from tui.draft import Keeper
from tui.steps import recipe
from tui.steps.step import Missing
from tui.steps.wizard import WizardScreen, open_wizard
from tui.widgets.keys import KeyBar


def draft_of(pilot: Pilot):
    assert isinstance(pilot.app.screen, WizardScreen)
    return pilot.app.screen.draft


async def open_draft(pilot: Pilot, draft, wanted: str) -> Keeper:
    """Opens a draft that lies on the disk; `wanted` shows that it is there."""
    keeper = Keeper()
    keeper(draft)
    open_wizard(pilot.app, keeper.path)
    await until(pilot, wanted)
    return keeper


def with_pictures(pictures: Path):
    named = recipe.moved(recipe.new_draft("animal").with_text("output.name", "dog"), {"base.model": "demo"})
    return named.with_folders(str(pictures))


def all_in_sight(pilot: Pilot) -> None:
    """The line of what is missing, the keys and what has the focus lie inside the screen."""
    screen = pilot.app.screen
    for widget in (screen.query_one(Missing), screen.query_one(KeyBar), screen.focused):
        if widget is not None:
            assert widget.region.area and screen.region.contains_region(widget.region), widget
    assert "Traceback" not in text_of(pilot)


async def through_subject(pilot: Pilot) -> None:
    await pilot.press("n")
    await until(pilot, "▸Subject", "Give the project a name")
    all_in_sight(pilot)
    await pilot.press(*"dog", "enter", "down", "down", "enter")
    await until(pilot, "● animal")
    await pilot.press("home", "enter")
    await until(pilot, "● demo", "Comes with lorasmith", "n goes on")
    all_in_sight(pilot)


async def type_folder(pilot: Pilot, path: Path) -> None:
    await holds(pilot, lambda: pilot.app.screen.query("#folder"), "the folder's field")
    await pilot.press("f")
    pilot.app.screen.focused.value = str(path)
    await pilot.press("enter")


async def in_table(pilot: Pilot, pictures: Path) -> None:
    await open_draft(pilot, with_pictures(pictures), "▸Subject")
    await pilot.press("3")
    await until(pilot, "▸Parameters", "● normal", "in 10 epochs")
    await pilot.press("a")
    await until(pilot, "repeats", "How often each picture is taken")
