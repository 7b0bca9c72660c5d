"""The steps between two log points: kept on the device, read in one go, written as one event."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from engine.train.trainer import StepResult

MOST_STEPS = 50
SECONDS = 1.0


@dataclass(frozen=True)
class StepRead:
    """A finished step as numbers on the host."""

    step: int
    loss: float
    prior: float
    grad_norm: float
    bad: bool


class Window:
    """Collects step results and says when reading them is due: once a second, or every 50 steps."""

    def __init__(self) -> None:
        self._pending: list[tuple[int, StepResult]] = []
        self._last = time.monotonic()

    def add(self, step: int, result: StepResult) -> None:
        self._pending.append((step, result))

    def due(self) -> bool:
        return len(self._pending) >= MOST_STEPS or time.monotonic() - self._last >= SECONDS

    def read(self) -> list[StepRead]:
        """Waits for the device once and empties the window."""
        if not self._pending:
            return []
        results = [result for _, result in self._pending]
        rows = [torch.stack([r.loss, r.prior, r.grad_norm.float(), r.bad.float()]) for r in results]
        table = torch.stack(rows).tolist()
        steps = [step for step, _ in self._pending]
        self._pending = []
        self._last = time.monotonic()
        return [
            StepRead(step, loss, prior, norm, bad != 0)
            for step, (loss, prior, norm, bad) in zip(steps, table, strict=True)
        ]
