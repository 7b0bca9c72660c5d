"""The line of keys at the foot of every screen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from textual.keys import key_to_character
from textual.screen import Screen
from textual.widgets import Input, TextArea

from tui.widgets.board import Board, Row, text_width

if TYPE_CHECKING:
    from tui.screen import HouseScreen

_ALWAYS = {"leave", "help"}  # the others give way to these where there is no room: the help lists them all


class KeyBar(Board):
    """The keys that work now, in the order they were bound; those that wait for an answer or are closed are faint.

    A screen may word one by the moment with `key_label(action)` ("pause" becomes "go on"), and show it faint with
    `key_open(action)` although it still answers: with why it does not do it now.
    """

    DEFAULT_CSS = """
    KeyBar { dock: bottom; height: 1; background: $panel; &:ansi { background: ansi_default; } }
    """

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _: Screen[object]) -> None:
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        screen = cast("HouseScreen", self.screen)
        parts: list[tuple[str, list[tuple[str, str]]]] = []
        told: set[str] = set()
        typing = isinstance(screen.focused, Input | TextArea)
        for _, binding, enabled, _ in screen.active_bindings.values():
            if not binding.show or binding.action in told or (typing and _is_letter(binding.key)):
                continue
            told.add(binding.action)
            key = self.app.get_key_display(binding)
            action = binding.action.removeprefix("screen.").removeprefix("app.")
            words = screen.key_label(action) or binding.description
            enabled = enabled and screen.key_open(action)
            part = [(" ", ""), (key, "key" if enabled else "muted"), (f" {words} ", "plain" if enabled else "muted")]
            parts.append((binding.action, part))
        kept = sum(text_width(part) for action, part in parts if action in _ALWAYS)
        row: list[tuple[str, str]] = []
        for action, part in parts:
            if action in _ALWAYS:
                kept -= text_width(part)
            if text_width(row) + text_width(part) + kept <= width:
                row += part
        yield row


def _is_letter(key: str) -> bool:
    """Whether a text field takes this key for itself."""
    return (key_to_character(key) or "\0").isprintable()
