"""The field a caption is edited in: plain text, wrapped, its keys for going on to the next."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from rich.text import Text
from textual.binding import Binding
from textual.message import Message
from textual.widgets import TextArea


class CaptionArea(TextArea):
    """Enter is done with this one, page up and page down go on to another while one types; ctrl+z takes back."""

    DEFAULT_CSS = """
    CaptionArea { height: 6; border: none; padding: 0 1; background: $panel; &:ansi { background: ansi_default; } }
    """

    BINDINGS = [
        Binding("enter", "done(0)", show=False, priority=True),
        Binding("pageup", "done(-1)", show=False, priority=True),
        Binding("pagedown", "done(1)", show=False, priority=True),
    ]

    @dataclass
    class Done(Message):
        """The person goes on: by so many pictures, 0 = back to the list."""

        by: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, highlight_cursor_line=False, max_checkpoints=200)
        self.cursor_blink = False  # half a kilobyte a second
        self.help_text = (
            "The caption of the picture beside it. Enter writes it, page down writes it and goes to the next, ctrl+z "
            "takes letters back. It is written when you leave the field; u in the list takes that back."
        )

    def get_line(self, line_index: int) -> Text:
        """What is pasted may hold codes that a terminal obeys: these are shown as points."""
        text = self.document.get_line(line_index)
        if not text.isprintable():
            text = "".join("·" if unicodedata.category(char) == "Cc" and char != "\t" else char for char in text)
        return Text(text, end="", no_wrap=True)

    def action_done(self, by: int) -> None:
        self.post_message(self.Done(by))
