"""A common claim put to the test: an early checkpoint with the high-res fix, against a late one without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.compare.again import HIRES
from engine.compare.grid import Shot
from engine.compare.measuring import Measuring
from engine.compare.painter import Undrawable
from engine.select.cells import BASE, Point

if TYPE_CHECKING:
    from engine.compare.job import Work
    from engine.select.cells import Measurements


def draw_hires(work: Work, early: Point, late: Point, shots: Sequence[Shot]) -> Measurements | None:
    """Draws the high-res pass over the early checkpoint's pictures and measures it as pictures of its own.

    The base and the late checkpoint stay as they are. None where the pass cannot be drawn, which is told.
    """
    fixed = [replace(shot, hires=True) for shot in shots]
    wear = work.wear(early)
    assert wear is not None
    try:
        work.painter.draw_hires(wear, fixed)
    except Undrawable as error:
        work.board.note(f"The high-res fix was not drawn: {error}")
        return None
    # Its cells are those of the plain pictures, so it is measured in a file of its own.
    apart = Measuring(work.folder, HIRES, work.grid.prompts.hash, lambda: work.measuring.reader)
    for point in (BASE, late):
        plain = work.grid.shots(point, work.grid.first)
        apart.look(plain, [work.painter.key(work.wear(point), shot) for shot in plain])
    apart.look(fixed, [work.painter.key(wear, shot) for shot in fixed])
    return apart.measured
