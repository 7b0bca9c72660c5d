"""Step 7: the whole plan on one screen, every warning with the step that answers it, and the start."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace

from textual import work
from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget

from engine.errors import LorasmithError, PlanError
from engine.plan_file import write_plan
from engine.runs.folder import RunFolder, create_run
from engine.runs.launch import start_engine
from tui.draft import Draft
from tui.steps.outlook import look
from tui.steps.overview import Told, blocking, plan_lines, warnings
from tui.steps.step import Journey, Missing
from tui.steps.wizard import WizardScreen
from tui.watch.boards import wrap
from tui.widgets.board import Row
from tui.widgets.listing import Listing

_LABEL = 12


@dataclass(frozen=True)
class Drawn:
    """A line of the screen; `step` where enter leads from it."""

    row: Row
    step: str = ""


class ReviewScreen(WizardScreen):
    """What will be trained, what is to be said against it; n begins."""

    HELP = (
        "Everything that will happen, before it does. The lines with ! are worth a thought, those with ✗ must be put "
        "right first; enter on a line goes to the step that answers it, and b comes back.\n\n"
        "n starts the training in a process of its own: it goes on when this terminal is closed. The draft stays, so "
        "that you can change a thing and train again."
    )

    READY = "n starts the training; b changes something"

    DEFAULT_CSS = """
    ReviewScreen #fields { padding: 0; }
    """

    @dataclass
    class Begun(Message):
        """The training has begun, or was refused and why."""

        run: RunFolder | None
        trouble: str = ""

    def __init__(self, journey: Journey[Draft], at: int) -> None:
        super().__init__(journey, at)
        self.drawn: list[Drawn] = []
        self.told: list[Told] = []
        self.beginning = False

    def fields(self) -> ComposeResult:
        yield Listing(self._line, id="review", leaves=False, takes="to its step")

    def first_field(self) -> Widget | None:
        return self.query_one(Listing)

    def on_resize(self, event) -> None:
        super().on_resize(event)
        if self.is_mounted:
            self.show()

    def show(self) -> None:
        self.told = warnings(self.draft, self.outlook)
        self.drawn = self._lines(max(40, self.size.width))
        stops = [at for at, line in enumerate(self.drawn) if line.step]
        self.query_one(Listing).fill(len(self.drawn), stops=stops)
        self._tell()

    def _tell(self) -> None:
        super()._tell()
        if not self.said and not self.way.keeper.trouble and (trouble := blocking(self.told)):
            self.query_one(Missing).show(trouble)

    def _lines(self, width: int) -> list[Drawn]:
        lines = [Drawn([])]
        steps = {step.id: at + 1 for at, step in enumerate(self.journey.steps)}
        for told in plan_lines(self.draft, self.outlook):
            for at, part in enumerate(wrap(told.said, width - _LABEL - 2)):
                row = [(f" {told.word if at == 0 else '':<{_LABEL - 1}}", "muted"), (part, told.ink)]
                lines.append(Drawn(row, told.step if at == 0 and told.step in steps else ""))
        lines.append(Drawn([]))
        if self.counted:
            done, total = self.counted
            lines.append(Drawn([(f" The pictures are being read: {done:,} of {total:,}.", "accent")]))
        elif not self.told and self.fresh:
            lines.append(Drawn([(" ✓ ", "good"), ("Nothing is to be said against it.", "")]))
        for told in self.told:
            place = f"{steps[told.step]} " if told.step in steps else ""
            for at, part in enumerate(wrap(told.said, width - 8)):
                mark = [(f"  {told.word} ", told.ink), (f"{place:<3}", "key")] if at == 0 else [(" " * 7, "")]
                lines.append(Drawn([*mark, (part, told.ink)], told.step if at == 0 and place else ""))
        return lines

    def _line(self, at: int, here: bool, width: int) -> Row:
        row = self.drawn[at].row
        if not here:
            return row
        first, *rest = row
        return [("▸", "accent"), (first[0][1:], first[1]), *rest]

    # Going.

    def key_label(self, action: str) -> str | None:
        if action == "next":
            return "start" if not self.beginning else "starting…"
        return super().key_label(action)

    def key_open(self, action: str) -> bool:
        if action == "next":
            return not self.beginning and not blocking(self.told) and self.fresh
        return super().key_open(action)

    def on_listing_taken(self, _: Listing.Taken) -> None:
        at = self.query_one(Listing).at
        wanted = self.drawn[at].step if at < len(self.drawn) else ""
        steps = [step.id for step in self.journey.steps]
        if wanted in steps:
            self._go(steps.index(wanted))

    def action_next(self) -> None:
        if self.beginning:
            return
        open_step = next((at for at in range(self.at) if self.journey.missing(at)), None)
        if open_step is not None:
            self.say(f"{open_step + 1} {self.journey.steps[open_step].title}: {self.journey.missing(open_step)}")
            return
        if trouble := blocking(self.told):
            self.say(trouble)
            return
        self._save()
        self.beginning = True
        self.say("It is being started…")
        self._begin(self.draft)

    @work(thread=True, group="begin", exit_on_error=False)
    def _begin(self, draft: Draft) -> None:
        """Looks once more at what may have changed on the disk, then makes the run and starts its engine."""
        try:
            outlook = look(draft, None, self.way.card, lambda done, total: None)
            draft.looks.outlook = outlook
            if trouble := blocking(warnings(draft, outlook)):
                raise PlanError(trouble)
            run = begin_run(draft)
        except (LorasmithError, OSError) as error:
            said = str(error) if isinstance(error, LorasmithError) else f"it cannot be started ({error.strerror})."
            self.post_message(self.Begun(None, said))
        else:
            self.post_message(self.Begun(run))

    def on_review_screen_begun(self, message: Begun) -> None:
        self.beginning = False
        if message.run is None:
            self.say(f"Not started. {message.trouble[:1].upper()}{message.trouble[1:]}")
            return
        self.said = ""
        passed = tuple(dict.fromkeys((*self.draft.passed, "review")))
        self.change(replace(self.draft, started=(*self.draft.started, message.run.name), passed=passed))
        self._save()
        self.house.show_run(message.run)


def begin_run(draft: Draft) -> RunFolder:
    """The draft's run, begun; where the engine refuses, no folder is left behind, and RunError says why."""
    from pathlib import Path

    from tui.commands.train import run_name

    name = run_name(draft.plan, Path("lora"))
    run = create_run(name, write_plan(draft.plan, head="A lorasmith plan, made in the wizard."))
    try:
        start_engine(run, "train")
    except BaseException:
        if not run.events.exists():
            shutil.rmtree(run.path, ignore_errors=True)
        raise
    return run


