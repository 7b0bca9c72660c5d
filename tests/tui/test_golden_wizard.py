"""The wizard's seven steps as they are meant to look, letter by letter.

`LORASMITH_GOLDEN=write pytest tests/tui/test_golden_wizard.py` writes them anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from golden import matches
from painted_pictures import painted_folder
from pilots import holds, until

from tui.app import LorasmithApp
from tui.draft import Draft, Keeper
from tui.steps import outlook, recipe, subject, wizard
from tui.steps.wizard import WizardScreen, open_wizard

pytestmark = pytest.mark.asyncio
SHOWS = {
    "subject": "n goes on", "pictures": "Say where the pictures are", "class": "Advice:", "words": "encoder 2",
    "captions": "5 pictures", "parameters": "steps", "review": "n start",
}  # fmt: skip


@pytest.fixture
def draft(tmp_path: Path, monkeypatch) -> Draft:
    """A bear of five painted pictures on the demo's base, on a machine without a card and with room on its disk."""
    monkeypatch.setattr(wizard, "cards", lambda: ())
    monkeypatch.setattr(subject, "find_bases", lambda: [])
    monkeypatch.setattr(outlook, "_free_disk", lambda: 500 * 10**9)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = painted_folder(tmp_path / "bear", 5)
    made = recipe.new_draft("object").with_text("output.name", "bear").with_folders(str(folder))
    return recipe.moved(recipe.moved(made, {"base.model": "demo"}), {"subject.class_prompt": "bear"})


@pytest.mark.parametrize("at", range(7), ids=list(SHOWS))
async def test_step(draft, at):
    keeper = Keeper()
    # The folder's path is another in each run; the step that shows it is shown before there is one.
    keeper(draft if at != 1 else draft.with_folders())
    async with LorasmithApp().run_test(size=(80, 24)) as pilot:
        await until(pilot, "q leave")
        open_wizard(pilot.app, keeper.path)
        await until(pilot, "▸Subject")
        await pilot.press(str(at + 1))
        await holds(pilot, lambda: isinstance(pilot.app.screen, WizardScreen) and pilot.app.screen.at == at, "the step")
        await holds(pilot, lambda: pilot.app.screen.fresh, "its figures")
        await until(pilot, list(SHOWS.values())[at])
        await matches(pilot, f"wizard-{list(SHOWS)[at]}-80x24")
