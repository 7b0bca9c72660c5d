"""View 2, the table: every epoch with balance, chance, both figures and the five parts; below it the one under the
cursor in words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from engine.compare.report import At, CheckpointRow, PointRow
from engine.errors import shown
from tui.compare.compared import BASE, SHORT_PARTS, Compared, in_order, per_cent, why_ruled_out
from tui.compare.sheets import Rows, paragraphs
from tui.text import count
from tui.widgets.board import Board, Row, cells, text_width
from tui.widgets.listing import Listing

_NAME = 13  # columns of the name where there is little room
_HELP = (
    "Balance is high only where fidelity and flexibility both are; chance is that of being the best of those not "
    "ruled out. The five parts of flexibility: prompt - follows the prompt; style - takes on other styles; varied - "
    "the pictures of a prompt differ; own - does not copy the training pictures; class - leaves the class word alone. "
    "Each is against the untouched base's 100."
)
_LEGEND = {"prompt": "prompt followed", "style": "style taken on", "diversity": "varied", "copying": "own pictures",
           "bleed": "class kept"}  # fmt: skip
SORTS = ("epoch", "balance", "fidelity", "flexibility")


@dataclass(frozen=True)
class Line:
    """One line of the table: a point, with its figures where it has some."""

    at: At
    checkpoint: CheckpointRow | None
    row: PointRow | None


class Head(Board):
    """The columns' names; the one it is sorted by is marked."""

    DEFAULT_CSS = """
    Head { height: 1; }
    """

    sort = "epoch"
    first = "epoch"
    parts: tuple[str, ...] = ()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        row: list[tuple[str, str]] = [("   ", ""), (self.first.ljust(name_room(width)), self._ink("epoch"))]
        row += [(name.rjust(column_room(name)), self._ink(name)) for name in columns(self.parts)]
        return [row]

    def _ink(self, name: str) -> str:
        return "strong" if name == {"flexibility": "flexib."}.get(self.sort, self.sort) else "muted"


def columns(parts: Iterable[str]) -> list[str]:
    """The names at the head of the columns of figures."""
    return ["balance", "chance", "fidelity", "flexib.", *(SHORT_PARTS[part] for part in parts)]


def column_room(name: str) -> int:
    return len(name) + 1


def name_room(width: int) -> int:
    return _NAME if width < 100 else 24


class Epochs(Listing):
    """The lines; enter is the key that makes one the LoRA, as `m` is everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", show=False, tooltip="make the one under the cursor your LoRA")
    ]


class TableView(Vertical):
    """The table and what is to be said of the line under the cursor."""

    DEFAULT_CSS = """
    TableView Epochs { height: 1fr; }
    TableView About { height: 6; margin-top: 1; }
    """

    def __init__(self, *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self.seen: Compared | None = None
        self.lines: tuple[Line, ...] = ()
        self.sort = "epoch"

    def compose(self) -> ComposeResult:
        yield Head()
        yield Epochs(self._line, leaves=False, takes="make", help_text=_HELP)
        yield About()

    def focus_first(self) -> None:
        self.query_one(Epochs).focus()

    def show(self, seen: Compared) -> None:
        here = self.here
        first = self.seen is None or not self.lines
        self.seen = seen
        self.lines = lines_of(seen, self.sort)
        wanted = seen.choice if first else here.at if here is not None else None
        listing, head = self.query_one(Epochs), self.query_one(Head)
        at = next((number for number, line in enumerate(self.lines) if line.at == wanted), None)
        head.sort, head.parts, head.first = self.sort, parts_of(seen), "epoch" if seen.report.epochs else "LoRA"
        head.redraw()
        listing.fill(len(self.lines), at=at)
        self._tell()

    @property
    def here(self) -> Line | None:
        """The line under the cursor."""
        at = self.query_one(Epochs).at
        return self.lines[at] if 0 <= at < len(self.lines) else None

    def sort_next(self) -> None:
        self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
        if self.seen is not None:
            self.show(self.seen)

    def on_listing_moved(self, message: Listing.Moved) -> None:
        message.stop()
        self._tell()
        self.screen.refresh_bindings()

    def _tell(self) -> None:
        about = self.query_one(About)
        about.seen, about.line = self.seen, self.here
        about.redraw()

    def _line(self, number: int, here: bool, width: int) -> Row:
        line, seen = self.lines[number], self.seen
        assert seen is not None
        mark, ink = mark_of(seen, line)
        room = name_room(width)
        name = "".join(text for text, _ in cells([(seen.short(line.at), "")], room - 1))
        row: list[tuple[str, str]] = [("▸" if here else " ", "accent"), (f"{mark} ", ink)]
        row.append((name + " " * max(1, room - text_width([(name, "")])), "strong" if here else "plain"))
        if line.row is None:
            return [*row, (f"  {unmeasured(line)}", "muted")]
        figures = [seen.balance(line.row), line.row.fidelity, line.row.flexibility]
        texts = [_figure(figure) for figure in figures]
        texts.insert(1, per_cent(line.row.chance).replace("over ", ">").replace("under ", "<") if (
            line.row.chance is not None) else "")  # fmt: skip
        texts += [_figure(line.row.parts.get(part)) for part in parts_of(seen)]
        look = "muted" if line.row.ruled_out or line.row.broken else "plain"
        names = columns(parts_of(seen))
        row += [(f"{text:>{column_room(name)}}", look) for name, text in zip(names, texts, strict=True)]
        return row


def lines_of(seen: Compared, sort: str) -> tuple[Line, ...]:
    """The base, then every checkpoint with its points; sorted by a figure, what has none comes last."""
    rows = {row.at: row for row in seen.report.points}
    found = [Line(at, seen.report.checkpoint(at[0]), row) for at, row in rows.items()]
    measured = {at[0] for at in rows}
    found += [
        Line((one.checkpoint, 1.0), one, None) for one in seen.report.checkpoints if one.checkpoint not in measured
    ]
    found.sort(key=lambda line: in_order(line.at))
    if sort == "epoch":
        return tuple(found)

    def figure(line: Line) -> float:
        if line.row is None or line.at == BASE:
            return -1.0
        value = seen.balance(line.row) if sort == "balance" else getattr(line.row, sort)
        return -1.0 if value is None else value

    return tuple(sorted(found, key=lambda line: -figure(line)))


def parts_of(seen: Compared) -> tuple[str, ...]:
    """The parts of flexibility that were measured, in their order."""
    there = {part for row in seen.report.points for part in row.parts}
    return tuple(part for part in SHORT_PARTS if part in there)


def mark_of(seen: Compared, line: Line) -> tuple[str, str]:
    """A sign for what the line is; the words below say it in full."""
    if line.checkpoint is not None and line.checkpoint.problem or line.row is not None and line.row.broken:
        return "!", "bad"
    if line.at == seen.choice:
        return "●", "good"
    if line.row is None:
        return "=" if line.checkpoint is not None and line.checkpoint.twin_of is not None else "·", "muted"
    if line.row.ruled_out:
        return "✗", "warn"
    return ("○", "good") if line.at in seen.decision.equals else (" ", "")


def unmeasured(line: Line) -> str:
    """Why a checkpoint has no figures, in a few words."""
    one = line.checkpoint
    if one is None:
        return "not measured"
    if one.problem:
        return shown(one.problem)
    if one.twin_of is not None:
        return f"twin of epoch {one.twin_of}: too alike to be drawn twice"
    return "not measured yet"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


class About(Board):
    """The line under the cursor in words."""

    seen: Compared | None = None
    line: Line | None = None

    def rows(self, width: int, height: int) -> Iterable[Row]:
        if self.seen is None or self.line is None:
            return []
        return about(self.seen, self.line, width)


def about(seen: Compared, line: Line, width: int) -> Rows:
    """What a point is, why it is ruled out, its parts, and what was known of its file."""
    name = seen.name(line.at)
    begin = name[:1].upper() + name[1:] if name.startswith(("epoch", "the base")) else name
    said = seen.roles(line.at)
    if line.at in seen.decision.equals and line.at != seen.choice and len(seen.decision.equals) > 1:
        said.append("cannot be told apart from the best")
    what = f"{begin}: {', '.join(said)}" if said else begin
    texts: list[tuple[str, str]] = [(what, "strong")]
    if line.at == BASE:
        texts.append(("What everything is measured against: fidelity 0, flexibility 100.", "plain"))
        return paragraphs(texts, width)
    if line.row is None:
        texts.append((_why_unmeasured(seen, line), "warn"))
    else:
        if why := why_ruled_out(line.row):
            texts.append((f"Ruled out: {why}.", "warn"))
        if sure := _sureness(line.row):
            texts.append((sure, "plain"))
    if facts := _facts(line, seen):
        texts.append((facts, "muted"))
    if parts := [_LEGEND[part] for part in parts_of(seen)]:
        texts.append((f"Of 100: {', '.join(parts)}.", "muted"))
    return paragraphs(texts, width)


def _why_unmeasured(seen: Compared, line: Line) -> str:
    one = line.checkpoint
    if one is not None and one.twin_of is not None and not one.problem:
        moved = f" ({per_cent(one.change)} of its length)" if one.change is not None else ""
        return (
            f"Its weights hardly moved since {seen.name((one.twin_of, 1.0))}{moved}: it draws nearly the same "
            "pictures, so they were not drawn twice."
        )
    return unmeasured(line).rstrip(".") + "."


def _sureness(row: PointRow) -> str:
    """How sure the two figures are, and what was copied."""
    ranges = [
        f"{name} between {ends[0]:.0f} and {ends[1]:.0f}"
        for name, ends in (("fidelity", row.fidelity_range), ("flexibility", row.flexibility_range))
        if ends is not None and len(ends) == 2 and ends[0] is not None and ends[1] is not None
    ]
    likely = f"With other prompts, two times in three: {', '.join(ranges)}." if ranges else ""
    copies = f" {count(round(row.copied), 'new picture')} repeat a training picture." if row.copied else ""
    return (likely + copies).strip()


def _facts(line: Line, seen: Compared) -> str:
    one = line.checkpoint
    if one is None:
        return ""
    facts = [f"rank {one.rank}"] if one.rank is not None else []
    if one.change is not None and one.twin_of is None and seen.report.epochs:
        facts.append(f"moved {per_cent(one.change)} since the one before")
    if one.held_out is not None:
        sign = "below" if one.held_out < 0 else "above"
        facts.append(f"held-out loss {per_cent(abs(math.expm1(one.held_out)))} {sign} the base's")
    if not one.survivor:
        facts.append("given up after the first pictures")
    return ", ".join(facts)
