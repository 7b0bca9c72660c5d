"""A contact sheet of checkpoints: a labelled row for each, the same prompts one below the other. Pillow only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.draw.sheet import CELL
from engine.files import atomic_path

_GAP = 4
_LABEL = 96  # pixels at the left for the names
_SIDE = CELL // 2


def epoch_sheet(rows: Mapping[str, Sequence[Path | None]], to: Path) -> None:
    """Writes a PNG with a row of pictures for each name; a picture that is not there stays blank. OSError passes on."""
    from PIL import Image, ImageDraw, ImageFont

    columns = max(len(row) for row in rows.values())
    step = _SIDE + _GAP
    sheet = Image.new("RGB", (_LABEL + columns * step + _GAP, len(rows) * step + _GAP), "#202020")
    write, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for at, (label, row) in enumerate(rows.items()):
        top = _GAP + at * step
        write.text((_GAP, top + _SIDE // 2 - 8), label[:14], fill="#e0e0e0", font=font)
        for column, path in enumerate(row):
            if path is None or not path.is_file():
                continue
            with Image.open(path) as picture:
                small = picture.convert("RGB")
            method = Image.Resampling.NEAREST if max(small.size) < _SIDE else Image.Resampling.LANCZOS
            factor = _SIDE / max(small.size)
            small = small.resize((max(1, round(small.width * factor)), max(1, round(small.height * factor))), method)
            left = _LABEL + column * step + (_SIDE - small.width) // 2
            sheet.paste(small, (left, top + (_SIDE - small.height) // 2))
    to.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(to) as beside:
        sheet.save(beside, format="PNG")
