"""From a training that is over to its comparison: the one there is, or a new one, with what it costs beforehand."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen

from engine.compare.find import comparison_of, parent_of
from engine.compare.settings import KIND, CompareJob, Depth, job_text
from engine.errors import LorasmithError, shown
from engine.runs.folder import RunFolder, create_run
from engine.runs.launch import start_engine
from engine.runs.lock import lock_holder
from tui.steps.form import Line, Said
from tui.telling import cost_words, fetch_words
from tui.text import count
from tui.widgets.board import Row
from tui.widgets.listing import Listing

if TYPE_CHECKING:
    from engine.compare.outlook import Outlook
    from engine.select.readers import Readers
    from tui.app import LorasmithApp

DEPTHS: tuple[tuple[Depth, str], ...] = (
    ("quick", "a few prompts for every checkpoint"),
    ("normal", "and then more for those that may be the best"),
    ("thorough", "the same with four seeds a prompt instead of two"),
)


def compare_run(house: LorasmithApp, run: RunFolder) -> None:
    """Opens the comparison of a run, or asks whether to make one."""
    if run.kind == KIND:
        house.show_comparison(run)
        return
    found = comparison_of(run)
    if found is not None:
        house.show_comparison(found)
        return

    def asked(started: RunFolder | None) -> None:
        if started is not None:
            house.show_comparison(started)

    house.push_screen(StartCompare(run), asked)


@dataclass(frozen=True)
class Costs:
    """The job that would be begun, and what it would cost at each depth."""

    job: CompareJob
    outlooks: Mapping[Depth, Outlook]

    @property
    def readers(self) -> Readers:
        """Who would see the pictures; the same at every depth."""
        return next(iter(self.outlooks.values())).readers

    @property
    def blind(self) -> bool:
        """Whether nothing could be chosen without a download."""
        return next(iter(self.outlooks.values())).blind

    def words(self, depth: Depth) -> str:
        seen = self.outlooks[depth]
        return cost_words(seen) + ("; how long one takes here shows when it draws" if seen.span is None else "")


def costs_of(run: RunFolder) -> Costs:
    """Counts what would be drawn. LorasmithError where there is nothing to compare."""
    from engine.compare.outlook import outlooks
    from engine.compare.sources import run_job_of

    job = run_job_of(run)
    return Costs(job, outlooks(job, [depth for depth, _ in DEPTHS]))


class StartCompare(ModalScreen[RunFolder | None]):
    """Asks how thoroughly, says what it costs and whether encoders are to be fetched first, starts the job; `escape`
    leaves all as it is (None).
    """

    DEFAULT_CSS = """
    StartCompare { align: center middle; }
    StartCompare > Vertical {
        width: 80; height: auto; padding: 0 1; background: $surface; border: round $primary;
        &:ansi { border: round ansi_blue; background: ansi_default; }
    }
    StartCompare #asks { height: 3; }
    StartCompare #depths { height: 3; }
    StartCompare #says { height: 8; margin-top: 1; }
    """

    BINDINGS = [
        Binding("escape", "leave", show=False),
        Binding("enter", "begin", show=False, priority=True),
        Binding("f", "fetch", show=False),
    ]

    @dataclass
    class Told(Message):
        """Posted by the threads: what it would cost; that it has begun; or why it cannot."""

        costs: Costs | None = None
        started: RunFolder | None = None
        trouble: str = ""

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        self.run = run
        self.costs: Costs | None = None
        self.trouble = ""
        self.beginning = False
        self.fetching = False  # encoders that are not here, before anything is drawn

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Said(id="asks", indent=0)
            yield Line("How", Listing(self._depth, id="depths", leaves=False))
            yield Said(id="says", indent=0)

    def on_mount(self) -> None:
        words = (
            f"Compare the checkpoints of {shown(self.run.name)}? Each draws the same prompts with the same seeds; what "
            "they keep of your subject and of their freedom is measured, and the balance of both chooses one."
        )
        self.query_one("#asks", Said).show((words, "strong"))
        self.query_one(Listing).fill(len(DEPTHS), at=1)
        self.query_one(Listing).focus()
        self._say()
        threading.Thread(target=self._look, daemon=True, name="outlook").start()

    def _look(self) -> None:
        try:
            self.post_message(self.Told(costs=costs_of(self.run)))
        except LorasmithError as error:
            self.post_message(self.Told(trouble=shown(error)))

    def _depth(self, at: int, here: bool, width: int) -> Row:
        depth, means = DEPTHS[at]
        return [("● " if here else "  ", "good"), (f"{depth:<10}", "strong" if here else "plain"), (means, "muted")]

    def on_listing_moved(self, _: Listing.Moved) -> None:
        self._say()

    def _say(self) -> None:
        parts: list[tuple[str, str]] = []
        if self.trouble:
            parts.append((self.trouble, "bad"))
        elif self.beginning:
            parts.append(("It is being started…", "accent"))
        elif self.costs is None:
            parts.append(("Counting what would be drawn…", "muted"))
        else:
            depth = DEPTHS[self.query_one(Listing).at][0]
            checkpoints = count(self.costs.outlooks[depth].checkpoints, "checkpoint")
            parts.append((f"{checkpoints} and the untouched base: {self.costs.words(depth)}.", "plain"))
            if self.costs.readers.offered:
                parts.append(self._fetch_words(self.costs))
            parts.append(("It goes on when you leave, can be stopped at any moment and keeps what is drawn.", "muted"))
        self.query_one("#says", Said).show(*parts, (self._keys(), "muted"))

    def _keys(self) -> str:
        keys = [] if self.trouble else ["enter begins", "↑↓ choose"]
        if self.costs is not None and self.costs.readers.offered and not self.beginning:
            keys.append("f leaves the download out" if self.fetching else "f fetches first")
        return ", ".join((*keys, "escape leaves all as it is."))

    def _fetch_words(self, costs: Costs) -> tuple[str, str]:
        what = fetch_words(costs.readers)
        if self.fetching:
            return f"First, once for all comparisons: the download of {what}.", "plain"
        if costs.blind:
            return f"Nothing is measured and none chosen without {what}.", "warn"
        return f"More would be seen with {what}.", "muted"

    def on_start_compare_told(self, message: Told) -> None:
        if message.started is not None:
            self.dismiss(message.started)
            return
        if message.costs is not None:
            self.costs, self.fetching = message.costs, message.costs.blind
        self.trouble, self.beginning = message.trouble, False
        self._say()

    def action_leave(self) -> None:
        if not self.beginning:
            self.dismiss(None)

    def action_fetch(self) -> None:
        if self.costs is not None and self.costs.readers.offered and not self.beginning:
            self.fetching = not self.fetching
            self._say()

    def action_begin(self) -> None:
        if self.costs is None or self.beginning:
            return
        self.beginning, self.trouble = True, ""
        self._say()
        job = replace(self.costs.job, depth=DEPTHS[self.query_one(Listing).at][0], fetch=self.fetching)
        threading.Thread(target=self._begin, args=(job,), daemon=True, name="begin").start()

    def _begin(self, job: CompareJob) -> None:
        try:
            self.post_message(self.Told(started=begun(self.run, job)))
        except (LorasmithError, OSError) as error:
            self.post_message(self.Told(trouble=shown(error)))


def begun(run: RunFolder, job: CompareJob) -> RunFolder:
    """The comparison's own run, started; one that is refused leaves no folder behind. RunError says why."""
    made = create_run(f"{run.name}-compare", job_text(job), kind=KIND, parent=parent_of(job))
    try:
        start_engine(made, KIND)
    except BaseException:
        if lock_holder(made) is None and not made.events.exists():
            shutil.rmtree(made.path, ignore_errors=True)
        raise
    return made
