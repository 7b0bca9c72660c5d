"""A bad step leaves weights and optimizer state untouched, for every optimizer; rates follow their curves."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from engine.plan import Optimizer
from engine.train.optimizer import MaskedUpdate, RateGroup, build_optimizer, rate_factor

NAMES = ["adamw", "adamw8bit", "lion8bit", "adafactor", "prodigy"]
BAD, GOOD = torch.tensor(True), torch.tensor(False)


def update_of(name: str) -> tuple[torch.nn.Parameter, MaskedUpdate]:
    """One weight of 64 x 128 and the masked update of an optimizer over it."""
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(64, 128))
    group = RateGroup([weight], 1.0 if name == "prodigy" else 1e-3)
    return weight, MaskedUpdate(build_optimizer(name, [group], Optimizer()))


def gradient_of(weight: torch.nn.Parameter, seed: int) -> torch.Tensor:
    return torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))


def states(update: MaskedUpdate) -> list[torch.Tensor]:
    return [v for state in update.optimizer.state.values() for v in state.values() if isinstance(v, torch.Tensor)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_bad_gradient_never_reaches_weights_or_state(name, poison):
    weight, update = update_of(name)
    weight.grad.fill_(poison)
    start = weight.detach().clone()
    update.step(BAD)
    assert torch.equal(weight, start), "the first step, before the optimizer has any state"

    for seed in range(2):
        weight.grad.copy_(gradient_of(weight, seed))
        update.step(GOOD)
    assert not torch.equal(weight, start)

    moved, state = weight.detach().clone(), copy.deepcopy(states(update))
    weight.grad.fill_(poison)
    update.step(BAD)
    assert torch.equal(weight, moved)
    assert len(state) >= 1
    for before, after in zip(state, states(update), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("name", NAMES)
def test_a_good_step_is_the_optimizers_own(name):
    weight, update = update_of(name)
    other, plain = update_of(name)
    for seed in range(3):
        weight.grad.copy_(gradient_of(weight, seed))
        other.grad.copy_(gradient_of(weight, seed))
        update.step(GOOD)
        plain.optimizer.step()
    assert torch.equal(weight, other)


def test_flat_adamw_is_pytorchs_plain_adamw_on_each_weight():
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(8, 4)), torch.nn.Parameter(torch.randn(3, 5, 2, 2))]
    others = [torch.nn.Parameter(weight.detach().clone()) for weight in weights]
    group = RateGroup(weights, 1e-3)
    update = MaskedUpdate(build_optimizer("adamw", [group], Optimizer()))
    plain = torch.optim.AdamW(others, lr=1e-3, weight_decay=0.01, foreach=False, fused=False)
    for _ in range(3):
        for model in (weights, others):
            sum((weight**3).sum() for weight in model).backward()
        update.step(GOOD)
        plain.step()
        group.flat.zero()
        plain.zero_grad()
    for weight, other in zip(weights, others, strict=True):
        assert torch.allclose(weight, other, atol=1e-6)


def test_rates_warm_up_and_decay():
    plan = Optimizer(scheduler="constant", warmup_steps=4)
    assert [rate_factor(plan, step, 10) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    linear = Optimizer(scheduler="linear")
    assert rate_factor(linear, 0, 10) == 1.0 and rate_factor(linear, 9, 10) == pytest.approx(0.1)
    restarts = Optimizer(scheduler="restarts", restarts=2)
    assert rate_factor(restarts, 0, 10) == rate_factor(restarts, 5, 10) == 1.0
    assert rate_factor(replace(restarts, restarts=1), 5, 10) == pytest.approx(0.5)


def test_cosine_is_torchs_own():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = CosineAnnealingLR(optimizer, T_max=20)
    for step in range(20):
        assert rate_factor(Optimizer(scheduler="cosine"), step, 20) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()


def test_eight_bit_steps_never_wait_for_the_device(monkeypatch):
    """bitsandbytes waits after every parameter; the profiler's count of host reads would not show it."""
    import bitsandbytes.optim.optimizer as theirs

    waits = []
    monkeypatch.setattr(theirs, "sync_gpu", lambda tensor: waits.append(tensor))
    weight, update = update_of("adamw8bit")
    weight.grad.copy_(gradient_of(weight, 0))
    update.step(GOOD)
    assert not waits
    update.optimizer.step()
    assert waits, "their own step still goes through the function that is watched here"
