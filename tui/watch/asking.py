"""What a person asks of a run's engine with the keys of the monitor, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual import work
from textual.binding import Binding
from textual.message import Message
from textual.timer import Timer

from engine.errors import LorasmithError, shown
from engine.runs.control import request
from engine.runs.folder import RunFolder
from engine.runs.launch import start_engine
from tui.screen import HouseScreen
from tui.telling import unit_of
from tui.watch.boards import Words
from tui.watch.reading import SAVING
from tui.watch.requests import Requests
from tui.watch.story import Seen
from tui.widgets.board import text_width
from tui.widgets.dialogs import Answer, Choice

_REQUESTS = {"save", "sample", "pause", "stop", "start"}
_ASKED = {
    "save": "Asked it to save; it does so at the end of the {unit} it is in.",
    "sample": "Asked for sample pictures; it draws them after the {unit} it is in.",
    "pause": "Asked it to pause; it holds before the next {unit} and keeps its memory.",
    "resume": "Asked it to go on.",
    "stop": "Asked it to stop.",
}
_SAID_SECONDS = 8.0


class AskingScreen(HouseScreen):
    """A screen of one run with a line `#said` below: a request is faint from the asking to the answer."""

    BINDINGS = [
        Binding("s", "save", "save", tooltip="save a state and a checkpoint now"),
        Binding("d", "sample", "draw", tooltip="draw the sample pictures now"),
        Binding("p", "pause", "pause", tooltip="hold it between two steps, or let it go on"),
        Binding("x", "stop", "stop", tooltip="stop it, after saving or at once"),
        Binding("r", "start", "resume", tooltip="start a run again that is not running"),
    ]

    @dataclass
    class Answered(Message):
        """A request was left for the engine, or could not be: `trouble` then says why."""

        verb: str
        trouble: str

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder = folder
        self.seen: Seen | None = None
        self.requests = Requests()
        self._saying: Timer | None = None

    def draw(self) -> None:
        """Shows what was last seen; override."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A request is open while the run can hear it; it is faint from the asking to the answer."""
        if action not in _REQUESTS:
            return super().check_action(action, parameters)
        if self.seen is None:
            return None
        status, alive = self.seen.summary.status, self.seen.summary.alive
        if action == "start":
            return not alive and status != "finished"
        if not alive or (action in {"save", "sample"} and self.seen.summary.kind not in SAVING):
            return False
        if action == "pause" and self.requests.since("resume"):
            return None
        waits = self.requests.since(action) is not None
        return None if waits or status == "stopping" else True

    def key_label(self, action: str) -> str | None:
        paused = self.seen is not None and self.seen.summary.status == "paused"
        if action == "pause" and paused:
            return "go on"
        if action == "start" and self.seen is not None and self.seen.summary.status == "new":
            return "start"
        waiting = {"save": "saving", "sample": "drawing", "pause": "pausing", "stop": "stopping", "start": "starting"}
        return f"{waiting[action]}…" if action in waiting and self.requests.since(action) else None

    def action_save(self) -> None:
        self._ask("save")

    def action_sample(self) -> None:
        self._ask("sample")

    def action_pause(self) -> None:
        paused = self.seen is not None and self.seen.summary.status == "paused"
        self._ask("resume" if paused else "pause")

    @work
    async def action_stop(self) -> None:
        """Asks how: nothing is lost by stopping after saving, and up to the last state by stopping at once."""
        saves = self.folder.kind in SAVING
        answer = await self.app.push_screen_wait(
            Choice(
                f"Stop {shown(self.folder.name)}? It can be resumed later.",
                [
                    Answer("s", "save, then stop", "nothing is lost", "save") if saves else
                    Answer("s", "stop", "after what it has in hand; nothing is lost", "save"),
                    Answer("o", "stop at once", "what came after the last saved state is lost", "now") if saves else
                    Answer("o", "stop at once", "what it has in hand is done again; the rest is kept", "now"),
                    Answer("b", "back", "it goes on", None),
                ],
            )
        )
        if answer is not None:
            self._ask("stop", now=answer == "now")

    def action_start(self) -> None:
        self._say("Starting it…")
        self.requests.asked("start")
        self.refresh_bindings()
        self._start()

    def _ask(self, verb: str, **payload: object) -> None:
        self.requests.asked(verb)
        self.refresh_bindings()
        unit = unit_of(self.seen.summary.kind) if self.seen is not None else "step"
        self._say(_ASKED[verb].format(unit=unit))
        self._leave_request(verb, payload)

    @work(thread=True, group="requests")
    def _leave_request(self, verb: str, payload: dict[str, object]) -> None:
        def leave() -> None:
            if verb == "sample":
                from tui.commands.control import check_prompts

                check_prompts(self.folder)
            request(self.folder, verb, **payload)

        self._try(verb, leave)

    @work(thread=True, group="requests")
    def _start(self) -> None:
        from tui.commands.control import processes_of

        kind = self.folder.kind
        self._try("start", lambda: start_engine(self.folder, kind, processes=processes_of(self.folder)))

    def _try(self, verb: str, doing: Callable[[], object]) -> None:
        """In a thread: does it, and tells the screen how that went."""
        trouble = ""
        try:
            doing()
        except (LorasmithError, OSError) as error:
            trouble = shown(error)
        self.post_message(self.Answered(verb, trouble))

    def on_asking_screen_answered(self, message: Answered) -> None:
        if message.trouble:
            self.requests.failed(message.verb)
            self._say(message.trouble, "bad")
            self.refresh_bindings()
        elif message.verb == "start":
            self._say("It has begun.")

    @property
    def said_for_now(self) -> bool:
        """Whether the line below still holds an answer to a key."""
        return self._saying is not None

    def _say(self, words: str, ink: str = "accent") -> None:
        """Says something on the line below for some seconds."""
        self._hush()
        self.set_class(text_width([(words, "")]) > self.size.width - 2, "-long")
        self.query_one("#said", Words).show(words, ink)
        self._saying = self.set_timer(_SAID_SECONDS, self._said)

    def _hush(self) -> None:
        self.remove_class("-long")
        if self._saying is not None:
            self._saying.stop()
            self._saying = None

    def _said(self) -> None:
        self._saying = None
        self.draw()
