"""Who looks at a comparison's pictures: chosen before anything is drawn, opened when the base's pictures are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.compare.grid import Grid
from engine.compare.measuring import Reader
from engine.compare.settings import CompareJob
from engine.compare.sources import Source
from engine.runs.job import Job, Stopped
from engine.select.readers import Readers, choose_readers


def readers_of(job: Job, asked: CompareJob, source: Source, *, demo: bool) -> Readers:
    """The encoders for this subject, fetched where that was asked for. LorasmithError for one that is not here."""

    def report(name: str, done: int, total: int) -> None:
        job.stage(f"downloading {name}", done, total)
        if job.stop_asked():
            raise Stopped

    return choose_readers(source.kind, demo=demo, given=asked.readers, fetch=asked.fetch, report=report)


def reader_opener(
    readers: Readers, source: Source, grid: Grid, neutral: Callable[[], list[Path]]
) -> Callable[[], Reader]:
    """Opens the reader when it is first needed: loading encoders takes seconds, and a style is read against `neutral`,
    the base's pictures."""

    def opened() -> Reader:
        from engine.select.reading import PictureReader

        return PictureReader(  # type: ignore[return-value] - its key is a cached property
            readers, source.photographs, grid.prompts, source.trigger, source.class_word, neutral=neutral(),
            native=grid.native,
        )  # fmt: skip

    return opened
