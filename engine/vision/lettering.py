"""Lettering in pictures: where it stands and what it says, by PP-OCRv4's two small networks.

The detector alone takes petals and faces for letters; only what the reader can read with confidence counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from engine.vision.copies import open_onnx
from engine.vision.models import ModelSource, Report, find_model

LONG_SIDE = 960  # of the picture that is looked at: at 640 every fourth faint or small line is lost
_STEP = 32  # the detector takes sides of whole steps
_LETTERS = 0.3  # a pixel's probability of being lettering
_LEAST_AREA = 20  # pixels
_WIDEN = 1.6  # the detector marks a line's core: its box grows by area * this / circumference, as in the paper (DB)
_FLAT = 1.2  # width over height of a line at least
_HEIGHT, _SHORTEST = 48, 320  # what the reader takes: lines of 48 pixels, short ones filled up with grey


@dataclass(frozen=True)
class Line:
    """A line of lettering: what it says, how sure the reader is (0 to 1), its middle and its size.

    `x`, `y` and `width` are shares of the picture's sides, 0 at the left and above; `slope` is in degrees.
    """

    text: str
    sure: float
    x: float
    y: float
    width: float
    height: float
    slope: float


class TextReader:
    """PP-OCRv4's detector and reader of lines (Chinese and Latin letters, digits)."""

    def __init__(self, source: ModelSource) -> None:
        self.name = source.name
        self.licence = source.licence
        detector, reader = ("ch_PP-OCRv4_det_infer.onnx", "ch_PP-OCRv4_rec_infer.onnx")
        self._detector = open_onnx(source.file(detector, f"PP-OCRv4/{detector}"))
        self._reader = open_onnx(source.file(reader, f"PP-OCRv4/{reader}"))
        # The first class is "no letter"; the blank between words is the last and not in the list.
        self._letters = ("", *self._reader.get_modelmeta().custom_metadata_map["character"].splitlines(), " ")

    def read(self, image: Image.Image) -> list[Line]:
        """Every line found in a picture, however unsure, the surest first."""
        scale = LONG_SIDE / max(image.size)
        width, height = (max(_STEP, round(length * scale / _STEP) * _STEP) for length in image.size)
        small = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
        wide = self._answer(self._detector, np.asarray(small))[0, 0] > _LETTERS
        pixels = np.asarray(image.convert("RGB"))
        stretch = np.array([image.width / width, image.height / height], np.float32)
        number, parts, stats, _ = cv2.connectedComponentsWithStats(wide.astype(np.uint8))
        lines = []
        for part in range(1, number):
            x, y, across, down, area = stats[part]
            if area < _LEAST_AREA:
                continue
            points = np.argwhere(parts[y : y + down, x : x + across] == part)[:, ::-1] + (x, y)
            box = _upright(cv2.minAreaRect(points.astype(np.float32) * stretch))
            if box[1][0] >= _FLAT * box[1][1]:
                lines.append(self._line(pixels, box))
        return sorted(lines, key=lambda line: -line.sure)

    def _line(self, pixels: np.ndarray, box: tuple[tuple[float, float], tuple[float, float], float]) -> Line:
        (x, y), (width, height), slope = box
        scale = _HEIGHT / height
        turn = cv2.getRotationMatrix2D((x, y), slope, scale)
        turn[:, 2] += width * scale / 2 - x, _HEIGHT / 2 - y
        size = (max(8, round(width * scale)), _HEIGHT)
        how = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
        strip = cv2.warpAffine(pixels, turn, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
        if strip.shape[1] < _SHORTEST:
            strip = np.pad(strip, ((0, 0), (0, _SHORTEST - strip.shape[1]), (0, 0)), constant_values=128)
        text, sure = self._read(self._answer(self._reader, strip)[0])
        across, down = pixels.shape[1], pixels.shape[0]
        return Line(text, sure, x / across, y / down, width / across, height / down, slope)

    def _read(self, chances: np.ndarray) -> tuple[str, float]:
        """The text of [steps, letters] chances and its mean confidence: of a letter seen twice in a row, the first."""
        best, chance = chances.argmax(axis=1), chances.max(axis=1)
        first = (best != 0) & np.concatenate([[True], best[1:] != best[:-1]])
        text = "".join(self._letters[at] for at in best[first])
        return text, float(chance[first].mean()) if first.any() else 0.0

    @staticmethod
    def _answer(session, pixels: np.ndarray) -> np.ndarray:
        """Both networks take BGR from -1 to 1, [1, 3, height, width]."""
        entry = (pixels[:, :, ::-1].astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        return session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(entry)})[0]


def open_text_reader(spec: str | Path | ModelSource, report: Report | None = None) -> TextReader:
    """The reader that a name ("pp-ocr") or a folder means, fetched if need be; LorasmithError where there is none."""
    source = spec if isinstance(spec, ModelSource) else find_model(spec, "text")
    if not source.here:
        from engine.vision.fetch import fetch_model

        source = fetch_model(source, report)
    return TextReader(source)


def _upright(box: tuple) -> tuple[tuple[float, float], tuple[float, float], float]:
    """A rectangle of OpenCV's with its slope between -45 and 45 degrees, grown by what the detector leaves out."""
    middle, (width, height), slope = box
    width, height = max(width, 1.0), max(height, 1.0)
    more = width * height * _WIDEN / (width + height)
    if abs(slope) > 45:
        width, height, slope = height, width, slope - math.copysign(90, slope)
    return middle, (width + more, height + more), slope
