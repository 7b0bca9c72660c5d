"""The engine's side of a run: what every verb is given, and the frame it runs in."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine import __version__
from engine.errors import LorasmithError, RunError, shown
from engine.runs.control import Request, clear_requests, take_requests
from engine.runs.events import EventLog, last_event
from engine.runs.folder import RunFolder, check_startable
from engine.runs.gpu import GpuWatch
from engine.runs.lock import HeldLock, boot_id, hold_lock, lock_holder
from engine.runs.log import adopt_log

OK, FAILED, REFUSED, STOPPED = 0, 1, 3, 4

_LOOK_SECONDS = 0.2
_STAGE_SECONDS = 1.0
_ENDING_SECONDS = 20.0
_FLUSH_SECONDS = 10.0


class Stopped(Exception):
    """Raised by a verb to end as stopped: what was asked for is done (saved, or not), nothing went wrong."""


@dataclass(frozen=True)
class Wanted:
    """What the person wants of a job now: `stop` stays once asked, `save` and `sample` are told once."""

    stop: Literal["save", "now"] | None = None
    save: bool = False
    sample: bool = False


class Job:
    """What a verb works with: its run folder, its record, and what the person asks of it meanwhile.

    With several processes only the first (`is_main`) writes events and hears requests; the others' `event`
    does nothing and their `poll` wants nothing, so what the first one heard must be told to them by the verb.
    A pause holds the first inside `poll`, the others at their next collective: give the process group a long
    timeout.
    """

    def __init__(self, folder: RunFolder, log: EventLog | None) -> None:
        """`log` None = not the first process of several."""
        self.folder = folder
        self.log = log
        self.stop: Literal["save", "now"] | None = None
        self._signals = 0
        self._last_signal = 0.0
        self._acted_signals = 0
        self._paused = self._pause_told = self._save = self._sample = False
        self._looked = 0.0
        self._warned: set[str] = set()
        self._stage: tuple[str, int | None, int | None] | None = None
        self._stage_told = 0.0

    @property
    def is_main(self) -> bool:
        return self.log is not None

    @property
    def attempt(self) -> int:
        """Which start of the run this is, from 1; 0 in a process that is not the first."""
        return self.log.attempt if self.log is not None else 0

    def event(self, name: str, /, **fields: object) -> None:
        """Appends to the record; see engine.runs.events for the names and fields. Any thread may."""
        if self.log is not None:
            self.log.write(name, **fields)

    def warn(self, text: str) -> None:
        """A warning event, the first time this is said."""
        if text not in self._warned:
            self._warned.add(text)
            self.event("warning", text=text)

    def stage(
        self, name: str, done: int | None = None, total: int | None = None, *, left: float | None = None
    ) -> None:
        """Tells what is being done and how far; call as often as you like, it writes once a second at most.

        The first and the last (`done == total`) of a stage are always written. `left`: seconds that the whole job
        still takes, where its stages follow each other like one piece of work.
        """
        now = time.monotonic()
        first = self._stage is None or self._stage[0] != name
        last = done is not None and done == total and self._stage != (name, done, total)
        self._stage = (name, done, total)
        if first or last or now - self._stage_told >= _STAGE_SECONDS:
            self._stage_told = now
            whole = {} if left is None else {"left": left}
            self.event("stage", name=name, done=done, total=total, **whole)

    def progress(self, stage: str) -> Callable[[int, int], None]:
        """A `report(done, total)` for long work: tells the stage's count, and raises Stopped where a stop is asked."""

        def report(done: int, total: int) -> None:
            self.stage(stage, done, total)
            if self.stop_asked():
                raise Stopped

        return report

    def poll(self) -> Wanted:
        """What is wanted now; call it between steps (it looks at the disk at most five times a second).

        While paused it does not return, except that a stop ends the pause and a save or a sample is let
        through (the caller does one more step before the pause goes on).
        """
        if not self.is_main:
            return Wanted()
        self._hear()
        while self._paused and self.stop is None and not self._save and not self._sample:
            self._tell_pause()
            time.sleep(_LOOK_SECONDS)
            self._hear()
        if not self._paused:
            self._tell_pause()
        wanted = Wanted(self.stop, self._save, self._sample)
        self._save = self._sample = False
        return wanted

    def stop_asked(self) -> bool:
        """Whether a stop is wanted, for long work between two `poll`s; leaves every request to the next `poll`."""
        if self.is_main:
            self._hear()
        return self.stop is not None

    def signalled(self, *_: object) -> None:
        """Handles SIGTERM and SIGINT: only counts, as it may interrupt any line of any library."""
        # torchrun passes a signal on to a worker that the person's own `kill` of the group already reached.
        now = time.monotonic()
        if "RANK" not in os.environ or now - self._last_signal > 1.0:
            self._signals += 1
        self._last_signal = now

    def _hear(self) -> None:
        if self._signals > self._acted_signals:
            self._acted_signals = self._signals
            self._want_stop(now=self._signals > 1)
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        for request in take_requests(self.folder, self.warn):
            self._obey(request)

    def _obey(self, request: Request) -> None:
        if request.verb == "stop":
            self._want_stop(now=request.payload.get("now") is True)
        elif request.verb == "save":
            self._save = True
        elif request.verb == "sample":
            self._sample = True
        else:
            self._paused = request.verb == "pause"  # said when it is held: long work does not hold in its midst

    def _tell_pause(self) -> None:
        if self._paused != self._pause_told:
            self._pause_told = self._paused
            self.event("paused" if self._paused else "resumed")

    def _want_stop(self, *, now: bool) -> None:
        how: Literal["save", "now"] = "now" if now else "save"
        if self.stop in {how, "now"}:
            return
        self.stop = how
        self.event("stopping", how=how)


def run_job(
    folder: RunFolder, function: Callable[[Job], object], *, verb: str = "train", launch: str | None = None
) -> int:
    """Runs a verb as the run's one engine; the exit code: 0 ok, 1 failed, 3 refused, 4 stopped.

    Takes the lock, writes `started`, calls `function`, writes `finished`. A refusal changes nothing and
    prints one JSON line. A function that returns after it was told to stop, or raises Stopped, has stopped;
    LorasmithError and any other exception mean failed. `launch` is start_engine's word by which it knows its
    own engine.
    """
    try:
        job = _open(folder, verb) if os.environ.get("RANK", "0") == "0" else Job(folder, None)
    except (RunError, OSError) as error:
        return _refuse(folder, error)
    # From here on a signal is a request to stop, so that none can end an engine that has said `started`.
    with _signals_to(job):
        try:
            _announce(job, verb, launch)
        except (RunError, OSError) as error:
            return _refuse(folder, error)
        with GpuWatch(job):
            outcome, reason, hint = _outcome_of(job, function)
        job.event("finished", outcome=outcome, reason=reason, hint=hint)
        if job.log is not None and not job.log.flush(_FLUSH_SECONDS):
            print(f"{job.log.stuck}; the run ended as {outcome}: {reason}", file=sys.stderr, flush=True)
    return {"ok": OK, "stopped": STOPPED}.get(outcome, FAILED)


def _open(folder: RunFolder, verb: str) -> Job:
    check_startable(folder, verb)
    _hold_when_ended(folder)
    last = last_event(folder.events)
    return Job(folder, EventLog(folder, last.attempt + 1 if last is not None else 1))


def _announce(job: Job, verb: str, launch: str | None) -> None:
    """Writes `started`; what was asked of an engine that is gone is forgotten first."""
    if job.log is None:
        return
    clear_requests(job.folder)
    adopt_log(job.folder, launch)
    job.event(
        "started",
        verb=verb,
        pid=os.getpid(),
        host=socket.gethostname(),
        version=__version__,
        launch=launch,
        processes=int(os.environ.get("WORLD_SIZE", "1")),
        boot=boot_id(),
        monotonic=round(job.log.origin, 3),
        from_step=None,
    )
    if job.log.stuck:
        raise RunError(job.log.stuck)


def _refuse(folder: RunFolder, error: RunError | OSError) -> int:
    where = f"cannot work in {shown(folder.path)}"
    reason = str(error) if isinstance(error, RunError) else f"{where} ({error.strerror}): check that disk"
    print(json.dumps({"refused": reason}), flush=True)
    return REFUSED


def _hold_when_ended(folder: RunFolder) -> HeldLock:
    """Takes the lock; an engine that has written `finished` and is only leaving memory is waited for."""
    end = time.monotonic() + _ENDING_SECONDS
    while lock_holder(folder) is not None and time.monotonic() < end:
        last = last_event(folder.events)
        if last is None or last.name != "finished":
            break
        time.sleep(0.1)
    return hold_lock(folder)


@contextlib.contextmanager
def _signals_to(job: Job) -> Iterator[None]:
    """SIGTERM and SIGINT ask the job to stop, SIGHUP (a closed terminal) is nothing to it."""
    handlers = {signal.SIGTERM: job.signalled, signal.SIGINT: job.signalled, signal.SIGHUP: signal.SIG_IGN}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _outcome_of(job: Job, function: Callable[[Job], object]) -> tuple[str, str | None, str | None]:
    """Runs the function; outcome, reason and hint as the `finished` event has them."""
    going_on = "`resume` goes on from the last saved state"
    try:
        function(job)
    except Stopped as stopped:
        return "stopped", str(stopped) or _why_stopped(job), going_on
    except LorasmithError as error:
        traceback.print_exc()
        return "failed", shown(error), None
    except BaseException as error:
        # The one place where everything is caught: whatever a library raises, the person reads one sentence.
        traceback.print_exc()
        return "failed", *_sentences(error)
    if job.stop is not None:
        return "stopped", _why_stopped(job), going_on
    return "ok", None, None


def _why_stopped(job: Job) -> str:
    return "stopped at once, as asked" if job.stop == "now" else "stopped after saving, as asked"


def _says_disk_full(error: BaseException) -> bool:
    """Also where a library of its own kind of error passes the system's words on, as safetensors does."""
    full = {errno.ENOSPC, errno.EDQUOT}
    return getattr(error, "errno", None) in full or any(os.strerror(number) in str(error) for number in full)


def _sentences(error: BaseException) -> tuple[str, str]:
    """Reason and hint for an exception that is nobody's considered sentence."""
    kind = type(error).__name__
    if kind == "OutOfMemoryError":
        return "the graphics card's memory is full", "choose a smaller batch, resolution or memory limit"
    if isinstance(error, MemoryError):
        return "this machine's memory is full", "end other programs, or choose a smaller batch"
    if _says_disk_full(error):
        name = getattr(error, "filename", None)
        what = f" while writing {shown(Path(os.fsdecode(name)).name)}" if name else ""
        return f"the disk is full{what}", "make room on the run folder's disk, then resume"
    message = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    return (
        f"stopped by an unexpected error, {kind}: {shown(message[:300])}",
        "engine.log in the run folder has the whole story",
    )
