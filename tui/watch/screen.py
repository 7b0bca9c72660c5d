"""Mode *watch*: one run on the screen while it goes on without it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.worker import get_current_worker

from engine.errors import shown
from engine.runs.folder import RunFolder
from engine.runs.log import log_tail
from tui.telling import unit_of
from tui.text import count
from tui.watch.asking import AskingScreen
from tui.watch.boards import Figures, Legend, Progress, Record, Stages, Text, Title, Views, Words
from tui.watch.reading import how_it_stands, how_to_read, why
from tui.watch.samples import Samples
from tui.watch.story import Follower, Seen
from tui.widgets.chart import LossChart
from tui.widgets.picture import Gallery

LOSS, SAMPLES, RECORD, LOG = range(4)
_LOG_LINES = 400
_AT_ONCE = 300_000  # bytes of record that are read in a few milliseconds


class WatchScreen(AskingScreen):
    """Progress, figures, the chart of the loss, samples, record and log of one run; its keys ask the engine."""

    HELP = (
        "The engine works in a process of its own: leaving this screen, closing the terminal or losing the "
        "connection is nothing to it, and `lorasmith` comes back here. What you ask of it is faint until it has "
        "answered, which it does between two steps."
    )

    BINDINGS = [
        Binding("c", "compare", "compare", tooltip="choose among the checkpoints: of a training, or what is compared"),
        Binding("l", "runs", "list", tooltip="the list of all runs"),
        Binding("1", "view(0)", show=False, tooltip="the loss, or the stages of the work"),
        Binding("2", "view(1)", show=False, tooltip="the samples: ← → earlier and later, z one large, ↑ ↓ next"),
        Binding("3", "view(2)", show=False, tooltip="the record, what happened when: ↑ ↓ pgup pgdn, end the newest"),
        Binding("4", "view(3)", show=False, tooltip="the engine's log, likewise"),
        Binding("tab", "next_view(1)", show=False, tooltip="the next of these four"),
        Binding("shift+tab", "next_view(-1)", show=False),
        Binding("z", "zoom", show=False),
        Binding("up,k", "move(1)", show=False),
        Binding("down,j", "move(-1)", show=False),
        Binding("pageup", "page(1)", show=False),
        Binding("pagedown", "page(-1)", show=False),
        Binding("left", "older(1)", show=False),
        Binding("right", "older(-1)", show=False),
        Binding("end", "newest", show=False),
    ]

    DEFAULT_CSS = """
    WatchScreen #views-gap { height: 1; }
    WatchScreen #said { height: 1; }
    WatchScreen.-long #said { height: auto; max-height: 3; }
    WatchScreen #reading { height: 2; }
    WatchScreen.-trouble #reading { height: auto; max-height: 8; }
    WatchScreen #legend { height: 1; }
    WatchScreen #loss { height: 1fr; }
    WatchScreen #chart-column { width: 1fr; }
    WatchScreen #newest { width: 44; display: none; padding: 0 1; }
    WatchScreen #below { height: 8; display: none; }
    WatchScreen.-wide #newest.-some { display: block; }
    WatchScreen.-wide #below { display: block; margin-top: 1; }
    WatchScreen.-zoomed Progress, WatchScreen.-zoomed Figures { display: none; }
    WatchScreen .view { display: none; height: 1fr; }
    WatchScreen .view.-open { display: block; }
    """

    @dataclass
    class Looked(Message):
        """Posted by the thread that follows the run's files."""

        seen: Seen
        log: tuple[str, ...] | None

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, WatchScreen.Looked)

    def __init__(self, folder: RunFolder, *, look_seconds: float = 1.0) -> None:
        super().__init__(folder)
        self.look_seconds = look_seconds
        self.follower = Follower(folder)
        self.view = LOSS
        self._log_wanted = threading.Event()
        self._leave = threading.Event()

    def body(self) -> ComposeResult:
        yield Title(self.folder)
        yield Progress(self.folder)
        yield Figures(self.folder)
        yield Views(())
        with Horizontal(id="loss", classes="view -open"):
            with Vertical(id="chart-column"):
                yield Legend(id="legend")
                yield LossChart(ascii_only=self.house.ascii_only)
                yield Stages(self.folder)
                yield Words(id="reading", ink="muted")
                yield Record(id="below")
            yield Gallery(id="newest", ascii_only=self.house.ascii_only)
        yield Samples(self.folder, ascii_only=self.house.ascii_only, images=self.house.images, classes="view")
        yield Record(id="record", empty="Nothing has happened yet.").add_class("view")
        yield Text(id="log", empty="The engine has written nothing to its log.").add_class("view")
        yield Words(id="said")

    def on_mount(self) -> None:
        # A short record is read here, so that the first thing painted is the whole screen.
        if self.follower.size < _AT_ONCE and (seen := self.follower.look()) is not None:
            self.on_watch_screen_looked(self.Looked(seen, None))
        self._follow()

    def on_unmount(self) -> None:
        self._leave.set()

    @work(thread=True, exclusive=True, group="follow")
    def _follow(self) -> None:
        """Looks at the run's files once a second, for as long as the screen is there."""
        follower = self.follower
        worker = get_current_worker()
        log: tuple[str, ...] | None = None
        while not worker.is_cancelled:
            if not self.folder.path.is_dir():
                self.post_message(self.Answered("", f"The folder of {shown(self.folder.name)} was moved or deleted."))
                return
            seen = follower.look()
            if seen is not None:
                self.post_message(self.Looked(seen, log))
            if self._log_wanted.is_set():
                newest = log_tail(self.folder, _LOG_LINES)
                if newest != log and follower.last is not None:
                    log = newest
                    self.post_message(self.Looked(follower.last, log))
            if self._leave.wait(self.look_seconds):
                return

    def on_watch_screen_looked(self, message: Looked) -> None:
        if self.seen is not None and self.seen.summary.status != message.seen.summary.status:
            self._hush()  # what was said of a request is overtaken
        self.seen = message.seen
        self.requests.hear(message.seen)
        if message.log is not None:
            self.query_one("#log", Text).show([[(f" {line}", "plain")] for line in message.log])
        self.draw()

    def draw(self) -> None:
        """Shows what was last seen; each part repaints only what is new."""
        seen = self.seen
        if seen is None:
            return
        for kind in (Title, Progress, Figures):
            self.query_one(kind).show(seen)
        self._draw_views(seen)
        self._draw_loss(seen)
        self.query_one(Samples).show(seen)
        self._draw_text(seen)
        if not self.said_for_now:
            self.query_one("#said", Words).show(*how_it_stands(self.folder, seen))
        self.refresh_bindings()

    def _draw_views(self, seen: Seen) -> None:
        first = "Loss" if seen.curve.steps else "Work"
        drawn = f"Samples {len(seen.samples)}" if seen.samples else "Samples"
        saved = seen.checkpoints
        right = count(len(saved), "checkpoint") if saved else ""
        if saved and seen.summary.checkpoint_epoch is not None:
            right += f", last: epoch {seen.summary.checkpoint_epoch}"
        self.query_one(Views).show(self.view, (first, drawn, "Record", "Log"), right)

    def _draw_loss(self, seen: Seen) -> None:
        chart, stages = self.query_one(LossChart), self.query_one(Stages)
        has_loss = bool(seen.curve.steps)
        chart.display, stages.display = has_loss, not has_loss
        legend = self.query_one(Legend)
        legend.display = has_loss
        if has_loss:
            chart.show(seen.curve, seen.summary.steps or 0, seen.validations, seen.checkpoints)
            legend.show(seen)
        else:
            stages.show(seen)
        trouble = why(self.folder, seen)
        self.set_class(bool(trouble), "-trouble")
        self.query_one("#reading", Words).show(*((trouble, "plain") if trouble else (how_to_read(seen), "muted")))
        newest = self.query_one("#newest", Gallery)
        files = seen.samples[-1].files if seen.samples else ()
        newest.set_class(bool(files), "-some")
        if self.has_class("-wide"):
            newest.show([self.folder.path / name for name in files[:4]])

    def _draw_text(self, seen: Seen) -> None:
        if self.view == RECORD:
            self.query_one("#record", Record).show_record(seen.record)
        if self.view == LOSS and self.has_class("-wide"):
            self.query_one("#below", Record).show_record(seen.record[-30:])

    def in_short(self) -> str:
        if self.seen is None:
            return ""
        summary = self.seen.summary
        said = f"{shown(self.folder.name)} {summary.status}"
        if not summary.step or not summary.steps:
            return said
        return f"{said}, {unit_of(summary.kind)} {summary.step:,} of {summary.steps:,}"

    # What the keys do.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._can_compare() if action == "compare" else super().check_action(action, parameters)

    def _can_compare(self) -> bool:
        """A comparison with a report, or a training that is over and has a checkpoint."""
        if self.seen is None:
            return False
        summary = self.seen.summary
        if summary.kind == "compare":
            return self.house.has_comparison(self.folder)
        return summary.kind == "train" and not summary.alive and bool(self.seen.checkpoints)

    def action_compare(self) -> None:
        from tui.compare.starting import compare_run

        compare_run(self.house, self.folder)

    def action_runs(self) -> None:
        self.house.show_runs(self.folder)

    # The views.

    def action_view(self, view: int) -> None:
        self.view = view
        for at, name in enumerate(("#loss", "Samples", "#record", "#log")):
            self.query_one(name).set_class(at == view, "-open")
        (self._log_wanted.set if view == LOG else self._log_wanted.clear)()
        self._zoomed()
        self.call_after_refresh(self.draw)

    def action_next_view(self, by: int) -> None:
        self.action_view((self.view + by) % 4)

    def _text(self) -> Text | None:
        return self.query_one("#record" if self.view == RECORD else "#log", Text) if self.view >= RECORD else None

    def action_move(self, by: int) -> None:
        if (text := self._text()) is not None:
            text.scroll_by(by)
        elif self.view == SAMPLES:
            self.query_one(Samples).pick(-by)

    def action_page(self, by: int) -> None:
        if (text := self._text()) is not None:
            text.scroll_by(by * max(1, text.size.height - 2))

    def action_newest(self) -> None:
        if (text := self._text()) is not None:
            text.scroll_by(-len(text.lines))
        elif self.view == SAMPLES:
            self.query_one(Samples).older(-len(self.seen.samples) if self.seen else 0)

    def action_older(self, by: int) -> None:
        if self.view == SAMPLES:
            self.query_one(Samples).older(by)

    def action_zoom(self) -> None:
        if self.view == SAMPLES:
            self.query_one(Samples).zoom()
            self._zoomed()

    def _zoomed(self) -> None:
        """A picture that is alone gets the room of the figures, too."""
        self.set_class(self.view == SAMPLES and self.query_one(Samples).picked is not None, "-zoomed")

    def on_resize(self, event) -> None:
        super().on_resize(event)
        self.call_after_refresh(self.draw)
