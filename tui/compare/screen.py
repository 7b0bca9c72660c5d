"""Mode *compare*: the choice, the table, the grid and blind votes over one comparison, live while it is drawn."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.widget import Widget
from textual.worker import get_current_worker

from engine.compare.report import At, PictureRow, Report, read_report
from engine.errors import LorasmithError, shown
from engine.runs.folder import RunFolder
from tui.compare.asking import ask_engine
from tui.compare.boards import Dial, Result, place_of
from tui.compare.compared import Compared, headline, typed
from tui.compare.following import Looked, Looker, how_it_stands
from tui.compare.grid import BESIDE, GRID, Grid, GridView
from tui.compare.sentences import ChoiceView, Evidence
from tui.compare.sheets import PictureBoard
from tui.compare.table import TableView
from tui.compare.vote import VoteView
from tui.screen import HouseScreen
from tui.text import count
from tui.watch.boards import Progress, Title, Views, Words
from tui.watch.story import Seen

CHOICE, TABLE, PICTURES, VOTE = range(4)
_AT_ONCE = 2_000_000  # bytes of report that are read in some tens of milliseconds
_VIEWS = ("ChoiceView", "TableView", "GridView", "VoteView")


class CompareScreen(HouseScreen):
    """Reads report.json and pictures; what must be computed is asked of the engine."""

    HELP = (
        "Fidelity says how like the photographs the pictures are, flexibility how freely the LoRA still follows "
        "prompts; the choice balances the two, and takes the earliest within a point of the best. [ and ] turn the "
        "dial towards likeness or freedom. Trust your eyes: the grid shows every picture. Drawing goes on without "
        "this screen."
    )

    BINDINGS = [
        Binding("m", "make", "make this the LoRA", tooltip="write this epoch (or the choice) as your LoRA"),
        Binding("left_square_bracket", "dial(-1)", show=False, key_display="[", tooltip="the dial towards fidelity"),
        Binding("right_square_bracket", "dial(1)", show=False, key_display="]", tooltip="the dial towards flexibility"),
        Binding("o", "sort", "order", tooltip="the table in the order of another column"),
        Binding("w", "watch", "watch", tooltip="the job's monitor: its record and log, stop and resume"),
        Binding("l", "runs", "list", tooltip="the list of all runs"),
        Binding("1", "view(0)", show=False, tooltip="the choice: chart, words, the pictures behind them"),
        Binding("2", "view(1)", show=False, tooltip="the table of epochs"),
        Binding("3", "view(2)", show=False, tooltip="the grid of pictures"),
        Binding("4", "view(3)", show=False, tooltip="blind votes"),
        Binding("tab", "next_view(1)", show=False, tooltip="the next of these four"),
        Binding("shift+tab", "next_view(-1)", show=False),
    ]

    DEFAULT_CSS = """
    CompareScreen Progress { display: none; }
    CompareScreen.-alive Progress { display: block; }
    CompareScreen #said { height: auto; min-height: 1; max-height: 4; }
    CompareScreen .view { display: none; height: 1fr; }
    CompareScreen .view.-open { display: block; }
    CompareScreen ChoiceView.-open { layout: horizontal; }
    CompareScreen.-wide ChoiceView Evidence { display: block; width: 50; margin-left: 1; }
    CompareScreen.-wide ChoiceView.-evidence Evidence { width: 1fr; }
    CompareScreen.-zoomed Result, CompareScreen.-zoomed Dial { display: none; }
    """

    @dataclass
    class Told(Message):
        """Posted by the thread that follows the comparison's files."""

        looked: Looked

    @dataclass
    class Answered(Message):
        """The engine has done what was asked of it and printed `said`, or could not: `trouble` then says why."""

        verb: str
        trouble: str = ""
        name: str = ""
        report: Report | None = None
        said: str = ""

    def __init__(self, run: RunFolder, *, look_seconds: float = 1.0) -> None:
        super().__init__()
        self.run = run
        self.look_seconds = look_seconds
        self.looker = Looker(run)
        self.job: Seen | None = None
        self.seen: Compared | None = None
        self.newest: PictureRow | None = None
        """What was drawn last, while it draws."""
        self.trouble = ""
        self.view = CHOICE
        self._lean: float | None = None  # where the dial was put, until the report says so too
        self._asked: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._leave = threading.Event()

    def body(self) -> ComposeResult:
        ascii_only, images = self.house.ascii_only, self.house.images
        yield Title(self.run)
        yield Progress(self.run)
        yield Result()
        yield Dial()
        yield Views(("Choice", "Table", "Grid", "Vote"))
        yield ChoiceView(ascii_only=ascii_only, classes="view -open")
        yield TableView(classes="view")
        yield GridView(ascii_only=ascii_only, images=images, classes="view")
        yield VoteView(ascii_only=ascii_only, classes="view")
        yield Words(id="said")

    def on_mount(self) -> None:
        # What is short is read here, so that the first thing painted is the whole screen.
        if self.looker.size < _AT_ONCE:
            looked = self.looker.look()
            if looked is not None:
                self._hear(looked)
        self.query_one(ChoiceView).focus_first()
        self._follow()
        self._answer()

    def on_unmount(self) -> None:
        self._leave.set()
        self._asked.put(None)

    # Following the comparison.

    @work(thread=True, exclusive=True, group="follow")
    def _follow(self) -> None:
        worker = get_current_worker()
        while not worker.is_cancelled:
            if not self.run.path.is_dir():
                gone = f"The folder of {shown(self.run.name)} was moved or deleted."
                self.post_message(self.Told(Looked(trouble=gone)))
                return
            looked = self.looker.look()
            if looked is not None:
                self.post_message(self.Told(looked))
            if self._leave.wait(self.look_seconds):
                return

    def on_compare_screen_told(self, message: Told) -> None:
        self._hear(message.looked)

    def _hear(self, looked: Looked) -> None:
        self.job = looked.job or self.job
        if looked.trouble or looked.report is not None:
            self.trouble = looked.trouble
        if looked.report is not None:
            self.newest = looked.newest
            self._take(looked.report)
        self.draw()

    def _take(self, report: Report) -> None:
        if self._lean is not None and abs(self._lean - report.lean) < 0.01:
            self._lean = None
        self.seen = Compared(self.run.compare, report, self._lean or report.lean)
        for board in self.query(PictureBoard):
            board.look_again()

    # Drawing.

    def draw(self) -> None:
        """Shows what was last seen; each part repaints only what is new."""
        job = self.job
        if job is not None:
            self.set_class(job.summary.alive, "-alive")
            self.query_one(Title).show(job)
            self.query_one(Progress).show(job)
        self._draw_views()
        if self.seen is not None:
            vote = self.query_one(VoteView)
            self._draw_view(self.seen)
            self.query_one(Result).show(self.seen, hidden=self.view == VOTE and vote.hides)
            self.query_one(Dial).show(self.seen)
        if not self.said_for_now:
            said = how_it_stands(self.run, self.job, self.seen, self.newest, self.trouble)
            self.query_one("#said", Words).show(*said)
        self.refresh_bindings()

    def _draw_view(self, seen: Compared) -> None:
        if self.view == CHOICE:
            self.query_one(ChoiceView).show(seen, self.newest, self._empty())
        elif self.view == TABLE:
            self.query_one(TableView).show(seen)
        elif self.view == PICTURES:
            self.query_one(GridView).show(seen)
        else:
            self.query_one(VoteView).show(seen)

    def _draw_views(self) -> None:
        right, pairs = "", ""
        if self.seen is not None:
            report = self.seen.report
            right = f"{count(len(report.checkpoints), 'LoRA')}, {count(len(report.pictures), 'picture')}"
            pairs = f" {count(len(report.ask), 'pair')}" if report.ask else ""
        self.query_one(Views).show(self.view, ("Choice", "Table", "Grid", f"Vote{pairs}"), right)

    def _empty(self) -> str:
        """What stands where the words will be."""
        if self.seen is not None and self.seen.report.state == "drawing":
            return "The words come when the first pictures are measured. Until then the grid (3) shows what is there."
        return "Nothing is measured: w, then r goes on drawing, and what is drawn is kept."

    def in_short(self) -> str:
        if self.seen is None:
            return ""
        report = self.seen.report
        drawn = f", {report.drawn:,} of {report.planned:,} drawn" if report.state != "done" else ""
        return f"{shown(self.run.name)}{drawn}. {headline(self.seen)[0]}"

    # Saying.
    _saying = None

    @property
    def said_for_now(self) -> bool:
        return self._saying is not None

    def say(self, words: str, ink: str = "accent", seconds: float = 8.0) -> None:
        """Says something on the line below for some seconds."""
        self.query_one("#said", Words).show(words, ink)
        if self._saying is not None:
            self._saying.stop()
        self._saying = self.set_timer(seconds, self._said)

    def _said(self) -> None:
        self._saying = None
        self.draw()

    # The views.

    def action_view(self, view: int) -> None:
        self.view = view
        for at, name in enumerate(_VIEWS):
            self.query_one(name).set_class(at == view, "-open")
        self._zoomed()
        self.call_after_refresh(self._opened)

    def _opened(self) -> None:
        self._view_widget().focus()
        self.draw()

    def _view_widget(self) -> Widget:
        if self.view == CHOICE:
            return self.query_one(ChoiceView).first
        if self.view == TABLE:
            return self.query_one("TableView Listing")
        return self.query_one(Grid) if self.view == PICTURES else self.query_one(VoteView)

    def action_next_view(self, by: int) -> None:
        self.action_view((self.view + by) % len(_VIEWS))

    def on_evidence_zoomed(self, message: Evidence.Zoomed) -> None:
        grid = self.query_one(Grid)
        if self.seen is not None:
            grid.seen = self.seen
        grid.go(message.at, message.slot, BESIDE)
        self.action_view(PICTURES)

    def on_grid_leveled(self, _: Grid.Leveled) -> None:
        self._zoomed()

    def _zoomed(self) -> None:
        """What is large gets the room of the lines above, too."""
        grid = self.query_one(Grid)
        self.set_class(self.view == PICTURES and grid.level != GRID, "-zoomed")

    def on_vote_view_changed(self, _: VoteView.Changed) -> None:
        self.draw()

    def action_sort(self) -> None:
        self.query_one(TableView).sort_next()

    def action_watch(self) -> None:
        self.house.show_run(self.run)

    def action_runs(self) -> None:
        self.house.show_runs(self.run)

    def on_resize(self, event) -> None:
        super().on_resize(event)
        self.call_after_refresh(self.draw)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "sort":
            return self.view == TABLE
        if action == "make":
            return self.view != VOTE and self._to_make() is not None
        if action == "dial":
            return self.seen is not None and len(self.seen.leans) > 1
        return True

    def help_keys(self) -> list[tuple[str, str]]:
        """Those of the view that is open first."""
        own: dict[str, tuple[str, str]] = {}
        for node, binding, _, tooltip in self.active_bindings.values():
            if node is self.focused and tooltip:
                own.setdefault(binding.action, (self.app.get_key_display(binding), tooltip))
        return [*own.values(), *super().help_keys()]

    def commands(self) -> Iterable[tuple[str, str, Callable[[], object]]]:
        if self.check_action("make", ()):
            yield "Make this the LoRA", "Write the epoch under the cursor, or the choice", self.action_make
        yield "Choice", "The chart, the words, the pictures behind them", partial(self.action_view, CHOICE)
        yield "Table", "Every epoch with its figures", partial(self.action_view, TABLE)
        yield "Grid", "The pictures of every epoch", partial(self.action_view, PICTURES)
        yield "Vote", "Which of two is better, without names", partial(self.action_view, VOTE)
        if self.check_action("dial", ()):
            yield "More likeness", "The dial towards fidelity", partial(self.action_dial, -1)
            yield "More freedom", "The dial towards flexibility", partial(self.action_dial, 1)

    def key_label(self, action: str) -> str | None:
        focused = self.focused
        takes = getattr(focused, "takes", "")
        return takes if action == "take" and takes else None

    # What is asked of the engine.

    @work(thread=True, exclusive=True, group="asking")
    def _answer(self) -> None:
        """Does what is asked, one after the other."""
        while (doing := self._asked.get()) is not None:
            doing()

    def ask(self, verb: str, *arguments: str, name: str = "") -> None:
        """Has the engine do this, to the vote of this name; `Answered` says how it went."""

        def doing() -> None:
            if verb == "decide" and (self._lean is None or arguments[-1] != f"{self._lean:g}"):
                return  # the dial was turned on meanwhile
            answer = self.Answered(verb, name=name)
            try:
                answer.said = ask_engine(verb, self.run.compare, *arguments, *([f"--name={name}"] if name else []))
                answer.report = read_report(self.run.compare)
            except LorasmithError as error:
                answer.trouble = shown(error)
            self.post_message(answer)

        self._asked.put(doing)

    def on_compare_screen_answered(self, message: Answered) -> None:
        if message.report is not None:
            self._take(message.report)
            if message.verb == "unvote":
                self.say(message.said)
        self.query_one(VoteView).answered(message.verb, message.name, done=not message.trouble)
        if message.trouble:
            self.say(message.trouble, "bad", 15.0)
        self.draw()

    def action_dial(self, by: int) -> None:
        seen = self.seen
        if seen is None or len(seen.leans) < 2:
            return
        at = max(0, min(place_of(seen) + by, len(seen.leans) - 1))
        if seen.leans[at] == seen.lean:
            return
        self._lean = seen.leans[at]
        self.seen = seen.at_lean(self._lean)
        self.draw()
        self.ask("decide", "--lean", f"{self._lean:g}")

    def on_vote_view_cast(self, message: VoteView.Cast) -> None:
        self.ask("vote", typed(message.left), typed(message.right), message.better, name=message.name)

    def on_vote_view_unvoted(self, message: VoteView.Unvoted) -> None:
        self.ask("unvote", name=message.name)

    # Making one the LoRA.

    def _to_make(self) -> At | None:
        """The point under the cursor where it can be made the LoRA, else the choice."""
        if self.seen is None:
            return None
        if self.view == TABLE and (line := self.query_one(TableView).here) is not None:
            at = line.at
        elif self.view == PICTURES and (here := self.query_one(Grid).here) is not None:
            at = here[0]
        else:
            return self.seen.choice
        known = self.seen.report.checkpoint(at[0])
        return at if known is not None and not known.problem else None

    def on_listing_taken(self, _: Message) -> None:
        self.action_make()

    def action_make(self) -> None:
        at = self._to_make()
        if at is not None and self.seen is not None:
            from tui.compare.making import make

            make(self, self.seen, at)
