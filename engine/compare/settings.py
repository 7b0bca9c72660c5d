"""The job.toml of a comparison: what is compared and how thoroughly. Light."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from engine.errors import LorasmithError, PlanError, shown
from engine.plan import BaseChoice
from engine.runs.folder import RunFolder

KIND = "compare"
Depth = Literal["quick", "normal", "thorough"]
SEEDS: dict[Depth, int] = {"quick": 2, "normal": 2, "thorough": 4}
"""Pictures of each prompt. quick draws the first prompts only."""

NOTHING = "Nothing can be compared"
"""How the reason begins of a comparison that failed for want of usable files, which going on with cannot mend."""

_LISTS = ("loras", "pictures", "readers")

MOST_SURVIVORS = 8
"""Checkpoints that get more than the first pictures, unless it is thorough: time would go where little is to be won."""

OTHER_WEIGHTS = (0.6, 0.8)
"""Drawn of the finalists beside weight 1."""

DOSES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""The weights of the self-test."""


@dataclass(frozen=True)
class CompareJob:
    """What a comparison is of: a training run's checkpoints (`run`, its folder), or LoRA files from anywhere.

    For files the rest of what a plan would say is here too: base, kind, trigger, class word and the folders of the
    subject's photographs. `prompts` is a prompt set's name, empty for the kind's own, or `own` for the prompts.toml
    beside the job. `readers` names encoders as `engine.select.readers.choose_readers` takes them; with `fetch` they are
    downloaded. `dose` makes it the self-test of that checkpoint.
    """

    run: str = ""
    loras: tuple[str, ...] = ()
    base: BaseChoice = field(default_factory=lambda: BaseChoice(model="demo"))
    kind: str = "object"
    trigger: str = ""
    class_word: str = ""
    pictures: tuple[str, ...] = ()
    prompts: str = ""
    depth: Depth = "normal"
    steps: int = 0  # 0: what suits the base
    cfg: float = 0.0
    readers: tuple[str, ...] = ()
    fetch: bool = False
    dose: int = 0


def job_text(job: CompareJob) -> str:
    """The job as job.toml; `read_compare_job` gives it back."""
    import tomlkit

    document = tomlkit.document()
    document["kind"] = KIND
    document["subject"] = {"kind": job.kind, "trigger": job.trigger, "class_word": job.class_word}
    for key in ("run", "prompts", "depth", "steps", "cfg", "fetch", "dose"):
        document[key] = getattr(job, key)
    for key in _LISTS:
        document[key] = list(getattr(job, key))
    table = tomlkit.table()
    for key in ("model", "vae", "prediction", "zero_terminal_snr"):
        table[key] = getattr(job.base, key)
    # Tables come last: what follows one belongs to it.
    subject = document.pop("subject")
    document["subject"] = subject
    document["base"] = table
    return tomlkit.dumps(document)


def check_drawing(steps: int | None, cfg: float | None) -> None:
    """LorasmithError for steps or a guidance that nothing can be drawn with; None where none is said."""
    from engine.draw.order import check_limits

    if steps is not None:
        check_limits(steps=steps)
    if cfg is not None and not 0 < cfg <= 100:  # also refuses NaN
        raise LorasmithError(
            f"A guidance of {cfg:g} cannot be followed: --cfg takes more than 0, up to 100; 6 is usual."
        )


def read_compare_job(path: Path) -> CompareJob:
    """The job in a job.toml. PlanError for one that is damaged: it is written by lorasmith."""
    try:
        said: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        own = {one.name for one in fields(CompareJob)} - {"base", "kind", "trigger", "class_word"}
        values = {key: said[key] for key in own & said.keys()}
        values |= {key: tuple(values[key]) for key in _LISTS if key in values}
        values["run"] = where_now(values.get("run", ""), path.absolute().parent)
        job = CompareJob(**values, **said["subject"], base=BaseChoice(**said["base"]))
        check_drawing(job.steps or None, job.cfg or None)
        return job
    except (OSError, ValueError, KeyError, TypeError, LorasmithError) as error:
        raise PlanError(
            f"{shown(path)} cannot be read as a comparison ({shown(error)}): run `lorasmith compare` anew."
        ) from error


def where_now(run: str, comparison: Path) -> str:
    """The run's folder: where it was, or beside the comparison's where the two were moved or copied together."""
    there, beside = RunFolder(Path(run)), RunFolder(comparison.parent / Path(run).name)
    if not run or there.path == beside.path or not beside.plan.is_file():
        return run
    moved = not there.path.is_dir()
    return str(beside.path) if moved or _same_text(there.plan, beside.plan) else run


def _same_text(one: Path, other: Path) -> bool:
    try:
        return one.read_bytes() == other.read_bytes()
    except OSError:
        return False


def own_prompts(folder: RunFolder) -> Path:
    """The copy of a person's own prompt set that the comparison uses, whatever becomes of their file."""
    return folder.path / "prompts.toml"
