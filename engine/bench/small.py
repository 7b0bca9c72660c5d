"""Figures that every device can give: the engine's own overhead, the data path, saving and starting."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from engine.bench.figures import Figure
from engine.plan import BaseChoice, Length, Machine, Network, PictureFolder, Pictures, Plan, Subject

STEPS_A_TURN = 5
_WAITS, _OPTIMIZER = ("aten::_local_scalar_dense", "aten::nonzero"), "aten::_fused_adamw_"
TURNS = 9  # engine and bare loop take turns, so that a machine whose speed drifts slows both alike


def measure_small(report: Callable[[str], None]) -> list[Figure]:
    """Runs every small figure; `report` is told what is being measured."""
    with tempfile.TemporaryDirectory(prefix="lorasmith-bench-") as place:
        folder = Path(place)
        report("painting pictures")
        pictures = paint_pictures(folder / "pictures", 8, (256, 192))
        report("preparing a small training")
        prepared = small_training(folder, pictures)
        report("the engine's step against a bare loop")
        figures = [step_ratio(prepared.trainer, next(iter(prepared.schedule.groups(0))))]
        figures += [host_syncs(prepared.trainer, list(prepared.schedule.groups(0)))]
        report("saving")
        figures += saving(prepared, folder)
        report("reading pictures")
        figures += data_path(folder)
    report("starting")
    figures += starting()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures.append(Figure("peak memory of this bench", peak, "MiB"))
    return figures


def paint_pictures(folder: Path, count: int, size: tuple[int, int], kind: str = "PNG") -> Path:
    """Noise on gradients: as hard to decode as photographs are."""
    import numpy
    from PIL import Image

    folder.mkdir(parents=True)
    draw = numpy.random.default_rng(0)
    width, height = size
    slope = numpy.linspace(0, 160, width)[None, :, None] + numpy.linspace(0, 60, height)[:, None, None]
    for index in range(count):
        grain = draw.normal(0, 12, (height, width, 3))
        pixels = (slope + grain + 10 * index).clip(0, 255).astype("uint8")
        Image.fromarray(pixels).save(folder / f"picture-{index:03d}.{'jpg' if kind == 'JPEG' else 'png'}", quality=90)
    return folder


def small_training(folder: Path, pictures: Path, *, optimizer: str = "adamw", precision: str = "auto") -> Any:
    """A training on a tiny base, prepared as any other, in a folder of its own.

    An 8-bit optimizer is put in after preparing, since a plan gets it on CUDA only.
    """
    from engine.base.tiny import tiny_base_folder
    from engine.plan_file import write_plan
    from engine.runs.folder import create_run
    from engine.runs.job import Job
    from engine.train.optimizer import build_optimizer
    from engine.train.prepare import prepare
    from engine.train.recipe import start_accelerator

    plan = Plan(
        subject=Subject("concept", "ohwx", "thing"),
        pictures=Pictures(folders=(PictureFolder(str(pictures), 4),)),
        base=BaseChoice(model=str(tiny_base_folder(folder))),
        network=Network(rank=8),
        length=Length(batch_size=2),
        machine=Machine(precision=precision),  # type: ignore[arg-type]
    )
    run = create_run("bench", write_plan(plan), parent=folder)
    prepared = prepare(Job(run, None), plan, start_accelerator())
    if optimizer != prepared.resolved.optimizer:
        prepared.trainer.use_optimizer(build_optimizer(optimizer, prepared.trainer.groups, plan.optimizer))
    return prepared


def step_ratio(trainer: Any, group: list) -> Figure:
    """Seconds a step of the engine over seconds a step of forward, backward, clip and AdamW on the same model."""
    batch = trainer.batches.build(group[0], _places(group[0]))
    parameters = trainer.adapter.parameters_unet()
    bare = torch.optim.AdamW(parameters, lr=1e-6, fused=True)

    def bare_step() -> None:
        predicted = trainer.unet(
            batch.latents.to(trainer.resolved.base_dtype), batch.timesteps, encoder_hidden_states=batch.hidden,
            added_cond_kwargs={"text_embeds": batch.pooled, "time_ids": batch.time_ids},
        )[0]  # fmt: skip
        torch.nn.functional.mse_loss(predicted.float(), batch.noise).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        bare.step()
        bare.zero_grad(set_to_none=False)

    trainer.set_rates(0, 1, 1e-3)
    ratios = []
    for turn in range(TURNS):
        ours = _timed(lambda: trainer.step(0, [group[0]]))
        theirs = _timed(bare_step)
        if turn:  # the first turn warms up
            ratios.append(ours / theirs)
    spread = f"{min(ratios):.3f} to {max(ratios):.3f} over {len(ratios)} turns of {STEPS_A_TURN} steps"
    return Figure("engine step / bare step", statistics.median(ratios), "", "at most 1.05", spread)


def host_syncs(trainer: Any, groups: list) -> Figure:
    """How often the host waits for the device in ten steps between two log points, by the profiler's count.

    Reading a cached file, and the step count that torch's CPU kernel of AdamW keeps, are numbers the host holds
    itself: they are left out here as they never reach a device.
    """
    from torch.profiler import ProfilerActivity, profile

    steps = groups[:10]
    for index, group in enumerate(steps):
        trainer.step(index, group)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for index, group in enumerate(steps):
            trainer.step(index, group)
    asked = _waits(found)
    return Figure("host synchronisations between two log points", asked, "", "0", f"in {len(steps)} steps")


def _waits(found: Any) -> int:
    """From the profiler's trace: its `events()` link a quarter of a million of them first, which takes much longer."""
    with tempfile.TemporaryDirectory(prefix="lorasmith-bench-") as place:
        found.export_chrome_trace(path := str(Path(place) / "trace.json"))
        trace = json.loads(Path(path).read_text(encoding="utf-8"))["traceEvents"]
    named = [event for event in trace if event.get("ph") == "X" and event["name"] in (*_WAITS, _OPTIMIZER)]
    steps = [event for event in named if event["name"] == _OPTIMIZER]

    def inside(event: dict[str, Any]) -> bool:
        return any(
            step["tid"] == event["tid"] and step["ts"] <= event["ts"] <= step["ts"] + step["dur"] for step in steps
        )

    return sum(event["name"] in _WAITS and not inside(event) for event in named)


def saving(prepared: Any, folder: Path) -> list[Figure]:
    """What the training waits for at a checkpoint: the file, its verification, the state."""
    from engine.lora.file import save_lora
    from engine.lora.verify import verify
    from engine.train.state import Progress, save_state

    trainer, path = prepared.trainer, folder / "bench.safetensors"
    start = time.perf_counter()
    save_lora(trainer.adapter, path, "bf16", {})
    written = time.perf_counter()
    verify(path, trainer.adapter)
    verified = time.perf_counter()
    save_state(folder / "state", Progress(), trainer.adapter, trainer.optimizer)
    done = time.perf_counter()
    size = f"{path.stat().st_size / 1e6:.2f} MB"
    return [
        Figure("checkpoint written", written - start, "s", remark=size),
        Figure("checkpoint verified", verified - written, "s"),
        Figure("state saved", done - verified, "s"),
    ]


def data_path(folder: Path) -> list[Figure]:
    """Pictures a second through scan, decode, resize and cut, at one megapixel, on one core."""
    from engine.dataset.buckets import BucketRules, fit
    from engine.dataset.captions import CaptionRules
    from engine.dataset.picture import cut, open_rgb
    from engine.dataset.scan import Folder, scan

    count = 24
    place = paint_pictures(folder / "megapixels", count, (1216, 832), "JPEG")
    start = time.perf_counter()
    dataset = scan([Folder(place)], CaptionRules(), decode=False)
    scanned = time.perf_counter()
    rules = BucketRules(1024, 64, 256, 2048)
    for picture in dataset.pictures:
        cut(open_rgb(picture.path), fit(picture.width, picture.height, rules))
    done = time.perf_counter()
    return [
        Figure("scan (headers, hashes, captions)", count / (scanned - start), "pictures/s"),
        Figure("decode, resize, cut to the bucket", count / (done - scanned), "pictures/s", "at least 25 a core"),
    ]


def starting() -> list[Figure]:
    """Seconds from the command to its first useful moment, the median of three starts."""
    commands = {
        "`lorasmith --help`": ["-m", "tui", "--help"],
        "engine ready to train (imports)": ["-c", "import engine.train.recipe"],
    }
    from engine.runs.launch import engine_environment

    figures = []
    for name, arguments in commands.items():
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-P", *arguments], env=engine_environment({}), check=True, capture_output=True
            )
            seconds.append(time.perf_counter() - start)
        goal = "under 0.3" if "help" in name else ""
        figures.append(Figure(name, statistics.median(seconds), "s", goal))
    return figures


def _timed(step: Callable[[], object]) -> float:
    _wait()
    start = time.perf_counter()
    for _ in range(STEPS_A_TURN):
        step()
    _wait()
    return (time.perf_counter() - start) / STEPS_A_TURN


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _places(examples: list) -> list:
    from engine.train.batches import Place

    return [Place(0, index) for index in range(len(examples))]
