"""Journeys through the wizard by keys alone, at three sizes, and a person's slips on the way."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image
from pilots import holds, text_of, until
from textual.pilot import Pilot

from engine.dataset.health.figures import Health
from engine.errors import RunError
from engine.plan_file import read_plan
from engine.runs.folder import list_runs
from tui import drafts_screen
from tui.app import LorasmithApp
from tui.draft import FOLDER, Keeper, drafts_folder, list_drafts
from tui.steps import picture_health, recipe, review, wizard
from tui.steps import pictures as pictures_step
from tui.steps.step import Missing
from tui.steps.wizard import WizardScreen, open_wizard
from tui.widgets.keys import KeyBar

pytestmark = pytest.mark.asyncio

SIZES = [(80, 24), (100, 30), (160, 50)]


@pytest.fixture(autouse=True)
def four_steps(monkeypatch) -> None:
    """Subject, pictures, parameters and review, numbered 1 to 4; the steps between them have tests of their own."""
    mine = [step for step in wizard.steps() if step.id in {"subject", "pictures", "parameters", "review"}]
    for module in (wizard, drafts_screen):
        monkeypatch.setattr(module, "steps", lambda: mine)


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> Path:
    """Eleven painted pictures, one of them cut by its bucket."""
    place = tmp_path_factory.mktemp("painted")
    for at in range(11):
        size = (200, 90) if at == 3 else (128, 128)
        image = Image.new("RGB", size, (20 * at, 140, 80))
        image.paste((250, 40, 10), (30, 20, 80, 70))
        image.save(place / f"{at}.png")
    return place


@pytest.fixture
def pictures(painted, tmp_path) -> Path:
    return Path(shutil.copytree(painted, tmp_path / "pictures"))


@pytest.fixture
def begun(monkeypatch) -> list[str]:
    """The runs that would have been started: no engine is."""
    runs: list[str] = []
    monkeypatch.setattr(review, "start_engine", lambda run, verb: runs.append(run.name))
    return runs


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def any_size(request) -> tuple[int, int]:
    return request.param


@pytest_asyncio.fixture
async def pilot(request):
    size = request.getfixturevalue("any_size") if "any_size" in request.fixturenames else (80, 24)
    async with LorasmithApp(look_seconds=0.05).run_test(size=size) as pilot:
        await until(pilot, "see it work")
        yield pilot


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


# Slips at each step.


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


# Pictures.


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


# Parameters.


async def in_table(pilot: Pilot, pictures: Path) -> None:
    await open_draft(pilot, with_pictures(pictures), "▸Subject")
    await pilot.press("3")
    await until(pilot, "▸Parameters", "● normal", "in 10 epochs")
    await pilot.press("a")
    await until(pilot, "repeats", "How often each picture is taken")


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
