"""Measurements cut and put together by rows: a row is one picture. numpy only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.select.cells import Cell, Measurements

# Of each group the field that has a row for every picture; the others are the same for all of a comparison.
_ROWS = {"likeness": "to_refs", "following": "to_texts", "styles": "shares", "looks": "vectors", "copying": "to_train"}


def joined(first: Measurements, second: Measurements) -> Measurements:
    """The measurements of both, the rows of the first before those of the second; one reader made both."""
    groups: dict[str, Any] = {}
    for name, rows in _ROWS.items():
        one, other = getattr(first, name), getattr(second, name)
        if one is None or other is None:
            groups[name] = None
            continue
        groups[name] = replace(other, **{rows: np.concatenate([getattr(one, rows), getattr(other, rows)])})
    pixels = None
    if first.pixels is not None and second.pixels is not None:
        pixels = np.concatenate([first.pixels, second.pixels])
    return Measurements(
        (*first.cells, *second.cells), pixels=pixels, real_pixels=second.real_pixels,
        broken={**first.broken, **second.broken}, **groups,
    )  # fmt: skip


def picked(measured: Measurements, rows: Sequence[int]) -> Measurements:
    """Some rows of the measurements."""
    groups: dict[str, Any] = {}
    for name, array in _ROWS.items():
        group = getattr(measured, name)
        groups[name] = None if group is None else replace(group, **{array: getattr(group, array)[list(rows)]})
    return Measurements(
        tuple(measured.cells[row] for row in rows), broken=measured.broken, real_pixels=measured.real_pixels,
        pixels=None if measured.pixels is None else measured.pixels[list(rows)], **groups,
    )  # fmt: skip


def without(measured: Measurements, cells: Collection[Cell]) -> Measurements | None:
    """The measurements less these cells' rows; None where none is left."""
    rows = [row for row, cell in enumerate(measured.cells) if cell not in cells]
    return picked(measured, rows) if rows else None


def of_prompts(measured: Measurements, prompts: Collection[str]) -> Measurements:
    """The rows of some prompts' pictures alone."""
    return picked(measured, [row for row, cell in enumerate(measured.cells) if cell.prompt in prompts])
