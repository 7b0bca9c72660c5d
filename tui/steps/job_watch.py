"""A preparing job as a step follows it: begun, stopped and watched through its files, whoever began it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from textual.message import Message
from textual.screen import Screen

from engine.errors import LorasmithError, shown
from engine.runs.control import request
from engine.runs.folder import RunFolder, find_run
from engine.runs.launch import start_engine
from engine.runs.summary import read_summary
from tui.text import duration
from tui.watch.story import Follower, Seen

_LOOK_SECONDS = 0.5


class JobWatch:
    """Follows one job at a time. Its threads post `Told`; the screen hands each to `take`, then draws."""

    @dataclass
    class Told(Message):
        """How the job stands, or why it could not be begun (`trouble`)."""

        watch: JobWatch
        turn: int
        run: RunFolder | None = None
        seen: Seen | None = None
        trouble: str = ""

    def __init__(self, screen: Screen[None]) -> None:
        self.screen = screen
        self.run: RunFolder | None = None
        self.seen: Seen | None = None
        self.trouble = ""
        self.beginning = False
        self._turn = 0
        self._leave = threading.Event()

    @property
    def alive(self) -> bool:
        return self.beginning or (self.seen is not None and self.seen.summary.alive)

    @property
    def status(self) -> str:
        return self.seen.summary.status if self.seen is not None else ""

    def leave(self) -> None:
        """Looks no longer; the job goes on."""
        self._leave.set()

    def follow(self, name: str) -> None:
        """Looks at a run by its name; one that is gone is nothing to speak of."""
        self._in_thread(self._find, name)

    def begin(self, make: Callable[[], RunFolder]) -> None:
        """Starts the engine on the run that `make` gives, in a thread; one that runs or has finished is looked at."""
        self.beginning = True
        self._in_thread(self._begin, make)

    def forget(self) -> None:
        """The job followed until now is no longer of interest."""
        self._turn += 1
        self.run, self.seen, self.trouble, self.beginning = None, None, "", False

    def stop(self) -> None:
        """Asks the engine to keep what it has and end."""
        if self.run is not None:
            threading.Thread(target=self._stop, args=(self.run, self._turn), daemon=True, name="stop").start()

    def take(self, told: Told) -> bool:
        """Takes over what a thread found; False where it is of a job no longer followed."""
        if told.turn != self._turn:
            return False
        self.beginning = False
        self.run = told.run or self.run
        self.seen = told.seen or self.seen
        self.trouble = told.trouble
        return True

    def _in_thread(self, work: Callable[..., None], what: object) -> None:
        self._turn += 1
        self.trouble = ""
        threading.Thread(target=work, args=(what, self._turn), daemon=True, name="job").start()

    def _tell(self, turn: int, run: RunFolder | None = None, seen: Seen | None = None, trouble: str = "") -> None:
        self.screen.post_message(self.Told(self, turn, run, seen, trouble))

    def _find(self, name: str, turn: int) -> None:
        try:
            run = find_run(name)
        except LorasmithError:
            return
        self._look(run, turn)

    def _begin(self, make: Callable[[], RunFolder], turn: int) -> None:
        try:
            run = make()
            summary = read_summary(run)
            if not summary.alive and summary.status != "finished":
                start_engine(run, summary.kind)
        except (LorasmithError, OSError) as error:
            self._tell(turn, trouble=shown(str(error) if isinstance(error, LorasmithError) else error.strerror))
            return
        self._look(run, turn)

    def _stop(self, run: RunFolder, turn: int) -> None:
        try:
            request(run, "stop", now=False)
        except LorasmithError as error:
            if read_summary(run).alive:
                self._tell(turn, trouble=shown(error))

    def _look(self, run: RunFolder, turn: int) -> None:
        follower = Follower(run)
        while not self._leave.is_set() and turn == self._turn:
            try:
                seen = follower.look()
            except (LorasmithError, OSError):
                return  # deleted by hand: there is nothing left to follow
            if seen is not None:
                self._tell(turn, run, seen)
                if not seen.summary.alive:
                    return
            self._leave.wait(_LOOK_SECONDS)


def job_words(watch: JobWatch, doing: str) -> tuple[str, str] | None:
    """How a job stands in one line, with its ink: count, rate, time left; None where nothing is to be said.

    `doing` names it ("The captioner"). A job that has finished is the screen's to speak of.
    """
    if watch.trouble:
        return watch.trouble, "bad"
    if watch.beginning:
        return f"{doing} is being started…", "accent"
    if watch.seen is None:
        return None
    summary = watch.seen.summary
    if summary.alive:
        return f"{doing}: {progress_words(watch.seen)}. It goes on if you leave.", "accent"
    if summary.status in {"failed", "died"}:
        why = shown(summary.reason or "it ended without saying why").rstrip(".")
        return f"{doing} has stopped: {why}. What is done is kept.", "bad"
    return (f"{doing} was stopped; what is done is kept.", "warn") if summary.status == "stopped" else None


def progress_words(seen: Seen) -> str:
    """'captioning 12 of 40, 2.1 a second, 18 s left'."""
    summary = seen.summary
    if summary.status in {"starting", "stopping", "paused"}:
        return {"starting": "loading its libraries"}.get(summary.status, summary.status)
    stage = seen.stages[-1] if seen.stages else None
    if summary.step and summary.steps and (stage is None or stage.over or stage.done == 0 or stage.done is None):
        return _counted("", summary.step, summary.steps, summary.rate, summary.seconds_left)
    if stage is None or stage.done is None or not stage.total:
        return shown(summary.stage or "begins")
    left = summary.seconds_left
    if left is None and stage.rate:
        left = (stage.total - stage.done) / stage.rate
    return _counted(shown(stage.name), stage.done, stage.total, stage.rate, left)


def _counted(name: str, done: int, total: int, rate: float | None, left: float | None) -> str:
    words = f"{name} {done:,} of {total:,}".strip()
    if rate:
        words += f", {rate:.1f} a second" if rate >= 1 else f", {duration(1 / rate)} each"
    return f"{words}, {duration(left)} left" if left and done < total else words
