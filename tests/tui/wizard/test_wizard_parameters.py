"""The wizard's parameters by keys: found, changed in place, turned, saved as a recipe."""

from __future__ import annotations

import pytest
from pilots import holds, text_of, until
from wizard_keys import all_in_sight, draft_of, in_table, open_draft, with_pictures

from engine.plan_file import read_plan
from tui.draft import list_drafts

pytestmark = pytest.mark.asyncio


async def test_a_value_is_found_changed_in_place_and_its_cost_seen(pilot, any_size, pictures):
    await in_table(pilot, pictures)
    await pilot.press("slash", *"rank", "enter")
    await until(pilot, "How much the adapter can hold.", "allowed: a whole number from 1 to 1024.")
    before = text_of(pilot)
    await pilot.press("enter", "backspace", *"64")
    all_in_sight(pilot)
    await pilot.press("enter")
    await until(pilot, "* rank", "64")
    assert draft_of(pilot).plan.network.rank == 64
    await holds(pilot, lambda: "file 4.0 MB" in text_of(pilot) and "file 4.0 MB" not in before, "the new size")
    await pilot.press("r")
    await holds(pilot, lambda: draft_of(pilot).plan.network.rank == 8, "the recipe's rank")
    assert "* rank" not in text_of(pilot)


async def test_what_is_no_value_is_kept_as_typed_with_its_sentence(pilot, pictures):
    await in_table(pilot, pictures)
    await pilot.press("slash", *"rank", "enter", "enter", *"0x")
    await until(pilot, "rank cannot be 80x: it is a whole number from 1 to 1024.")
    await pilot.press("escape")
    await until(pilot, "! rank", "80x")
    await pilot.press("n")
    await until(pilot, "▸Parameters", "rank cannot be 80x")
    await holds(pilot, lambda: list_drafts()[0].draft.typed == {"network.rank": "80x"}, "the half value on the disk")


async def test_choices_turn_with_the_arrows(pilot, pictures):
    await in_table(pilot, pictures)
    await pilot.press("slash", *"targets", "enter", "right")
    await until(pilot, "* targets", "attention")
    await pilot.press("left", "left")
    await until(pilot, "locon")


async def test_a_recipe_is_written_and_opened_again(pilot, pictures, tmp_path):
    await open_draft(pilot, with_pictures(pictures).with_plan({"network.rank": 4}), "▸Subject")
    await pilot.press("3")
    await until(pilot, "changed by you: rank")
    await pilot.press("w")
    await until(pilot, "Where to?")
    pilot.app.screen.query_one("#path").value = str(tmp_path / "mine")
    await pilot.press("enter")
    await until(pilot, "Written to")
    assert read_plan(tmp_path / "mine.toml").network.rank == 4
    assert "ohwx" not in (tmp_path / "mine.toml").read_text()
    await pilot.press("w")
    await until(pilot, "Where to?")
    pilot.app.screen.query_one("#path").value = str(tmp_path / "mine.toml")
    await pilot.press("enter")
    await until(pilot, "exists and is not overwritten")
    for bad, said in (
        ("~nobody-of-that-name/mine", "home folder of nobody here"), ("/", "/ is a folder: add the name"),
        (f"{tmp_path}/{'x' * 300}", "Not written (File name too long)"),
        (str(tmp_path / "none" / "mine"), "Not written (No such file or directory)"),
    ):  # fmt: skip
        await pilot.press("w")
        await until(pilot, "Where to?")
        pilot.app.screen.query_one("#path").value = bad
        await pilot.press("enter")
        await until(pilot, said)
    await pilot.press("o")
    await until(pilot, "Which recipe?")
    pilot.app.screen.query_one("#path").value = str(tmp_path / "none.toml")
    await pilot.press("enter")
    await until(pilot, "There is no plan file")
    await pilot.press("o")
    await until(pilot, "Which recipe?")
    pilot.app.screen.query_one("#path").value = "~nobody-of-that-name/preset.json"
    await pilot.press("enter")
    await until(pilot, "home folder of nobody here")


async def test_a_kohya_preset_is_taken_over_with_its_account(pilot, pictures, shared_data):
    await open_draft(pilot, with_pictures(pictures), "▸Subject")
    await pilot.press("3")
    await until(pilot, "● normal")
    await pilot.press("o")
    await until(pilot, "Which recipe?")
    pilot.app.screen.query_one("#path").value = str(sorted((shared_data / "kohya_presets").glob("*.json"))[0])
    await pilot.press("enter")
    await until(pilot, "Taken:", "settings")
    await pilot.press("escape")
    await until(pilot, "changed by you:")
    assert draft_of(pilot).plan.base.model == "demo" and draft_of(pilot).folder == str(pictures)
