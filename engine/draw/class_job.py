"""The job of class pictures, `python -P -m engine regularize RUN`: drawn by the base, or fetched from the hub.

The pictures come to lie in the run's `pictures/`, as links to the store that all projects share; what is drawn is
kept at once, so a stop, a kill or a full disk costs the pictures in hand and no more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

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
from engine.draw.class_settings import ClassJob, pictures_of, read_class_job
from engine.draw.order import Order, parameters
from engine.draw.picture import checked_size
from engine.draw.sampling import save_png
from engine.draw.sheet import contact_sheet
from engine.draw.store import DrawingStore, model_id
from engine.files import check_space, write_atomic
from engine.runs.job import Job, Stopped

_FIRST_LOOK = 12  # pictures after which the first contact sheet shows whether the prompts are any good
_LOOK_SECONDS = 600.0
_SHEET = 24  # pictures on a contact sheet, the latest
_BYTES_A_PIXEL = 1.6  # of a PNG of a drawn photograph; noise takes up to 3
_TELL = 0.5  # seconds between two counts
_QUIET = 20.0  # seconds without a picture after which the record says that it goes on


def run(job: Job) -> None:
    """Draws or fetches the class pictures that the run's job.toml asks for; raises Stopped where asked to."""
    settings = read_class_job(job.folder.job)
    if settings.dataset:
        from engine.draw.class_hub import fetch_dataset

        fetch_dataset(job, settings, pictures_of(job.folder))
    else:
        draw_class_pictures(job, settings)


def draw_class_pictures(job: Job, settings: ClassJob) -> None:
    """Takes from the store what is there and draws the rest."""
    base = open_chosen(settings.base, job)
    for order in settings.orders:
        checked_size(order.size, base)
    device = drawing_device()
    dtype = drawing_dtype(device, base)
    store = DrawingStore(model_id(base, dtype))
    drawn = _Set(job, settings, store)
    missing = [order for order in settings.orders if not store.has(order)]
    _check_space(store, missing)
    drawn.place([order for order in settings.orders if store.has(order)])
    job.event("plan", pictures=len(settings.orders), found=len(settings.orders) - len(missing), base=base.name)
    if missing:
        _draw(job, base, device, dtype, missing, drawn)
    drawn.look()


def _draw(
    job: Job, base: Base, device: torch.device, dtype: torch.dtype, missing: list[Order], drawn: _Set
) -> None:
    job.stage("loading the text encoders")
    encoders = base.load_text_encoders(dtype)
    with placed_on(device, *encoders):
        prompts = encode_orders(base.tokenizers(), encoders, missing)
    del encoders
    job.stage("loading the UNet")
    unet, vae = base.load_unet(dtype, device), base.load_vae(torch.float32, device)
    job.stage("drawing class pictures", drawn.done, drawn.total)
    begun = draw_orders(
        base, unet, vae, prompts, missing,
        batch=usual_batch(device, base), between_steps=drawn.between_steps, said=job.warn,
    )  # fmt: skip
    for order, pixels in begun:
        text = parameters(order, base_name=base.name, base_hash=base.hash)
        drawn.store.put(order, lambda path, pixels=pixels, text=text: save_png(pixels, path, text))
        drawn.place([order])
        drawn.after_picture()


@dataclass
class _Set:
    """The run's own folder of class pictures as it fills, and what the person asks of it meanwhile."""

    job: Job
    settings: ClassJob
    store: DrawingStore
    done: int = 0
    _looked: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)
    _latest: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder = pictures_of(self.job.folder)
        self.folder.mkdir(exist_ok=True)
        self._names = {order: _name(index, order) for index, order in enumerate(self.settings.orders, start=1)}

    @property
    def total(self) -> int:
        return len(self.settings.orders)

    def place(self, orders: list[Order]) -> None:
        """Links kept drawings into the run's folder, each with its caption where prompts vary."""
        for order in orders:
            path = self.folder / self._names[order]
            if self.settings.captioned:
                write_atomic(path.with_suffix(".txt"), order.prompt + "\n")
            self.store.place(order, path)
            self._latest.append(path)
            self.done += 1

    def between_steps(self) -> None:
        """While a batch is drawn: a stop ends what is in hand, which is drawn anew on a resume."""
        if self.job.stop_asked():
            raise Stopped
        if time.monotonic() - self._told > _QUIET:
            self.job.stage("drawing class pictures", self.done, self.total)
            self._told = time.monotonic() - _TELL

    def after_picture(self) -> None:
        """Tells the count, draws a contact sheet when it is time or asked for, and stops where asked."""
        # A batch's pictures come at one moment: told once a batch, the count gives the true rate.
        if time.monotonic() - self._told > _TELL or self.done == self.total:
            self.job.event("step", step=self.done, steps=self.total)
        self._told = time.monotonic()
        wanted = self.job.poll()
        due = self.done == _FIRST_LOOK or time.monotonic() - self._looked > _LOOK_SECONDS
        if wanted.sample or (due and self.done < self.total):
            self.look()
        if wanted.stop is not None:
            raise Stopped

    def look(self) -> None:
        """A contact sheet of the latest pictures, as the run's sample."""
        self._looked = time.monotonic()
        latest = [path for path in self._latest[-_SHEET:] if path.is_file()]
        if not latest:
            return
        name = f"sheet-{self.done:06d}.png"
        contact_sheet(latest, self.job.folder.samples / name)
        self.job.event("sample", step=self.done, files=[f"{self.job.folder.samples.name}/{name}"])


def _name(index: int, order: Order) -> str:
    width, height = order.size
    return f"{index:04d}-{width}x{height}-seed{order.seed}.png"


def _check_space(store: DrawingStore, missing: list[Order]) -> None:
    """Refuses before hours of drawing what the disk cannot hold."""
    store.root.mkdir(parents=True, exist_ok=True)
    wanted = sum(order.size[0] * order.size[1] for order in missing) * _BYTES_A_PIXEL
    check_space(
        store.root, wanted, f"{len(missing):,} class pictures take",
        "make room, ask for fewer with --count, or set LORASMITH_HOME to another disk",
    )  # fmt: skip

