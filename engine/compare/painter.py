"""Draws a comparison's pictures: one base, its LoRAs swapped in place, every picture kept by its content."""

from __future__ import annotations

import filecmp
import hashlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from engine.base.load import Base
from engine.base.threads import fit_at_once
from engine.compare.grid import Shot
from engine.draw.artist import (
    draw_orders,
    drawing_device,
    drawing_dtype,
    encode_orders,
    placed_on,
    usual_batch,
)
from engine.draw.hires import hires_orders
from engine.draw.loras import LoraSlot, changes_text
from engine.draw.order import HiresFix, Order, parameters
from engine.draw.sampling import Prompt, save_png
from engine.draw.store import DrawingStore, model_id
from engine.errors import BaseModelError, LorasmithError, shown
from engine.files import check_space
from engine.lora.file import LoraFile, load_lora
from engine.runs.job import Job, Stopped

_BYTES_A_PIXEL = 1.6  # of a PNG of a drawn photograph

HIRES = HiresFix()
"""The high-res fix as it is usually set: denoise 0.4, 1.5 times the size."""


class Undrawable(LorasmithError):
    """This checkpoint cannot be drawn with; the others can."""


@dataclass(frozen=True)
class Wear:
    """A LoRA file at a weight."""

    path: Path
    weight: float


@dataclass(eq=False)
class Painter:
    """One base with everything that is loaded of it so far; parts are loaded when they are first needed.

    folder: the comparison's own (`RunFolder.compare`). shared: whether the base's pictures come from, and go to, the
    store that all projects share. told: called with each shot as its picture comes to lie in the folder.
    """

    job: Job
    folder: Path
    base: Base
    texts: Sequence[str]
    loras: Sequence[Path]
    shared: bool = True
    told: Callable[[Shot], None] = lambda shot: None
    idle: Callable[[], None] = lambda: None
    seconds: float = 0.0
    drawn: int = 0
    device: torch.device = field(default_factory=drawing_device)
    _parts: tuple[Any, Any, LoraSlot] | None = None
    _encoders: Any = None
    _prompts: dict[str, Prompt] = field(default_factory=dict)
    _text_key: object = ()
    _sums: dict[Path, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dtype = drawing_dtype(self.device, self.base)
        self.batch = usual_batch(self.device, self.base)
        self.at_once = fit_at_once(self.base.known.size_bytes, self.device)
        self.model = model_id(self.base, self.dtype)

    def store(self, wear: Wear | None) -> DrawingStore:
        """Where the pictures of the base, or of a LoRA at a weight, are kept by content."""
        own = self.folder / "drawn"
        if wear is None:
            return DrawingStore(self.model, None if self.shared else own)
        return DrawingStore(f"{self.model}+{self._sum(wear.path)}@{wear.weight:g}", own)

    def missing(self, wear: Wear | None, shots: Sequence[Shot]) -> list[Shot]:
        """The shots to draw: whole batches, so that a picture is drawn in the same company whenever it is drawn."""
        store = self.store(wear)
        wanted: list[Shot] = []
        for group in self._batches(shots):
            if not all(store.has(shot.order) for shot in group):
                wanted += group
        return wanted

    def draw(self, wear: Wear | None, shots: Sequence[Shot]) -> None:
        """Has every shot lie in the folder, drawn now or before.

        Raises Undrawable for a LoRA that does not fit the base, is damaged or draws no finite picture.
        """
        missing = self.missing(wear, shots)
        if missing:
            self._check_space(missing)
            self._draw(wear, missing)
        self._place_all(self.store(wear), shots)

    def _draw(self, wear: Wear | None, shots: Sequence[Shot]) -> None:
        unet, vae, slot = self._loaded()
        self._wear(slot, wear)
        begun = draw_orders(
            self.base, unet, vae, self._encoded(slot), [shot.order for shot in shots],
            batch=self.batch, between_steps=self._between, said=self._halved,
        )  # fmt: skip
        self._keep(begun, self.store(wear), wear, {shot.order: shot for shot in shots})

    def draw_hires(self, wear: Wear, shots: Sequence[Shot]) -> None:
        """Has the high-res pass over these shots' pictures (which are there) lie in the folder.

        Raises Undrawable as `draw` does.
        """
        store = self.hires_store(wear)
        missing = [shot for shot in shots if not store.has(shot.order)]
        if missing:
            unet, vae, slot = self._loaded()
            self._wear(slot, wear)
            prompts, first = self._encoded(slot), self.store(wear)
            finished = [(shot.order, _pixels(first.path(shot.order))) for shot in missing]
            begun = hires_orders(
                self.base, unet, vae, prompts, finished, HIRES, between_steps=self._between, said=self.job.warn,
            )  # fmt: skip
            self._keep(begun, store, wear, {shot.order: shot for shot in missing}, HIRES)
        self._place_all(store, shots)

    def draw_bare(self, shots: Sequence[Shot], name: str) -> None:
        """Draws a checkpoint's own texts with no LoRA on the base, into `pictures/<name>`: for the self-test."""
        store = DrawingStore(self.model, self.folder / "drawn" / name)
        missing = [shot for group in self._batches(shots) if not all(store.has(one.order) for one in group)
                   for shot in group]  # fmt: skip
        if missing:
            unet, vae, slot = self._loaded()
            self._wear(slot, None)
            for order, pixels in draw_orders(
                self.base, unet, vae, self._encoded(slot), [shot.order for shot in missing],
                batch=self.batch, between_steps=self._between, said=self._halved,
            ):  # fmt: skip
                store.put(order, lambda path, pixels=pixels: save_png(pixels, path))
        there = self.folder / "pictures" / name
        there.mkdir(parents=True, exist_ok=True)
        for shot in shots:
            store.place(shot.order, there / Path(shot.file).name)

    def hires_store(self, wear: Wear) -> DrawingStore:
        """Where the high-res pictures of a LoRA at a weight are kept by content."""
        kept = self.store(wear)
        return DrawingStore(f"{kept.model}+hires-{HIRES.scale:g}-{HIRES.denoise:g}-{HIRES.upscaler}", kept.root)

    def _keep(
        self, begun: Generator[tuple[Order, Any], None, None], store: DrawingStore, wear: Wear | None,
        at: Mapping[Order, Shot], fix: HiresFix | None = None,
    ) -> None:  # fmt: skip
        """Keeps each picture as it comes, with the text that A1111 reads, and places it in the folder."""
        tag = "" if wear is None else f"<lora:{wear.path.stem}:{wear.weight:g}>"
        before = time.monotonic()
        try:
            for order, pixels in begun:
                text = parameters(order, base_name=self.base.name, base_hash=self.base.hash, lora=tag)
                if fix is not None:
                    text += f", Denoising strength: {fix.denoise:g}, Hires upscale: {fix.scale:g}"
                store.put(order, lambda path, pixels=pixels, text=text: save_png(pixels, path, text))
                self.drawn += 1
                self.seconds, before = self.seconds + time.monotonic() - before, time.monotonic()
                self._place_all(store, [at[order]])
        except BaseModelError as error:
            if wear is None:
                raise
            raise Undrawable(
                f"{shown(wear.path.name)} draws no finite picture at weight {wear.weight:g}: it is left out."
            ) from error
        finally:
            begun.close()  # before another LoRA is put on
            self.seconds += time.monotonic() - before

    def _wear(self, slot: LoraSlot, wear: Wear | None) -> None:
        if wear is None:
            slot.wear([])
            return
        try:
            slot.wear([(self._opened(wear.path), wear.weight)])
        except LorasmithError as error:
            raise Undrawable(str(error)) from error

    def _opened(self, path: Path) -> LoraFile:
        try:
            return load_lora(path)
        except OSError as error:
            raise Undrawable(f"{shown(path.name)} cannot be read ({error.strerror}): it is left out.") from error

    def _loaded(self) -> tuple[Any, Any, LoraSlot]:
        """The UNet, the VAE and the place for LoRAs; the text encoders stay only for LoRAs that change them."""
        if self._parts is None:
            self.job.stage("loading the text encoders")
            encoders = self.base.load_text_encoders(self.dtype)
            kept = self._some_change_text()
            self._prompts = self._encode(encoders)
            self.job.stage("loading the UNet")
            unet = self.base.load_unet(self.dtype, self.device)
            vae = self.base.load_vae(torch.float32, self.device)
            self._encoders = encoders if kept else None
            self._plain = self._prompts
            self._parts = unet, vae, LoraSlot(unet, encoders if kept else ())
        return self._parts

    def _some_change_text(self) -> bool:
        for path in self.loras:
            try:
                if changes_text(load_lora(path)):
                    return True
            except (LorasmithError, OSError):
                continue  # said when it is its turn
        return False

    def _encode(self, encoders: Any) -> dict[str, Prompt]:
        orders = [Order(text, (0, 0), 0) for text in self.texts]
        with placed_on(self.device, *encoders):
            return encode_orders(self.base.tokenizers(), encoders, orders)

    def _encoded(self, slot: LoraSlot) -> dict[str, Prompt]:
        """The prompts as what is worn reads them: encoded once for all LoRAs that leave the text encoders alone."""
        if slot.text_key != self._text_key:
            self._text_key = slot.text_key
            self._prompts = self._encode(self._encoders) if slot.text_key else self._plain
        return self._prompts

    def _batches(self, shots: Sequence[Shot]) -> Iterator[list[Shot]]:
        groups: dict[object, list[Shot]] = {}
        for shot in shots:
            groups.setdefault((shot.order.size, shot.order.steps), []).append(shot)
        for group in groups.values():
            for at in range(0, len(group), self.batch):
                yield group[at : at + self.batch]

    def _halved(self, sentence: str) -> None:
        self.batch = max(1, self.batch // 2)
        self.job.warn(sentence)

    def _between(self) -> None:
        if self.job.stop_asked():
            raise Stopped
        self.idle()

    def _place_all(self, store: DrawingStore, shots: Sequence[Shot]) -> None:
        """Links kept drawings into the folder; one of the same name with other content makes way."""
        for shot in shots:
            target, kept = self.folder / shot.file, store.path(shot.order)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists() and not target.samefile(kept) and not filecmp.cmp(target, kept, shallow=False):
                target.unlink()
            store.place(shot.order, target)
            self.told(shot)

    def key(self, wear: Wear | None, shot: Shot) -> str:
        """What identifies a picture: its model, LoRA, weight and order."""
        store = self.hires_store(wear) if shot.hires and wear is not None else self.store(wear)
        return store.path(shot.order).stem

    def _sum(self, path: Path) -> str:
        if path not in self._sums:
            try:
                with path.open("rb") as file:
                    self._sums[path] = hashlib.file_digest(file, "sha256").hexdigest()[:32]
            except OSError as error:
                raise Undrawable(f"{shown(path.name)} cannot be read ({error.strerror}): it is left out.") from error
        return self._sums[path]

    def _check_space(self, missing: Sequence[Shot]) -> None:
        """Refuses before hours of drawing what the disk cannot hold."""
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = sum(shot.order.size[0] * shot.order.size[1] for shot in missing) * _BYTES_A_PIXEL
        check_space(self.folder, wanted, f"{len(missing):,} pictures take", "make room there, then resume")


def _pixels(path: Path) -> Any:
    """A kept picture, uint8 (h, w, 3)."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
