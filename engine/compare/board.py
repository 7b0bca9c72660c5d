"""The live report of a comparison while its job works: counts, rows, pictures, and a contact sheet to look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.compare.again import VOTES, drawn_points, one_writer
from engine.compare.judging import judged
from engine.compare.painter import Shot
from engine.compare.report import PictureRow, Report, State, read_report, report_path, write_report
from engine.compare.sheet import epoch_sheet
from engine.errors import LorasmithError
from engine.runs.job import Job
from engine.select.cells import Measurements, Point
from engine.select.record import read_votes

_WRITE_SECONDS = 8.0  # between two reports while pictures come
_QUIET_SECONDS = 15.0  # without a picture after which the record says that it goes on


@dataclass(eq=False)
class Board:
    """Keeps report.json true to what is there; a person's dial, votes and choice in it are never overwritten.

    left: says how many seconds the whole comparison still takes, as far as that is known.
    """

    job: Job
    folder: Path
    report: Report
    measured: Measurements | None = None
    hires: Measurements | None = None
    left: Callable[[], float | None] = lambda: None
    _pictures: dict[str, PictureRow] = field(default_factory=dict)
    _stage: tuple[str, int, int] = ("", 0, 0)
    _seen: set[str] = field(default_factory=set)
    _written: float = 0.0
    _told: float = 0.0

    def begin(self, stage: str, total: int, kept: int = 0) -> None:
        """A stage of so many pictures begins; so many of them were drawn before, and come to lie there by and by."""
        self.report = replace(self.report, stage=stage)
        self._stage, self._seen = (stage, kept, total), set()
        self.job.stage(*self._stage, left=self.left())
        self.write()

    def picture(self, shot: Shot) -> None:
        """A picture lies in the folder now."""
        self._pictures[shot.file] = shot.row
        if shot.file not in self._seen:
            self._seen.add(shot.file)
        name, done, total = self._stage
        self._stage = (name, max(done, min(len(self._seen), total)), total)
        self.job.stage(*self._stage, left=self.left())
        self._told = time.monotonic()
        if time.monotonic() - self._written > _WRITE_SECONDS:
            self.write(judge=False)

    @property
    def points(self) -> tuple[Point, ...]:
        """The points of which there is a picture."""
        return tuple(sorted({Point(row.checkpoint, row.weight) for row in self._pictures.values()}))

    def going_on(self) -> None:
        """Between two denoising steps: long ones are told of, so that quiet is explained."""
        if time.monotonic() - self._told > _QUIET_SECONDS:
            self._told = time.monotonic()
            name, done, total = self._stage
            self.job.event("stage", name=name, done=done, total=total, left=self.left())

    def note(self, sentence: str) -> None:
        """A sentence for the report and the record, once."""
        if sentence not in self.report.notes:
            self.report = replace(self.report, notes=(*self.report.notes, sentence))
            self.job.warn(sentence)

    def problem(self, number: int, sentence: str) -> None:
        """A checkpoint that cannot be drawn with."""
        self.row(number, problem=sentence)
        self.job.warn(sentence)

    def row(self, number: int, **changes: object) -> None:
        rows = (replace(one, **changes) if one.checkpoint == number else one for one in self.report.checkpoints)  # type: ignore[arg-type]
        self.report = replace(self.report, checkpoints=tuple(rows))

    @property
    def placed(self) -> int:
        """How many pictures there are."""
        return len(self._pictures)

    def plan(self, pictures: int) -> None:
        self.report = replace(self.report, planned=pictures)

    def write(self, *, judge: bool = True, state: State | None = None) -> None:
        """Writes the report; `judge` works out figures, decision and words from what is measured by now."""
        with one_writer(self.folder):
            self._take_persons()
            rows = tuple(self._pictures[file] for file in sorted(self._pictures))
            self.report = replace(
                self.report, pictures=rows, drawn=len(rows), planned=max(self.report.planned, len(rows)),
                state=state or self.report.state,
            )  # fmt: skip
            if judge:
                votes = read_votes(self.folder / VOTES, drawn_points(self.report))
                self.report = judged(self.report, self.measured, votes, hires=self.hires)
            write_report(self.folder, self.report)
        self._written = time.monotonic()

    def _take_persons(self) -> None:
        """The dial and the choice, as they stand in the file: set by a person meanwhile."""
        if not report_path(self.folder).is_file():
            return
        try:
            there = read_report(self.folder)
        except LorasmithError:
            return  # a damaged or older report is replaced
        self.report = replace(self.report, lean=there.lean, chosen=there.chosen)

    def spent(self, **seconds: float) -> None:
        self.report = replace(self.report, seconds={**self.report.seconds, **seconds})

    def look(self, points: Mapping[str, Sequence[Shot]], name: str) -> None:
        """A contact sheet as the run's sample: a row for each point, labelled, the same prompts in columns."""
        rows = {
            label: [self.folder / shot.file if shot.file in self._pictures else None for shot in shots]
            for label, shots in points.items()
        }
        if not any(any(row) for row in rows.values()):
            return
        samples = self.job.folder.samples
        epoch_sheet(rows, samples / f"{name}.png")
        self.job.event("sample", files=[f"{samples.name}/{name}.png"])


