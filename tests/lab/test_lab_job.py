"""The job that makes the base: from a job.toml to a folder that the stock pipeline and this engine load."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from engine.errors import PlanError
from engine.lab.encoder import load_encoder
from engine.lab.judge import load_judge
from engine.lab.perceptual import load_perceptual
from engine.lab.plan import (
    BaseSettings,
    LabPlan,
    ReaderSettings,
    SceneSettings,
    VaeSettings,
    lab_toml,
    read_lab_plan,
)
from engine.lab.sheet import draw
from engine.runs.events import EventReader
from engine.runs.folder import RunFolder, create_run

TINY = LabPlan(
    release=1,
    proof=4,
    sheet=2,
    autoencoder=VaeSettings(steps=2, batch=2, warmup=1),
    decoder=VaeSettings(steps=1, batch=2, noise=0.1, decoder_only=True),
    scenes=SceneSettings(square=4, wide=2, tall=2),
    base=BaseSettings(steps=2, batch=2, warmup=1),
    judge=ReaderSettings(steps=2, batch=4),
    encoder=ReaderSettings(steps=2, batch=4),
    perceptual=ReaderSettings(steps=2, batch=4),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A whole, tiny run of the job."""
    run = create_run("lab", lab_toml(TINY), kind="lab", parent=tmp_path_factory.mktemp("runs"))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "engine", "lab", str(run.path)],
        capture_output=True,
        timeout=120,
        text=True,
        cwd=Path(__file__).parents[2],
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stdout + done.stderr + run.log.read_text()
    return run


def test_the_plan_comes_back_from_its_toml_and_names_a_wrong_key(tmp_path: Path):
    path = tmp_path / "job.toml"
    path.write_text(lab_toml(TINY))
    assert read_lab_plan(path) == TINY
    path.write_text('kind = "lab"\n[base]\nsteps = 7\n')
    assert read_lab_plan(path) == dataclasses.replace(LabPlan(), base=BaseSettings(steps=7))
    for wrong, word in (
        ("[base]\nstep = 7", "base.step"),
        ("[base]\nsteps = -1", "base.steps"),
        ("[bass]", "bass"),
    ):
        path.write_text(wrong)
        with pytest.raises(PlanError, match=word):
            read_lab_plan(path)


def test_the_record_counts_the_steps_of_all_parts_and_ends_well(finished: RunFolder):
    events = EventReader(finished.events).poll()
    steps = [event.fields["step"] for event in events if event.name == "step"]
    assert steps == sorted(steps) and steps[-1] == TINY.steps
    assert events[-1].name == "finished" and events[-1].fields["outcome"] == "ok"


def test_the_stock_pipeline_loads_the_folder_and_draws_one_picture_a_seed(finished: RunFolder):
    pipeline = StableDiffusionXLPipeline.from_pretrained(finished.path / "base", dtype=torch.float32)
    first, again = (draw(pipeline, ["a dog on a blue ground"], seed=3, steps=2)[0] for _ in range(2))
    assert first.size == (64, 64) and first.tobytes() == again.tobytes()


def test_judge_encoders_and_table_are_written(finished: RunFolder):
    assert load_judge(finished.path / "judge.safetensors")
    assert load_encoder(finished.path / "encoder.safetensors")
    assert load_perceptual(finished.path / "perceptual.safetensors")
    assert "| all | 4 |" in (finished.path / "proof.md").read_text()
    assert len(list(finished.samples.glob("sheet-*.png"))) == 2
