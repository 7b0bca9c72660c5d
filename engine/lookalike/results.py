"""What a words job and a bank job found, as their run folders keep it (result.json). Light."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.errors import RunError, shown
from engine.files import write_atomic
from engine.runs.folder import RunFolder

Verdict = Literal["rare", "unclear", "taken", "known"]
RESULT = "result.json"


@dataclass(frozen=True)
class Figures:
    """One word's measures: `alike` is its pictures' mean cosine, `own` its distance from the made-up words (see
    `engine.lookalike.consistency`), each with its z; `seen` of `drawn` pictures showed something (a face).
    """

    word: str
    drawn: int
    seen: int
    alike: float | None
    alike_z: float | None
    own: float | None
    own_z: float | None


@dataclass(frozen=True)
class WordResult:
    """What the base draws for a word. `pictures` and `sheet` are paths within the run folder."""

    word: str
    class_prompt: str
    subject: str
    verdict: Verdict
    sentence: str
    by: str
    whole: Figures
    faces: Figures | None
    class_nearness: float | None
    class_least: float | None
    made_up: tuple[Figures, ...]
    pictures: tuple[str, ...]
    sheet: str


@dataclass(frozen=True)
class Match:
    """A name the base knows, beside the subject: `percentile` of the class prompt's pictures are less like them."""

    word: str
    similarity: float
    percentile: float
    z: float
    figures: Figures
    pictures: tuple[str, ...]


@dataclass(frozen=True)
class MatchResult:
    """The look-alike search: the nearest known names, best first, and whether the best is of use.

    Of `names`, the `finalists` nearest were drawn more often, and `known` of them the base draws alike each time;
    `unknown` names the others. `margin` is the best one's lead over the second, in similarity; `by_chance` is how
    many of all names would come as near as the best if none were like the subject.
    """

    class_prompt: str
    subject: str
    useful: bool
    sentence: str
    by: str
    photographs: int
    faces_found: int
    names: int
    finalists: int
    known: int
    by_chance: float
    margin: float | None
    matches: tuple[Match, ...]
    unknown: tuple[str, ...]
    sheet: str | None


def write_result(run: RunFolder, result: WordResult | MatchResult) -> None:
    write_atomic(run.path / RESULT, json.dumps(dataclasses.asdict(result), indent=1, allow_nan=False))


def read_word_result(run: RunFolder) -> WordResult:
    """The result of a words job that has finished. RunError where there is none."""
    said = _read(run, "words")
    try:
        said["faces"] = None if said["faces"] is None else Figures(**said["faces"])
        said["whole"] = Figures(**said["whole"])
        said["made_up"] = tuple(Figures(**one) for one in said["made_up"])
        return WordResult(**said | {"pictures": tuple(said["pictures"])})
    except (KeyError, TypeError) as error:
        raise _damaged(run) from error


def read_match_result(run: RunFolder) -> MatchResult:
    """The result of a bank job that has finished. RunError where there is none."""
    said = _read(run, "bank")
    try:
        matches = tuple(
            Match(**one | {"figures": Figures(**one["figures"]), "pictures": tuple(one["pictures"])})
            for one in said["matches"]
        )
        return MatchResult(**said | {"matches": matches, "unknown": tuple(said["unknown"])})
    except (KeyError, TypeError) as error:
        raise _damaged(run) from error


def _read(run: RunFolder, kind: str) -> dict[str, Any]:
    if run.kind != kind:
        raise RunError(f"{shown(run.name)} is a {shown(run.kind)} run and has no such result: name a {kind} run.")
    path: Path = run.path / RESULT
    try:
        said = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RunError(f"{shown(run.name)} has no result yet: it has not finished.") from None
    except (OSError, ValueError) as error:
        raise _damaged(run) from error
    if not isinstance(said, dict):
        raise _damaged(run)
    return said


def _damaged(run: RunFolder) -> RunError:
    return RunError(f"The result of {shown(run.name)} cannot be read: start the same search again with another --name.")
