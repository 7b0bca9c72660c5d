"""The parts of the monitor: title, progress, figures, the views' names, stages, text that can be scrolled."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from textual.geometry import Size

from engine.errors import shown
from engine.runs.folder import RunFolder
from engine.runs.summary import RunSummary
from tui.telling import progress_words, stage_words, unit_of
from tui.text import GIB, clock, duration, pace
from tui.watch.story import Card, Line, Seen, Stage
from tui.widgets.board import Board, Row, bar, spread, text_width, wrap

_INK = {
    "starting": "accent", "running": "accent", "paused": "warn", "stopping": "warn", "finished": "good",
    "stopped": "warn", "failed": "bad", "died": "bad", "new": "muted",
}  # fmt: skip
_MARK = {
    "starting": "▸", "running": "▸", "paused": "=", "stopping": "▪", "finished": "✓", "stopped": "▪",
    "failed": "✗", "died": "✗", "new": "·",
}  # fmt: skip
_WORDS = {"new": "not started", "stopping": "stopping", "starting": "starting"}
KINDS = {
    "train": "training", "caption": "captioning", "regularize": "class pictures", "health": "health check",
    "bank": "name bank", "lab": "demo's base", "compare": "comparison",
}  # fmt: skip
"""What a person calls the job of a verb; the others are called as they are.""" 


def state_row(status: str) -> Row:
    """A run's state as mark and word."""
    return [(f"{_MARK.get(status, '·')} {_WORDS.get(status, status)}", _INK.get(status, "plain"))]


class SeenBoard(Board):
    """A board of one run, drawn from what was last seen of it."""

    def __init__(self, folder: RunFolder, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.folder = folder
        self.seen: Seen | None = None

    def show(self, seen: Seen) -> None:
        self.seen = seen
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        return self.told(self.seen, width, height) if self.seen is not None else ()

    def told(self, seen: Seen, width: int, height: int) -> Iterable[Row]:
        return ()


class Title(SeenBoard):
    """The run's name and kind, and how it stands."""

    DEFAULT_CSS ="""
    Title { height: 1; background: $panel; &:ansi { background: ansi_default; } }
   """

    def rows(self, width: int, height: int) -> Iterable[Row]:
        left: Row = [(" ", ""), (shown(self.folder.name), "strong")]
        if self.seen is None:
            return [left]
        summary = self.seen.summary
        left = [*left, (f"  {KINDS.get(summary.kind, shown(summary.kind))}", "muted")]
        return [spread(left, [*self._state(summary), (" ", "")], width)]

    def _state(self, summary: RunSummary) -> Row:
        state = list(state_row(summary.status))
        if summary.alive and summary.stage is not None:
            words = stage_words(summary.stage, summary.stage_done, summary.stage_total)
            return [*state, (f": {words}", "")]
        if summary.alive and summary.quiet and summary.quiet_for is not None:
            return [*state, (f", quiet for {duration(summary.quiet_for)} (a long step, or a slow disk)", "")]
        moment = summary.started if summary.alive else summary.last_event
        return [*state, (f", {'since ' if summary.alive else ''}{clock(moment)}", "muted")] if moment else state


class Progress(SeenBoard):
    """The whole run and its epoch, or the part of the work that goes on, as bars with counts, pace and end."""

    DEFAULT_CSS ="""
    Progress { height: 2; }
   """

    def told(self, seen: Seen, width: int, height: int) -> Iterable[Row]:
        summary = seen.summary
        room = max(16, width - 60)
        if summary.step is not None and summary.steps:
            yield self._bar("run", summary.step, summary.steps, unit_of(summary.kind), _pace(summary), width, room)
            if summary.epoch is not None and summary.epochs:
                yield self._epoch(seen, summary, width, room)
            else:
                yield spread([(" " * 7, "")], [(_ends(summary), "strong"), (" ", "")], width)
            return
        stage = seen.stages[-1] if seen.stages else None
        if stage is not None and stage.done is not None and stage.total:
            moves = summary.alive and summary.status not in {"paused", "stopping"}
            yield self._bar("now", stage.done, stage.total, "", _units(stage) if moves else "", width, room)
            # Stages that are told as parts of one piece of work end with the whole.
            whole = _ends(summary)
            ending = f"all {whole}" if whole else _stage_ends(stage)
            ends: Row = [(ending if moves else "", "strong"), (" ", "")]
            yield spread([(" " * 7, ""), (shown(stage.name), "")], ends, width)
        elif stage is not None and summary.alive:
            yield [(" now   ", "muted"), (shown(stage.name), "")]
            yield [(" " * 7, ""), (f"for {duration(stage.seconds)}", "muted")]
        elif summary.alive:
            yield [(" now   ", "muted"), ("loading its libraries; the first steps follow", "")]

    def _epoch(self, seen: Seen, summary: RunSummary, width: int, room: int) -> Row:
        each = seen.steps_an_epoch or max(1, (summary.steps or 1) // (summary.epochs or 1))
        done = max(0, min(each, (summary.step or 0) - ((summary.epoch or 1) - 1) * each))
        words = f"epoch {summary.epoch} of {summary.epochs}"
        return self._line("epoch", done / each, words, [(_ends(summary), "strong")], width, room)

    def _bar(self, name: str, done: int, total: int, unit: str, right: str, width: int, room: int) -> Row:
        words = f"{unit} {progress_words(done, total)}".strip()
        return self._line(name, done / total, words, [(right, "plain")], width, room)

    def _line(self, name: str, share: float, words: str, right: Row, width: int, room: int) -> Row:
        per_cent = f" {int(share * 100):>3} %  "
        left: Row = [(f" {name:<6}", "muted"), *bar(share, room), (per_cent, "strong"), (words, "")]
        return spread(left, [*right, (" ", "")], width)


def _pace(summary: RunSummary) -> str:
    if not summary.alive or not summary.rate:
        return ""
    return pace(summary.rate, unit_of(summary.kind))


def _ends(summary: RunSummary) -> str:
    """'done 14:22, in 6 min'."""
    if summary.seconds_left is None or summary.status != "running":
        return ""
    return f"done {clock(time.time() + summary.seconds_left)}, in {duration(summary.seconds_left)}"


def _units(stage: Stage) -> str:
    if not stage.rate:
        return ""
    return f"{stage.rate:.1f} a second" if stage.rate >= 1 else f"{1 / stage.rate:.1f} s each"


def _stage_ends(stage: Stage) -> str:
    if not stage.rate or stage.over or stage.done is None or stage.total is None:
        return ""
    left = (stage.total - stage.done) / stage.rate
    return f"done {clock(time.time() + left)}, in {duration(left)}"


class Figures(SeenBoard):
    """Loss, held-out loss, learning rate; the graphics card's memory, use, heat and power."""

    DEFAULT_CSS ="""
    Figures { height: 2; }
   """

    def told(self, seen: Seen, width: int, height: int) -> Iterable[Row]:
        yield self._training(seen, width)
        yield self._card(seen.card, seen)

    def _training(self, seen: Seen, width: int) -> Row:
        summary, curve = seen.summary, seen.curve
        if summary.loss is None and not curve.steps:
            return []
        loss = curve.smooth[-1] if curve.smooth else summary.loss
        row = [(" loss  ", "muted"), (f"{loss:.4f}" if loss is not None else "-", "strong")]
        if seen.validations:
            last = seen.validations[-1]
            beside = f" (base {last.base:.4f})" if last.base is not None else ""
            row += [("   held out ", "muted"), (f"{last.loss:.4f}", "strong"), (beside, "muted")]
        if seen.learning_rate is not None:
            row += [("   learning rate ", "muted"), (f"{seen.learning_rate:.2g}", "")]
        gradient = [("   gradient ", "muted"), (f"{seen.grad_norm or 0:.2g}", "")]
        fits = seen.grad_norm is not None and text_width([*row, *gradient]) < width
        return [*row, *gradient] if fits else row

    def _card(self, card: Card | None, seen: Seen) -> Row:
        if card is None:
            words = "loading" if seen.summary.status == "starting" else "none in use; the processor does the work"
            return [(" card  ", "muted"), (words if seen.summary.alive else "-", "muted")]
        row: list[tuple[str, str]] = [(" card  ", "muted"), *_memory(card)]
        for value, unit in ((card.utilisation, "%"), (card.temperature, "°C"), (card.power, "W")):
            row.append((f"  {value:.0f} {unit}" if value is not None else f"  - {unit}", ""))
        if card.throttled is None:
            return row
        slowed = f"  ! slowed: {', '.join(card.throttled)}" if card.throttled else ""
        return [*row, (shown(slowed), "warn")]


def _memory(card: Card) -> list[tuple[str, str]]:
    """'10.2/24.0 GiB, peak 11.0, 13.0 free'; the room that is left is what a person looks for."""
    if card.used is None or card.limit is None:
        return [("- GiB", "")]
    top = max(card.peak or 0, card.used)
    free = card.limit - top
    ink = "bad" if free < 0.02 * card.limit else "warn" if free < 0.08 * card.limit else "strong"
    return [
        (f"{card.used / GIB:.1f}/{card.limit / GIB:.1f} GiB", "strong"), (f", peak {top / GIB:.1f}, ", "muted"),
        (f"{free / GIB:.1f} free", ink),
    ]  # fmt: skip


class Views(Board):
    """The names of the views, the one that is open marked."""

    DEFAULT_CSS ="""
    Views { height: 1; }
   """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.open = 0
        self.right = ""

    def show(self, open: int, names: Sequence[str], right: str = "") -> None:
        self.open, self.names, self.right = open, tuple(names), right
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        row: list[tuple[str, str]] = []
        for at, name in enumerate(self.names):
            mine = at == self.open
            row += [("▸" if mine else " ", "accent"), (str(at + 1), "key")]
            row.append((f" {name}  ", "strong" if mine else "muted"))
        yield spread(row, [(self.right + " ", "muted")], width) if self.right else row


class Stages(SeenBoard):
    """The parts of the work one below the other, each with its count and the time it took."""

    DEFAULT_CSS ="""
    Stages { height: 1fr; }
   """

    def told(self, seen: Seen, width: int, height: int) -> Iterable[Row]:
        for stage in seen.stages[-height:]:
            live = not stage.over and seen.summary.alive
            # What ended the run ended its last stage, too, and not because that was done.
            broken = stage is seen.stages[-1] and not seen.summary.alive and seen.summary.status != "finished"
            done = stage.over and not broken
            mark, ink = ("▸", "accent") if live else ("✓", "good") if done else ("▪", "warn")
            count = progress_words(stage.done, stage.total) if stage.done is not None else ""
            name = shown(stage.name)
            room = max(0, 34 - text_width([(name, "")]))
            row = [(f" {mark} ", ink), (name + " " * room, "strong" if live else "plain"), (f"{count:>22}", "")]
            took = "" if live and stage.done is None else duration(stage.seconds)
            yield spread(row, [(took, "muted"), (" ", "")], width)


class Text(Board):
    """Lines of text, the newest below; `back` is how many lines one has scrolled up."""

    DEFAULT_CSS ="""
    Text { height: 1fr; }
   """

    def __init__(self, *, id: str | None = None, empty: str = "") -> None:
        super().__init__(id=id)
        self.lines: Sequence[Row] = ()
        self.empty = empty
        self.back = 0

    def show(self, lines: Sequence[Row]) -> None:
        grown = len(lines) - len(self.lines)
        self.lines = lines
        if self.back and grown > 0:
            self.back += grown  # what is being read stays where it is
        self.redraw()

    def scroll_by(self, lines: int) -> None:
        """Up for more than 0."""
        self.back += lines
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        if not self.lines:
            return [[(f" {self.empty}", "muted")]]
        self.back = max(0, min(self.back, len(self.lines) - height))
        end = len(self.lines) - self.back
        return self.lines[max(0, end - height) : end]


_LINE_INK = {"warning": "warn", "checkpoint": "good", "stopping": "warn", "paused": "warn"}


class Record(Text):
    """What happened when, a line each with its time; warnings and saved files stand out."""

    record: Sequence[Line] = ()
    _wrapped: tuple[Sequence[Line], int] = ((), 0)

    def show_record(self, record: Sequence[Line]) -> None:
        self.record = record
        self._wrap(self.size.width)

    def _wrap(self, width: int) -> None:
        if self._wrapped != (self.record, width):
            self._wrapped = (self.record, width)
            self.show(record_rows(self.record, width))

    def rows(self, width: int, height: int) -> Iterable[Row]:
        self._wrap(width)
        return super().rows(width, height)


def record_rows(record: Iterable[Line], width: int) -> list[Row]:
    """The record's lines, wrapped to so many columns."""
    rows: list[Row] = []
    for line in record:
        moment = time.strftime("%H:%M:%S", time.localtime(line.t))
        for at, part in enumerate(wrap(line.text, width - 11)):
            when = f" {moment}  " if at == 0 else " " * 11
            rows.append([(when, "muted"), (part, _LINE_INK.get(line.kind, "plain"))])
    return rows


class Words(Board):
    """Sentences below one another, wrapped to the room there is."""

    def __init__(self, *, id: str, ink: str = "plain") -> None:
        super().__init__(id=id)
        self.words = ""
        self.ink = ink

    def show(self, words: str, ink: str = "plain") -> None:
        if words != self.words and self.styles.is_auto_height:
            self.refresh(layout=True)
        self.words, self.ink = words, ink
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        return [[(f" {line}", self.ink)] for part in self._parts() for line in wrap(part, width - 2)]

    def _parts(self) -> list[str]:
        return self.words.split("\n") if self.words else []

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return sum(len(wrap(part, width - 2)) for part in self._parts())


class Legend(Board):
    """What the signs in the chart mean."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.seen: Seen | None = None

    def show(self, seen: Seen) -> None:
        self.seen = seen
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        row: list[tuple[str, str]] = [("        ⠂", "muted"), (" each step   ", "muted"), ("⠤⠤", "accent")]
        row += [(" smoothed", "muted")]
        if self.seen is not None and self.seen.validations:
            row += [("   ✕", "good"), (" held out   ", "muted"), ("╌╌", "warn"), (" the base's", "muted")]
        return [[*row, ("   ▴", "good"), (" checkpoint", "muted")]]
