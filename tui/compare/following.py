"""Following a comparison's files from a thread, and the sentence on how it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.compare.report import PictureRow, Report, read_report, report_path
from engine.errors import LorasmithError, shown
from engine.runs.folder import RunFolder
from tui.commands.status import can_only_fail, how_to_go_on
from tui.compare.compared import Compared
from tui.text import home_path
from tui.watch.story import Follower, Seen

PAGE = "page.html"


@dataclass
class Looked:
    """What one look has found; what is None has not changed. `trouble`: why there is no report, in a sentence."""

    report: Report | None = None
    trouble: str = ""
    job: Seen | None = None
    newest: PictureRow | None = None


class Looker:
    """Follows the report and the job's record. For one thread at a time."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._follower = Follower(run)
        self._stamp: tuple[int, int] | None = None
        self._looked = False

    @property
    def size(self) -> int:
        """Bytes of report and record."""
        try:
            return report_path(self.run.compare).stat().st_size + self._follower.size
        except OSError:
            return self._follower.size

    def look(self) -> Looked | None:
        """What has changed since the last look; None where nothing has."""
        looked = Looked(job=self._follower.look())
        stamp = self._stamp_now()
        if stamp != self._stamp or not self._looked or (stamp is None and looked.job is not None):
            self._stamp, self._looked = stamp, True
            try:
                looked.report = read_report(self.run.compare)
                if looked.report.state == "drawing":
                    looked.newest = newest_of(self.run.compare, looked.report)
            except LorasmithError as error:
                looked.trouble = shown(error) if stamp is not None else self._not_yet()
        return looked if looked.report is not None or looked.trouble or looked.job is not None else None

    def _not_yet(self) -> str:
        if self._follower.last is None or self._follower.last.summary.alive:
            return "Nothing is drawn yet: the untouched base comes first."
        return "There is no report: w shows why, and starts the comparison again."

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            facts = report_path(self.run.compare).stat()
        except OSError:
            return None
        return facts.st_mtime_ns, facts.st_ino


def newest_of(folder: Path, report: Report) -> PictureRow | None:
    """The picture that was drawn last, by the files' own times; None where there is none."""

    def drawn(row: PictureRow) -> float:
        try:
            return (folder / row.file).stat().st_mtime
        except OSError:
            return 0.0

    return max(report.pictures, key=drawn, default=None)


def how_it_stands(
    run: RunFolder, job: Seen | None, seen: Compared | None, newest: PictureRow | None, trouble: str
) -> tuple[str, str]:
    """The one sentence for the line below, and its ink."""
    status = job.summary.status if job is not None else ""
    if job is not None and job.summary.alive:
        if trouble:
            return trouble, "muted"
        drawn = ""
        if newest is not None and seen is not None:
            drawn = f"Drawn last: {seen.name((newest.checkpoint, newest.weight))}. "
        return f"{drawn}It goes on when you leave (q); `lorasmith` comes back.", "muted"
    if trouble:
        return trouble, "bad"
    if status in {"failed", "died"} and job is not None:
        why = shown(job.summary.reason or "not said").rstrip(".")
        if can_only_fail(job.summary):
            return f"It ended early: {why}. {how_to_go_on(run, job.summary)}.", "bad"
        return f"It ended early: {why}. What is drawn is kept; w, then r goes on.", "bad"
    if seen is None:
        return "", "muted"
    report = seen.report
    if report.chosen is not None:
        return f"Your LoRA is {seen.name((report.chosen.checkpoint, report.chosen.weight))}: " + shown(
            home_path(Path(report.chosen.file))), "good"  # fmt: skip
    if report.state != "done":
        return "It was stopped; what is drawn is kept. w, then r goes on.", "warn"
    page = run.compare / PAGE
    return (f"As a page: {home_path(page)}", "muted") if page.is_file() else ("", "muted")
