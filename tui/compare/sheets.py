"""Boards with pictures among their words: half-blocks as cells like any others, so that only what changed is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from textual import work
from textual.geometry import Size
from textual.message import Message
from textual.worker import get_current_worker

from engine.errors import shown
from tui.widgets.board import Board, Row, Span, cells, text_width, wrap
from tui.widgets.picture import Drawn, draw_picture

_KEPT = 240  # drawn pictures that a board remembers

Rows = list[Row]


class PictureBoard(Board):
    """Override `rows` and ask `picture` for pictures in it; those that are not drawn yet come in when they are."""

    @dataclass
    class Ready(Message):
        """Posted from the thread that drew them."""

        board: PictureBoard
        found: dict[tuple[Path, Size], Drawn]

        @property
        def control(self) -> PictureBoard:
            return self.board

    def __init__(self, *, id: str | None = None, ascii_only: bool = False) -> None:
        super().__init__(id=id)
        self.ascii_only = ascii_only
        self._drawn: dict[tuple[Path, Size], Drawn] = {}
        self._lacking: dict[tuple[Path, Size], None] = {}

    def redraw(self) -> None:
        self._lacking = {}
        super().redraw()
        if self._lacking:
            self._draw(tuple(self._lacking))

    def picture(self, path: Path | None, room: Size, instead: str = "not drawn") -> Rows:
        """A picture as rows of exactly this room, in the middle of it; what is said where it cannot be shown."""
        if path is None:
            return said_in(instead, room)
        if getattr(self.app, "images", "half") == "off":
            return said_in(shown(path.name), room)
        drawn = self._drawn.get((path, room))
        if drawn is None:
            self._lacking[path, room] = None
            return said_in("", room)
        return said_in(drawn.trouble, room) if drawn.trouble else _in_the_middle(drawn, room)

    def look_again(self) -> None:
        """Forgets what could not be shown: it may be there now."""
        self._drawn = {key: drawn for key, drawn in self._drawn.items() if not drawn.trouble}

    @work(thread=True, exclusive=True, group="pictures")
    def _draw(self, wanted: tuple[tuple[Path, Size], ...]) -> None:
        found = {}
        for path, room in wanted:
            if get_current_worker().is_cancelled:
                return
            found[path, room] = draw_picture(path, _stamp(path), room, self.ascii_only)
        self.post_message(self.Ready(self, found))

    def on_picture_board_ready(self, message: Ready) -> None:
        message.stop()
        self._drawn |= message.found
        for key in list(self._drawn)[:-_KEPT]:
            del self._drawn[key]
        self.redraw()


def said_in(words: str, room: Size) -> Rows:
    """A few words in the middle of a picture's place."""
    lines = wrap(words, room.width)[: room.height] if words else []
    top = (room.height - len(lines)) // 2
    rows: Rows = [[(" " * room.width, "")] for _ in range(room.height)]
    for at, line in enumerate(lines, top):
        left = (room.width - text_width([(line, "")])) // 2
        rows[at] = exactly([(" " * left, ""), (line, "muted")], room.width)
    return rows


def _in_the_middle(drawn: Drawn, room: Size) -> Rows:
    left, top = (room.width - drawn.size.width) // 2, (room.height - drawn.size.height) // 2
    rows: Rows = []
    for y in range(room.height):
        if not top <= y < top + len(drawn.strips):
            rows.append([(" " * room.width, "")])
            continue
        spans = [(segment.text, str(segment.style or "")) for segment in drawn.strips[y - top]]
        rows.append([(" " * left, ""), *spans, (" " * (room.width - left - drawn.size.width), "")])
    return rows


def exactly(row: Row, width: int) -> list[Span]:
    """A row cut or filled to so many columns."""
    return list(cells(row, width))


def beside(parts: Sequence[Rows], gap: int = 1) -> Rows:
    """Blocks of rows side by side, all of one height."""
    joined: Rows = []
    for lines in zip(*parts, strict=True):
        row: list[Span] = []
        for at, line in enumerate(lines):
            row += [(" " * gap, "")] if at and gap else []
            row += line
        joined.append(row)
    return joined


@dataclass(frozen=True)
class Framed:
    """A picture with the words above it."""

    path: Path | None
    title: Row
    instead: str = "not drawn"


def in_a_row(board: PictureBoard, pictures: Sequence[Framed], width: int, height: int) -> Rows:
    """Pictures side by side, each as large as goes, under its words."""
    if not pictures or height < 2:
        return []
    each = max(1, (width - 2 * (len(pictures) - 1)) // len(pictures))
    room = Size(each, min(height - 1, max(1, each // 2 + 1)))
    blocks: list[Rows] = []
    for one in pictures:
        title = exactly(one.title, each)
        used = text_width(one.title)
        if used < each:
            title = exactly([(" " * ((each - used) // 2), ""), *one.title], each)
        blocks.append([title, *board.picture(one.path, room, one.instead)])
    return beside(blocks, gap=2)


def paragraphs(texts: Iterable[tuple[str, str]], width: int) -> Rows:
    """(sentence, ink) below one another, wrapped."""
    return [[(f" {line}", ink)] for text, ink in texts for line in wrap(text, width - 2)]


def _stamp(path: Path) -> int:
    """When the file was written, so that one that was drawn anew is not taken from the store."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
