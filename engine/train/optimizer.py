"""Optimizers, rates by step, and the update that a non-finite gradient cannot reach."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engine.errors import PlanError
from engine.plan import Optimizer as OptimizerPlan
from engine.train.flat import FlatWeights


@dataclass
class RateGroup:
    """Adapter weights that share a learning rate. The optimizer sees them flat unless it needs their shapes."""

    parameters: list[torch.nn.Parameter]
    rate: float

    def __post_init__(self) -> None:
        self.flat = FlatWeights(self.parameters)


def build_optimizer(
    name: str, groups: Sequence[RateGroup], plan: OptimizerPlan
) -> torch.optim.Optimizer:
    """The optimizer by its plan name. Adafactor factors each weight's own rows and columns; the others are flat."""
    shaped = name == "adafactor"
    return _optimizer(
        name, [{"params": g.parameters if shaped else [g.flat.weights], "lr": g.rate} for g in groups], plan
    )


def _optimizer(name: str, groups: list[dict[str, object]], plan: OptimizerPlan) -> torch.optim.Optimizer:
    decay = plan.weight_decay
    if name == "adamw":
        return torch.optim.AdamW(groups, weight_decay=decay, fused=True)
    if name in {"adamw8bit", "lion8bit"}:
        import bitsandbytes

        cls = {"adamw8bit": bitsandbytes.optim.AdamW8bit, "lion8bit": bitsandbytes.optim.Lion8bit}[name]
        return cls(groups, weight_decay=decay)
    if name == "adafactor":
        from transformers.optimization import Adafactor

        # A stated rate, no relative steps: the plan's rate then means what it says.
        return Adafactor(groups, scale_parameter=False, relative_step=False, warmup_init=False,
                         weight_decay=decay)
    if name == "prodigy":
        from prodigyopt import Prodigy

        return Prodigy(groups, weight_decay=decay, use_bias_correction=True, safeguard_warmup=True,
                       decouple=True)
    raise PlanError(f"optimizer.name is {name!r}; allowed are adamw8bit, adamw, adafactor, lion8bit, prodigy.")


def rate_factor(plan: OptimizerPlan, step: int, total: int) -> float:
    """What the rate is multiplied by at `step` (0-based) of `total`: a pure function, so resume needs no state."""
    if step < plan.warmup_steps:
        return (step + 1) / plan.warmup_steps
    if plan.scheduler == "constant":
        return 1.0
    progress = (step - plan.warmup_steps) / max(1, total - plan.warmup_steps)
    if plan.scheduler == "linear":
        return max(0.0, 1.0 - progress)
    if plan.scheduler == "restarts":
        progress = (progress * plan.restarts) % 1.0
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


class MaskedUpdate:
    """Steps the optimizer so that a step marked bad on the device leaves weights and optimizer state untouched.

    Nothing is read back to the host. torch's fused AdamW takes the mark itself (`found_inf`); for every other
    optimizer a copy is made and `torch.where` puts it back. Plain Python numbers that an optimizer keeps (step
    counts, Prodigy's estimate of the rate) cannot be masked without asking the device: they see the bad step as
    one with a gradient of zero.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self._native = isinstance(optimizer, torch.optim.AdamW)
        self._eight_bit = type(optimizer).__module__.startswith("bitsandbytes")

    def step(self, bad: torch.Tensor) -> None:
        """One update; `bad` is a 0-d bool tensor on the weights' device."""
        if self._native:
            self.optimizer.grad_scale = None  # type: ignore[attr-defined]
            self.optimizer.found_inf = bad.to(torch.float32)  # type: ignore[attr-defined]
            self.optimizer.step()
            return
        # State that the optimizer makes in its very first step has no copy to go back to: zeroed gradients
        # leave it as it would have been initialised.
        gradients = [p.grad for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        for gradient in gradients:
            gradient.copy_(torch.where(bad, torch.zeros_like(gradient), gradient))
        # The copies live for this call only: the activations are gone by now, so they add nothing to the peak.
        before = {key: tensor.clone() for key, tensor in self._tensors()}
        if self._eight_bit:
            self._step_without_waiting()
        else:
            self.optimizer.step()
        for key, tensor in self._tensors():
            if key in before:
                tensor.copy_(torch.where(bad, before[key], tensor))

    def _step_without_waiting(self) -> None:
        """bitsandbytes' own step, less its wait for the device after every parameter."""
        optimizer: Any = self.optimizer
        if not optimizer.initialized:
            optimizer.check_overrides()
            optimizer.to_gpu()
            optimizer.initialized = True
        with torch.no_grad():
            for group_index, group in enumerate(optimizer.param_groups):
                for index, parameter in enumerate(group["params"]):
                    if not optimizer.state[parameter]:
                        optimizer.init_state(group, parameter, group_index, index)
                    optimizer.prefetch_state(parameter)
                    optimizer.update_step(group, parameter, group_index, index)

    def _tensors(self) -> Iterator[tuple[tuple[int, str], torch.Tensor]]:
        parameters = (p for group in self.optimizer.param_groups for p in group["params"])
        for index, parameter in enumerate(parameters):
            yield (index, "weight"), parameter.data
            for name, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, torch.Tensor):
                    yield (index, name), value
