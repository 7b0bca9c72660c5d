"""What a captioning job is asked to do, as a job.toml a person can read and change. Light."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.caption.journal import CaptionError
from engine.errors import shown
from engine.plan import KINDS
from engine.runs.folder import RunFolder, list_runs
from engine.runs.lock import lock_holder
from engine.runs.summary import read_summary

DEFAULT = "blip"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class KnownCaptioner:
    """A captioner by its short name: `model` is a hub name, or "" for what travels with lorasmith."""

    name: str
    model: str
    about: str
    instructed: bool = False


KNOWN: tuple[KnownCaptioner, ...] = (
    KnownCaptioner("blip", "Salesforce/blip-image-captioning-large", "a short plain sentence; 1.9 GB"),
    KnownCaptioner("blip-2", "Salesforce/blip2-opt-2.7b", "a short sentence, somewhat better; 15 GB"),
    KnownCaptioner("florence-2", "florence-community/Florence-2-large", "a detailed sentence; 1.6 GB"),
    KnownCaptioner("qwen", "Qwen/Qwen2.5-VL-7B-Instruct", "follows an instruction: the best; 17 GB", True),
    KnownCaptioner("wd", "SmilingWolf/wd-swinv2-tagger-v3", "booru tags, for anime bases; 0.5 GB"),
    KnownCaptioner("labels", "efficientnet-lite0", "names what it sees in a plain sentence; a small package"),
    KnownCaptioner("scenes", "", "for the demo's painted scenes only"),
)


@dataclass(frozen=True)
class CaptionPlan:
    """A captioning job: which pictures, by which captioner, for what kind of subject.

    `captioner` is a short name of KNOWN, a hub name or a folder. `batch` 0 = the captioner's own. `general` and
    `character` are the tagger's thresholds (0 to 1).
    """

    folder: str
    captioner: str = DEFAULT
    subject: str = "person"
    trigger: str = ""
    class_word: str = ""
    instruction: str = ""
    overwrite: bool = False
    batch: int = 0
    general: float = 0.35
    character: float = 0.85

    @property
    def prefix(self) -> str:
        """The words that go in front of every caption."""
        return " ".join(f"{self.trigger} {self.class_word}".split())


_NOTES = {
    "captioner": "a short name, a hub name (owner/model) or a folder",
    "subject": "person, character, animal, object, style or concept: what a caption should not say",
    "trigger": "goes in front of every caption, with the class word",
    "instruction": "for captioners that can be told; empty = the kind's own",
    "overwrite": "true: captions that are there are written anew (one undo away)",
    "batch": "pictures at once; 0 = the captioner's own, halved where memory runs out",
    "general": "the tagger's threshold for tags, 0 to 1",
    "character": "and for names of characters",
}


def caption_toml(plan: CaptionPlan) -> str:
    """The plan as job.toml; `read_caption_plan` gives it back."""
    import tomlkit

    document = tomlkit.document()
    document["kind"] = "caption"
    for field in dataclasses.fields(plan):
        item = tomlkit.item(getattr(plan, field.name))
        if field.name in _NOTES:
            item.comment(_NOTES[field.name])
        document[field.name] = item
    return tomlkit.dumps(document)


def read_caption_plan(path: Path) -> CaptionPlan:
    """The plan in a job.toml. CaptionError names the key that is wrong."""
    try:
        said: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CaptionError(f"{shown(path)} cannot be read as TOML ({error}): make the job again.") from error
    said.pop("kind", None)
    defaults = {field.name: field.default for field in dataclasses.fields(CaptionPlan)} | {"folder": ""}
    for key, value in said.items():
        if key not in defaults:
            raise CaptionError(f"{shown(path)}: {shown(key)} is no setting of a captioning job: remove it.")
        wanted = type(defaults[key])
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            said[key] = float(value)
        elif type(value) is not wanted:
            raise CaptionError(
                f"{shown(path)}: {key} = {shown(value)} should be {_WORDS[wanted]}, as {defaults[key]!r} is."
            )
    if not said.get("folder"):
        raise CaptionError(f"{shown(path)} names no folder of pictures: make the job again.")
    return checked(CaptionPlan(**said))


_WORDS = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


def checked(plan: CaptionPlan) -> CaptionPlan:
    """The plan, or CaptionError for a value that cannot be."""
    if plan.subject not in KINDS:
        raise CaptionError(f"the kind {shown(repr(plan.subject))} is none of {', '.join(KINDS)}: choose one.")
    if plan.batch < 0:
        raise CaptionError(f"batch = {plan.batch} should be 0 (the captioner's own) or the pictures taken at once.")
    for name in ("general", "character"):
        if not 0 < getattr(plan, name) < 1:
            raise CaptionError(f"{name} = {getattr(plan, name)} should be a share between 0 and 1, such as 0.35.")
    if not plan.captioner.strip():
        raise CaptionError(f"no captioner is named: take one of {', '.join(one.name for one in KNOWN)}.")
    return plan


def check_captioner(name: str) -> None:
    """CaptionError for what is neither a known captioner, nor a folder, nor a hub name; looks at no network."""
    folder = Path(name).expanduser()
    if known(name) or folder.is_dir():
        return
    if folder.exists() or not _HUB_NAME.fullmatch(name):
        names = ", ".join(one.name for one in KNOWN)
        raise CaptionError(
            f"there is no captioner {shown(repr(name))}: take {names}, a hub name (owner/model), or a folder of "
            "weights."
        )


def known(name: str) -> KnownCaptioner | None:
    """The captioner of this short name, or of this hub name."""
    return next((one for one in KNOWN if name and name in {one.name, one.model}), None)


def running_on(root: Path) -> RunFolder | None:
    """The run that is captioning this folder at this moment, if one is; `root` is as a plan's `folder`."""
    for run in list_runs():
        # One that has finished still holds its run for the moment that its process takes to end.
        if run.kind != "caption" or lock_holder(run) is None or read_summary(run).status == "finished":
            continue
        try:
            if Path(read_caption_plan(run.job).folder).resolve() == root.resolve():
                return run
        except CaptionError:
            continue  # written by another version, or by hand: what it is at is not known
    return None
