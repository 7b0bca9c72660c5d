"""The wizard: its steps in order, how it is opened and left, and what all of its screens share.

A step is added to STEPS at its place: `Step(id, title, missing, Screen)`, with `missing` a plain function of the
draft and `Screen` a WizardScreen. See tui/steps/step.py for how a step is written.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import Worker, WorkerState, get_current_worker

from engine.errors import shown
from engine.estimate import Card, cards
from tui.draft import Draft, Keeper, read_draft
from tui.steps import recipe
from tui.steps.outlook import Outlook, look
from tui.steps.step import Journey, Missing, Step, StepScreen
from tui.widgets.listing import Listing

if TYPE_CHECKING:
    from tui.app import LorasmithApp

_LOOK_SECONDS = 0.15  # of quiet before a change is worked out
_COUNT_SECONDS = 0.25
_SAVE_AGAIN_SECONDS = 3.0


class Cancelled(Exception):
    """The look is no longer wanted."""


@dataclass
class WizardJourney(Journey[Draft]):
    """The way through the wizard; `cards` are the graphics cards of this machine, None until they were asked for."""

    keeper: Keeper = field(default_factory=Keeper)
    cards: tuple[Card, ...] | None = None

    def done(self, at: int) -> bool:
        """A step that wants nothing is still to be seen once."""
        return self.steps[at].id in self.draft.passed and not self.missing(at)

    @property
    def card(self) -> Card | None:
        return self.cards[0] if self.cards else None


def steps() -> list[Step[Draft]]:
    """The steps in the order they are taken."""
    from tui.steps import ready
    from tui.steps.captions import CaptionsScreen, captions_missing
    from tui.steps.class_pictures import ClassPicturesScreen, class_missing
    from tui.steps.parameters import ParametersScreen
    from tui.steps.pictures import PicturesScreen
    from tui.steps.review import ReviewScreen
    from tui.steps.subject import SubjectScreen
    from tui.steps.words import WordsScreen
    from tui.steps.words_said import words_missing

    return [
        Step("subject", "Subject", ready.subject_missing, _screen(SubjectScreen)),
        Step("pictures", "Pictures", ready.pictures_missing, _screen(PicturesScreen)),
        Step("class", "Class", class_missing, _screen(ClassPicturesScreen)),
        Step("words", "Words", words_missing, _screen(WordsScreen)),
        Step("captions", "Captions", captions_missing, _screen(CaptionsScreen)),
        Step("parameters", "Parameters", ready.parameters_missing, _screen(ParametersScreen)),
        Step("review", "Review", ready.review_missing, _screen(ReviewScreen)),
    ]


def _screen(make: Callable[[Journey[Draft], int], StepScreen[Draft]]) -> Callable[..., StepScreen[Draft]]:
    return make


def open_wizard(app: LorasmithApp, path: Path | None = None) -> None:
    """Opens a draft at its first step that is not over with, or a new one; PlanError for a file that is no draft."""
    draft = read_draft(path) if path is not None else recipe.new_draft()
    keeper = Keeper(path)
    app.show_journey(WizardJourney(draft, steps(), save=keeper, keeper=keeper))


class WizardScreen(StepScreen[Draft]):
    """A step of the wizard: with the outlook of its draft, worked out in a thread whenever the draft has changed.

    Override `show` to draw what the draft and `outlook` say now; it is called on mount and after every change.
    `first_field` is what has the keys at first.
    """

    @dataclass
    class Looked(Message):
        """Posted by the thread: what the draft comes to."""

        outlook: Outlook

    @dataclass
    class Counted(Message):
        """Posted by the thread while it reads pictures."""

        done: int
        total: int

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, WizardScreen.Counted)

    @dataclass
    class Cards(Message):
        """Posted by the thread that asked the driver."""

        cards: tuple[Card, ...]

    def __init__(self, journey: Journey[Draft], at: int) -> None:
        super().__init__(journey, at)
        self._to_look: Timer | None = None
        self.counted: tuple[int, int] | None = None
        self.said = ""

    @property
    def way(self) -> WizardJourney:
        assert isinstance(self.journey, WizardJourney)
        return self.journey

    @property
    def outlook(self) -> Outlook | None:
        """What was found out last; it may be of a draft that has changed since."""
        return self.draft.looks.outlook

    @property
    def fresh(self) -> bool:
        """Whether the outlook is of the draft as it is now."""
        return self.outlook is not None and self.outlook.plan == self.draft.plan

    def show(self) -> None:
        """Draws what the draft and its outlook say now; override."""

    def first_field(self) -> Widget | None:
        return None

    def on_mount(self) -> None:
        super().on_mount()
        if (first := self.first_field()) is not None:
            self.set_focus(first)
        self.show()
        if self.way.cards is None:
            self._ask_cards()
        if not self.fresh:
            self._look_soon()
        elif self.outlook is not None and (self.outlook.trouble or self.outlook.base.trouble):
            self.look(again=True)  # what stood in the way may be gone

    def change(self, draft: Draft) -> None:
        self.said = ""
        super().change(draft)
        self.show()
        if not self.fresh:
            self._look_soon()

    def say(self, words: str) -> None:
        """Says something in the line of what is missing, until the next change."""
        self.said = words
        self._tell()

    def _tell(self) -> None:
        super()._tell()
        if trouble := self.way.keeper.trouble or self.said:
            self.query_one(Missing).show(trouble, asked=True)

    def _save(self) -> None:
        keeper = self.way.keeper
        before, pending = keeper.trouble, self._to_save is not None
        super()._save()
        if pending:
            self.house.drafted = "" if keeper.trouble else self.draft.name
        if keeper.trouble and self.is_mounted and self._running:
            self._to_save = self.set_timer(_SAVE_AGAIN_SECONDS, self._save)  # room may be made without a further key
        if keeper.notice:
            self.said, keeper.notice = keeper.notice, ""
            before = "another"
        if keeper.trouble != before and self.is_mounted and self._running:
            self._tell()

    def unsaved(self) -> str:
        if self.way.keeper.trouble:
            self._save()
        return self.way.keeper.trouble

    # Looking.

    @work(thread=True, group="cards", exit_on_error=False)
    def _ask_cards(self) -> None:
        self.post_message(self.Cards(cards()))

    def on_wizard_screen_cards(self, message: Cards) -> None:
        self.way.cards = message.cards
        card = self.way.card
        if card is not None and self.draft.vram_gb != (memory := round(card.total / 1e9, 1)):
            self.change(recipe.moved(self.draft, {}, vram_gb=memory))
        else:
            self.show()
        self._look_soon()

    def _look_soon(self) -> None:
        if self._to_look is not None:
            self._to_look.stop()
        self._to_look = self.set_timer(_LOOK_SECONDS, lambda: self.look())

    def look(self, *, again: bool = False) -> None:
        """Works the draft out; `again` also where nothing in the draft has changed, as the files may have."""
        self._look(self.draft, self.way.card, again)

    @work(thread=True, exclusive=True, group="look", exit_on_error=False)
    def _look(self, draft: Draft, card: Card | None, again: bool) -> None:
        worker = get_current_worker()
        told = time.monotonic()

        def report(done: int, total: int) -> None:
            nonlocal told
            if worker.is_cancelled:
                raise Cancelled
            if total and time.monotonic() - told >= _COUNT_SECONDS:
                told = time.monotonic()
                self.post_message(self.Counted(done, total))

        try:
            found = look(draft, draft.looks.outlook, card, report, again=again)
        except Cancelled:
            return
        draft.looks.outlook = found
        self.post_message(self.Looked(found))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """What nobody foresaw goes to the log, and one sentence to the person, whose draft is safe."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            traceback.print_exception(event.worker.error)
            what = shown(f"{type(event.worker.error).__name__}: {event.worker.error}"[:120])
            self.say(f"Something unexpected went wrong ({what}); the draft is saved, lorasmith.log has the story.")

    def on_wizard_screen_counted(self, message: Counted) -> None:
        self.counted = (message.done, message.total)
        self.show()

    def on_wizard_screen_looked(self, message: Looked) -> None:
        self.counted = None
        if message.outlook.plan != self.draft.plan:
            return  # changed meanwhile: the next look is on its way
        settled = self.settled(self.draft, message.outlook)
        if settled.plan != self.draft.plan:
            self.change(settled)
            return
        self.show()
        self._tell()

    def settled(self, draft: Draft, outlook: Outlook) -> Draft:
        """What follows in the draft from what was found: the dial's figures, the words of a folder's name."""
        draft = recipe.followed(draft, outlook.trained)
        return _named(draft, outlook)

    # Going.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "back" and self.at == 0:
            return not self.typing
        return super().check_action(action, parameters)

    def key_label(self, action: str) -> str | None:
        if action == "take" and isinstance(self.focused, Listing):
            return self.focused.takes
        return "leave" if action == "back" and self.at == 0 else super().key_label(action)

    def action_back(self) -> None:
        if self.at == 0:
            self._save()
            self.house.show_drafts()
        else:
            super().action_back()

    def action_next(self) -> None:
        step = self.journey.steps[self.at].id
        if not self.journey.missing(self.at) and step not in self.draft.passed:
            self.change(replace(self.draft, passed=(*self.draft.passed, step)))
        super().action_next()


def _named(draft: Draft, outlook: Outlook) -> Draft:
    """Trigger and class from a kohya folder's name ("12_ohwx woman"), as long as the recipe's own words stand."""
    if outlook.dataset is None or "words" in draft.passed:
        return draft
    usual = recipe.new_draft(draft.plan.subject.kind).plan.subject
    if draft.plan.subject != usual:
        return draft
    triggers = {one.trigger for one in outlook.dataset.kohya if one.role == "train" and one.trigger}
    classes = {one.class_ for one in outlook.dataset.kohya if one.role == "train" and one.class_}
    changes = {}
    if len(triggers) == 1:
        changes["subject.instance_prompt"] = triggers.pop()
    if len(classes) == 1:
        changes["subject.class_prompt"] = classes.pop()
    return recipe.moved(draft, changes) if changes else draft


