"""Pictures in the terminal, two pixels a cell: plain text, so that it works in every terminal, tmux and web shell.

Decoded and scaled in a thread, kept by file and size, their equal neighbours sent as one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual import work
from textual.events import Resize
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import get_current_worker

from engine.errors import shown
from tui.widgets.board import wrap

if TYPE_CHECKING:
    from PIL import Image

_KEEP = 0xFC  # of each colour's bits: what no eye misses here, and neighbours that are alike become one run
_GAP = 2  # columns between two pictures


@dataclass(frozen=True)
class Drawn:
    """A picture as cells: its strips, and what to say where there are none."""

    strips: tuple[Strip, ...]
    size: Size
    trouble: str = ""
    prompt: str = ""
    """What it was drawn from, where the file says."""


class Gallery(Widget):
    """One picture or several side by side, each as large as the place allows; give it files with `show`."""

    DEFAULT_CSS = """
    Gallery { height: 1fr; width: 1fr; }
    """

    @dataclass
    class Ready(Message):
        """Posted from the thread that drew them."""

        paths: tuple[Path, ...]
        room: Size
        drawn: tuple[Drawn, ...]

    def __init__(self, *, id: str | None = None, ascii_only: bool = False, prompt_lines: int = 0) -> None:
        """`prompt_lines`: how many lines below each picture tell what it was drawn from."""
        super().__init__(id=id)
        self.ascii_only = ascii_only
        self.prompt_lines = prompt_lines
        self.paths: tuple[Path, ...] = ()
        self._grid = (1, 1)
        self._drawn: tuple[Drawn, ...] = ()

    def show(self, paths: Sequence[Path]) -> None:
        """Shows these files, in this order; none empties the place."""
        if tuple(paths) != self.paths:
            self.paths = tuple(paths)
            self._load()

    def on_resize(self, _: Resize) -> None:
        self._load()

    def _load(self) -> None:
        if not self.paths:
            self._drawn = ()
            self.refresh()
        elif getattr(self.app, "images", "half") == "off":
            self._grid = grid(len(self.paths), self.size)
            self._drawn = tuple(Drawn((), Size(0, 0), shown(path.name)) for path in self.paths)
            self.refresh()
        elif self.size.width and self.size.height:
            self._grid = grid(len(self.paths), self.size)
            one = slot(self.size, self._grid)
            self._draw(self.paths, self.size, Size(one.width, max(1, one.height - self.prompt_lines)))

    @work(thread=True, exclusive=True, group="pictures")
    def _draw(self, paths: tuple[Path, ...], room: Size, one: Size) -> None:
        drawn = []
        for path in paths:
            if get_current_worker().is_cancelled:
                return
            drawn.append(draw_picture(path, _stamp(path), one, self.ascii_only))
        self.post_message(self.Ready(paths, room, tuple(drawn)))

    def on_gallery_ready(self, message: Ready) -> None:
        message.stop()
        if message.paths == self.paths and message.room == self.size:
            self._drawn = message.drawn
            self.refresh()

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        width = self.size.width
        if not self._drawn:
            return Strip.blank(width, base)
        columns, _ = self._grid
        one = slot(self.size, self._grid)
        row, line = divmod(y, one.height)
        parts = [
            part
            for drawn in self._drawn[row * columns : (row + 1) * columns]
            for part in (_line_of(drawn, line, one, self.prompt_lines, base), Strip.blank(_GAP, base))
        ]
        return Strip.join(parts).adjust_cell_length(width, base)


def _line_of(drawn: Drawn, line: int, room: Size, prompt_lines: int, base: Style) -> Strip:
    """One line of a picture in its slot, in the middle of it with its prompt below, or of what is said instead."""
    if drawn.trouble:
        said = drawn.trouble if line == 0 else ""
        return Strip([Segment(said[: room.width], base)]).adjust_cell_length(room.width, base)
    y = line - (room.height - prompt_lines - drawn.size.height) // 2
    told = wrap(drawn.prompt, room.width)[:prompt_lines] if drawn.prompt else []
    if 0 <= y - drawn.size.height < len(told):
        words = told[y - drawn.size.height]
        return Strip([Segment(words.center(room.width), base + Style(dim=True))]).adjust_cell_length(room.width, base)
    if not 0 <= y < len(drawn.strips):
        return Strip.blank(room.width, base)
    left = (room.width - drawn.size.width) // 2
    return Strip([Segment(" " * left, base), *drawn.strips[y]]).adjust_cell_length(room.width, base)


def grid(count: int, room: Size) -> tuple[int, int]:
    """Columns and rows for so many square pictures that makes each as large as can be."""

    def side(columns: int) -> int:
        one = slot(room, (columns, -(-count // columns)))
        return min(one.width, one.height * 2)

    columns = max(range(1, count + 1), key=lambda columns: (side(columns), columns))
    return columns, -(-count // columns)


def slot(room: Size, shape: tuple[int, int]) -> Size:
    """The room one picture has in a grid of so many columns and rows."""
    columns, rows = shape
    width, height = max(1, (room.width + _GAP) // columns - _GAP), max(1, room.height // rows)
    # Rows of pictures stand close together; most are square, and a cell is twice as high as it is wide.
    return Size(width, height if rows == 1 else min(height, width // 2 + 1))


def _stamp(path: Path) -> int:
    """When the file was written, so that one that was drawn anew is not taken from the store."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=96)
def draw_picture(path: Path, _stamp: int, room: Size, ascii_only: bool = False) -> Drawn:
    """The picture as large as fits into `room` cells; without half-blocks (ASCII) one pixel a cell."""
    from PIL import Image, ImageOps

    tall = 1 if ascii_only else 2
    try:
        with Image.open(path) as opened:
            opened.draft("RGB", (room.width * 2, room.height * 2 * tall))
            image = ImageOps.exif_transpose(opened).convert("RGB")
            said = str(opened.info.get("parameters", ""))
    except FileNotFoundError:
        return Drawn((), Size(0, 0), "no longer there")
    except Exception as error:  # Pillow raises of every kind for a broken file; it is said in the picture's place
        return Drawn((), Size(0, 0), f"not shown: {type(error).__name__}")
    return replace(draw_image(image, room, ascii_only), prompt=shown(said.partition("\n")[0]))


def draw_image(image: Image.Image, room: Size, ascii_only: bool = False) -> Drawn:
    """A picture that is open already, upright and RGB."""
    from PIL import Image as pillow

    tall = 1 if ascii_only else 2
    scale = min(room.width / image.width, room.height * 2 / image.height)
    columns = max(1, min(room.width, round(image.width * scale)))
    lines = max(1, min(room.height, round(image.height * scale / 2)))
    pixels = image.resize((columns, lines * tall), pillow.Resampling.LANCZOS).tobytes()
    strips = tuple(_strip(pixels, columns, y, tall) for y in range(lines))
    return Drawn(strips, Size(columns, lines))


def _strip(pixels: bytes, columns: int, y: int, tall: int) -> Strip:
    """One line of cells from `tall` lines of pixels."""
    segments: list[Segment] = []
    run, style = "", None
    for x in range(columns):
        upper = _colour(pixels, (y * tall * columns + x) * 3)
        lower = _colour(pixels, ((y * tall + tall - 1) * columns + x) * 3)
        char = " " if upper == lower else "▀"
        now = _style(None if char == " " else upper, lower)
        if now is not style and run:
            segments.append(Segment(run, style))
            run = ""
        run, style = run + char, now
    segments.append(Segment(run, style))
    return Strip(segments, columns)


def _colour(pixels: bytes, at: int) -> tuple[int, int, int]:
    return pixels[at] & _KEEP, pixels[at + 1] & _KEEP, pixels[at + 2] & _KEEP


@lru_cache(maxsize=16384)
def _style(upper: tuple[int, int, int] | None, lower: tuple[int, int, int]) -> Style:
    return Style(color=Color.from_rgb(*upper) if upper else None, bgcolor=Color.from_rgb(*lower))
