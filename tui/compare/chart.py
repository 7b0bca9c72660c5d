"""Fidelity against flexibility: each epoch by its number, those that matter by a word beside it, the front as dots.

The untouched base stands at (0, 100). Nothing is told by colour alone: the front is joined by dots, what is ruled out
stands in brackets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.compare.report import PointRow
from tui.compare.compared import BASE, Compared
from tui.widgets.board import Board, Cell, Row, cells, spread, text_width

_LABEL = 5  # columns of the y axis with its line
_ASIDE = 9  # columns kept free at the right for the word beside a number
Place = Callable[[float, float], tuple[int, int]]
"""From fidelity and flexibility to a cell of the plot."""

Canvas = dict[tuple[int, int], Cell]
"""What is drawn on the plot so far."""

_NEAR = sorted(((x, y) for x in range(-12, 13) for y in range(-2, 3)), key=lambda at: abs(at[0]) + 6 * abs(at[1]))
"""Where a number goes whose place is taken: the nearest first, a line counting as six columns."""


@dataclass(frozen=True)
class Numbered:
    """A mark whose number has its place: the first column, the line, the number as it is written."""

    first: int
    line: int
    text: str
    mark: Mark

    @property
    def end(self) -> int:
        return self.first + len(self.text)


@dataclass(frozen=True)
class Mark:
    """One point on the chart: where it lies, its number, the word beside it, and how it looks."""

    x: float
    y: float
    number: str
    word: str
    ink: str
    is_choice: bool = False


class BalanceChart(Board):
    """Give it what is compared with `show`; empty where there are no two figures to set against each other."""

    DEFAULT_CSS = """
    BalanceChart { height: 1fr; min-height: 6; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.seen: Compared | None = None

    def show(self, seen: Compared) -> None:
        self.seen = seen
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        """The plot, its axis with figures, and what the signs mean."""
        if self.seen is None:
            return
        marks = marks_of(self.seen)
        columns, lines = width - _LABEL - 1, height - 2
        scale = columns - _ASIDE
        if len(marks) < 2 or scale < 20 or lines < 3:
            return
        (left, right), (low, high) = _spans(marks)

        def place(x: float, y: float) -> tuple[int, int]:
            across = round((x - left) / (right - left) * (scale - 1))
            return across, round((high - y) / (high - low) * (lines - 1))

        front: Canvas = {at: ("·", "accent") for at in _front_cells(self.seen, place)}
        canvas = dict(front)
        choice = ""
        if not _put(canvas, marks, place, columns, lines):
            canvas = dict(front)
            marks, choice = _bracketed(marks)
            _put(canvas, marks, place, columns, lines)
        labels = {0: high, (lines - 1) // 2: high - (high - low) * ((lines - 1) // 2) / (lines - 1), lines - 1: low}
        for y in range(lines):
            label = f"{labels[y]:.0f}" if y in labels else ""
            yield [(f"{label:>{_LABEL - 1}}", "muted"), ("┤" if label else "│", "muted"),
                   *(canvas.get((x, y), (" ", "")) for x in range(columns))]  # fmt: skip
        yield [(" " * (_LABEL - 1) + "└", "muted"), ("─" * columns, "muted")]
        end = f"{right:.0f}"
        signs: list[tuple[str, str]] = [(f"{' ' * _LABEL}{left:.0f}", "muted"), ("  fidelity →  ↑ flexibility", "")]
        for sign in _legend(self.seen, marks, choice):
            if text_width([*signs, *sign]) + len(end) < _LABEL + scale:
                signs += sign
        yield spread(signs, [(end, "muted")], _LABEL + scale)


def _legend(seen: Compared, marks: Sequence[Mark], choice: str) -> Iterator[Row]:
    """What the signs on the plot mean; the signs are those that stand there, as a made-up number could be the choice's.

    `choice` is the sign of the choice where its word found no room.
    """
    if choice:
        yield [(f"  {choice}", "good"), (" choice", "muted")]
    if len(seen.decision.front) > 1:
        yield [("  · ·", "accent"), (" front", "muted")]
    out = next((mark.number for mark in reversed(marks) if mark.number.startswith("(")), "")
    if out:
        yield [(f"  {out}", ""), (" ruled out", "muted")]


def _bracketed(marks: Sequence[Mark]) -> tuple[list[Mark], str]:
    """The marks with the choice's number in square brackets, and that sign: what tells it without word or colour."""
    done = [replace(mark, number=f"[{mark.number}]") if mark.is_choice else mark for mark in marks]
    return done, next((mark.number for mark in done if mark.is_choice), "")


def marks_of(seen: Compared) -> list[Mark]:
    """Every point with both figures: the full weights, the recommended weight, the base; what matters most first."""
    found: list[tuple[int, Mark]] = []
    for row in seen.report.points:
        if row.fidelity is None or row.flexibility is None:
            continue
        if not seen.stands_apart(row.at) and row.at != seen.weight:
            continue
        rank, word, ink = _role(seen, row)
        other = row.weight != 1.0 and row.at != seen.weight
        number = "" if row.at == BASE else f"@{row.weight:g}" if other else str(row.checkpoint)
        number = f"({number})" if _is_out(row) else number
        found.append((rank, Mark(row.fidelity, row.flexibility, number, word, ink, row.at == seen.choice)))
    return [mark for _, mark in sorted(found, key=lambda one: one[0])]


def _is_out(row: PointRow) -> bool:
    return bool(row.ruled_out or row.broken)


def _role(seen: Compared, row: PointRow) -> tuple[int, str, str]:
    """How much a point matters (0 most), the word beside it, its ink."""
    if row.at == BASE:
        return 2, "base", "muted"
    words = seen.roles(row.at)
    if row.weight != 1.0 and seen.weight == row.at:
        words = [f"at {row.weight:g}"]
    ink = "good" if seen.choice is not None and row.checkpoint == seen.choice[0] else "strong"
    if words:
        return 0 if "choice" in words else 1, ", ".join(words), ink
    return (3, "", "strong") if row.at in seen.decision.front else (4, "", "muted")


def _spans(marks: Sequence[Mark]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The axes' ends: in tens, the base's corner always inside."""
    xs, ys = [0.0, *(mark.x for mark in marks)], [100.0, *(mark.y for mark in marks)]
    left, right = math.floor(min(xs) / 10) * 10, math.ceil((max(xs) + 2) / 10) * 10
    low, high = math.floor((min(ys) - 2) / 10) * 10, math.ceil(max(ys) / 10) * 10
    return (left, max(right, left + 20)), (min(low, high - 20), high)


def _front_cells(seen: Compared, place: Place) -> Iterator[tuple[int, int]]:
    """The cells of a line from one point of the front to the next."""
    known = [row for at in seen.decision.front if (row := seen.report.point(at)) is not None]
    corners = sorted((one.fidelity, one.flexibility) for one in known
                     if one.fidelity is not None and one.flexibility is not None)  # fmt: skip
    for (from_x, from_y), (to_x, to_y) in zip(corners, corners[1:], strict=False):
        (x, y), (end_x, end_y) = place(from_x, from_y), place(to_x, to_y)
        reach = max(abs(end_x - x), abs(end_y - y), 1)
        for part in range(reach + 1):
            across = x + round((end_x - x) * part / reach)
            if across % 2 == 0 or abs(end_y - y) > abs(end_x - x):
                yield across, y + round((end_y - y) * part / reach)


def _put(canvas: Canvas, marks: Sequence[Mark], place: Place, columns: int, lines: int) -> bool:
    """Sets the numbers where they belong, or as near as there is room; then the words beside them where they fit.

    Says whether the choice, where it is on the chart, has got its word.
    """
    told = True
    taken: set[tuple[int, int]] = set()
    found: list[Numbered] = []
    for mark in marks:
        text = mark.number or "○"
        x, y = place(mark.x, mark.y)
        for right, down in _NEAR:
            first = max(0, min(columns - len(text), x + right - len(text) // 2))
            if 0 <= y + down < lines and _free(taken, first, first + len(text), y + down):
                taken.update((column, y + down) for column in range(first, first + len(text)))
                found.append(Numbered(first, y + down, text, mark))
                break
    found = _in_order(found)
    for one in found:
        _write(canvas, taken, one.first, one.line, [(char, one.mark.ink) for char in one.text])
    for one in found:
        if one.mark.word:
            fits = _put_word(canvas, taken, one.first, one.end, one.line, one.mark, (columns, lines))
            told = told and (fits or not one.mark.is_choice)
    return told


def _in_order(found: Sequence[Numbered]) -> list[Numbered]:
    """Numbers that stand side by side because there was no room, from the least fidelity to the most; else as given."""
    moved: dict[int, Numbered] = {}
    for line in {one.line for one in found}:
        beside: list[Numbered] = []
        row = sorted((one for one in found if one.line == line), key=lambda one: one.first)
        for one, after in zip(row, [*row[1:], None], strict=True):
            beside.append(one)
            if after is None or after.first > one.end + 1:
                first = beside[0].first
                for each in sorted(beside, key=lambda each: each.mark.x):
                    moved[id(each.mark)] = replace(each, first=first)
                    first += len(each.text) + 1
                beside = []
    return [moved[id(one.mark)] for one in found]


def _put_word(
    canvas: Canvas, taken: set[tuple[int, int]], first: int, end: int, y: int, mark: Mark, size: tuple[int, int]
) -> bool:
    """Writes the word behind the number, before it, below or above, where it covers no other; False where none fits."""
    wide = text_width([(mark.word, "")])
    columns, lines = size
    after, before = end + 3 + wide, first - 3 - wide
    if after <= columns and _free(taken, end + 1, after, y):
        _write(canvas, taken, end, y, cells([(" ← ", "muted"), (mark.word, mark.ink)], 3 + wide))
        return True
    if before >= 0 and _free(taken, before, first - 1, y):
        _write(canvas, taken, before, y, cells([(mark.word, mark.ink), (" → ", "muted")], 3 + wide))
        return True
    middle = (first + end - 1) // 2
    for line, sign in ((y + 1, "↑"), (y - 1, "↓")):
        right, left = middle + 2 + wide, middle - 1 - wide
        if not 0 <= line < lines:
            continue
        if right <= columns and _free(taken, middle, right, line):
            _write(canvas, taken, middle, line, cells([(f"{sign} ", "muted"), (mark.word, mark.ink)], 2 + wide))
            return True
        if left >= 0 and _free(taken, left, middle + 1, line):
            _write(canvas, taken, left, line, cells([(mark.word, mark.ink), (f" {sign}", "muted")], 2 + wide))
            return True
    return False


def _free(taken: set[tuple[int, int]], first: int, end: int, y: int) -> bool:
    """Whether nothing stands there, nor right beside it, where it would read as one."""
    return not any((x, y) in taken for x in range(first - 1, end + 1))


def _write(canvas: Canvas, taken: set[tuple[int, int]], first: int, y: int, letters: Sequence[Cell]) -> None:
    for x, letter in enumerate(letters, first):
        canvas[x, y] = letter
        taken.add((x, y))
    for x in (first - 1, first + len(letters)):
        if (x, y) not in taken:
            canvas.pop((x, y), None)  # a dot of the front that would touch it
