"""The whole main job through the command: train on the demo's base and pictures, kill, resume, choose, draw."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from engine.demo import copy_pictures, demo_plan
from engine.plan_file import with_changes, write_plan
from engine.runs.folder import find_run
from engine.runs.lock import lock_holder
from engine.runs.summary import read_summary


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """The demo's own plan with fewer epochs and repeats, beside its pictures."""
    copy_pictures(tmp_path)
    short = with_changes(
        demo_plan(),
        {"length.epochs": 3, "samples.steps": 2, "samples.prompts": ("an ohwx animal",)},
    )
    path = tmp_path / "fox.toml"
    path.write_text(write_plan(short).replace("repeats = 4", "repeats = 1"))
    return path


def test_train_kill_resume_export(lorasmith, begin, plan, tmp_path, until):
    one_thread = {"OMP_NUM_THREADS": "1"}
    said = lorasmith("train", plan, "--detach", "--name", "fox", **one_thread)
    assert said.code == 0, said.err
    assert "fox has begun (process " in said.out
    run = find_run("fox")
    until(lambda: list(run.checkpoints.glob("demo-000001.safetensors")) or not lock_holder(run), 240)
    holder = lock_holder(run)
    assert holder is not None, read_summary(run)
    os.kill(holder.pid, signal.SIGKILL)
    until(lambda: lock_holder(run) is None)

    died = lorasmith("status", "fox")
    assert died.code == 4
    assert "fox: died" in died.out and "`lorasmith resume fox` goes on from the last saved state" in died.out
    resumed = lorasmith("resume", "fox", **one_thread)
    assert resumed.code == 0 and "fox goes on from its last saved state" in resumed.out
    watched = begin("watch", "fox")
    out, errors = watched.communicate(timeout=240)
    assert (watched.returncode, errors) == (0, ""), out
    assert "3 checkpoints in" in " ".join(out.split())
    assert sorted(path.name for path in run.checkpoints.iterdir()) == [
        "demo-000001.safetensors", "demo-000002.safetensors", "demo-000003.safetensors",
    ]  # fmt: skip

    target = tmp_path / "fox.safetensors"
    chosen = lorasmith("choose", "fox", "--epoch", 2, "--to", target, "--alone")
    assert chosen.code == 0 and "Trigger words: ohwx animal." in chosen.out
    assert target.stat().st_size >= (run.checkpoints / "demo-000002.safetensors").stat().st_size
    picture = tmp_path / "fox.png"
    # Libraries may put a line of their own on the engine's stderr, of whatever width.
    drawn = lorasmith("draw", "an ohwx animal", "--to", picture, "--lora", target, "--steps", 2, columns=False,
                      **one_thread)  # fmt: skip
    assert drawn.code == 0, drawn.err
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_demo_stops_on_ctrl_c_after_saving_and_can_be_resumed(begin, lorasmith, tmp_path):
    demo = begin("demo", "--out", tmp_path / "here", OMP_NUM_THREADS="1")
    run_folder = tmp_path / "here" / "demo"
    said = ""
    while "Ctrl-C saves and stops it." not in said:
        said = demo.stdout.readline()
        assert said, "the demo ended before it began"
    demo.send_signal(signal.SIGINT)
    out, errors = demo.communicate(timeout=240)
    assert (demo.returncode, errors) == (3, ""), out
    told = " ".join(out.split())
    assert "Asked it to save and stop; Ctrl-C again stops it at once." in told
    assert "demo has stopped: stopped after saving, as asked." in told
    assert lorasmith("status", run_folder).code == 3


@pytest.mark.slow
def test_demo_goes_to_the_chosen_lora_three_minutes_of_training_and_five_of_comparing(begin, tmp_path):
    demo = begin("demo", "--out", tmp_path)
    out, errors = demo.communicate(timeout=180 + 300)
    assert (demo.returncode, errors) == (0, ""), out
    last = " ".join(out.split()).rpartition("The 10 checkpoints, one an epoch, are in ")[2]
    assert str(tmp_path / "demo" / "checkpoints") in last and "`lorasmith draw" in last
    assert len(list((tmp_path / "demo" / "checkpoints").glob("*.safetensors"))) == 10
    assert "fidelity" in last and "All pictures, on one page:" in last
    assert (tmp_path / "demo-compare" / "compare" / "page.html").is_file()
    assert list((tmp_path / "demo").glob("*.safetensors")), "the choice, under its final name"
