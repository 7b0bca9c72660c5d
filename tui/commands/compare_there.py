"""What there is of a comparison already, and whether that is all of it."""

from __future__ import annotations

from pathlib import Path

from engine.compare.report import read_report, report_path
from engine.compare.settings import CompareJob, own_prompts, read_compare_job
from engine.compare.sources import open_source
from engine.errors import LorasmithError, shown
from engine.plan import KINDS
from engine.runs.folder import RunFolder
from tui.text import say


def own_set(job: CompareJob) -> str | None:
    """The text of a person's own prompt set; None for a set that travels with lorasmith."""
    from engine.select.prompts import DEMO, read_prompt_set

    if not job.prompts or job.prompts in (*KINDS, DEMO):
        return None
    path = Path(job.prompts).expanduser()
    read_prompt_set(path)  # a mistake is said now, with its line
    return path.read_text(encoding="utf-8")


def is_done(run: RunFolder, job: CompareJob) -> bool:
    """Whether this very comparison is there already: same job, finished, no checkpoint more by now.

    Checkpoints that were deleted since, to make room, take nothing from what was found of them.
    """
    if not report_path(run.compare).is_file() or read_compare_job(run.job) != job:
        return False
    report = read_report(run.compare)
    own = own_prompts(run)
    if own.is_file() and Path(job.prompts).expanduser().is_file() and own_set(job) != own.read_text(encoding="utf-8"):
        return False
    return report.state == "done" and not _there_now(job) - {_file(job, Path(row.file)) for row in report.checkpoints}


def _there_now(job: CompareJob) -> set[str]:
    """The files of the job's checkpoints; none where the training is gone."""
    try:
        return {_file(job, entry.path) for entry in open_source(job).entries}
    except LorasmithError:
        return set()


def _file(job: CompareJob, path: Path) -> str:
    """What a checkpoint's file goes by: a run's by its name, as the run may have been moved or copied since."""
    return path.name if job.run else str(path)


def say_gone(job: CompareJob, run: RunFolder, what: str) -> None:
    """Names the checkpoints of a comparison whose files are not there any more."""
    there = _there_now(job)
    rows = read_report(run.compare).checkpoints if report_path(run.compare).is_file() else ()
    gone = [shown(row.name) for row in rows if _file(job, Path(row.file)) not in there]
    if gone:
        say(f"Not there any more: {', '.join(gone)}. {what}")
