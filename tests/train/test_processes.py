"""Two processes train what one process with the doubled batch trains."""

from __future__ import annotations

from dataclasses import replace

import torch
from safetensors.torch import load_file
from training_runs import events, new_run, train

from engine.plan import Length
from engine.runs.launch import start_engine
from engine.runs.summary import read_summary


def test_two_processes_equal_one_with_the_doubled_batch(small_plan, wait_for):
    plan = replace(
        small_plan,
        samples=replace(small_plan.samples, prompts=("ohwx disc",)),
        output=replace(small_plan.output, name="disc", precision="fp32"),
    )
    # Ten items in three buckets of 4, 2 and 4: with a global batch of 4 one process has an empty share once.
    one = new_run(replace(plan, length=Length(epochs=2, batch_size=4)), "one")
    assert train(one) == 0

    two = new_run(replace(plan, length=Length(epochs=2, batch_size=2)), "two")
    start_engine(two, "train", processes=2)
    wait_for(lambda: not read_summary(two).alive, "both processes have ended")
    assert read_summary(two).status == "finished", read_summary(two).log_tail

    assert events(two, "plan")[0].get("steps") == events(one, "plan")[0].get("steps")
    for name in ("disc-000001.safetensors", "disc-000002.safetensors"):
        ours, theirs = load_file(two.checkpoints / name), load_file(one.checkpoints / name)
        difference = max((ours[key] - theirs[key]).abs().max().item() for key in theirs)
        # Sums in another order differ in their last bit, and Adam's first steps blow that up where a gradient is
        # close to zero: a tenth of one step's rate (1e-4) is the bound.
        assert difference <= 1e-5, difference
    assert any(tensor.abs().max() > 0 for key, tensor in theirs.items() if "lora_up" in key)
    losses = [[round(loss, 4) for e in events(run, "step") for loss in e.get("losses")] for run in (one, two)]
    assert torch.allclose(*map(torch.tensor, losses), atol=2e-4)
