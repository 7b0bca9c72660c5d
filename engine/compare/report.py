"""report.json: all that a screen, a page or a program may know of a comparison, written by one hand. Light."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from engine.compare.settings import where_now
from engine.errors import LorasmithError, shown
from engine.files import write_atomic

VERSION = 1
At = tuple[int, float]
"""A point: checkpoint (0 is the untouched base) and weight."""

State = Literal["drawing", "stopped", "done"]
_Row = TypeVar("_Row")


@dataclass(frozen=True)
class BaseFacts:
    """The base all pictures were drawn with; `licence` is empty where nothing says it."""

    name: str = ""
    hash: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Settings:
    """How every picture was drawn. `prompts` is the set's name or file, `prompts_hash` its content."""

    steps: int = 0
    cfg: float = 0.0
    sampler: str = ""
    size: tuple[int, int] = (0, 0)
    seeds: tuple[int, ...] = ()
    prompts: str = ""
    prompts_hash: str = ""


@dataclass(frozen=True)
class CheckpointRow:
    """One LoRA that is compared.

    norm, change and twin_of as in `engine.select.presignals.Movement`; held_out: log(loss / the base's loss).
    problem: why it cannot be drawn, in a sentence. survivor: whether it got more than the first pictures.
    """

    checkpoint: int
    name: str
    file: str
    rank: int | None = None
    norm: float | None = None
    change: float | None = None
    twin_of: int | None = None
    held_out: float | None = None
    problem: str | None = None
    survivor: bool = True


@dataclass(frozen=True)
class PromptRow:
    """One prompt: as a checkpoint draws it, and as the base does; `style` is the medium a style prompt asks for."""

    name: str
    family: str
    drawn: str
    plain: str
    style: str = ""
    first: bool = False  # drawn before any checkpoint is given up


@dataclass(frozen=True)
class PictureRow:
    """One picture that is there; `file` is relative to the comparison's folder."""

    checkpoint: int
    weight: float
    prompt: str
    seed: int
    hires: bool
    file: str


@dataclass(frozen=True)
class PointRow:
    """What was measured of a point. Figures are None where nothing could be measured; ranges hold 68 %."""

    checkpoint: int
    weight: float
    fidelity: float | None = None
    flexibility: float | None = None
    parts: dict[str, float | None] = field(default_factory=dict)
    fidelity_range: tuple[float | None, ...] | None = None
    flexibility_range: tuple[float | None, ...] | None = None
    bleed: float | None = None
    photo_leak: float | None = None
    copied: float | None = None
    recalled: float | None = None
    drift: float | None = None
    broken: str | None = None
    balance: float | None = None  # None: not among the points that were decided on
    chance: float | None = None
    ruled_out: tuple[str, ...] = ()

    @property
    def at(self) -> At:
        return self.checkpoint, self.weight


@dataclass(frozen=True)
class DecisionRow:
    """The choice; `choice` None with a `reason` where none is offered."""

    choice: At | None = None
    best: At | None = None
    last: At | None = None
    likest: At | None = None
    sureness: str = ""
    chance: float | None = None
    doubt: float = 0.0  # points of balance that the readers were taken to err by
    equals: tuple[At, ...] = ()
    front: tuple[At, ...] = ()
    relaxed: tuple[str, ...] = ()
    votes: int = 0
    lean: float = 1.0
    reason: str = ""


@dataclass(frozen=True)
class CellRow:
    """A picture named by what it shows."""

    checkpoint: int
    weight: float
    prompt: str
    seed: int


@dataclass(frozen=True)
class Words:
    """A sentence and the pictures that made it."""

    text: str
    cells: tuple[CellRow, ...] = ()


@dataclass(frozen=True)
class Lean:
    """The decision at one setting of the dial: below 1 towards fidelity, above 1 towards flexibility."""

    lean: float
    decision: DecisionRow
    words: tuple[Words, ...] = ()
    balances: tuple[tuple[int, float, float], ...] = ()  # checkpoint, weight, balance at this setting
    weight: At | None = None  # the choice at its recommended weight


@dataclass(frozen=True)
class HiresRow:
    """The early choice with the high-res fix against a late checkpoint without; figures of early, late in turn."""

    early: At
    late: At
    fidelity: tuple[float | None, float | None]
    flexibility: tuple[float | None, float | None]
    sentence: str


@dataclass(frozen=True)
class Chosen:
    """What the person made their LoRA."""

    checkpoint: int
    weight: float
    file: str


@dataclass(frozen=True)
class Report:
    """A comparison as it stands. `run` is the training run's folder, None for LoRAs from elsewhere."""

    name: str
    run: str | None = None
    kind: str = ""
    trigger: str = ""
    class_word: str = ""
    base: BaseFacts = field(default_factory=BaseFacts)
    settings: Settings = field(default_factory=Settings)
    state: State = "drawing"
    stage: str = ""
    drawn: int = 0
    planned: int = 0
    checkpoints: tuple[CheckpointRow, ...] = ()
    prompts: tuple[PromptRow, ...] = ()
    pictures: tuple[PictureRow, ...] = ()
    photographs: tuple[str, ...] = ()
    encoders: dict[str, str] = field(default_factory=dict)
    anchors: dict[str, Any] | None = None
    points: tuple[PointRow, ...] = ()
    decision: DecisionRow | None = None
    words: tuple[Words, ...] = ()
    lean: float = 1.0
    dial: tuple[Lean, ...] = ()
    weight: At | None = None
    hires: HiresRow | None = None
    ask: tuple[tuple[At, At], ...] = ()
    votes: int = 0
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    chosen: Chosen | None = None
    dose: int = 0  # the self-test's checkpoint, drawn at many weights

    @property
    def choice(self) -> At | None:
        return self.decision.choice if self.decision is not None else None

    @property
    def epochs(self) -> bool:
        """Whether the checkpoints are the epochs of one run, so that their numbers are their names."""
        return all(row.name == f"epoch {row.checkpoint}" for row in self.checkpoints)

    def checkpoint(self, number: int) -> CheckpointRow | None:
        return next((row for row in self.checkpoints if row.checkpoint == number), None)

    def point(self, at: At) -> PointRow | None:
        return next((row for row in self.points if row.at == at), None)

    def prompt(self, name: str) -> PromptRow | None:
        return next((row for row in self.prompts if row.name == name), None)

    def name_of(self, at: At) -> str:
        """'epoch 4', 'epoch 4 at weight 0.8', 'the base', a file's own name: not yet safe to print."""
        number, weight = at
        if number == 0:
            return "the base"
        row = self.checkpoint(number)
        name = row.name if row is not None else f"epoch {number}"
        return name if weight == 1.0 else f"{name} at weight {weight:g}"

    def picture(self, at: At, prompt: str, seed: int, *, hires: bool = False) -> str | None:
        """A picture's file, relative to the comparison's folder; None where it is not drawn."""
        wanted = (*at, prompt, seed, hires)
        return next(
            (one.file for one in self.pictures
             if (one.checkpoint, one.weight, one.prompt, one.seed, one.hires) == wanted), None,
        )  # fmt: skip


def report_path(folder: Path) -> Path:
    """Where the report lies in a comparison's folder (`RunFolder.compare`)."""
    return folder / "report.json"


def write_report(folder: Path, report: Report) -> None:
    """Writes it whole or not at all. OSError (disk full) passes on."""
    write_atomic(report_path(folder), report_text(report))


def report_text(report: Report) -> str:
    """The report as the JSON of the file; points are [checkpoint, weight]."""
    said = {"version": VERSION, **asdict(report)}
    said["weight"] = _marked(report.weight)
    return json.dumps(said, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def read_report(folder: Path) -> Report:
    """The report of a comparison's folder. LorasmithError where there is none or it cannot be read."""
    path = report_path(folder)
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if said.get("version", 0) > VERSION:
            raise LorasmithError(f"{shown(path)} was written by a newer lorasmith: open it with that one.")
        found = report_of(said)
        return replace(found, run=where_now(found.run, folder.absolute().parent)) if found.run else found
    except FileNotFoundError:
        raise LorasmithError(
            f"There is no comparison in {shown(folder)}: `lorasmith compare` makes one."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LorasmithError(
            f"{shown(path)} cannot be read ({shown(error)}): `lorasmith compare RUN --again` makes it anew and keeps "
            "the pictures."
        ) from error


def report_of(said: Mapping[str, Any]) -> Report:
    """A Report from the file's JSON; keys of a newer version are passed over."""
    plain = {key: said[key] for key in _names(Report) & said.keys()}
    hires, chosen, decision = said.get("hires"), said.get("chosen"), said.get("decision")
    made: dict[str, Any] = {
        "base": _row(BaseFacts, said.get("base") or {}),
        "settings": _settings(said.get("settings") or {}),
        "checkpoints": tuple(_row(CheckpointRow, one) for one in said.get("checkpoints", ())),
        "prompts": tuple(_row(PromptRow, one) for one in said.get("prompts", ())),
        "pictures": tuple(_row(PictureRow, one) for one in said.get("pictures", ())),
        "photographs": tuple(said.get("photographs", ())),
        "points": tuple(point_of(one) for one in said.get("points", ())),
        "decision": None if decision is None else decision_of(decision),
        "words": words_of(said.get("words", ())),
        "dial": tuple(_lean(one) for one in said.get("dial", ())),
        "weight": _at(said.get("weight")),
        "hires": None if hires is None else _hires(hires),
        "ask": tuple((_point(left), _point(right)) for left, right in said.get("ask", ())),
        "notes": tuple(said.get("notes", ())),
        "chosen": None if chosen is None else _row(Chosen, chosen),
    }
    return Report(**{**plain, **made})


def point_of(said: Mapping[str, Any]) -> PointRow:
    """A point's row from what `engine.select.record.report` says of it."""
    ranges = {
        key: None if said.get(key) is None else tuple(said[key]) for key in ("fidelity_range", "flexibility_range")
    }
    return _row(PointRow, {**said, **ranges, "ruled_out": tuple(said.get("ruled_out", ()))})


def decision_of(said: Mapping[str, Any]) -> DecisionRow:
    """A decision from what `engine.select.record.report` says of it."""
    points = {key: _at(said.get(key)) for key in ("choice", "best", "last", "likest")}
    lists = {key: tuple(_point(one) for one in said.get(key, ())) for key in ("equals", "front")}
    return _row(DecisionRow, {**said, **points, **lists, "relaxed": tuple(said.get("relaxed", ()))})


def words_of(said: Any) -> tuple[Words, ...]:
    """Sentences with their pictures, from JSON."""
    return tuple(Words(one["text"], tuple(_row(CellRow, cell) for cell in one.get("cells", ()))) for one in said)


def _lean(said: Mapping[str, Any]) -> Lean:
    balances = tuple((int(c), float(w), float(b)) for c, w, b in said.get("balances", ()))
    decision, words = decision_of(said["decision"]), words_of(said.get("words", ()))
    return Lean(said["lean"], decision, words, balances, _at(said.get("weight")))


def _hires(said: Mapping[str, Any]) -> HiresRow:
    figures = [tuple(said[key]) for key in ("fidelity", "flexibility")]
    return HiresRow(_point(said["early"]), _point(said["late"]), figures[0], figures[1], said["sentence"])


def _settings(said: Mapping[str, Any]) -> Settings:
    lists = {key: tuple(said[key]) for key in ("size", "seeds") if key in said}
    return _row(Settings, {**said, **lists})


def _row(kind: type[_Row], said: Mapping[str, Any]) -> _Row:
    return kind(**{key: said[key] for key in _names(kind) & said.keys()})


def _names(kind: type) -> set[str]:
    return {one.name for one in fields(kind)}


def _at(said: Any) -> At | None:
    """A point, from [checkpoint, weight] or from {"checkpoint": ..., "weight": ...}."""
    if said is None:
        return None
    return _point((said["checkpoint"], said["weight"]) if isinstance(said, Mapping) else said)


def _point(said: Any) -> At:
    number, weight = said
    return int(number), float(weight)


def _marked(at: At | None) -> dict[str, float] | None:
    return None if at is None else {"checkpoint": at[0], "weight": at[1]}
