"""The job of a comparison, `python -P -m engine compare RUN`: few pictures of all checkpoints, more of those that may
be the best, the finalists at other weights, and a common claim about the high-res fix put to the test.

Every picture is kept as it is drawn, every stage works out from what is there what is missing: a stop, a kill or a
full disk at any moment costs the batches in hand and no more.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.base.chosen import open_chosen
from engine.compare.again import MEASURED
from engine.compare.board import Board
from engine.compare.dose import draw_doses, findings, verdict
from engine.compare.grid import Grid, Shot, cost, grid_of
from engine.compare.judging import Stages, rules_of, stages_of
from engine.compare.measuring import Measuring
from engine.compare.outlook import seconds_before
from engine.compare.pace import Pace
from engine.compare.page import write_page
from engine.compare.painter import Painter, Undrawable, Wear
from engine.compare.photographs import place_photographs
from engine.compare.presignal import fitted_rows, weighed_rows
from engine.compare.reader import reader_opener, readers_of
from engine.compare.report import BaseFacts, Report
from engine.compare.settings import (
    MOST_SURVIVORS,
    NOTHING,
    OTHER_WEIGHTS,
    CompareJob,
    own_prompts,
    read_compare_job,
)
from engine.compare.sources import Source, open_source
from engine.errors import LorasmithError, shown
from engine.runs.job import Job, Stopped
from engine.select.cells import BASE, Point
from engine.select.decide import Decision, decide, finalists, survivors
from engine.select.presignals import HeldOutLoss, drawing_order
from engine.select.prompts import Prompt
from engine.select.words import listed, ranges

_FINALISTS = 2  # beside the last one
FIRST, MORE, WEIGHTS, HIRES_FIX = "first pictures", "more for the survivors", "weights", "high-res fix"


def run(job: Job) -> None:
    """Compares what the run's job.toml says; raises Stopped where asked to."""
    asked = read_compare_job(job.folder.job)
    work = prepared(job, asked)
    try:
        if asked.dose:
            draw_doses(work, asked.dose)
        else:
            compare(work)
    except BaseException:
        with contextlib.suppress(OSError):  # a full disk: the report before stays
            work.board.write(state="stopped", judge=False)
        raise
    work.end()


@dataclass(eq=False)
class Work:
    """Everything a comparison works with."""

    job: Job
    asked: CompareJob
    source: Source
    grid: Grid
    painter: Painter
    board: Board
    measuring: Measuring
    pace: Pace = field(default_factory=Pace)

    @property
    def folder(self) -> Path:
        return self.job.folder.compare

    @property
    def usable(self) -> list[int]:
        """The checkpoints that can be drawn and are no twins."""
        rows = self.board.report.checkpoints
        last = max((row.checkpoint for row in rows if row.problem is None), default=0)
        return [
            row.checkpoint for row in rows if row.problem is None and (row.twin_of is None or row.checkpoint == last)
        ]

    def wear(self, point: Point) -> Wear | None:
        if point == BASE:
            return None
        entry = next(one for one in self.source.entries if one.number == point.checkpoint)
        return Wear(entry.path, point.weight)

    def begin(self, stage: str, wanted: Mapping[Point, Sequence[Prompt]], later: int) -> None:
        """A stage begins that has these pictures; about so many come in the stages after it."""
        total = sum(map(len, wanted.values())) * len(self.grid.seeds)
        missing = sum(self._missing(point, prompts) for point, prompts in wanted.items())
        self.board.plan(self.board.placed + total + later)
        self.begin_counted(stage, total, missing, later, kept=total - missing)

    def begin_counted(self, stage: str, total: int, missing: int, later: int = 0, kept: int = 0) -> None:
        """A stage begins of so many pictures, of which so many are still to be drawn, and so many were before."""
        self.pace.begin(missing, later, self.painter.drawn)
        self.board.begin(stage, total, kept)

    def seconds_left(self) -> float | None:
        """Of the whole comparison, at the pace of what was drawn and measured so far."""
        spent = self.painter.seconds + self.measuring.seconds
        return self.pace.seconds_left(self.painter.drawn, spent, self.painter.batch * self.painter.at_once)

    def _missing(self, point: Point, prompts: Sequence[Prompt]) -> int:
        try:
            return len(self.painter.missing(self.wear(point), self.grid.shots(point, prompts)))
        except Undrawable:
            return 0  # said when it is its turn

    def draw(self, point: Point, prompts: Sequence[Prompt]) -> bool:
        """Draws and measures a point's pictures; False where its LoRA cannot be drawn with, which is told."""
        shots = self.grid.shots(point, prompts)
        try:
            self.painter.draw(self.wear(point), shots)
        except Undrawable as error:
            self.board.problem(point.checkpoint, str(error))
            return False
        self.measure(shots)
        return True

    def measure(self, shots: Sequence[Shot]) -> None:
        """Measures pictures that lie in the folder, unless that was done before."""
        before = time.monotonic()
        wear = self.wear(shots[0].cell.point)
        self.measuring.look(shots, [self.painter.key(wear, shot) for shot in shots])
        self.board.measured = self.measuring.measured
        for sentence in self.measuring.reader.notes:
            self.board.note(sentence)
        self.measuring.seconds += time.monotonic() - before
        self.board.spent(
            drawing=round(self.painter.seconds, 1), measuring=round(self.measuring.seconds, 1),
            pictures=self.painter.drawn,
        )  # fmt: skip

    def decided(self) -> tuple[Stages | None, Decision | None]:
        """What the measurements so far say, by the even rule: the dial does not change what is drawn."""
        if self.measuring.measured is None:
            return None, None
        try:
            stages = stages_of(self.board.report, self.measuring.measured)
        except LorasmithError:
            return None, None
        decision = decide(stages.main, rules_of(self.board.report))
        return stages, decision if isinstance(decision, Decision) else None

    def look(self, points: Sequence[Point], name: str) -> None:
        """The contact sheet: the base and these points as rows, the first prompts as columns."""
        every = len(self.grid.seeds)
        shots = {point: self.grid.shots(point, self.grid.first)[::every] for point in (BASE, *sorted(points))}
        names = {point: self._label(point) for point in shots}
        self.board.look({names[point]: own for point, own in shots.items()}, name)

    def told(self, shot: Shot) -> None:
        """A picture is there: it is counted, and what the person wants meanwhile is heard."""
        self.board.picture(shot)
        wanted = self.job.poll()
        if wanted.sample:
            self.look([point for point in self.board.points if point != BASE], "now")
        if wanted.stop is not None:
            raise Stopped

    def _label(self, point: Point) -> str:
        """A row's name in few letters: 'epoch 4', '4 at 0.8'."""
        if point == BASE:
            return "the base"
        called = self.board.report.name_of((point.checkpoint, 1.0))
        return called if point.weight == 1.0 else f"{called.removeprefix('epoch ')} at {point.weight:g}"

    def end(self) -> None:
        """The last report, and the choice in a sentence."""
        self.board.report = replace(self.board.report, stage="")
        self.board.write(state="done")
        report = self.board.report
        sentence = report.words[0].text if report.words else "There is nothing to choose from."
        if self.asked.dose:
            sentence = verdict(findings(report, self.folder))
        else:
            try:
                write_page(self.folder, told=self.job.progress("writing the page"))
            except LorasmithError as error:
                self.job.warn(str(error))
        self.job.event("compared", text=sentence, pictures=report.drawn)


def prepared(job: Job, asked: CompareJob) -> Work:
    """Opens what is compared and writes the first report; nothing is loaded yet."""
    folder = job.folder.compare
    folder.mkdir(parents=True, exist_ok=True)
    source = open_source(asked)
    base = open_chosen(source.base, job)
    before = seconds_before(asked)
    own = own_prompts(job.folder)
    grid = grid_of(
        asked, source, native=base.native_resolution, step=base.bucket_step, own_set=str(own) if own.is_file() else ""
    )
    board = Board(job, folder, Report(job.folder.name))
    losses: list[HeldOutLoss] = []
    if source.run is not None:
        losses = _losses(source.run)
    job.stage("weighing the checkpoints")
    rows, notes = weighed_rows(source.entries, losses)
    rows, left_out = fitted_rows(rows, base)
    board.report = Report(
        name=job.folder.name, run=None if source.run is None else str(source.run), kind=source.kind,
        trigger=source.trigger, class_word=source.class_word,
        base=BaseFacts(base.name, base.hash, _licence(source)), settings=grid.settings, checkpoints=rows,
        dose=asked.dose, prompts=grid.rows, photographs=place_photographs(source.photographs, folder), stage=FIRST,
    )  # fmt: skip
    for note in (*source.notes, *notes, *left_out):
        board.note(note)
    for row in rows:
        if row.problem:
            job.warn(row.problem)
    painter = Painter(
        job, folder, base, grid.texts, [entry.path for entry in source.entries], shared=not asked.dose,
    )  # fmt: skip
    readers = readers_of(job, asked, source, demo=base.source.kind == "embedded")
    for sentence in (*readers.notes, *readers.offers):
        board.note(sentence)
    neutral = [folder / shot.file for shot in grid.shots(BASE, grid.first)]
    opener = reader_opener(readers, source, grid, lambda: [path for path in neutral if path.is_file()])
    measuring = Measuring(folder, MEASURED, grid.prompts.hash, opener)
    work = Work(job, asked, source, grid, painter, board, measuring, Pace(before))
    painter.told, painter.idle, board.left = work.told, board.going_on, work.seconds_left
    return work


def compare(work: Work) -> None:
    """The stages, from first to last."""
    usable = _usable(work)
    if len(usable) == 1:
        work.board.note("There is one checkpoint to compare, so it is held against the untouched base alone.")
    money = cost(work.grid, len(usable), work.asked)
    work.job.event("plan", pictures=money.likely, least=money.least, most=money.most)
    _first(work, usable, money.likely - money.first)
    _usable(work)  # what is broken may show in its pictures only
    if work.asked.depth == "quick":
        return
    kept = _more(work)
    if kept and len(kept) > 0:
        _weights(work)
        _hires(work)


def _usable(work: Work) -> list[int]:
    """The checkpoints that can be drawn. LorasmithError where there is none."""
    if not work.usable:
        problems = [row.problem for row in work.board.report.checkpoints if row.problem]
        raise LorasmithError(f"{NOTHING}: {problems[0] if problems else 'there is no checkpoint.'}")
    return work.usable


def _first(work: Work, usable: Sequence[int], later: int) -> None:
    """The first prompts of the base and of every checkpoint, the likeliest first."""
    grid = work.grid
    losses = [HeldOutLoss(row.checkpoint, row.held_out) for row in work.board.report.checkpoints
              if row.held_out is not None]  # fmt: skip
    order = drawing_order(usable, losses)
    work.begin(FIRST, dict.fromkeys([BASE, *map(Point, order)], grid.first), later)
    work.draw(BASE, grid.first)
    done: list[Point] = []
    for number in order:
        if work.draw(Point(number), grid.first):
            done.append(Point(number))
            work.board.write()
            work.look(done, f"first-{len(done):02d}")


def _more(work: Work) -> list[Point]:
    """The other prompts of the points that may be the best; the base's too."""
    grid, board = work.grid, work.board
    stages, decision = work.decided()
    points = [Point(number) for number in work.usable]
    if stages is not None and decision is not None:
        # A picture or two of the class word alone are too few to give a checkpoint up for what they show.
        sparing = decide(stages.main, rules_of(work.board.report), spared=("bleeding",))
        looks = [one for one in (decision, sparing) if isinstance(one, Decision)]
        points = [point for point in _kept(looks, work.asked) if point.checkpoint in work.usable]
    elif not work.source.photographs and work.asked.depth != "thorough":
        board.note("Without a measure to choose by, the first pictures are all that is drawn (--thorough draws more).")
        return []
    for row in board.report.checkpoints:
        board.row(row.checkpoint, survivor=Point(row.checkpoint) in points)
    given_up = [row.checkpoint for row in board.report.checkpoints
                if row.checkpoint in work.usable and not row.survivor]  # fmt: skip
    if given_up:
        board.note(
            f"After the first pictures no more were drawn of {several(board.report, given_up)}; the figures of those "
            "rest on the first prompts."
        )
    money = cost(grid, len(work.usable), work.asked, len(points))
    wanted = dict.fromkeys([BASE, *points], grid.rest)
    work.begin(MORE, wanted, money.likely - money.first - len(wanted) * len(grid.rest) * len(grid.seeds))
    work.draw(BASE, grid.rest)
    for point in points:
        work.draw(point, grid.rest)
        board.write()
    return points


def _kept(looks: Sequence[Decision], asked: CompareJob) -> list[Point]:
    """Those that get more pictures by any of these: where the first hardly tell them apart, the best few of them.

    The last, the likest and what each look would take are always among them; of equals the earlier.
    """
    kept = sorted({point for look in looks for point in survivors(look)})
    if asked.depth == "thorough" or len(kept) <= MOST_SURVIVORS:
        return kept
    always = {point for look in looks for point in (look.last, look.likest, look.choice, look.best)}  # six at most

    def rank(point: Point) -> tuple[bool, float, Point]:
        return point not in always, -max(look.judged.of(point) for look in looks), point

    return sorted(sorted(kept, key=rank)[:MOST_SURVIVORS])


def _weights(work: Work) -> None:
    """The finalists at other weights: the choice with all prompts, the others with the first."""
    work.board.report = replace(work.board.report, stage=WEIGHTS)
    _, decision = work.decided()
    if decision is None:
        return
    grid, choice = work.grid, decision.choice.checkpoint
    points = [Point(point.checkpoint, weight) for point in finalists(decision, _FINALISTS) for weight in OTHER_WEIGHTS]
    prompts = {point: (*grid.first, *grid.rest) if point.checkpoint == choice else grid.first for point in points}
    work.begin(WEIGHTS, prompts, len(grid.first) * len(grid.seeds))
    for point in points:
        if work.draw(point, grid.first) and point.checkpoint == choice and grid.rest:
            work.draw(point, grid.rest)
        work.board.write()
    work.look([*points, *finalists(decision, _FINALISTS)], "weights")


def _hires(work: Work) -> None:
    """The early choice with the high-res fix, against a late checkpoint without it."""
    from engine.compare.hires import draw_hires

    _, decision = work.decided()
    if decision is None:
        return
    late = decision.last if decision.last != decision.choice else decision.likest
    if late.checkpoint <= decision.choice.checkpoint:
        return
    shots = work.grid.shots(decision.choice, work.grid.first)
    work.begin_counted(HIRES_FIX, len(shots), len(shots))
    work.board.hires = draw_hires(work, decision.choice, late, shots)
    work.board.write()


def _losses(run: Path) -> list[HeldOutLoss]:
    from engine.runs.events import EventReader
    from engine.select.presignals import held_out_losses

    events = run / "events.jsonl"
    return held_out_losses(EventReader(events).poll()) if events.is_file() else []


def _licence(source: Source) -> str:
    """The licence of the base, where it is known: the embedded one's own."""
    return "Apache-2.0" if source.base.model == "demo" else ""


def several(report: Report, numbers: Sequence[int]) -> str:
    """'epochs 5 to 7 and 9', or the files' own names."""
    if report.epochs and len(numbers) > 1:
        return f"epochs {ranges(sorted(numbers))}"
    return listed([shown(report.name_of((number, 1.0))) for number in numbers])
