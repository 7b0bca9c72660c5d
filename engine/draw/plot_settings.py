"""An X/Y/Z plot as settled: its job.toml, and every cell with the order it is drawn by. Light."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from engine.draw.order import Order, check_limits
from engine.draw.plot_axes import Axis, AxisKind, Value, label, reordered, searched
from engine.draw.plot_sources import BASE, Checkpoint
from engine.errors import LorasmithError, PlanError, shown
from engine.files import atomic_path
from engine.plan import BaseChoice
from engine.runs.folder import RunFolder, list_runs

KIND = "plot"
PLACES = "xyz"
CELLS, GRID, RESULT = "cells", "grid.png", "plot.json"  # in the run folder
MOST_MEGAPIXELS = 200.0  # as A1111; a PNG of more is opened by few programs
SHOWN_SIDE = 192  # pictures smaller than this, which only a small base draws, are enlarged in whole pixels


@dataclass(frozen=True)
class Cell:
    """One cell: its place (column, row, sub-grid), which checkpoint draws it at what weight, and what it draws.

    `checkpoint` is BASE for the untouched base, which a weight of 0 is too.
    """

    place: tuple[int, int, int]
    checkpoint: str
    weight: float
    order: Order

    @property
    def model(self) -> tuple[str, float]:
        """What must be worn to draw it; cells of one model are drawn together."""
        return (self.checkpoint, self.weight) if self.checkpoint != BASE and self.weight else (BASE, 0.0)


@dataclass(frozen=True)
class Plot:
    """Everything that a plot is drawn by.

    `order` holds what no axis varies. `cell` is the longest side of a cell in the grid, 0 as drawn; `margin` the
    pixels between cells, None for what suits their size. `to` is where the grid goes beside the run folder.
    """

    order: Order
    axes: tuple[Axis, ...]
    checkpoints: tuple[Checkpoint, ...] = ()
    base: BaseChoice = field(default_factory=lambda: BaseChoice(model="demo"))
    cell: int = 0
    margin: int | None = None
    to: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows, sub-grids."""
        lengths = {axis.place: len(axis.values) for axis in self.axes}
        return lengths.get("x", 1), lengths.get("y", 1), lengths.get("z", 1)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, X fastest, then Y, then Z. Raises LorasmithError where search and replace finds nothing."""
        return tuple(self._cells())

    def _cells(self) -> Iterator[Cell]:
        columns, rows, sub_grids = self.shape
        default = self.checkpoints[0].name if self.checkpoints else BASE
        weights = {BASE: 1.0} | {one.name: one.weight for one in self.checkpoints}
        for z, y, x in product(range(sub_grids), range(rows), range(columns)):
            indices = {"x": x, "y": y, "z": z}
            at = {axis: indices[axis.place] for axis in self.axes}
            said = {axis.kind: axis.values[index] for axis, index in at.items() if axis.kind != "replace"}
            checkpoint = str(said.get("epoch", default))
            weight = float(said.get("weight", weights[checkpoint]))  # type: ignore[arg-type]
            changed: dict[str, Any] = {kind: said[kind] for kind in _OF_AN_ORDER if kind in said}
            order = replace(self.order, **changed)
            for axis, index in at.items():
                order = _worded(order, axis, axis.values[index])
            yield Cell((x, y, z), checkpoint, weight, order)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """The sizes that its pictures are drawn in."""
        axis = self.axis("size")
        return (self.order.size,) if axis is None else axis.values  # type: ignore[return-value]

    def axis(self, kind: AxisKind) -> Axis | None:
        return next((axis for axis in self.axes if axis.kind == kind), None)

    def checkpoint(self, name: str) -> Checkpoint:
        return next(one for one in self.checkpoints if one.name == name)

    def labels(self, place: str) -> list[str]:
        """What stands beside the values of an axis; one empty text where there is no such axis."""
        axis = next((axis for axis in self.axes if axis.place == place), None)
        if axis is None:
            return [""]
        if axis.kind == "epoch":
            return [str(value) or "no LoRA" for value in axis.values]
        return [label(axis.kind, value) for value in axis.values]

    def file(self, cell: Cell) -> str:
        """What a cell's PNG in `cells/` is called: x02-y01.png, of several sub-grids z03-x02-y01.png."""
        column, row, sub_grid = cell.place
        before = f"z{sub_grid + 1:02d}-" if self.shape[2] > 1 else ""
        return f"{before}x{column + 1:02d}-y{row + 1:02d}.png"

    def called(self, cell: Cell) -> str:
        """A cell as people name it: `epoch 3, weight 0.8`."""
        labels = [self.labels(place)[index] for place, index in zip(PLACES, cell.place, strict=True)]
        return ", ".join(shown(text[:60]) for text in labels if text)


_OF_AN_ORDER: tuple[AxisKind, ...] = ("prompt", "seed", "cfg", "steps", "sampler", "size")


def _worded(order: Order, axis: Axis, value: Value) -> Order:
    """The order with search and replace, or another order of its parts, done in its prompts."""
    if axis.kind == "order":
        parts = [str(part) for part in value]  # type: ignore[union-attr]
        missing = next((part for part in parts if part not in order.prompt), None)
        if missing is not None:
            raise LorasmithError(
                f"The part {shown(missing)!r} to put in order is not in the prompt {shown(order.prompt)!r}: write it "
                "as it stands there."
            )
        return replace(order, prompt=reordered(order.prompt, parts))
    if axis.kind != "replace":
        return order
    search = str(axis.values[0])
    if search not in order.prompt and search not in order.negative:
        raise LorasmithError(
            f"The text {shown(search)!r} to search for is neither in the prompt {shown(order.prompt)!r} nor in the "
            "negative one: the first value of replace must stand there."
        )
    return replace(
        order, prompt=searched(order.prompt, search, str(value)), negative=searched(order.negative, search, str(value))
    )


def checked(plot: Plot, step: int, *, has_loras: bool) -> Plot:
    """The plot, if it can be drawn on a base whose sides are multiples of `step`. LorasmithError in one sentence."""
    # Of replacements there may be two, of different texts.
    kinds = [(axis.kind, axis.values[0] if axis.kind == "replace" else "") for axis in plot.axes]
    for axis, kind in zip(plot.axes, kinds, strict=True):
        first = plot.axes[kinds.index(kind)]
        if first is not axis:
            raise LorasmithError(
                f"Both --{first.place} and --{axis.place} are {axis.kind}, so one would undo the other: name another "
                "kind for one of them."
            )
    if not has_loras and any(axis.kind in {"epoch", "weight"} for axis in plot.axes):
        wanted = next(axis.kind for axis in plot.axes if axis.kind in {"epoch", "weight"})
        raise LorasmithError(f"An axis of {wanted} needs LoRAs: add --lora with a run, a folder of LoRAs or a file.")
    for width, height in plot.sizes:
        check_limits((width, height))
        if width % step or height % step or width < step or height < step:
            raise LorasmithError(
                f"The size {width}x{height} cannot be drawn: both sides must be multiples of {step}."
            )
    _check_grid(plot)
    assert plot.cells  # says what search and replace does not find
    return plot


def _check_grid(plot: Plot) -> None:
    columns, rows, sub_grids = plot.shape
    widest, tallest = (max(shown_size(size, plot)[side] for size in plot.sizes) for side in (0, 1))
    pixels = columns * rows * sub_grids * widest * tallest / 1e6
    if pixels > MOST_MEGAPIXELS:
        cell = int(max(widest, tallest) * (MOST_MEGAPIXELS / pixels) ** 0.5 * 0.95) // 32 * 32
        instead = f", or shrink the cells with --cell {cell}" if cell >= 64 else ""
        raise LorasmithError(
            f"The grid would be {columns * sub_grids:,} x {rows:,} cells of {widest}x{tallest}, {pixels:,.0f} "
            f"megapixels, and {MOST_MEGAPIXELS:,.0f} are the limit: name fewer values{instead}."
        )


def shown_size(size: tuple[int, int], plot: Plot) -> tuple[int, int]:
    """How large a picture of this size stands in the grid."""
    width, height = size
    side = max(width, height)
    if plot.cell and side > plot.cell:
        return max(1, round(width * plot.cell / side)), max(1, round(height * plot.cell / side))
    # One factor for the whole plot, so that its sizes can be compared.
    factor = max(1, min(SHOWN_SIDE, plot.cell or SHOWN_SIDE) // max(map(max, plot.sizes)))
    return width * factor, height * factor


def same_plot(plot: Plot) -> RunFolder | None:
    """The newest run that does, or did, this very plot; to be followed, resumed or taken as it is."""
    text = job_text(plot)
    for run in list_runs():
        if run.kind == KIND and run.job.read_text(encoding="utf-8", errors="replace") == text:
            return run
    return None


def job_text(plot: Plot) -> str:
    """The plot as job.toml; `read_plot` gives it back."""
    import tomlkit

    document = tomlkit.document()
    document["kind"] = KIND
    document["to"] = plot.to
    document["cell"] = plot.cell
    if plot.margin is not None:
        document["margin"] = plot.margin
    document["drawing"] = _plain(asdict(plot.order))
    document["base"] = asdict(plot.base)
    axes, checkpoints = tomlkit.aot(), tomlkit.aot()
    for axis in plot.axes:
        axes.append(tomlkit.item({"place": axis.place, "kind": axis.kind, "values": _plain(axis.values)}))
    for one in plot.checkpoints:
        table = {"name": one.name, "file": str(one.file), "stamp": one.stamp, "weight": one.weight}
        checkpoints.append(tomlkit.item(table | ({} if one.epoch is None else {"epoch": one.epoch})))
    if plot.axes:
        document["axes"] = axes
    if plot.checkpoints:
        document["checkpoints"] = checkpoints
    return tomlkit.dumps(document)


def read_plot(path: Path) -> Plot:
    """The plot in a job.toml. PlanError for one that is damaged: it is written by lorasmith."""
    try:
        said: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        drawing = said["drawing"]
        order = Order(**drawing | {"size": _pair(drawing["size"])})
        axes = tuple(Axis(axis["kind"], _values(axis["values"]), axis["place"]) for axis in said.get("axes", []))
        checkpoints = tuple(
            Checkpoint(one["name"], Path(one["file"]), one.get("epoch"), one["stamp"], one["weight"])
            for one in said.get("checkpoints", [])
        )
        plot = Plot(
            order, axes, checkpoints, BaseChoice(**said["base"]), said["cell"], said.get("margin"), said["to"]
        )  # fmt: skip
        assert plot.cells
        return plot
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError, StopIteration) as error:
        raise PlanError(
            f"{shown(path)} cannot be read as a plot ({shown(error)}): run `lorasmith plot` anew."
        ) from error


def deliver(grid: Path, to: Path) -> None:
    """Copies the grid to where it is wanted. LorasmithError where that cannot be."""
    try:
        with atomic_path(to) as beside:
            shutil.copyfile(grid, beside)
    except OSError as error:
        raise LorasmithError(
            f"The grid is drawn and lies in {shown(grid)}, but {shown(to)} cannot be written ({error.strerror}): copy "
            "it, or make room or the folder there and go on."
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _pair(value: Sequence[int]) -> tuple[int, int]:
    width, height = value
    return int(width), int(height)


def _values(values: Sequence[Any]) -> tuple[Value, ...]:
    return tuple(tuple(one) if isinstance(one, list) else one for one in values)
