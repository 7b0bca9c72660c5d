"""The pictures that go with an exported LoRA: its preview, its thumbnail, and a sheet of samples."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.compare.choice import Choice
from engine.select.families import Family

if TYPE_CHECKING:
    from PIL import Image

THUMBNAIL = 256  # pixels, as Stability's ModelSpec asks
_MOST = 6
_CELL, _GAP = 384, 8
_TINY = 160  # pixels: up to here a picture is enlarged by whole steps, so that it stays what it is
_ORDER = (Family.IDENTITY, Family.CONTEXT, Family.STYLE, Family.ACTION, Family.ATTRIBUTE, Family.COMPOSITION)


@dataclass(frozen=True)
class Sample:
    """A picture of the LoRA and what was asked for; `prompt` is empty where that is not known."""

    path: Path
    prompt: str
    seed: int | None = None


def samples_of(choice: Choice) -> list[Sample]:
    """Pictures that show it, the best known first: one of each family at its weight, or the training's samples."""
    if choice.report is None or choice.folder is None:
        return [Sample(path, _asked(path)) for path in choice.samples[:_MOST] if path.is_file()]
    report, folder = choice.report, choice.folder
    own = [row for row in report.pictures if row.checkpoint == choice.at[0] and not row.hires]
    weights = sorted({row.weight for row in own}, key=lambda weight: abs(weight - choice.weight))
    pool = [row for row in own if weights and row.weight == weights[0]]
    driving = [cell.prompt for words in report.words[:1] for cell in words.cells if cell.checkpoint == choice.at[0]]
    found: list[Sample] = []
    for family in (*_ORDER, *_ORDER):
        names = [row.name for row in report.prompts if row.family == family]
        names.sort(key=lambda name: name not in driving)
        asked = [sample.prompt for sample in found]
        for row in sorted((row for row in pool if row.prompt in names), key=lambda row: names.index(row.prompt)):
            prompt = report.prompt(row.prompt)
            path = folder / row.file
            if prompt is not None and prompt.drawn not in asked and path.is_file():
                found.append(Sample(path, prompt.drawn, row.seed))
                break
    return found[:_MOST]


def thumbnail(path: Path) -> str:
    """A picture as the data URI that `modelspec.thumbnail` holds: JPEG, 256 pixels. OSError if it is damaged."""
    packed = io.BytesIO()
    _fitted(path, THUMBNAIL).save(packed, "JPEG", quality=85, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode()


def sheet(samples: Sequence[Sample]) -> bytes:
    """The samples side by side, three in a row, as a JPEG."""
    from PIL import Image

    columns = min(3, len(samples))
    rows = -(-len(samples) // columns)
    size = [count * _CELL + (count + 1) * _GAP for count in (columns, rows)]
    page = Image.new("RGB", (size[0], size[1]), "white")
    for at, sample in enumerate(samples):
        cell = _fitted(sample.path, _CELL)
        left, top = ((at % columns), (at // columns))
        corner = (left * (_CELL + _GAP) + _GAP + (_CELL - cell.width) // 2,
                  top * (_CELL + _GAP) + _GAP + (_CELL - cell.height) // 2)  # fmt: skip
        page.paste(cell, corner)
    packed = io.BytesIO()
    page.save(packed, "JPEG", quality=88, optimize=True)
    return packed.getvalue()


def as_png(path: Path) -> bytes:
    """A picture's PNG as it lies there, with the parameters that A1111 reads; made from any other format."""
    data = path.read_bytes()
    if data.startswith(b"\x89PNG"):
        return data
    from PIL import Image

    packed = io.BytesIO()
    with Image.open(io.BytesIO(data)) as picture:
        picture.convert("RGB").save(packed, "PNG")
    return packed.getvalue()


def _fitted(path: Path, side: int) -> Image.Image:
    from PIL import Image

    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if max(picture.size) <= _TINY and max(picture.size) * 2 <= side:
        steps = side // max(picture.size)
        return picture.resize((picture.width * steps, picture.height * steps), Image.Resampling.NEAREST)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def _asked(path: Path) -> str:
    """What a sample of the training was asked for: the first line of the parameters in it."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return str(picture.info.get("parameters", "")).partition("\n")[0]
    except (OSError, ValueError, SyntaxError):
        return ""
