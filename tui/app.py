"""The app: three modes, *plan* (make one), *watch* (see it go), *compare* (choose from it), each a stack of screens.

Nothing is computed here: the screens read files, and ask the engine through files.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual import work
from textual.app import App, SystemCommand
from textual.await_complete import AwaitComplete
from textual.binding import Binding
from textual.color import Color
from textual.events import Event, Key
from textual.filter import LineFilter
from textual.screen import Screen

from engine.runs.folder import RunFolder, list_runs
from engine.runs.lock import lock_holder
from tui.key_order import KeyOrder
from tui.screen import HouseScreen
from tui.widgets.dialogs import Answer, Choice, Help

if TYPE_CHECKING:
    from tui.steps.step import Journey

# What the screens are drawn with, for terminals that show ASCII only. The rest becomes a question mark.
_ASCII = str.maketrans(
    {
        "━": "=", "╸": "=",
        "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "=", "▍": "=", "▎": "-", "▏": "-", "·": ".", "…": "~",
        "✓": "+", "✗": "x", "✕": "x", "▸": ">", "▪": "*", "▴": "^", "│": "|", "┤": "+", "└": "+", "─": "-",
        "╌": "-", "⠤": "*", "⠂": ".", "°": " ", "←": "<", "→": ">", "↑": "^", "↓": "v", "▀": "#", "▄": "#",
        "●": "*", "○": "o", "–": "-", "╭": "+", "╮": "+", "╯": "+", "╰": "+", "▁": "_", "▔": "-", "×": "x",
    }
)  # fmt: skip


class AsciiOnly(LineFilter):
    """Every cell in ASCII; the widths stay."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            Segment(_ascii(text), style, control) if not text.isascii() else Segment(text, style, control)
            for text, style, control in segments
        ]


def _ascii(text: str) -> str:
    known = text.translate(_ASCII)
    return "".join(char if char.isascii() else "?" * get_character_cell_size(char) for char in known)


class LorasmithApp(App[None]):
    """Opens watching `run` (choosing, where it is a comparison), else on the list of runs, or with a welcome."""

    TITLE = "lorasmith"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS = [
        Binding("q", "leave", "leave", tooltip="leave lorasmith; what runs goes on"),
        Binding("question_mark", "help", "help", key_display="?", tooltip="this help"),
        Binding("f1", "help", "help", tooltip="this help"),
        Binding("colon", "command_palette", "all", key_display=":", tooltip="everything that can be done, by name"),
        Binding("f2", "command_palette", "all", tooltip="everything that can be done, by name"),
        Binding("ctrl+c", "leave", show=False, system=True),
        Binding("ctrl+p", "command_palette", show=False, system=True),
    ]

    CSS = """
    ModalScreen { background: transparent; }
    CommandPalette > Vertical { width: 76; }
    """

    def __init__(
        self, run: RunFolder | None = None, *, ascii_only: bool = False, look_seconds: float = 1.0, images: str = "half"
    ) -> None:
        """`look_seconds`: how often the monitor looks at its run's files; `images`: one of widgets.graphics.WAYS."""
        # Before App looks at them: each app has its own first screens.
        self.MODES = {"plan": _welcome, "watch": partial(_watch, run, look_seconds)}  # type: ignore[misc]
        self.DEFAULT_MODE = "watch" if run is not None or list_runs() else "plan"  # type: ignore[misc]
        if run is not None and self.has_comparison(run):
            self.MODES["compare"] = partial(_compare, run, look_seconds)  # type: ignore[misc]
            self.DEFAULT_MODE = "compare"  # type: ignore[misc]
        super().__init__()
        # Nothing is told by either, and each is a widget on every screen with styles of its own.
        self._disable_tooltips = self._disable_notifications = True
        self._keys = KeyOrder(self, super().on_event)
        self._modes = dict(self.MODES)
        self.ascii_only = ascii_only
        self.look_seconds = look_seconds
        self.images = images
        self.watched = run
        """The run that was looked at last, for what is printed after leaving."""
        self.drafted = ""
        """The draft that was worked on last, for the same."""
        self.trouble: Exception | None = None
        """What ended the app where nobody foresaw it."""
        if ascii_only:
            self._filters.append(AsciiOnly())

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Key) and not event.is_forwarded:
            await self._keys.take(event)
        else:
            await super().on_event(event)

    def on_mount(self) -> None:
        # A `kill` puts the terminal in order like leaving does; a lost terminal (SIGHUP) needs none.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)

    def on_ready(self) -> None:
        # The launcher holds it off until something is on the screen.
        if not gc.isenabled():
            gc.freeze()
            gc.enable()

    # Showing.

    def show_run(self, run: RunFolder) -> None:
        """Watches this run."""
        self.watched = run
        self._show_in("watch", _watch(run, self.look_seconds))

    def show_comparison(self, run: RunFolder) -> None:
        """Chooses from this comparison; a run that has nothing to choose from opens on its monitor."""
        if self.has_comparison(run):
            self.watched = run
            self._show_in("compare", _compare(run, self.look_seconds))
        else:
            self.show_run(run)

    @staticmethod
    def has_comparison(run: RunFolder) -> bool:
        """Whether the mode *compare* has something to show of this run, now or before long."""
        from engine.compare.report import report_path

        return run.kind == "compare" and (report_path(run.compare).is_file() or lock_holder(run) is not None)

    def show_runs(self, select: RunFolder | None = None) -> None:
        """The list of runs, the cursor on `select`."""
        from tui.runs_screen import RunsScreen

        self._show_in("watch", RunsScreen(select))

    def show_plan(self) -> None:
        """The mode *plan* as it was left."""
        self.switch_mode("plan")

    def show_drafts(self) -> None:
        """The list of drafts, from which the wizard goes on or begins anew; the welcome where there are none."""
        from tui.drafts_screen import DraftsScreen

        screen = DraftsScreen()
        self._show_in("plan", screen if screen.found else _welcome())

    def show_welcome(self) -> None:
        self._show_in("plan", _welcome())

    def show_journey(self, journey: Journey[Any]) -> None:
        """The wizard at its first step that wants something."""
        self._show_in("plan", journey.screen(journey.first_open()))

    def _show_in(self, mode: str, screen: HouseScreen) -> None:
        """Opens a mode with this screen in it, whatever it showed before; keys wait for it."""
        self._keys.hold()
        self._open_in(mode, screen)

    @work
    async def _open_in(self, mode: str, screen: HouseScreen) -> None:
        try:
            if not self._screen_stacks.get(mode):
                self._modes[mode] = lambda: screen
                await self.switch_mode(mode)
            else:
                await self.switch_mode(mode)
                await self.switch_screen(screen)  # type: ignore[arg-type] - a mode's screen answers with None
        finally:
            await self._keys.release()

    def switch_screen(self, screen: Screen[object] | str) -> AwaitComplete:
        """As App does, also for a mode's first screen: Textual gives that no result callback, and yet takes one off."""
        if not self.screen._result_callbacks:
            self.screen._push_result_callback(self.screen, None)
        return super().switch_screen(screen)

    # Keys and commands.

    def get_key_display(self, binding: Binding) -> str:
        """The name of a key, in letters where there are only those."""
        shown = super().get_key_display(binding)
        return "enter" if self.ascii_only and shown == "⏎" else shown

    def action_leave(self) -> None:
        screen = self.screen
        if not isinstance(screen, HouseScreen) or not (trouble := screen.unsaved()):
            self.exit()
            return
        self.push_screen(
            Choice(f"{trouble[:1].upper()}{trouble[1:]}", [
                Answer("s", "stay", "it is saved by itself as soon as that can be done", None),
                Answer("l", "leave all the same", "what was typed since it was saved is lost", "leave"),
            ]),
            lambda answer: self.exit() if answer == "leave" else None,
        )  # fmt: skip

    def action_help(self) -> None:
        screen = self.screen
        if isinstance(screen, HouseScreen):
            field, own = getattr(screen.focused, "help_text", ""), screen.HELP or ""
            self.push_screen(Help(f"{field}\n\n{own}" if field else own, screen.help_keys()))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        if isinstance(screen, HouseScreen):
            yield from (SystemCommand(*command) for command in screen.commands())
        yield SystemCommand("Runs", "The list of all runs", self.show_runs)
        yield SystemCommand("New LoRA", "Make a plan, step by step", self.show_drafts)
        yield SystemCommand("Help", "What this screen is for, and its keys", self.action_help)
        yield SystemCommand("Theme", "Other colours", self.action_change_theme)
        yield SystemCommand("Leave", "Leave lorasmith; what runs goes on", self.action_leave)

    # Trouble.

    def _handle_exception(self, error: Exception) -> None:
        """Ends the app without a trace on the screen; the launcher says one sentence and writes the rest to the log."""
        self.trouble = self.trouble or error
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        self._exit_renderables.clear()


def _welcome() -> HouseScreen:
    from tui.welcome_screen import WelcomeScreen

    return WelcomeScreen()


def _watch(run: RunFolder | None, look_seconds: float) -> HouseScreen:
    if run is None:
        from tui.runs_screen import RunsScreen

        return RunsScreen()
    from tui.watch.screen import WatchScreen

    return WatchScreen(run, look_seconds=look_seconds)


def _compare(run: RunFolder, look_seconds: float) -> HouseScreen:
    from tui.compare.screen import CompareScreen

    return CompareScreen(run, look_seconds=look_seconds)
