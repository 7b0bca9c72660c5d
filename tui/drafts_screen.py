"""The list of drafts: which there are, how far each has come, and a new one."""

from __future__ import annotations

import time
from collections.abc import Iterable

from textual.app import ComposeResult
from textual.binding import Binding

from engine.errors import LorasmithError, shown
from tui.draft import Found, Keeper, list_drafts
from tui.screen import HouseScreen
from tui.steps.wizard import WizardJourney, open_wizard, steps
from tui.text import duration, home_path
from tui.watch.boards import wrap
from tui.widgets.board import Board, Row, spread, text_width
from tui.widgets.dialogs import Answer, Choice
from tui.widgets.listing import Listing


class DraftsHead(Board):
    DEFAULT_CSS = """
    DraftsHead { height: 1; background: $panel; &:ansi { background: ansi_default; } }
    """

    def rows(self, width: int, height: int) -> Iterable[Row]:
        return [[(" lorasmith", "strong"), ("  new LoRA", "muted")]]


class AboutDraft(Board):
    """Where the draft under the cursor lies, and what is wrong with it."""

    DEFAULT_CSS = """
    AboutDraft { height: 5; margin-top: 1; }
    """

    said: tuple[tuple[str, str], ...] = ()

    def show(self, *said: tuple[str, str]) -> None:
        self.said = said
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        return [[(f" {line}", ink)] for words, ink in self.said for line in wrap(words, width - 2)]


class DraftsScreen(HouseScreen):
    """Every draft; enter goes on with one, n makes a new one."""

    HELP = (
        "A draft is a LoRA that is being prepared: its plan as a file, saved with every change. Go on with one, or "
        "begin another. A draft that was started stays, so that you can change a thing and train again."
    )

    BINDINGS = [
        Binding("n", "new", "new LoRA", tooltip="begin a new draft"),
        Binding("x", "delete", "delete", tooltip="delete the draft under the cursor, after a question"),
        Binding("l", "runs", "runs", tooltip="the list of all runs"),
        Binding("b,escape", "back", "back", tooltip="back to the welcome"),
    ]

    DEFAULT_CSS = """
    DraftsScreen Listing { margin-top: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.found = list_drafts()
        self.steps = steps()

    def body(self) -> ComposeResult:
        yield DraftsHead()
        yield Listing(self._line, leaves=False, takes="go on")
        yield AboutDraft()

    def on_mount(self) -> None:
        self.fill()
        self.set_focus(self.query_one(Listing))

    def fill(self) -> None:
        self.query_one(Listing).fill(len(self.found) + 1)
        self.tell()

    @property
    def here(self) -> Found | None:
        at = self.query_one(Listing).at
        return self.found[at] if at < len(self.found) else None

    def _line(self, at: int, here: bool, width: int) -> Row:
        mark = (" ▸ " if here else "   ", "accent")
        if at == len(self.found):
            return [mark, ("a new LoRA", "strong" if here else "plain")]
        one = self.found[at]
        name = shown(one.name)
        room = 26
        name = name if text_width([(name, "")]) <= room else wrap(name, room - 1)[0] + "…"
        left = [mark, (name + " " * (room - text_width([(name, "")])), "strong" if here else "plain")]
        if one.draft is None:
            left.append(("✗ cannot be read", "bad"))
        else:
            journey = WizardJourney(one.draft, self.steps, save=lambda draft: None)
            step = journey.first_open()
            state = f"started as {shown(one.draft.started[-1])}" if one.draft.started else (
                f"at {step + 1} {self.steps[step].title}")  # fmt: skip
            left += [(f"{one.draft.plan.subject.kind:<11}", "muted"), (state, "good" if one.draft.started else "plain")]
        return spread(left, [(f"{duration(time.time() - one.changed)} ago ", "muted")], width)

    def tell(self) -> None:
        one, about = self.here, self.query_one(AboutDraft)
        if one is None:
            about.show(("Begins a new draft: seven short steps from a folder of pictures to a training.", "muted"))
        else:
            about.show((home_path(one.path), "muted"), *([(one.trouble, "bad")] if one.trouble else []))
        self.refresh_bindings()

    def key_open(self, action: str) -> bool:
        return action != "take" or self.here is None or not self.here.trouble

    def key_label(self, action: str) -> str | None:
        return ("go on" if self.here is not None else "begin") if action == "take" else None

    def on_listing_moved(self, _: Listing.Moved) -> None:
        self.tell()

    def on_listing_taken(self, _: Listing.Taken) -> None:
        self.open()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.here is not None if action == "delete" and self.is_mounted else True

    def open(self) -> None:
        one = self.here
        if one is None:
            self.action_new()
            return
        try:
            open_wizard(self.house, one.path)
        except LorasmithError as error:
            self.query_one(AboutDraft).show((home_path(one.path), "muted"), (str(error).splitlines()[0], "bad"))

    def action_new(self) -> None:
        open_wizard(self.house)

    def action_runs(self) -> None:
        self.house.show_runs()

    def action_back(self) -> None:
        self.house.show_welcome()

    def action_delete(self) -> None:
        one = self.here
        if one is None:
            return
        question = f"Delete the draft {shown(one.name)}? Pictures and runs stay as they are."
        answers = [
            Answer("n", "keep it", "nothing changes", None),
            Answer("y", "delete it", "its file is removed", "y"),
        ]

        def answered(answer: str | None) -> None:
            if answer == "y":
                Keeper(one.path).delete()
                self.found = list_drafts()
                self.fill()

        self.app.push_screen(Choice(question, answers), answered)
