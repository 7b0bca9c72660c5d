"""Where an exported LoRA lies: what of a former one of its name goes, and places and names that cannot be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import comparison
import pytest

from engine.compare.beside import BESIDE, name_trouble, remove_left
from engine.compare.export import choose
from engine.compare.page import write_page
from engine.errors import LorasmithError
from tui.cli import main


@pytest.fixture
def made():
    return comparison.half_way()


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_set_says_what_it_wrote(made):
    done = choose("fox")
    told = json.loads(done.beside["words and weight"].read_text("utf-8"))["lorasmith"]["sha256"]
    assert told.keys() == names_in(done.file.parent)


def test_alone_over_a_former_set_leaves_nothing_that_is_untrue(made, capsys):
    folder = choose("fox").file.parent
    assert len(names_in(folder)) == 6
    assert main(["choose", "fox", "--epoch", "5", "--alone", "--force"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert names_in(folder) == {"fox.safetensors"}
    assert "Removed, as they told of the LoRA that had this name before: " in said
    assert all(f"fox{ending}" in said for ending in BESIDE.values())


def test_an_uncompared_lora_over_a_compared_one_takes_the_page_away(made):
    folder = choose("fox").file.parent
    shutil.rmtree(made.run.path)
    done = choose("fox", epoch=5, force=True)
    assert names_in(folder) == {"fox.safetensors", "fox.json", "fox.md"} == {done.file.name} | {
        path.name for path in done.beside.values()
    }
    assert "fox.png, fox.samples.jpg and fox.html" in done.notes[-1]


def test_without_force_a_former_set_is_left_alone(made):
    folder = choose("fox").file.parent
    (folder / "fox.safetensors").unlink()
    before = names_in(folder)
    with pytest.raises(LorasmithError, match=r"fox\.png exists, .*--name, or add --force"):
        choose("fox", epoch=5, alone=True)
    assert names_in(folder) == before
    choose("fox", epoch=5, alone=True, force=True)
    assert names_in(folder) == {"fox.safetensors"}


def changed_preview(folder: Path) -> str:
    (folder / "fox.png").write_bytes(b"mine")
    return "fox.png"


def changed_words(folder: Path) -> str:
    path = folder / "fox.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "activation text": "ohwx fox, sitting"}))
    return "fox.json"


def own_card(folder: Path) -> str:
    (folder / "fox.md").write_text((folder / "fox.md").read_text() + "\nThe best of all my foxes.\n")
    return "fox.md"


def page_of_the_whole(folder: Path) -> str:
    write_page(folder.parent / "runs" / "fox-compare" / "compare", folder / "fox.html")
    return "fox.html"


def words_of_another_program(folder: Path) -> str:
    (folder / "fox.json").write_text('{"description": "mine"}')
    return "fox.png, fox.json, fox.md, fox.samples.jpg and fox.html"


def link(folder: Path) -> str:
    (folder / "fox.md").replace(folder / "card.md")
    (folder / "fox.md").symlink_to(folder / "card.md")
    return "fox.md"


@pytest.mark.parametrize(
    "by_a_person", [changed_preview, changed_words, own_card, page_of_the_whole, words_of_another_program, link]
)
def test_what_a_person_made_is_never_removed(made, by_a_person):
    folder = choose("fox").file.parent
    named = by_a_person(folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(LorasmithError) as refused:
        choose("fox", epoch=5, alone=True, force=True)
    assert str(refused.value).startswith(f"{named} in {folder} would be untrue")
    assert str(refused.value).endswith("give another name with --name; nothing was changed.")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert made.report.chosen.checkpoint == comparison.BEST


def test_a_former_file_that_says_nothing_of_its_set_is_not_guessed_at(made, own_home):
    folder = own_home / "loras"
    folder.mkdir(parents=True)
    (folder / "fox.png").write_bytes(b"mine")
    assert choose("fox", alone=True).notes[1:] == ()  # it was never of a LoRA of this name
    with pytest.raises(LorasmithError, match=r"fox\.png in .* may be your own work"):
        choose("fox", alone=True, force=True)
    assert names_in(folder) == {"fox.safetensors", "fox.png"}


def test_what_cannot_be_removed_is_said(tmp_path):
    (tmp_path / "fox.md").mkdir()  # stands for a file that the system keeps
    assert remove_left([tmp_path / "fox.md"])[0].startswith(f"{tmp_path}/fox.md tells of the LoRA that had this name")


def test_a_name_that_begins_as_an_option_is_answered_by_the_export(made, capsys):
    assert main(["choose", "fox", "--name=-neu"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("'-neu' cannot be a LoRA's name: give another with --name")


@pytest.mark.parametrize("name", ["fox", "Füchse 2", "fox-v1.5", "ohwx_(fox)", "x" * 120])
def test_names_that_can_be(name):
    assert name_trouble(name) == ""


def test_a_file_and_another_name_are_refused(made, tmp_path):
    tmp_path = tmp_path / "c"
    tmp_path.mkdir()
    with pytest.raises(LorasmithError, match=r"--to names the file x\.safetensors and --name another, y: leave out"):
        choose("fox", to=tmp_path / "x.safetensors", name="y")
    assert list(tmp_path.iterdir()) == []
    for name in ("x", "x.safetensors"):
        done = choose("fox", to=tmp_path / "x.safetensors", name=name, force=True)
        assert done.file == tmp_path / "x.safetensors"


def test_a_folder_that_is_called_as_a_file_is_a_folder(made, tmp_path):
    place = tmp_path / "dir.safetensors"
    place.mkdir()
    assert choose("fox", to=place).file == place / "fox.safetensors"
    assert choose("fox", to=place, name="y").file == place / "y.safetensors"


def test_a_file_in_the_place_of_the_loras_is_said(made, own_home, capsys):
    (own_home / "loras").write_text("mine")
    assert main(["choose", "fox"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "loras cannot be made (File exists): move away what is in its place, or choose another folder" in said
    assert (own_home / "loras").read_text() == "mine"
