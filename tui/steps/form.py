"""The rows of a form: a word at the left, the field at the right, and a mark at the one that has the keys."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.suggester import Suggester
from textual.widget import Widget

from tui.steps.step import Field
from tui.watch.boards import wrap
from tui.widgets.board import Board, Row

LABEL = 13  # columns of the words at the left
_MOST_ENTRIES = 20_000  # of one folder that completion looks through


class Label(Board):
    DEFAULT_CSS = f"""
    Label {{ width: {LABEL}; height: 1; }}
    """

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words

    def rows(self, width: int, height: int) -> Iterable[Row]:
        here = self.parent is not None and isinstance(self.parent, Line) and self.parent.has_keys
        yield [("▸" if here else " ", "accent"), (self.words, "strong" if here else "muted")]


class Line(Horizontal):
    """A word and what it names."""

    DEFAULT_CSS = """
    Line { height: auto; }
    Line > Input { width: 1fr; }
    """

    def __init__(self, words: str, *fields: Widget, id: str | None = None) -> None:
        super().__init__(id=id)
        self.label = Label(words)
        self.fields = fields

    def compose(self) -> ComposeResult:
        yield self.label
        yield from self.fields

    @property
    def has_keys(self) -> bool:
        focused = self.screen.focused
        return focused is not None and any(focused is field for field in self.fields)

    def on_descendant_focus(self) -> None:
        self.label.redraw()

    def on_descendant_blur(self) -> None:
        self.label.redraw()


class Said(Board):
    """Sentences in a form, in as many lines as its style gives it; inks are the board's."""

    DEFAULT_CSS = """
    Said { height: 1; width: 1fr; }
    """

    def __init__(self, *, id: str | None = None, indent: int = LABEL) -> None:
        super().__init__(id=id)
        self.parts: tuple[tuple[str, str], ...] = ()
        self.indent = indent

    def show(self, *parts: tuple[str, str]) -> None:
        """(sentence, ink) one below the other; what does not fit is cut."""
        self.parts = parts
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        for words, ink in self.parts:
            for line in wrap(words, max(20, width - self.indent - 1)):
                yield [(" " * self.indent, ""), (line, ink)]


class FormField(Field):
    """A field of a form: up, down and enter go to its neighbours."""

    BINDINGS = [
        Binding("up", "app.focus_previous", show=False),
        Binding("down,enter", "app.focus_next", show=False),
    ]


class PathField(FormField):
    """A path with completion: the rest stands faintly behind what is typed, tab or the right arrow takes it."""

    BINDINGS = [Binding("tab", "complete", show=False)]

    def __init__(self, value: str = "", *, suffixes: tuple[str, ...] = (), help_text: str = "", id: str | None = None,
                 placeholder: str = "") -> None:  # fmt: skip
        super().__init__(value, help_text=help_text, id=id, placeholder=placeholder)
        self.suggester = PathSuggester(suffixes)

    def action_complete(self) -> None:
        suggestion = self._suggestion
        if suggestion and suggestion != self.value and self.cursor_at_end:
            self.action_cursor_right()
        else:
            self.screen.focus_next()


class PathSuggester(Suggester):
    """The first folder (or file of these endings) whose path begins as the text does; `~` is the home folder."""

    def __init__(self, suffixes: tuple[str, ...] = ()) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.suffixes = suffixes

    async def get_suggestion(self, value: str) -> str | None:
        if not value.startswith(("/", "~", ".")):
            return None
        return await asyncio.to_thread(complete, value, self.suffixes)


def complete(value: str, suffixes: tuple[str, ...] = ()) -> str | None:
    """The path that a beginning most likely means; None where nothing begins so."""
    if value == "~":
        return "~/"
    folder, _, beginning = value.rpartition("/")
    names = []
    try:
        with os.scandir(Path(folder + "/").expanduser()) as listing:
            for _, entry in zip(range(_MOST_ENTRIES), listing, strict=False):
                name = entry.name
                if not name.startswith(beginning) or (name.startswith(".") and not beginning.startswith(".")):
                    continue
                if entry.is_dir():
                    names.append(name + "/")
                elif name.lower().endswith(suffixes or ("\0",)):
                    names.append(name)
    except (OSError, RuntimeError, ValueError):
        return None
    names = [name for name in names if name.isprintable()]
    return f"{folder}/{min(names)}" if names else None
