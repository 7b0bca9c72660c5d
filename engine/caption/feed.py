"""Pictures decoded and prepared by threads ahead of the model, so that a GPU never waits for a JPEG."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from PIL import Image

from engine.caption.captioner import Captioner
from engine.caption.store import Entry
from engine.dataset.picture import open_rgb
from engine.errors import DatasetError

_AHEAD = 3  # batches: one with the model, one prepared, one being decoded


@dataclass
class Batch:
    """Pictures of a batch in order; `lost` are those that could not be read, with a sentence each.

    `prepared` is the captioner's first half, `trouble` what it failed with instead.
    """

    entries: list[Entry]
    images: list[Image.Image]
    lost: list[tuple[Entry, str]]
    prepared: Any = None
    trouble: ValueError | None = None


class Feed:
    """Batches of `size` pictures; `size` may be lowered while it runs, and holds for those not begun yet."""

    def __init__(self, entries: Sequence[Entry], captioner: Captioner, instruction: str, size: int) -> None:
        self.size = size
        self._entries, self._captioner, self._instruction = entries, captioner, instruction

    def __iter__(self) -> Iterator[Batch]:
        decoders = ThreadPoolExecutor(min(8, os.cpu_count() or 1), "decode")
        preparer = ThreadPoolExecutor(1, "prepare")
        waiting: deque[Future[Batch]] = deque()
        begun = 0
        try:
            while begun < len(self._entries) or waiting:
                while begun < len(self._entries) and len(waiting) < _AHEAD:
                    part = self._entries[begun : begun + self.size]
                    begun += len(part)
                    decoded = [decoders.submit(self._decoded, entry) for entry in part]
                    waiting.append(preparer.submit(self._batch, part, decoded))
                yield waiting.popleft().result()
        finally:
            for pool in (preparer, decoders):
                pool.shutdown(wait=False, cancel_futures=True)

    def _decoded(self, entry: Entry) -> Image.Image | DatasetError:
        try:
            image = open_rgb(entry.picture, name=entry.name)
        except DatasetError as error:
            return error
        # The model sees no more than this; scaled here, its own resizing costs next to nothing.
        side = self._captioner.long_side
        image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        return image

    def _batch(self, part: Sequence[Entry], decoded: Sequence[Future[Image.Image | DatasetError]]) -> Batch:
        batch = Batch([], [], [])
        for entry, future in zip(part, decoded, strict=True):
            found = future.result()
            if isinstance(found, DatasetError):
                batch.lost.append((entry, str(found)))
            else:
                batch.entries.append(entry)
                batch.images.append(found)
        if batch.images:
            try:
                batch.prepared = self._captioner.prepare(batch.images, self._instruction)
            except ValueError as error:  # a picture the processor refuses; found one by one
                batch.trouble = error
        return batch
