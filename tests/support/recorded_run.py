"""A run folder whose events a test writes itself, without an engine: as a training would have left them."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.runs.folder import RunFolder, create_run

ROOT = Path(__file__).resolve().parents[2]
PLAN = '[subject]\ninstance_prompt = "ohwx"\nclass_prompt = "bear"\n[samples]\nprompts = ["ohwx bear"]\n'
_HOLD = """
import sys
from pathlib import Path
from engine.runs.folder import RunFolder
from engine.runs.lock import hold_lock
hold_lock(RunFolder(Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


@dataclass
class RecordedRun:
    """Appends events as the engine does; the clock starts at `began`."""

    folder: RunFolder
    began: float = field(default_factory=time.time)
    elapsed: float = 0.0
    attempt: int = 1

    def event(self, name: str, /, **fields: object) -> None:
        self.elapsed += 0.5
        head = {"v": 1, "t": self.began + self.elapsed, "elapsed": self.elapsed, "attempt": self.attempt}
        with self.folder.events.open("a", encoding="ascii") as file:
            file.write(json.dumps(head | {"event": name} | fields) + "\n")

    def start(self, **fields: object) -> None:
        self.event("started", verb="train", pid=1, from_step=None, **fields)

    def step(self, step: int, steps: int = 200, epochs: int = 4, loss: float | None = None) -> None:
        each = steps // epochs
        loss = loss_of(step) if loss is None else loss
        self.event("step", step=step, steps=steps, epoch=min(epochs, 1 + (step - 1) // each), epochs=epochs,
                   loss=loss, losses=[loss], grad_norm=0.1, lr=1e-4)  # fmt: skip

    def checkpoint(self, step: int, epoch: int) -> None:
        self.event("checkpoint", step=step, epoch=epoch, file=f"checkpoints/bear-{epoch:06d}.safetensors", size=2e8)

    def train(self, until: int, steps: int = 200, epochs: int = 4) -> None:
        """Steps 1 to `until`, with a checkpoint and a validation after each epoch."""
        self.event("plan", from_step=1, steps_per_epoch=steps // epochs, steps=steps, epochs=epochs)
        for step in range(1, until + 1):
            self.step(step, steps, epochs)
            if step % (steps // epochs) == 0:
                epoch = step // (steps // epochs)
                self.event("validation", step=step, epoch=epoch, loss=0.12 - 0.005 * epoch, base=0.13)
                self.checkpoint(step, epoch)

    def finish(self, outcome: str = "ok", reason: str | None = None, hint: str | None = None) -> None:
        self.event("finished", outcome=outcome, reason=reason, hint=hint)

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """Holds the run's lock in a process of its own meanwhile."""
        holder = subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(self.folder.path)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.stdin.close()
            holder.wait(20)
            holder.stdout.close()


def loss_of(step: int) -> float:
    """A loss that falls and jumps, the same each time."""
    return 0.08 + 0.12 * math.exp(-step / 60) + 0.05 * abs(math.sin(step * 12.9898) * math.sin(step * 4.1414))


def new_recorded_run(name: str = "bear", parent: Path | None = None) -> RecordedRun:
    return RecordedRun(create_run(name, PLAN, parent=parent))
