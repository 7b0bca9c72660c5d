"""What is to be said of a set of pictures: sentences below one another, each with its mark."""

from __future__ import annotations

from collections.abc import Iterable

from tui.watch.boards import wrap
from tui.widgets.board import Board, Row


class Sentences(Board):
    """What is to be said of the set, as much as there is room for; the rest with v."""

    DEFAULT_CSS = """
    Sentences { height: 5; }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.said: list[tuple[str, str]] = []

    def show(self, said: list[tuple[str, str]]) -> None:
        self.said = said
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        lines = [line for words, ink in self.said for line in sentence_lines(words, ink, width)]
        if len(lines) > height:
            lines = [*lines[: height - 1], [("   v shows the rest", "muted")]]
        return lines


def sentence_lines(words: str, ink: str, width: int) -> list[Row]:
    """A sentence with its mark, wrapped."""
    mark = {"bad": "✗", "warn": "!", "good": "✓"}.get(ink, "·")
    return [
        [(f" {mark} " if at == 0 else "   ", ink), (line, "plain" if ink != "muted" else "muted")]
        for at, line in enumerate(wrap(words, width - 4))
    ]
