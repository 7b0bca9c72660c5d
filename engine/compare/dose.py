"""The self-test: one LoRA at weights 0 to 2. Whoever measures a LoRA by its likeness must see the dose in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.compare.report import PointRow, Report
from engine.compare.settings import DOSES
from engine.errors import LorasmithError
from engine.plan import Kind
from engine.select.families import FLOOR, PARTS, part_weights

if TYPE_CHECKING:
    from engine.compare.job import Work

STAGE = "the same LoRA at weights 0 to 2"
BARE = "bare"  # the folder of the pictures that the base drew of the very same texts, with no LoRA near it
_RISE = 3.0  # points that fidelity may fall between two weights up to 1 by luck
_LOWER = 1.0  # points by which flexibility must be lower at weight 2: less is no difference that is shown
_SPENT = 50.0  # flexibility below which a checkpoint is overtrained at weight 1 already


@dataclass(frozen=True)
class Finding:
    """One thing that must hold, whether it does, and the figures in a sentence."""

    sentence: str
    passed: bool | None  # None: it could not be measured


def draw_doses(work: Work, checkpoint: int) -> None:
    """Draws and measures the base and one checkpoint at every weight of the test."""
    from engine.select.cells import BASE, Point

    row = work.board.report.checkpoint(checkpoint)
    if row is None or row.problem:
        raise LorasmithError(row.problem if row and row.problem else f"There is no checkpoint {checkpoint} to test.")
    work.board.report = replace(
        work.board.report, checkpoints=tuple(replace(one, survivor=one is row) for one in work.board.report.checkpoints)
    )
    prompts = work.grid.first
    pictures = len(prompts) * len(work.grid.seeds)
    work.board.plan((len(DOSES) + 1) * pictures)
    work.begin_counted(STAGE, (len(DOSES) + 2) * pictures, (len(DOSES) + 1) * pictures)
    work.draw(BASE, prompts)
    points = [Point(checkpoint, weight) for weight in DOSES]
    work.painter.draw_bare(work.grid.shots(points[0], prompts), BARE)
    for point in points:
        work.draw(point, prompts)
        work.board.write()
    work.look(points, "doses")


def findings(report: Report, folder: Path) -> list[Finding]:
    """What the test found, from the report and the pictures."""
    rows = {row.weight: row for row in report.points if row.checkpoint != 0}
    return [_same_as_bare(report, folder), _rise(rows), _fall(rows, report.kind)]


def _same_as_bare(report: Report, folder: Path) -> Finding:
    """Weight 0 against the untouched base on the same texts, pixel for pixel."""
    zero = [one for one in report.pictures if one.checkpoint != 0 and one.weight == 0.0]
    differing = [one for one in zero if not _same(folder / one.file, folder / _bare(one.file))]
    if not zero:
        return Finding("Weight 0 was not drawn.", None)
    if differing:
        return Finding(
            f"{len(differing)} of {len(zero)} pictures at weight 0 differ from the untouched base's.", False
        )
    return Finding(f"At weight 0 all {len(zero)} pictures are the untouched base's own, bit for bit.", True)


def _rise(rows: Mapping[float, PointRow]) -> Finding:
    """Up to weight 1 a picture comes ever nearer to the subject."""
    fidelity = {weight: row.fidelity for weight, row in sorted(rows.items())}
    up_to_one = [(weight, value) for weight, value in fidelity.items() if weight <= 1 and value is not None]
    if len(up_to_one) < 3:
        return Finding("Fidelity could not be measured, so its rise says nothing.", None)
    falls = [(a, b) for (a, before), (b, after) in zip(up_to_one, up_to_one[1:], strict=False)
             if after < before - _RISE]  # fmt: skip
    rose = up_to_one[-1][1] - up_to_one[0][1]
    course = ", ".join(f"{value:.0f}" for _, value in up_to_one)
    fell = f"; it falls from weight {falls[0][0]:g} to {falls[0][1]:g}" if falls else ""
    return Finding(f"From weight 0 to 1 fidelity goes {course}{fell}.", not falls and rose > _RISE)


def _fall(rows: Mapping[float, PointRow], kind: Kind) -> Finding:
    """Twice the dose costs freedom. What weight 1 has lost wholly it cannot lose further, and is left out."""
    one, two = rows.get(1.0), rows.get(2.0)
    if one is None or two is None or one.flexibility is None or two.flexibility is None:
        return Finding("Flexibility could not be measured at weights 1 and 2.", None)
    weights = part_weights(kind)
    lost = [name for name in weights if (part := one.parts.get(name)) is not None and part < FLOOR]
    left = {name: weight for name, weight in weights.items() if name not in lost}
    before, after = one.flexibility, two.flexibility
    aside = ""
    if lost and any(one.parts.get(name) is not None for name in left):
        before, after = _without(one, left), _without(two, left)
        aside = f", '{PARTS[lost[0]]}' aside, of which weight 1 has nothing left to lose"
    lower = before - after >= _LOWER
    spent = "; at weight 1 little of it is left to lose: try an earlier checkpoint" if not lower and (
        before < _SPENT) else ""  # fmt: skip
    return Finding(f"Flexibility is {after:.0f} at weight 2 and {before:.0f} at weight 1{aside}{spent}.", lower)


def _without(row: PointRow, weights: Mapping[str, float]) -> float:
    """A point's flexibility of these parts alone."""
    from engine.select.flexibility import flexible

    return float(flexible({name: part for name, part in row.parts.items() if part is not None}, weights))


def verdict(found: Sequence[Finding]) -> str:
    """The test in a sentence."""
    if all(one.passed for one in found):
        return "Passed: the measures see the dose on this base, with these encoders."
    if any(one.passed is False for one in found):
        return "Failed: on this base, with these encoders, trust the pictures more than the figures."
    return "Not everything could be measured, so the test says nothing."


def _bare(file: str) -> str:
    folder, _, name = file.removeprefix("pictures/").partition("/")
    return f"pictures/{BARE}/{name}"


def _same(one: Path, other: Path) -> bool:
    import numpy as np
    from PIL import Image

    if not (one.is_file() and other.is_file()):
        return False
    with Image.open(one) as first, Image.open(other) as second:
        return np.array_equal(np.asarray(first), np.asarray(second))
