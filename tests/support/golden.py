"""Screens held letter by letter against files: LORASMITH_GOLDEN=write writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

from pilots import holds, text_of
from textual.pilot import Pilot

GOLDEN = Path(__file__).resolve().parents[1] / "tui" / "golden"


async def matches(pilot: Pilot, name: str) -> None:
    """The screen comes to look as the file says."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("LORASMITH_GOLDEN") == "write":
        await pilot.pause(0.5)
        path.write_text(text_of(pilot) + "\n", encoding="utf-8")
    wanted = path.read_text(encoding="utf-8").rstrip("\n")
    await holds(pilot, lambda: text_of(pilot).rstrip("\n") == wanted, f"{name}.txt, which is\n{wanted}", 15)
