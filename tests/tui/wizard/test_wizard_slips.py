"""A person's slips at the wizard's first steps."""

from __future__ import annotations

import os

import pytest
from PIL import Image
from pilots import holds, text_of, until
from wizard_keys import all_in_sight, draft_of, open_draft, type_folder, with_pictures

from engine.runs.folder import list_runs
from tui.draft import FOLDER, list_drafts
from tui.steps import recipe

pytestmark = pytest.mark.asyncio


async def test_a_name_that_cannot_be_is_said_and_kept(pilot):
    await pilot.press("n")
    await until(pilot, "▸Subject")
    await pilot.press(*"a/b", "escape", "n")
    await until(pilot, "A file name cannot hold /", "▸Subject")
    await holds(pilot, lambda: [found.name for found in list_drafts()] == ["a/b"], "the name as typed")


async def test_a_base_half_typed_is_kept_and_the_list_still_chooses(pilot):
    await open_draft(pilot, recipe.new_draft().with_text("output.name", "dog"), "▸Subject")
    pilot.app.screen.query_one("#other").focus()
    await pilot.press(*"/nowhere/x")
    await until(pilot, "There is no file or folder /nowhere/x")
    await pilot.press("escape", "n")
    await until(pilot, "▸Subject", "There is no file or folder")
    pilot.app.screen.query_one("#bases").focus()
    await pilot.press("home", "space")
    await until(pilot, "● demo", "n goes on")
    assert pilot.app.screen.query_one("#other").value == "/nowhere/x"


async def test_a_base_is_downloaded_by_a_job_that_the_screen_only_watches(pilot, monkeypatch):
    from tui.steps import download

    asked = []
    monkeypatch.setattr(download, "start_engine", lambda run, verb: asked.append((run.job.read_text(), verb)))
    await open_draft(pilot, recipe.new_draft().with_text("output.name", "dog"), "▸Subject")
    await until(pilot, "Not here yet: about 6.9 GB", "d download")
    await pilot.press("d")
    await holds(pilot, lambda: asked, "the job")
    assert 'repo = "stabilityai/stable-diffusion-xl-base-1.0"' in asked[0][0] and asked[0][1] == "download"
    await holds(pilot, lambda: draft_of(pilot).jobs.get("download") == list_runs()[0].name, "the job's name kept")


async def test_a_folder_is_read_when_its_field_is_left_not_at_each_letter(pilot, pictures):
    await open_draft(pilot, with_pictures(pictures), "▸Subject")
    await pilot.press("2")
    await until(pilot, "11 pictures trained")
    await pilot.press("f")
    field = pilot.app.screen.focused
    field.value = str(pictures.parent)
    await until(pilot, "Enter reads this folder.")
    assert draft_of(pilot).plan.pictures.folders[0].path == str(pictures)
    field.value = str(pictures.parent / "none")
    await pilot.press("enter")
    await until(pilot, "There is no folder")
    assert draft_of(pilot).typed[FOLDER] == str(pictures.parent / "none")


async def test_an_empty_folder_and_one_of_other_things(pilot, tmp_path):
    (tmp_path / "empty").mkdir()
    await open_draft(pilot, with_pictures(tmp_path / "empty"), "▸Subject")
    await pilot.press("2")
    await until(pilot, "No picture in this folder can be trained")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.jpg").write_bytes(b"no picture")
    (tmp_path / "other" / "evil\x1b[31m.txt").write_text("x")
    await type_folder(pilot, tmp_path / "other")
    await until(pilot, "✗ x.jpg", "not used")
    assert "\x1b" not in text_of(pilot)


async def test_a_folder_deleted_while_it_is_open_is_said_and_its_return_seen(pilot, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("tui.steps.picture_folders._WATCH_SECONDS", 0.05)
    await open_draft(pilot, with_pictures(pictures), "▸Subject")
    await pilot.press("2")
    await until(pilot, "11 pictures trained")
    pictures.rename(tmp_path / "gone")
    await until(pilot, "not exist: give the folder")
    (tmp_path / "gone").rename(pictures)
    await until(pilot, "11 pictures trained")
    (pictures / "11.png").write_bytes((pictures / "10.png").read_bytes())
    await until(pilot, "12 pictures trained")


@pytest.mark.slow
async def test_ten_thousand_pictures_are_moved_through_at_once(pilot, tmp_path):
    place = tmp_path / "many"
    place.mkdir()
    Image.new("RGB", (64, 64)).save(place / "0.png")
    for at in range(1, 10_000):
        os.link(place / "0.png", place / f"{at}.png")
    await open_draft(pilot, with_pictures(place), "▸Subject")
    await pilot.press("2")
    await until(pilot, " pictures trained", seconds=120)
    await pilot.press("end")
    await until(pilot, "9999.png")
    all_in_sight(pilot)
