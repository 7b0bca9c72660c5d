"""Contact sheets: a row of pictures for each word, with what is to be said of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from engine.errors import shown
from engine.files import atomic_path

_SIDE, _GAP, _TEXT = 192, 6, 34


def write_sheet(path: Path, rows: Sequence[tuple[str, Sequence[Path]]], *, columns: int = 4) -> None:
    """Writes a PNG of the rows' pictures, each row under its label. OSError passes on."""
    lines = [max(1, -(-len(pictures) // columns)) for _, pictures in rows]
    height = sum(_TEXT + count * (_SIDE + _GAP) for count in lines) + _GAP
    page = Image.new("RGB", (columns * (_SIDE + _GAP) + _GAP, height), "white")
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(14)
    top = _GAP
    for (label, pictures), count in zip(rows, lines, strict=True):
        pen.text((_GAP, top + 8), _printable(label), fill="black", font=font)
        top += _TEXT
        for at, picture in enumerate(pictures):
            place = (_GAP + at % columns * (_SIDE + _GAP), top + at // columns * (_SIDE + _GAP))
            page.paste(_square(picture), place)
        top += count * (_SIDE + _GAP)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as beside:
        page.save(beside, format="PNG")


def _square(path: Path) -> Image.Image:
    tile = Image.new("RGB", (_SIDE, _SIDE), "#dddddd")
    with Image.open(path) as picture:
        small = picture.convert("RGB")
    scale = _SIDE / max(small.size)
    size = (max(1, round(small.width * scale)), max(1, round(small.height * scale)))
    small = small.resize(size, Image.Resampling.LANCZOS)
    tile.paste(small, ((_SIDE - small.width) // 2, (_SIDE - small.height) // 2))
    return tile


def _printable(label: str) -> str:
    return shown(label)[:110]
