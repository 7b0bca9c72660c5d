"""Drawings that are spoiled a little or a lot: what the perceptual encoder learns to see.

A LoRA's pictures fail by degrees: the subject is half another animal, a part of it is smeared or wrong, its shape, its
colours or its edges are off. Each way here takes an object's drawing (RGBA, premultiplied nowhere) and how much of it
is to be lost, 0 to 1; what was in truth lost is measured on the drawing itself (`share_left`), for a blur takes more of
a tractor than of a ball.
"""

from __future__ import annotations

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
_APART = 0.12  # of the side: how far a drawing is moved that is laid over itself
_OVERLAID = 0.6  # how much of the moved one shows when all is lost
_SQUEEZED = 0.5  # of the side that is stretched or pressed when all is lost
_LOOKED_AT = 32  # pixels of the side that drawings are compared at, with a margin about them
_MARGIN = 4


@dataclass(frozen=True)
class Spoil:
    """What is done to a drawing: ways, each with the share it is to lose."""

    steps: tuple[tuple[Way, float], ...] = ()

    def __call__(self, drawing: Drawing, other: Drawing, rng: random.Random) -> Drawing:
        for way, lost in self.steps:
            drawing = way(drawing, other, lost, rng)
        return drawing


def some_spoil(rng: random.Random) -> Spoil:
    """One way to three, all over the drawing or in places, slight ones more often than thorough ones."""
    steps = []
    for way in rng.sample(WAYS, rng.choice((1, 2, 2, 3))):
        placed = in_places(way) if way in _SPREADS and rng.random() < 0.5 else way
        steps.append((placed, rng.random() ** 1.3))
    return Spoil(tuple(steps))


def share_left(drawing: Drawing, spoiled: Drawing, strangers: float) -> float:
    """How much of a drawing the spoiled one still shows, 0 to 1: 1 where nothing differs, 0 from `strangers` on.

    strangers: what drawings of different objects in its style differ by (`differs`), in the mean.
    """
    return max(0.0, 1 - differs(drawing, spoiled) / strangers)


def differs(a: Drawing, b: Drawing) -> float:
    """The mean difference of colour and cover (0 to 1) where either is, both seen a little softly."""
    first, second = _seen(a), _seen(b)
    covered = np.maximum(first[..., 3], second[..., 3]).sum()
    return float(np.abs(first - second).mean(axis=-1).sum() / max(covered, 1.0))


def mixed(drawing: Drawing, other: Drawing, lost: float, rng: random.Random) -> Drawing:
    """On the way to another object: both laid over each other."""
    return _laid(drawing, other, lost)


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


def squeezed(drawing: Drawing, other: Drawing, lost: float, rng: random.Random) -> Drawing:
    """Too wide, too narrow, too tall or too low, about its middle."""
    scale = 1 + _SQUEEZED * lost * rng.choice((-1, 1))
    moved = drawing.width / 2 * (1 - scale)
    across = rng.random() < 0.5
    change = (scale, 0, moved, 0, 1, 0) if across else (1, 0, 0, 0, scale, moved)
    return drawing.transform(drawing.size, Image.Transform.AFFINE, change, Image.Resampling.BILINEAR)


def doubled(drawing: Drawing, other: Drawing, lost: float, rng: random.Random) -> Drawing:
    """Smeared: laid over itself, a little apart."""
    across, down = (round(rng.gauss(0, _APART) * drawing.width) for _ in range(2))
    moved = Image.new("RGBA", drawing.size)
    moved.paste(drawing, (across, down))
    return _laid(drawing, moved, _OVERLAID * lost)


def tinted(drawing: Drawing, other: Drawing, lost: float, rng: random.Random) -> Drawing:
    """In wrong colours: all drawn towards one."""
    return _towards(drawing, np.array([rng.uniform(0, 255) for _ in range(3)], dtype=np.float32), lost)


def faded(drawing: Drawing, other: Drawing, lost: float, rng: random.Random) -> Drawing:
    """Without its parts: all drawn towards the mean of its own colours."""
    pixels = _premultiplied(drawing)
    own = pixels[..., :3].sum(axis=(0, 1)) / max(pixels[..., 3].sum() / 255, 1.0)
    return _towards(drawing, own, lost)


def softened(drawing: Drawing, other: Drawing, lost: float, rng: random.Random) -> Drawing:
    """Without its edges."""
    radius = _SOFT * drawing.width * lost
    blurred = Image.fromarray(_premultiplied(drawing).round().astype(np.uint8), "RGBA")
    return _plain(np.asarray(blurred.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32))


WAYS: tuple[Way, ...] = (mixed, patched, bent, squeezed, doubled, tinted, faded, softened)
_SPREADS = frozenset({mixed, bent, doubled, tinted, faded, softened})  # those that can be kept to places


def in_places(way: Way) -> Way:
    """The same way over a part of the drawing only, a random share of it with soft borders."""

    def done(drawing: Drawing, other: Drawing, lost: float, rng: random.Random) -> Drawing:
        return _laid(drawing, way(drawing, other, lost, rng), some_places(drawing.width, rng))

    return done


def crossed(drawing: Drawing, other: Drawing, rng: random.Random) -> Drawing:
    """A new object: this one, and in places the other."""
    return _laid(drawing, other, some_places(drawing.width, rng))


def some_places(side: int, rng: random.Random) -> np.ndarray:
    """[side, side, 1], 0 to 1: smooth blots over a fifth to all of a square."""
    count = rng.choice((2, 3, 4, 6))
    knots = np.array([[rng.random() for _ in range(count)] for _ in range(count)], dtype=np.float32)
    large = Image.fromarray((knots * 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    height = np.asarray(large, dtype=np.float32) / 255
    cut, border = np.quantile(height, rng.random() * 0.8), rng.uniform(0.05, 0.3)
    return np.clip((height - cut) / border + 0.5, 0, 1)[..., None]


def _laid(drawing: Drawing, other: Drawing, share: float | np.ndarray) -> Drawing:
    """The other over the drawing, by that share of it."""
    return _plain((1 - share) * _premultiplied(drawing) + share * _premultiplied(other))


def _towards(drawing: Drawing, colour: np.ndarray, share: float) -> Drawing:
    pixels = np.asarray(drawing, dtype=np.float32).copy()
    pixels[..., :3] = (1 - share) * pixels[..., :3] + share * colour
    return Image.fromarray(pixels.round().astype(np.uint8), "RGBA")


def _seen(drawing: Drawing) -> np.ndarray:
    """[side, side, 4], premultiplied, 0 to 1: small, with a margin, softened over three pixels."""
    small = drawing.resize((_LOOKED_AT, _LOOKED_AT), Image.Resampling.BOX)
    pixels = np.pad(_premultiplied(small) / 255, ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)))
    for axis in (0, 1):
        pixels = 0.5 * pixels + 0.25 * (np.roll(pixels, 1, axis) + np.roll(pixels, -1, axis))
    return pixels


def _premultiplied(drawing: Drawing) -> np.ndarray:
    pixels = np.asarray(drawing, dtype=np.float32).copy()
    pixels[..., :3] *= pixels[..., 3:] / 255
    return pixels


def _plain(pixels: np.ndarray) -> Drawing:
    alpha = np.maximum(pixels[..., 3:], 1e-3)
    colours = np.minimum(pixels[..., :3] / alpha * 255, 255)
    whole = np.concatenate([colours, pixels[..., 3:]], axis=-1)
    return Image.fromarray(np.clip(whole, 0, 255).round().astype(np.uint8), "RGBA")
