"""Pictures to numbers, and batches that shrink where memory is short."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image

from engine.train.memory import fits


def pressed(image: Image.Image, width: int, height: int) -> np.ndarray:
    """RGB bytes [height, width, 3] of the whole picture, whatever its shape."""
    # The gap lets Pillow halve a large picture by averaging first: several times quicker, hardly another result.
    small = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(small)


def stacked(images: Sequence[Image.Image], side: int) -> torch.Tensor:
    """Float pixels 0..255, [n, 3, side, side]."""
    return torch.from_numpy(np.stack([pressed(image, side, side) for image in images])).permute(0, 3, 1, 2).float()


def in_batches(
    images: Sequence[Image.Image],
    size: int,
    work: Callable[[Sequence[Image.Image]], np.ndarray],
    width: int,
) -> np.ndarray:
    """Rows [n, width] float32 of all pictures; out of memory halves the batch, down to one picture."""
    rows: list[np.ndarray] = []
    at = 0
    while at < len(images):
        some = images[at : at + size]
        if size == 1:
            rows.append(work(some))
        elif not fits(lambda some=some: rows.append(work(some))):
            size = max(1, size // 2)
            continue
        at += len(some)
    return np.concatenate(rows).astype(np.float32) if rows else np.zeros((0, width), np.float32)


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32."""
    return (rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)).astype(np.float32)
