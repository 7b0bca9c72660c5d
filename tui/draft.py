"""The wizard's draft: a plan that is being made, with what the person typed that is no value yet.

A draft is a file in $LORASMITH_HOME/drafts that any command takes for the plan it is; what the wizard alone must
know stands in it as comment lines that begin with `#~`. It is written whole after every change, so that a terminal
that dies loses nothing that was typed half a second before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import LorasmithError, PlanError, shown
from engine.files import write_atomic
from engine.plan import PictureFolder, Plan
from engine.plan_file import plan_from_text, read_text, with_changes, write_plan
from engine.plan_values import problem
from engine.runs.folder import home

if TYPE_CHECKING:
    from tui.steps.outlook import Outlook

_MARK = "#~ "
_HEAD = (
    "A draft of the wizard, and a plan like any other: `lorasmith`, then n, goes on with it, `lorasmith train "
    "THIS_FILE` starts it.\nThe lines at the end that begin with #~ are the wizard's own memory; it does without them."
)
_UNNAMED = "new-lora"
FOLDER = "pictures.folders.path"  # the key under which a folder that is typed, and not there yet, is kept


@dataclass
class Looks:
    """What was found out in this sitting and is not part of the draft: looked at again when it is opened again."""

    outlook: Outlook | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """The plan as far as it goes. `typed` has the texts that are no value yet, by the plan's key, as they were typed.

    `strength` is the dial's place ("" where the person's own figures rule), `vram_gb` the memory the recipe was
    fitted to, `jobs` names the run that does a kind of work for this draft, `started` the runs begun from it,
    `passed` the steps the person has gone on from.
    """

    plan: Plan = field(default_factory=Plan)
    typed: Mapping[str, str] = field(default_factory=dict)
    strength: str = "normal"
    vram_gb: float | None = None
    jobs: Mapping[str, str] = field(default_factory=dict)
    passed: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    looks: Looks = field(default_factory=Looks, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The project's name as it was typed."""
        return self.typed.get("output.name", self.plan.output.name)

    @property
    def folder(self) -> str:
        """The folder of pictures as it was typed, or as the plan has it; empty while there is none."""
        if FOLDER in self.typed:
            return self.typed[FOLDER]
        return self.plan.pictures.folders[0].path if self.plan.pictures.folders else ""

    def with_plan(self, changes: Mapping[str, Any]) -> Draft:
        """Good values taken over; what was typed for these keys is done with. PlanError for a bad one."""
        typed = {key: text for key, text in self.typed.items() if key not in changes}
        return replace(self, plan=with_changes(self.plan, changes), typed=typed)

    def with_typed(self, key: str, text: str) -> Draft:
        """Keeps a text that is no value yet; the plan keeps the value it had."""
        return replace(self, typed={**self.typed, key: text})

    def without_typed(self, *keys: str) -> Draft:
        return replace(self, typed={key: text for key, text in self.typed.items() if key not in keys})

    def with_text(self, key: str, text: str) -> Draft:
        """A field of plain text: taken over where the plan allows it, kept as typed where not."""
        return self.with_plan({key: text}) if problem(key, text) is None else self.with_typed(key, text)

    def with_folders(self, *paths: str) -> Draft:
        """The folders of pictures, each with the repeats it had; all other folders are taken out."""
        had = {one.path: one for one in self.plan.pictures.folders}
        folders = tuple(had.get(path, PictureFolder(path)) for path in paths)
        return self.with_plan({"pictures.folders": folders}).without_typed(FOLDER)

    def with_job(self, kind: str, run: str) -> Draft:
        return replace(self, jobs={**self.jobs, kind: run})


def drafts_folder() -> Path:
    return home() / "drafts"


def draft_text(draft: Draft) -> str:
    """The file's text: the plan, then the wizard's memory."""
    memory = []
    for entry in dataclasses.fields(Draft):
        value = getattr(draft, entry.name)
        if entry.name not in {"plan", "looks"} and value is not None and value != _default(entry):
            memory.append(f"{_MARK}{entry.name} = {_toml(value)}")
    return write_plan(draft.plan, head=_HEAD) + ("\n" + "\n".join(memory) + "\n" if memory else "")


def draft_from_text(text: str, where: object) -> Draft:
    """The draft in a file's text; PlanError with a sentence for each mistake, naming the line where TOML can."""
    # Lines stay where they are, so that a mistake is named by the number an editor shows.
    # Only a line feed ends one: a caption pasted from a page may hold other letters that Python calls line ends.
    lines = text.split("\n")
    memory = "\n".join(line[len(_MARK) :] if line.startswith(_MARK) else "" for line in lines)
    plan = plan_from_text(text, where)
    try:
        values = tomllib.loads(memory)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(
            f"{shown(where)}: the wizard's memory is no longer readable ({shown(error)}); correct or delete that line."
        ) from None
    known = {entry.name: entry for entry in dataclasses.fields(Draft) if entry.name not in {"plan", "looks"}}
    kept = {}
    for name, value in values.items():
        # What a newer lorasmith remembers, or a hand has changed into something else, is left aside.
        if name in known and (fitting := _fitting(value, _default(known[name]))) is not None:
            kept[name] = fitting
    return Draft(plan=plan, **kept)


def _fitting(value: Any, like: Any) -> Any:
    if isinstance(like, tuple):
        return tuple(map(str, value)) if isinstance(value, list) else None
    if isinstance(like, dict):
        return {str(key): str(one) for key, one in value.items()} if isinstance(value, dict) else None
    if like is None:
        return float(value) if isinstance(value, int | float) else None
    return value if isinstance(value, type(like)) else None


def _default(entry: dataclasses.Field[Any]) -> Any:
    return entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value)


@dataclass(frozen=True)
class Found:
    """A file in the folder of drafts; `trouble` is why it cannot be opened, in which case it stays as it is."""

    path: Path
    draft: Draft | None
    trouble: str = ""
    changed: float = 0.0

    @property
    def name(self) -> str:
        return (self.draft.name if self.draft else "") or self.path.stem


def read_draft(path: Path) -> Draft:
    return draft_from_text(read_text(path), path)


def list_drafts() -> list[Found]:
    """Every draft, the one changed last first; unreadable ones say why."""
    try:
        paths = [path for path in drafts_folder().glob("*.toml") if not path.name.startswith(".")]
    except OSError:
        return []
    found = []
    for path in paths:
        changed = 0.0
        with contextlib.suppress(OSError):
            changed = path.stat().st_mtime
        try:
            found.append(Found(path, read_draft(path), changed=changed))
        except LorasmithError as error:
            found.append(Found(path, None, str(error).splitlines()[0], changed))
    return sorted(found, key=lambda one: (-one.changed, one.path.name))


class Keeper:
    """Writes one draft: each time in one piece, under the name its project has now.

    `trouble` says why the last writing failed; what was typed is then still in the terminal, and tried again with
    the next change.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.trouble = ""
        self.notice = ""
        self._stamp = _stamp(path)

    def __call__(self, draft: Draft) -> None:
        try:
            folder = drafts_folder()
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self.path is not None and _stamp(self.path) not in {self._stamp, 0}:
                # Another terminal, or an editor, has written it: neither that nor this may be lost.
                before, self.path = self.path, None
                self.notice = f"{shown(before.name)} was changed elsewhere meanwhile, so this one goes on beside it."
            wanted = self._wanted(folder, draft)
            if self.path is not None and self.path != wanted and self.path.exists():
                self.path.rename(wanted)  # a draft has one file at every moment
            write_atomic(wanted, draft_text(draft))
            self.path, self._stamp = wanted, _stamp(wanted)
            self.trouble = ""
        except OSError as error:
            where = shown(self.path or drafts_folder())
            self.trouble = f"the draft cannot be saved in {where} ({error.strerror}): make room, or free that folder."
        except LorasmithError as error:
            self.trouble = f"the draft cannot be saved: {str(error).splitlines()[0]}"

    def _wanted(self, folder: Path, draft: Draft) -> Path:
        stem = re.sub(r"[^\w.-]+", "-", draft.plan.output.name).strip("._-")[:60] or _UNNAMED
        taken = 1
        while True:
            path = folder / (f"{stem}.toml" if taken == 1 else f"{stem}-{taken}.toml")
            if path == self.path or not path.exists():
                return path
            taken += 1

    def delete(self) -> None:
        """Deletes the draft's file; runs begun from it have their own copy of the plan."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _stamp(path: Path | None) -> int:
    """When a file was written; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns if path is not None else 0
    except OSError:
        return 0
