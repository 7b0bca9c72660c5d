"""What a words job or a bank job is to do, as the job.toml a person can read. Light."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from engine.errors import PlanError, shown
from engine.plan import KINDS, BaseChoice, Kind

JobKind = Literal["words", "bank"]
FACE_KINDS: tuple[Kind, ...] = ("person", "character")
"""Kinds that are known by a face; all others are looked at as whole pictures."""


@dataclass(frozen=True)
class LookalikeJob:
    """A words job draws one word; a bank job draws many and holds the subject's photographs against them.

    `made_up` words and `class_pictures` are what the words are held against. A bank's `finalists`, the names nearest
    to the subject after `pictures` each, are drawn until they have `final_pictures`, as have the made-up names.
    `size` 0 is the base's own. `encoder` and `faces` name who looks at pictures ("auto": what this machine has).
    `photographs` are folders or .zips.
    """

    kind: JobKind
    base: BaseChoice
    subject: Kind
    class_prompt: str
    words: tuple[str, ...]
    pictures: int = 8
    made_up: int = 12
    class_pictures: int = 16
    finalists: int = 12
    final_pictures: int = 12
    steps: int = 20
    cfg: float = 5.0
    size: int = 0
    encoder: str = "auto"
    faces: str = "auto"
    photographs: tuple[str, ...] = ()
    permission: str = ""

    @property
    def by_face(self) -> bool:
        return self.subject in FACE_KINDS


_LEAST: dict[str, int] = {
    "pictures": 2, "made_up": 3, "class_pictures": 4, "finalists": 1, "final_pictures": 4, "steps": 1, "size": 0,
}  # fmt: skip
_COMMENTS = {
    "pictures": "drawn for each word",
    "made_up": "meaningless words that the words are held against",
    "class_pictures": "of the class prompt, likewise",
    "finalists": "of a bank: names that are drawn more often before they are judged",
    "size": "pixels a side; 0 = the base's own",
    "encoder": "who looks at whole pictures",
    "faces": "who looks at faces",
    "permission": "what was confirmed, and when",
}


def job_toml(job: LookalikeJob) -> str:
    """The job as job.toml; `read_job` gives it back."""
    import tomlkit

    document = tomlkit.document()
    for field in dataclasses.fields(job):
        value = getattr(job, field.name)
        if field.name == "base":
            continue
        item = tomlkit.item(list(value) if isinstance(value, tuple) else value)
        if isinstance(value, tuple) and len(value) > 3:
            item.multiline(True)  # type: ignore[union-attr]
        if field.name in _COMMENTS:
            item.comment(_COMMENTS[field.name])
        document.add(field.name, item)
    document.add("base", tomlkit.item(dataclasses.asdict(job.base)))
    return tomlkit.dumps(document)


def read_job(path: Path) -> LookalikeJob:
    """The job in a job.toml. Raises PlanError naming the key that is wrong."""
    try:
        said: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        base = BaseChoice(**said.pop("base"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlanError(f"{shown(path)} cannot be read as a job ({shown(error)}); make the run again.") from error
    fields = {field.name: field for field in dataclasses.fields(LookalikeJob) if field.name != "base"}
    for key, value in said.items():
        if key not in fields:
            raise PlanError(f"{shown(path)}: {shown(key)} is no setting of a {shown(said.get('kind'))} job; remove it.")
        said[key] = _checked(path, key, value)
    missing = [key for key in ("kind", "subject", "class_prompt", "words") if key not in said]
    if missing:
        raise PlanError(f"{shown(path)} lacks {missing[0]}; make the run again.")
    return LookalikeJob(base=base, **said)


def _checked(path: Path, key: str, value: Any) -> Any:
    """The value if it can stand for this key; lists become tuples."""
    allowed: tuple[Any, ...] = ()
    if key == "kind":
        allowed = get_args(JobKind)
    elif key == "subject":
        allowed = KINDS
    if allowed and value not in allowed:
        raise PlanError(f"{shown(path)}: {key} = {shown(value)!r} is none of {', '.join(allowed)}.")
    if key in ("words", "photographs"):
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise PlanError(f"{shown(path)}: {key} must be a list of texts.")
        return tuple(value)
    if key in _LEAST and not (isinstance(value, int) and not isinstance(value, bool) and value >= _LEAST[key]):
        raise PlanError(f"{shown(path)}: {key} = {shown(value)}; it must be a whole number from {_LEAST[key]} up.")
    if key == "cfg":
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 30:
            raise PlanError(f"{shown(path)}: cfg = {shown(value)}; it must be a number from 0 to 30.")
        return float(value)
    return value
