"""Following a run: its events told as append-only lines until it ends or the person leaves."""

from __future__ import annotations

import signal
import time
from collections.abc import Collection
from dataclasses import dataclass

from engine.errors import RunError, shown
from engine.runs.control import request
from engine.runs.events import Event, EventReader
from engine.runs.folder import RunFolder
from engine.runs.lock import lock_holder
from engine.runs.summary import RunSummary, read_summary
from tui.commands.status import EXIT_CODES, how_to_go_on, progress, quiet_words, typed
from tui.telling import rate_words, stage_words, told
from tui.text import GIB, count, duration, home_path, plain, say, say_json

LEFT = 130
_LOOK_SECONDS = 0.2
_LINE_SECONDS = 5.0  # between two lines of figures, or two of one stage
_QUIET_SECONDS = 60.0
_ENDING_SECONDS = 5.0


class Interrupts:
    """Counts Ctrl-C while the `with` block lasts, so that none falls into the middle of a line."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Interrupts:
        self._before = signal.signal(signal.SIGINT, self._counted)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _counted(self, *_: object) -> None:
        self.count += 1


def follow(
    run: RunFolder, interrupts: Interrupts, *, as_json: bool = False, stop_on_interrupt: bool = False,
    known: Collection[str] = (),
) -> int:
    """Tells a run's events until it ends, its warnings but for those `known` already; the exit code says how it did.

    Ctrl-C leaves and lets the run go on; with `stop_on_interrupt` (a run that was begun in this terminal) it
    asks the engine to save and stop, a second one to stop at once, and a third leaves.
    """
    reader = EventReader(run.events)
    story = Story(run, as_json, frozenset(known))
    heard = 0
    while True:
        # Asked before reading, so that an engine that ends in between is heard to its last word.
        alive = lock_holder(run) is not None
        story.tell(reader.poll())
        if not run.path.is_dir():
            raise RunError(f"the run folder {shown(run.path)} is gone: it was moved or deleted meanwhile")
        if story.ended or not alive:
            until_free(run)
            return _end(run, as_json)
        if interrupts.count > heard:
            heard += 1
            if not stop_on_interrupt or heard > 2:
                return _leave(run, as_json)
            _ask_to_stop(run, now=heard > 1)
        story.figures()
        time.sleep(_LOOK_SECONDS)


def until_free(run: RunFolder) -> None:
    """Waits until an engine that has said its last word lets go of its run, so that what is typed next finds it free.

    Not for ever: a library may hold the process up.
    """
    end = time.monotonic() + _ENDING_SECONDS
    while lock_holder(run) is not None and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS / 4)


def _ask_to_stop(run: RunFolder, *, now: bool) -> None:
    words = "Asked it to stop at once." if now else "Asked it to save and stop; Ctrl-C again stops it at once."
    try:
        request(run, "stop", now=now)
    except RunError as error:
        words = str(error)
    say(words)


def _leave(run: RunFolder, as_json: bool) -> int:
    if not as_json:
        say(f"You left; it goes on. `lorasmith watch {typed(run)}` returns to it.")
    return LEFT


def _end(run: RunFolder, as_json: bool) -> int:
    summary = read_summary(run)
    if not as_json:
        say(outcome(run, summary))
        for line in summary.log_tail[-3:] if summary.status == "died" else ():
            say(f"log: {line}", indent=2)
    return EXIT_CODES.get(summary.status, 0 if summary.status == "finished" else 1)


def outcome(run: RunFolder, summary: RunSummary) -> str:
    """How a run that is over ended, in a sentence or two."""
    name = typed(run)
    if summary.status == "finished":
        kept = [path for path in run.checkpoints.glob("*.safetensors") if not path.name.startswith(".")]
        where = f"; {count(len(kept), 'checkpoint')} in {home_path(run.checkpoints)}" if kept else ""
        return f"{shown(run.name)} has finished{_took(summary)}{where}."
    again = f"{how_to_go_on(run, summary)}."
    reason = shown(summary.reason or "").rstrip(".")
    if summary.status == "stopped":
        return f"{shown(run.name)} has stopped: {reason or 'as asked'}. {again}"
    if summary.status == "new":
        return f"{shown(run.name)} has not been started yet: `lorasmith resume {name}` starts it."
    said = shown(summary.hint or "").rstrip(".") if summary.status == "failed" else ""
    hint = f" {said[:1].upper()}{said[1:]}." if said else ""
    what = "has failed" if summary.status == "failed" else "died"
    return f"{shown(run.name)} {what}: {reason}.{hint} {again}"


def _took(summary: RunSummary) -> str:
    if summary.started is None or summary.last_event is None:
        return ""
    return f" after {duration(summary.last_event - summary.started)}"


@dataclass
class Story:
    """Turns events into lines; what came before it was opened is told in short."""

    run: RunFolder
    as_json: bool
    known: frozenset[str] = frozenset()
    ended: bool = False
    _attempt: int = 0
    _stage: tuple[str, float] = ("", 0.0)
    _began: tuple[float, int] = (0.0, 0)
    _counted: int = 0
    _figures: float = 0.0
    _stepped: bool = False
    _live: bool = False
    _quiet: float = 0.0
    _gpu: Event | None = None

    def tell(self, events: list[Event]) -> None:
        """Prints what these events say; the first call has all that was there already."""
        latest = max((event.attempt for event in events), default=self._attempt)
        for event in events:
            if event.attempt < latest:
                continue  # an earlier start of the run: `status` and the record have it
            self._hear(event)
        self._live = True

    def figures(self) -> None:
        """Every few seconds, while steps come, a line of them; a long quiet is explained once a minute."""
        now = time.monotonic()
        if self.as_json or now - self._figures < _LINE_SECONDS:
            return
        if self._stepped:
            self._figures, self._stepped = now, False
            summary = read_summary(self.run)
            parts = [progress(summary), _memory(self._gpu)]
            self._line(time.time(), ", ".join(part for part in parts if part))
        elif now - self._quiet > _QUIET_SECONDS:
            self._quiet = now
            summary = read_summary(self.run)
            if summary.quiet and summary.quiet_for is not None:
                quiet = duration(summary.quiet_for)
                self._line(time.time(), f"quiet for {quiet}: {quiet_words(summary.kind)}; it is alive")

    def _hear(self, event: Event) -> None:
        if event.attempt > self._attempt:
            self._attempt, self.ended = event.attempt, False
        if event.name == "finished":
            self.ended = True
        if self.as_json:
            say_json({"event": event.name, "t": event.t, "elapsed": event.elapsed, "attempt": event.attempt}
                     | plain(event.fields))  # fmt: skip
            return
        if event.name == "stage":
            self._staged(event)
        elif event.name == "step":
            self._stepped = True
        elif event.name == "gpu":
            self._gpu = event
        elif event.name != "warning" or event.get("text") not in self.known:
            self._line(event.t, told(event))

    def _staged(self, event: Event) -> None:
        """A stage's first and last word, and one every few seconds between; of stages long past, nothing."""
        name, done, total = str(event.get("name", "")), event.get("done"), event.get("total")
        now = time.monotonic()
        first = name != self._stage[0]
        count = done if isinstance(done, int) else 0
        if first or count < self._counted:  # the second time of the same stage, too
            self._began = (event.elapsed, count)
        self._counted = count
        last = done is not None and done == total
        if self._live and (first or last or now - self._stage[1] >= _LINE_SECONDS):
            self._stage = (name, now)
            whole = [value if isinstance(value, int) else None for value in (done, total)]
            words = stage_words(name, whole[0], whole[1])
            self._line(event.t, ", ".join(part for part in (words, self._rate(event, *whole)) if part))

    def _rate(self, event: Event, done: int | None, total: int | None) -> str:
        """How fast a stage goes on since its first word, and what is left of it, or of the whole where that is told.

        Empty where that is not known yet.
        """
        seconds, more = event.elapsed - self._began[0], (done or 0) - self._began[1]
        if done is None or total is None or done >= total or seconds < 1 or more < 1:
            return ""
        return rate_words(done, total, more / seconds, event.number("left"))

    def _line(self, t: float, text: str) -> None:
        if text:
            say(f"{time.strftime('%H:%M:%S', time.localtime(t))} {text}", hang=9)


def _memory(gpu: Event | None) -> str:
    """'10.2 of 24.0 GiB', the card's memory in use."""
    if gpu is None:
        return ""
    used, limit = gpu.number("used"), gpu.number("limit")
    return f"{used / GIB:.1f} of {limit / GIB:.1f} GiB" if used and limit else ""
