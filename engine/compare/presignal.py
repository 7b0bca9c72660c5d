"""The rows of a comparison's checkpoints before any picture: rank, length, twins, held-out loss; what is broken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.compare.report import CheckpointRow
from engine.compare.sources import Entry, checked, rank_of
from engine.errors import LorasmithError, shown
from engine.select.presignals import HeldOutLoss, Movement, movements

if TYPE_CHECKING:
    from engine.base.load import Base


def weighed_rows(
    entries: Sequence[Entry], losses: Sequence[HeldOutLoss]
) -> tuple[tuple[CheckpointRow, ...], tuple[str, ...]]:
    """A row for every LoRA, a broken one with its problem in a sentence; and notes on twins."""
    ranks: dict[int, int | None] = {}
    problems: dict[int, str] = {}
    for entry in entries:
        weights, problem = checked(entry.path)
        if problem is not None:
            problems[entry.number] = problem
        elif weights is not None:
            ranks[entry.number] = rank_of(weights)
    moved = _moved({one.number: one.path for one in entries if one.number in ranks}, problems)
    held_out = {loss.checkpoint: loss.log_ratio for loss in losses}
    rows = tuple(_row(entry, ranks, moved, held_out, problems) for entry in entries)
    names = {entry.number: entry.name for entry in entries}
    notes = tuple(
        f"{shown(names[one.checkpoint])} is all but the same as {shown(names[one.twin_of])} "
        f"({100 * one.change:.0f} % of its weights' length apart) and is not drawn twice."
        for one in moved.values()
        if one.twin_of is not None and one.checkpoint != max(moved) and one.checkpoint not in problems
    )
    return rows, tuple("E" + note[1:] if note.startswith("epoch ") else note for note in notes)


def fitted_rows(rows: Sequence[CheckpointRow], base: Base) -> tuple[tuple[CheckpointRow, ...], tuple[str, ...]]:
    """The rows, with a problem for each LoRA that does not fit the base: said before a picture is drawn in vain. And in
    sentences, what of a LoRA is left out.
    """
    from engine.draw.loras import LoraSlot
    from engine.lora.file import load_lora

    slot, notes = LoraSlot(*base.without_weights()), []

    def fitted(row: CheckpointRow) -> CheckpointRow:
        if row.problem is not None:
            return row
        try:
            slot.check(file := load_lora(Path(row.file)))
        except LorasmithError as error:
            return replace(row, problem=str(error), twin_of=None)
        if file.left_out:
            notes.append(file.left_out)
        return row

    return tuple(map(fitted, rows)), tuple(notes)


def _moved(files: Mapping[int, Path], problems: dict[int, str]) -> dict[int, Movement]:
    """How far each file lies from the one before; what cannot be weighed goes to the problems."""
    try:
        found = movements(files)
    except LorasmithError:
        # One of them is damaged: each alone tells which, and the others are weighed without it.
        sound = {}
        for number, path in files.items():
            try:
                movements({number: path})
                sound[number] = path
            except LorasmithError as error:
                problems[number] = str(error)
        found = movements(sound)
    for one in found:
        if one.norm == 0:
            problems[one.checkpoint] = f"{shown(files[one.checkpoint].name)} is all zeros and changes nothing."
    return {one.checkpoint: one for one in found}


def _row(
    entry: Entry, ranks: Mapping[int, int | None], moved: Mapping[int, Movement], held_out: Mapping[int, float],
    problems: Mapping[int, str],
) -> CheckpointRow:  # fmt: skip
    one, problem = moved.get(entry.number), problems.get(entry.number)
    return CheckpointRow(
        entry.number, entry.name, str(entry.path), ranks.get(entry.number),
        norm=None if one is None else one.norm,
        change=None if one is None or math.isnan(one.change) else one.change,
        twin_of=None if one is None or problem else one.twin_of,
        held_out=held_out.get(entry.number), problem=problem,
    )  # fmt: skip
