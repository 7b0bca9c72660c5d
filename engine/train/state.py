"""What a stopped run needs to go on bit for bit: the adapter, the optimizer, the step. Nothing random is kept.

Two generations stay on disk (`state/step-00000120.pt`, and the one before), so that a run which met NaN can go
back further than the state that already carries it, and a torn disk leaves one that reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from engine.errors import RunError, shown
from engine.files import atomic_path

KEPT_GENERATIONS = 2
_NAME = re.compile(r"step-(\d{8})\.pt")


@dataclass
class Progress:
    """Where the run stands. `step` counts finished optimizer steps."""

    step: int = 0
    rate_factor: float = 1.0  # lowered once after repeated non-finite gradients
    rung: int = 0  # how far down the memory ladder
    base_validation: float | None = None
    loss_scale: float = 65536.0
    trained_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def latest_step(folder: Path) -> int | None:
    """The step the newest state was saved after, from its name alone; None for a run never saved."""
    found = _saved(folder)
    return found[-1][0] if found else None


def save_state(folder: Path, progress: Progress, adapter: Any, optimizer: torch.optim.Optimizer) -> Path:
    """Writes the state of `progress.step` and removes all but the newest generations."""
    path = folder / f"step-{progress.step:08d}.pt"
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "version": 1,
        "progress": vars(progress),
        "adapter": {name: tensor.detach().cpu() for name, tensor in adapter.state().items()},
        "optimizer": optimizer.state_dict(),
    }
    # Into an open file: given a path, torch tells a full disk only as an internal error of its writer.
    with atomic_path(path) as beside, beside.open("wb") as file:
        torch.save(content, file)
    for _, old in _saved(folder)[:-KEPT_GENERATIONS]:
        old.unlink(missing_ok=True)
    return path


def load_state(
    folder: Path, adapter: Any, optimizer: torch.optim.Optimizer, *, before: int | None = None
) -> Progress | None:
    """Restores the newest state (or the newest before a step); None where there is none.

    A state that cannot be read is passed over for the one before it; RunError where none can.
    """
    candidates = [path for step, path in _saved(folder) if before is None or step < before]
    for path in reversed(candidates):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError):
            continue
        adapter.load_state(content["adapter"])
        optimizer.load_state_dict(content["optimizer"])
        return Progress(**content["progress"])
    if candidates:
        raise RunError(
            f"None of the saved states in {shown(folder)} can be read, so the run cannot go on; "
            "its checkpoints are untouched. Start a new run from the same plan."
        )
    return None


def _saved(folder: Path) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    matches = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in matches if match)
