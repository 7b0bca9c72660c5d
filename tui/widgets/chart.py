"""The loss over the whole run: each step a dot, a smoothed line through them, held-out losses, checkpoints.

The x axis is fixed from 0 to the run's last step and the y axis moves seldom, so that a new step changes one cell
or two and costs the line a few dozen bytes. Drawn in braille, 2 x 4 dots a cell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tui.watch.story import Checkpoint, Curve, Validation
from tui.widgets.board import Board, Cell, Row

_LABEL = 7  # columns of the y axis, with the space beside it
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # braille bits by row and column of the cell
_RAW = (0.01, 0.97)  # quantiles of the raw losses that the y range shows: single spikes do not set it
_SMOOTH = (0.0, 0.98)  # and of the smoothed ones, whose first few are hardly smooth


class LossChart(Board):
    """Give it what is known with `show`; it draws what is new."""

    DEFAULT_CSS = """
    LossChart { height: 1fr; min-height: 5; }
    """

    def __init__(self, *, id: str | None = None, ascii_only: bool = False) -> None:
        super().__init__(id=id)
        self.ascii_only = ascii_only
        self.curve = Curve()
        self.total = 1
        self.validations: Sequence[Validation] = ()
        self.checkpoints: Sequence[Checkpoint] = ()
        self._range: tuple[float, float] | None = None
        self._ranged_at = 0
        self._raw: dict[tuple[int, int], int] = {}
        self._line: dict[tuple[int, int], int] = {}
        self._plotted = 0
        self._last: tuple[int, int] | None = None
        self._key: tuple[object, ...] = ()

    def show(
        self, curve: Curve, total: int, validations: Sequence[Validation] = (), checkpoints: Sequence[Checkpoint] = ()
    ) -> None:
        """`total`: the run's last step, the end of the x axis."""
        self.curve, self.validations, self.checkpoints = curve, validations, checkpoints
        self.total = max(1, total, curve.steps[-1] if curve.steps else 1)
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        """The plot, then its axis and the steps below it."""
        columns, lines = width - _LABEL, height - 2
        if columns < 8 or lines < 3:
            return
        self._fit_range()
        self._plot(columns, lines)
        low, high = self._range or (0.0, 1.0)
        marks = self._marks(columns, lines)
        labels = {0: high, (lines - 1) // 2: high - (high - low) * ((lines - 1) // 2) / (lines - 1), lines - 1: low}
        for y in range(lines):
            label = _figure(labels[y]) if y in labels and self._range else ""
            yield [(f"{label:>{_LABEL - 1}}", "muted"), ("┤" if label else "│", "muted"), *self._row(y, columns, marks)]
        yield [(" " * (_LABEL - 1) + "└", "muted"), *self._axis(columns)]
        end = f"{self.total:,}"
        yield [(" " * _LABEL + "0".ljust(columns - len(end)) + end, "muted")]

    def _row(self, y: int, columns: int, marks: dict[tuple[int, int], Cell]) -> list[Cell]:
        cells = []
        for x in range(columns):
            at = (x, y)
            if at in marks:
                cells.append(marks[at])
            elif at in self._line:
                cells.append(("*" if self.ascii_only else chr(0x2800 + self._line[at]), "accent"))
            elif at in self._raw:
                cells.append(("." if self.ascii_only else chr(0x2800 + self._raw[at]), "muted"))
            else:
                cells.append((" ", ""))
        return cells

    def _axis(self, columns: int) -> list[Cell]:
        """The x axis with a mark at each checkpoint."""
        marked = {self._column(one.step, columns) // 2 for one in self.checkpoints}
        return [("▴", "good") if x in marked else ("─", "muted") for x in range(columns)]

    def _marks(self, columns: int, lines: int) -> dict[tuple[int, int], Cell]:
        """Held-out losses as crosses over the base's as a dashed line, which belongs below them."""
        marks: dict[tuple[int, int], Cell] = {}
        base = [one.base for one in self.validations if one.base is not None and math.isfinite(one.base)]
        if base and (row := self._dot_row(base[-1], lines)) is not None:
            marks |= {(x, row // 4): ("╌", "warn") for x in range(columns) if (x, row // 4) not in self._line}
        for one in self.validations:
            if (row := self._dot_row(one.loss, lines)) is not None:
                marks[self._column(one.step, columns) // 2, row // 4] = ("✕", "good")
        return marks

    def _fit_range(self) -> None:
        """The y range: of most of the dots and all of the rest; changed only when what is drawn outgrows it."""
        losses, smooth = self.curve.losses, self.curve.smooth
        must = [smooth[-1]] if smooth else []
        must += [value for one in self.validations for value in (one.loss, one.base) if value is not None]
        must = [value for value in must if math.isfinite(value)]
        if not losses and not must:
            self._range = None
            return
        inside = self._range is not None and all(self._range[0] <= value <= self._range[1] for value in must)
        grown = len(losses) >= max(8, int(self._ranged_at * 1.6))
        if inside and not grown and len(losses) >= self._ranged_at:
            return
        self._ranged_at = len(losses)
        wanted = [*must, *_quantiles(losses, _RAW), *_quantiles(smooth, _SMOOTH)]
        self._range = _round_range(min(wanted), max(wanted))

    def _plot(self, columns: int, lines: int) -> None:
        """Adds the dots that came since the last time; all of them where the scale is another."""
        key = (columns, lines, self._range, self.total, self.curve.version)
        if key != self._key or self._plotted > len(self.curve.steps):
            self._key, self._plotted, self._last = key, 0, None
            self._raw, self._line = {}, {}
        curve = self.curve
        for at in range(self._plotted, len(curve.steps)):
            x = self._column(curve.steps[at], columns)
            if (y := self._dot_row(curve.losses[at], lines)) is not None:
                _set_dot(self._raw, x, y)
            y = self._dot_row(curve.smooth[at], lines)
            if y is not None:
                self._draw_to(x, y)
        self._plotted = len(curve.steps)

    def _draw_to(self, x: int, y: int) -> None:
        """The line from where it was to here, without a gap; steps that share a column share its last value."""
        if self._last is None:
            _set_dot(self._line, x, y)
            self._last = (x, y)
            return
        from_x, from_y = self._last
        if x == from_x:
            if abs(y - from_y) <= 1:
                return
            x = from_x
        reach = max(abs(x - from_x), abs(y - from_y), 1)
        for part in range(1, reach + 1):
            _set_dot(
                self._line, from_x + round((x - from_x) * part / reach), from_y + round((y - from_y) * part / reach)
            )
        self._last = (x, y)

    def _column(self, step: int, columns: int) -> int:
        """The dot column of a step, 0 to 2 x columns - 1."""
        return max(0, min(2 * columns - 1, round(step / self.total * (2 * columns - 1))))

    def _dot_row(self, value: float, lines: int) -> int | None:
        """The dot row of a loss, from the top; None outside the range."""
        if self._range is None or not math.isfinite(value):
            return None
        low, high = self._range
        row = round((high - value) / (high - low) * (4 * lines - 1))
        return row if 0 <= row < 4 * lines else None


def _quantiles(values: Sequence[float], shares: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered[int(share * (len(ordered) - 1))] for share in shares] if ordered else []


def _set_dot(cells: dict[tuple[int, int], int], x: int, y: int) -> None:
    at = (x // 2, y // 4)
    cells[at] = cells.get(at, 0) | _DOTS[y % 4][x % 2]


def _round_range(low: float, high: float) -> tuple[float, float]:
    """A little wider than the data, at round figures, so that it need not move with every step."""
    span = (high - low) or abs(high) or 1.0
    unit = 10 ** math.floor(math.log10(span)) / 4
    bottom = math.floor((low - span * 0.05) / unit) * unit
    top = math.ceil((high + span * 0.05) / unit) * unit
    return (max(0.0, bottom) if low >= 0 else bottom), top


def _figure(value: float) -> str:
    """A loss in at most six columns."""
    if value == 0:
        return "0"
    if 0.001 <= abs(value) < 10:
        return f"{value:.3f}"
    return f"{value:.1f}" if abs(value) < 1000 and abs(value) >= 10 else f"{value:.0e}"
