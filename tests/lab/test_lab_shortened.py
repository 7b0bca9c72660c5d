"""Making the base again from the command, shortened to minutes: the loss falls and the named colours are obeyed."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from engine.lab.judge import load_judge
from engine.lab.plan import BaseSettings, LabPlan, ReaderSettings, SceneSettings, VaeSettings, lab_toml
from engine.lab.proof import judge_scenes, shares
from engine.lab.scenes import COLOURS, Scene, Style, sample_scene
from engine.lab.sheet import draw, prompts_of
from engine.runs.events import EventReader
from engine.runs.folder import create_run

PROJECT = Path(__file__).parents[2]
SHORTENED = LabPlan(
    release=60,
    proof=20,
    sheet=10,
    autoencoder=VaeSettings(steps=500),
    decoder=VaeSettings(steps=20, noise=0.05, decoder_only=True),
    scenes=SceneSettings(square=4096, wide=64, tall=64),
    base=BaseSettings(steps=360, warmup=40, ema=0.98),
    judge=ReaderSettings(steps=20),
    encoder=ReaderSettings(steps=20),
    perceptual=ReaderSettings(steps=20),
)


def nearest_colour(picture: Image.Image) -> str:
    """The named colour nearest to the median of the picture's four corners (6 x 6 pixels each)."""
    pixels = np.asarray(picture.convert("RGB"), dtype=float)
    corners = [pixels[top, left] for top in (slice(0, 6), slice(-6, None)) for left in (slice(0, 6), slice(-6, None))]
    seen = np.median(np.concatenate([corner.reshape(-1, 3) for corner in corners]), axis=0)
    return min(COLOURS, key=lambda name: float(np.abs(seen - COLOURS[name]).sum()))


def plain_scenes(count: int) -> list[Scene]:
    """Combinations never trained on, on plain grounds of named colours."""
    rng, chosen = random.Random(99), []
    while len(chosen) < count:
        scene = sample_scene(rng, styles=[Style.FLAT, Style.RENDER], held_out=True)
        if scene.ground.kind == "plain" and scene.place == "centre" and scene.count == 1:
            chosen.append(scene)
    return chosen


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_shortened_run_from_nothing_lowers_the_loss_and_obeys_the_colours(tmp_path: Path):
    run = create_run("lab", lab_toml(SHORTENED), kind="lab", parent=tmp_path)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "engine", "lab", str(run.path)],
        cwd=PROJECT,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)},
        check=False,
    )
    assert done.returncode == 0, run.log.read_text()[-2000:]

    first = SHORTENED.autoencoder.steps + SHORTENED.decoder.steps
    last = first + SHORTENED.base.steps + SHORTENED.release
    found = EventReader(run.events).poll()
    losses = [e.fields["loss"] for e in found if e.name == "step" and first < e.fields["step"] <= last]
    quarter = len(losses) // 4
    assert statistics.fmean(losses[-quarter:]) < 0.6 * statistics.fmean(losses[:quarter]), losses

    pipeline = StableDiffusionXLPipeline.from_pretrained(run.path / "base", dtype=torch.float32)
    scenes = plain_scenes(32)
    pictures = draw(pipeline, prompts_of(scenes))
    colours = [nearest_colour(picture) == scene.ground.colour for picture, scene in zip(pictures, scenes, strict=True)]
    assert sum(colours) / len(colours) > 0.7, f"{sum(colours)} of {len(colours)}"  # one in eight by chance
    # The released judge, which never saw this base, agrees: ground of all kinds, one right in 36 by chance.
    judge = load_judge(PROJECT / "presets" / "base" / "readers" / "judge.safetensors")
    right = shares(judge_scenes(lambda prompts: draw(pipeline, prompts), judge, scenes))
    assert right["ground"] > 0.6, right
