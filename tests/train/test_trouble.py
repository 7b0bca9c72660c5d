"""Trouble during training: NaN, memory, requests, changed pictures; each is told and survived."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from training_runs import events, new_run, train

from engine.plan import Length, PictureFolder
from engine.runs.summary import read_summary
from engine.train.memory import Rung, fit_to_memory, ladder


def poison(steps: set[int]):
    """Makes the loss of these steps NaN, in the child that trains."""
    from engine.train.trainer import Trainer

    real_step, real_losses = Trainer.step, Trainer.picture_losses

    def step(self, number, groups):
        self.poisoned = number in steps
        return real_step(self, number, groups)

    def losses(self, batch):
        found = real_losses(self, batch)
        return found * float("nan") if getattr(self, "poisoned", False) else found

    Trainer.step, Trainer.picture_losses = step, losses


def longer(plan):
    return replace(plan, length=Length(epochs=3, batch_size=2), samples=replace(plan.samples, prompts=()))


def test_a_lone_nan_step_is_named_and_changes_nothing(small_plan):
    folder = new_run(longer(small_plan))
    assert train(folder, lambda: poison({3})) == 0
    warnings = [e.get("text") for e in events(folder, "warning") if e.get("step")]
    assert len(warnings) == 1 and warnings[0].startswith("Step 4 gave no finite gradient") and "disc-" in warnings[0]
    last = sorted(folder.checkpoints.iterdir())[-1]
    assert all(tensor.isfinite().all() for tensor in load_file(last).values())


def test_nan_again_and_again_lowers_the_rate_once_then_stops_with_the_reason(small_plan):
    folder = new_run(longer(small_plan))
    assert train(folder, lambda: poison(set(range(6, 100)))) == 1
    texts = [e.get("text") for e in events(folder, "warning") if e.get("step")]
    assert sum("going back to the last saved state" in text for text in texts) == 1
    reason = events(folder, "finished")[-1].get("reason")
    assert "at half the learning rate" in reason and "finite numbers" in reason
    for path in folder.checkpoints.iterdir():
        assert all(tensor.isfinite().all() for tensor in load_file(path).values()), path


def test_out_of_memory_steps_down_the_ladder_and_goes_on(small_plan):
    undisturbed = new_run(longer(small_plan), "plenty")
    assert train(undisturbed) == 0

    def short_of_memory():
        from engine.train.trainer import Trainer

        real = Trainer.picture_losses

        def losses(self, batch):
            if len(batch.texts) > 1 and self.unet.training:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return real(self, batch)

        Trainer.picture_losses = losses

    folder = new_run(longer(small_plan), "scarce")
    assert train(folder, short_of_memory) == 0
    texts = [e.get("text") for e in events(folder, "warning")]
    assert any("Memory ran out at step 1: going on with 1 picture at a time" in text for text in texts)
    ours_and_theirs = (sorted(run.checkpoints.iterdir()) for run in (folder, undisturbed))
    for ours, theirs in zip(*ours_and_theirs, strict=True):
        one, other = load_file(ours), load_file(theirs)
        assert all(torch.allclose(one[key].float(), other[key].float(), atol=2e-3) for key in one)


def test_the_ladder_ends_in_a_sentence():
    assert ladder(4) == (Rung(False, 4), Rung(False, 2), Rung(True, 4), Rung(True, 2), Rung(True, 1))
    assert ladder(1) == (Rung(False, 1), Rung(True, 1))
    tried = []

    def attempt(rung):
        tried.append(rung)
        if not (rung.checkpointing and rung.micro_batch <= 2):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    assert fit_to_memory(ladder(4), 0, attempt) == 3 and len(tried) == 4
    with pytest.raises(Exception, match="does not fit in memory even one picture at a time"):
        fit_to_memory(ladder(2), 0, lambda rung: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))


def test_gradient_checkpointing_changes_nothing_but_memory(small_plan):
    def with_checkpointing():
        import engine.train.recipe as recipe

        recipe.ladder = lambda batch: (Rung(True, batch),)

    plain, checkpointed = new_run(longer(small_plan), "plain"), new_run(longer(small_plan), "checkpointed")
    assert train(plain) == 0 and train(checkpointed, with_checkpointing) == 0
    one, other = (load_file(sorted(run.checkpoints.iterdir())[-1]) for run in (plain, checkpointed))
    assert all(torch.allclose(one[key].float(), other[key].float(), atol=1e-4) for key in one)


def test_pictures_that_changed_since_the_start_are_refused_and_edited_captions_told(small_plan, painted, tmp_path):
    import shutil

    pictures = tmp_path / "pictures"
    shutil.copytree(painted, pictures)
    plan = replace(small_plan, pictures=replace(small_plan.pictures, folders=(PictureFolder(str(pictures), 2),)))
    folder = new_run(plan)

    def die_early():
        import os
        import signal

        from engine.train.trainer import Trainer

        Trainer.step = lambda *_: os.kill(os.getpid(), signal.SIGKILL)

    assert train(folder, die_early) == -9
    (pictures / "disc-1.txt").write_text("ohwx disc, quite another ground", encoding="utf-8")
    assert train(folder) == 0
    assert any("1 captions were edited" in e.get("text") or "1 caption was" in e.get("text")
               for e in events(folder, "warning"))

    other = new_run(plan, "other")
    assert train(other, die_early) == -9
    Image.new("RGB", (90, 90), "red").save(pictures / "new.png")
    assert train(other) == 1
    reason = read_summary(other).reason
    assert reason and "1 new, 0 gone" in reason and "new.png" in reason


def test_no_event_holds_an_absolute_path(small_plan, painted):
    folder = new_run(small_plan)
    assert train(folder) == 0
    text = folder.events.read_text(encoding="utf-8")
    assert str(painted) not in text and str(folder.path) not in text
    assert all(json.loads(line)["v"] == 1 for line in text.splitlines())


def test_a_full_disk_is_named_and_the_run_resumes_when_there_is_room(small_plan, tmp_path):
    """A state that does not fit leaves the earlier one whole; resuming finishes the run."""
    import errno

    folder = new_run(longer(small_plan))

    def full_after_the_first_state():
        import engine.train.state as state

        real, saves = state.torch.save, []

        def save(content, file):
            saves.append(None)
            if len(saves) > 1:
                file.write(b"half of it")
                raise OSError(errno.ENOSPC, "No space left on device")
            real(content, file)

        state.torch.save = save

    assert train(folder, full_after_the_first_state) == 1
    assert "disk is full" in events(folder, "finished")[-1].get("reason")
    assert [path.name for path in folder.state.glob("*.pt")] == ["step-00000000.pt"]
    assert not [path for path in folder.state.iterdir() if path.name.startswith(".")]
    assert train(folder) == 0
