"""`lorasmith plot`: a run's checkpoints over weights and prompts, taken up again, and what it says of blank cells."""

from __future__ import annotations

import json

import pytest
from PIL import Image
from planted_loras import planted_lora

from engine.base.load import open_base
from engine.plan import BaseChoice, Network, Plan, Subject
from engine.plan_file import write_plan
from engine.runs.folder import create_run, list_runs


@pytest.fixture
def fox(tiny_base):
    """A run with two checkpoints."""
    run = create_run("fox", write_plan(Plan(subject=Subject("animal", "ohwx", "fox"), base=BaseChoice(str(tiny_base)))))
    for number in (1, 2):
        file = run.checkpoints / f"fox-{number:06d}.safetensors"
        planted_lora(open_base(tiny_base), file, Network(rank=2), seed=number)
    return run


def test_a_runs_checkpoints_are_plotted_and_never_drawn_twice(lorasmith, fox, tmp_path):
    grid = tmp_path / "grid.png"
    command = ("plot", "a fox, asleep", "--lora", "fox", "--y", "weight: 0.5, 1", "--x", "epoch", "--steps", 2,
               "--to", grid)  # fmt: skip
    said = lorasmith(*command)
    assert said.code == 0, said.err
    assert said.out.splitlines()[:3] == [
        "6 cells: 3 x 2.", "  X  epoch    no LoRA; epoch 1; epoch 2", "  Y  weight   0.5; 1"
    ]  # fmt: skip
    assert f"The grid: {grid}. Each cell by itself:" in " ".join(said.out.split())
    with Image.open(grid) as picture:
        assert "X Values: \"fox-000001, fox-000002\"" in picture.info["parameters"]
    grid.unlink()
    again = lorasmith(*command)
    assert again.code == 0 and "The run plot has drawn it already." in again.out
    assert grid.is_file() and len(list_runs()) == 2

    third = lorasmith(*command, "--json", columns=False)
    assert third.code == 0
    result = json.loads(third.out)
    assert result["grid"] == str(grid) and [cell["failed"] for cell in result["cells"]] == [None] * 6
    assert result["cells"][1]["called"] == "epoch 1, weight 0.5"
    with Image.open(result["cells"][1]["file"]) as picture:
        assert "<lora:fox-000001:0.5>" in picture.info["parameters"]


def test_a_picture_that_is_there_stays_unless_force_is_said(lorasmith, fox, tmp_path):
    grid = tmp_path / "grid.png"
    grid.write_text("mine")
    command = ("plot", "a fox", "--lora", "fox", "--steps", 2, "--to", grid)
    said = lorasmith(*command)
    assert said.code == 1 and "exists: choose another name, or add --force" in " ".join(said.err.split())
    assert grid.read_text() == "mine" and len(list_runs()) == 1
    assert lorasmith(*command, "--force").code == 0 and lorasmith(*command).code == 0, "its own grid may be taken anew"
    grid.write_text("mine")
    assert lorasmith(*command).code == 1 and grid.read_text() == "mine"


def test_blank_cells_are_named_and_give_code_1(lorasmith, fox, tmp_path):
    file = fox.checkpoints / "fox-000002.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    said = lorasmith("plot", "a fox", "--lora", "fox", "--steps", 2, "--to", tmp_path / "grid.png")
    assert said.code == 1 and (tmp_path / "grid.png").is_file()
    assert "warning: epoch 2: blank in the grid." in " ".join(said.out.split())
    assert said.err == "1 cell of 3 stayed blank: epoch 2. The warnings above say why.\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--x", "weight: 0.4-1.0"], "does not say which numbers between"),
        (["--x", "seed: 1-3", "--y", "seed: 4"], "Both --x and --y are seed"),
        (["--x", "seed: 1-3", "--lora", "nowhere"], "there is no run 'nowhere'"),
        ([], "The plot has no axis"),
    ],
)
def test_what_cannot_be_plotted_makes_no_run(lorasmith, tmp_path, options, sentence):
    said = lorasmith("plot", "a fox", "--to", tmp_path / "grid.png", *options)
    assert said.code == 1 and sentence in " ".join(said.err.split()) and not list_runs()
    assert lorasmith("plot", "a fox", "--to", "g.png", "--margin", "501").code == 2
