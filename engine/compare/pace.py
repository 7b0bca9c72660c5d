"""How long a whole comparison still takes: the pictures of all its stages, at the pace at which they come. Light."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class Pace:
    """Counts what is to be drawn against what was; `before` is what a picture took in a comparison before this one.

    missing: pictures of this stage that were not drawn when it began; later: those of the stages that follow, known
    exactly only when they begin; drawn: how many had been drawn when this stage began.
    """

    before: float | None = None
    missing: int = 0
    later: int = 0
    drawn: int = 0

    def begin(self, missing: int, later: int, drawn: int) -> None:
        """A stage begins."""
        self.missing, self.later, self.drawn = missing, later, drawn

    def seconds_left(self, drawn: int, seconds: float, together: int) -> float | None:
        """Of the whole, after so many pictures drawn and measured in so many seconds; None where no pace is known.

        The first that are drawn together are waited for: they come all at once.
        """
        each = seconds / drawn if drawn >= together else self.before
        if each is None:
            return None
        return round(each * (max(0, self.missing + self.drawn - drawn) + self.later), 1)
