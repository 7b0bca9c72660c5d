"""From drawn pictures and the subject's photographs to `Measurements`, by the encoders that `readers` chose."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from engine.dataset.picture import open_rgb, open_small
from engine.errors import DatasetError, shown
from engine.select.cells import Cell, Copying, Following, Likeness, Looks, Measurements, Point, StyleReading
from engine.select.families import FOLLOWING, TRIGGERED, Family
from engine.select.likeness import (
    Faces,
    LikenessReader,
    SubjectPatches,
    WholePictures,
    Yardstick,
    compared_photographs,
    directions,
    mask_weights,
    yardstick,
)
from engine.select.looking import Seen, rest
from engine.select.prompts import PromptSet
from engine.select.quality import pixel_statistics
from engine.select.readers import Readers
from engine.vision.encoder import open_encoder
from engine.vision.models import ModelSource

_AT_ONCE = 32  # pictures that are open at a time
_SIDE, _FACES_SIDE = 512, 1024  # short side that photographs are looked at with
_MOST_TEXTS = 200
# From where on a picture may be a copy, and is one. SSCD's own: 90 % precision from the second (its paper, on DISC).
# The demo's encoder on 60 painted scenes: drawn again a pixel off 0.946 and more, on another ground 0.885 and less.
_COPY_MARKS = {"sscd": (0.5, 0.75), "demo": (0.9, 0.95)}

_BLANK = Image.new("RGB", (64, 64))

Told = Callable[[int, int], None]
"""Of a batch: pictures done, pictures in all. What it raises ends the reading."""


class Photograph(Protocol):
    """A photograph of the subject with the text it was trained with; held_out: it was kept out of training."""

    @property
    def path(self) -> Path: ...
    @property
    def caption(self) -> str: ...
    @property
    def held_out(self) -> bool: ...


class PictureReader:
    """Measures pictures, a batch at a time: a picture's row depends on it alone and on what the reader was made with.

    neutral: pictures of the untouched base, which a style's likeness is taken against; where there are none yet, it is
    read without. `notes` say in sentences what was missing or could not be opened (of photographs, after the first
    batch). native: the side of the area that is drawn, at which the photographs' own sharpness and colours are taken
    (0: they are not). `key` changes whenever the same picture would be measured otherwise.
    """

    def __init__(
        self, readers: Readers, photographs: Sequence[Photograph], prompts: PromptSet, trigger: str, class_word: str,
        *, neutral: Sequence[Path] = (), background: tuple[int, int, int] = (255, 255, 255), native: int = 0,
    ) -> None:  # fmt: skip
        self.readers = readers
        self.prompts = prompts
        self._trigger, self._class_word = trigger, class_word
        self._neutral, self._background, self._native = list(neutral), background, native
        self._given = list(photographs)
        self._encoders: dict[ModelSource, Any] = {}
        self._notes: list[str] = list(readers.notes)
        self._known: dict[bytes, dict[str, np.ndarray]] = {}
        self._style_faces: dict[Point, list[bool]] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    @cached_property
    def key(self) -> str:
        """16 digits of all that a row depends on beside the picture."""
        told = [self.readers.kind, self.readers.way, self.prompts.hash, self._trigger, self._class_word]
        told += [f"{name} {source.name} {_stamp(source)}" for name, source in self.readers.used.items()]
        told += [f"{_digest(one.path)} {one.caption} {one.held_out}" for one in self._given]
        told += [str(path.name) for path in self._neutral] if self.readers.way == "style" else []
        told += [f"native {self._native}"]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]

    def read(
        self, cells: Sequence[Cell], pictures: Sequence[Path | Image.Image | None], told: Told | None = None
    ) -> Measurements:
        """A row for every cell, in order; nan where there is no picture or it does not open."""
        parts = []
        for start in range(0, len(cells), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            parts.append(self._rows(cells[some], [_opened(picture) for picture in pictures[some]]))
            if told is not None:
                told(min(start + _AT_ONCE, len(cells)), len(cells))
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
        return self._measurements(tuple(cells), arrays)

    def close(self) -> None:
        """Lets go of the encoders; the next batch opens them again."""
        self._encoders.clear()
        for name in ("_photographs", "_yardstick", "_copies", "_texts", "_setting"):
            self.__dict__.pop(name, None)

    def _rows(self, cells: Sequence[Cell], pictures: Sequence[Image.Image | None]) -> dict[str, np.ndarray]:
        """Each measure's rows; a picture that was seen before, under whatever name, has the very same ones."""
        if not self._known:  # a blank one tells how wide rows are, should none of these open
            self._known[b""] = {name: rows[0] for name, rows in self._looked_at(Seen([_BLANK])).items()}
        named = {at: _content(picture) for at, picture in enumerate(pictures) if picture is not None}
        new = {content: at for at, content in reversed(named.items()) if content not in self._known}
        if new:
            found = self._looked_at(Seen([image for at in new.values() if (image := pictures[at]) is not None]))
            for row, content in enumerate(new):
                self._known[content] = {name: values[row] for name, values in found.items()}
        known = {at: self._known[content] for at, content in named.items()}
        widths = {name: len(row) for name, row in self._known[b""].items()}
        spread = {name: np.full((len(cells), width), np.nan) for name, width in widths.items()}
        for at, rows in known.items():
            for name, row in rows.items():
                spread[name][at] = row
        if "faces" in spread:
            self._heed_faces(cells, spread.pop("faces")[:, 0], spread["likeness"])
        return spread

    def _looked_at(self, seen: Seen) -> dict[str, np.ndarray]:
        """Measure -> rows of these pictures."""
        found: dict[str, np.ndarray] = {
            "pixels": np.stack([pixel_statistics(np.asarray(image)) for image in seen.images]),
        }
        if self._yardstick is not None:
            found["likeness"] = self._yardstick.to_references(seen)
            if isinstance(self._yardstick.reader, Faces):
                found["faces"] = self._yardstick.reader.found(seen)[:, None]
        if self.readers.following is not None:
            encoder, (texts, labels) = self._encoder(self.readers.following), self._texts
            rows = seen.vectors(encoder)
            found["following"] = rows @ texts.T
            found["styles"] = _shares(rows @ labels.T * encoder.sharpness)
        if self.readers.looks is not None:
            rows = seen.vectors(self._encoder(self.readers.looks))
            # Where the words tell the setting from the subject, pictures vary by their setting.
            found["looks"] = rows if self._of_setting is None else rows @ self._of_setting.T
        if self._copies is not None:
            found["copying"] = seen.vectors(self._encoder(self.readers.copying)) @ self._copies.T
        return found

    def _measurements(self, cells: tuple[Cell, ...], rows: Mapping[str, np.ndarray]) -> Measurements:
        readers, prompts = self.readers, self.prompts
        likeness = following = styles = looks = copying = None
        if "likeness" in rows and (yardstick := self._yardstick) is not None:
            likeness = Likeness(self._way, rows["likeness"], yardstick.real, yardstick.held_out)
        if readers.following is not None and "following" in rows:
            name = readers.following.name
            following = Following(name, rows["following"], self._asked)
            if prompts.wanted_styles:
                styles = StyleReading(name, rows["styles"], tuple(prompts.styles), prompts.wanted_styles)
        if readers.looks is not None and "looks" in rows:
            about = "" if self._of_setting is None else " (what the prompts' words vary)"
            looks = Looks(readers.looks.name + about, rows["looks"])
        if readers.copying is not None and self._copies is not None and "copying" in rows:
            floor, hard = _COPY_MARKS.get(readers.copying.name, (None, None))
            among = (self._copies @ self._copies.T).astype(float)
            copying = Copying(readers.copying.name, rows["copying"], among, floor, hard)
        return Measurements(
            cells, likeness, following, styles, looks, copying, rows.get("pixels"), self._real_pixels
        )

    @cached_property
    def _real_pixels(self) -> np.ndarray | None:
        """The photographs' statistics at the size that is drawn; those too small for it say nothing of their detail."""
        found = []
        for at in compared_photographs([one.held_out for one in self._given]) if self._native else ():
            with contextlib.suppress(DatasetError):  # said when likeness is read
                image = open_small(self._given[at].path, self._native, self._background).image
                scale = self._native / (image.width * image.height) ** 0.5
                if scale <= 1:
                    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
                    found.append(pixel_statistics(np.asarray(image.resize(size, Image.Resampling.LANCZOS))))
        return np.stack(found) if found else None

    @property
    def _way(self) -> str:
        """The encoder of likeness as a report names it."""
        assert self.readers.likeness is not None
        ways = {"faces": "faces", "words": "without what the prompts' words vary", "style": "against the base's own"}
        way = ways.get(self.readers.way, "")
        if self.readers.way == "patches" and self.readers.masks is not None:
            way = f"subject masked by {self.readers.masks.name}"
        elif self.readers.likeness.loader == "perceptual" and self.readers.way == "patches":
            way = "the subject's patches, weighed by the encoder"
        return f"{self.readers.likeness.name} ({way})" if way else self.readers.likeness.name

    @cached_property
    def _photographs(self) -> tuple[list[Photograph], Seen]:
        """Those that open, and what is seen in them."""
        kept, images = [], []
        side = _FACES_SIDE if self.readers.way == "faces" else _SIDE
        for one in self._given:
            try:
                images.append(open_small(one.path, side, self._background).image)
            except DatasetError as error:
                self._note(f"A photograph is passed over: {error}")
                continue
            kept.append(one)
        return kept, Seen(images)

    @cached_property
    def _yardstick(self) -> Yardstick | None:
        readers, (photographs, every) = self.readers, self._photographs
        if readers.likeness is None or not photographs:
            return None
        compared = compared_photographs([one.held_out for one in photographs])
        seen = Seen([every.images[at] for at in compared])
        encoder = self._encoder(readers.likeness)
        reader: LikenessReader
        if readers.way == "faces":
            reader = Faces(encoder, seen)
            if lacking := int((~reader.usable).sum()):
                self._note(
                    f"In {lacking} of {len(seen)} photographs no face was found, so likeness is read without them."
                )
        elif readers.way == "patches":
            own = readers.likeness.loader == "perceptual"  # it knows by itself what is the subject
            weights = (
                encoder.patch_weights(seen.images) if own else mask_weights(encoder, seen.images, self._masks(seen))
            )
            reader = SubjectPatches(encoder, seen, weights)
        else:
            off = self._setting if readers.likeness.loader == "demo" else None
            base = [image for path in self._neutral if (image := _opened(path)) is not None]
            reader = WholePictures(encoder, seen, off, Seen(base) if readers.way == "style" else None)
        return yardstick(reader, seen, [photographs[at].held_out for at in compared])

    def _masks(self, seen: Seen) -> list[Image.Image | None]:
        if self.readers.masks is None:
            return [None] * len(seen)
        from engine.vision.masks import open_masker

        masks = open_masker(self.readers.masks).masks(seen.images, self._class_word or "the main object")
        if lacking := sum(mask is None for mask in masks):
            self._note(
                f"In {lacking} of {len(masks)} photographs {shown(self._class_word)} could not be separated from the "
                "background, so all of the picture counts."
            )
        return masks

    @cached_property
    def _setting(self) -> np.ndarray | None:
        """Directions of what the prompts and captions vary while the subject stays, by the demo's encoder of both."""
        small = next((source for source in self.readers.used.values() if source.loader == "demo"), None)
        if small is None:
            return None
        texts = [one.plain(self._class_word) for one in self.prompts.prompts
                 if one.family in TRIGGERED - {Family.RECALL}]  # fmt: skip
        texts += [self._untriggered(one.caption) for one in self._photographs[0] if one.caption]
        return directions(self._encoder(small).texts(list(dict.fromkeys(texts))[:_MOST_TEXTS]))

    @property
    def _of_setting(self) -> np.ndarray | None:
        looks = self.readers.looks
        return self._setting if looks is not None and looks.loader == "demo" else None

    def _untriggered(self, caption: str) -> str:
        """A caption without the trigger, which no encoder knows: "an ohwx dog" is "a dog"."""
        if not self._trigger:
            return caption
        trigger = rf"(?<!\w){re.escape(self._trigger)}(?!\w)"
        bare = re.sub(rf"\ban? {trigger} (\w)", lambda m: f"{'an' if m[1] in 'aeiouAEIOU' else 'a'} {m[1]}", caption)
        bare = re.sub(trigger, " ", bare)
        return re.sub(r"\s+", " ", bare).replace(" ,", ",").strip(" ,")

    @cached_property
    def _copies(self) -> np.ndarray | None:
        """Vectors of the photographs that were trained on."""
        photographs, seen = self._photographs
        trained = [at for at, one in enumerate(photographs) if not one.held_out]
        if self.readers.copying is None or not trained:
            return None
        return seen.vectors(self._encoder(self.readers.copying))[trained]

    @cached_property
    def _asked(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.prompts.prompts if one.family in FOLLOWING)

    @cached_property
    def _texts(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of the prompts whose following is read, and of the media's texts."""
        encoder = self._encoder(self.readers.following)
        plain = [one.plain(self._class_word) for one in self.prompts.prompts if one.family in FOLLOWING]
        found = encoder.texts(plain), encoder.texts(list(self.prompts.styles.values()))
        rest(encoder)
        return found

    def _encoder(self, source: ModelSource | None) -> Any:
        assert source is not None
        if source not in self._encoders:
            if source.loader in ("auraface", "dlib"):
                from engine.vision.faces import open_faces

                self._encoders[source] = open_faces(source)
            else:
                self._encoders[source] = open_encoder(source)
        return self._encoders[source]

    def _heed_faces(self, cells: Sequence[Cell], found: np.ndarray, likeness: np.ndarray) -> None:
        """A style prompt's picture without a face is no failure: it is left out of the likeness, and counted."""
        for at, cell in enumerate(cells):
            if cell.family is Family.STYLE and np.isfinite(found[at]):
                self._style_faces.setdefault(cell.point, []).append(bool(found[at]))
                if not found[at]:
                    likeness[at] = np.nan

    @property
    def style_faces(self) -> dict[Point, tuple[int, int]]:
        """Of the style prompts' pictures that this reader read, by point: in how many a face was found, of how many."""
        return {point: (sum(found), len(found)) for point, found in self._style_faces.items()}

    def _note(self, sentence: str) -> None:
        if sentence not in self._notes:
            self._notes.append(sentence)


def measure(
    readers: Readers, pictures: Sequence[tuple[Cell, Path | Image.Image | None]], photographs: Sequence[Photograph],
    prompts: PromptSet, trigger: str, class_word: str, neutral: Sequence[Path] = (),
) -> Measurements:  # fmt: skip
    """All of a grid at once; `PictureReader` measures batch by batch."""
    reader = PictureReader(readers, photographs, prompts, trigger, class_word, neutral=neutral)
    return reader.read([cell for cell, _ in pictures], [picture for _, picture in pictures])


def _opened(picture: Path | Image.Image | None) -> Image.Image | None:
    """The picture, or None where there is none or its file is damaged."""
    if picture is None or isinstance(picture, Image.Image):
        return picture if picture is None else picture.convert("RGB")
    try:
        return open_rgb(picture)
    except DatasetError:
        return None


def _content(picture: Image.Image) -> bytes:
    return hashlib.blake2b(picture.tobytes(), digest_size=16, salt=repr(picture.size).encode()[:16]).digest()


def _shares(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _stamp(source: ModelSource) -> str:
    """Size and time of a model's files: other weights under the same name are another encoder."""
    found = []
    for folder in source.folders:
        for path in sorted(folder.iterdir()):
            if path.is_file():
                about = path.stat()
                found.append(f"{path.name} {about.st_size} {about.st_mtime_ns}")
    return " ".join(found)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"
