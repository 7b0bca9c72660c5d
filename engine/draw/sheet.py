"""A contact sheet: many pictures small on one. Light but for Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.files import atomic_path

CELL = 192  # pixels a side; a wide picture fills the width, a tall one the height
_GAP = 4
_COLUMNS = 6


def contact_sheet(pictures: Sequence[Path], to: Path) -> None:
    """Writes a PNG with the pictures in rows of six, each whole in its cell. OSError passes on."""
    from PIL import Image

    columns = min(_COLUMNS, max(1, len(pictures)))
    rows = -(-len(pictures) // columns)
    step = CELL + _GAP
    sheet = Image.new("RGB", (columns * step + _GAP, rows * step + _GAP), "#202020")
    for index, path in enumerate(pictures):
        with Image.open(path) as picture:
            small = picture.convert("RGB")
        # A picture of the small base is enlarged in whole pixels; a large one is made smaller.
        factor = CELL / max(small.size)
        method = Image.Resampling.NEAREST if factor >= 2 else Image.Resampling.LANCZOS
        small = small.resize((max(1, round(small.width * factor)), max(1, round(small.height * factor))), method)
        row, column = divmod(index, columns)
        left = _GAP + column * step + (CELL - small.width) // 2
        sheet.paste(small, (left, _GAP + row * step + (CELL - small.height) // 2))
    to.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(to) as beside:
        sheet.save(beside, format="PNG")
