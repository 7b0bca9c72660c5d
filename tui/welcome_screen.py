"""Mode *plan*, its first screen: what lorasmith does and where to begin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.message import Message

from engine.errors import LorasmithError, shown
from engine.runs.folder import RunFolder, home, list_runs
from engine.runs.launch import start_engine
from tui.screen import HouseScreen
from tui.widgets.board import Board, Row

_STEPS = (
    ("pictures", "ten or more of one subject, in a folder"),
    ("captions", "what is in each picture, so that only the subject is learnt"),
    ("training", "goes on without this terminal; you may close it"),
    ("choosing", "not the last file but the best one, by pictures and measures"),
)


class Welcome(Board):
    DEFAULT_CSS = """
    Welcome { height: 1fr; }
    """

    said = ""
    ink = "muted"

    def show(self, said: str, ink: str = "muted") -> None:
        self.said, self.ink = said, ink
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        yield []
        yield [("   lorasmith", "strong")]
        yield [("   From a folder of pictures to the one SDXL LoRA you should use.", "")]
        yield []
        for at, (name, words) in enumerate(_STEPS, 1):
            yield [(f"   {at}  ", "key"), (f"{name:<10}", "strong"), (words, "muted")]
        yield []
        yield [("   n", "key"), ("  make a LoRA, step by step", "strong"), *self._drafts()]
        yield [("   d", "key"), ("  see it work: a demo of a few minutes, no GPU, no download", "")]
        yield [("   l", "key"), ("  the list of runs", ""), *self._runs()]
        yield [("   q", "key"), ("  leave", "")]
        yield []
        yield [("   All of it can be typed in the shell too: lorasmith --help", "muted")]
        yield []
        yield [(f"   {self.said}", self.ink)]

    def _drafts(self) -> Row:
        number = getattr(self.screen, "drafts", 0)
        begun = "one is begun" if number == 1 else f"{number} are begun"
        return [(f"  ({begun})", "muted")] if number else []

    def _runs(self) -> Row:
        number = getattr(self.screen, "runs", 0)
        return [(f"  ({number})", "muted")] if number else [("  (none yet)", "muted")]


class WelcomeScreen(HouseScreen):
    """What there is, and where it begins."""

    HELP = "Where a LoRA begins. The demo shows the whole way on a small model that comes with lorasmith."

    BINDINGS = [
        Binding("n,enter", "new", "new LoRA", tooltip="make a LoRA step by step, or go on with one that is begun"),
        Binding("d", "demo", "demo", tooltip="train the demo: a few minutes, no GPU, no download"),
        Binding("l", "runs", "list", tooltip="the list of all runs"),
    ]

    @dataclass
    class Begun(Message):
        """The demo has begun, or could not."""

        run: RunFolder | None
        trouble: str = ""

    def __init__(self) -> None:
        super().__init__()
        self.runs = len(list_runs())
        self.drafts = sum(1 for _ in (home() / "drafts").glob("[!.]*.toml"))
        self.beginning = False

    def body(self) -> ComposeResult:
        yield Welcome()

    def on_mount(self) -> None:
        self.query_one(Welcome).redraw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if action == "demo" and self.beginning else True

    def action_demo(self) -> None:
        self.beginning = True
        self.refresh_bindings()
        self.query_one(Welcome).show("The demo is being made ready…", "accent")
        self._begin_demo()

    @work(thread=True, group="demo")
    def _begin_demo(self) -> None:
        from tui.commands.train import make_demo

        try:
            run = make_demo()
            start_engine(run, "train")
        except (LorasmithError, OSError) as error:
            self.post_message(self.Begun(None, shown(error)))
        else:
            self.post_message(self.Begun(run))

    def on_welcome_screen_begun(self, message: Begun) -> None:
        self.beginning = False
        self.refresh_bindings()
        if message.run is not None:
            self.query_one(Welcome).show("")
            self.house.show_run(message.run)
        else:
            self.query_one(Welcome).show(message.trouble, "bad")

    def action_new(self) -> None:
        if self.drafts:
            self.house.show_drafts()
        else:
            from tui.steps.wizard import open_wizard

            open_wizard(self.house)

    def action_runs(self) -> None:
        self.house.show_runs()
