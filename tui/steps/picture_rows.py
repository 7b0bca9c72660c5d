"""The table of pictures: what becomes of each, and what is said of the set before the health check; no screen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from engine.dataset.buckets import BucketRules, Fit, fit
from engine.dataset.health.figures import Health, PictureHealth
from engine.dataset.scan import Picture
from engine.errors import DatasetError, shown
from engine.plan import Plan
from tui.steps.outlook import Outlook
from tui.text import count

FEW = 10  # pictures; usual advice asks for this many or more
LARGE = 4_000_000  # pixels; usual advice prefers pictures above that
_MARK = {"trained": ("✓", "good"), "out": ("–", "muted"), "held": ("○", "accent"), "bad": ("✗", "bad")}


@dataclass(frozen=True)
class PictureRow:
    """One picture. `state` is trained, out (left out), held (kept for the validation loss) or bad (cannot be used).

    `remark` is a word for the table, `said` are the sentences below it, `fit` how it is cut.
    """

    name: str
    path: Path
    state: str
    width: int = 0
    height: int = 0
    fit: Fit | None = None
    remark: str = ""
    said: tuple[str, ...] = ()
    level: str = ""

    @property
    def mark(self) -> tuple[str, str]:
        return _MARK[self.state]

    @property
    def megapixels(self) -> str:
        pixels = self.width * self.height
        return f"{pixels / 1e6:.1f}" if pixels >= 50_000 else f"{pixels / 1e3:.0f}k" if pixels else ""

    @property
    def bucket(self) -> str:
        return f"{self.fit.bucket[0]}x{self.fit.bucket[1]}" if self.fit else ""

    @property
    def cut(self) -> str:
        return f"{self.fit.loss:.0%}".replace("%", " %") if self.fit and self.fit.loss >= 0.005 else ""


def picture_rows(plan: Plan, outlook: Outlook | None, health: Health | None = None) -> list[PictureRow]:
    """Every training picture in its natural order, those that cannot be used at the end."""
    if outlook is None or outlook.dataset is None:
        return []
    report = outlook.estimate.report if outlook.estimate else None
    lines = {line.picture.path: line for line in report.lines} if report else {}
    looked = {one.path: one for one in health.pictures} if health else {}
    out = frozenset(plan.pictures.leave_out)
    rows = []
    for picture in outlook.dataset.pictures:
        if picture.role == "train":
            line = lines.get(picture.path)
            found = line.fit if line else _fit(picture, report.rules if report else None)
            held = line is not None and line.held_out
            rows.append(_row(picture, found, picture.name in out, held, looked.get(str(picture.path))))
    known = {row.path for row in rows}
    for problem in outlook.dataset.problems:
        if problem.severity == "error" and problem.path not in known and problem.path.suffix:
            name = shown(problem.path.name)
            rows.append(PictureRow(name, problem.path, "bad", remark="not used", said=(problem.sentence,)))
            known.add(problem.path)
    return rows


def _fit(picture: Picture, rules: BucketRules | None) -> Fit | str | None:
    """How a picture that is not trained now would be cut; why it cannot be; None while that is not known."""
    try:
        return fit(picture.width, picture.height, rules) if rules else None
    except DatasetError as error:
        return str(error)


def _row(picture: Picture, found: Fit | str | None, out: bool, held: bool, health: PictureHealth | None) -> PictureRow:
    said = list(picture.notes)
    remark, level = "", ""
    state = "out" if out else "held" if held else "trained"
    if isinstance(found, str):
        said.append(found)
        if not out:
            state, remark = "bad", "no bucket"
    elif found is not None and found.scale > 1:
        remark = f"x{found.scale:.2f}"
        said.append(f"It is enlarged {found.scale:.2f} times to its bucket and will look soft.")
    if held:
        said.append("Kept out of the training, to measure the loss on a picture that was not learnt.")
    if health is not None and health.remarks:
        remark, level = health.remarks[0], health.level or ""
        said.append(f"The health check says: {'; '.join(health.remarks)}.")
    if picture.caption:
        said.append(f"Caption: {shown(picture.caption)}")
    size = (picture.width, picture.height)
    cut = None if isinstance(found, str) else found
    return PictureRow(picture.name, picture.path, state, *size, cut, remark, tuple(said), level)


def crop_words(row: PictureRow) -> str:
    """What is cut off a picture, in words."""
    if row.fit is None:
        return ""
    bucket, resized = row.fit.bucket, row.fit.resized
    words = f"{row.width} x {row.height} px, trained as {bucket[0]} x {bucket[1]}"
    if row.fit.loss < 0.0005:
        return f"{words}, nothing is cut off"
    sides = "left and right" if resized[0] > bucket[0] else "above and below"
    return f"{words}, {row.fit.loss:.1%} cut off {sides}".replace("%", " %")


def summary_words(rows: list[PictureRow], outlook: Outlook | None) -> str:
    """The set in one line."""
    if not rows:
        return ""
    by_state = {state: sum(row.state == state for row in rows) for state in _MARK}
    parts = [count(by_state["trained"], "picture") + " trained"]
    words = {"held": "kept for validation", "out": "left out", "bad": "unusable"}
    parts += [f"{by_state[state]:,} {word}" for state, word in words.items() if by_state[state]]
    sizes = [row.width * row.height for row in rows if row.width]
    if sizes and max(sizes) >= 50_000:
        parts.append(f"{median(sizes) / 1e6:.1f} megapixels in the middle")
    if outlook is not None and outlook.estimate is not None:
        parts.append(count(len(outlook.estimate.report.buckets), "bucket"))
    return ", ".join(parts)


def advice(rows: list[PictureRow], outlook: Outlook | None) -> list[str]:
    """The usual advice where the set does not follow it, as far as sizes and numbers tell."""
    usable = [row for row in rows if row.state in {"trained", "held"}]
    if not usable:
        return []
    said = []
    if len(usable) < FEW:
        said.append(
            f"{count(len(usable), 'picture')}: ten or more teach what stays the same and what may change; u says how "
            "to bring more."
        )
    small = [row for row in usable if row.width * row.height < LARGE]
    if small and outlook is not None and not outlook.base.small:
        which = "All" if len(small) == len(usable) else f"{len(small)} of {len(usable)}"
        said.append(f"{which} are below 4 megapixels: larger ones, uncropped, keep more detail where they are cut.")
    return said


def other_words(outlook: Outlook | None) -> list[str]:
    """What the scan has to say of files and of the set as a whole."""
    if outlook is None or outlook.dataset is None:
        return []
    said = [one.sentence for one in outlook.dataset.problems if one.severity == "warning"]
    warnings = list(outlook.estimate.report.warnings) if outlook.estimate else []
    more = [f"{count(len(said) - 5, 'more file')} besides of which something is to be said."] if len(said) > 6 else []
    return [*warnings, *(said if not more else said[:5]), *more]
