"""The window that says how to bring pictures up, and where to find them."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.steps.bring import VARIED, Upload
from tui.text import home_path


class Bring(ModalScreen[str | None]):
    """Shows the lines; `m` makes the folder and waits in it, so that pictures appear as they arrive."""

    DEFAULT_CSS = """
    Bring { align: center middle; }
    Bring > Vertical {
        width: 78; height: auto; max-height: 100%; padding: 0 1; background: $surface; border: round $primary;
        &:ansi { border: round ansi_blue; background: ansi_default; }
    }
    Bring Static { height: auto; margin-bottom: 1; }
    Bring .line { color: $primary; }
    Bring #keys { margin: 0; color: $text-muted; }
    """

    BINDINGS = [
        Binding("escape,q,u", "dismiss(None)", show=False),
        Binding("m,enter", "dismiss('make')", show=False),
        Binding("c", "copy", show=False),
        Binding("g", "copy_search", show=False),
    ]

    def __init__(self, lines: Upload, search: str) -> None:
        super().__init__()
        self.lines, self.search = lines, search

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(
                "In a shell on your own machine, with your folder in place of MY_PICTURES; they arrive in "
                f"{home_path(self.lines.here)}:", markup=False,
            )  # fmt: skip
            yield Static(self.lines.rsync, classes="line", markup=False)
            yield Static("or, where there is no rsync:\n" + self.lines.scp, markup=False)
            if self.lines.note:
                yield Static(self.lines.note, markup=False)
            yield Static(f"{VARIED} Google shows large ones only with:", markup=False)
            yield Static(self.search, classes="line", markup=False)
            yield Static(
                "m makes that folder and waits for them here\nc copies the rsync line, g the address (where the "
                "terminal allows it); escape closes", id="keys", markup=False,
            )  # fmt: skip

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self.lines.rsync)

    def action_copy_search(self) -> None:
        self.app.copy_to_clipboard(self.search)
