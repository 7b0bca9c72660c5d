"""Deciding anew on what is measured already: another setting of the dial, a vote more or less. Draws nothing; numpy."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.compare.report import Report, read_report, write_report
from engine.errors import LorasmithError, RunError, shown
from engine.select.cells import Measurements, Point
from engine.select.record import add_vote, load_measurements, read_votes, take_back
from engine.select.votes import Vote

MEASURED, HIRES, VOTES = "measured.npz", "measured-hires.npz", "votes.jsonl"


def decide_again(folder: Path, lean: float | None = None) -> Report:
    """Decides on the measurements and votes that are there, at another setting of the dial, and writes the report."""
    if lean is not None and not 0.1 <= lean <= 10:
        raise LorasmithError(f"--lean {lean:g} is outside 0.1 (all fidelity) to 10 (all flexibility); 1 is even.")
    with one_writer(folder):
        return _decided(folder, _ground(folder), lean)


@dataclass(frozen=True)
class _Ground:
    """What is decided on, read before a vote is written, so that a comparison that cannot be decided keeps its own."""

    report: Report
    measured: Measurements | None
    hires: Measurements | None


def _ground(folder: Path) -> _Ground:
    """LorasmithError where measurements that there were are gone: deciding without them would empty the report."""
    report = read_report(folder)
    measured = measurements(folder, report)
    if measured is None and (report.points or report.state == "done"):
        raise LorasmithError(
            f"The measurements of this comparison are gone ({shown(folder / MEASURED)} is missing), so nothing was "
            "decided and no vote changed: `lorasmith compare RUN --again` measures its pictures anew."
        )
    return _Ground(report, measured, hires(folder, report))


def _decided(folder: Path, ground: _Ground, lean: float | None = None) -> Report:
    """Decides anew on all votes and writes the report, for the one writer."""
    done = _judged(ground, read_votes(folder / VOTES, drawn_points(ground.report)), lean)
    write_report(folder, done)
    return done


def _judged(ground: _Ground, votes: Sequence[Vote], lean: float | None = None) -> Report:
    from engine.compare.judging import judged

    return judged(ground.report, ground.measured, votes, hires=ground.hires, lean=lean)


def vote(folder: Path, left: Point, right: Point, better: str, name: str = "") -> Report:
    """Keeps one blind vote (`left`, `right` or `same`) and decides anew; by its name it can be taken back."""
    return _keep(folder, [(Vote(left, right, {"left": left, "right": right, "same": None}[better]), name)])


def vote_all(folder: Path, votes: Sequence[Vote]) -> Report:
    """Keeps votes and decides anew. LorasmithError for one on a point that was not drawn."""
    return _keep(folder, [(one, "") for one in votes])


def _keep(folder: Path, votes: Sequence[tuple[Vote, str]]) -> Report:
    known = drawn_points(read_report(folder))
    for point in (point for one, _ in votes for point in (one.left, one.right)):
        if point not in known:
            raise LorasmithError(f"There are no pictures of checkpoint {point} in this comparison to vote on.")
    with one_writer(folder):
        ground = _ground(folder)
        done = _judged(ground, [*read_votes(folder / VOTES, known), *(one for one, _ in votes)])
        for one, name in votes:
            add_vote(folder / VOTES, one, name)
        write_report(folder, done)
        return done


def unvote(folder: Path, name: str = "") -> tuple[Vote | None, Report]:
    """Takes a vote back and decides anew: the one of this name (None where it does not count), else the last one.

    LorasmithError where there is no vote at all to be the last one.
    """
    with one_writer(folder):
        ground = _ground(folder)
        taken = take_back(folder / VOTES, name, drawn_points(ground.report))
        if taken is None and not name:
            raise LorasmithError(f"No vote counts in {shown(folder.parent.name)}, so there is none to take back.")
        return taken, _decided(folder, ground)


def drawn_points(report: Report) -> set[Point]:
    """The points that have pictures, and so can be voted on."""
    return {Point(row.checkpoint, row.weight) for row in report.pictures}


def votes_of(text: str) -> list[Vote]:
    """Votes as the page writes them: `4>5 6=4 4@0.8>4`, the better first, `=` where none is."""
    from engine.compare.judging import parsed_point

    found = []
    for word in text.replace(",", " ").split():
        mark = next((mark for mark in ">=<" if mark in word), None)
        if mark is None:
            raise LorasmithError(f"'{shown(word)}' is no vote: write 4>5 for epoch 4 over epoch 5, or 4=5.")
        left, right = (parsed_point(part) for part in word.split(mark, 1))
        if left == right:
            raise LorasmithError(f"'{shown(word)}' is no vote: it names one point twice.")
        found.append(Vote(left, right, {">": left, "<": right, "=": None}[mark]))
    if not found:
        raise LorasmithError("There is no vote in --votes: write such as '4>5 6=4'.")
    return found


def measurements(folder: Path, report: Report) -> Measurements | None:
    """What was measured so far; None before the first."""
    return _loaded(folder / MEASURED, report)


def hires(folder: Path, report: Report) -> Measurements | None:
    """What was measured of the high-res fix; None where it was not drawn."""
    return _loaded(folder / HIRES, report)


def _loaded(path: Path, report: Report) -> Measurements | None:
    return load_measurements(path, report.settings.prompts_hash) if path.is_file() else None


@contextlib.contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Holds off other writers of the report (the drawing job, a vote in another window) meanwhile."""
    try:
        file = (folder / ".report.lock").open("a")
    except OSError as error:
        raise RunError(f"cannot write in {shown(folder)} ({error.strerror}): check that folder") from error
    with file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield
