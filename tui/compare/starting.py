"""From a training that is over to its comparison: the one there is, or a new one, with what it costs beforehand."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen

from engine.compare.find import comparison_of, parent_of
from engine.compare.settings import KIND, SEEDS, CompareJob, Depth, job_text
from engine.errors import LorasmithError, shown
from engine.runs.folder import RunFolder, create_run, list_runs
from engine.runs.launch import start_engine
from engine.runs.lock import lock_holder
from tui.steps.form import Line, Said
from tui.text import count, duration
from tui.widgets.board import Row
from tui.widgets.listing import Listing

if TYPE_CHECKING:
    from tui.app import LorasmithApp

DEPTHS: tuple[tuple[Depth, str], ...] = (
    ("quick", "a few prompts for every checkpoint, and no more"),
    ("normal", "a few prompts for all, then more for those that may be the best"),
    ("thorough", "twice the pictures, where normal finds it too close to call"),
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
class Outlook:
    """What a comparison of this training would draw: `first` pictures by depth, and seconds a picture where known."""

    job: CompareJob
    checkpoints: int
    prompts: int
    early: int
    seconds: float | None

    def words(self, depth: Depth) -> str:
        """'about 176 pictures first, 4 min here; then more of the best'."""
        first = (self.checkpoints + 1) * self.early * SEEDS[depth]
        took = f", about {duration(first * self.seconds)}" if self.seconds is not None else ""
        if depth == "quick":
            return f"{count(first, 'picture')}{took}"
        most = (self.checkpoints + 1) * self.prompts * SEEDS[depth]
        longest = f", {duration(most * self.seconds)}" if self.seconds is not None else ""
        return f"{count(first, 'picture')} first{took}; all in all rarely over {most:,}{longest}"


def outlook_of(run: RunFolder) -> Outlook:
    """Counts what would be drawn. LorasmithError where there is nothing to compare."""
    from engine.compare.sources import epoch_files, run_job_of
    from engine.select.prompts import DEMO, prompt_set

    job = run_job_of(run)
    files = epoch_files(run.checkpoints)
    if not files:
        raise LorasmithError(f"{shown(run.name)} has no checkpoint of a whole epoch, so there is nothing to compare.")
    prompts = prompt_set(DEMO if job.base.model == DEMO else job.kind)
    return Outlook(job, len(files), len(prompts.prompts), len(prompts.first().prompts), _seconds_before(job))


def _seconds_before(job: CompareJob) -> float | None:
    """Seconds a picture took in the newest comparison with this base; None without one."""
    from engine.compare.report import read_report
    from engine.compare.settings import read_compare_job

    for run in list_runs():
        if run.kind != KIND:
            continue
        try:
            same = read_compare_job(run.job).base == job.base
            report = read_report(run.compare)
        except LorasmithError:
            continue
        spent = sum(report.seconds.get(part, 0.0) for part in ("drawing", "measuring"))
        if same and report.drawn and spent:
            return spent / report.drawn
    return None


class StartCompare(ModalScreen[RunFolder | None]):
    """Asks how thoroughly, says what it costs, starts the job; `escape` leaves all as it is (None)."""

    DEFAULT_CSS = """
    StartCompare { align: center middle; }
    StartCompare > Vertical {
        width: 80; height: auto; padding: 0 1; background: $surface; border: round $primary;
        &:ansi { border: round ansi_blue; background: ansi_default; }
    }
    StartCompare #asks { height: 3; }
    StartCompare #depths { height: 3; }
    StartCompare #says { height: 5; margin-top: 1; }
    """

    BINDINGS = [Binding("escape", "leave", show=False), Binding("enter", "begin", show=False, priority=True)]

    @dataclass
    class Told(Message):
        """Posted by the threads: what it would cost; that it has begun; or why it cannot."""

        outlook: Outlook | None = None
        started: RunFolder | None = None
        trouble: str = ""

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        self.run = run
        self.outlook: Outlook | None = None
        self.trouble = ""
        self.beginning = False

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
            self.post_message(self.Told(outlook=outlook_of(self.run)))
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
        elif self.outlook is None:
            parts.append(("Counting what would be drawn…", "muted"))
        else:
            depth = DEPTHS[self.query_one(Listing).at][0]
            parts.append((f"{self.outlook.words(depth)[:1].upper()}{self.outlook.words(depth)[1:]}.", "plain"))
            parts.append(("It goes on when you leave, can be stopped at any moment and keeps what is drawn.", "muted"))
        keys = "escape leaves all as it is." if self.trouble else "enter begins, ↑↓ choose, escape leaves all as it is."
        self.query_one("#says", Said).show(*parts, (keys, "muted"))

    def on_start_compare_told(self, message: Told) -> None:
        if message.started is not None:
            self.dismiss(message.started)
            return
        self.outlook = message.outlook or self.outlook
        self.trouble, self.beginning = message.trouble, False
        self._say()

    def action_leave(self) -> None:
        if not self.beginning:
            self.dismiss(None)

    def action_begin(self) -> None:
        if self.outlook is None or self.beginning:
            return
        self.beginning, self.trouble = True, ""
        self._say()
        job = replace(self.outlook.job, depth=DEPTHS[self.query_one(Listing).at][0])
        threading.Thread(target=self._begin, args=(job,), daemon=True, name="begin").start()

    def _begin(self, job: CompareJob) -> None:
        try:
            self.post_message(self.Told(started=begun(self.run, job)))
        except (LorasmithError, OSError) as error:
            self.post_message(self.Told(trouble=shown(error)))


def begun(run: RunFolder, job: CompareJob) -> RunFolder:
    """The comparison's own run, started; one that is refused leaves no folder behind. RunError says why."""
    import shutil

    made = create_run(f"{run.name}-compare", job_text(job), kind=KIND, parent=parent_of(job))
    try:
        start_engine(made, KIND)
    except BaseException:
        if lock_holder(made) is None and not made.events.exists():
            shutil.rmtree(made.path, ignore_errors=True)
        raise
    return made
