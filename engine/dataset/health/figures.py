"""What the health check measures and says, as plain records that become JSON and come back from it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.errors import RunError, shown

Level = Literal["red", "amber", "note"]
LEVELS: tuple[Level, ...] = ("red", "amber", "note")


@dataclass(frozen=True)
class Measures:
    """One picture's own figures; they depend on its bytes alone, so they are kept by their digest."""

    sharpness: float  # variance of the Laplacian at a short side of 512, of the sharpest of 4 x 4 tiles
    crisp: float  # in a picture of flat colours: how much of a contour's step lies between two pixels; else 0
    detail: float | None  # the same at 1024 over that at 512; None where the picture is smaller
    dark: float  # 99th percentile of the luminance, 0 to 1: low = even its lights are dark
    light: float  # 5th percentile of the luminance: high = even its shadows are bright
    clipped: float  # share of pixels at full white, a plain white ground not counted
    blank: float  # share of pixels of one and the same colour
    border: float  # share of the picture that bars or a frame of one colour take
    border_sides: str  # "above and below", "left and right", "all round" or ""
    jpeg_quality: int | None  # 1 to 100, from a JPEG's own tables
    blocks: float | None  # step over 8-pixel edges against steps elsewhere; None where it cannot be seen
    phash: int  # 64 bits, see engine.dataset.health.hashing
    phash_mirrored: int


@dataclass(frozen=True)
class Finding:
    """One thing a person should know: what it will do to the LoRA, and what was measured against which limit.

    `sentence`, `value`, `limit` and `source` are safe to print. `pictures` are the names as they stand in the
    report, at most all of them; it is empty where the finding is about the set.
    """

    check: str
    level: Level
    sentence: str
    value: str = ""
    limit: str = ""
    source: str = ""
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True)
class CopyGroup:
    """Pictures that show the same shot: `keep` is the best of them, `leave_out` the others, largest first.

    Names are paths from the picture's folder; `keep_path` and `leave_out_paths` say where the files are.
    """

    keep: str
    leave_out: tuple[str, ...]
    how: tuple[str, ...]  # of each that is left out: "the same file", "the same shot", "a cut-out" ...
    keep_path: str
    leave_out_paths: tuple[str, ...]


@dataclass(frozen=True)
class PictureHealth:
    """One line of the table. Sizes in pixels; `remarks` are words for a narrow column, gravest first."""

    name: str
    path: str
    role: Literal["train", "class"]
    width: int
    height: int
    format: str
    bucket: tuple[int, int]
    loss: float  # share cut away
    scale: float  # above 1: enlarged to its bucket
    held_out: bool
    level: Level | None  # None: nothing against it
    remarks: tuple[str, ...]
    measures: Measures | None  # None: a class picture, which is not measured
    faces: int | None = None
    caption: str | None = None
    tokens: int | None = None  # of the caption as trained


@dataclass(frozen=True)
class Health:
    """The whole answer of a health check.

    `verdict` is the gravest level ("green" where nothing is amber or red), `findings` are the gravest first,
    `not_seen` are sentences on what was not looked at and how to have it looked at, `report` is the text that
    `lorasmith check` prints, `check` what a training would do with the pictures (buckets, steps) as data.
    """

    verdict: Literal["green", "amber", "red"]
    pictures: tuple[PictureHealth, ...]
    findings: tuple[Finding, ...]
    copies: tuple[CopyGroup, ...]
    not_seen: tuple[str, ...]
    search: str | None  # an address that finds large pictures of the subject; None where there are enough
    trainable: bool
    seconds: float
    known: int  # pictures whose figures came from the cache
    report: tuple[str, ...] = ()
    check: dict[str, Any] = field(default_factory=dict)


def to_json(health: Health) -> str:
    """The answer as health.json holds it; `read_health` gives it back."""
    return json.dumps(_plain(health), allow_nan=False)


def read_health(path: Path) -> Health:
    """The answer in a health.json. RunError where there is none, or one of another version."""
    try:
        said = json.loads(path.read_text("utf-8"))
        return Health(
            **said
            | {
                "pictures": tuple(_picture(one) for one in said["pictures"]),
                "findings": tuple(Finding(**one | {"pictures": tuple(one["pictures"])}) for one in said["findings"]),
                "copies": tuple(CopyGroup(**{key: _tuple(value) for key, value in one.items()})
                                for one in said["copies"]),
                "not_seen": tuple(said["not_seen"]),
                "report": tuple(said["report"]),
            }
        )  # fmt: skip
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{shown(path)} holds no health report that can be read: run the check again") from error


def measures_from(data: dict[str, Any]) -> Measures:
    """The measures in a plain object; TypeError where it is of another version."""
    return Measures(**data)


def _picture(data: dict[str, Any]) -> PictureHealth:
    measures = measures_from(data["measures"]) if data["measures"] else None
    return PictureHealth(**{key: _tuple(value) for key, value in data.items()} | {"measures": measures})


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
