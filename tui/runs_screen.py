"""The list of runs: how each stands, and what is to be said of the one under the cursor."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.worker import get_current_worker

from engine.errors import LorasmithError, RunError, shown
from engine.runs.folder import RunFolder, home, list_runs
from engine.runs.summary import RunSummary, read_summary
from tui.commands.status import how_to_go_on
from tui.screen import HouseScreen
from tui.telling import stage_words
from tui.text import clock, count, duration, home_path
from tui.watch.boards import KINDS, state_row, wrap
from tui.widgets.board import Board, Row, spread, text_width

_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Entry:
    """One run in the list; `trouble` is why it cannot be read."""

    run: RunFolder
    summary: RunSummary | None
    trouble: str = ""
    choice: str = ""
    """What a comparison says, in a few words."""


class RunsHead(Board):
    DEFAULT_CSS = """
    RunsHead { height: 1; background: $panel; &:ansi { background: ansi_default; } }
    """

    text = ""

    def show(self, text: str) -> None:
        self.text = text
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        return [spread([(" lorasmith", "strong"), ], [(self.text + " ", "muted")], width)]


class RunList(Board):
    """The runs, newest first, one a line."""

    DEFAULT_CSS = """
    RunList { height: 1fr; margin-top: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.entries: tuple[Entry, ...] = ()
        self.at = 0
        self.top = 0

    def rows(self, width: int, height: int) -> Iterable[Row]:
        if self.at < self.top:
            self.top = self.at
        elif self.at >= self.top + height:
            self.top = self.at - height + 1
        self.top = max(0, min(self.top, len(self.entries) - height))
        for at, entry in enumerate(self.entries[self.top : self.top + height], self.top):
            yield self._row(entry, at == self.at, width)

    def _row(self, entry: Entry, mine: bool, width: int) -> Row:
        name = shown(entry.run.name)
        room = width - 60
        name = name if text_width([(name, "")]) <= room else wrap(name, room - 1)[0] + "…"
        pad = " " * (room - text_width([(name, "")]))
        left: list[tuple[str, str]] = [(" ▸ " if mine else "   ", "accent")]
        left.append((name + pad, "strong" if mine else "plain"))
        summary = entry.summary
        if summary is None:
            return [*left, (f"  {entry.trouble or 'reading…'}", "muted")]
        kind = KINDS.get(summary.kind, shown(summary.kind))[:14]
        state = state_row(summary.status)
        left += [(f"{kind:<14} ", "muted"), *state, (" " * max(1, 13 - text_width(state)), "")]
        left.append((_progress(summary), ""))
        return spread(left, [(_age(summary), "muted"), (" ", "")], width)


def _progress(summary: RunSummary) -> str:
    if summary.alive and summary.stage is not None and summary.step is None:
        return stage_words(summary.stage, summary.stage_done, summary.stage_total)[:18]
    if summary.step is not None and summary.steps:
        return f"{summary.step * 100 // summary.steps:>3} % of {summary.steps:,}"
    return ""


def _age(summary: RunSummary) -> str:
    if summary.alive and summary.seconds_left is not None and summary.status == "running":
        return f"done {clock(time.time() + summary.seconds_left)}"
    if summary.last_event is None:
        return ""
    return f"{duration(time.time() - summary.last_event)} ago"


class About(Board):
    """What is to be said of the run under the cursor: where it is, why it ended, what can be done."""

    DEFAULT_CSS = """
    About { height: 8; padding: 0; margin-top: 1; }
    """

    entry: Entry | None = None

    def show(self, entry: Entry | None) -> None:
        self.entry = entry
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        if self.entry is None:
            return
        yield [(f" {home_path(self.entry.run.path)}", "muted")]
        for text, ink in _about(self.entry):
            for line in wrap(text, width - 2):
                yield [(f" {line}", ink)]


def _about(entry: Entry) -> Iterable[tuple[str, str]]:
    summary = entry.summary
    if summary is None:
        yield entry.trouble, "warn"
        return
    if entry.choice:
        yield f"{entry.choice}.", "good"
    if summary.alive:
        yield "It is at work: enter watches it.", "plain"
    elif may_compare(entry):
        yield "c compares its checkpoints, says which to take, and makes it your LoRA.", "plain"
    if summary.checkpoint is not None:
        epoch = f"epoch {summary.checkpoint_epoch}, " if summary.checkpoint_epoch is not None else ""
        yield f"last checkpoint: {epoch}{shown(summary.checkpoint)}", "plain"
    if summary.status in {"stopped", "failed", "died"}:
        yield f"why: {shown(summary.reason or 'not said')}", "warn" if summary.status == "stopped" else "bad"
        if summary.hint and summary.status == "failed":
            yield shown(summary.hint), "plain"
        for line in summary.log_tail[-2:] if summary.status != "stopped" else ():
            yield f"log: {line}"[:160], "muted"
        yield how_to_go_on(entry.run, summary).replace("`", ""), "plain"
    elif summary.status == "new":
        yield "Never started: enter, then r starts it.", "plain"
    if summary.newer:
        yield "Parts of it were written by a newer lorasmith.", "warn"


def may_compare(entry: Entry) -> bool:
    """Whether its checkpoints can be compared: a training that is over, with one at least."""
    summary = entry.summary
    if summary is None or summary.alive or summary.kind != "train":
        return False
    return summary.checkpoint is not None


class RunsScreen(HouseScreen):
    """Every run in the home folder; enter watches one."""

    HELP = "Every run there is, newest first. A run that says it died or failed can be resumed: enter, then r."

    BINDINGS = [
        Binding("enter", "watch", "watch", tooltip="watch the run under the cursor, or open what was compared"),
        Binding("c", "compare", "compare", tooltip="compare a training's checkpoints, and choose one"),
        Binding("n", "new", "new LoRA", tooltip="make a plan, step by step"),
        Binding("up,k", "move(-1)", show=False, tooltip="the run above, and ↓ the one below"),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "move(-10)", show=False),
        Binding("pagedown", "move(10)", show=False),
        Binding("home", "move(-100000)", show=False),
        Binding("end", "move(100000)", show=False),
    ]

    @dataclass
    class Looked(Message):
        """Posted by the thread that reads the runs' folders."""

        entries: tuple[Entry, ...]

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, RunsScreen.Looked)

    def __init__(self, select: RunFolder | None = None, *, look_seconds: float = _LOOK_SECONDS) -> None:
        super().__init__()
        self.select = select
        self.look_seconds = look_seconds
        self._leave = threading.Event()

    def body(self) -> ComposeResult:
        yield RunsHead()
        yield RunList()
        yield About()

    def on_mount(self) -> None:
        self._follow()

    def on_unmount(self) -> None:
        self._leave.set()

    @work(thread=True, exclusive=True, group="follow")
    def _follow(self) -> None:
        """Reads every run once, then only those that may have changed."""
        known: dict[RunFolder, tuple[tuple[int, ...], Entry]] = {}
        worker = get_current_worker()
        before: tuple[Entry, ...] = ()
        while not worker.is_cancelled:
            try:
                runs = list_runs()
            except RunError:
                runs = []
            entries = []
            for run in runs:
                stamp = _stamp(run)
                kept = known.get(run)
                if kept is None or kept[0] != stamp or (kept[1].summary is not None and kept[1].summary.alive):
                    known[run] = (stamp, _entry(run))
                entries.append(known[run][1])
            if tuple(entries) != before or not before:
                before = tuple(entries)
                self.post_message(self.Looked(before))
            if self._leave.wait(self.look_seconds):
                return

    def on_runs_screen_looked(self, message: Looked) -> None:
        runs = self.query_one(RunList)
        now = self.select or (runs.entries[runs.at].run if runs.entries else None)
        runs.entries = message.entries
        last = max(0, len(runs.entries) - 1)
        runs.at = next((at for at, entry in enumerate(runs.entries) if entry.run == now), min(runs.at, last))
        self.select = None
        alive = sum(1 for entry in runs.entries if entry.summary is not None and entry.summary.alive)
        at_work = f", {alive} at work" if alive else ""
        self.query_one(RunsHead).show(f"{count(len(runs.entries), 'run')}{at_work}, in {home_path(home() / 'runs')}")
        self.draw()

    def draw(self) -> None:
        self.query_one(RunList).redraw()
        self.query_one(About).show(self.here)
        self.refresh_bindings()

    @property
    def here(self) -> Entry | None:
        """The run under the cursor."""
        runs = self.query_one(RunList)
        return runs.entries[runs.at] if runs.entries else None

    def action_move(self, by: int) -> None:
        runs = self.query_one(RunList)
        runs.at = max(0, min(runs.at + by, len(runs.entries) - 1))
        self.draw()

    def action_watch(self) -> None:
        if self.here is not None:
            self.house.show_comparison(self.here.run)

    def action_compare(self) -> None:
        if self.here is not None:
            from tui.compare.starting import compare_run

            compare_run(self.house, self.here.run)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "compare" or (self.is_mounted and self.here is not None and may_compare(self.here))

    def key_label(self, action: str) -> str | None:
        opens = action == "watch" and self.is_mounted and self.here is not None and bool(self.here.choice)
        return "choose" if opens else None

    def action_new(self) -> None:
        self.house.show_drafts()


def _entry(run: RunFolder) -> Entry:
    try:
        return Entry(run, read_summary(run), choice=choice_of(run))
    except (RunError, OSError) as error:
        return Entry(run, None, shown(error))


def choice_of(run: RunFolder) -> str:
    """What a comparison has come to, in a few words; "" for other runs, and where nothing can be read of it."""
    if run.kind != "compare":
        return ""
    from engine.compare.report import read_report
    from tui.compare.compared import Compared, headline

    try:
        report = read_report(run.compare)
    except LorasmithError:
        return ""
    return headline(Compared(run.compare, report, report.lean))[0]


def _stamp(run: RunFolder) -> tuple[int, ...]:
    """Changes when there may be something new of it."""
    found = []
    for path in (run.events, run.compare / "report.json"):
        try:
            found.append(path.stat().st_mtime_ns)
        except OSError:
            found.append(0)
    return tuple(found)
