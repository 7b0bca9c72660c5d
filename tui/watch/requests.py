"""What a person asks of a run from the monitor, each greyed until the engine has answered."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tui.watch.story import Seen

_ANSWERS = {
    "save": ("state", "checkpoint"),
    "sample": ("sample", "warning"),
    "pause": ("paused",),
    "resume": ("resumed",),
    "stop": ("stopping", "finished"),
    "start": ("started",),
}


@dataclass
class Requests:
    """Which requests wait for their answer, since when; an answer is an event that came after the asking."""

    waiting: dict[str, tuple[float, int]] = field(default_factory=dict)
    _heard: dict[str, int] = field(default_factory=dict)

    def asked(self, verb: str) -> None:
        self.waiting[verb] = (time.time(), self._answers(verb))

    def failed(self, verb: str) -> None:
        self.waiting.pop(verb, None)

    def hear(self, seen: Seen) -> None:
        """Takes those off the list that were answered; an engine that is gone answers nothing any more."""
        self._heard = dict(seen.heard)
        for verb, (_, before) in list(self.waiting.items()):
            gone = not seen.summary.alive and verb != "start"
            if gone or self._answers(verb) > before:
                del self.waiting[verb]

    def since(self, verb: str) -> float | None:
        """When it was asked for, if it still waits."""
        return self.waiting[verb][0] if verb in self.waiting else None

    def _answers(self, verb: str) -> int:
        return sum(self._heard.get(name, 0) for name in _ANSWERS[verb])
