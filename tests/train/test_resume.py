"""A run killed anywhere and resumed gives, bit for bit, the weights of a run that was left alone."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_runs import events, new_run, train

from engine.plan import Captions, Loss, Network, Optimizer
from engine.runs.summary import read_summary

# Where the engine is killed: a function of the engine, and which of its calls. Before it runs, or right after.
KILLS = [
    ("engine.train.cache.encode_texts", 1, "before"),
    ("engine.train.cache.encode_picture", 3, "after"),
    ("engine.train.prepare.attach", 1, "before"),
    ("engine.train.loop.save_state", 1, "before"),
    ("engine.train.trainer.Trainer.step", 3, "after"),
    ("engine.train.trainer.Trainer._apply", 5, "before"),
    ("engine.train.checkpoint.save_lora", 1, "before"),
    ("engine.train.checkpoint.verify", 1, "after"),
    ("engine.files._flush", 12, "before"),
    ("engine.train.loop.save_state", 2, "before"),
    ("engine.train.samples.save_png", 2, "before"),
    ("engine.train.trainer.Trainer.step", 7, "after"),
]


def kill_at(target: str, call: int, when: str):
    """Replaces a function so that its n-th call ends the process by SIGKILL, as a power cut would."""
    import importlib

    module, _, name = target.rpartition(".")
    try:
        owner = importlib.import_module(module)
    except ModuleNotFoundError:
        module, _, owner_name = module.rpartition(".")
        owner = getattr(importlib.import_module(module), owner_name)
    real, calls = getattr(owner, name), []

    def deadly(*args, **kwargs):
        calls.append(None)
        if len(calls) == call and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, deadly)


def weights(folder) -> dict[str, dict[str, torch.Tensor]]:
    return {path.name.removeprefix(folder.name): load_file(path) for path in sorted(folder.checkpoints.iterdir())}


def assert_same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].keys() == other[name].keys()
        assert all(torch.equal(tensor, other[name][key]) for key, tensor in one[name].items()), name


@pytest.fixture
def thorough(small_plan):
    """Everything that draws random numbers at once: shuffle, dropouts, flip, offset, a decaying rate."""
    return replace(
        small_plan,
        network=Network(rank=4, dropout=0.1),
        captions=Captions(shuffle=True, dropout=0.2),
        pictures=replace(small_plan.pictures, flip=True, hold_out=1),
        optimizer=Optimizer(learning_rate=1e-3, scheduler="cosine", warmup_steps=2),
        loss=Loss(noise_offset=0.05, min_snr_gamma=5.0, multires_noise_iterations=3),
        output=replace(small_plan.output, name="disc", precision="fp32"),
    )


def test_killed_anywhere_and_resumed_is_as_if_left_alone(thorough):
    undisturbed = new_run(thorough, "undisturbed")
    assert train(undisturbed) == 0
    expected = weights(undisturbed)
    assert len(expected) == 2

    for index, kill in enumerate(KILLS):
        folder = new_run(thorough, f"killed-{index}")
        assert train(folder, lambda kill=kill: kill_at(*kill)) == -signal.SIGKILL, kill
        assert read_summary(folder).status == "died", kill
        assert train(folder) == 0, kill
        assert_same(weights(folder), expected)
        leftovers = [path for path in Path(folder.path).rglob(".*") if path.is_file()]
        assert not [p for p in leftovers if p.parent == folder.checkpoints], "half-written checkpoints are cleared"


def test_stop_saves_and_resume_goes_on_from_there(thorough):
    undisturbed = new_run(thorough, "undisturbed")
    assert train(undisturbed) == 0

    folder = new_run(thorough, "stopped")

    def stop_at_step_three():
        from engine.train.trainer import Trainer

        real = Trainer.step

        def step(self, number, groups):
            if number == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return real(self, number, groups)

        Trainer.step = step

    assert train(folder, stop_at_step_three) == 4
    assert [e.get("outcome") for e in events(folder, "finished")] == ["stopped"]
    midway = [e for e in events(folder, "checkpoint") if "step" in e.get("file")]
    assert len(midway) == 1 and midway[0].get("step") == 4
    assert train(folder) == 0
    kept = {name: tensors for name, tensors in weights(folder).items() if "step" not in name}
    assert_same(kept, weights(undisturbed))
    assert [e.get("from_step") for e in events(folder, "plan")] == [1, 5]


def test_a_signal_in_the_middle_of_a_save_leaves_a_whole_file(thorough):
    """Ctrl-C and SIGTERM only raise a flag: the file that is being written is finished first."""
    folder = new_run(thorough, "signalled")

    def signal_while_saving():
        import engine.lora.file as lora_file

        real = lora_file.weight_hashes

        def hashes(data):
            os.kill(os.getpid(), signal.SIGINT)
            return real(data)

        lora_file.weight_hashes = hashes

    assert train(folder, signal_while_saving) == 4
    saved = sorted(folder.checkpoints.iterdir())
    assert saved and all(load_file(path) for path in saved)
    assert events(folder, "checkpoint")[0].get("verified").endswith("difference 0")
    assert train(folder) == 0
    assert (folder.path / events(folder, "checkpoint")[-1].get("file")).name == "disc-000002.safetensors"
