"""Step 3: what keeps the class word from becoming the subject: nothing, prior prediction, drawn or own pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from engine.draw.class_plan import needed
from engine.draw.class_settings import KIND, ClassSetup, class_report, pictures_of
from engine.draw.class_sources import check_brought
from engine.errors import LorasmithError, shown
from engine.plan_fields import FIELDS
from engine.runs.folder import RunFolder
from tui.commands.train import run_name
from tui.draft import Draft
from tui.steps.browse import Browse, nearest_folder
from tui.steps.class_pictures_ways import (
    COUNT,
    FOLDER,
    TITLES,
    WAYS,
    advised,
    class_folder_trouble,
    class_missing,
    count_trouble,
    drawing_run,
    is_drawn,
    own_folder,
    setup_of,
    setup_words,
    way_of,
    way_words,
    with_folder,
    with_way,
)
from tui.steps.form import FormField, Line, PathField, Said
from tui.steps.job_watch import JobWatch, job_words
from tui.steps.step import Journey, StepScreen
from tui.steps.wizard import WizardScreen
from tui.text import count
from tui.widgets.board import Row
from tui.widgets.listing import Listing
from tui.widgets.picture import Gallery

_QUIET = 0.3


class ClassPicturesScreen(WizardScreen):
    """The four ways with what each does to an epoch; below, what the chosen one wants."""

    HELP = (
        "While your subject is learnt, the everyday word for it (woman, dog, car) drifts towards it. Class pictures "
        "or prior prediction hold the word where the base has it.\n\n"
        "none is quickest; prior prediction needs no pictures and compares with the base in every step; drawn ones "
        "are painted by the base beforehand, in your pictures' shapes, and kept for the next project; a folder of "
        "yours is best where the base draws the class badly.\n\n"
        "d draws them as a job of its own: you may go on, leave, and come back; what was drawn before is reused."
    )

    BINDINGS = [
        Binding("space", "choose", show=False, tooltip="choose the way under the cursor"),
        Binding("d", "draw", "draw", tooltip="have the base draw them now; it goes on if you leave"),
        Binding("x", "stop", "stop", tooltip="stop the drawing; what is drawn is kept"),
        Binding("o", "browse", "find", tooltip="look for the folder"),
    ]

    DEFAULT_CSS = """
    ClassPicturesScreen #advice { height: 3; margin-bottom: 1; }
    ClassPicturesScreen #ways { height: 4; }
    ClassPicturesScreen #effect { height: 2; margin: 1 0; }
    ClassPicturesScreen #of-way { height: 1fr; }
    ClassPicturesScreen #said { height: 1fr; margin-top: 1; }
    ClassPicturesScreen #sheet { width: 40; display: none; }
    ClassPicturesScreen.-drawn #sheet { display: block; }
    """

    @dataclass
    class SetUp(Message):
        """Posted by the thread that worked out what would be drawn."""

        setup: ClassSetup | None
        trouble: str = ""
        same: bool = True

    @dataclass
    class Brought(Message):
        """Posted by the thread that held a person's folder against the plan."""

        path: str
        sentences: tuple[str, ...] = ()
        trouble: str = ""

    def __init__(self, journey: Journey[Draft], at: int) -> None:
        super().__init__(journey, at)
        self.setup: ClassSetup | None = None
        self.setup_trouble = ""
        self.same = True
        """Whether what is drawn, or being drawn, is what the plan wants now."""
        self.brought: ClassPicturesScreen.Brought | None = None
        self.job = JobWatch(self)
        self._to_work: Timer | None = None

    def fields(self) -> ComposeResult:
        yield Said(id="advice", indent=1)
        meaning = FIELDS["regularization.folders"].meaning
        yield Listing(self._way, id="ways", leaves=False, takes="choose", help_text=meaning)
        yield Said(id="effect", indent=1)
        with Horizontal(id="of-way"):
            with Vertical():
                yield Line("Folder", PathField(
                    self.draft.typed.get(FOLDER) or own_folder(self.draft), id="folder", suffixes=(".zip",),
                    placeholder="a path; tab completes it, o looks for it",
                    help_text=f"{FIELDS['regularization.folders.path'].meaning} They must not show your subject.",
                ), id="folder-line")  # fmt: skip
                yield Line("How many", FormField(
                    self.draft.typed.get(COUNT, ""), id="count", placeholder="as many as an epoch takes",
                    help_text="Pictures to draw; more vary more, fewer are met again and again.",
                ), id="count-line")  # fmt: skip
                yield Said(id="said", indent=1)
            yield Gallery(id="sheet", ascii_only=self.house.ascii_only)

    def first_field(self) -> Widget | None:
        return self.query_one("#ways")

    def on_mount(self) -> None:
        self.query_one("#ways", Listing).fill(len(WAYS), at=WAYS.index(way_of(self.draft)))
        super().on_mount()
        if run := self.draft.jobs.get(KIND):
            self.job.follow(run)
        self._work_out()

    def on_unmount(self) -> None:
        self.job.leave()
        super().on_unmount()

    # What is drawn.

    def show(self) -> None:
        advice, why = advised(self.draft, self.outlook)
        said = (f"Advice: {advice.sentence}", "plain") if advice else (why, "muted")
        self.query_one("#advice", Said).show(said)
        listing = self.query_one("#ways", Listing)
        listing.redraw()
        under = WAYS[listing.at]
        effect = next((one.sentence for one in advice.ways if one.way == under), "") if advice else ""
        self.query_one("#effect", Said).show((effect, "muted"))
        way = way_of(self.draft)
        self.query_one("#folder-line").display = way == "folder"
        self.query_one("#count-line").display = way == "drawn"
        self.set_class(way == "drawn" and bool(self._sheet()), "-drawn")
        self.query_one("#said", Said).show(*self._said())
        self.query_one(Gallery).show(self._sheet() if way == "drawn" else ())
        self.refresh_bindings()

    def _way(self, at: int, here: bool, width: int) -> Row:
        way = WAYS[at]
        chosen = way == way_of(self.draft)
        advice, _ = advised(self.draft, self.outlook)
        costs = way_words(advice, way) if advice else ""
        best = [("  advised", "good")] if advice and advice.way == way else []
        return [("▸" if here else " ", "accent"), ("● " if chosen else "  ", "good"),
                (f"{TITLES[way]:<18}", "strong" if chosen or here else "plain"), (costs, "muted"), *best]  # fmt: skip

    def _said(self) -> Sequence[tuple[str, str]]:
        way = way_of(self.draft)
        if way == "folder":
            if self.brought is None or self.brought.path != self._typed:
                return []
            if self.brought.trouble:
                return [(self.brought.trouble, "bad")]
            return [(one, "plain") for one in self.brought.sentences]
        if way != "drawn":
            return []
        said = job_words(self.job, "Drawing")
        done = [said] if said else []
        if self.job.status == "finished" and self.job.run is not None and not said:
            done = [(f"{self._found()} They lie in {shown(pictures_of(self.job.run))}", "good")]
            if not self.same:
                done.append(("Pictures or captions have changed since: d draws what they want now.", "warn"))
        if self.setup_trouble:
            return [*done, (self.setup_trouble, "bad")]
        return [*done, *((one, "plain") for one in setup_words(self.setup))] if self.setup else done

    def _found(self) -> str:
        facts = dict(self.job.seen.facts) if self.job.seen else {}
        pictures, found = facts.get("pictures"), facts.get("found")
        if not isinstance(pictures, int):
            return "They are drawn."
        reused = f", {found} of them drawn before" if isinstance(found, int) and found else ""
        return f"{count(pictures, 'picture')} drawn{reused}."

    def _sheet(self) -> list[Path]:
        """The newest contact sheet of the drawing."""
        seen, run = self.job.seen, self.job.run
        files = seen.samples[-1].files if seen is not None and seen.samples else ()
        return [run.path / files[0]] if run is not None and files else []

    @property
    def _typed(self) -> str:
        return self.draft.typed.get(FOLDER) or own_folder(self.draft)

    # Choosing.

    def on_listing_moved(self, _: Listing.Moved) -> None:
        self.show()

    def on_listing_taken(self, _: Listing.Taken) -> None:
        self.action_choose()

    def action_choose(self) -> None:
        way = WAYS[self.query_one("#ways", Listing).at]
        try:
            self.change(with_way(self.draft, way))
        except LorasmithError as error:
            self.say(str(error))
            return
        self._work_out()
        if way == "folder" and class_missing(self.draft):
            self.set_focus(self.query_one("#folder"))

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "folder" and event.value != self._typed:
            self._take_folder(event.value)
        elif event.input.id == "count" and event.value != self.draft.typed.get(COUNT, ""):
            typed = self.draft.with_typed(COUNT, event.value) if event.value else self.draft.without_typed(COUNT)
            self.change(typed)
            if trouble := count_trouble(event.value):
                self.say(trouble)
            self._work_out()

    def _take_folder(self, text: str) -> None:
        try:
            self.change(with_folder(self.draft, text))
        except LorasmithError as error:
            self.say(str(error))
        self._work_out()

    def action_browse(self) -> None:
        def browsed(path: str | None) -> None:
            if path is not None:
                self.query_one("#folder", Input).value = path

        self.app.push_screen(Browse(nearest_folder(self._typed)), browsed)

    def _work_out(self) -> None:
        """Has a thread work out what the chosen way wants, once typing has come to rest."""
        if self._to_work is not None:
            self._to_work.stop()
        if way_of(self.draft) == "drawn":
            self._to_work = self.set_timer(_QUIET, lambda: self._set_up(self.draft))
        elif way_of(self.draft) == "folder" and not class_folder_trouble(self.draft, self._typed):
            self._to_work = self.set_timer(_QUIET, lambda: self._bring(self.draft, self._typed))

    @work(thread=True, exclusive=True, group="setup", exit_on_error=False)
    def _set_up(self, draft: Draft) -> None:
        try:
            setup = setup_of(draft)
            self.post_message(self.SetUp(setup, same=is_drawn(draft, setup)))
        except LorasmithError as error:
            self.post_message(self.SetUp(None, str(error)))

    def on_class_pictures_screen_set_up(self, message: SetUp) -> None:
        self.setup, self.setup_trouble, self.same = message.setup, message.trouble, message.same
        self.show()

    @work(thread=True, exclusive=True, group="setup", exit_on_error=False)
    def _bring(self, draft: Draft, path: str) -> None:
        try:
            report = class_report(draft.plan)
            found = check_brought(draft.plan, needed(draft.plan, report), report, Path(path).expanduser().absolute())
            self.post_message(self.Brought(path, found.sentences))
        except LorasmithError as error:
            self.post_message(self.Brought(path, trouble=str(error)))

    def on_class_pictures_screen_brought(self, message: Brought) -> None:
        self.brought = message
        self.show()

    # Drawing.

    def action_draw(self) -> None:
        if trouble := count_trouble(self.draft.typed.get(COUNT, "")):
            self.say(trouble)
            return
        if way_of(self.draft) != "drawn":
            self.query_one("#ways", Listing).go(WAYS.index("drawn"))
            self.action_choose()
        if not self.job.alive:
            self.job.begin(partial(_begun, self.draft))
        self.show()

    def action_stop(self) -> None:
        self.job.stop()

    def on_job_watch_told(self, message: JobWatch.Told) -> None:
        if not self.job.take(message):
            return
        self.draft.looks.facts.pop("class.summary", None)
        run = self.job.run
        if run is not None and self.draft.jobs.get(KIND) != run.name:
            StepScreen.change(self, self.draft.with_job(KIND, run.name))
        drawn = str(pictures_of(run)) if run is not None and pictures_of(run).is_dir() else ""
        named = [one.path for one in self.draft.plan.regularization.folders]
        if way_of(self.draft) == "drawn" and drawn and named != [drawn]:
            self.change(with_way(self.draft, "drawn"))
        elif self.job.status == "finished":
            self.look(again=True)
        if self.job.status == "finished":
            self._work_out()
        self._tell()
        self.show()

    # Keys.

    def action_leave_field(self) -> None:
        self.set_focus(self.query_one("#ways"))

    def action_next(self) -> None:
        # Hours of drawing need not be waited for: the last step asks again before the training begins.
        if self.job.alive and way_of(self.draft) == "drawn" and self.at + 1 < len(self.journey.steps):
            passed = tuple(dict.fromkeys((*self.draft.passed, self.journey.steps[self.at].id)))
            self.change(replace(self.draft, passed=passed))
            self._go(self.at + 1)
        else:
            super().action_next()

    def key_open(self, action: str) -> bool:
        return action == "next" and self.job.alive or super().key_open(action)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "choose":
            return isinstance(self.focused, Listing)
        if action == "draw":
            done = self.job.status == "finished" and way_of(self.draft) == "drawn" and self.same
            return not self.typing and way_of(self.draft) != "folder" and not self.job.alive and not done
        if action == "stop":
            return not self.typing and self.job.alive
        if action == "browse":
            return not self.typing and way_of(self.draft) == "folder"
        return super().check_action(action, parameters)


def _begun(draft: Draft) -> RunFolder:
    return drawing_run(draft, run_name(draft.plan, Path("lora")))
