"""How a run stands, in one frozen record: for `status`, `watch` and the list of runs."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from engine.errors import RunError, shown
from engine.runs.events import Event, EventReader
from engine.runs.folder import RunFolder
from engine.runs.lock import boot_id, lock_holder
from engine.runs.log import log_tail

Status = Literal["new", "starting", "running", "paused", "stopping", "finished", "stopped", "failed", "died"]

_WINDOW = 60  # steps' events that rate and loss are taken over
_OUTCOMES: dict[str, Status] = {"ok": "finished", "stopped": "stopped", "failed": "failed"}


@dataclass(frozen=True)
class RunSummary:
    """How a run stands. None = not known (yet); times in seconds, `rate` in steps a second."""

    name: str
    kind: str
    status: Status
    attempt: int
    step: int | None
    steps: int | None
    epoch: int | None
    epochs: int | None
    rate: float | None
    """Over the recent events of this attempt, pauses left out."""
    seconds_left: float | None
    """Of a live run, at this rate, or as its stage says of the whole; it does not run down while nothing happens."""
    loss: float | None
    """Recent mean; nan and inf are shown as what they are."""
    checkpoint: str | None
    """The last one's file, relative to the run folder."""
    checkpoint_epoch: int | None
    stage: str | None
    """What is done where it is not steps, with `stage_done` of `stage_total`."""
    stage_done: int | None
    stage_total: int | None
    started: float | None
    """Wall clock of this attempt's start."""
    last_event: float | None
    """Wall clock of the last event."""
    quiet_for: float | None
    """Seconds since the last event, for a live run; by the monotonic clock where both are on one machine."""
    warning: str | None
    reason: str | None
    hint: str | None
    log_tail: tuple[str, ...]
    """The log's last lines, for a run that failed or died."""
    newer: bool
    """Parts were written by a newer version of lorasmith."""

    @property
    def alive(self) -> bool:
        return self.status in {"starting", "running", "paused", "stopping"}

    @property
    def quiet(self) -> bool:
        """A live run so long without an event that it wants explaining (compiling, caching, a slow disk)."""
        usual = 20 / self.rate if self.rate else 0.0
        return self.status == "running" and (self.quiet_for or 0.0) > max(60.0, usual)


def read_summary(folder: RunFolder) -> RunSummary:
    """Reads how a run stands from its folder alone; a run never started is `new`. RunError: it is gone."""
    if not folder.path.is_dir():
        raise RunError(f"the run {shown(folder.path)} is gone: it was moved or deleted")
    # The lock before the record: an engine that ends in between is seen with its `finished`, not as dead.
    alive = lock_holder(folder) is not None
    try:
        data = folder.events.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        data = b""
    reader = EventReader(folder.events)
    story = RunStory()
    for event in reader.parse(_thinned(data.rpartition(b"\n")[0].split(b"\n"))):
        story.hear(event)
    return story.summary(folder, alive=alive, newer=reader.newer)


def _thinned(lines: list[bytes]) -> list[bytes]:
    """Leaves out old steps and card readings before anything is parsed: a long run has 100,000 of them."""
    kept: list[bytes] = []
    steps, readings = _WINDOW, 1
    for line in reversed(lines):
        if b'"event":"step"' in line:
            steps -= 1
            if steps < 0:
                continue
        elif b'"event":"gpu"' in line:
            readings -= 1
            if readings < 0:
                continue
        kept.append(line)
    return kept[::-1]


@dataclass
class RunStory:
    """What the events tell, heard one after the other; an attempt's start forgets what was the last one's."""

    attempt: int = 0
    verb: str | None = None
    step: int | None = None
    steps: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    checkpoint: str | None = None
    checkpoint_epoch: int | None = None
    started: float | None = None
    warning: str | None = None
    outcome: str | None = None
    reason: str | None = None
    hint: str | None = None
    paused: bool = False
    stopping: bool = False
    stage: tuple[str | None, int | None, int | None] = (None, None, None)
    left: float | None = None  # of the whole job, as its stage told
    last: Event | None = None
    working: bool = False
    _boot: str | None = None
    _origin: float | None = None
    _losses: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _pace: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_WINDOW))

    def hear(self, event: Event) -> None:
        self.last = event
        hearers = {
            "started": self._started,
            "step": self._stepped,
            "stage": self._staged,
            "checkpoint": self._saved,
            "finished": self._finished,
        }
        if event.name in hearers:
            hearers[event.name](event)
        elif event.name == "warning":
            self.warning = _text(event, "text")
        elif event.name in {"paused", "resumed"}:
            self.paused = event.name == "paused"
            self._pace.clear()  # a pause is not a slow step
        elif event.name == "stopping":
            self.stopping = True

    def _started(self, event: Event) -> None:
        self.attempt, self.started, self.verb = event.attempt, event.t, _text(event, "verb")
        self.outcome = self.reason = self.hint = self.warning = None
        self.paused = self.stopping = self.working = False
        self.stage, self.left = (None, None, None), None
        self._boot, self._origin = _text(event, "boot"), event.number("monotonic")
        self._losses.clear()
        self._pace.clear()

    def _stepped(self, event: Event) -> None:
        self.working = True
        self.stage, self.left = (None, None, None), None
        if self.step is not None and event.step is not None and event.step < self.step:
            self._pace.clear()  # back at an earlier step, or a job's next round: another pace
        self.step = event.step
        self.steps = _whole(event, "steps") or self.steps
        self.epoch = _whole(event, "epoch") or self.epoch
        self.epochs = _whole(event, "epochs") or self.epochs
        loss = event.number("loss")
        if loss is not None:
            self._losses.append(loss)
        if event.step is not None:
            self._pace.append((event.elapsed, event.step))

    def _staged(self, event: Event) -> None:
        self.working = True
        self.stage = (_text(event, "name"), _whole(event, "done"), _whole(event, "total"))
        self.left = event.number("left")

    def _saved(self, event: Event) -> None:
        self.checkpoint, self.checkpoint_epoch = _text(event, "file"), _whole(event, "epoch")

    def _finished(self, event: Event) -> None:
        self.outcome = _text(event, "outcome") or "failed"
        self.reason, self.hint = _text(event, "reason"), _text(event, "hint")

    def summary(self, folder: RunFolder, *, alive: bool, newer: bool = False) -> RunSummary:
        """How the run stands after what was heard; `alive` as the lock says, asked before the events were read."""
        status = self.status(alive)
        reason, hint = self.reason, self.hint
        if status == "died":
            reason, hint = self.why_died(), "`resume` goes on from the last saved state"
        return RunSummary(
            name=folder.name,
            kind=self.verb or folder.kind,
            status=status,
            attempt=self.attempt,
            step=self.step,
            steps=self.steps,
            epoch=self.epoch,
            epochs=self.epochs,
            rate=self.rate(),
            seconds_left=self.seconds_left() if alive else None,
            loss=self.loss(),
            checkpoint=self.checkpoint,
            checkpoint_epoch=self.checkpoint_epoch,
            stage=self.stage[0],
            stage_done=self.stage[1],
            stage_total=self.stage[2],
            started=self.started,
            last_event=self.last.t if self.last else None,
            quiet_for=self.quiet_for() if alive else None,
            warning=self.warning,
            reason=reason,
            hint=hint,
            log_tail=log_tail(folder) if status in {"died", "failed"} else (),
            newer=newer,
        )

    def status(self, alive: bool) -> Status:
        if self.outcome is not None:
            return _OUTCOMES.get(self.outcome, "failed")
        if not alive:
            return "died" if self.attempt else "new"
        if self.stopping:
            return "stopping"
        if self.paused:
            return "paused"
        return "running" if self.working else "starting"

    def why_died(self) -> str:
        if self._boot is not None and boot_id() not in {None, self._boot}:
            return "stopped without saying why; this machine was started anew since, or it ran on another"
        return "stopped without saying why (killed, out of memory, or a crash: see the log's last lines)"

    def rate(self) -> float | None:
        if len(self._pace) < 2:
            return None
        (since, first), (until, latest) = self._pace[0], self._pace[-1]
        return (latest - first) / (until - since) if until > since and latest > first else None

    def seconds_left(self) -> float | None:
        if self.left is not None:
            return self.left
        rate = self.rate()
        if rate is None or self.step is None or self.steps is None:
            return None
        return max(0, self.steps - self.step) / rate

    def loss(self) -> float | None:
        return math.fsum(self._losses) / len(self._losses) if self._losses else None

    def quiet_for(self) -> float | None:
        if self.last is None:
            return None
        if self._origin is not None and self._boot is not None and self._boot == boot_id():
            return max(0.0, time.monotonic() - self._origin - self.last.elapsed)
        return max(0.0, time.time() - self.last.t)


def _text(event: Event, key: str) -> str | None:
    value = event.get(key)
    return value if isinstance(value, str) else None


def _whole(event: Event, key: str) -> int | None:
    number = event.number(key)
    return int(number) if number is not None and math.isfinite(number) else None
