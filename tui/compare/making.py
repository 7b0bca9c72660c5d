"""Making one of them the LoRA: asks for name and place, says what will be written, has it written, tells how to fetch
it."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input

from engine.compare.beside import BESIDE, LORA, name_trouble
from engine.compare.report import At
from engine.errors import LorasmithError, shown
from engine.runs.folder import RunFolder, home
from tui.compare.asking import ask_engine
from tui.compare.compared import Compared, fetch_line
from tui.steps.form import FormField, Line, PathField, Said
from tui.text import home_path

if TYPE_CHECKING:
    from tui.compare.screen import CompareScreen


@dataclass(frozen=True)
class Wanted:
    """What a person asked for: a folder of None is where LoRAs are kept."""

    at: At
    name: str
    folder: Path | None


@dataclass(frozen=True)
class Made:
    """What was written, for the last window."""

    file: Path
    name: str
    trigger: str
    weight: float
    notes: tuple[str, ...]


_WINDOW = """
    NAME { align: center middle; }
    NAME > Vertical {
        width: 80; height: auto; max-height: 100%; padding: 0 1; background: $surface; border: round $primary;
        &:ansi { border: round ansi_blue; background: ansi_default; }
    }
"""


class MakeLora(ModalScreen[Made | None]):
    """Asks and writes; `escape` leaves all as it is (None)."""

    DEFAULT_CSS = _WINDOW.replace("NAME", "MakeLora") + """
    MakeLora #asks { height: 2; margin-bottom: 1; }
    MakeLora #says { height: 8; margin-top: 1; }
    """

    BINDINGS = [
        Binding("escape", "leave", show=False),
        Binding("enter", "write", show=False, priority=True),
    ]

    @dataclass
    class Done(Message):
        """The engine has written it, or could not."""

        made: Made | None
        trouble: str = ""

    def __init__(self, run: RunFolder, seen: Compared, at: At) -> None:
        super().__init__()
        self.run, self.seen, self.at = run, seen, at
        self.writing = False

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Said(id="asks", indent=0)
            yield Line("Name", FormField(name_for(self.seen, self.at), id="name"))
            folder = PathField(home_path(home() / "loras"), id="folder", placeholder="a path; tab completes it")
            yield Line("Folder", folder)
            yield Line("Weight", FormField(f"{self.weight:g}", id="weight"))
            yield Said(id="says", indent=0)

    @property
    def weight(self) -> float:
        """The weight to use it at: the recommended one where this is the choice."""
        use = self.seen.weight
        return use[1] if use is not None and use[0] == self.at[0] and self.at[1] == 1.0 else self.at[1]

    def on_mount(self) -> None:
        choice = self.seen.choice
        name = self.seen.name((self.at[0], 1.0))
        other = choice is not None and choice[0] != self.at[0]
        words = f"Make {name} your LoRA?"
        if other and choice is not None:
            words += f" The comparison recommends {self.seen.name((choice[0], 1.0))}; yours is the say."
        self.query_one("#asks", Said).show((words, "strong"))
        self.query_one("#name").focus()
        self._say()

    def on_input_changed(self, _: Input.Changed) -> None:
        self._say()

    def _say(self, trouble: str = "") -> None:
        if self.writing:
            self.query_one("#says", Said).show(("It is being written…", "accent"))
            return
        wanted, wrong = self._wanted()
        parts: list[tuple[str, str]] = []
        if wanted is not None:
            folder = wanted.folder or home() / "loras"
            beside = ", ".join(f"{ending} ({what})" for what, ending in BESIDE.items())
            parts.append((f"Writes {home_path(folder / f'{wanted.name}.safetensors')}", "plain"))
            parts.append((f"and beside it, under the same name: {beside}.", "muted"))
        parts += [(trouble or wrong, "bad")] if trouble or wrong else []
        keys = "escape leaves all as it is." if wrong else "enter writes it, escape leaves all as it is."
        self.query_one("#says", Said).show(*parts, (keys, "muted"))

    def _wanted(self) -> tuple[Wanted | None, str]:
        """What was typed, and what is wrong with it."""
        name = self.query_one("#name", Input).value.strip().removesuffix(LORA)
        typed = self.query_one("#folder", Input).value.strip()
        if not name:
            return None, "Give it a name."
        trouble = name_trouble(name)
        if trouble:
            return None, trouble
        own = not typed or typed == home_path(home() / "loras")
        folder = home() / "loras" if own else Path(typed).expanduser().absolute()
        try:
            weight = float(self.query_one("#weight", Input).value.strip().replace(",", "."))
        except ValueError:
            weight = float("nan")
        if not 0 < weight <= 2:
            return None, "The weight to use it at is a number above 0 and up to 2, such as 0.8."
        wanted = Wanted((self.at[0], weight), name, None if own else folder)
        if not own and not folder.is_dir():
            return wanted, f"There is no folder {shown(folder)}: make it first, or choose another."
        taken = next((one for one in (LORA, *BESIDE.values()) if (folder / f"{name}{one}").exists()), None)
        if taken is not None:
            return wanted, f"{shown(name + taken)} is there already and is not overwritten: give it another name."
        return wanted, ""

    def action_leave(self) -> None:
        if not self.writing:
            self.dismiss(None)

    def action_write(self) -> None:
        wanted, wrong = self._wanted()
        if wanted is None or wrong or self.writing:
            self._say()
            return
        self.writing = True
        self._say()
        threading.Thread(target=self._write, args=(wanted,), daemon=True, name="choose").start()

    def _write(self, wanted: Wanted) -> None:
        place = [f"--to={wanted.folder}"] if wanted.folder is not None else []
        try:
            said = ask_engine(
                "choose", self.run.compare, "--epoch", str(wanted.at[0]), "--weight", f"{wanted.at[1]:g}",
                f"--name={wanted.name}", *place, "--json",
            )  # fmt: skip
            self.post_message(self.Done(made_of(said)))
        except LorasmithError as error:
            self.post_message(self.Done(None, shown(error)))

    def on_make_lora_done(self, message: Done) -> None:
        self.writing = False
        if message.made is not None:
            self.dismiss(message.made)
        else:
            self._say(message.trouble)


class Written(ModalScreen[None]):
    """What was written, how to use it, and the line that fetches it."""

    DEFAULT_CSS = _WINDOW.replace("NAME", "Written") + """
    Written #says { height: 14; }
    """

    BINDINGS = [Binding("escape,enter,q", "dismiss(None)", show=False)]

    def __init__(self, made: Made) -> None:
        super().__init__()
        self.made = made

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Said(id="says", indent=0)

    def on_mount(self) -> None:
        made = self.made
        words = f"Trigger words: {shown(made.trigger)}. " if made.trigger else "It has no trigger words. "
        self.query_one("#says", Said).show(
            (f"Your LoRA: {home_path(made.file)}", "good"),
            (f"{words}Use it at weight {made.weight:g}.", "plain"),
            *((shown(note), "warn") for note in made.notes),
            ("", ""),
            ("To fetch it with all that belongs to it, type on your own computer:", "plain"),
            (fetch_line(made.file), "strong"),
            ("", ""),
            ("The line is printed again when you leave lorasmith, to be copied. enter goes back.", "muted"),
        )  # fmt: skip


def name_for(seen: Compared, at: At) -> str:
    """The name that is offered: the plan's, or the checkpoint's file's."""
    from engine.compare.choice import find_choice

    try:
        return shown(find_choice(seen.folder, at[0]).title)
    except LorasmithError:
        return shown(seen.report.name.removesuffix("-compare"))


def made_of(said: str) -> Made:
    """What `choose --json` printed. LorasmithError where it cannot be understood."""
    try:
        told = json.loads(said)
        notes = tuple(str(note) for note in told.get("notes", ()))
        return Made(Path(told["file"]), str(told["name"]), str(told["trigger"]), float(told["weight"]), notes)
    except (ValueError, KeyError, TypeError) as error:
        raise LorasmithError(f"It was written, but what was said of it is not understood ({shown(error)}).") from None


def make(screen: CompareScreen, seen: Compared, at: At) -> None:
    """Opens the window; after it was written, the one that says so."""

    def done(made: Made | None) -> None:
        if made is not None:
            screen.app.push_screen(Written(made))

    screen.app.push_screen(MakeLora(screen.run, seen, at), done)
