"""The health report as a person reads it, in at most 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from engine.dataset.check import CheckReport
from engine.dataset.check_text import (
    bucket_table,
    cell,
    columns_of,
    percent,
    problem_lines,
    step_lines,
    totals,
    wrapped,
)
from engine.dataset.health.figures import LEVELS, CopyGroup, Finding, Health, PictureHealth
from engine.dataset.health.judge import some_names
from engine.errors import shown

_WIDTH = 80
_LISTED = 100  # pictures in the table; with more, only those with something against them
_GROUPS = 10
_FIGURES = 42  # columns between a name and its remarks
_ROOM = 20  # columns that remarks get at least, where there are any


def health_lines(health: Health, report: CheckReport) -> tuple[str, ...]:
    """The whole report: pictures, what they will do to the LoRA, what is not used, what a training would be."""
    sections = (
        totals(report),
        _table(health.pictures),
        _sayings(health),
        _copies(health.copies),
        problem_lines(report),
        _notes(report),
        _search(health),
        [*bucket_table(report), *step_lines(report)],
        _not_seen(health.not_seen),
    )
    lines: list[str] = []
    for section in sections:
        if section:
            lines.extend(["", *section] if lines else section)
    return tuple(lines)


def _table(pictures: Sequence[PictureHealth]) -> list[str]:
    train = [one for one in pictures if one.role == "train"]
    classes = [one for one in pictures if one.role == "class"]
    shown_ones = train if len(train) <= _LISTED else [one for one in train if one.level in ("red", "amber")]
    # Class pictures come in hundreds; only those that lose much are worth a line.
    worst = sorted((one for one in classes if one.loss > 0.1), key=lambda one: -one.loss)[:10]
    if not train and not classes:
        return []
    width = _name_width([*shown_ones, *worst])
    lines = [_row(width, "picture", "size", "Mpx", "bucket", "cut", "state", "")] if shown_ones or worst else []
    lines += [_line(one, width) for one in shown_ones]
    if len(train) > len(shown_ones):
        rest = len(train) - len(shown_ones)
        lines += wrapped(f"{rest:,} more, with nothing amber or red against them (`--json` has them all)")
    if classes:
        many = sum(one.loss > 0.1 for one in classes)
        lines += wrapped(f"class pictures: {len(classes):,}, of which {many:,} lose more than 10 % to the cut")
        lines += [_line(one, width) for one in worst]
    return lines


def _name_width(pictures: Sequence[PictureHealth]) -> int:
    """As wide as the longest name, as far as the remarks leave room."""
    said = max((columns_of(one.remarks[0]) for one in pictures if one.remarks), default=0)
    room = _WIDTH - _FIGURES - min(_ROOM, said)
    longest = max((columns_of(one.name) for one in pictures), default=0)
    return max(len("picture"), min(longest, room))


def _notes(report: CheckReport) -> list[str]:
    """What was read otherwise than a person may think (transparent, CMYK, several frames): each kind once."""
    names: dict[str, list[str]] = {}
    for line in report.lines:
        for note in line.picture.notes:
            names.setdefault(note, []).append(shown(line.picture.name))
    lines = [text for note, few in names.items() for text in wrapped(f"{shown(note)}: {some_names(few)}", "- ")]
    return ["Trained, but read in a way worth knowing:", *lines] if lines else []


def _line(one: PictureHealth, width: int) -> str:
    # Of a name that is too long, its folder goes first: the rest tells pictures apart.
    name = one.name if columns_of(one.name) <= width else f".../{one.name.rpartition('/')[2]}"
    head = (
        name,
        f"{one.width}x{one.height}",
        f"{one.width * one.height / 1e6:.1f}",
        f"{one.bucket[0]}x{one.bucket[1]}",
        percent(one.loss),
        one.level or "ok",
    )
    room = _WIDTH - columns_of(_row(width, *head, "")) - 2
    return _row(width, *head, _fitting(one.remarks, room))


def _row(width: int, name: str, size: str, pixels: str, bucket: str, cut: str, state: str, remarks: str) -> str:
    return f"{cell(name, width)} {size:>11} {pixels:>4} {bucket:>9} {cut:>4}  {state:<5} {remarks}".rstrip()


def _fitting(remarks: Sequence[str], room: int) -> str:
    """As many remarks as fit, the gravest first; how many more there are is said."""
    for count in range(len(remarks), 0, -1):
        left = len(remarks) - count
        text = ", ".join(remarks[:count]) + (f" +{left}" if left else "")
        if columns_of(text) <= room or count == 1:
            return cell(text, room).rstrip() if columns_of(text) > room else text
    return ""


def _sayings(health: Health) -> list[str]:
    if not any(one.role == "train" for one in health.pictures):
        return []
    if not health.findings:
        return ["What this set will do to the LoRA: nothing was found against it."]
    counts = [(level, sum(finding.level == level for finding in health.findings)) for level in LEVELS]
    names = {"red": "red", "amber": "amber", "note": "to know"}
    said = ", ".join(f"{count} {names[level]}" for level, count in counts if count)
    lines = [f"What this set will do to the LoRA ({said}):"]
    for finding in health.findings:
        lines += _saying(finding)
    return lines


def _saying(finding: Finding) -> list[str]:
    mark = f"{finding.level:<6}"
    lines = wrapped(finding.sentence, mark)
    basis = "; ".join(part for part in (finding.value, _limit(finding), finding.source) if part)
    return [*lines, *wrapped(f"({basis})", " " * len(mark))] if finding.value else lines


def _limit(finding: Finding) -> str:
    return f"limit: {finding.limit}" if finding.limit and finding.limit not in ("any", "none") else ""


def _copies(groups: Sequence[CopyGroup]) -> list[str]:
    if not groups:
        return []
    lines = wrapped(
        "To count each shot once, move the copies, with their captions, into a folder whose name begins with a dot, "
        "such as .copies: those are not read."
    )
    for group in groups[:_GROUPS]:
        others = ", ".join(f"{name} ({how})" for name, how in zip(group.leave_out, group.how, strict=True))
        lines += wrapped(f"keep {group.keep}, move {others}", "- ")
    if len(groups) > _GROUPS:
        lines += wrapped(f"and {len(groups) - _GROUPS:,} groups more (`--json` has them all)", "- ")
    return lines


def _search(health: Health) -> list[str]:
    if health.search is None:
        return []
    said = "If others photograph what you train, its large pictures (above 4 megapixels) are found with:"
    return [*wrapped(said), shown(health.search)]


def _not_seen(sentences: Sequence[str]) -> list[str]:
    return [line for sentence in sentences for line in wrapped(sentence, "Not looked at: ")]
