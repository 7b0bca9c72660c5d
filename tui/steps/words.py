"""Step 4: the word that calls the subject and the word for its class, as the base reads and draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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

from engine.errors import LorasmithError, shown
from engine.lookalike.classes import INSTANCE_CHOICES, class_choices
from engine.lookalike.jobs import bank_job, needs_permission, pictures_to_draw, words_job
from engine.lookalike.names import read_names, shipped_names
from engine.lookalike.results import MatchResult, WordResult, read_match_result, read_word_result
from engine.lookalike.settings import LookalikeJob, read_job
from engine.lookalike.word import WordReport, read_word
from engine.plan import Plan
from engine.plan_fields import FIELDS
from engine.plan_values import problem
from engine.runs.folder import RunFolder
from tui.draft import Draft
from tui.steps import recipe
from tui.steps.form import FormField, Line, Said
from tui.steps.job_watch import JobWatch, job_words
from tui.steps.step import Journey, StepScreen
from tui.steps.wizard import WizardScreen
from tui.steps.words_said import (
    CLASS,
    INSTANCE,
    MATCH_HEAD,
    drawn_said,
    match_row,
    matches_said,
    run_of,
    token_lines,
    verdict,
)
from tui.steps.words_windows import Permission, Permitted, drawing_words
from tui.text import typed_path
from tui.widgets.board import Row
from tui.widgets.listing import Listing
from tui.widgets.picture import Gallery

NAMES = "words.names"  # the draft's key for the person's own list of names
_QUIET = 0.15
_SHOW_SECONDS = 0.08
_FOUR = 4  # of a match's pictures that are shown


class WordsScreen(WizardScreen):
    """Both prompts with their tokens; below: class words to choose from, what is drawn, or who looks alike."""

    HELP = (
        "The instance prompt calls your subject: a rare word of one or few tokens, or a name the base already draws "
        "alike each time and that resembles the subject. The class prompt is the everyday word for what it is.\n\n"
        "d has the base draw the instance prompt, which takes minutes, and says: rare (nothing of its own), known "
        "(something alike each time), taken (something else). l looks for a name that the base draws like your "
        "pictures; nothing is looked at before you have confirmed that you may. Both are jobs and go on if you "
        "leave.\n\n" + "\n".join(f"{one.word}: {one.effect}." for one in INSTANCE_CHOICES)
    )

    BINDINGS = [
        Binding("d", "draw", "draw", tooltip="what the base draws for the instance prompt"),
        Binding("l", "alike", "look-alike", tooltip="a name that the base draws like your pictures"),
        Binding("c", "classes", "class words", tooltip="the class words to choose from"),
        Binding("x", "stop", "stop", tooltip="stop the drawing; what is drawn is kept"),
        Binding("i", "instance", show=False, tooltip="to the instance prompt"),
    ]

    DEFAULT_CSS = """
    WordsScreen #fields { padding: 1 0 0 0; }
    WordsScreen #first, WordsScreen #second { height: 1; }
    WordsScreen #judged { height: 3; margin-bottom: 1; }
    WordsScreen #told { height: 2; margin: 1 0; }
    WordsScreen #below { height: 1fr; }
    WordsScreen #head { height: 1; }
    WordsScreen #effect { height: 2; }
    WordsScreen #lists { width: 1fr; }
    WordsScreen #pictures { display: none; }
    WordsScreen.-drawn #lists { display: none; }
    WordsScreen.-drawn #pictures, WordsScreen.-alike #pictures { display: block; }
    WordsScreen.-alike #lists { width: 50; }
    """

    @dataclass
    class Reported(Message):
        """Posted by the thread that read the base's vocabularies."""

        report: WordReport | None
        trouble: str = ""

    @dataclass
    class Found(Message):
        """Posted by the thread that read a job's result."""

        drawn: WordResult | None = None
        matches: MatchResult | None = None
        run: RunFolder | None = None
        base: str = ""
        """Of what was drawn: the model it was drawn with."""
        trouble: str = ""

    def __init__(self, journey: Journey[Draft], at: int) -> None:
        super().__init__(journey, at)
        self.report: WordReport | None = None
        self.report_trouble = ""
        self.view = "classes"
        self.drawing, self.searching = JobWatch(self), JobWatch(self)
        self.drawn: tuple[RunFolder, WordResult] | None = None
        self.drawn_with = ""
        self.matches: MatchResult | None = None
        self._to_read: Timer | None = None
        self._to_show: Timer | None = None

    def fields(self) -> ComposeResult:
        subject = self.draft.plan.subject
        yield Line("Instance", FormField(
            self.draft.typed.get(INSTANCE, subject.instance_prompt), id="instance",
            placeholder="a rare word such as ohwx", help_text=_help(INSTANCE),
        ))  # fmt: skip
        yield Said(id="first")
        yield Said(id="second")
        yield Said(id="judged")
        yield Line("Class", FormField(
            self.draft.typed.get(CLASS, subject.class_prompt), id="class", placeholder="an everyday word such as woman",
            help_text=_help(CLASS),
        ))  # fmt: skip
        yield Said(id="told", indent=1)
        with Horizontal(id="below"):
            with Vertical(id="lists"):
                yield Said(id="head", indent=0)
                yield Listing(self._line, id="list", leaves=False, takes="take it")
                yield Said(id="effect", indent=1)
            yield Gallery(id="pictures", ascii_only=self.house.ascii_only)

    def first_field(self) -> Widget | None:
        return self.query_one("#list" if self.draft.plan.subject.instance_prompt else "#instance")

    def on_mount(self) -> None:
        super().on_mount()
        self._read_soon()
        for kind, watch in (("words", self.drawing), ("bank", self.searching)):
            if run := self.draft.jobs.get(kind):
                watch.follow(run)

    def on_unmount(self) -> None:
        self.drawing.leave()
        self.searching.leave()
        super().on_unmount()

    # What is drawn.

    def show(self) -> None:
        self.query_one("#first", Said).show(*(token_lines(self.report, 0) if not self.report_trouble else ()))
        self.query_one("#second", Said).show(*(token_lines(self.report, 1) if self.report else ()))
        said = [(self.report_trouble, "bad")] if self.report_trouble else verdict(self.report)
        self.query_one("#judged", Said).show(*said)
        self.set_class(self.view == "drawn", "-drawn")
        self.set_class(self.view == "alike", "-alike")
        self.query_one("#told", Said).show(*self._told())
        self.query_one("#head", Said).show((self._head(), "muted"))
        self.query_one("#list", Listing).fill(len(self._lines()))
        self._effect()
        self._pictures_soon()
        self.refresh_bindings()

    def _head(self) -> str:
        if self.view == "alike":
            return MATCH_HEAD if self.matches and self.matches.matches else ""
        return f"Class words for {self.draft.plan.subject.kind}, and what each brings:"

    def _told(self) -> Sequence[tuple[str, str]]:
        """What is to be said of the drawing or the search."""
        if self.view == "alike":
            said = job_words(self.searching, "The search")
            return [said] if said else matches_said(self.matches) if self.matches else []
        said = job_words(self.drawing, "Drawing it")
        if said or self.view == "classes":
            other = job_words(self.searching, "The look-alike search")
            return [one for one in (said, other) if one]
        if self.drawn is None:
            return []
        said = drawn_said(self.drawn[1])
        if self.drawn[1].word != self.draft.plan.subject.instance_prompt.strip():
            return [(f"This is {shown(self.drawn[1].word)}; d draws the word that stands above now.", "warn"), *said]
        if self.drawn_with != self.draft.plan.base.model:
            return [("Another base drew this; d draws it with the one that is chosen now.", "warn"), *said]
        return said

    def _lines(self) -> Sequence[object]:
        if self.view == "alike":
            return self.matches.matches if self.matches else ()
        return class_choices(self.draft.plan.subject.kind)

    def _line(self, at: int, here: bool, width: int) -> Row:
        if self.view == "alike" and self.matches:
            return match_row(self.matches.matches[at], here)
        choice = class_choices(self.draft.plan.subject.kind)[at]
        chosen = choice.word == self.draft.plan.subject.class_prompt.strip()
        return [("▸" if here else " ", "accent"), ("● " if chosen else "  ", "good"),
                (f"{choice.word:<12} ", "strong" if here or chosen else "plain"), (choice.effect, "muted")]  # fmt: skip

    def _pictures_soon(self) -> None:
        if self._to_show is not None:
            self._to_show.stop()
        self._to_show = self.set_timer(_SHOW_SECONDS, self._show_pictures)

    def _show_pictures(self) -> None:
        self.query_one(Gallery).show(self._pictures())

    def _pictures(self) -> list[Path]:
        if self.view == "alike" and self.matches:
            at = self.query_one("#list", Listing).at
            named = self.matches.matches[at].pictures if at < len(self.matches.matches) else ()
            return [Path(one) for one in named[:_FOUR]]
        if self.view != "drawn":
            return []
        if self.drawn is not None and not self.drawing.alive:
            return [self.drawn[0].path / name for name in self.drawn[1].pictures]
        seen, run = self.drawing.seen, self.drawing.run
        files = seen.samples[-1].files if seen is not None and seen.samples else ()
        return [run.path / name for name in files if "sheet" not in name] if run is not None else []

    def _effect(self) -> None:
        """The whole of what a class word brings; its line has room for the beginning only."""
        at, choices = self.query_one("#list", Listing).at, class_choices(self.draft.plan.subject.kind)
        said = [(choices[at].effect, "plain")] if self.view == "classes" and at < len(choices) else []
        self.query_one("#effect", Said).show(*said)

    def on_listing_moved(self, event: Listing.Moved) -> None:
        self._effect()
        if self.view == "alike":
            self._pictures_soon()

    # The words.

    def on_input_changed(self, event: Input.Changed) -> None:
        key = {"instance": INSTANCE, "class": CLASS}.get(event.input.id or "")
        if key is None:
            return
        subject = self.draft.plan.subject
        now = self.draft.typed.get(key, subject.instance_prompt if key == INSTANCE else subject.class_prompt)
        if event.value == now:
            return
        self._take(key, event.value)

    def _take(self, key: str, text: str) -> None:
        try:
            known = problem(key, text) is None
            self.change(recipe.moved(self.draft, {key: text}) if known else self.draft.with_typed(key, text))
        except LorasmithError as error:
            self.say(str(error))
        self._read_soon()

    def _read_soon(self) -> None:
        if self._to_read is not None:
            self._to_read.stop()
        self._to_read = self.set_timer(_QUIET, lambda: self._read_word(self.draft.plan))

    @work(thread=True, exclusive=True, group="word", exit_on_error=False)
    def _read_word(self, plan: Plan) -> None:
        try:
            self.post_message(self.Reported(read_word(plan)))
        except LorasmithError as error:
            self.post_message(self.Reported(None, str(error)))

    def on_words_screen_reported(self, message: Reported) -> None:
        self.report, self.report_trouble = message.report, message.trouble
        self.show()

    def on_listing_taken(self, event: Listing.Taken) -> None:
        if self.view == "alike" and self.matches and event.at < len(self.matches.matches):
            self.query_one("#instance", Input).value = self.matches.matches[event.at].word
        elif self.view == "classes":
            self.query_one("#class", Input).value = class_choices(self.draft.plan.subject.kind)[event.at].word

    def action_instance(self) -> None:
        self.set_focus(self.query_one("#instance"))

    def action_classes(self) -> None:
        self._see("classes")

    def _see(self, view: str) -> None:
        self.view = view
        self.set_focus(None if view == "drawn" else self.query_one("#list"))
        self.show()

    # Drawing, and looking for who is alike.

    def action_draw(self) -> None:
        """What was drawn for this word, or the drawing of it."""
        self._see("drawn")
        word = self.draft.plan.subject.instance_prompt.strip()
        known = self.drawn is not None and self.drawn[1].word == word
        if self.drawing.alive or (known and self.drawn_with == self.draft.plan.base.model):
            return
        self.drawn = None
        self.drawing.begin(partial(run_of, lambda: words_job(self.draft.plan), self.draft.plan, "words"))
        self.show()

    @work
    async def action_alike(self) -> None:
        again = self.view == "alike"
        self._see("alike")
        if self.searching.alive or (self.matches is not None and not again):
            return
        plan = self.draft.plan
        faces = needs_permission(plan)
        own = self.draft.typed.get(NAMES, "")
        try:
            # Whatever the names: what the plan lacks for a search is said before anything is asked.
            asked = bank_job(plan, read_names(typed_path(own) if own else shipped_names()).names)
        except LorasmithError as error:
            self.say(str(error))
            return
        answer = await self.app.push_screen_wait(
            Permission(faces=faces, pictures=drawing_words(pictures_to_draw(asked)), names=own)
        )
        if answer is None:
            self.say("Nothing was looked at and nothing drawn.")
            return
        StepScreen.change(self, self.draft.with_typed(NAMES, answer.path))
        self._search(plan, answer)

    def _search(self, plan: Plan, answer: Permitted) -> None:
        def job() -> LookalikeJob:
            return bank_job(plan, answer.names.names, permission=answer.permission)

        self.matches = None
        self.searching.begin(partial(run_of, job, plan, "lookalike"))
        if answer.names.left_out:
            self.say(answer.names.left_out[0])
        self.show()

    def action_stop(self) -> None:
        for watch in (self.drawing, self.searching):
            if watch.alive:
                watch.stop()

    def on_job_watch_told(self, message: JobWatch.Told) -> None:
        watch = message.watch
        if not watch.take(message):
            return
        kind = "words" if watch is self.drawing else "bank"
        if watch.run is not None and self.draft.jobs.get(kind) != watch.run.name:
            StepScreen.change(self, self.draft.with_job(kind, watch.run.name))
        if watch.status == "finished" and watch.run is not None:
            self._read_result(watch.run)
        self.show()

    @work(thread=True, group="result", exit_on_error=False)
    def _read_result(self, run: RunFolder) -> None:
        try:
            if run.kind == "words":
                self.post_message(self.Found(drawn=read_word_result(run), run=run, base=read_job(run.job).base.model))
            else:
                self.post_message(self.Found(matches=read_match_result(run), run=run))
        except LorasmithError as error:
            self.post_message(self.Found(trouble=str(error)))

    def on_words_screen_found(self, message: Found) -> None:
        if message.drawn is not None and message.run is not None:
            self.drawn, self.drawn_with = (message.run, message.drawn), message.base
        self.matches = message.matches or self.matches
        self.show()
        if message.trouble:
            self.say(message.trouble)

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "stop":
            return not self.typing and (self.drawing.alive or self.searching.alive)
        if action == "classes":
            return not self.typing and self.view != "classes"
        if action in {"draw", "alike", "instance"}:
            return not self.typing
        return super().check_action(action, parameters)


def _help(key: str) -> str:
    entry = FIELDS[key]
    return f"{entry.meaning} {entry.advice}"
