"""What the wizard's steps share: the way through them, the draft they fill, and the screen each is.

How to add a step. Say what it is and what it still wants of the draft, in a plain function that knows no screen:

    def subject_missing(draft: Draft) -> str:
        return "" if draft.name else "Give the LoRA a name."

Make its screen: compose `fields`, write every change to the draft with `change`, explain it in HELP:

    class SubjectScreen(StepScreen[Draft]):
        HELP = "What the LoRA shows, and the base model it is trained on."

        def fields(self) -> ComposeResult:
            yield Field(self.draft.name, help_text="Letters, digits and dashes.", id="name")

        def on_input_changed(self, event: Field.Changed) -> None:
            self.change(replace(self.draft, name=event.value))

List it where the journey is made, and open the journey at its first unfinished step:

    journey = Journey(draft, [Step("subject", "Subject", subject_missing, SubjectScreen), ...], save=write_draft)
    app.show_journey(journey)

A screen is made anew each time it is opened, from the draft alone: no widget holds what the draft does not. `n`
and `b` go on and back, a step's number goes to it; they are letters while a text field has the focus, and
`escape` leaves the field. `n` of the last step calls the journey's `finish`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.geometry import Size
from textual.timer import Timer
from textual.widgets import Input, TextArea

from tui.screen import HouseScreen
from tui.watch.boards import wrap
from tui.widgets.board import Board, Row

Draft = TypeVar("Draft")

_SAVE_SECONDS = 0.5


@dataclass(frozen=True)
class Step(Generic[Draft]):
    """One step of the way: its word on the rail, one sentence on what is missing ("" = nothing), its screen."""

    id: str
    title: str
    missing: Callable[[Draft], str]
    screen: Callable[[Journey[Draft], int], StepScreen[Draft]]


@dataclass
class Journey(Generic[Draft]):
    """The way through the steps with the draft that is filled on it; `save` is called after every change."""

    draft: Draft
    steps: Sequence[Step[Draft]]
    save: Callable[[Draft], None]
    finish: Callable[[Draft], None] = field(default=lambda draft: None)

    def missing(self, at: int) -> str:
        return self.steps[at].missing(self.draft)

    def done(self, at: int) -> bool:
        """Whether a step is over with; a way with steps that want nothing may ask for more than that."""
        return not self.missing(at)

    def first_open(self) -> int:
        """Where to take it up again: the first step that is not over with, or the last."""
        return next((at for at in range(len(self.steps)) if not self.done(at)), len(self.steps) - 1)

    def screen(self, at: int) -> StepScreen[Draft]:
        return self.steps[at].screen(self, at)


class Rail(Board):
    """All steps in one line: which one this is, which are done, and which still want something."""

    DEFAULT_CSS = """
    Rail { height: 1; background: $panel; &:ansi { background: ansi_default; } }
    """

    def __init__(self, journey: Journey, at: int) -> None:
        super().__init__()
        self.journey, self.at = journey, at

    def rows(self, width: int, height: int) -> Iterable[Row]:
        row: list[tuple[str, str]] = []
        for at, step in enumerate(self.journey.steps):
            mine, done = at == self.at, self.journey.done(at)
            mark, ink = ("▸", "accent") if mine else ("✓", "good") if done else ("·", "muted")
            row += [(f" {at + 1}", "key"), (mark, ink)]
            row.append((step.title, "strong" if mine else "plain" if done else "muted"))
        yield row


class Missing(Board):
    """Says what is still missing, or that the step is complete; a long sentence takes more lines."""

    DEFAULT_CSS = """
    Missing { height: auto; max-height: 3; dock: bottom; margin-bottom: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.words: Row = ()

    def show(self, words: str, *, asked: bool = False) -> None:
        """`asked`: the person wanted to go on, so that it is said louder."""
        ready: Row = [(" ✓ ", "good"), (getattr(self.screen, "READY", ""), "muted")]
        before = len(self._lines(self.size.width))
        self.words = [(" ! ", "warn"), (words, "bad" if asked else "plain")] if words else ready
        if len(self._lines(self.size.width)) != before:
            self.refresh(layout=True)
        self.redraw()

    def _lines(self, width: int) -> list[Row]:
        if not self.words:
            return [()]
        mark, (words, ink) = self.words
        lines = wrap(words, max(20, width - 4))
        return [[mark if at == 0 else ("   ", ""), (line, ink)] for at, line in enumerate(lines)]

    def rows(self, width: int, height: int) -> Iterable[Row]:
        return self._lines(width)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width))


class Field(Input):
    """A text field of one line whose cursor does not blink (that alone is 2 kB a second) and that has its help.

    What it holds is not selected when it is come to: one letter meant as a key must not replace it.
    """

    def __init__(self, value: str = "", *, help_text: str = "", id: str | None = None, placeholder: str = "") -> None:
        super().__init__(value, placeholder=placeholder, id=id, compact=True, select_on_focus=False)
        self.cursor_blink = False
        self.help_text = help_text


class StepScreen(HouseScreen, Generic[Draft]):
    """A step: the rail, its fields, the line of what is missing, the keys."""

    BINDINGS = [
        Binding("n", "next", "next", tooltip="on to the next step"),
        Binding("b", "back", "back", tooltip="back to the step before; nothing is lost"),
        Binding("escape", "leave_field", "done typing", tooltip="leave the text field, so that letters are keys again"),
        *(Binding(str(at + 1), f"step({at})", show=False) for at in range(9)),
    ]

    DEFAULT_CSS = """
    StepScreen #fields { height: 1fr; padding: 1 1 0 1; }
    """

    AUTO_FOCUS = ""
    READY = "n goes on"

    def __init__(self, journey: Journey[Draft], at: int) -> None:
        super().__init__()
        self.journey, self.at = journey, at
        self._to_save: Timer | None = None

    @property
    def draft(self) -> Draft:
        return self.journey.draft

    def fields(self) -> ComposeResult:
        """The step's own widgets; override."""
        yield from ()

    def body(self) -> ComposeResult:
        yield Rail(self.journey, self.at)
        with Vertical(id="fields"):
            yield from self.fields()
        yield Missing()

    def on_mount(self) -> None:
        self._tell()

    def on_unmount(self) -> None:
        self._save()

    def change(self, draft: Draft) -> None:
        """Takes over a changed draft; it is written half a second later, and at the latest when the screen closes."""
        self.journey.draft = draft
        if self._to_save is not None:
            self._to_save.stop()
        self._to_save = self.set_timer(_SAVE_SECONDS, self._save)
        self._tell()

    def _save(self) -> None:
        if self._to_save is not None:
            self._to_save.stop()
            self._to_save = None
            self.journey.save(self.draft)

    def _tell(self) -> None:
        self.query_one(Rail).redraw()
        self.query_one(Missing).show(self.journey.missing(self.at))
        self.refresh_bindings()

    # Keys.

    @property
    def typing(self) -> bool:
        """Whether letters go into a text field now."""
        return isinstance(self.focused, Input | TextArea)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "leave_field":
            return self.typing
        if action == "back":
            return not self.typing and self.at > 0
        return not self.typing if action == "next" else True

    def key_open(self, action: str) -> bool:
        return action != "next" or not self.journey.missing(self.at)

    def key_label(self, action: str) -> str | None:
        return "start" if action == "next" and self.at == len(self.journey.steps) - 1 else None

    def on_descendant_focus(self) -> None:
        self.refresh_bindings()

    def on_descendant_blur(self) -> None:
        self.refresh_bindings()

    def action_leave_field(self) -> None:
        self.set_focus(None)

    def action_next(self) -> None:
        if missing := self.journey.missing(self.at):
            self.query_one(Missing).show(missing, asked=True)
        elif self.at + 1 < len(self.journey.steps):
            self._go(self.at + 1)
        else:
            self._save()
            self.journey.finish(self.draft)

    def action_back(self) -> None:
        if self.at > 0:
            self._go(self.at - 1)

    def action_step(self, at: int) -> None:
        """Back to any step, and forward past those that are complete."""
        if at == self.at or at >= len(self.journey.steps):
            return
        closed = next((step for step in range(at) if self.journey.missing(step)), None)
        if closed is None or at < self.at:
            self._go(at)
        else:
            words = f"{self.journey.steps[closed].title} comes first: {self.journey.missing(closed)}"
            self.query_one(Missing).show(words, asked=True)

    def _go(self, at: int) -> None:
        self._save()
        self.app.switch_screen(self.journey.screen(at))
