"""The window before the look-alike search: what it does, which names, and the person's word that it is right."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from engine.errors import LorasmithError
from engine.lookalike.consent import EXPLANATION, QUESTION, confirmed
from engine.lookalike.names import NameList, read_names, shipped_names
from tui.steps.form import FormField, Line, PathField, Said
from tui.text import count, typed_path


@dataclass(frozen=True)
class Permitted:
    """The names to draw, and the record of what was confirmed ("" where no face is looked at)."""

    names: NameList
    path: str
    permission: str = ""


class Permission(ModalScreen[Permitted | None]):
    """Asks for names and, where faces are looked at, for a typed yes; `escape` leaves all as it is (None)."""

    DEFAULT_CSS = """
    Permission { align: center middle; }
    Permission > Vertical {
        width: 80; height: auto; max-height: 100%; padding: 0 1; background: $surface; border: round $primary;
        &:ansi { border: round ansi_blue; background: ansi_default; }
    }
    Permission VerticalScroll { height: auto; max-height: 14; scrollbar-size-vertical: 1; }
    Permission Static { height: auto; margin-bottom: 1; }
    Permission #question { margin: 0; text-style: bold; }
    Permission #says { height: 2; }
    """

    BINDINGS = [
        Binding("escape", "dismiss(None)", show=False),
        Binding("enter", "begin", show=False, priority=True),
    ]

    def __init__(self, *, faces: bool, pictures: str, names: str = "") -> None:
        """`pictures` says how many are to be drawn, `names` is the file that was named before."""
        super().__init__()
        self.faces, self.pictures, self.names = faces, pictures, names

    def compose(self) -> ComposeResult:
        place = "empty: the list that travels with lorasmith" if self.faces else "a text file of words, one a line"
        with Vertical():
            if self.faces:
                with VerticalScroll(can_focus=False):
                    for paragraph in EXPLANATION:
                        yield Static(paragraph, markup=False)
            else:
                said = f"Your base draws each word of a list; the pictures most like yours are shown. {self.pictures}"
                yield Static(said, markup=False)
            yield Line("Names", PathField(self.names, id="names", suffixes=(".txt",), placeholder=place))
            if self.faces:
                yield Static(QUESTION, id="question", markup=False)
                yield Line("Type yes", FormField(id="yes"))
            yield Said(id="says", indent=0)

    def on_mount(self) -> None:
        self._say("")
        self.query_one("#yes" if self.faces else "#names").focus()

    def _say(self, trouble: str) -> None:
        said = f"{self.pictures} enter begins, escape leaves all as it is." if self.faces else (
            "enter begins, escape leaves all as it is."
        )  # fmt: skip
        self.query_one("#says", Said).show((trouble, "bad") if trouble else (said, "muted"))

    def action_begin(self) -> None:
        named = self.query_one("#names", Input).value.strip()
        if not named and not self.faces:
            self._say("Name a file of words: the list that travels with lorasmith holds people.")
            return
        if self.faces and self.query_one("#yes", Input).value.strip().casefold() != "yes":
            self._say("Nothing is looked at before you have typed yes; escape leaves it be.")
            self.query_one("#yes").focus()
            return
        try:
            names = read_names(typed_path(named) if named else shipped_names())
        except LorasmithError as error:
            self._say(str(error))
            return
        self.dismiss(Permitted(names, named, confirmed("typed yes") if self.faces else ""))


def drawing_words(pictures: int) -> str:
    """How much a search draws at most."""
    return f"At most {count(pictures, 'picture')} to draw; what was drawn before is reused."
