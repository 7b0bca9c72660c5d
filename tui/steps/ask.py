"""A small window that asks for a path."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.steps.form import PathField


class AskPath(ModalScreen[str | None]):
    """Asks for a path, with completion; `escape` leaves everything as it is (None)."""

    DEFAULT_CSS = """
    AskPath { align: center middle; }
    AskPath > Vertical {
        width: 74; height: auto; padding: 1 2; background: $surface; border: round $primary;
        &:ansi { border: round ansi_blue; background: ansi_default; }
    }
    AskPath Static { height: auto; margin-bottom: 1; }
    AskPath #keys { margin: 1 0 0 0; color: $text-muted; }
    """

    BINDINGS = [Binding("escape", "dismiss(None)", show=False), Binding("enter", "take", show=False, priority=True)]

    def __init__(self, question: str, value: str = "", suffixes: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.question, self.value, self.suffixes = question, value, suffixes

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self.question, markup=False)
            yield PathField(self.value, suffixes=self.suffixes, id="path")
            yield Static("enter takes it, tab completes, escape leaves all as it is", id="keys", markup=False)

    def action_take(self) -> None:
        text = self.query_one("#path", PathField).value.strip()
        self.dismiss(text or None)
