"""Pictures and what encoders saw in them: every encoder looks at a picture once, whoever asks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from engine.vision.encoder import Encoder, PatchEncoder
from engine.vision.faces import FaceReader


class Seen:
    """Some pictures; after an encoder has looked it leaves the card, so that one at a time is there."""

    def __init__(self, images: Sequence[Image.Image]) -> None:
        self.images = images
        self._vectors: dict[int, np.ndarray] = {}
        self._patches: dict[int, Sequence[np.ndarray]] = {}
        self._faces: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.images)

    def vectors(self, encoder: Encoder) -> np.ndarray:
        """float32 [n, encoder.size], of length 1."""
        if id(encoder) not in self._vectors:
            self._vectors[id(encoder)] = encoder.embed(self.images)
            rest(encoder)
        return self._vectors[id(encoder)]

    def patches(self, encoder: PatchEncoder) -> Sequence[np.ndarray]:
        """Of each picture [patches, width], of length 1."""
        if id(encoder) not in self._patches:
            found = encoder.embed_patches(self.images)
            self._vectors[id(encoder)], self._patches[id(encoder)] = found
            rest(encoder)
        return self._patches[id(encoder)]

    def faces(self, reader: FaceReader) -> np.ndarray:
        """float32 [n, reader.size]: the largest face of each picture; zeros where there is none."""
        if id(reader) not in self._faces:
            rows = np.zeros((len(self.images), reader.size), np.float32)
            for row, image in zip(rows, self.images, strict=True):
                if found := reader.detect(image):
                    row[:] = reader.embed(image, found[0])
            self._faces[id(reader)] = rows
        return self._faces[id(reader)]


def rest(encoder: object) -> None:
    """Has an encoder leave the card, where it knows how to."""
    if leave := getattr(encoder, "rest", None):
        leave()
