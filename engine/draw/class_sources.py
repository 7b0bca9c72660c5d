"""Class pictures that a person brings: a folder or a .zip, held against the plan they are for. Light."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.dataset.buckets import BucketRules, fit
from engine.dataset.captions import CaptionRules
from engine.dataset.check import CheckReport
from engine.dataset.class_text import holds_trigger
from engine.dataset.scan import Folder, Picture, scan
from engine.dataset.zips import is_zip
from engine.draw.class_plan import ClassNeed
from engine.errors import DatasetError, shown
from engine.plan import Plan

_LICENCE_STEMS = ("license", "licence", "copying", "unlicense")
_LICENCE_READ = 4_000  # characters: enough for any title
_MANY = 0.1  # a share of odd pictures from which on it is worth a sentence


@dataclass(frozen=True)
class Brought:
    """A person's class pictures against a plan: how many are usable, and what there is to say of them."""

    pictures: int
    sentences: tuple[str, ...]


def check_brought(
    plan: Plan,
    need: ClassNeed,
    report: CheckReport,
    path: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Brought:
    """Scans the folder (or .zip) and holds it against the plan.

    Raises DatasetError for one that cannot be used: empty, unreadable, or the subject's own pictures.
    """
    own = {line.picture.digest for line in report.lines if line.picture.role == "train"}
    found = scan([Folder(path, 1, "class")], CaptionRules(extension=plan.captions.extension), progress)
    if not found.pictures:
        raise DatasetError(next((one.sentence for one in found.problems), f"{shown(path)} holds no pictures."))
    _refuse_own(path, found.pictures, own, plan)
    usable, said = _fitting(found.pictures, report.rules)
    if not usable:
        raise DatasetError(f"No picture in {shown(path)} is large enough for the plan's buckets: {said[0]}")
    sentences = [problem.sentence for problem in found.problems if problem.severity == "error"]
    sentences += [_count_words(len(usable), need), *said, *_captions(usable, plan), *_shapes(usable, need, report)]
    licence = licence_of(path)
    if licence:
        sentences.append(licence)
    return Brought(len(usable), tuple(sentences))


def _refuse_own(path: Path, pictures: tuple[Picture, ...], own: set[str], plan: Plan) -> None:
    same = [picture for picture in pictures if picture.digest in own]
    if same:
        raise DatasetError(
            f"{len(same)} of {len(pictures)} pictures in {shown(path)} are the subject's own training pictures (first: "
            f"{shown(same[0].name)}): class pictures must be of others, so give another folder."
        )
    trigger = plan.subject.instance_prompt
    called = [one for one in pictures if one.caption and holds_trigger(one.caption, trigger)]
    if called:
        raise DatasetError(
            f"{len(called)} captions in {shown(path)} hold the trigger {shown(trigger)!r} (first: "
            f"{shown(called[0].name)}), so these would teach others under the subject's name: take it out of them."
        )


def _fitting(pictures: tuple[Picture, ...], rules: BucketRules) -> tuple[list[Picture], list[str]]:
    """The pictures that a bucket can hold, and sentences on small ones."""
    usable, refused, small = [], [], 0
    for picture in pictures:
        try:
            placed = fit(picture.width, picture.height, rules)
        except DatasetError as error:
            refused.append(f"{shown(picture.name)}: {error}")
            continue
        usable.append(picture)
        small += placed.scale > 1 or placed.bucket[0] * placed.bucket[1] < 0.8 * rules.resolution**2
    said = []
    if refused:
        said.append(f"{_count(len(refused))} cannot be used (first: {refused[0].rstrip('.')}).")
    if small:
        said.append(
            f"{small} of {_count(len(usable))} are smaller than the plan's {rules.resolution} x {rules.resolution} and "
            "teach the class a softer look: larger copies are better."
        )
    return usable, said


def _count_words(usable: int, need: ClassNeed) -> str:
    if usable >= need.pictures:
        more = "" if usable == need.pictures else "; an epoch takes another part of them each time"
        return f"{_count(usable)}, and the plan wants {need.pictures:,}: enough{more}."
    return (
        f"{_count(usable)}, and the plan wants {need.pictures:,}: each is met {need.pictures / usable:.1f} times an "
        "epoch, and what is seen so often is learnt too; more of them would help."
    )


def _captions(usable: list[Picture], plan: Plan) -> list[str]:
    without = sum(one.caption is None for one in usable)
    class_prompt = plan.subject.class_prompt.strip()
    if not without:
        return []
    if class_prompt:
        return [f"{without} of {len(usable)} have no caption and stand for {shown(class_prompt)!r}."]
    return [
        f"{without} of {len(usable)} have no caption and subject.class_prompt is empty, so they would be trained on no "
        'text: write what they show, such as "woman", into the plan.'
    ]


def _shapes(usable: list[Picture], need: ClassNeed, report: CheckReport) -> list[str]:
    shapes = {shape for shape, _ in need.shapes}
    apart = sum(fit(one.width, one.height, report.rules).bucket not in shapes for one in usable)
    if apart <= _MANY * len(usable) or report.batch == 1:
        return []
    return [
        f"{apart} of {len(usable)} have shapes that none of your pictures has, so they train in batches of their own."
    ]


def licence_of(path: Path) -> str:
    """A sentence on the licence of a ready-made set; empty for a plain folder without a licence file, which is a
    person's own. OSError passes on for a folder; a damaged archive has been refused before."""
    if is_zip(path):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if is_licence(name)]
            text = archive.read(names[0])[:_LICENCE_READ].decode("utf-8", "replace") if names else ""
        if not text.strip():
            return (
                f"{shown(path.name)} says nothing of its licence: make sure that you may use these pictures."
            )
        return f"Licence of {shown(path.name)} ({shown(names[0])}): {first_words(text)}"
    if not path.is_dir():
        return ""
    found = sorted(entry for entry in path.iterdir() if entry.is_file() and is_licence(entry.name))
    if not found:
        return ""
    text = found[0].read_bytes()[:_LICENCE_READ].decode("utf-8", "replace")
    return f"Licence ({shown(found[0].name)}): {first_words(text)}" if text.strip() else ""


def is_licence(name: str) -> bool:
    """Whether a file's name is that of a licence."""
    return PurePosixPath(name.lower()).name.startswith(_LICENCE_STEMS)


def first_words(text: str) -> str:
    """The first line that says something, with a full stop."""
    line = next((" ".join(line.split()) for line in text.splitlines() if line.strip()), "")
    return shown(line[:160]).rstrip(".") + "."


def _count(number: int) -> str:
    return f"{number:,} picture{'s' * (number != 1)}"
