"""Drawings that are spoiled a little or a lot: what the perceptual encoder learns to see.

A LoRA's pictures fail by degrees: the subject is half another animal, a part of it is wrong, its shape, its colours or
its edges are off. Each way here takes an object's drawing (RGBA, premultiplied nowhere) and how much of it is to be
lost, 0 to 1.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

Drawing = Image.Image
Way = Callable[[Drawing, Drawing, float, random.Random], Drawing]
"""(drawing, another object's drawing of the same size, share lost, random numbers) -> the spoiled drawing."""

_CELLS = 4  # of the grid that a drawing is bent by, on each side
_BEND = 0.16  # of the side: how far a corner of the grid is moved when all is lost
_SOFT = 0.12  # of the side: the blur when all is lost


@dataclass(frozen=True)
class Spoil:
    """What is done to a drawing: ways, each with the share it loses."""

    steps: tuple[tuple[Way, float], ...] = ()

    @property
    def left(self) -> float:
        """The share of the drawing that is left, 0 to 1."""
        return math.prod(1 - lost for _, lost in self.steps)

    def __call__(self, drawing: Drawing, other: Drawing, rng: random.Random) -> Drawing:
        for way, lost in self.steps:
            drawing = way(drawing, other, lost, rng)
        return drawing


def some_spoil(rng: random.Random) -> Spoil:
    """One way or two, slight ones more often than thorough ones."""
    ways = rng.sample(WAYS, rng.choice((1, 1, 2)))
    return Spoil(tuple((way, rng.random() ** 1.5) for way in ways))


def mixed(drawing: Drawing, other: Drawing, lost: float, rng: random.Random) -> Drawing:
    """On the way to another object: both laid over each other."""
    a, b = _premultiplied(drawing), _premultiplied(other)
    return _plain((1 - lost) * a + lost * b)


def patched(drawing: Drawing, other: Drawing, lost: float, rng: random.Random) -> Drawing:
    """Pieces of another object in place of its own, over that share of the area."""
    made = drawing.copy()
    side = drawing.width
    pieces = rng.randint(1, 4)
    for _ in range(pieces):
        wide, high = (max(1, round(side * (lost / pieces) ** 0.5 * rng.uniform(0.8, 1.25))) for _ in range(2))
        left, top = rng.randint(0, max(0, side - wide)), rng.randint(0, max(0, side - high))
        box = (left, top, min(side, left + wide), min(side, top + high))
        made.paste(other.crop(box), box)
    return made


def bent(drawing: Drawing, other: Drawing, lost: float, rng: random.Random) -> Drawing:
    """Out of shape: the corners of a grid are moved."""
    side = drawing.width
    places = np.linspace(0, side, _CELLS + 1).round()
    x, y = np.meshgrid(places, places)
    move = _BEND * side * lost
    x, y = (axis + np.array([rng.gauss(0, move) for _ in range(axis.size)]).reshape(axis.shape) for axis in (x, y))
    mesh = []
    for row in range(_CELLS):
        for column in range(_CELLS):
            corners = ((row, column), (row + 1, column), (row + 1, column + 1), (row, column + 1))
            box = tuple(int(places[at]) for at in (column, row, column + 1, row + 1))
            mesh.append((box, tuple(float(axis[corner]) for corner in corners for axis in (x, y))))
    return drawing.transform(drawing.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def tinted(drawing: Drawing, other: Drawing, lost: float, rng: random.Random) -> Drawing:
    """In wrong colours: all drawn towards one."""
    pixels = np.asarray(drawing, dtype=np.float32).copy()
    colour = np.array([rng.uniform(0, 255) for _ in range(3)], dtype=np.float32)
    pixels[..., :3] = (1 - lost) * pixels[..., :3] + lost * colour
    return Image.fromarray(pixels.round().astype(np.uint8), "RGBA")


def softened(drawing: Drawing, other: Drawing, lost: float, rng: random.Random) -> Drawing:
    """Without its edges."""
    radius = _SOFT * drawing.width * lost
    blurred = Image.fromarray(_premultiplied(drawing).round().astype(np.uint8), "RGBA")
    return _plain(np.asarray(blurred.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32))


WAYS: tuple[Way, ...] = (mixed, patched, bent, tinted, softened)


def _premultiplied(drawing: Drawing) -> np.ndarray:
    pixels = np.asarray(drawing, dtype=np.float32).copy()
    pixels[..., :3] *= pixels[..., 3:] / 255
    return pixels


def _plain(pixels: np.ndarray) -> Drawing:
    alpha = np.maximum(pixels[..., 3:], 1e-3)
    colours = np.minimum(pixels[..., :3] / alpha * 255, 255)
    whole = np.concatenate([colours, pixels[..., 3:]], axis=-1)
    return Image.fromarray(np.clip(whole, 0, 255).round().astype(np.uint8), "RGBA")
