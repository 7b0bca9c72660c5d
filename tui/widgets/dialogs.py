"""Small windows over a screen: a choice that is asked for, and the help."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.widgets.board import Board, Row


@dataclass(frozen=True)
class Answer:
    """One thing that can be chosen: its key, its words, what comes of it, and what the dialog then returns."""

    key: str
    words: str
    means: str
    value: str | None


class _Answers(Board):
    """The answers, the chosen one marked."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        super().__init__()
        self.answers = answers
        self.chosen = 0
        self.styles.height = len(answers)

    def rows(self, width: int, height: int) -> Iterable[Row]:
        widest = max(len(answer.words) for answer in self.answers)
        for at, answer in enumerate(self.answers):
            mine = at == self.chosen
            yield [
                ("▸ " if mine else "  ", "accent"), (answer.key, "key"), ("  ", ""),
                (answer.words.ljust(widest), "strong" if mine else "plain"), (f"  {answer.means}", "muted"),
            ]  # fmt: skip


class Choice(ModalScreen[str | None]):
    """Asks one question; `escape` is always the answer that changes nothing (None)."""

    DEFAULT_CSS = """
    Choice { align: center middle; }
    Choice > Vertical {
        width: 74; height: auto; padding: 1 2; background: $surface; border: round $primary;
        &:ansi { border: round ansi_blue; background: ansi_default; }
    }
    Choice Static { height: auto; margin-bottom: 1; }
    """

    BINDINGS = [
        Binding("up", "move(-1)", show=False),
        Binding("down,tab", "move(1)", show=False),
        Binding("enter", "take", show=False),
        Binding("escape", "dismiss(None)", show=False),
    ]

    def __init__(self, question: str, answers: Sequence[Answer]) -> None:
        super().__init__()
        self.question = question
        self.answers = _Answers(answers)

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self.question, markup=False)
            yield self.answers

    def action_move(self, by: int) -> None:
        self.answers.chosen = (self.answers.chosen + by) % len(self.answers.answers)
        self.answers.redraw()

    def action_take(self) -> None:
        self.dismiss(self.answers.answers[self.answers.chosen].value)

    def on_key(self, event) -> None:
        for answer in self.answers.answers:
            if event.character == answer.key:
                event.stop()
                self.dismiss(answer.value)


class Help(ModalScreen[None]):
    """What the screen below is for and every key that works on it."""

    DEFAULT_CSS = """
    Help { align: center middle; }
    Help > VerticalScroll {
        width: 78; max-height: 100%; height: auto; padding: 0 1; background: $surface; border: round $primary;
        scrollbar-size-vertical: 1;
        &:ansi { border: round ansi_blue; background: ansi_default; }
    }
    Help Static { height: auto; }
    """

    BINDINGS = [Binding("escape,question_mark,enter,q", "dismiss(None)", show=False)]

    def __init__(self, text: str, keys: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.text, self.keys = text, keys

    def compose(self) -> ComposeResult:
        widest = max((len(key) for key, _ in self.keys), default=0)
        lines = [self.text.strip(), "", *(f"{key.rjust(widest)}  {words}" for key, words in self.keys)]
        with VerticalScroll() as window:
            window.border_subtitle = "escape closes this"
            yield Static("\n".join(lines), markup=False)
