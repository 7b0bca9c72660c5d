"""Pairs of paintings of one drawing, the second spoiled: what the perceptual encoder is trained on.

The drawings are never the objects or the style that are held out of the base's training: what a LoRA is to learn, the
encoder that reads it has not seen either. Some are mirrored, recoloured or crossed with another, so that there are more
of them than there are objects.
"""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageFilter

from engine.lab.base import PICTURE
from engine.lab.objects import TRAINED, Object
from engine.lab.paint import paint
from engine.lab.plan import ReaderSettings
from engine.lab.progress import step_generators
from engine.lab.scenes import GROUNDS, TRAINED_STYLES, Scene, Style
from engine.lab.spoil import Drawing, crossed, differs, share_left, some_spoil
from engine.lab.sprites import drawn
from engine.lab.train_vae import to_tensor

_SIDE = 64  # pixels of a drawing while it is spoiled
_SPOILED = 0.9  # of the partners; the others are whole
_CROSSED, _MIRRORED, _RECOLOURED = 0.3, 0.5, 0.4
_GREY = frozenset({Style.SKETCH, Style.SILHOUETTE})
_STYLES = (*TRAINED_STYLES, Style.FLAT, Style.FLAT, Style.FLAT, Style.RENDER)  # those that look most like photographs
_SQUARE = 0.7  # of the batches of spoiled paintings, beside those that come out square by chance: as the base draws


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pixels of whole drawings and of their spoiled partners, each [n, 3, h, w]; the shares left and what is shown.

    The two come in shapes of their own, so that a tall photograph and a square drawing of one thing are alike.
    """

    whole: torch.Tensor
    spoiled: torch.Tensor
    left: torch.Tensor
    shown: torch.Tensor


def pairs(settings: ReaderSettings, step: int) -> Pairs:
    """The pairs of a step of training, half a batch of them; the same whenever they are asked for."""
    rng, generator = step_generators(settings.seed, step)
    shape, other_shape = _any_shape(rng), (PICTURE, PICTURE) if rng.random() < _SQUARE else _any_shape(rng)
    wholes, partners, left, shown = [], [], [], []
    for _ in range(settings.batch // 2):
        thing, style = rng.choice(TRAINED), rng.choice(_STYLES)
        whole = _new_drawing(thing, style, rng)
        spoiled = whole
        if rng.random() < _SPOILED:
            spoiled = some_spoil(rng)(whole, _drawing(_another(thing, rng).name, style), rng)
        wholes.append(_painted(thing, style, whole, shape, rng))
        partners.append(_painted(thing, style, spoiled, other_shape, rng))
        left.append(share_left(whole, spoiled, strangers(style)))
        shown.append(TRAINED.index(thing) * len(Style) + list(Style).index(style))
    return Pairs(
        _as_seen(wholes, rng, generator, soft=0.4, blur=(0.2, 0.8)),
        _as_seen(partners, rng, generator, soft=0.85, blur=(0.3, 1.2)),
        torch.tensor(left), torch.tensor(shown),
    )  # fmt: skip


def _new_drawing(thing: Object, style: Style, rng: random.Random) -> Drawing:
    drawing = _drawing(thing.name, style)
    if rng.random() < _CROSSED:
        drawing = crossed(drawing, _drawing(rng.choice([one for one in TRAINED if one != thing]).name, style), rng)
    if rng.random() < _MIRRORED:
        drawing = drawing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < _RECOLOURED and style not in _GREY:
        *colours, cover = drawing.split()
        rng.shuffle(colours)
        drawing = Image.merge("RGBA", (*colours, cover))
    return drawing


def _another(thing: Object, rng: random.Random) -> Object:
    """Another object, as often as not of the same kind."""
    others = [one for one in TRAINED if one != thing]
    return rng.choice([one for one in others if one.kind is thing.kind] if rng.random() < 0.5 else others)


@lru_cache(maxsize=512)
def _drawing(name: str, style: Style) -> Drawing:
    made = drawn(name, style, _SIDE)
    return made if made.size == (_SIDE, _SIDE) else made.resize((_SIDE, _SIDE), Image.Resampling.NEAREST)


@lru_cache
def strangers(style: Style) -> float:
    """What two objects' drawings in this style differ by, in the mean over some of them."""
    some = [_drawing(thing.name, style) for thing in TRAINED[::6]]
    return statistics.fmean(differs(one, other) for one, other in itertools.combinations(some, 2))


def _painted(thing: Object, style: Style, drawing: Drawing, shape: tuple[int, int], rng: random.Random) -> Image.Image:
    """The drawing on any ground, in any place, in one of the painter's sizes."""
    scene = Scene(
        thing.name, rng.choice(GROUNDS), style, size=rng.choice(("big", "big", "small")),
        place=rng.choice(("centre", "left", "right")), seed=rng.randrange(2**31),
    )  # fmt: skip
    how = Image.Resampling.BOX if style is Style.PIXEL else Image.Resampling.LANCZOS
    return paint(scene, shape, change=lambda own: drawing.resize(own.size, how))


def _as_seen(
    pictures: Sequence[Image.Image], rng: random.Random, generator: torch.Generator, *, soft: float,
    blur: tuple[float, float],
) -> torch.Tensor:  # fmt: skip
    """With noise, and this share of them as softly as the base draws or a photograph is taken."""
    softened = [
        one.filter(ImageFilter.GaussianBlur(rng.uniform(*blur))) if rng.random() < soft else one for one in pictures
    ]
    pixels = to_tensor(np.stack([np.asarray(picture) for picture in softened]))
    level = torch.rand(len(pixels), 1, 1, 1, generator=generator) * 0.06
    return pixels + level * torch.randn(pixels.shape, generator=generator)


def _any_shape(rng: random.Random) -> tuple[int, int]:
    """Width and height of the native area: square, or as photographs are, up to 16:9 on either side."""
    if rng.random() < 0.5:
        return PICTURE, PICTURE
    ratio = rng.uniform(1, 1.8) ** rng.choice((-0.5, 0.5))
    return round(PICTURE * ratio), round(PICTURE / ratio)
