"""The objects' drawings: two hands of openly licensed emoji, and the styles derived from them."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from importlib import resources

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from engine.lab.objects import OBJECTS
from engine.lab.scenes import Style

INK = (28, 28, 36)
PAPER = (250, 249, 244)

Source = Callable[[str, str], Image.Image]
"""Gives the square RGBA drawing of an object's name in a hand ("noto" or "fluent"), at any size."""


@lru_cache(maxsize=256)
def packaged(name: str, hand: str) -> Image.Image:
    """The 96-pixel drawing that travels with the project (presets/sprites/)."""
    path = resources.files("presets") / "sprites" / hand / f"{OBJECTS[name].key}.webp"
    return Image.open(io.BytesIO(path.read_bytes())).convert("RGBA")


@lru_cache(maxsize=8192)
def drawn(name: str, style: Style, side: int, source: Source = packaged) -> Image.Image:
    """One object in one style, RGBA, `side` pixels square (pixel art: as many whole cells as fit)."""
    if style is Style.PIXEL:
        return _pixelated(source(name, "noto"), side)
    return _styled(name, style, source).resize((side, side), Image.Resampling.LANCZOS)


@lru_cache(maxsize=512)
def _styled(name: str, style: Style, source: Source) -> Image.Image:
    match style:
        case Style.RENDER:
            return source(name, "fluent")
        case Style.SKETCH:
            return _sketched(_framed(source(name, "noto"), 0.04))
        case Style.SILHOUETTE:
            shape = Image.new("RGBA", source(name, "noto").size, (*INK, 255))
            shape.putalpha(source(name, "noto").getchannel("A"))
            return shape
        case Style.NEON:
            return _glowing(_framed(source(name, "noto"), 0.1))
        case _:
            return source(name, "noto")


def _framed(sprite: Image.Image, margin: float) -> Image.Image:
    """The drawing with a transparent margin (a fraction of its side), so that outlines are not cut off."""
    edge = round(sprite.width * margin)
    framed = Image.new("RGBA", (sprite.width + 2 * edge, sprite.height + 2 * edge))
    framed.paste(sprite, (edge, edge))
    return framed


def _lines(sprite: Image.Image) -> Image.Image:
    """The drawing's contours as a mask "L": where colour or coverage changes fast, thick enough to read at 64
    px.
    """
    unit = sprite.width / 100
    flat = Image.new("RGBA", sprite.size, (255, 255, 255, 255))
    flat.alpha_composite(sprite)
    channels = [*flat.convert("RGB").split(), sprite.getchannel("A")]
    steepest = np.zeros(sprite.size[::-1])
    for channel in channels:
        soft = np.asarray(channel.filter(ImageFilter.GaussianBlur(1.1 * unit)), dtype=np.float32)
        across, down = np.gradient(soft)
        steepest = np.maximum(steepest, np.hypot(across, down) * unit)
    mask = Image.fromarray((np.clip((steepest - 12) / 14, 0, 1) * 255).astype(np.uint8))
    return mask.filter(ImageFilter.MaxFilter(2 * round(unit) + 1))


def _sketched(sprite: Image.Image) -> Image.Image:
    """Thick dark pencil lines on white paper that covers the object's shape."""
    paper = Image.new("RGBA", sprite.size, (*PAPER, 255))
    paper.paste(Image.new("RGBA", sprite.size, (*INK, 255)), mask=_lines(sprite))
    paper.putalpha(ImageChops.lighter(sprite.getchannel("A"), _lines(sprite)))
    return paper


def _glowing(sprite: Image.Image) -> Image.Image:
    """Contours as bright tubes in the drawing's own hues with a glow around them."""
    unit = sprite.width / 100
    hues = np.asarray(sprite.convert("RGB").filter(ImageFilter.GaussianBlur(2 * unit)), dtype=np.float32) + 8
    low = hues.min(axis=2, keepdims=True) * 0.75
    vivid = (hues - low) / (hues - low).max(axis=2, keepdims=True) * 255
    lines = _lines(sprite)
    softer = [int(level * 0.9) for level in range(256)]
    glow = lines.filter(ImageFilter.GaussianBlur(3.5 * unit)).point(softer)
    tube = Image.fromarray(vivid.astype(np.uint8)).convert("RGBA")
    tube.putalpha(ImageChops.lighter(lines, glow))
    return tube


def pixel_cell(side: int) -> int:
    """Side of one of the square cells of pixel art, in pixels: about sixteen to a drawing."""
    return max(1, round(side / 16))


def _pixelated(sprite: Image.Image, side: int) -> Image.Image:
    """Square cells in few colours, covered wholly or not at all, with a dark outline as in old games."""
    cell = pixel_cell(side)
    cells = side // cell
    inside = sprite.resize((cells - 2, cells - 2), Image.Resampling.BOX)
    steps = [min(255, round(level / 64) * 64) for level in range(256)]
    few = inside.convert("RGB").point(steps * 3).convert("RGBA")
    few.putalpha(inside.getchannel("A").point([255 if alpha > 110 else 0 for alpha in range(256)]))
    framed = Image.new("RGBA", (cells, cells))
    framed.paste(few, (1, 1))
    outlined = Image.new("RGBA", (cells, cells), (*INK, 255))
    outlined.putalpha(framed.getchannel("A").filter(ImageFilter.MaxFilter(3)))
    outlined.alpha_composite(framed)
    return outlined.resize((cells * cell, cells * cell), Image.Resampling.NEAREST)
