"""The table of everything as it is seen: a filter, the lines, and what is said of the one under the cursor."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from engine.errors import shown
from tui.draft import Draft
from tui.steps.form import Said
from tui.steps.step import Field
from tui.steps.table import TableRow, about, reset, stepped, table_rows, text_in, with_text
from tui.widgets.board import Row
from tui.widgets.listing import Listing

_NAME, _VALUE = 30, 15  # columns of the label and of the value
_LEFT = 3  # of the cursor and the star


class Editor(Field):
    """The field in which a value is typed, over its place in the table."""

    DEFAULT_CSS = """
    Editor { layer: above; position: absolute; display: none; width: 34; }
    Editor.-open { display: block; }
    """

    BINDINGS = [
        Binding("enter", "accept", show=False),
        Binding("up,down,tab,shift+tab", "accept", show=False),
    ]

    def action_accept(self) -> None:
        assert isinstance(self.parent, ParameterTable)
        self.parent.accept()


class ParameterTable(Vertical):
    """Shows a draft's values and tells the screen when one was changed."""

    DEFAULT_CSS = """
    ParameterTable { height: 1fr; layers: base above; }
    ParameterTable #filter { display: none; margin: 0 1; }
    ParameterTable.-filtering #filter { display: block; }
    ParameterTable #lines { height: 1fr; min-height: 6; }
    ParameterTable #about { height: 7; margin-top: 1; }
    ParameterTable #takes { height: 1; }
    """

    BINDINGS = [
        Binding("left", "step(-1)", show=False, tooltip="the table: the choice before"),
        Binding("right,space", "step(1)", show=False, tooltip="the table: the next choice"),
        Binding("delete,backspace", "reset", show=False),
    ]

    @dataclass
    class Changed(Message):
        """A value was changed, or typed as far as it goes."""

        draft: Draft

    def __init__(self) -> None:
        super().__init__()
        self.draft = Draft()
        self.lines: list[TableRow] = []
        self.wanted = ""
        self.editing = ""

    def compose(self) -> ComposeResult:
        yield Field(id="filter", placeholder="type a part of its name or meaning; changed shows your own")
        yield Listing(self._line, id="lines", leaves=False, takes="change")
        yield Said(id="about", indent=1)
        yield Said(id="takes", indent=1)
        yield Editor(id="editor")

    @property
    def listing(self) -> Listing:
        return self.query_one("#lines", Listing)

    @property
    def editor(self) -> Editor:
        return self.query_one("#editor", Editor)

    @property
    def here(self) -> str:
        """The key under the cursor; "" where the filter leaves nothing."""
        return self.lines[self.listing.at].key if self.listing.at < len(self.lines) else ""

    def begin(self) -> None:
        self.screen.set_focus(self.listing)

    def show(self, draft: Draft, takes: str) -> None:
        """Draws the draft's values; `takes` is the line of figures."""
        here = self.here if self.lines else ""
        self.draft = draft
        self.lines = table_rows(draft, self.wanted)
        stops = [at for at, line in enumerate(self.lines) if line.key]
        at = next((at for at in stops if self.lines[at].key == here), None)
        self.listing.fill(len(self.lines), stops=stops, at=at if at is not None else (stops[0] if stops else 0))
        self.query_one("#takes", Said).show((takes, "accent"))
        self._tell()

    def _line(self, at: int, here: bool, width: int) -> Row:
        row = self.lines[at]
        if not row.key:
            return [(f" {row.label}", "accent")]
        star = "!" if row.trouble else "*" if row.changed else " "
        value = shown(row.value)
        value = value if len(value) < _VALUE else value[: _VALUE - 2] + "…"
        return [
            ("▸" if here else " ", "accent"), (f"{star} ", "bad" if row.trouble else "warn"),
            (f"{row.label:<{_NAME}}", "strong" if here else "plain"),
            (f"{value:<{_VALUE}}", "bad" if row.trouble else "warn" if row.changed else "strong"), (row.short, "muted"),
        ]  # fmt: skip

    def _tell(self) -> None:
        said = self.query_one("#about", Said)
        key = self.here
        if not key:
            said.show((f"Nothing is called {shown(self.wanted)}: / changes what is looked for.", "warn"))
            return
        trouble = next((line.trouble for line in self.lines if line.key == key), "")
        parts = [(trouble, "bad")] if trouble else []
        for word, words in about(key):
            parts.append((f"{word}: {words}" if word else words, "plain" if word else "strong"))
        said.show(*parts)

    # Moving, filtering.

    def on_listing_moved(self, _: Listing.Moved) -> None:
        self._tell()

    def filter(self) -> None:
        self.add_class("-filtering")
        self.screen.set_focus(self.query_one("#filter"))

    def leave_field(self) -> None:
        """Out of the editor or the filter; an empty filter goes away."""
        if self.editing:
            self.accept()
            return
        self.set_class(bool(self.wanted), "-filtering")
        self.begin()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.leave_field()

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "filter":
            self.wanted = event.value
            self.show(self.draft, self.query_one("#takes", Said).parts[0][0])
        elif self.editing:
            draft, _ = with_text(self.draft, self.editing, event.value)
            if draft != self.draft:
                self.post_message(self.Changed(draft))

    # Changing.

    def on_listing_taken(self, _: Listing.Taken) -> None:
        if not self.here:
            return
        if self.here not in self.draft.typed and (draft := stepped(self.draft, self.here, 1)) is not None:
            self.post_message(self.Changed(draft))
        else:
            self._edit()

    def action_step(self, by: int) -> None:
        if self.here and (draft := stepped(self.draft, self.here, by)) is not None:
            self.post_message(self.Changed(draft))

    def action_reset(self) -> None:
        self.reset()

    def reset(self) -> None:
        if self.here:
            self.post_message(self.Changed(reset(self.draft, self.here)))

    def _edit(self) -> None:
        """Opens the editor over the value's place."""
        self.editing = self.here
        editor = self.editor
        text = text_in(self.draft, self.editing)
        wide = max(16, min(self.size.width - _LEFT - _NAME - 1, max(20, len(text) + 4)))
        listing = self.listing
        editor.styles.width = wide
        editor.styles.offset = (_LEFT + _NAME - 1, listing.region.y - self.region.y + listing.line_at(listing.at))
        editor.value = text
        editor.add_class("-open")
        self.screen.set_focus(editor)
        editor.cursor_position = len(text)

    def accept(self) -> None:
        """Closes the editor; what was typed has been taken over, or is kept as it was typed."""
        self.editing = ""
        self.editor.remove_class("-open")
        self.begin()
