"""YuNet finds faces and five landmarks; AuraFace-v1, an ArcFace network (ResNet-100), compares them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from engine.errors import LorasmithError, shown
from engine.vision.copies import open_onnx
from engine.vision.faces import Face, largest_first
from engine.vision.models import ModelSource
from engine.vision.pixels import unit

_LONG_SIDE = 640  # YuNet was trained for faces of 10 to 300 px; a larger picture is looked at smaller
_MIN_SCORE = 0.8
_OVERLAP = 0.3
_CROP = 112
# Where ArcFace's training put the eyes, the nose and the corners of the mouth in a crop of 112 x 112 (the picture's
# left first): Deng et al., ArcFace, and insightface's face_align.
_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)


class AuraFaceReader:
    """See `engine.vision.faces.FaceReader`."""

    # Of a ResNet-100 ArcFace network by insightface, the lower of two best points: Verma et al., How Many Van Goghs
    # Does It Take to Van Gogh? (2410.15002), code. Not measured for AuraFace itself.
    same_person = 0.457

    def __init__(self, source: ModelSource) -> None:
        self.name = source.name
        self.licence = source.licence
        self._detector = _open_detector(source.file("face_detection_yunet_2023mar.onnx"))
        path = source.file("glintr100.onnx")
        self._recogniser = open_onnx(path)
        self._entry = self._recogniser.get_inputs()[0].name
        width = self._recogniser.get_outputs()[0].shape[-1]
        if not isinstance(width, int):
            raise LorasmithError(f"{shown(path)} gives no vectors of a fixed width; fetch it again.")
        self.size = width

    def detect(self, image: Image.Image) -> list[Face]:
        scale = min(1.0, _LONG_SIDE / max(image.size))
        small = image.convert("RGB")
        if scale < 1:
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            small = small.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        self._detector.setInputSize(small.size)
        _, rows = self._detector.detect(np.ascontiguousarray(np.asarray(small)[:, :, ::-1]))  # OpenCV's order: BGR
        faces = []
        for row in [] if rows is None else rows:
            x, y, width, height, *points = (float(value) / scale for value in row[:14])
            pairs = tuple(zip(points[0::2], points[1::2], strict=True))
            faces.append(Face(x, y, x + width, y + height, float(row[14]), pairs))
        return largest_first(faces)

    def embed(self, image: Image.Image, face: Face) -> np.ndarray:
        crop = align_face(image, face)
        pixels = ((crop.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
        return unit(self._recogniser.run(None, {self._entry: pixels})[0][0])


def align_face(image: Image.Image, face: Face) -> np.ndarray:
    """RGB bytes [112, 112, 3]: the face turned and sized so that its landmarks lie where ArcFace expects them."""
    import cv2

    if face.landmarks is None or len(face.landmarks) != len(_TEMPLATE):
        raise LorasmithError("a face without its five landmarks cannot be compared; detect it with this reader.")
    matrix = similarity(np.array(face.landmarks, np.float32), _TEMPLATE)
    pixels = np.ascontiguousarray(image.convert("RGB"))
    # Far smaller in the crop than in the picture: shrink by averaging first, as a plain warp would skip pixels.
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.5:
        height, width = pixels.shape[:2]
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
        matrix = matrix.copy()
        matrix[:, 0] *= width / small[0]
        matrix[:, 1] *= height / small[1]
    return cv2.warpAffine(pixels, matrix, (_CROP, _CROP), flags=cv2.INTER_LINEAR, borderValue=(0, 0, 0))


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The turn, scale and shift [2, 3] that brings points [n, 2] nearest to others: Umeyama 1991, least squares."""
    here, there = source.mean(axis=0), target.mean(axis=0)
    a, b = (source - here).astype(np.float64), (target - there).astype(np.float64)
    left, strengths, right = np.linalg.svd(b.T @ a / len(a))
    sign = np.array([1.0, np.sign(np.linalg.det(left @ right))])  # a mirror image is no turn
    turn = left @ np.diag(sign) @ right
    scale = (strengths * sign).sum() / a.var(axis=0).sum()
    return np.hstack([scale * turn, (there - scale * turn @ here)[:, None]])


def _open_detector(path: Path):
    import cv2

    try:
        return cv2.FaceDetectorYN.create(str(path), "", (320, 320), _MIN_SCORE, _OVERLAP)
    except cv2.error as error:
        raise LorasmithError(f"{shown(path)} is no YuNet that OpenCV can read; fetch it again.") from error
