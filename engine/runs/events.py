"""events.jsonl: the engine's append-only record, and how it is read.

One JSON object a line, written by the holder of the run's lock alone:
{"v":1,"t":<wall clock>,"elapsed":<seconds of this attempt>,"attempt":<n>,"event":<name>, <its fields>}
The events and their fields, any of which may be absent or None:

| event      | fields |
|------------|--------|
| started    | verb, pid, host, version, launch, boot, monotonic, from_step: the first of an attempt |
| plan       | the resolved values; from_step: the first step this attempt does (1; n+1 after state n) |
| stage      | name, done, total: what goes on before, between and after the steps; left: seconds of the whole job |
| step       | step, steps, epoch, epochs, loss, prior, grad_norm, lr, images: `step` counts from 1 |
| validation | step, epoch, loss, base: the held-out loss, and the untouched base's |
| sample     | step, epoch, files: paths relative to the run folder |
| checkpoint | step, epoch, file, size, verified: file relative to the run folder, size in bytes |
| state      | step: resume can go on after this step |
| caption    | picture, text, done, total, rate, left: the newest caption a model wrote |
| captioned  | written, kept, skipped, folder: what a captioning did in the end |
| compared   | text, pictures: the choice of a comparison in a sentence, and how many pictures it rests on |
| gpu        | used, peak, limit (bytes, whole card), utilisation (%), temperature (C), power (W), throttled |
| warning    | text: a sentence |
| paused     |  |
| resumed    |  |
| stopping   | how: `save` or `now` |
| finished   | outcome: `ok`, `stopped` or `failed`; reason, hint: a sentence each |

JSON knows no nan or infinity: such a number is the word "nan", "inf" or "-inf", so that a diverged loss is
shown as what it is and never breaks a line.
"""

from __future__ import annotations

import errno
import json
import math
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.runs.folder import RunFolder

VERSION = 1
_DURABLE = {"started", "checkpoint", "sample", "finished"}
_PASSING = {"step", "gpu", "stage"}  # what is given up first when the disk stays full
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN}
_QUEUE = 500
_NUMBERED = {"step", "validation", "sample", "checkpoint", "state"}


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the record: name, wall clock `t`, seconds `elapsed` in its attempt, and its own fields."""

    name: str
    t: float
    elapsed: float
    attempt: int
    fields: dict[str, object] = field(default_factory=dict)

    def get(self, key: str, default: object = None) -> object:
        return self.fields.get(key, default)

    def number(self, key: str) -> float | None:
        """A field as a number; the words nan, inf and -inf become those again; None where there is none."""
        value = self.fields.get(key)
        if isinstance(value, str) and value in {"nan", "inf", "-inf"}:
            return float(value)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def step(self) -> int | None:
        value = self.fields.get("step")
        return value if isinstance(value, int) and not isinstance(value, bool) else None


class EventLog:
    """The writer; any thread of the lock's holder may use it, a line is one `os.write` at the file's end.

    A full disk does not end training: lines wait in a bounded queue and are tried again with every further
    one; `stuck` says so (a sentence, None when all is written), and a warning tells later what had to be
    given up.
    """

    def __init__(self, folder: RunFolder, attempt: int) -> None:
        """Opens the record; a torn last line of a former attempt is ended. OSError: it cannot be opened."""
        self.attempt = attempt
        self.origin = time.monotonic()
        self.stuck: str | None = None
        self._guard = threading.Lock()
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._rest = b""  # of a line the disk took only half of
        self._lost = 0
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(folder.events, flags, 0o600)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            self._rest = b"\n"

    def write(self, event: str, /, **fields: object) -> None:
        """Appends one event. TypeError for a value JSON cannot say; OSError only for a disk that is gone."""
        with self._guard:
            self._waiting.append((event, self._line(event, fields)))
            self._shorten()
            written = self._flush()
            if written and self._lost:
                text = f"the disk was full: {self._lost} records of this run's progress could not be kept"
                self._lost = 0
                self._waiting.append(("warning", self._line("warning", {"text": text})))
                written = self._flush()
            if written and event in _DURABLE:
                self._sync()

    def flush(self, patience: float) -> bool:
        """Tries for `patience` seconds to write what waits; True = all of it is on the disk."""
        end = time.monotonic() + patience
        while True:
            with self._guard:
                if self._flush():
                    return True
            if time.monotonic() >= end:
                return False
            time.sleep(0.1)

    def close(self) -> None:
        os.close(self._descriptor)

    def _line(self, event: str, fields: dict[str, object]) -> bytes:
        record = {
            "v": VERSION,
            "t": round(time.time(), 3),
            "elapsed": round(time.monotonic() - self.origin, 3),
            "attempt": self.attempt,
            "event": event,
        }
        for key in fields.keys() & record.keys():
            raise TypeError(f"the field '{key}' of the event '{event}' is the record's own")
        said = json.dumps(_plain(record | fields), allow_nan=False, separators=(",", ":"))
        return said.encode("ascii") + b"\n"

    def _flush(self) -> bool:
        """Writes what waits, in order; a half-taken line is completed before the next begins."""
        try:
            while self._rest or self._waiting:
                if not self._rest:
                    self._rest = self._waiting.popleft()[1]
                self._rest = self._rest[os.write(self._descriptor, self._rest) :]
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self.stuck = f"events.jsonl cannot be written ({error.strerror}): make room on that disk"
            return False
        self.stuck = None
        return True

    def _shorten(self) -> None:
        while len(self._waiting) > _QUEUE:
            passing = (at for at, (event, _) in enumerate(self._waiting) if event in _PASSING)
            del self._waiting[next(passing, 0)]
            self._lost += 1

    def _sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self.stuck = f"events.jsonl cannot be kept safe ({error.strerror}): look at that disk"


def _plain(value: object) -> object:
    """What JSON can say of a value: numpy's and torch's numbers by `.item()`, paths as text, nan a word."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    item = getattr(value, "item", None)
    if callable(item):
        return _plain(item())
    raise TypeError(f"an event cannot hold a {type(value).__name__}")


class EventReader:
    """Follows a record that another process writes; each `poll` returns what is new.

    A torn last line is kept for later, unreadable lines are counted in `unreadable`, a line of a newer
    version sets `newer` and is read as far as it is understood, a file that shrank or was replaced is read
    again from its start (`restarts` counts that: throw away what you had), a missing file has no events.
    """

    def __init__(self, path: Path, *, offset: int = 0) -> None:
        self.path = Path(path)
        self.unreadable = 0
        self.newer = False
        self.restarts = 0
        self._offset = offset  # always the start of a line
        self._inode: int | None = None

    def poll(self) -> list[Event]:
        try:
            with self.path.open("rb") as file:
                facts = os.fstat(file.fileno())
                if facts.st_size < self._offset or self._inode not in {None, facts.st_ino}:
                    self._offset, self.unreadable, self.newer = 0, 0, False
                    self.restarts += 1
                self._inode = facts.st_ino
                file.seek(self._offset)
                whole, newline, _torn = file.read().rpartition(b"\n")
        except (FileNotFoundError, NotADirectoryError):
            self._inode = None if self._inode is None else -1  # whatever comes next is another file
            return []
        self._offset += len(whole) + len(newline)
        return self.parse(whole.split(b"\n"))

    def parse(self, lines: Iterable[bytes]) -> list[Event]:
        """The events in these lines, keeping count as `poll` does."""
        events = []
        for line in lines:
            if not line.strip():
                continue
            event, version = _parse(line)
            self.newer |= version > VERSION
            if event is None:
                self.unreadable += 1
            else:
                events.append(event)
        return events


def _parse(line: bytes) -> tuple[Event | None, int]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None, 0
    if not isinstance(said, dict):
        return None, 0
    version, name = said.pop("v", 0), said.pop("event", None)
    t, elapsed, attempt = said.pop("t", 0.0), said.pop("elapsed", 0.0), said.pop("attempt", 0)
    version = version if isinstance(version, int) else 0
    numbers = isinstance(t, int | float) and isinstance(elapsed, int | float) and isinstance(attempt, int)
    if not isinstance(name, str) or not numbers:
        return None, version
    return Event(name, t, elapsed, attempt, said), version


def last_event(path: Path) -> Event | None:
    """The last readable line of a record, found from its end; its attempt is the latest, as they only grow."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    return next((event for line in reversed(data.split(b"\n")) if (event := _parse(line)[0])), None)


def latest_attempt_view(events: Sequence[Event]) -> list[Event]:
    """The events without what a later attempt repeats: steps, validations, samples, checkpoints, states.

    An attempt repeats from its `from_step` on (told by its started or plan event), or else from the first
    step it is seen to do. Events without a step number are all kept.
    """
    begins: dict[int, int] = {}
    told: set[int] = set()
    for event in events:
        first = event.get("from_step")
        if isinstance(first, int) and event.attempt not in told:
            begins[event.attempt] = first
            told.add(event.attempt)
        elif event.name == "step" and event.step is not None:
            begins.setdefault(event.attempt, event.step)
    repeated: dict[int, float] = {}  # attempt -> the first step that a later one does again
    lowest = math.inf
    for attempt in sorted({event.attempt for event in events}, reverse=True):
        repeated[attempt] = lowest
        lowest = min(lowest, begins.get(attempt, math.inf))
    return [
        event
        for event in events
        if event.name not in _NUMBERED or event.step is None or event.step < repeated[event.attempt]
    ]
