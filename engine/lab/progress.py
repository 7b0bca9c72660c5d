"""What every training of the laboratory shares: progress, stopping, atomic state, seeds by step."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from engine.errors import RunError, shown
from engine.files import atomic_path


class Report(Protocol):
    """Receives one event, in the words of the run folder's events: `report("step", step=3, steps=10,
    loss=0.1)`.
    """

    def __call__(self, event: str, **fields: Any) -> None: ...


Stop = Callable[[], bool]
"""Asked after every step; True ends the training after its state is saved."""


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Writes a training state so that a kill at any moment leaves the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as beside:
        torch.save(state, beside)


def load_state(path: Path, settings: object) -> dict[str, Any] | None:
    """The state to go on from, or None; refuses one that was made under other settings."""
    if not path.exists():
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["settings"] != str(settings):
        raise RunError(
            f"{shown(path)} was trained under other settings; move it away or use the same settings again."
        )
    return state


def step_generators(seed: int, step: int) -> tuple[random.Random, torch.Generator]:
    """Random numbers of one step: they depend on nothing before it, so a resumed training repeats them."""
    rng = random.Random(f"{seed}:{step}")
    return rng, torch.Generator().manual_seed(rng.getrandbits(63))


@dataclass
class Pace:
    """Counts steps since the start of this process and says when to report and when to save."""

    step: int
    steps: int
    every: int = 20
    save_seconds: float = 120.0
    _losses: list[torch.Tensor] = field(default_factory=list)
    _since: float = field(default_factory=time.monotonic)
    _saved: float = field(default_factory=time.monotonic)

    def count(self, loss: torch.Tensor, pictures: int, report: Report, **more: Any) -> None:
        """Notes one step of `pictures` pictures; reports the mean loss and the rate every `every` steps."""
        self.step += 1
        self._losses.append(loss.detach())
        if self.step % self.every and self.step != self.steps:
            return
        now = time.monotonic()
        rate = len(self._losses) * pictures / max(now - self._since, 1e-9)
        left = (self.steps - self.step) * pictures / rate
        loss_now = float(torch.stack(self._losses).mean())
        report(
            "step",
            step=self.step,
            steps=self.steps,
            loss=loss_now,
            pictures_per_second=rate,
            seconds_left=left,
            **more,
        )
        self._losses, self._since = [], now

    def due(self) -> bool:
        """True when the state has not been saved for `save_seconds`; the next call counts from now."""
        now = time.monotonic()
        if now - self._saved < self.save_seconds:
            return False
        self._saved = now
        return True
