"""What a plot's grid says of itself: the text by which A1111 sets up the same plot when it is pasted there. Light."""

from __future__ import annotations

import json
from collections.abc import Callable

from engine.draw.order import lora_tag
from engine.draw.plot_axes import Axis, number_text
from engine.draw.plot_settings import Cell, Plot
from engine.draw.plot_sources import BASE
from engine.draw.samplers import SAMPLERS

_TYPES = {"seed": "Seed", "steps": "Steps", "cfg": "CFG Scale", "sampler": "Sampler", "size": "Size",
          "order": "Prompt order"}  # fmt: skip
_SEARCHED = "Prompt S/R"


def grid_parameters(plot: Plot, of_cell: Callable[[Cell], str]) -> str:
    """The grid's text: the first cell's that a LoRA draws, and the axes under A1111's names.

    What A1111 has no axis for becomes search and replace, which is how people plot LoRAs there: an epoch replaces
    the file's name in the tag, a weight the number in it, a prompt the whole prompt. The base's column, which no
    such replacement gives, is said beside. `of_cell` gives a cell's own text.
    """
    first = next((cell for cell in plot.cells if cell.model[0] != BASE), plot.cells[0])
    said: dict[str, str] = {"Script": "X/Y/Z plot"}
    for axis in plot.axes:
        kind, values = _as_a1111(plot, axis, first)
        place = axis.place.upper()
        said |= {f"{place} Type": kind, f"{place} Values": ", ".join(map(_value, values))}
        if axis.kind == "epoch" and BASE in axis.values:
            said[f"{place} begins with"] = "no LoRA" if axis.values[0] == BASE else "a LoRA; no LoRA among its values"
    return f"{of_cell(first)}, " + ", ".join(f"{key}: {_quoted(text)}" for key, text in said.items())


def _as_a1111(plot: Plot, axis: Axis, first: Cell) -> tuple[str, list[str]]:
    """A1111's name for an axis, and its values as they are written there."""
    if axis.kind == "epoch":
        return _SEARCHED, [plot.checkpoint(str(name)).file.stem for name in axis.values if name != BASE]
    if axis.kind == "weight":
        others = [float(value) for value in axis.values if value != first.weight]  # type: ignore[arg-type]
        return _SEARCHED, [_tail(weight) for weight in (first.weight, *others)]
    if axis.kind in {"prompt", "replace"}:
        return _SEARCHED, [str(value) for value in axis.values]
    if axis.kind == "order":
        return _TYPES["order"], [str(part) for part in axis.values[0]]  # type: ignore[union-attr]
    if axis.kind == "sampler":
        return _TYPES["sampler"], [SAMPLERS[str(value)].name for value in axis.values]
    if axis.kind == "size":
        return _TYPES["size"], ["x".join(map(str, value)) for value in axis.values]  # type: ignore[arg-type]
    return _TYPES[axis.kind], [number_text(value) for value in axis.values]  # type: ignore[arg-type]


def _tail(weight: float) -> str:
    """The end of a LoRA's tag, which is what a weight stands in: `:0.8>`."""
    return ":" + lora_tag("", weight).rpartition(":")[2]


def _value(text: str) -> str:
    """A value in a list of them: quoted, as spreadsheets do, where it holds a comma or a quote."""
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ',:\n"') else text
