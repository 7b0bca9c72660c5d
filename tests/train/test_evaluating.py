"""What is measured and drawn during a training is the model as it will be used: no dropout, encoders included."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from training_runs import forked, new_run

from engine.plan import Length, Network
from engine.runs.job import Job


def prepared_for(plan, name):
    from engine.train.prepare import prepare
    from engine.train.recipe import start_accelerator

    return prepare(Job(new_run(plan, name), None), plan, start_accelerator())


@pytest.fixture
def with_encoders(small_plan):
    return replace(
        small_plan,
        network=Network(rank=4, dropout=0.5, train_text_encoders=True),
        pictures=replace(small_plan.pictures, hold_out=2),
        length=Length(batch_size=2),
    )


def test_validation_and_samples_are_free_of_dropout(with_encoders, tmp_path):
    def check() -> int:
        prepared = prepared_for(with_encoders, "dropout")
        trainer, sampler = prepared.trainer, prepared.sampler
        torch.nn.init.normal_(trainer.flat[0].weights, std=0.05)
        group = next(iter(prepared.schedule.groups(0)))
        trainer.step(0, group)
        held_out = prepared.examples.held_out
        assert trainer.validation_loss(held_out) == trainer.validation_loss(held_out)
        assert trainer.unet.training and all(encoder.training for encoder in trainer.encoders)
        with trainer.evaluating():
            first = list(sampler.draw(trainer.unet, tmp_path, "one", lambda done, total: None))
            second = list(sampler.draw(trainer.unet, tmp_path, "two", lambda done, total: None))
        assert (tmp_path / first[0]).read_bytes() == (tmp_path / second[0]).read_bytes()
        return 0

    assert forked(check) == 0


@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit", "adafactor", "prodigy"])
def test_a_dry_step_changes_nothing(small_plan, optimizer):
    from engine.train.optimizer import build_optimizer

    def check() -> int:
        prepared = prepared_for(small_plan, "dry")
        trainer = prepared.trainer
        trainer.use_optimizer(build_optimizer(optimizer, trainer.groups, prepared.plan.optimizer))
        before = trainer.flat[0].weights.detach().clone()
        groups = [{k: v for k, v in g.items() if k != "params"} for g in trainer.optimizer.param_groups]
        trainer.dry_step(next(iter(prepared.schedule.groups(0)))[0])
        assert torch.equal(trainer.flat[0].weights, before) and not trainer.optimizer.state
        assert not trainer.flat[0].gradients.any()
        after = [{k: v for k, v in g.items() if k != "params"} for g in trainer.optimizer.param_groups]
        assert repr(after) == repr(groups)
        prepared.sampler.try_one(trainer)
        return 0

    assert forked(check) == 0


def test_the_card_is_limited_by_its_number(monkeypatch):
    """A process that is alone has the device "cuda" without a number, which torch's limit refuses."""
    from engine.train.memory import apply_limit

    class Card:
        total_memory = 24_000_000_000

    told = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: Card())
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda share, device: told.append((round(share, 4), device))
    )
    apply_limit(torch.device("cuda"), 12.0, 0.95)
    apply_limit(torch.device("cuda", 1), "auto")
    apply_limit(torch.device("cpu"), 12.0)
    assert told == [(0.475, 0), (1.0, 1)]


def test_near_full_cards_count_as_out_of_memory():
    from engine.train.memory import is_out_of_memory

    words = ["CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling", "cuDNN error: "
             "CUDNN_STATUS_ALLOC_FAILED", "DefaultCPUAllocator: can't allocate memory: you tried"]
    assert all(is_out_of_memory(RuntimeError(text)) for text in words)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
