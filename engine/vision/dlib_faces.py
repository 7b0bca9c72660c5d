"""dlib's faces: found by its gradient detector, or by its small network where that finds none; five landmarks; and a
descriptor of 128 numbers.

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

Corners = tuple[float, float, float, float]

# The gradient detector sees faces of 40 px and more (80, looked at twice as large): a twentieth of this side. It takes
# 0.1 s where the network, at this size, takes seconds; the network also sees turned faces, from a sixth of its side.
_LONG_SIDE = 800
_NETWORK_SIDE = 480
_MOST_ENLARGED = 4.0


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
    # dlib's own rule is a distance below 0.6 between descriptors that are not of length 1: 1.27 to 1.56, 1.415 on
    # average, so that 0.6 is a cosine of 0.91 (measured on the 400 pictures of the ORL set in greys). This one is the
    # best on the first 20 of its people; on the other 20 it is right in 99.8 % of 19,900 pairs (0.91: in 99.1 %).
    same_person = 0.925

    def __init__(self, source: ModelSource) -> None:
        need_dlib()
        import dlib

        self.name = source.name
        self.licence = source.licence
        self._dlib = dlib
        self._gradients = dlib.get_frontal_face_detector()
        self._network = _opened(dlib.cnn_face_detection_model_v1, source.file("mmod_human_face_detector.dat"))
        self._landmarks = _opened(dlib.shape_predictor, source.file("shape_predictor_5_face_landmarks.dat"))
        self._recogniser = _opened(
            dlib.face_recognition_model_v1, source.file("dlib_face_recognition_resnet_model_v1.dat")
        )

    def detect(self, image: Image.Image) -> list[Face]:
        picture = image.convert("RGB")
        found = self._by_gradients(picture) or self._by_network(picture)
        pixels = np.asarray(picture)
        faces = []
        for corners, score in found:
            points = self._points(pixels, corners).parts()
            faces.append(Face(*corners, score, tuple((float(point.x), float(point.y)) for point in points)))
        return largest_first(faces)

    def _by_gradients(self, picture: Image.Image) -> list[tuple[Corners, float]]:
        small, scale = _sized(picture, _LONG_SIDE)
        boxes, scores, _ = self._gradients.run(small, 1, 0.0)
        return [(_corners(box, scale), float(score)) for box, score in zip(boxes, scores, strict=True)]

    def _by_network(self, picture: Image.Image) -> list[tuple[Corners, float]]:
        small, scale = _sized(picture, _NETWORK_SIDE)
        return [(_corners(one.rect, scale), float(one.confidence)) for one in self._network(small, 0)]

    def embed(self, image: Image.Image, face: Face) -> np.ndarray:
        pixels = np.ascontiguousarray(image.convert("RGB"))
        points = self._points(pixels, face.box)
        return unit(np.asarray(self._recogniser.compute_face_descriptor(pixels, points), np.float32))

    def _points(self, pixels: np.ndarray, corners: Corners):
        left, top, right, bottom = (round(value) for value in corners)
        return self._landmarks(pixels, self._dlib.rectangle(left, top, right - 1, bottom - 1))


def _sized(picture: Image.Image, long_side: int) -> tuple[np.ndarray, float]:
    """The picture at the size a detector looks at, and how much larger that is than the picture itself."""
    scale = min(_MOST_ENLARGED, long_side / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)), scale


def _corners(box, scale: float) -> Corners:
    # dlib's rectangles hold their last pixel.
    left, top, right, bottom = box.left(), box.top(), box.right() + 1, box.bottom() + 1
    return (left / scale, top / scale, right / scale, bottom / scale)


def _opened(opener, path: Path):
    try:
        return opener(str(path))
    except RuntimeError as error:
        raise LorasmithError(f"{shown(path)} cannot be read by dlib; fetch it again.") from error
