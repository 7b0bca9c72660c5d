"""Which comparison belongs to what a person names: a run, a comparison, a folder or files of LoRAs. Light."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.compare.settings import KIND, CompareJob, read_compare_job
from engine.errors import LorasmithError, RunError, shown
from engine.runs.folder import RunFolder, find_run, home


def find_comparison(named: str | Path) -> RunFolder:
    """The comparison of a training run, or the comparison itself. RunError where there is none yet."""
    run = find_run(named)
    if run.kind == KIND:
        return run
    found = comparison_of(run) if run.kind == "train" else None
    if found is None:
        raise RunError(f"{shown(run.name)} has not been compared yet: `lorasmith compare {shown(run.name)}` does it")
    return found


def comparison_of(run: RunFolder) -> RunFolder | None:
    """The newest comparison of a training run, beside it or among the runs; None where there is none."""
    return _newest(run.path.parent, lambda job: bool(job.run) and not job.dose and Path(job.run) == run.path)


def same_files(wanted: CompareJob) -> RunFolder | None:
    """The newest comparison of these LoRA files, or of others in the same folders some of which are these."""
    return _newest(None, lambda job: not job.run and job.base == wanted.base and _overlap(job, wanted))


def self_test_of(run: RunFolder) -> RunFolder | None:
    """The newest self-test of a training run."""
    return _newest(run.path.parent, lambda job: bool(job.dose) and Path(job.run) == run.path)


def parent_of(job: CompareJob) -> Path | None:
    """Where the comparison's folder is made: beside the run; None is where runs are kept."""
    return Path(job.run).parent if job.run else None


def comparison_name(files: Sequence[Path]) -> str:
    """What to call a comparison of files: after their folder, or the first of them."""
    folders = {path.absolute().parent for path in files}
    return (next(iter(folders)).name if len(folders) == 1 and len(files) > 1 else "") or files[0].stem


def _overlap(job: CompareJob, wanted: CompareJob) -> bool:
    folders = [{Path(file).parent for file in one.loras} for one in (job, wanted)]
    return folders[0] == folders[1] and bool(set(job.loras) & set(wanted.loras))


def _newest(parent: Path | None, fits: Callable[[CompareJob], bool]) -> RunFolder | None:
    """The newest comparison in this folder (and where runs are kept) whose job fits."""
    places: dict[Path, None] = dict.fromkeys([home() / "runs", *([parent] if parent else [])])
    found: list[RunFolder] = []
    for place in places:
        with contextlib.suppress(OSError):
            found += [RunFolder(path) for path in place.iterdir() if (path / "job.toml").is_file()]
    fitting = []
    for run in found:
        if run.kind != KIND:
            continue
        with contextlib.suppress(LorasmithError):
            if fits(read_compare_job(run.job)):
                fitting.append(run)
    return max(fitting, key=lambda run: run.job.stat().st_mtime_ns, default=None)
