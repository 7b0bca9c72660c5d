"""The pictures that go with an exported LoRA: its preview, its thumbnail, and a sheet of samples."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.compare.choice import Choice, nearest
from engine.draw.order import lora_tag
from engine.select.families import Family

if TYPE_CHECKING:
    from PIL import Image

THUMBNAIL = 256  # pixels, as Stability's ModelSpec asks
_MOST = 6
_CELL, _GAP = 384, 8
_TINY = 160  # pixels: up to here a picture is enlarged by whole steps, so that it stays what it is
_BEHIND_PROMPT = re.compile(r"\n(?=Negative prompt:|Steps:)|\Z")
_ORDER = (Family.IDENTITY, Family.CONTEXT, Family.STYLE, Family.ACTION, Family.ATTRIBUTE, Family.COMPOSITION)


@dataclass(frozen=True)
class Sample:
    """A picture of the LoRA, what was asked for, and the LoRA's weight; `prompt` is empty where it is not known."""

    path: Path
    prompt: str
    weight: float
    seed: int | None = None


def samples_of(choice: Choice) -> list[Sample]:
    """Pictures that show it, the best known first: one of each family, or the training's samples.

    They are of its weight, or where none was drawn at that, all of the nearest.
    """
    if choice.report is None or choice.folder is None:
        return [Sample(path, _asked(path), 1.0) for path in choice.samples[:_MOST] if path.is_file()]
    report, folder = choice.report, choice.folder
    own = [row for row in report.pictures if row.checkpoint == choice.at[0] and not row.hires]
    weight = nearest((row.weight for row in own), choice.weight)
    pool = [row for row in own if row.weight == weight]
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
                found.append(Sample(path, prompt.drawn, row.weight, row.seed))
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


def preview(sample: Sample, name: str) -> bytes:
    """A picture as the preview of the LoRA of this name: its pixels as they lie there, as PNG.

    The parameters that A1111 reads call the LoRA by that name, at the weight the picture was drawn with: in a
    comparison's picture it has the checkpoint's name, and in a training's none.
    """
    data = sample.path.read_bytes()
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    packed = io.BytesIO()
    with Image.open(io.BytesIO(data)) as picture:
        if picture.format != "PNG":
            picture.convert("RGB").save(packed, "PNG")
            return packed.getvalue()
        picture.load()
        texts = {str(key): str(value) for key, value in getattr(picture, "text", {}).items()}
        if "parameters" not in texts:
            return data
        behind = texts["parameters"][_prompt_end(texts["parameters"]) :]
        texts["parameters"] = f"{sample.prompt} {lora_tag(name, sample.weight)}".lstrip() + behind
        info = PngInfo()
        for key, value in texts.items():
            info.add_itxt(key, value)
        picture.save(packed, "PNG", pnginfo=info)
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
    """What a sample of the training was asked for: the prompt of the parameters in it."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            told = str(picture.info.get("parameters", ""))
            return told[: _prompt_end(told)]
    except (OSError, ValueError, SyntaxError):
        return ""


def _prompt_end(parameters: str) -> int:
    """Where the prompt ends in the text that A1111 reads."""
    found = _BEHIND_PROMPT.search(parameters)
    assert found is not None
    return found.start()
