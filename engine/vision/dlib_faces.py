"""dlib's faces: its small convolutional detector, five landmarks, and its 128-number descriptor.

The 68-point landmark file is never used: the pictures it was trained on exclude commercial use.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

from engine.errors import LorasmithError, shown
from engine.vision.faces import Face, largest_first
from engine.vision.models import ModelSource
from engine.vision.pixels import unit

_LONG_SIDE = 800  # pixels the detector looks at: it finds faces from 80 px, so a tenth of the picture's side
_MIN_SCORE = 0.0


def need_dlib() -> None:
    """LorasmithError where the package is missing: it is no dependency of lorasmith."""
    if importlib.util.find_spec("dlib") is None:
        raise LorasmithError(
            "dlib's face reader needs the package dlib, which is not installed; `pip install dlib-bin` brings it, "
            "or name auraface."
        )


class DlibReader:
    """See `engine.vision.faces.FaceReader`."""

    size = 128
    same_person = 0.9

    def __init__(self, source: ModelSource) -> None:
        need_dlib()
        import dlib

        self.name = source.name
        self.licence = source.licence
        self._dlib = dlib
        self._detector = _opened(dlib.cnn_face_detection_model_v1, source.file("mmod_human_face_detector.dat"))
        self._landmarks = _opened(dlib.shape_predictor, source.file("shape_predictor_5_face_landmarks.dat"))
        self._recogniser = _opened(
            dlib.face_recognition_model_v1, source.file("dlib_face_recognition_resnet_model_v1.dat")
        )

    def detect(self, image: Image.Image) -> list[Face]:
        pixels = np.asarray(image.convert("RGB"))
        scale = min(1.0, _LONG_SIDE / max(image.size))
        small = image.convert("RGB")
        if scale < 1:
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            small = small.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        found = self._detector(np.asarray(small), 1 if max(small.size) < _LONG_SIDE / 2 else 0)
        faces = []
        for one in found:
            if one.confidence < _MIN_SCORE:
                continue
            box = one.rect
            corners = [value / scale for value in (box.left(), box.top(), box.right() + 1, box.bottom() + 1)]
            points = self._points(pixels, corners)
            faces.append(
                Face(*corners, float(one.confidence), tuple((float(p.x), float(p.y)) for p in points.parts()))
            )
        return largest_first(faces)

    def embed(self, image: Image.Image, face: Face) -> np.ndarray:
        pixels = np.ascontiguousarray(image.convert("RGB"))
        points = self._points(pixels, list(face.box))
        return unit(np.asarray(self._recogniser.compute_face_descriptor(pixels, points), np.float32))

    def _points(self, pixels: np.ndarray, corners: list[float]):
        left, top, right, bottom = (round(value) for value in corners)
        return self._landmarks(pixels, self._dlib.rectangle(left, top, right - 1, bottom - 1))


def _opened(opener, path: Path):
    try:
        return opener(str(path))
    except RuntimeError as error:
        raise LorasmithError(f"{shown(path)} cannot be read by dlib; fetch it again.") from error
