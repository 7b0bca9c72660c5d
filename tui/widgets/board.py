"""A widget drawn from lines of marked text, which sends the terminal only the cells that changed.

Textual repaints a whole widget when it is refreshed. On a slow line a screen of figures must cost what its
changed figures cost, so a board compares its cells with those on the screen and refreshes these regions only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import chop_cells, get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.css.styles import RenderStyles
from textual.dom import DOMNode
from textual.events import Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

Span = tuple[str, str]
"""Text and how it looks: one of `INKS`, or a `rich.style.Style` as text (a colour of a picture)."""

Row = Sequence[Span]

Cell = tuple[str, str]
"""One column of the screen; the second column of a wide letter is empty."""

INKS = ("plain", "strong", "muted", "faint", "accent", "good", "warn", "bad", "head", "key")

_GROUNDS = ("", "head", "\0")  # inks that a blank shows too

_TELLS = 12  # columns below which the beginning of a text tells nothing

_NEAR = 6  # columns between two changes that are sent as one: moving the cursor costs about as much


class Board(Widget):
    """Rows of text of one cell height; override `rows` and call `redraw` when what it shows has changed."""

    DEFAULT_CSS = """
    Board {
        height: auto;
        & > .board--strong { text-style: bold; }
        & > .board--muted { color: $text-muted; }
        & > .board--faint { color: $foreground 25%; }
        & > .board--accent { color: $text-primary; }
        & > .board--good { color: $text-success; }
        & > .board--warn { color: $text-warning; }
        & > .board--bad { color: $text-error; text-style: bold; }
        & > .board--head { color: $foreground; background: $panel; }
        & > .board--key { color: $accent; text-style: bold; }
        &:ansi > .board--muted { text-style: dim; }
        &:ansi > .board--faint { color: ansi_default; text-style: dim; }
        &:ansi > .board--accent { color: ansi_bright_blue; }
        &:ansi > .board--head { text-style: reverse; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._cells: list[list[Cell]] = []

    def rows(self, width: int, height: int) -> Iterable[Row]:
        """What to show in this many columns and rows; what is too long is cut."""
        return ()

    def redraw(self) -> None:
        """Looks at `rows` again and repaints the cells that are other than those shown."""
        width, height = self.size
        if not width or not height:
            return
        before, self._cells = self._cells, self._laid_out(width, height)
        if len(before) != len(self._cells) or any(len(row) != width for row in before):
            self.refresh()
            return
        changed = [
            Region(first, y, last - first, 1)
            for y, (old, new) in enumerate(zip(before, self._cells, strict=True))
            for first, last in changes(old, new)
        ]
        if changed:
            self.refresh(*changed)

    def on_resize(self, _: Resize) -> None:
        self._cells = []
        self.redraw()

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        if y >= len(self._cells):
            return Strip.blank(self.size.width, base)
        segments: list[Segment] = []
        run, ink = "", ""
        for text, look in [*self._cells[y], ("", "\0")]:
            # A blank shows no letters' colour, so it may go with its neighbours: fewer colours to send. A picture's
            # colours have grounds of their own.
            if text == " " and look == "" and ink in INKS and ink not in _GROUNDS:
                look = ink
            if look != ink and run:
                segments.append(Segment(run, self._style(ink)))
                run = ""
            run, ink = run + text, look
        return Strip(segments, len(self._cells[y]))

    def _style(self, ink: str) -> Style:
        if ink in {"", "plain"}:
            return self.rich_style
        if ink in INKS:
            return self.get_component_rich_style(f"board--{ink}")
        return self.rich_style + Style.parse(ink)

    def get_component_styles(self, *names: str) -> RenderStyles:
        """The look of an ink, worked out when it is first used.

        As COMPONENT_CLASSES, all ten would be worked out for each board at each change of a class: half of what the
        stylesheet costs until the first paint.
        """
        for name in names:
            if name not in self._component_styles:
                ink = DOMNode(classes=name)
                ink._attach(self)
                self.app.stylesheet.apply(ink)
                self._component_styles[name] = ink.styles
        return super().get_component_styles(*names)

    def notify_style_update(self) -> None:
        self._component_styles.clear()
        super().notify_style_update()

    def _laid_out(self, width: int, height: int) -> list[list[Cell]]:
        rows = [cells(row, width) for _, row in zip(range(height), self.rows(width, height), strict=False)]
        return rows + [cells((), width) for _ in range(height - len(rows))]


def cells(row: Row, width: int) -> list[Cell]:
    """A row as exactly `width` columns: cut (with an ellipsis) or filled; letters without a width join the last."""
    found: list[Cell] = []
    for text, ink in row:
        for char in text:
            columns = get_character_cell_size(char)
            if columns == 0:
                if found:
                    found[-1] = (found[-1][0] + char, found[-1][1])
                continue
            found.append((char, ink))
            found += [("", ink)] * (columns - 1)
    if len(found) > width:
        found = found[: max(0, width - 1)]
        if found and get_character_cell_size(found[-1][0][:1] or " ") == 2:
            found[-1] = (" ", found[-1][1])  # half of a wide letter cannot be shown
        return [*found, ("…", "muted")][:width]
    return found + [(" ", "")] * (width - len(found))


def changes(old: Sequence[Cell], new: Sequence[Cell]) -> list[tuple[int, int]]:
    """Where two rows differ, as (first, end) columns; near changes are one."""
    found: list[tuple[int, int]] = []
    for at, (was, now) in enumerate(zip(old, new, strict=True)):
        if was == now:
            continue
        first = at - (now[0] == "" and at > 0)  # both columns of a wide letter
        end = at + 1 + (at + 1 < len(new) and new[at + 1][0] == "")
        if found and first - found[-1][1] < _NEAR:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((first, end))
    return found


def text_width(row: Row) -> int:
    """Columns a row takes."""
    return sum(get_character_cell_size(char) for text, _ in row for char in text)


def wrap(text: str, width: int) -> list[str]:
    """Text in lines of at most `width` columns, broken at spaces, a longer word where it must be."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if text_width([(longer, "")]) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        *whole, line = chop_cells(word, max(1, width)) or [""]
        lines += whole
    return [*lines, line]


def spread(left: Row, right: Row, width: int) -> Row:
    """`left` and `right` at the two ends of a line; the right end gives way, and is cut where something of it fits."""
    room = width - text_width(left) - 2
    gap = room + 2 - text_width(right)
    if gap >= 1:
        return [*left, (" " * gap, ""), *right]
    if room < _TELLS:
        return left
    cut = ((char, ink) for char, ink in cells(right, room) if char)
    return [*left, ("  ", ""), *cut]


def bar(share: float, width: int) -> Row:
    """A progress bar in steps of half a cell."""
    halves = round(max(0.0, min(1.0, share)) * width * 2)
    done = "━" * (halves // 2) + "╸" * (halves % 2)
    return [(done, "accent"), ("─" * (width - len(done)), "faint")]
