"""What every screen of lorasmith shares: its size, its foot of keys, its help, and where it says things."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from textual.app import App, ComposeResult
from textual.events import Resize
from textual.screen import Screen

from tui.widgets.board import Board, Row
from tui.widgets.keys import KeyBar
from tui.widgets.repaint import CellsCompositor

if TYPE_CHECKING:
    from tui.app import LorasmithApp

LEAST_COLUMNS, LEAST_ROWS = 80, 24
_WIDE_COLUMNS, _WIDE_ROWS = 110, 30
_TEXTUALS = {"app.focus_next", "app.focus_previous", "screen.copy_text", "quit"}  # actions it binds by itself


class TooSmall(Board):
    """Stands in for a screen that does not fit; what the screen held is kept."""

    DEFAULT_CSS = """
    TooSmall { height: 1fr; display: none; padding: 0; }
    """

    def rows(self, width: int, height: int) -> Iterable[Row]:
        size = self.screen.size
        said = getattr(self.screen, "in_short", lambda: "")()
        yield [("lorasmith needs ", ""), (f"{LEAST_COLUMNS}x{LEAST_ROWS}", "strong"), (" letters of room;", "")]
        yield [(f"this terminal has {size.width}x{size.height}.", "")]
        yield []
        yield [("Make it larger, or its letters smaller:", "")]
        yield [("nothing is lost. ", ""), ("q", "key"), (" leaves.", "")]
        if said:
            yield []
            yield [(said, "strong")]


class HouseScreen(Screen[None]):
    """A screen with a body and the keys below it; `-wide` is its class where there is room for more.

    Override `body` to compose it, HELP (plain text) to explain it, `in_short` for one line where there is no room.
    """

    DEFAULT_CSS = """
    HouseScreen { layout: vertical; }
    HouseScreen.-small > * { display: none !important; }
    HouseScreen.-small > TooSmall { display: block !important; }
    """

    HELP = ""

    def __init__(self) -> None:
        super().__init__()
        self._compositor = CellsCompositor()

    def body(self) -> ComposeResult:
        yield from ()

    def compose(self) -> ComposeResult:
        yield TooSmall()
        yield from self.body()
        yield KeyBar()

    def on_resize(self, event: Resize) -> None:
        width, height = event.size
        self.set_class(width < LEAST_COLUMNS or height < LEAST_ROWS, "-small")
        self.set_class(width >= _WIDE_COLUMNS and height >= _WIDE_ROWS, "-wide")

    @property
    def house(self) -> LorasmithApp:
        """The app, by its own type."""
        return cast("LorasmithApp", self.app)

    def commands(self) -> Iterable[tuple[str, str, Callable[[], object]]]:
        """What can be done here, for the list of everything: its name, what it does, the doing."""
        return ()

    def unsaved(self) -> str:
        """Why what was typed here cannot be saved, asked once more before leaving; "" where nothing is lost."""
        return ""

    def key_label(self, action: str) -> str | None:
        """What the foot calls an action now; None = as it is bound."""
        return None

    def key_open(self, action: str) -> bool:
        """Whether an action would do what it says now; its key is faint where not, and answers with why."""
        return True

    def help_keys(self) -> list[tuple[str, str]]:
        """Every key of ours that works here and what it does, from the bindings themselves."""
        found: dict[str, tuple[str, str]] = {}
        for node, binding, _, tooltip in self.active_bindings.values():
            ours = isinstance(node, HouseScreen | App) and binding.action not in _TEXTUALS
            if ours and (tooltip or binding.show) and not binding.system:
                found.setdefault(binding.action, (self.app.get_key_display(binding), tooltip or binding.description))
        return list(found.values())
