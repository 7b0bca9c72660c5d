"""The check report's parts as plain text of at most 80 columns, and the whole as JSON."""

from __future__ import annotations

import dataclasses
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.dataset.check import CheckReport
from engine.dataset.scan import Problem
from engine.errors import shown

COLUMNS = 80
_ALIKE = 10  # problems of one kind that are listed one by one


def to_json(report: CheckReport) -> dict[str, Any]:
    """The same as data: everything in the report, with names made safe and derived answers spelt out."""
    data = _plain(report)
    for line, known in zip(data["lines"], report.lines, strict=True):
        line.update(upscaled=known.upscaled, small=known.small)
    data["trainable"] = report.trainable
    return data


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    # Undecodable bytes in a name would make invalid JSON; they are shown as everywhere else.
    return shown(value) if isinstance(value, (str, Path)) else value


def totals(report: CheckReport) -> list[str]:
    """How many pictures of what, their captions, class pictures, kohya folders."""
    train = [line for line in report.lines if line.picture.role == "train"]
    held = sum(line.held_out for line in train)
    formats = Counter(line.picture.format for line in train)
    lines = []
    if train:
        kinds = ", ".join(f"{count:,} {name}" for name, count in formats.most_common())
        lines += wrapped(f"{len(train):,} training {_s('picture', len(train))} ({kinds})"
                          + (f", {held:,} of them held out for the validation loss" if held else ""))  # fmt: skip
        lines += wrapped(_caption_sentence(report))
    else:
        lines.append("No picture to train with.")
    if report.class_pool:
        lines += wrapped(
            f"{report.class_pool:,} class {_s('picture', report.class_pool)}, {report.class_need:,} an epoch; "
            f"{report.captions.class_found:,} with a caption of their own, "
            f"{report.captions.class_missing:,} with the class prompt"
        )
    for name in report.kohya:
        words = f'class "{shown(name.class_)}"'
        if name.trigger:
            words = f'trigger "{shown(name.trigger)}"' + (f", {words}" if name.class_ else "")
        lines += wrapped(f'folder "{shown(name.path.name)}": {name.repeats} {_s("repeat", name.repeats)}, {words}')
    return lines


def _caption_sentence(report: CheckReport) -> str:
    found, missing = report.captions.found, report.captions.missing
    if not missing:
        return f"captions: {found:,} found, none missing"
    return f'captions: {found:,} found, {missing:,} missing (these train with "<instance> <class>")'


def bucket_table(report: CheckReport) -> list[str]:
    """The buckets of the first epoch."""
    if not report.buckets:
        return []
    lines = [f"{'bucket':>11} {'pictures':>9} {'an epoch':>9} {'+ class':>8} {'batches':>8}  last batch"]
    for line in report.buckets:
        last = f"{line.short} of {report.batch}" if line.short else "full"
        shape = f"{line.bucket[0]} x {line.bucket[1]}"
        lines.append(
            f"{shape:>11} {line.pictures:>9,} {line.items:>9,} {line.class_items:>8,} {line.batches:>8,}  {last}"
        )
    short = [line for line in report.buckets if line.short]
    if short:
        lines += wrapped(
            f"{len(short):,} {_s('batch', len(short), 'batches')} an epoch run short; they train all the same, "
            "their gradient weighted to their true size"
        )
    return lines


def step_lines(report: CheckReport) -> list[str]:
    """From pictures to steps."""
    if not report.trainable:
        return []
    steps = report.steps
    micro = f"{steps.micro_per_epoch:,} {_s('batch', steps.micro_per_epoch, 'batches')} of {report.batch}"
    if report.accumulation > 1:
        micro += f", {report.accumulation} to a step"
    varied = f" ({min(steps.each):,} to {max(steps.each):,}, as class pictures take turns)"
    sentence = (
        f"an epoch: {micro} = {steps.per_epoch:,} {_s('step', steps.per_epoch)}"
        + (varied if len(set(steps.each[:-1])) > 1 else "")
        + f"; the training: {len(steps.each):,} {_s('epoch', len(steps.each))} = {steps.total:,} "
        + _s("step", steps.total)
    )
    return [*wrapped(sentence), *(wrapped(report.repeats_sentence) if report.repeats_sentence else [])]


def problem_lines(report: CheckReport) -> list[str]:
    """Files that take no part, and what is odd about others."""
    if not report.problems:
        return []
    errors = [problem for problem in report.problems if problem.severity == "error"]
    warnings = [problem for problem in report.problems if problem.severity == "warning"]
    lines: list[str] = []
    if errors:
        lines.append(f"{len(errors):,} {_s('problem', len(errors))}; these take no part in the training:")
        lines += _listed(errors)
    if warnings:
        lines.append(f"{len(warnings):,} {_s('thing', len(warnings))} to look at:")
        lines += _listed(warnings)
    return lines


def _listed(problems: Sequence[Problem]) -> list[str]:
    """Each problem's sentence; of those that only differ in the file's name, as in a folder of other things, a few.

    The rest is counted: a thousand lines would hide what matters (`--json` has them all).
    """
    lines: list[str] = []
    alike: Counter[str] = Counter()
    for problem in problems:
        name, _, rest = problem.sentence.partition(" is ")
        kind = rest or name
        alike[kind] += 1
        if alike[kind] <= _ALIKE:
            lines += wrapped(problem.sentence, "- ")
    for kind, number in alike.items():
        if number > _ALIKE:
            lines += wrapped(f"and {number - _ALIKE:,} more, of which each is {kind}", "- ")
    return lines


def percent(share: float) -> str:
    """A share as a table shows it."""
    return "0 %" if share <= 0 else "<1 %" if share < 0.01 else f"{share * 100:.0f} %"


def _s(word: str, count: int, plural: str = "") -> str:
    return word if count == 1 else plural or word + "s"


def wrapped(text: str, mark: str = "") -> list[str]:
    """Lines of at most 80 columns after `mark`."""
    # File names must stay findable and copyable: one that is longer than the line stays in one piece.
    return textwrap.wrap(
        text, COLUMNS, initial_indent=mark, subsequent_indent=" " * len(mark), break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip


def cell(text: str, width: int) -> str:
    """Text cut in its middle or padded to `width` terminal columns; East Asian wide characters take two."""
    if columns_of(text) <= width:
        return text + " " * (width - columns_of(text))
    tail = text
    while columns_of(tail) > width // 2:
        tail = tail[1:]
    head = text
    while columns_of(head) + 3 + columns_of(tail) > width:
        head = head[:-1]
    return cell(f"{head}...{tail}", width)


def columns_of(text: str) -> int:
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
