"""The grid of a plot as one picture: columns, rows and sub-grids with their labels. Light but for Pillow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

Place = tuple[int, int, int]  # column, row, sub-grid
Size = tuple[int, int]

_GROUND, _INK, _RULE, _BLANK, _EDGE = "#ffffff", "#1c1c1c", "#c8c8c8", "#f3f3f3", "#dcdcdc"
_LEAST_TEXT, _MOST_TEXT = 10, 96  # pixels a letter is high
_LEADING = 1.25  # line height over letter height
_BROAD = 0.75  # of a cell's width: the most that row labels take, as in A1111
_HIGH = 0.6  # of a cell's height: the most that column labels take
# Pillow's own font has Latin letters only; a label in others takes the first of these that the system has.
_OTHER_FONTS = ("NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "DejaVuSans.ttf", "Arial Unicode.ttf", "Arial.ttf")


@dataclass(frozen=True)
class Grid:
    """What is laid out: labels (one empty text where there is no axis) and how large each place's picture stands.

    `margin` is the pixels between cells, None for what suits their size.
    """

    columns: Sequence[str]
    rows: Sequence[str]
    titles: Sequence[str]
    size_at: Callable[[Place], Size]
    margin: int | None = None

    def size(self, place: Place) -> Size:
        return self.size_at(place)


@dataclass(frozen=True)
class _Text:
    """Labels of one axis: a font that suits them all, and each broken into lines."""

    font: FreeTypeFont
    size: float
    lines: Sequence[Sequence[str]]

    @property
    def leading(self) -> int:
        return round(self.size * _LEADING)

    @property
    def height(self) -> int:
        return max(len(lines) for lines in self.lines) * self.leading

    @property
    def width(self) -> int:
        return round(max(self.font.getlength(line) for lines in self.lines for line in [*lines, ""]))


@dataclass(frozen=True)
class _Layout:
    """Where everything stands, in pixels. `lefts[z][x]` and `tops[y]` are the cells' corners."""

    widths: Sequence[Sequence[int]]
    heights: Sequence[int]
    lefts: Sequence[Sequence[int]]
    tops: Sequence[int]
    size: Size
    pad: int
    head: int  # where the column labels begin
    left: int  # how wide the row labels' strip is
    columns: Sequence[_Text] = field(default_factory=list)  # by sub-grid
    rows: _Text | None = None
    titles: _Text | None = None


def grid_picture(grid: Grid, pictures: Mapping[Place, Path]) -> Picture:
    """The grid with the pictures at their places; a place without one, or whose file is broken, stays blank."""
    from PIL import Image, ImageDraw

    plan = _laid_out(grid)
    sheet = Image.new("RGB", plan.size, _GROUND)
    draw = ImageDraw.Draw(sheet)
    for z in range(len(grid.titles)):
        for y, x in ((y, x) for y in range(len(grid.rows)) for x in range(len(grid.columns))):
            width, height = grid.size((x, y, z))
            left = plan.lefts[z][x] + (plan.widths[z][x] - width) // 2
            top = plan.tops[y] + (plan.heights[y] - height) // 2
            picture = _opened(pictures.get((x, y, z)), (width, height))
            if picture is None:
                draw.rectangle((left, top, left + width - 1, top + height - 1), fill=_BLANK, outline=_EDGE)
            else:
                sheet.paste(picture, (left, top))
    _draw_labels(draw, grid, plan)
    return sheet


def grid_size(grid: Grid) -> Size:
    """How large `grid_picture` becomes."""
    return _laid_out(grid).size


def _laid_out(grid: Grid) -> _Layout:
    xs, ys, zs = (range(len(labels)) for labels in (grid.columns, grid.rows, grid.titles))
    widths = [[max(grid.size((x, y, z))[0] for y in ys) for x in xs] for z in zs]
    heights = [max(grid.size((x, y, z))[1] for x in xs for z in zs) for y in ys]
    widest, tallest = max(map(max, widths)), max(heights)
    usual = min(_MOST_TEXT, max(_LEAST_TEXT + 4, (widest + tallest) // 25))
    margin = round((widest + tallest) / 160) if grid.margin is None else grid.margin
    pad = round(usual * 0.7)

    titles = columns = rows = None
    totals = [sum(row) + margin * (len(xs) - 1) for row in widths]
    if any(grid.titles):
        titles = _fitted(grid.titles, usual * 1.2, totals, tallest * _HIGH)
    by_sub_grid: list[_Text] = []
    if any(grid.columns):
        columns = _fitted(grid.columns, usual, [min(row[x] for row in widths) for x in xs], tallest * _HIGH)
        by_sub_grid = [columns for _ in zs]
    if any(grid.rows):
        rows = _fitted(grid.rows, usual, [round(widest * _BROAD)] * len(ys), min(heights))

    left = rows.width + 2 * pad if rows else pad
    head = pad + (titles.height + pad if titles else 0)
    top = head + (columns.height + round(pad * 0.7) if columns else 0)
    between = max(3 * margin, 2 * pad)
    lefts: list[list[int]] = []
    at = left
    for row, total in zip(widths, totals, strict=True):
        lefts.append(list(accumulate((width + margin for width in row[:-1]), initial=at)))
        at += total + between
    tops = list(accumulate((height + margin for height in heights[:-1]), initial=top))
    size = (at - between + pad, tops[-1] + heights[-1] + pad)
    return _Layout(widths, heights, lefts, tops, size, pad, head, left, by_sub_grid, rows, titles)


def _draw_labels(draw: ImageDraw, grid: Grid, plan: _Layout) -> None:
    for z in range(len(grid.titles)):
        begin, end = plan.lefts[z][0], plan.lefts[z][-1] + plan.widths[z][-1]
        if plan.titles:
            _write(draw, plan.titles, z, (begin + end) / 2, plan.pad + plan.titles.height / 2)
            rule = plan.head - plan.pad // 3
            draw.line((begin, rule, end - 1, rule), fill=_RULE, width=max(1, plan.pad // 14))
        if plan.columns:
            text = plan.columns[z]
            for x, (left, width) in enumerate(zip(plan.lefts[z], plan.widths[z], strict=True)):
                _write(draw, text, x, left + width / 2, plan.head + text.height / 2)
    if plan.rows:
        for y, (top, height) in enumerate(zip(plan.tops, plan.heights, strict=True)):
            _write(draw, plan.rows, y, plan.left / 2, top + height / 2)


def _write(draw: ImageDraw, text: _Text, index: int, across: float, down: float) -> None:
    """One label, its lines centred on a point."""
    lines = text.lines[index]
    top = down - (len(lines) - 1) * text.leading / 2
    for number, line in enumerate(lines):
        draw.text((round(across), round(top + number * text.leading)), line, font=text.font, fill=_INK, anchor="mm")


def _fitted(labels: Sequence[str], size: float, widths: Sequence[int], height: float) -> _Text:
    """All labels of an axis in the largest letters, up to `size`, in which each fits its width and the height."""
    written = "".join(labels)
    while True:
        font = _font(max(size, _LEAST_TEXT), written)
        hard = size <= _LEAST_TEXT
        lines = [_wrapped(text, font, width, hard=hard) for text, width in zip(labels, widths, strict=True)]
        room = max(1, int(height / (size * _LEADING)))
        whole = all(
            len(own) <= room and all(font.getlength(line) <= width for line in own)
            for own, width in zip(lines, widths, strict=True)
        )
        if whole or hard:
            even = [_evened(text, own, font) for text, own in zip(labels, lines, strict=True)]
            cut = [_cut(own, font, width, room) for own, width in zip(even, widths, strict=True)]
            return _Text(font, max(size, _LEAST_TEXT), cut)
        size = max(_LEAST_TEXT, size * 0.94)


def _wrapped(text: str, font: FreeTypeFont, width: int, *, hard: bool) -> list[str]:
    """The text in lines of at most `width` pixels; a longer word is broken only where `hard`."""
    lines: list[str] = []
    words = [piece for word in text.split() for piece in (_broken(word, font, width) if hard else [word])]
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines or [""]


def _evened(text: str, lines: list[str], font: FreeTypeFont) -> list[str]:
    """The same number of lines, as equally long as they can be: no single word alone in the last."""
    longest = round(max(map(font.getlength, lines)))
    widest_word = max(font.getlength(word) for word in text.split() or [""])
    for width in range(longest, 0, -max(1, longest // 40)):
        narrower = _wrapped(text, font, width, hard=False)
        if len(narrower) > len(lines) or width < widest_word:
            break
        lines = narrower
    return lines


def _broken(word: str, font: FreeTypeFont, width: int) -> list[str]:
    pieces = [""]
    for letter in word:
        if pieces[-1] and font.getlength(pieces[-1] + letter) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _cut(lines: Sequence[str], font: FreeTypeFont, width: int, room: int) -> list[str]:
    """The lines that fit, with an ellipsis where something is lost: only the smallest letters come to that."""
    kept = list(lines[:room])
    if len(lines) > room:
        kept[-1] += "…"
    for index, line in enumerate(kept):
        while font.getlength(line) > width and len(line) > 1:
            line = line.removesuffix("…")[:-1] + "…"
        kept[index] = line
    return kept


@lru_cache(maxsize=64)
def _font(size: float, written: str) -> FreeTypeFont:
    """Pillow's own font, or where the labels hold letters that it has not, the system's that has most of them."""
    from PIL import ImageFont

    fonts: list[FreeTypeFont] = [ImageFont.load_default(size)]  # type: ignore[list-item]
    strange = {letter for letter in written if ord(letter) > 0x7E and not letter.isspace()}
    if _missing(fonts[0], strange):
        for name in _OTHER_FONTS:
            with contextlib.suppress(OSError):  # not on this system
                fonts.append(ImageFont.truetype(name, size))
    return min(fonts, key=lambda font: _missing(font, strange))


def _missing(font: FreeTypeFont, letters: set[str]) -> int:
    box = bytes(font.getmask("\U0010fffe"))
    return sum(bytes(font.getmask(letter)) == box for letter in letters)


def _opened(path: Path | None, size: Size) -> Picture | None:
    from PIL import Image

    if path is None:
        return None
    try:
        with Image.open(path) as picture:
            whole = picture.convert("RGB")
    except OSError:  # a file that another program damaged: a blank cell beside the others is better than no grid
        return None
    if whole.size == size:
        return whole
    # A picture of the small base is enlarged in whole pixels; a large one is made smaller.
    method = Image.Resampling.NEAREST if size[0] > whole.width else Image.Resampling.LANCZOS
    return whole.resize(size, method)
