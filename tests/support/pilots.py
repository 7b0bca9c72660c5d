"""What a screen shows under Textual's own pilot, and waiting for it."""

from __future__ import annotations

import time
from collections.abc import Callable

from textual.pilot import Pilot


def text_of(pilot: Pilot) -> str:
    """The screen as a terminal of its size would show it."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


async def until(pilot: Pilot, *wanted: str, seconds: float = 20.0) -> str:
    """Waits until all of this is on the screen."""
    await holds(pilot, lambda: all(words in text_of(pilot) for words in wanted), f"{wanted}", seconds)
    return text_of(pilot)


async def holds(pilot: Pilot, condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never came: {what}\n{text_of(pilot)}"
        await pilot.pause(0.02)
