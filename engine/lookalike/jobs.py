"""From a plan to a words job or a bank job, checked before anything is started. Light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.errors import LorasmithError, PlanError, shown
from engine.lookalike.names import LONGEST_NAME, tidy
from engine.lookalike.readers import check_readers
from engine.lookalike.settings import FACE_KINDS, LookalikeJob, read_job
from engine.lookalike.word import drawable, read_word
from engine.plan import Plan
from engine.runs.folder import RunFolder, list_runs

WORD_PICTURES, NAME_PICTURES = 8, 4
WORD_MADE_UP, NAME_MADE_UP = 10, 16
WORD_CLASS, NAME_CLASS = 12, 120  # a 99th percentile takes more than a hundred


def words_job(
    plan: Plan, word: str | None = None, *, steps: int = 20, encoder: str = "auto", faces: str = "auto"
) -> LookalikeJob:
    """The job that draws the plan's instance prompt, or another word. Raises LorasmithError: nothing to draw."""
    report = read_word(plan, word)
    check_readers(encoder, faces)
    return LookalikeJob(
        kind="words", base=plan.base, subject=plan.subject.kind, class_prompt=report.class_prompt,
        words=(drawable(report),), pictures=WORD_PICTURES, made_up=WORD_MADE_UP, class_pictures=WORD_CLASS,
        steps=steps, encoder=encoder, faces=faces,
    )  # fmt: skip


def bank_job(
    plan: Plan,
    names: Sequence[str],
    *,
    permission: str = "",
    steps: int = 20,
    encoder: str = "auto",
    faces: str = "auto",
) -> LookalikeJob:
    """The job that draws `names` and holds the plan's pictures against them.

    `permission` is `engine.lookalike.consent.confirmed(...)`, which kinds known by a face need before the start.
    Raises LorasmithError: no names, no pictures, no class prompt.
    """
    if not names:
        raise LorasmithError("There are no names to draw: name a file with one name a line.")
    class_prompt = tidy(plan.subject.class_prompt)
    if not class_prompt:
        raise PlanError(
            "The look-alike search holds names against the class prompt's pictures, and the plan has none: set "
            "subject.class_prompt, such as woman."
        )
    if not plan.pictures.folders:
        raise PlanError("The plan names no pictures to compare with: set pictures.folders.")
    for folder in plan.pictures.folders:
        if not Path(folder.path).exists():
            raise PlanError(f"{shown(folder.path)} is not there: correct pictures.folders in the plan.")
    if long := [name for name in names if len(name) > LONGEST_NAME]:
        raise LorasmithError(f"{shown(long[0][:40])}... is too long for a name ({LONGEST_NAME} letters at most).")
    check_readers(encoder, faces)
    return LookalikeJob(
        kind="bank", base=plan.base, subject=plan.subject.kind, class_prompt=class_prompt, words=tuple(names),
        pictures=NAME_PICTURES, made_up=NAME_MADE_UP, class_pictures=NAME_CLASS, steps=steps, encoder=encoder,
        faces=faces, photographs=tuple(folder.path for folder in plan.pictures.folders), permission=permission,
    )  # fmt: skip


def needs_permission(plan: Plan) -> bool:
    """Whether the search would look at faces."""
    return plan.subject.kind in FACE_KINDS


def pictures_to_draw(job: LookalikeJob) -> int:
    """How many pictures the job draws where the bank is empty."""
    if job.kind == "words":
        each = job.pictures + max(2, job.pictures // 2)
        return each * (1 + job.made_up) + (job.class_pictures if job.class_prompt else 0)
    again = min(job.finalists, len(job.words)) * (job.final_pictures - job.pictures)
    return job.pictures * len(job.words) + again + job.made_up * job.final_pictures + job.class_pictures


def same_run(job: LookalikeJob) -> RunFolder | None:
    """The newest run of the same job (whenever its permission was given), to follow, resume or read."""
    for run in list_runs():
        if run.kind != job.kind:
            continue
        try:
            other = read_job(run.job)
        except PlanError:
            continue  # written by another version, or by hand: a new run is made
        if replace(other, permission="") == replace(job, permission=""):
            return run
    return None
