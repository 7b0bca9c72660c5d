"""A list that is moved through by keys and drawn from what is in sight: ten thousand lines cost what twenty do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from textual.binding import Binding
from textual.message import Message

from tui.widgets.board import Board, Row

Draw = Callable[[int, bool, int], Row]
"""A line of the list: its number, whether the cursor is on it, the columns there are."""


class Listing(Board, can_focus=True):
    """Lines with a cursor. `stops` are the numbers of the lines the cursor may stand on (None: all).

    Up from the first line and down from the last go to the field before and after, as in a form.
    """

    BINDINGS = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "move(-1000000)", show=False),
        Binding("end", "move(1000000)", show=False),
        Binding("enter", "take", "take"),
    ]

    DEFAULT_CSS = """
    Listing { height: 1fr; width: 1fr; }
    """

    @dataclass
    class Moved(Message):
        """The cursor stands on another line."""

        listing: Listing
        at: int

        @property
        def control(self) -> Listing:
            return self.listing

    @dataclass
    class Taken(Message):
        """Enter was pressed on a line."""

        listing: Listing
        at: int

        @property
        def control(self) -> Listing:
            return self.listing

    def __init__(
        self,
        draw: Draw,
        *,
        id: str | None = None,
        classes: str | None = None,
        help_text: str = "",
        leaves: bool = True,
        takes: str = "",
    ) -> None:
        """`takes` is the word for what enter does, shown at the foot by the screen's `key_label`; "" = nothing."""
        super().__init__(id=id, classes=classes)
        self.draw_line = draw
        self.count = 0
        self.at = 0
        self.top = 0
        self.stops: Sequence[int] | None = None
        self.help_text = help_text
        self.leaves = leaves
        self.takes = takes

    def fill(self, count: int, *, stops: Sequence[int] | None = None, at: int | None = None) -> None:
        """Says how many lines there are, and where the cursor may stand; it stays where it was as far as it can."""
        self.count, self.stops = count, stops
        self.at = self._nearest(self.at if at is None else at)
        self.redraw()

    def go(self, at: int) -> None:
        """Puts the cursor on a line without telling anybody."""
        self.at = self._nearest(at)
        self.redraw()

    def _places(self) -> Sequence[int]:
        return range(self.count) if self.stops is None else self.stops

    def _nearest(self, at: int) -> int:
        places = self._places()
        return min(places, key=lambda place: abs(place - at)) if self.stops is not None and places else max(
            0, min(at, self.count - 1)
        )

    def rows(self, width: int, height: int) -> Iterable[Row]:
        if self.at < self.top:
            # A heading above the first line one can stand on is shown with it.
            first = next(iter(self._places()), 0)
            self.top = 0 if self.at <= first else self.at
        elif self.at >= self.top + height:
            self.top = self.at - height + 1
        if self.stops and self.at == self.stops[-1]:
            # What belongs to the last line one can stand on is shown with it.
            self.top = min(self.at, max(self.top, self.count - height))
        self.top = max(0, min(self.top, self.count - height))
        for at in range(self.top, min(self.count, self.top + height)):
            yield self.draw_line(at, at == self.at and self.shows_cursor, width)

    @property
    def shows_cursor(self) -> bool:
        return True

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    def line_at(self, at: int) -> int:
        """Which of the widget's lines shows this one; it may lie outside."""
        return at - self.top

    def action_move(self, by: int) -> None:
        places = self._places()
        if not places:
            self._leave(by)
            return
        if self.stops is None:
            target = max(0, min(self.at + by, self.count - 1))
        else:
            here = places.index(self.at) if self.at in places else 0
            target = places[max(0, min(here + by, len(places) - 1))]
        if target == self.at:
            self._leave(by)
            return
        self.at = target
        self.redraw()
        self.post_message(self.Moved(self, target))

    def _leave(self, by: int) -> None:
        if self.leaves and abs(by) == 1:
            (self.screen.focus_next if by > 0 else self.screen.focus_previous)()

    def action_page(self, by: int) -> None:
        self.action_move(by * max(1, self.size.height - 1))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self.takes) if action == "take" else True

    def action_take(self) -> None:
        if self.count:
            self.post_message(self.Taken(self, self.at))
