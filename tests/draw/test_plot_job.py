"""The job of a plot: each cell as drawn alone, every LoRA in the same batches; killed, stopped, short of disk."""

from __future__ import annotations

import errno
import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from planted_loras import planted_lora
from training_runs import events, forked

from engine.base.load import open_base
from engine.draw.artist import draw_orders, encode_orders
from engine.draw.plot_axes import parse_axis
from engine.draw.plot_job import run as draw_plot
from engine.draw.plot_plan import PlotRequest, settled
from engine.draw.plot_settings import KIND, job_text, same_plot
from engine.lora.file import apply_lora, load_lora
from engine.plan import Network
from engine.runs.control import request
from engine.runs.folder import create_run
from engine.runs.job import run_job
from engine.runs.summary import read_summary


@pytest.fixture(scope="module")
def loras(tiny_base, tmp_path_factory):
    """Three checkpoints: two ranks, the third with text encoders too."""
    folder = tmp_path_factory.mktemp("fox")
    networks = [Network(rank=2), Network(rank=4), Network(rank=2, train_text_encoders=True)]
    for number, network in enumerate(networks, 1):
        planted_lora(open_base(tiny_base), folder / f"fox-{number:06d}.safetensors", network, seed=number)
    return folder


@pytest.fixture
def plot(loras, tiny_base, tmp_path):
    """The base and two epochs, at two weights, from two seeds: 12 cells."""
    axes = {"x": "epoch: 1, 2", "y": "weight: 0.5, 1", "z": "seed: 4, 5"}
    return settled(
        PlotRequest("a fox at sea", tmp_path / "grid.png", axes, [str(loras)], str(tiny_base), steps=2, size="64")
    )


def begin(plot, name=KIND):
    return create_run(name, job_text(plot), kind=KIND)


def work(folder, before=lambda: None):
    """One attempt in a forked child, after `before` has changed the child's own modules."""

    def attempt():
        before()
        return run_job(folder, draw_plot, verb=KIND)

    return forked(attempt)


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def cells(folder):
    return {path.name: pixels(path) for path in sorted((folder.path / "cells").iterdir()) if path.suffix == ".png"}


def same(one, other):
    return one.keys() == other.keys() and all(abs(one[name] - other[name]).max() <= 1 for name in one)


def saving(change):
    """Has the job call `change(number, save)` for the n-th picture that it writes, from 1."""
    from engine.draw import plot_job

    real, calls = plot_job.save_png, []

    def save(pixels, path, text=""):
        calls.append(None)
        change(len(calls), lambda: real(pixels, path, text))

    plot_job.save_png = save


@torch.no_grad()
def drawn_alone(base, order, file=None, weight=1.0):
    """The picture by another way: the LoRA put on by peft's layers, nothing swapped, nothing batched."""
    unet, encoders = base.load_unet(torch.float32), base.load_text_encoders(torch.float32)
    if file is not None:
        apply_lora(load_lora(file), unet, encoders, weight)
    prompts = encode_orders(base.tokenizers(), encoders, [order])
    return next(draw_orders(base, unet, base.load_vae(torch.float32), prompts, [order], batch=1))[1].astype(int)


def test_each_cell_is_the_picture_that_its_lora_draws_alone(loras, tiny_base, tmp_path):
    axes = {"x": "epoch: 1, 3", "y": "weight: 0, 0.7", "z": "seed: 4, 5"}
    plot = settled(
        PlotRequest("a fox at sea", tmp_path / "grid.png", axes, [str(loras)], str(tiny_base), steps=2, size="64")
    )
    folder = begin(plot)
    assert work(folder) == 0
    base, drawn, alone = open_base(tiny_base), cells(folder), {}
    for cell in plot.cells:
        name, weight = cell.model
        file = plot.checkpoint(name).file if name else None
        if (cell.model, cell.order) not in alone:
            alone[cell.model, cell.order] = drawn_alone(base, cell.order, file, weight)
        assert abs(drawn[plot.file(cell)] - alone[cell.model, cell.order]).max() <= 1, plot.called(cell)
    assert len({picture.tobytes() for picture in drawn.values()}) == 6, "two seeds of the base and of two LoRAs at 0.7"

    with Image.open(folder.path / "cells" / "z02-x03-y02.png") as picture:
        assert picture.info["parameters"].startswith(
            "a fox at sea <lora:fox-000003:0.7>\nSteps: 2, Sampler: Euler, Schedule type: Automatic, CFG scale: 5, "
            "Seed: 5, Size: 64x64, Model hash: "
        )
    with Image.open(folder.path / "cells" / "z02-x01-y02.png") as picture:
        assert "<lora" not in picture.info["parameters"]
    with Image.open(plot.to) as grid:
        assert "Script: X/Y/Z plot, X Type: Prompt S/R" in grid.info["parameters"]
        assert grid.width > 6 * 192 and grid.height > 2 * 192
    result = json.loads((folder.path / "plot.json").read_text())
    assert len(result["cells"]) == 12 and not any(cell["failed"] for cell in result["cells"])
    assert events(folder, "sample")[-1].get("files")[0].startswith("samples/plot-")
    assert events(folder, "step")[-1].get("step") == 12


def test_every_checkpoint_draws_in_the_same_batches_also_after_a_resume(plot, tmp_path):
    plot = replace(plot, axes=(plot.axes[0], parse_axis("seed: 1-11", "y"), parse_axis("cfg: 3, 5", "z")))
    told = tmp_path / "batches"

    def listen():
        from engine.draw import plot_job

        real = plot_job.draw_orders

        def listening(base, unet, vae, prompts, orders, **how):
            with told.open("a") as file:
                file.write(f"{[(order.seed, order.cfg) for order in orders]}\n")
            return real(base, unet, vae, prompts, orders, **how)

        plot_job.draw_orders = listening

    folder = begin(plot)
    assert work(folder, listen) == 0
    lines = told.read_text().splitlines()
    assert len(lines) == 12 and lines[:4] == lines[4:8] == lines[8:], "11 seeds at two guidances: 8, 3, 8 and 3"
    before = cells(folder)
    (folder.path / "cells" / "z01-x02-y05.png").unlink()
    told.unlink()
    assert work(folder, listen) == 0
    assert told.read_text().splitlines() == lines[:1], "one cell is missing: its whole batch is drawn"
    assert same(before, cells(folder))


def test_prompts_are_encoded_once_unless_a_lora_changes_the_text_encoders(plot, loras, tiny_base, tmp_path):
    told = tmp_path / "encoded"

    def listen():
        from engine.draw import plot_job

        real = plot_job.encode_orders

        def listening(tokenizers, encoders, orders):
            with told.open("a") as file:
                file.write(f"{len(orders)}\n")
            return real(tokenizers, encoders, orders)

        plot_job.encode_orders = listening

    assert work(begin(plot), listen) == 0
    assert told.read_text() == "2\n", "both seeds' orders, once"
    told.unlink()
    axes = {"x": "epoch: 3, 1, 2", "y": "weight: 0.5, 1"}
    mixed = settled(
        PlotRequest("a fox at sea", tmp_path / "grid.png", axes, [str(loras)], str(tiny_base), steps=2, size="64")
    )
    assert work(begin(mixed, "mixed"), listen) == 0
    assert len(told.read_text().split()) == 3, "untouched, and with epoch 3 at each of its weights"


def test_killed_and_resumed_it_has_every_cell_once_and_whole(plot, own_home, monkeypatch):
    def deadly(number, save):
        if number == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        save()

    folder = begin(plot)
    assert work(folder, lambda: saving(deadly)) == -signal.SIGKILL
    times = {path: path.stat().st_mtime_ns for path in (folder.path / "cells").iterdir()}
    assert read_summary(folder).status == "died" and 4 <= len(times) < 12
    assert work(folder) == 0 and len(cells(folder)) == 12
    assert {path: path.stat().st_mtime_ns for path in times} == times, "what was drawn is not written again"
    monkeypatch.setenv("LORASMITH_HOME", str(own_home / "undisturbed"))
    whole = begin(plot)
    assert work(whole) == 0 and same(cells(folder), cells(whole))
    assert same_plot(plot).path == whole.path


def test_a_stop_between_two_steps_keeps_what_is_drawn(plot):
    def stop(number, save):
        save()
        if number == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    folder = begin(plot)
    assert work(folder, lambda: saving(stop)) == 4
    kept = len(cells(folder))
    assert read_summary(folder).status == "stopped" and kept < 12 and not (folder.path / "grid.png").exists()
    assert work(folder) == 0 and len(cells(folder)) == 12
    assert events(folder, "plan")[-1].get("found") == kept


def test_the_base_is_drawn_once_for_all_plots(plot, own_home):
    folder = begin(plot)
    assert work(folder) == 0
    kept = [path for path in (own_home / "drawings").rglob("*.png") if not path.name.startswith(".")]
    assert len(kept) == 2, "two seeds, whatever the weights"
    other = begin(replace(plot, axes=(plot.axes[0], plot.axes[2])), "other")
    assert work(other) == 0
    assert events(other, "plan")[-1].get("found") == 2
    assert np.array_equal(cells(other)["z01-x01-y01.png"], cells(folder)["z01-x01-y01.png"])


def test_a_view_of_what_is_there_is_drawn_when_asked_for(plot):
    folder = begin(plot)

    def ask(number, save):
        save()
        if number == 3:
            request(folder, "sample")

    def slowly():
        saving(ask)
        from engine.runs import job

        job._LOOK_SECONDS = 0.0  # every poll looks at the disk

    assert work(folder, slowly) == 0
    files = [event.get("files")[0] for event in events(folder, "sample")]
    assert len(files) == 2
    with Image.open(folder.path / files[0]) as early, Image.open(folder.path / files[1]) as late:
        assert early.size == late.size
        blanks = [(np.asarray(sheet) == 0xF3).all(axis=2).sum() for sheet in (early, late)]
        assert blanks[0] > blanks[1]


def test_checkpoints_that_cannot_be_used_stay_blank_and_are_named(loras, tiny_base, tmp_path):
    folder = tmp_path / "loras"
    folder.mkdir()
    whole = (loras / "fox-000001.safetensors").read_bytes()
    (folder / "fox-000001.safetensors").write_bytes(whole)
    (folder / "fox-000002.safetensors").write_bytes(whole[: len(whole) // 2])
    foreign = {"lora_unet_elsewhere.lora_down.weight": torch.ones(2, 8),
               "lora_unet_elsewhere.lora_up.weight": torch.ones(8, 2)}  # fmt: skip
    import safetensors.torch

    safetensors.torch.save_file(foreign, folder / "fox-000003.safetensors")
    loaded = safetensors.torch.load_file(folder / "fox-000001.safetensors")
    broken = {key: torch.full_like(tensor, float("nan")) for key, tensor in loaded.items()}
    safetensors.torch.save_file(broken, folder / "fox-000004.safetensors")
    half = {"lora_unet_half.lora_down.weight": torch.ones(2, 8)}
    partly = loaded | foreign | half
    safetensors.torch.save_file(partly, folder / "fox-000005.safetensors")
    axes = {"x": "epoch", "y": "seed: 1, 2"}
    plot = settled(PlotRequest("a fox", tmp_path / "grid.png", axes, [str(folder)], str(tiny_base), steps=2, size="64"))
    run = begin(plot)
    assert work(run) == 0
    result = json.loads((run.path / "plot.json").read_text())["cells"]
    blank = {cell["called"] for cell in result if cell["failed"]}
    assert blank == {f"epoch {epoch}, seed {seed}" for epoch in (2, 3, 4) for seed in (1, 2)}
    said = [str(event.get("text")) for event in events(run, "warning")]
    assert len(said) == 5 and all("\n" not in sentence for sentence in said)
    assert said[0].startswith("epoch 2: blank in the grid.") and "not a whole safetensors file" in said[0]
    assert "none of its 1 modules" in said[1] and "not finite" in said[2]
    assert said[3] == "lora_unet_half of fox-000005.safetensors has only one of its two factors and is left out."
    assert said[4].startswith("epoch 5: ") and "modules fit this base (not, for one, lora_unet_elsewhere)" in said[4]
    drawn = cells(run)
    assert same({"a": drawn["x02-y01.png"]}, {"a": drawn["x06-y01.png"]}), "what fits of epoch 5 is epoch 1"
    with Image.open(plot.to) as grid:
        assert (np.asarray(grid) == 0xF3).all(axis=2).sum() > 6 * 180 * 180

    (folder / "fox-000003.safetensors").write_bytes(whole)
    assert work(run) == 0
    said = [str(event.get("text")) for event in events(run, "warning") if event.attempt == 2]
    assert any("fox-000003.safetensors is another file than when this plot was begun" in text for text in said)


def test_where_nothing_can_be_drawn_it_fails_with_the_reason(tiny_base, tmp_path):
    (tmp_path / "one.safetensors").write_bytes(b"no weights")
    asked = PlotRequest("a fox", tmp_path / "grid.png", {"x": "seed: 1, 2"}, [str(tmp_path / "one.safetensors")],
                        str(tiny_base), steps=2, size="64")  # fmt: skip
    run = begin(settled(asked))
    assert work(run) == 1
    assert "one.safetensors is not a whole safetensors file" in read_summary(run).reason


def test_a_picture_that_is_not_finite_is_the_only_blank_of_its_batch(plot):
    plot = replace(plot, axes=(plot.axes[0], parse_axis("seed: 1-4", "y")))

    def overflowing():
        from engine.base.encode import NonFiniteLatent
        from engine.draw import artist

        real, calls = artist.decode, []

        def decode(vae, latents):
            calls.append(None)
            if len(calls) in {6, 7}:  # epoch 1's second seed: in its batch, and alone
                raise NonFiniteLatent("not finite")
            return real(vae, latents)

        artist.decode = decode

    run = begin(plot)
    assert work(run, overflowing) == 0
    result = json.loads((run.path / "plot.json").read_text())["cells"]
    assert [cell["called"] for cell in result if cell["failed"]] == ["epoch 1, seed 2"]
    assert work(run) == 0 and len(cells(run)) == 12, "a resume tries it again"


def test_a_full_disk_is_said_and_the_cells_before_it_are_kept(plot):
    def full(number, save):
        if number == 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x01.png")
        save()

    folder = begin(plot)
    assert work(folder, lambda: saving(full)) == 1
    assert "the disk is full" in read_summary(folder).reason
    assert 4 <= len(cells(folder)) < 12 and work(folder) == 0 and len(cells(folder)) == 12

    def tiny_disk():
        import shutil
        from collections import namedtuple

        usage = namedtuple("usage", "total used free")
        shutil.disk_usage = lambda _: usage(10**9, 10**9 - 1000, 1000)

    fresh = begin(replace(plot, cell=100), "fresh")
    assert work(fresh, tiny_disk) == 1 and "make room" in read_summary(fresh).reason


def test_a_grid_that_cannot_be_delivered_is_kept_in_the_run(plot, tmp_path):
    plot = replace(plot, to=str(tmp_path / "gone" / "grid.png"))
    folder = begin(plot)
    assert work(folder) == 1
    assert "is drawn and lies in" in read_summary(folder).reason and (folder.path / "grid.png").is_file()
    (tmp_path / "gone").mkdir()
    assert work(folder) == 0 and (tmp_path / "gone" / "grid.png").is_file()
