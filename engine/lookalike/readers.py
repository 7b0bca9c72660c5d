"""Who looks at the pictures: a face reader, or an encoder of whole pictures, behind one small interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from engine.base.find import DEMO
from engine.errors import LorasmithError
from engine.vision.models import ModelSource, find_model, installed

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from engine.vision.encoder import Encoder
    from engine.vision.faces import FaceReader

Report = Callable[[int, int], None]


class Reader(Protocol):
    """Looks at one picture; `same` is the cosine from which two vectors count as one person, None where none does."""

    name: str
    licence: str
    same: float | None

    def read(self, picture: Image.Image) -> np.ndarray | None:
        """float32 [width] of length 1 for what the picture shows; None where it shows nothing of the kind."""
        ...


class WholePicture:
    """An encoder as a reader: every picture shows something."""

    same: float | None = None

    def __init__(self, encoder: Encoder) -> None:
        self.name, self.licence = encoder.name, encoder.licence
        self._encoder = encoder

    def read(self, picture: Image.Image) -> np.ndarray | None:
        return self._encoder.embed([picture])[0]


class LargestFace:
    """A face reader that looks at a picture's largest face."""

    def __init__(self, faces: FaceReader) -> None:
        self.name, self.licence = faces.name, faces.licence
        self.same: float | None = faces.same_person
        self._faces = faces

    def read(self, picture: Image.Image) -> np.ndarray | None:
        found = self._faces.detect(picture)
        return self._faces.embed(picture, found[0]) if found else None


def picture_reader(spec: str, base: str, report: Report | None = None) -> Reader:
    """The encoder of whole pictures; "auto" is the demo's own on the demo's base, else what this machine has."""
    from engine.vision.encoder import open_encoder

    source: str | ModelSource = spec
    if spec == "auto":
        source = DEMO if base == DEMO else installed("embedding") or "dinov2"
    return WholePicture(open_encoder(source, report))


def face_reader(spec: str, report: Report | None = None) -> Reader:
    """The reader of faces; "auto" is what this machine has, else AuraFace from the hub."""
    from engine.vision.faces import open_faces

    return LargestFace(open_faces((installed("faces") or "auraface") if spec == "auto" else spec, report))


def check_readers(encoder: str, faces: str) -> None:
    """Refuses a reader that no one knows, before a job is made of it. Raises LorasmithError."""
    for spec, role in ((encoder, "embedding"), (faces, "faces")):
        if spec != "auto":
            find_model(spec, role)  # type: ignore[arg-type]


def licences(by_face: bool, base: str) -> list[str]:
    """One sentence for each reader that "auto" would take, before anything is fetched."""
    said = []
    if by_face:
        said.append((installed("faces") or find_model("auraface", "faces")).licence)
    if base != DEMO:
        said.append((installed("embedding") or find_model("dinov2", "embedding")).licence)
    return said


def no_face_sentence(count: int) -> LorasmithError:
    """What to say where none of the photographs shows a face."""
    return LorasmithError(
        f"No face was found in {'the picture' if count == 1 else f'any of the {count} pictures'}: give pictures in "
        "which the face is seen from the front and at least 100 pixels wide."
    )
