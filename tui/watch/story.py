"""What a run's events add up to on the monitor, followed in a thread and handed over whole; knows no screen."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from engine.errors import shown
from engine.runs.events import Event, EventReader
from engine.runs.folder import RunFolder
from engine.runs.lock import lock_holder
from engine.runs.summary import RunStory, RunSummary
from tui.telling import told

_RECORD_LINES = 2000
_SMOOTHED_SHARE = 1 / 20  # of the run's steps: what the smoothed line averages over


@dataclass(frozen=True)
class Curve:
    """The loss of each step, and smoothed; `version` grows when points were taken back (a resumed run repeats some)."""

    version: int = 0
    steps: tuple[int, ...] = ()
    losses: tuple[float, ...] = ()
    smooth: tuple[float, ...] = ()


@dataclass(frozen=True)
class Validation:
    """The loss on held-out pictures after a step, and the untouched base's on the same."""

    step: int
    loss: float
    base: float | None


@dataclass(frozen=True)
class Checkpoint:
    """A file that was saved."""

    step: int
    epoch: int | None
    file: str


@dataclass(frozen=True)
class SampleSet:
    """Pictures drawn at one moment; files relative to the run folder."""

    step: int | None
    epoch: int | None
    files: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """One part of the work that is not steps: how far it is, seconds it has taken, and its pace (units a second)."""

    name: str
    done: int | None
    total: int | None
    seconds: float
    rate: float | None
    over: bool


@dataclass(frozen=True)
class Card:
    """The last reading of the graphics card; None = the card does not say. Bytes, per cent, degrees C, watts."""

    used: float | None
    peak: float | None
    limit: float | None
    utilisation: float | None
    temperature: float | None
    power: float | None
    throttled: tuple[str, ...] | None


@dataclass(frozen=True)
class Line:
    """A line of the record: when, what, and `kind` (the event's name) for its colour."""

    t: float
    text: str
    kind: str


@dataclass(frozen=True)
class Seen:
    """A run as it stands at one look; everything the screen draws."""

    summary: RunSummary
    curve: Curve = Curve()
    steps_an_epoch: int | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    validations: tuple[Validation, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    samples: tuple[SampleSet, ...] = ()
    stages: tuple[Stage, ...] = ()
    card: Card | None = None
    record: tuple[Line, ...] = ()
    facts: tuple[tuple[str, object], ...] = ()
    """What the `plan` event said of the run."""
    heard: tuple[tuple[str, int], ...] = ()
    """How many events of each name there were; a request is answered by a further one."""


@dataclass
class _StageSeen:
    name: str
    began: float
    done: int | None = None
    total: int | None = None
    last: float = 0.0
    first_done: int = 0
    over: bool = False

    def seen(self) -> Stage:
        seconds = max(0.0, self.last - self.began)
        passed = (self.done or 0) - self.first_done
        rate = passed / seconds if seconds > 0.5 and passed > 0 else None
        finished = self.over or (self.total is not None and self.done == self.total)
        return Stage(self.name, self.done, self.total, seconds, rate, finished)


@dataclass
class WatchStory:
    """Hears a run's events; `seen` is what they add up to. A later attempt takes back the steps it repeats."""

    folder: RunFolder
    story: RunStory = field(default_factory=RunStory)
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    smooth: list[float] = field(default_factory=list)
    version: int = 0
    validations: list[Validation] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    samples: list[SampleSet] = field(default_factory=list)
    stages: list[_StageSeen] = field(default_factory=list)
    record: deque[Line] = field(default_factory=lambda: deque(maxlen=_RECORD_LINES))
    facts: dict[str, object] = field(default_factory=dict)
    heard: Counter[str] = field(default_factory=Counter)
    card: Card | None = None
    rate: float | None = None
    grad_norm: float | None = None
    _level: float | None = None

    def hear(self, event: Event) -> None:
        self.story.hear(event)
        self.heard[event.name] += 1
        hearers = {
            "started": self._started,
            "plan": self._planned,
            "stage": self._staged,
            "step": self._stepped,
            "validation": self._validated,
            "checkpoint": self._saved,
            "sample": self._sampled,
            "gpu": self._read_card,
        }
        if event.name in hearers:
            hearers[event.name](event)
        text = self._ended(event) if event.name == "finished" else told(event)
        if text:
            self.record.append(Line(event.t, text, event.name))

    def seen(self, *, alive: bool, newer: bool = False) -> Seen:
        per_epoch = self.facts.get("steps_per_epoch")
        return Seen(
            summary=self.story.summary(self.folder, alive=alive, newer=newer),
            curve=Curve(self.version, tuple(self.steps), tuple(self.losses), tuple(self.smooth)),
            steps_an_epoch=per_epoch if isinstance(per_epoch, int) and per_epoch > 0 else None,
            learning_rate=self.rate,
            grad_norm=self.grad_norm,
            validations=tuple(self.validations),
            checkpoints=tuple(self.checkpoints),
            samples=tuple(self.samples),
            stages=tuple(stage.seen() for stage in self.stages),
            card=self.card,
            record=tuple(self.record),
            facts=tuple(self.facts.items()),
            heard=tuple(self.heard.items()),
        )

    def _started(self, event: Event) -> None:
        self.stages.clear()
        self.card = None
        self._take_back(event)

    def _planned(self, event: Event) -> None:
        self.facts |= event.fields
        self._take_back(event)

    def _take_back(self, event: Event) -> None:
        """Forgets the steps that this attempt does again."""
        first = event.get("from_step")
        if isinstance(first, int):
            self._forget_from(first)

    def _forget_from(self, first: int) -> None:
        keep = next((at for at, step in enumerate(self.steps) if step >= first), len(self.steps))
        if keep < len(self.steps):
            del self.steps[keep:], self.losses[keep:], self.smooth[keep:]
            self._level = self.smooth[-1] if self.smooth else None
            self.version += 1
        self.validations = [one for one in self.validations if one.step < first]
        self.checkpoints = [one for one in self.checkpoints if one.step < first]
        self.samples = [one for one in self.samples if one.step is None or one.step < first]

    def _staged(self, event: Event) -> None:
        name = event.get("name")
        if not isinstance(name, str):
            return
        done, total = (_whole(event, key) for key in ("done", "total"))
        if not self.stages or self.stages[-1].name != name:
            self._end_stage(event)
            # A stage that comes again and again (saving, drawing samples) keeps one line: its last time.
            self.stages = [stage for stage in self.stages if stage.name != name]
            self.stages.append(_StageSeen(name, event.elapsed, first_done=done or 0))
        stage = self.stages[-1]
        stage.done, stage.total, stage.last = done, total, event.elapsed

    def _end_stage(self, event: Event) -> None:
        if self.stages and not self.stages[-1].over:
            self.stages[-1].over = True
            self.stages[-1].last = event.elapsed

    def _stepped(self, event: Event) -> None:
        self._end_stage(event)
        step = event.step
        if step is None:
            return
        if self.steps and step <= self.steps[-1]:
            self._forget_from(step)  # an attempt that did not say where it begins
        losses = event.get("losses")
        each = [_number(loss) for loss in losses] if isinstance(losses, list) else []
        each = each or [event.number("loss")]
        for at, loss in enumerate(each, step - len(each) + 1):
            if loss is not None and math.isfinite(loss) and (not self.steps or at > self.steps[-1]):
                self._add_loss(at, loss)
        self.rate = event.number("lr") if event.number("lr") is not None else self.rate
        self.grad_norm = event.number("grad_norm") if event.number("grad_norm") is not None else self.grad_norm

    def _add_loss(self, step: int, loss: float) -> None:
        window = max(25.0, (self.story.steps or 0) * _SMOOTHED_SHARE)
        # A plain mean until the window is full, so that the first steps do not weigh the whole line down.
        share = max(1 / (len(self.losses) + 1), 1 / window)
        self._level = loss if self._level is None else self._level + share * (loss - self._level)
        self.steps.append(step)
        self.losses.append(loss)
        self.smooth.append(self._level)

    def _validated(self, event: Event) -> None:
        loss = event.number("loss")
        if event.step is not None and loss is not None and math.isfinite(loss):
            self.validations.append(Validation(event.step, loss, event.number("base")))

    def _saved(self, event: Event) -> None:
        if event.step is not None:
            self.checkpoints.append(Checkpoint(event.step, _whole(event, "epoch"), str(event.get("file", ""))))

    def _sampled(self, event: Event) -> None:
        files = event.get("files")
        if isinstance(files, list):
            names = tuple(name for name in files if isinstance(name, str))
            self.samples.append(SampleSet(event.step, _whole(event, "epoch"), names))

    def _read_card(self, event: Event) -> None:
        throttled = event.get("throttled")
        self.card = Card(
            *(event.number(key) for key in ("used", "peak", "limit", "utilisation", "temperature", "power")),
            throttled=tuple(map(str, throttled)) if isinstance(throttled, list) else None,
        )

    def _ended(self, event: Event) -> str:
        self._end_stage(event)
        outcome = {"ok": "finished"}.get(str(event.get("outcome")), str(event.get("outcome", "failed")))
        reason = event.get("reason")
        return shown(f"{outcome}: {reason}" if reason else outcome)


class Follower:
    """Follows one run's folder; each `look` gives what is to be shown, or None where nothing changed."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._reader = EventReader(folder.events)
        self._story = WatchStory(folder)
        self._restarts = 0
        self._alive: bool | None = None
        self._told = 0.0
        self.last: Seen | None = None

    @property
    def size(self) -> int:
        """Bytes of the record."""
        try:
            return self.folder.events.stat().st_size
        except OSError:
            return 0

    def look(self) -> Seen | None:
        # The lock before the record: an engine that ends in between is heard to its last word.
        alive = lock_holder(self.folder) is not None
        events = self._reader.poll()
        if self._reader.restarts != self._restarts:
            self._restarts = self._reader.restarts
            self._story = WatchStory(self.folder)
        for event in events:
            self._story.hear(event)
        changed = bool(events) or alive != self._alive
        self._alive = alive
        # A live run that says nothing is looked at every few seconds all the same: its quiet is explained.
        if not changed and not (alive and time.monotonic() - self._told > 5.0):
            return None
        self._told = time.monotonic()
        self.last = self._story.seen(alive=alive, newer=self._reader.newer)
        return self.last


def _whole(event: Event, key: str) -> int | None:
    value = event.number(key)
    return int(value) if value is not None and math.isfinite(value) else None


def _number(value: object) -> float | None:
    if isinstance(value, str) and value in {"nan", "inf", "-inf"}:
        return float(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
