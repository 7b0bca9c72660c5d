"""View 3, the grid: prompts below one another, the base and each epoch side by side; one of them large on enter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.message import Message

from engine.compare.report import At
from engine.errors import shown
from tui.compare.compared import BASE, SHORT_PARTS, Compared, Slot
from tui.compare.sheets import Framed, PictureBoard, Rows, exactly, in_a_row, paragraphs
from tui.widgets.board import Row, spread, wrap
from tui.widgets.graphics import large_picture, show_large

GRID, BESIDE, ALONE = range(3)
_FIGURES = 2  # lines at the foot of the grid


class Grid(PictureBoard, can_focus=True):
    """The pictures with a cursor among them. `level`: all of them, one beside base and choice, or one alone."""

    DEFAULT_CSS = """
    Grid { height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "deeper", "large", tooltip="this picture beside base and choice; once more: alone"),
        Binding("escape", "back", "back", tooltip="one step back towards the grid"),
        Binding("h", "hires", "high-res", tooltip="with or without the high-res fix, where it was drawn"),
        Binding("left", "move(-1, 0)", show=False, tooltip="the epoch before, → the next; ↑ ↓ another prompt"),
        Binding("right", "move(1, 0)", show=False),
        Binding("up,k", "move(0, -1)", show=False),
        Binding("down,j", "move(0, 1)", show=False),
        Binding("pageup", "page(0, -1)", show=False, tooltip="a page of prompts back, pgdn on; < > a page of epochs"),
        Binding("pagedown", "page(0, 1)", show=False),
        Binding("less_than_sign,comma", "page(-1, 0)", show=False),
        Binding("greater_than_sign,full_stop", "page(1, 0)", show=False),
        Binding("home", "move(-100000, 0)", show=False),
        Binding("end", "move(100000, 0)", show=False),
        Binding("z", "zoom", show=False),
    ]

    help_text = (
        "The same prompts and seeds for everyone: what differs in a row is the LoRA's doing. The untouched base stands "
        "first, the choice is marked. Look whether the subject is there, and whether the scene still does what the "
        "prompt says."
    )

    @dataclass
    class Changed(Message):
        """Another picture or another level is shown."""

    @dataclass
    class Leveled(Message):
        """Another level is shown."""

    def __init__(self, *, ascii_only: bool = False, pixels: bool = False) -> None:
        """`pixels`: what is alone is shown by another widget, in pixels; here stands only what is said of it."""
        super().__init__(ascii_only=ascii_only)
        self.pixels = pixels
        self.seen: Compared | None = None
        self.across, self.down = 0, 0
        self.first_column, self.first_row = 1, 0
        self.level = GRID
        self.hires = False
        self._moved = False

    def show(self, seen: Compared) -> None:
        points = self.points
        at = points[self.across] if points and self._moved else seen.choice or BASE
        self.seen = seen
        self.across = self.points.index(at) if at in self.points else min(self.across, max(0, len(self.points) - 1))
        self.down = min(self.down, max(0, len(self.slots) - 1))
        self.redraw()

    @property
    def points(self) -> tuple[At, ...]:
        return self.seen.drawn_points if self.seen is not None else ()

    @property
    def slots(self) -> tuple[Slot, ...]:
        return self.seen.drawn_slots if self.seen is not None else ()

    @property
    def here(self) -> tuple[At, Slot] | None:
        """The point and the prompt under the cursor."""
        if not self.points or not self.slots:
            return None
        return self.points[self.across], self.slots[self.down]

    def go(self, at: At, slot: Slot, level: int) -> None:
        """Puts the cursor on a picture, at one of the three levels."""
        if at in self.points and slot in self.slots:
            self.across, self.down, self._moved = self.points.index(at), self.slots.index(slot), True
        self.level = level
        self.redraw()

    def redraw(self) -> None:
        super().redraw()
        if self.pixels:
            self.post_message(self.Changed())

    # Drawing.

    def rows(self, width: int, height: int) -> Iterable[Row]:
        here = self.here
        if self.seen is None or here is None:
            return [[(" No pictures yet: the untouched base is drawn first.", "muted")]]
        return self._whole(width, height) if self.level == GRID else self._beside(*here, width, height)

    def _shape(self, width: int, height: int) -> tuple[Size, int, int]:
        """A picture's room, and how many columns and rows of them there are."""
        lines = height - 1 - _FIGURES
        rows = max(1, min(2 if lines < 24 else 3, len(self.slots)))
        side = max(2, min(lines // rows - 1, (width - 1) // 3 // 2))
        return Size(2 * side, side), max(2, (width - 1) // (2 * side + 1)), rows

    def _whole(self, width: int, height: int) -> Iterable[Row]:
        assert self.seen is not None
        size, columns, rows = self._shape(width, height)
        self._keep_in_sight(columns, rows)
        shown_columns = [0, *range(self.first_column, min(len(self.points), self.first_column + columns - 1))]
        yield self._heads(shown_columns, size, width)
        for down in range(self.first_row, min(len(self.slots), self.first_row + rows)):
            yield self._prompt_line(down, width)
            blocks = [self.picture(self.seen.picture(self.points[x], self.slots[down]), size) for x in shown_columns]
            for y in range(size.height):
                yield self._picture_line(down, shown_columns, [block[y] for block in blocks])
        blank = height - 1 - _FIGURES - rows * (size.height + 1)
        yield from ([] for _ in range(blank + max(0, self.first_row + rows - len(self.slots)) * (size.height + 1)))
        yield from self._figures(width)

    def _keep_in_sight(self, columns: int, rows: int) -> None:
        """Pages rather than scrolls: on a slow line a page is sent once."""
        others = max(1, columns - 1)
        if self.across:
            self.first_column = 1 + (self.across - 1) // others * others
        self.first_row = self.down // rows * rows

    def _heads(self, columns: list[int], size: Size, width: int) -> Row:
        row: list[tuple[str, str]] = []
        for x in columns:
            at = self.points[x]
            words, ink = self._title(at, size.width)
            row += [("▸" if x == self.across else " ", "accent"), *exactly([(words, ink)], size.width)]
        last = columns[-1]
        more = f"{last} of {len(self.points) - 1} >" if last < len(self.points) - 1 else ""
        return spread(row, [(more, "muted")], width) if more and len(columns) * (size.width + 1) + 12 < width else row

    def _title(self, at: At, room: int) -> tuple[str, str]:
        assert self.seen is not None
        if at == BASE:
            return "the base", "muted"
        name = self.seen.name(at)
        words = self.seen.short(at) if len(name) > room else name
        if at == self.seen.choice:
            return f"{words} ● choice" if len(words) + 9 <= room else f"{words} ●", "good"
        return words, "strong"

    def _prompt_line(self, down: int, width: int) -> Row:
        assert self.seen is not None
        name, seed = self.slots[down]
        prompt = self.seen.prompt(name)
        words = shown(prompt.drawn or name)
        mine = down == self.down
        place = f"{down + 1} of {len(self.slots)} " if down == self.first_row else ""
        mark, ink = ("▸", "strong") if mine else (" ", "plain")
        return spread([(mark, "accent"), (words, ink), (f"  seed {seed}", "muted")], [(place, "muted")], width)

    def _picture_line(self, down: int, columns: list[int], lines: Rows) -> Row:
        """One line of pictures; the one under the cursor stands between two bars."""
        left, right = "||" if self.ascii_only else "▐▌"
        row: list[tuple[str, str]] = []
        for at, (x, line) in enumerate(zip(columns, lines, strict=True)):
            here = down == self.down and x == self.across
            before = down == self.down and at > 0 and columns[at - 1] == self.across
            row.append((left if here else right if before else " ", "accent"))
            row += line
        if down == self.down and columns[-1] == self.across:
            row.append((right, "accent"))
        return row

    def _figures(self, width: int) -> Rows:
        """What was measured of the epoch under the cursor."""
        assert self.seen is not None
        at = self.points[self.across]
        row, name = self.seen.report.point(at), self.seen.name(at)
        said = ", ".join(self.seen.roles(at))
        if at == BASE:
            return [[(" the untouched base", "strong"), (": what everything is measured against", "muted")]]
        first: list[tuple[str, str]] = [(f" {name}", "strong"), (f" ({said})" if said else "", "good")]
        if row is None or row.flexibility is None:
            return [[*first, ("  not measured yet", "muted")]]
        figures = {"balance": self.seen.balance(row), "fidelity": row.fidelity, "flexibility": row.flexibility}
        for label, value in figures.items():
            first.append((f"  {label} {value:.0f}" if value is not None else f"  {label} -", ""))
        parts = "  ".join(f"{SHORT_PARTS[name]} {value:.0f}" for name, value in row.parts.items()
                          if name in SHORT_PARTS and value is not None)  # fmt: skip
        return [first, [(f" {parts}", "muted")]]

    def _beside(self, at: At, slot: Slot, width: int, height: int) -> Iterable[Row]:
        """Base, choice and this one side by side, or this one alone, over prompt and figures."""
        assert self.seen is not None
        prompt = self.seen.prompt(slot[0])
        said = [line for line in wrap(f"{shown(prompt.drawn or slot[0])}  (seed {slot[1]})", width - 2)][:2]
        foot = [*paragraphs([(line, "strong") for line in said], width), *self._figures(width)]
        framed = self.framed(at, slot)
        if self.pixels and self.level == ALONE:
            return foot
        room = height - len(foot)
        blocks = in_a_row(self, framed, width, room)
        blank: Rows = [[] for _ in range(room - len(blocks))]
        return [*blocks, *blank, *foot]

    def framed(self, at: At, slot: Slot) -> list[Framed]:
        """The pictures that are shown large, each with its name."""
        assert self.seen is not None
        wanted = [BASE, self.seen.choice, at] if self.level == BESIDE else [at]
        found = []
        for one in dict.fromkeys(point for point in wanted if point is not None):
            path = self.seen.picture(one, slot)
            fixed = self.seen.picture(one, slot, hires=True) if self.hires else None
            mine = ", the choice" if one == self.seen.choice else ""
            words = self.seen.name(one) + (", high-res" if fixed is not None else mine)
            ink = "good" if one == self.seen.choice else "strong" if one == at else "muted"
            mark = "▸ " if one == at and self.level == BESIDE else ""
            found.append(Framed(fixed or path, [(mark, "accent"), (words, ink)]))
        return found

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "back":
            return self.level != GRID
        if action == "hires":
            return self.level != GRID and self.seen is not None and any(one.hires for one in self.seen.report.pictures)
        return action != "deeper" or self.level != ALONE

    def action_move(self, across: int, down: int) -> None:
        self._moved = True
        self.across = max(0, min(self.across + across, len(self.points) - 1))
        self.down = max(0, min(self.down + down, len(self.slots) - 1))
        self.redraw()
        self.screen.refresh_bindings()

    def action_page(self, across: int, down: int) -> None:
        _, columns, rows = self._shape(*self.size)
        self.action_move(across * max(1, columns - 1), down * (rows if self.level == GRID else 1))

    def action_deeper(self) -> None:
        self._to(min(self.level + 1, ALONE))

    def action_back(self) -> None:
        self._to(max(self.level - 1, GRID))

    def action_zoom(self) -> None:
        self._to(BESIDE if self.level == GRID else GRID)

    def action_hires(self) -> None:
        self.hires = not self.hires
        self.redraw()

    def _to(self, level: int) -> None:
        self.level = level
        self.redraw()
        self.refresh_bindings()
        self.post_message(self.Leveled())


class GridView(Vertical):
    """The grid; what is alone is shown in pixels where those were asked for."""

    DEFAULT_CSS = """
    GridView #large { display: none; height: 3fr; align: center middle; }
    GridView #large .large { width: auto; height: 100%; }
    GridView.-large #large { display: block; }
    GridView.-large Grid { height: 5; }
    """

    def __init__(self, *, ascii_only: bool = False, images: str = "half", classes: str | None = None) -> None:
        """`images`: one of widgets.graphics.WAYS."""
        super().__init__(classes=classes)
        self.ascii_only = ascii_only
        self.large = large_picture(images) if images in {"kitty", "sixel"} else None

    def compose(self) -> ComposeResult:
        if self.large is not None:
            with Vertical(id="large"):
                yield self.large
        yield Grid(ascii_only=self.ascii_only, pixels=self.large is not None)

    def show(self, seen: Compared) -> None:
        self.query_one(Grid).show(seen)

    def on_grid_changed(self, message: Grid.Changed) -> None:
        message.stop()
        grid = self.query_one(Grid)
        here = grid.here
        alone = grid.framed(*here)[0].path if here is not None and grid.level == ALONE and grid.is_on_screen else None
        there = alone is not None and alone.is_file()
        self.set_class(there, "-large")
        if self.large is not None and alone != self._shown:
            self._shown = alone
            show_large(self.large, alone if there else None)

    _shown: Path | None = None

    def focus_first(self) -> None:
        self.query_one(Grid).focus()
