"""`lorasmith regularize PLAN`: what it says, the plan it changes only when asked to, the runs it takes up again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from engine.plan_file import read_plan
from engine.runs.folder import list_runs

PLAN = """# my own words
[subject]
kind = "animal"
instance_prompt = "ohwx"
class_prompt = "dog"  # a good dog

[pictures]
[[pictures.folders]]
path = "mine"
repeats = 2

[base]
model = {base}
"""


@pytest.fixture
def plan(tmp_path, tiny_base):
    """Two pictures, twice each, in two shapes."""
    mine = tmp_path / "mine"
    mine.mkdir()
    for index, size in enumerate([(64, 64), (80, 48)]):
        Image.new("RGB", size, (index, 90, 0)).save(mine / f"{index}.png")
        (mine / f"{index}.txt").write_text("an ohwx dog at sea", encoding="utf-8")
    path = tmp_path / "dog.toml"
    path.write_text(PLAN.format(base=json.dumps(str(tiny_base))), encoding="utf-8")
    return path


def test_it_draws_then_writes_the_plan_only_when_asked_and_never_draws_twice(lorasmith, plan):
    before = plan.read_text(encoding="utf-8")
    said = lorasmith("regularize", plan, "--steps", 2)
    assert said.code == 0, said.err
    assert "4 class pictures: 2 pictures with repeats make 4 an epoch" in said.out.replace("\n", " ")
    assert "from 1 prompt: a dog at sea." in said.out
    assert "dog-class has finished" in said.out and "[[regularization.folders]]" in said.out
    assert plan.read_text(encoding="utf-8") == before, "a person's file is theirs"

    again = lorasmith("regularize", plan, "--steps", 2, "--write")
    assert again.code == 0 and "The run dog-class has them already." in again.out
    assert len(list_runs()) == 1
    text = plan.read_text(encoding="utf-8")
    assert text.startswith("# my own words") and "# a good dog" in text
    folder = Path(read_plan(plan).regularization.folders[0].path)
    assert len(list(folder.glob("*.png"))) == 4 and read_plan(plan).pictures.folders[0].path.endswith("mine")
    third = lorasmith("regularize", plan, "--steps", 2, "--write")
    assert "names this folder already" in third.out.replace("\n", " ") and plan.read_text(encoding="utf-8") == text


def test_the_advice_lists_four_ways_and_names_one(lorasmith, plan):
    said = lorasmith("regularize", plan, "--advice")
    assert said.code == 0
    assert [line.split()[0] for line in said.out.splitlines()[1:5]] == ["none", "prior", "drawn", "folder"]
    assert "\nPrior prediction: without it every" in said.out
    figures = json.loads(lorasmith("regularize", plan, "--advice", "--json", columns=False).out)
    assert figures["way"] == "prior" and {way["way"] for way in figures["ways"]} == {"none", "prior", "drawn", "folder"}
    assert list_runs() == []


def test_a_persons_folder_is_checked_and_named(lorasmith, plan, tmp_path):
    others = tmp_path / "others"
    others.mkdir()
    for index in range(3):
        Image.new("RGB", (64, 64), (200, 90, index)).save(others / f"{index}.png")
    said = lorasmith("regularize", plan, "--from", others, "--write")
    assert said.code == 0 and "3 pictures, and the plan wants 4" in said.out
    assert read_plan(plan).regularization.folders[0].path == str(others)
    assert list_runs() == []


@pytest.mark.parametrize(("change", "arguments", "said"), [
    (('class_prompt = "dog"', 'class_prompt = ""'), (), "subject.class_prompt is empty"),
    (("", ""), ("--from", "./nowhere"), "is no folder or .zip here and no hub name"),
    (("", ""), ("--from", "mine"), "the subject's own training pictures"),
    (('path = "mine"', 'path = "gone"'), (), "does not exist"),
    (("repeats = 2", "repeats = 2\n[regularization]\nratio = 0"), (), "regularization.ratio is 0"),
    (("repeats = 2", "repeats = 2\n[regularization]\nprior_prediction = true"), (), "which needs no class pictures"),
])  # fmt: skip
def test_a_mistake_is_one_sentence_and_leaves_no_run(lorasmith, plan, tmp_path, change, arguments, said):
    plan.write_text(plan.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    answer = lorasmith("regularize", plan, *arguments, cwd=tmp_path)
    assert answer.code == 1 and said in answer.err.replace("\n", " ")
    assert list_runs() == []
