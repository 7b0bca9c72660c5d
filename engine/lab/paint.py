"""Paints a scene: its ground, then its objects. Deterministic, about a millisecond at 64 pixels."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageEnhance

from engine.lab.scenes import COLOURS, Ground, Scene, Style
from engine.lab.sprites import Source, drawn, packaged, pixel_cell

_SKY = {"grass": (150, 205, 245), "beach": (140, 215, 250), "snow": (175, 205, 232), "night": (38, 42, 104)}
_FLOOR = {"grass": (98, 186, 72), "beach": (240, 214, 150), "snow": (250, 250, 255), "night": (58, 62, 84)}
_SEA = (32, 130, 192)
# Fixed stars and flakes, as (x, y) fractions: the same in every picture, so that they can be learnt.
_SPECKS = ((0.08, 0.12), (0.3, 0.07), (0.55, 0.1), (0.93, 0.3), (0.06, 0.4), (0.72, 0.05), (0.18, 0.25))
_FLAKES = (*_SPECKS, (0.9, 0.12), (0.95, 0.5), (0.04, 0.6))


def paint(
    scene: Scene, size: int | tuple[int, int] = 64, source: Source = packaged,
    change: Callable[[Image.Image], Image.Image] | None = None,
) -> Image.Image:  # fmt: skip
    """The scene as an RGB picture of `size` (side, or width and height) pixels.

    `source` gives the drawings; pass one that renders vectors when the picture is large. `change` is done to each
    object's drawing (RGBA, of the size it is painted at) before it is put on the ground.
    """
    width, height = (size, size) if isinstance(size, int) else size
    picture = ground_picture(scene.ground, width, height).copy()
    if scene.style is Style.NEON:
        dark = ImageEnhance.Brightness(picture).enhance(0.28)
        picture = Image.blend(dark, Image.new("RGB", picture.size, (14, 8, 34)), 0.35)
    for left, top, side in object_boxes(scene, width, height):
        drawing = drawn(scene.object, scene.style, side, source)
        if change is not None:
            drawing = change(drawing)
        picture.paste(drawing, (left, top), drawing)
    return picture


def object_boxes(scene: Scene, width: int, height: int) -> list[tuple[int, int, int]]:
    """Where the objects stand: (left, top, side) of each one's square, in pixels."""
    unit = (width * height) ** 0.5 / 64
    jitter = random.Random(scene.seed)
    dx, dy = jitter.uniform(-1, 1) * unit, jitter.uniform(-1, 1) * unit
    across = width >= height
    if scene.count == 2:
        room = (width if across else height) / 2
        side = min((29 + jitter.uniform(-1, 1)) * unit, room, min(width, height))
        middles = (width / 2 - 15.5 * unit, width / 2 + 15.5 * unit) if across else (width / 2, width / 2)
        levels = (height / 2, height / 2) if across else (height / 2 - 15.5 * unit, height / 2 + 15.5 * unit)
    else:
        extent = {"big": 46.0 if scene.place == "centre" else 38.0, "small": 28.0}[scene.size]
        side = min((extent + jitter.uniform(-1, 1)) * unit, 0.94 * min(width, height))
        slack = (width - side) / 2
        middles = (width / 2 + {"left": -1, "centre": 0, "right": 1}[scene.place] * 0.85 * slack,)
        levels = (height / 2,)
    boxes = []
    for middle, level in zip(middles, levels, strict=True):
        left = min(max(middle + dx - side / 2, 0), width - side)
        top = min(max(level + dy - side / 2, 0), height - side)
        # Pixel art stands on the grid of its own cells.
        cell = pixel_cell(int(side)) if scene.style is Style.PIXEL else 1
        boxes.append(tuple(round(value) // cell * cell for value in (left, top, int(side))))
    return boxes


@lru_cache(maxsize=256)
def ground_picture(ground: Ground, width: int, height: int) -> Image.Image:
    """The bare ground, RGB."""
    if ground.kind in _SKY:
        return _outdoors(ground.kind, width, height)
    colour = np.array(COLOURS[ground.colour], dtype=np.float32)
    other = (
        np.array((196, 200, 206), dtype=np.float32)
        if ground.colour == "white"
        else 0.45 * colour + 0.55 * 255
    )
    cover = _pattern(ground.kind, width, height)[:, :, None]
    return Image.fromarray((colour * (1 - cover) + other * cover + 0.5).astype(np.uint8))


def _pattern(kind: str, width: int, height: int) -> np.ndarray:
    """How much of the second tone covers each pixel, [height, width] in 0..1; a sixteenth of the unit is 16
    pixels.
    """
    unit = (width * height) ** 0.5 / 64
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    # Wave of period 16 units, positive in the first half: its sign gives stripes and, multiplied, squares.
    wave_x, wave_y = np.sin(x / unit * np.pi / 8), np.sin(y / unit * np.pi / 8)
    if kind == "striped":
        return np.clip(wave_x * 4 * unit + 0.5, 0, 1)
    if kind == "checked":
        return np.clip(
            np.sign(wave_x * wave_y) * np.minimum(np.abs(wave_x), np.abs(wave_y)) * 4 * unit + 0.5, 0, 1
        )
    if kind == "dotted":
        away = np.hypot((x / unit) % 16 - 8, (y / unit) % 16 - 8)
        return np.clip((4.2 - away) * unit + 0.5, 0, 1)
    return np.zeros((height, width), dtype=np.float32)


def _outdoors(kind: str, width: int, height: int) -> Image.Image:
    unit = (width * height) ** 0.5 / 64
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = (y + 0.5) / height, (x + 0.5) / width
    picture = np.empty((height, width, 3), dtype=np.float32)
    picture[:] = _SKY[kind]
    if kind == "beach":
        picture[y > 0.3] = _SEA
    # A gentle hill; on the beach a straight waterline.
    line = 0.55 if kind == "beach" else 0.62 - 0.1 * np.sin(np.pi * x)
    soft = np.clip((y - line) * height + 0.5, 0, 1)[:, :, None]
    picture = picture * (1 - soft) + np.array(_FLOOR[kind], dtype=np.float32) * soft
    spots = {"night": [(a, b, 0.9, (250, 250, 220)) for a, b in _SPECKS], "snow": []}.get(kind, [])
    if kind == "night":
        spots.append((0.87, 0.14, 5.5, (250, 240, 170)))
    if kind == "snow":
        spots = [(a, b, 1.3, (255, 255, 255)) for a, b in _FLAKES]
    for cx, cy, radius, colour in spots:
        away = np.hypot((x - cx) * width, (y - cy) * height)
        cover = np.clip(radius * unit - away + 0.5, 0, 1)[:, :, None]
        picture = picture * (1 - cover) + np.array(colour, dtype=np.float32) * cover
    return Image.fromarray(np.clip(picture + 0.5, 0, 255).astype(np.uint8))
