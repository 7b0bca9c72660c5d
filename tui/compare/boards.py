"""The lines above the views: the choice, and the dial."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tui.compare.compared import Compared, headline
from tui.text import count
from tui.widgets.board import Board, Row, spread, text_width

_PLACES = {
    0.5: "likeness above all",
    0.71: "rather more likeness",
    1.0: "both count the same",
    1.41: "rather more freedom",
    2.0: "freedom above all",
}


class Result(Board):
    """The choice at the dial's place; nothing of it while a person votes blind."""

    DEFAULT_CSS = """
    Result { height: 1; }
    """

    seen: Compared | None = None
    hidden = False

    def show(self, seen: Compared, *, hidden: bool) -> None:
        self.seen, self.hidden = seen, hidden
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        if self.seen is None:
            return
        if self.hidden:
            yield [(" The choice is hidden while you vote.", "muted")]
            return
        words, ink = headline(self.seen)
        votes = self.seen.decision.votes
        yield spread([(f" {words}", ink)], [(f"{count(votes, 'vote')} " if votes else "", "muted")], width)


class Dial(Board):
    """How much likeness counts against freedom, in five places."""

    DEFAULT_CSS = """
    Dial { height: 1; }
    Dial.-none { display: none; }
    """

    seen: Compared | None = None

    def show(self, seen: Compared) -> None:
        self.seen = seen
        self.set_class(len(seen.leans) < 2, "-none")
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        if self.seen is None:
            return
        at = place_of(self.seen)
        row: list[tuple[str, str]] = [(" [", "key"), (" fidelity ", "")]
        for number, _ in enumerate(self.seen.leans):
            row += [("──", "muted")] if number else []
            row.append(("●", "accent") if number == at else ("○", "muted"))
        row += [(" flexibility ", ""), ("]", "key"), ("   " + place_words(self.seen), "strong")]
        if text_width(row) + 30 <= width:
            row += [("   turning it decides anew", "muted")]
        yield row


def place_of(seen: Compared) -> int:
    """Which of the dial's places is nearest."""
    return min(range(len(seen.leans)), key=lambda at: abs(math.log(seen.leans[at] / seen.lean)), default=0)


def place_words(seen: Compared) -> str:
    known = next((words for lean, words in _PLACES.items() if math.isclose(lean, seen.lean, rel_tol=0.02)), "")
    return known or f"lean {seen.lean:g}"
