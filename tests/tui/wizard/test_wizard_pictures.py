"""The wizard's pictures by keys: left out, added, looked for, and what each loses."""

from __future__ import annotations

import pytest
from PIL import Image
from pilots import holds, until
from wizard_keys import draft_of, open_draft, with_pictures

from engine.dataset.health.figures import Health
from tui.draft import FOLDER
from tui.steps import picture_health, recipe
from tui.steps import pictures as pictures_step

pytestmark = pytest.mark.asyncio


async def test_space_leaves_a_picture_out_and_takes_it_in_again(pilot, pictures):
    await open_draft(pilot, with_pictures(pictures), "▸Subject")
    await pilot.press("2")
    await until(pilot, "11 pictures trained")
    await pilot.press("space")
    await until(pilot, "10 pictures trained, 1 left out", "– 0.png")
    assert draft_of(pilot).plan.pictures.leave_out == ("0.png",)
    await pilot.press("up", "space")
    await until(pilot, "11 pictures trained")
    assert draft_of(pilot).plan.pictures.leave_out == ()


async def test_a_further_folder_is_added_seen_and_taken_out(pilot, pictures, tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    for at in range(2):
        Image.new("RGB", (90, 90), (30 * at, 90, 60)).save(more / f"further-{at}.png")
    await open_draft(pilot, with_pictures(pictures), "▸Subject")
    await pilot.press("2")
    await until(pilot, "11 pictures trained")
    for path, said in ((tmp_path / "nowhere", "There is no folder"), (pictures, "the folders already.")):
        await pilot.press("a")
        await until(pilot, "A further folder of pictures")
        pilot.app.screen.focused.value = str(path)
        await pilot.press("enter")
        await until(pilot, said)
    await pilot.press("a")
    await until(pilot, "A further folder of pictures")
    pilot.app.screen.focused.value = str(more)
    await pilot.press("enter")
    await until(pilot, "13 pictures trained", "Trained beside the first folder")
    assert [one.path for one in draft_of(pilot).plan.pictures.folders] == [str(pictures), str(more)]
    await pilot.press("x")
    await until(pilot, "11 pictures trained", "longer trained; its files stay")
    assert [one.path for one in draft_of(pilot).plan.pictures.folders] == [str(pictures)] and any(more.iterdir())


async def test_a_check_that_was_made_is_made_again_when_the_set_changes(pilot, pictures, monkeypatch):
    begun: list[str] = []
    monkeypatch.setattr(picture_health, "start_engine", lambda run, verb: begun.append(verb))
    monkeypatch.setattr(pictures_step, "_CHECK_SECONDS", 0.05)
    await open_draft(pilot, with_pictures(pictures), "▸Subject")
    await pilot.press("2")
    await until(pilot, "11 pictures trained")
    await pilot.press("space")
    await until(pilot, "10 pictures trained")
    assert not begun  # nothing was checked yet
    pilot.app.screen.health = Health("green", (), (), (), (), None, True, 1.0, 0)
    await pilot.press("space")
    await holds(pilot, lambda: begun, "the check is begun again")


async def test_what_a_picture_loses_is_said_and_drawn(pilot, pictures):
    await open_draft(pilot, with_pictures(pictures), "▸Subject")
    await pilot.press("2")
    await until(pilot, "11 pictures trained")
    await pilot.press("down", "down", "down")
    await until(pilot, "200 x 90 px, trained as", "cut off")
    preview = pilot.app.screen.query_one("#picture")
    await holds(pilot, lambda: preview.paths == (pictures / "3.png",) and preview._drawn, "the picture")


async def test_the_folder_is_looked_for_by_keys(pilot, pictures):
    named = with_pictures(pictures).with_plan({"pictures.folders": ()}).with_typed(FOLDER, str(pictures.parent))
    await open_draft(pilot, named, "▸Subject")
    await pilot.press("2")
    await until(pilot, "▸Pictures")
    pilot.app.screen.query_one("#folder").value = "~nobody-of-that-name/cats"
    await pilot.press("escape", "o")  # begins where there is a folder
    await until(pilot, "take this folder")
    await pilot.press("escape", "f")
    pilot.app.screen.query_one("#folder").value = str(pictures.parent)
    await pilot.press("escape", "o")
    await until(pilot, "take this folder", "pictures/")
    await pilot.press("end")
    await until(pilot, "▸ pictures/")
    await pilot.press("enter")
    await until(pilot, "11 pictures")
    await pilot.press("t")
    await until(pilot, "11 pictures trained")
    assert draft_of(pilot).plan.pictures.folders[0].path == str(pictures)


async def test_how_pictures_come_up_is_said_and_their_folder_made(pilot, monkeypatch, own_home):
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.9 50122 192.0.2.7 22")
    named = recipe.new_draft("animal").with_text("output.name", "dog")
    await open_draft(pilot, recipe.moved(named, {"base.model": "demo"}), "▸Subject")
    await pilot.press("n")
    await until(pilot, "▸Pictures")
    await pilot.press("escape", "u")
    await until(pilot, "rsync -av --progress MY_PICTURES/", "@192.0.2.7:", "islt:4mp")
    await pilot.press("m")
    await holds(pilot, lambda: (own_home / "pictures" / "dog").is_dir(), "the folder")
    await until(pilot, "No picture in this folder can be trained")
