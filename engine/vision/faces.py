"""Faces: where they are in a picture, and a vector of each whose cosine says whether two are one person.

Two readers behind one interface: YuNet with AuraFace, fetched by name, and dlib with weights from a folder or package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from engine.vision.models import ModelSource, Report, find_model


@dataclass(frozen=True)
class Face:
    """A face's box in pixels of the picture (may reach past its edge), the detector's score, and its landmarks.

    Landmarks are (x, y) points in the order of the reader that found them; None where it found none.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    score: float
    landmarks: tuple[tuple[float, float], ...] | None = None

    @property
    def box(self) -> tuple[float, float, float, float]:
        return (self.x0, self.y0, self.x1, self.y1)

    @property
    def short_side(self) -> float:
        return min(self.x1 - self.x0, self.y1 - self.y0)

    @property
    def area(self) -> float:
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)


class FaceReader(Protocol):
    """A detector and a recogniser; `same_person` is the cosine from which two faces count as one person."""

    name: str
    licence: str
    size: int
    same_person: float

    def detect(self, image: Image.Image) -> list[Face]:
        """All faces, largest first; an empty list where there is none."""
        ...

    def embed(self, image: Image.Image, face: Face) -> np.ndarray:
        """float32 [size] of length 1, of a face that `detect` found in this picture."""
        ...


def open_faces(spec: str | Path | ModelSource, report: Report | None = None) -> FaceReader:
    """The reader that a name ("auraface", "dlib") or a folder means; AuraFace is fetched if need be.

    `report(done, total)` is told the bytes of a download. Raises LorasmithError: no such model, no network, a broken
    file, dlib's package missing.
    """
    source = spec if isinstance(spec, ModelSource) else find_model(spec, "faces")
    if source.loader == "dlib":
        from engine.vision.dlib_faces import DlibReader, need_dlib

        need_dlib()
    if not source.here:
        from engine.vision.fetch import fetch_model

        source = fetch_model(source, report)
    if source.loader == "dlib":
        return DlibReader(source)
    from engine.vision.auraface import AuraFaceReader

    return AuraFaceReader(source)


def largest_first(faces: list[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: (-face.area, face.x0, face.y0))
