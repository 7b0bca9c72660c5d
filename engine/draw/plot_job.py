"""The job of an X/Y/Z plot, `python -P -m engine plot RUN`: every cell drawn and kept, then the grid of them all.

The LoRAs are the outermost loop: one after the other is put on the model in place, and draws its cells in the same
batches as every other. A cell that is drawn lies in the run's `cells/` at once, so a stop, a kill or a full disk
costs the batch in hand; a cell that cannot be drawn stays blank and is named.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy
import torch

from engine.base.chosen import open_chosen
from engine.base.load import Base
from engine.draw.artist import (
    draw_orders,
    drawing_device,
    drawing_dtype,
    encode_orders,
    placed_on,
    usual_batch,
)
from engine.draw.loras import LoraSlot, Worn
from engine.draw.order import Order, lora_tag, parameters
from engine.draw.plot_layout import Grid, Place, grid_picture
from engine.draw.plot_settings import (
    CELLS,
    GRID,
    RESULT,
    SHOWN_SIDE,
    Cell,
    Plot,
    deliver,
    read_plot,
    shown_size,
)
from engine.draw.plot_sources import BASE, stamp_of
from engine.draw.plot_text import grid_parameters
from engine.draw.sampling import Prompt, save_png
from engine.draw.store import DrawingStore, model_id
from engine.errors import BaseModelError, LorasmithError, shown
from engine.files import atomic_path, check_space, write_atomic
from engine.lora.file import load_lora
from engine.lora.keys import part_of
from engine.lora.weights import open_weights
from engine.runs.job import Job, Stopped

_LOOK_SECONDS = 60.0  # between two views of the grid as it fills
_VIEW_WIDTH = 1600  # pixels of such a view
_BYTES_A_PIXEL = 1.6  # of a PNG of a drawn photograph
_QUIET = 20.0  # seconds without a cell after which the record says that it goes on


def run(job: Job) -> None:
    """Draws the plot of the run's job.toml; raises Stopped where asked to, LorasmithError where nothing comes of it."""
    plot = read_plot(job.folder.job)
    base = open_chosen(plot.base, job)
    device = drawing_device()
    dtype = drawing_dtype(device, base)
    kept = _Cells(job, plot, DrawingStore(model_id(base, dtype)), base)
    kept.place_from_store()
    _check_space(job, plot, kept)
    job.event("plan", pictures=len(plot.cells), found=kept.done, base=base.name)
    wanted = [model for model in _models(plot) if kept.missing(model)]
    if wanted:
        _Painter(job, plot, base, kept, device, dtype).paint(wanted)
    _finish(job, plot, base, kept)


Model = tuple[str, float]  # a checkpoint's name and its weight; (BASE, 0.0) is the untouched base


def _models(plot: Plot) -> dict[Model, list[Cell]]:
    """The cells by the model that draws them: the base first, then checkpoint by checkpoint, each at its weights."""
    ranks = {BASE: -1} | {one.name: index for index, one in enumerate(plot.checkpoints)}
    by_model: dict[Model, list[Cell]] = defaultdict(list)
    for cell in plot.cells:
        by_model[cell.model].append(cell)
    return dict(sorted(by_model.items(), key=lambda item: ranks[item[0][0]]))


@dataclass
class _Cells:
    """The run's `cells/` as it fills, what failed of it, and what the person asks of the job meanwhile."""

    job: Job
    plot: Plot
    store: DrawingStore
    base: Base
    failed: dict[Place, str] = field(default_factory=dict)
    _looked: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.folder = self.job.folder.path / CELLS
        self.folder.mkdir(exist_ok=True)
        self._by_model = _models(self.plot)
        self._there = {cell.place for cell in self.plot.cells if self.path(cell).is_file()}

    def path(self, cell: Cell) -> Path:
        return self.folder / self.plot.file(cell)

    @property
    def done(self) -> int:
        return len(self._there)

    def pictures(self) -> dict[Place, Path]:
        return {cell.place: self.path(cell) for cell in self.plot.cells if cell.place in self._there}

    def missing(self, model: Model) -> list[Cell]:
        return [cell for cell in self._by_model[model] if cell.place not in self._there]

    def batches(self, model: Model, size: int) -> list[list[Order]]:
        """The batches in which a model draws its cells, of which something is missing.

        Whole batches, though a part may be there: so each cell is drawn in the same company under every checkpoint
        and after every resume, and what differs between two cells is the LoRA alone.
        """
        groups: dict[object, list[Order]] = defaultdict(list)
        for order in dict.fromkeys(cell.order for cell in self._by_model[model]):
            groups[order.size, order.steps, order.cfg, order.sampler, order.negative].append(order)
        missing = {cell.order for cell in self.missing(model)}
        parts = [group[at : at + size] for group in groups.values() for at in range(0, len(group), size)]
        return [part for part in parts if missing.intersection(part)]

    def place_from_store(self) -> None:
        """Takes over what the untouched base has drawn before, for whichever project."""
        for cell in self.missing((BASE, 0.0)) if (BASE, 0.0) in self._by_model else ():
            if self.store.has(cell.order):
                self.store.place(cell.order, self.path(cell))
                self._there.add(cell.place)

    def keep(self, model: Model, order: Order, pixels: Any) -> None:
        """Writes a drawing to the cells of this order that lack it."""
        cells = [cell for cell in self.missing(model) if cell.order == order]
        if not cells:
            return
        text = cell_parameters(self.plot, cells[0], self.base)
        if model == (BASE, 0.0):
            if not self.store.has(order):
                self.store.put(order, lambda path: save_png(pixels, path, text))
            for cell in cells:
                self.store.place(order, self.path(cell))
        else:
            save_png(pixels, self.path(cells[0]), text)
            for cell in cells[1:]:  # two values that come to the same order, such as a replacement of nothing
                _same_file(self.path(cells[0]), self.path(cell))
        self._there.update(cell.place for cell in cells)

    def fail(self, model: Model, orders: Sequence[Order], reason: str) -> None:
        """Leaves what is missing of these orders blank, and says so."""
        cells = [cell for cell in self.missing(model) if cell.order in orders]
        if not cells:
            return
        self.failed |= {cell.place: reason for cell in cells}
        whole = len(cells) == len(self._by_model[model])
        called = _model_called(self.plot, model) if whole and len(cells) > 1 else self.plot.called(cells[0])
        more = "" if whole or len(cells) == 1 else f" and {len(cells) - 1} more"
        self.job.warn(f"{called}{more}: blank in the grid. {reason}")

    def between_steps(self) -> None:
        """Between two denoising steps: a stop ends the batch in hand, which is drawn anew on a resume."""
        if self.job.stop_asked():
            raise Stopped
        if time.monotonic() - self._told > _QUIET:
            self.tell()

    def tell(self) -> None:
        self._told = time.monotonic()
        self.job.stage("drawing cells", self.done, len(self.plot.cells))

    def after_batch(self) -> None:
        """Tells the count, shows the grid as it stands when it is time or asked for, and stops where asked."""
        self._told = time.monotonic()
        self.job.event("step", step=self.done, steps=len(self.plot.cells))
        wanted = self.job.poll()
        if wanted.sample or (time.monotonic() - self._looked > _LOOK_SECONDS and self.done < len(self.plot.cells)):
            self.look()
        if wanted.stop is not None:
            raise Stopped

    def look(self) -> None:
        """The grid as it stands, small, as the run's sample."""
        self._looked = time.monotonic()
        columns, _, sub_grids = self.plot.shape
        side = min(SHOWN_SIDE, max(32, _VIEW_WIDTH // (columns * sub_grids)))
        small = replace(self.plot, cell=side)
        self.job.folder.samples.mkdir(exist_ok=True)
        path = self.job.folder.samples / f"plot-{self.done:06d}.png"
        picture = grid_picture(grid_of(small), self.pictures())
        with atomic_path(path) as beside:
            picture.save(beside, format="PNG")
        self.job.event("sample", step=self.done, files=[f"{path.parent.name}/{path.name}"])


@dataclass
class _Painter:
    """The base in memory, and the LoRAs it wears one after the other."""

    job: Job
    plot: Plot
    base: Base
    kept: _Cells
    device: torch.device
    dtype: torch.dtype
    _prompts: dict[object, Mapping[str, Prompt]] = field(default_factory=dict)  # by what the text encoders wear
    _text_key: object = ()

    def paint(self, models: Sequence[Model]) -> None:
        """Draws what is missing of these models' cells; a checkpoint that cannot be used leaves its cells blank."""
        orders = list(dict.fromkeys(cell.order for cell in self.plot.cells))
        self.job.stage("loading the text encoders")
        encoders = self.base.load_text_encoders(self.dtype)
        self._encode(encoders, orders, ())
        if not any(_changes_text(self.plot.checkpoint(name).file) for name, _ in models if name != BASE):
            encoders = ()
        self.job.stage("loading the UNet")
        unet = self.base.load_unet(self.dtype, self.device)
        vae = self.base.load_vae(torch.float32, self.device)
        slot = LoraSlot(unet, encoders)
        self.batch = usual_batch(self.device, self.base)
        self.kept.tell()
        file, opened = None, BASE
        for name, weight in models:
            try:
                if name not in {BASE, opened}:
                    file, opened = self._lora(name), name
                worn = slot.wear([(file, weight)] if name != BASE and file is not None else [])
            except LorasmithError as error:
                file, opened = None, BASE
                self.kept.fail((name, weight), orders, str(error))
                continue
            self._tell_unmatched(name, worn)
            self._encode(encoders, orders, slot.text_key)
            self._cells_of((name, weight), unet, vae)

    def _encode(self, encoders: Any, orders: Sequence[Order], key: object) -> None:
        """Has the prompts as the text encoders understand them now; as the untouched ones do, once for all."""
        if key not in self._prompts:
            self._prompts = {key: own for key, own in self._prompts.items() if key == ()}
            with placed_on(self.device, *encoders):
                self._prompts[key] = encode_orders(self.base.tokenizers(), encoders, orders)
        self._text_key = key

    def _lora(self, name: str) -> Any:
        checkpoint = self.plot.checkpoint(name)
        if checkpoint.stamp and stamp_of(checkpoint.file) not in {"", checkpoint.stamp}:
            raise LorasmithError(
                f"{shown(checkpoint.file.name)} is another file than when this plot was begun: begin a new plot."
            )
        file = load_lora(checkpoint.file)
        if file.left_out:
            self.job.warn(file.left_out)
        return file

    def _tell_unmatched(self, name: str, worn: Sequence[Worn]) -> None:
        for one in worn:
            if one.unmatched:
                self.job.warn(
                    f"{shown(name)}: {one.matched} of its {one.modules} modules fit this base (not, for one, "
                    f"{shown(one.unmatched[0])}), so its cells show only a part of it."
                )

    def _cells_of(self, model: Model, unet: Any, vae: Any) -> None:
        for part in self.kept.batches(model, self.batch):
            try:
                self._draw(model, part, unet, vae)
            except LorasmithError as error:
                if not isinstance(error, BaseModelError) or len(part) == 1:
                    self.kept.fail(model, part, str(error))
                else:
                    self._one_by_one(model, part, unet, vae)
            self.kept.after_batch()

    def _draw(self, model: Model, orders: Sequence[Order], unet: Any, vae: Any) -> None:
        for order, pixels in draw_orders(
            self.base, unet, vae, self._prompts[self._text_key], orders,
            batch=self.batch, between_steps=self.kept.between_steps, said=self._halve,
        ):  # fmt: skip
            self.kept.keep(model, order, pixels)

    def _one_by_one(self, model: Model, orders: Sequence[Order], unet: Any, vae: Any) -> None:
        """A batch in which one picture was not finite: the others of it are drawn all the same."""
        for order in [cell.order for cell in self.kept.missing(model) if cell.order in orders]:
            try:
                self._draw(model, [order], unet, vae)
            except LorasmithError as error:
                self.kept.fail(model, [order], str(error))

    def _halve(self, sentence: str) -> None:
        self.batch = max(1, self.batch // 2)
        self.job.warn(sentence)


def cell_parameters(plot: Plot, cell: Cell, base: Base) -> str:
    """What a cell's PNG says of how it was made."""
    name, weight = cell.model
    tag = lora_tag(plot.checkpoint(name).file.stem, weight) if name != BASE else ""
    return parameters(cell.order, base_name=base.name, base_hash=base.hash, lora=tag)


def grid_of(plot: Plot) -> Grid:
    """The plot as it is laid out."""
    sizes = {cell.place: shown_size(cell.order.size, plot) for cell in plot.cells}
    return Grid(plot.labels("x"), plot.labels("y"), plot.labels("z"), sizes.__getitem__, plot.margin)


def _finish(job: Job, plot: Plot, base: Base, kept: _Cells) -> None:
    """Writes the grid and what became of each cell."""
    if not kept.done:
        raise LorasmithError(next(iter(kept.failed.values())))
    job.stage("putting the grid together")
    kept.look()
    text = grid_parameters(plot, lambda cell: cell_parameters(plot, cell, base))
    grid = job.folder.path / GRID
    save_png(numpy.asarray(grid_picture(grid_of(plot), kept.pictures())), grid, text)
    cells = [
        {"file": f"{CELLS}/{plot.file(cell)}" if cell.place not in kept.failed else None, "called": plot.called(cell),
         "place": cell.place, "failed": kept.failed.get(cell.place)}
        for cell in plot.cells
    ]  # fmt: skip
    write_atomic(job.folder.path / RESULT, json.dumps({"grid": GRID, "cells": cells}, indent=1))
    if plot.to:
        deliver(grid, Path(plot.to))


def _model_called(plot: Plot, model: Model) -> str:
    name, weight = model
    at = f", weight {weight:g}" if plot.axis("weight") else ""
    return f"{shown(name)}{at}" if name != BASE else "The untouched base"


def _changes_text(file: Path) -> bool:
    """Whether a LoRA changes a text encoder, by its header; one that cannot be read is told when its turn comes."""
    try:
        return any(part_of(name) in ("te1", "te2") for name in open_weights(file).whole)
    except (LorasmithError, OSError):
        return False


def _same_file(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        with atomic_path(target) as beside:
            shutil.copyfile(source, beside)


def _check_space(job: Job, plot: Plot, kept: _Cells) -> None:
    """Refuses before hours of drawing what the disk cannot hold."""
    missing = [cell.order for cell in plot.cells if not kept.path(cell).is_file()]
    drawn = sum(order.size[0] * order.size[1] for order in missing)
    wanted = 2 * drawn * _BYTES_A_PIXEL  # the cells, and the grid of them
    check_space(
        job.folder.path, wanted, "The plot takes",
        "make room, name fewer values, or set LORASMITH_HOME to another disk",
    )  # fmt: skip

