"""How like the subject pictures are: by faces, by the subject's patches, or by whole pictures.

Each reader gives a picture's similarity to every photograph; what of those are references, the caller says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from engine.select.fidelity import neutral_adjusted
from engine.select.looking import Seen
from engine.vision.encoder import Encoder, PatchEncoder, TransformersEncoder
from engine.vision.faces import FaceReader

SHARE_TAKEN_OFF = 0.9
"""Of the variance among the texts' vectors. Between 0.5 and 0.98 the demo's encoder tells eight painted animals from
the class in any case; at 0.9 with the greatest certainty (gap over its error 4.5 and more; 0.7 with nothing taken off).
"""

HELD_OUT_FROM = 8
"""Photographs there must be for those kept out of training to be the yardstick; at least two of them are."""

_MOST_REFERENCES = 32
_COVERED = 0.5  # of a patch by the mask, from which it belongs to the subject
# What two strangers' faces have in common: of dlib the mean over 42 pictures of 14 people of the ORL set (their own:
# 0.97); of ArcFace's kin nothing.
_STRANGERS = {"dlib": 0.86}


class LikenessReader(Protocol):
    """Compares with the photographs it was made with; `usable` says which of them have what is compared."""

    usable: np.ndarray

    def to_photographs(self, seen: Seen) -> np.ndarray:
        """[pictures, usable photographs]."""
        ...


class WholePictures:
    """Cosines of whole pictures.

    With `off` these directions (of what prompts and captions vary: ground, place, medium, all but the subject; see
    `directions`) are taken off every vector first. With neutral pictures, CSLS takes off what all pictures share.
    """

    def __init__(
        self, encoder: Encoder, photographs: Seen, off: np.ndarray | None = None, neutral: Seen | None = None
    ) -> None:
        self._encoder = encoder
        self._off = off
        self._refs = self._rows(photographs)
        self._bank = None if neutral is None or not len(neutral) else self._rows(neutral)
        self.usable = np.ones(len(photographs), bool)

    def to_photographs(self, seen: Seen) -> np.ndarray:
        rows = self._rows(seen)
        alike = rows @ self._refs.T
        if self._bank is None:
            return alike
        return neutral_adjusted(alike, rows @ self._bank.T, self._refs @ self._bank.T)

    def _rows(self, seen: Seen) -> np.ndarray:
        rows = seen.vectors(self._encoder)
        return rows if self._off is None else without(rows, self._off)


class SubjectPatches:
    """Each of a photograph's patches of the subject finds the nearest patch in the picture; the mean of their cosines.

    weights: how much each patch of each photograph counts, by a mask (`mask_weights`) or as the encoder itself sees it.
    A background that is repeated wins nothing then; MaSC (arXiv 2605.22469) found no measure of whole pictures as near
    to human judgement.
    """

    def __init__(self, encoder: PatchEncoder, photographs: Seen, weights: Sequence[np.ndarray]) -> None:
        self._encoder = encoder
        rows = photographs.patches(encoder)
        self.usable = np.ones(len(photographs), bool)
        inside = [weight > 0 for weight in weights]
        self._counts = [int(one.sum()) for one in inside]
        device = "cuda" if torch.cuda.is_available() else "cpu"
        kind = torch.float16 if device == "cuda" else torch.float32
        taken = [row[one] for row, one in zip(rows, inside, strict=True)]
        self._subject = torch.from_numpy(np.concatenate(taken)).to(device, kind)
        shares = [weight[one] / weight.sum() for weight, one in zip(weights, inside, strict=True)]
        self._shares = torch.from_numpy(np.concatenate(shares)).to(device, torch.float32)

    @torch.inference_mode()
    def to_photographs(self, seen: Seen) -> np.ndarray:
        found = []
        for patches in seen.patches(self._encoder):
            picture = torch.from_numpy(patches).to(self._subject.device, self._subject.dtype)
            nearest = (self._subject @ picture.T).amax(dim=1).float() * self._shares
            found.append([float(part.sum()) for part in nearest.split(self._counts)])
        return np.array(found, np.float32).reshape(len(found), len(self._counts))


def mask_weights(
    encoder: TransformersEncoder, images: Sequence[Image.Image], masks: Sequence[Image.Image | None]
) -> list[np.ndarray]:
    """The patches of each picture that its mask says are the subject, all alike; without a mask all of them."""
    whole = Image.new("L", (64, 64), 255)
    given = [mask or whole.resize(image.size) for mask, image in zip(masks, images, strict=True)]
    # A subject smaller than any patch still has the patch that holds most of it.
    return [(share >= min(_COVERED, share.max())).astype(np.float32) for share in encoder.patch_shares(given)]


class Faces:
    """Cosines of the largest faces; 0 where there is none, and strangers near 0 whichever the reader is."""

    def __init__(self, reader: FaceReader, photographs: Seen) -> None:
        self._reader = reader
        rows = photographs.faces(reader)
        self.usable = _found(rows)
        self._refs = rows[self.usable]
        self._strangers = _STRANGERS.get(reader.name, 0.0)

    def to_photographs(self, seen: Seen) -> np.ndarray:
        rows = seen.faces(self._reader)
        alike = (rows @ self._refs.T - self._strangers) / (1 - self._strangers)
        return np.where(_found(rows)[:, None], alike, 0.0)

    def found(self, seen: Seen) -> np.ndarray:
        """Which pictures show a face: [pictures]."""
        return _found(seen.faces(self._reader))


@dataclass(frozen=True, eq=False)
class Yardstick:
    """What pictures are held against: `references` are places among the reader's usable photographs, `real` what the
    photographs themselves reach, as `engine.select.cells.Likeness` has it.
    """

    reader: LikenessReader
    references: np.ndarray
    real: np.ndarray
    held_out: bool

    def to_references(self, seen: Seen) -> np.ndarray:
        """[pictures, references]."""
        return self.reader.to_photographs(seen)[:, self.references]


def compared_photographs(held_out: Sequence[bool]) -> list[int]:
    """Which photographs likeness is read with: all, or 32 of each sort, spread over them evenly."""
    held = [at for at, out in enumerate(held_out) if out]
    train = [at for at, out in enumerate(held_out) if not out]
    return sorted([*_evenly(held), *_evenly(train)])


def yardstick(reader: LikenessReader, photographs: Seen, held_out: Sequence[bool]) -> Yardstick | None:
    """The photographs as references: those that training never saw where there are enough (likeness to the others is
    partly copying), else all of them. None where no photograph can be compared.
    """
    usable = np.flatnonzero(reader.usable)
    if not len(usable):
        return None
    out = np.array(held_out)[usable]
    alike = reader.to_photographs(photographs)[usable].astype(float)
    if len(usable) >= HELD_OUT_FROM and 2 <= out.sum() < len(usable):
        return Yardstick(reader, np.flatnonzero(out), alike[~out][:, out], True)
    return Yardstick(reader, np.arange(len(usable)), alike, False)


def directions(texts: np.ndarray, share: float = SHARE_TAKEN_OFF) -> np.ndarray | None:
    """[k, width], orthonormal: the few that hold this share of what texts' vectors [n, width] differ in.

    None where there are no two different texts.
    """
    centred = texts - texts.mean(axis=0)
    _, strengths, rows = np.linalg.svd(centred, full_matrices=False)
    total = float((strengths**2).sum())
    if total < 1e-9:
        return None
    held = np.cumsum(strengths**2) / total
    return rows[: int((held < share).sum()) + 1]


def without(rows: np.ndarray, off: np.ndarray) -> np.ndarray:
    """Rows [n, width] with these orthonormal directions taken off, of length 1 again."""
    left = rows - (rows @ off.T) @ off
    return left / np.maximum(np.linalg.norm(left, axis=1, keepdims=True), 1e-12)


def _evenly(places: Sequence[int], most: int = _MOST_REFERENCES) -> list[int]:
    return [places[at * len(places) // most] for at in range(most)] if len(places) > most else list(places)


def _found(faces: np.ndarray) -> np.ndarray:
    return np.abs(faces).sum(axis=1) > 0
