"""What a comparison will cost and what will see its pictures, told before anything is drawn. Light."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from engine.base.find import DEMO
from engine.compare.grid import Cost, cost, grid_of
from engine.compare.report import read_report
from engine.compare.settings import KIND, CompareJob, Depth, read_compare_job
from engine.compare.sources import open_source
from engine.errors import LorasmithError
from engine.estimate import base_shape
from engine.runs.folder import list_runs
from engine.select.readers import NO_READER, Readers, choose_readers


@dataclass(frozen=True)
class Outlook:
    """Pictures, and seconds for one where a comparison with this base was made before; and the encoders there are, with
    those that see more and are not here.

    blind: likeness could not be measured and nobody asked for that, so every picture would be drawn and nothing chosen.
    """

    checkpoints: int
    pictures: Cost
    seconds: float | None
    readers: Readers
    blind: bool

    @property
    def span(self) -> tuple[float, float] | None:
        """Seconds that it takes at least and at most; None where no picture was drawn with this base before."""
        return None if self.seconds is None else (self.pictures.least * self.seconds, self.pictures.most * self.seconds)


def outlook(job: CompareJob, own_set: str = "") -> Outlook:
    """Counts what a job will draw. LorasmithError for what it would refuse: no checkpoint, mistakes in the prompts."""
    return outlooks(job, (job.depth,), own_set)[job.depth]


def outlooks(job: CompareJob, depths: Iterable[Depth], own_set: str = "") -> dict[Depth, Outlook]:
    """The same for a job at each of these depths; the runs of before are looked through once."""
    source, seconds = open_source(job), seconds_before(job)
    native = base_shape(source.base.model)[1]
    readers = choose_readers(source.kind, demo=source.base.model == DEMO, given=job.readers, pending=job.fetch)
    blind = readers.likeness is None and not job.fetch and job.readers != (NO_READER,)
    found: dict[Depth, Outlook] = {}
    for depth in depths:
        asked = replace(job, depth=depth)
        grid = grid_of(asked, source, native=native, step=64, own_set=own_set)
        found[depth] = Outlook(len(source.entries), cost(grid, len(source.entries), asked), seconds, readers, blind)
    return found


def seconds_before(job: CompareJob) -> float | None:
    """Seconds a picture took, drawn and measured, in the newest comparison with this base; None without one."""
    for run in list_runs():
        if run.kind != KIND:
            continue
        with contextlib.suppress(LorasmithError):
            same = read_compare_job(run.job).base == job.base
            report = read_report(run.compare)
            spent = report.seconds.get("drawing", 0.0) + report.seconds.get("measuring", 0.0)
            new = report.seconds.get("pictures", 0.0)
            if same and new >= 8 and spent:
                return spent / new
    return None
