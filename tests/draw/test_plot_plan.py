"""From a command to the plot: which checkpoints, which cells in which order, and what is refused before any drawing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.base.load import open_base
from engine.draw.artist import drawing_step
from engine.draw.plot_plan import PlotRequest, settled
from engine.draw.plot_settings import job_text, read_plot, shown_size
from engine.draw.plot_text import grid_parameters
from engine.errors import LorasmithError
from engine.plan import BaseChoice, Plan, Subject
from engine.plan_file import write_plan
from engine.runs.folder import create_run


@pytest.fixture
def loras(tmp_path):
    """A folder of files by kohya's names; their content does not matter here."""
    folder = tmp_path / "loras"
    folder.mkdir()
    for name in ("fox-000001", "fox-000002", "fox-000010", "fox-step00000040", "fox"):
        (folder / f"{name}.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def plotted(tmp_path, tiny_base):
    def plot(prompt="a red fox", **asked):
        asked = {"base": str(tiny_base), "to": tmp_path / "grid.png", "axes": {}} | asked
        return settled(PlotRequest(prompt, **asked))

    return plot


def test_checkpoints_stand_in_their_order_after_the_base(plotted, loras):
    plot = plotted(loras=[str(loras)])
    assert plot.labels("x") == ["no LoRA", "epoch 1", "epoch 2", "epoch 10", "last"]
    plot = plotted(loras=[str(loras)], axes={"y": "epoch: 10, 1, step 40, last"}, base_column=False)
    assert plot.labels("x") == [""] and plot.labels("y") == ["epoch 10", "epoch 1", "step 40", "last"]
    assert plotted(loras=[str(loras)], axes={"x": "epoch: 1, base, 2"}, base_column=False).labels("x") == [
        "epoch 1", "no LoRA", "epoch 2"
    ]  # fmt: skip


def test_files_of_several_loras_keep_their_names_and_count_from_one(plotted, tmp_path):
    for name in ("cat.safetensors", "dog_v2.safetensors"):
        (tmp_path / name).write_bytes(b"weights")
    places = [str(tmp_path / "dog_v2.safetensors"), str(tmp_path / "cat.safetensors")]
    assert plotted(loras=places).labels("x") == ["no LoRA", "dog_v2", "cat"]
    assert plotted(loras=places, axes={"x": "epoch: 2"}).labels("x") == ["no LoRA", "cat"]
    weighted = plotted(loras=[f"{places[0]}:0.6", places[1]])
    assert [cell.weight for cell in weighted.cells[1:]] == [0.6, 1.0]
    with pytest.raises(LorasmithError, match="The weight 1000 of .* is out of range"):
        plotted(loras=[f"{places[0]}:1000"])


def test_a_run_brings_its_checkpoints_and_its_base(plotted, loras, tiny_base):
    run = create_run("fox", write_plan(Plan(subject=Subject("animal", "ohwx", "fox"), base=BaseChoice(str(tiny_base)))))
    with pytest.raises(LorasmithError, match="no checkpoint yet: `lorasmith status fox`"):
        plotted(loras=["fox"], base="")
    shutil.copy(loras / "fox-000002.safetensors", run.checkpoints)
    plot = plotted(loras=["fox"], base="")
    assert plot.base.model == str(tiny_base) and plot.labels("x") == ["no LoRA", "epoch 2"]


def test_cells_run_over_x_then_y_then_z_and_share_one_seed(plotted, loras):
    axes = {"x": "weight: 0.5, 1", "y": "epoch: 1", "z": "prompt: a fox, an owl"}
    plot = plotted(loras=[str(loras)], axes=axes, seed=7)
    assert plot.shape == (2, 2, 2)
    for index, cell in enumerate(plot.cells):
        x, y, z = cell.place
        assert index == x + 2 * y + 4 * z
        assert cell.model == (("", 0.0) if y == 0 else ("epoch 1", (0.5, 1.0)[x]))
        assert cell.order.prompt == ("a fox", "an owl")[z] and cell.order.seed == 7
    assert plot.called(plot.cells[7]) == "weight 1, epoch 1, an owl" and plot.file(plot.cells[7]) == "z02-x02-y02.png"
    zero = plotted(loras=[str(loras)], axes={"x": "weight: 0, 1", "y": "epoch: 1"})
    assert zero.cells[2].model == ("", 0.0), "at weight 0 it is the base"


def test_replacements_and_orders_change_both_prompts(plotted):
    plot = plotted("a red fox, red sky", negative="no red", axes={"x": "replace: red, blue", "y": "order: fox, sky"})
    assert [(cell.order.prompt, cell.order.negative) for cell in plot.cells] == [
        ("a red fox, red sky", "no red"), ("a blue fox, blue sky", "no blue"),
        ("a red sky, red fox", "no red"), ("a blue sky, blue fox", "no blue"),
    ]  # fmt: skip
    two = plotted(axes={"x": "replace: red, blue", "y": "s/r: fox, owl"})
    assert two.cells[3].order.prompt == "a blue owl"


def test_each_value_reaches_its_own_setting(plotted):
    plot = plotted(axes={"x": "steps: 5, 9", "y": "cfg: 3, 6", "z": "sampler: euler, euler a"}, size="80x64")
    last = plot.cells[-1].order
    assert (last.steps, last.cfg, last.sampler, last.size) == (9, 6.0, "euler_a", (80, 64))
    assert plotted(axes={"x": "size: 64x80, 96"}).cells[1].order.size == (96, 96)


def test_what_was_settled_is_read_back_from_the_job(plotted, loras, tmp_path):
    axes = {"x": "epoch", "y": "order: a, red, fox", "z": "size: 64, 80x64"}
    every = plotted(loras=[str(loras)], axes=axes, margin=4)
    (tmp_path / "job.toml").write_text(job_text(every), encoding="utf-8")
    assert read_plot(tmp_path / "job.toml") == every
    (tmp_path / "job.toml").write_text(job_text(every).replace("[drawing]", "[drawn]"), encoding="utf-8")
    with pytest.raises(LorasmithError, match="run `lorasmith plot` anew"):
        read_plot(tmp_path / "job.toml")


def test_the_grid_says_how_to_plot_the_same_in_a1111(plotted, loras):
    plot = plotted(loras=[str(loras)], axes={"x": "epoch: 1, 2", "y": "weight: 0.6, 1", "z": 'prompt: "a, b", c: d'})
    said = grid_parameters(plot, lambda cell: f"{cell.order.prompt} {cell.model}\nSteps: 25")
    assert said == (
        "a, b ('epoch 1', 0.6)\nSteps: 25, Script: X/Y/Z plot, "
        'X Type: Prompt S/R, X Values: "fox-000001, fox-000002", X begins with: no LoRA, '
        'Y Type: Prompt S/R, Y Values: ":0.6>, :1>", Z Type: Prompt S/R, Z Values: "\\"a, b\\", c: d"'
    )
    plain = plotted(axes={"x": "seed: 4, 8", "y": "sampler: Euler a", "z": "cfg: 4.5, 7"})
    assert grid_parameters(plain, lambda cell: "Steps: 25") == (
        'Steps: 25, Script: X/Y/Z plot, X Type: Seed, X Values: "4, 8", Y Type: Sampler, Y Values: Euler a, '
        'Z Type: CFG Scale, Z Values: "4.5, 7"'
    )


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({}, "The plot has no axis: name one"),
        ({"axes": {"x": "seed: 1,2", "z": "seed: 3,4"}}, "Both --x and --z are seed"),
        ({"axes": {"x": "replace: cat, dog"}}, "'cat' to search for is neither in the prompt 'a red fox' nor"),
        ({"axes": {"x": "prompt: a fox, a cat", "y": "replace: fox, owl"}}, "nor in the negative"),
        ({"axes": {"x": "order: red, green"}}, "The part 'green' to put in order is not in the prompt"),
        ({"axes": {"x": "epoch: 1-3"}}, "An axis of epoch needs LoRAs: add --lora"),
        ({"axes": {"x": "weight: 1, 2"}}, "An axis of weight needs LoRAs"),
        ({"axes": {"x": "size: 72x64"}}, "The size 72x64 cannot be drawn: both sides must be multiples of"),
        ({"axes": {"x": "size: 64, 99968"}}, "size 99968x99968 is too large: take sides of at most 4,096"),
        ({"axes": {"x": "seed: 1-2"}, "steps": 10**8}, "--steps 100,000,000 is out of range, 1 to 1,000"),
        ({"axes": {"x": "seed: 1-400", "y": "cfg: 1-100", "z": "steps: 1-400"}}, "megapixels, and 200 are the limit"),
        ({"axes": {"x": "seed: 1-2"}, "to": Path("grid.jpg")}, "does not end in .png"),
        ({"axes": {"x": "seed: 1-2"}, "to": Path("nowhere/grid.png")}, "There is no folder"),
        ({"axes": {"x": "seed: 1-2"}, "to": Path("/proc/grid.png")}, "No file can be written in /proc"),
        ({"axes": {"x": "seed: 1-2"}, "cfg": float("nan")}, "--cfg nan is out of range"),
        ({"axes": {"x": "seed: 1-2"}, "seed": -5}, "The seed -5 is out of range"),
        ({"axes": {"x": "seed: 1-2"}, "loras": ["nothing"]}, "there is no run 'nothing'"),
        ({"axes": {"x": "seed: 1-2"}, "base": "nothing.safetensors"}, "nothing.safetensors"),
    ],
)  # fmt: skip
def test_what_cannot_be_plotted_is_said_in_one_sentence(plotted, asked, sentence):
    with pytest.raises(LorasmithError, match=sentence) as raised:
        plotted(**asked)
    assert "\n" not in str(raised.value)


def test_checkpoints_that_are_not_there_or_not_shown_are_said(plotted, loras, tmp_path):
    with pytest.raises(LorasmithError, match="there is no checkpoint '7'; there are epoch 1, epoch 2, epoch 10"):
        plotted(loras=[str(loras)], axes={"x": "epoch: 1, 2, 7"})
    with pytest.raises(LorasmithError, match="5 checkpoints are named and no axis shows them: add --x epoch"):
        plotted(loras=[str(loras)], axes={"x": "seed: 1-2"})
    with pytest.raises(LorasmithError, match="names the untouched base alone"):
        plotted(loras=[str(loras)], axes={"x": "epoch: base"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(LorasmithError, match=r"There is no LoRA \(\.safetensors\) in"):
        plotted(loras=[str(tmp_path / "empty")])


def test_the_step_of_sizes_is_the_one_that_drawing_asks_for(plotted, tiny_base):
    step = drawing_step(open_base(tiny_base))
    assert plotted(axes={"x": f"size: {step}x{2 * step}"}).cells[0].order.size == (step, 2 * step)
    with pytest.raises(LorasmithError, match=f"multiples of {step}"):
        plotted(axes={"x": f"size: {step + step // 2}x{step}"})


def test_small_pictures_stand_enlarged_and_large_ones_as_small_as_asked_for(plotted):
    shown = {size: shown_size(size, plotted(axes={"x": "size: 64, 64x96"})) for size in ((64, 64), (64, 96))}
    assert shown == {(64, 64): (128, 128), (64, 96): (128, 192)}, "whole pixels, one factor for all"
    assert shown_size((64, 64), plotted(axes={"x": "seed: 1"}, size="64", cell=140)) == (128, 128)
    assert shown_size((1024, 512), plotted(axes={"x": "seed: 1"}, size="1024x512", cell=256)) == (256, 128)
