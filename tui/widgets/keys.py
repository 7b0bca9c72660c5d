"""The line of keys at the foot of every screen."""

from __future__ import annotations

from collections.abc import Iterable

from textual.screen import Screen

from tui.widgets.board import Board, Row, text_width


class KeyBar(Board):
    """The keys that work now, in the order they were bound; those that wait for an answer or are closed are faint.

    A screen may word one by the moment with `key_label(action)`: "pause" becomes "go on".
    """

    DEFAULT_CSS = """
    KeyBar { dock: bottom; height: 1; background: $panel; &:ansi { background: ansi_default; } }
    """

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _: Screen[object]) -> None:
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        label = getattr(self.screen, "key_label", lambda action: None)
        row: list[tuple[str, str]] = []
        told: set[str] = set()
        for _, binding, enabled, _ in self.screen.active_bindings.values():
            if not binding.show or binding.action in told:
                continue
            told.add(binding.action)
            key = self.app.get_key_display(binding)
            words = label(binding.action.removeprefix("screen.").removeprefix("app.")) or binding.description
            part = [(" ", ""), (key, "key" if enabled else "muted"), (f" {words} ", "plain" if enabled else "muted")]
            if text_width(row) + text_width(part) <= width:
                row += part
        yield row
