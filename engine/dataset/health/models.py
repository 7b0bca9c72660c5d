"""What small models see that figures do not, where their weights are on this machine or are asked to be fetched."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.dataset.health.cache import Cache
from engine.dataset.health.copies import Shot
from engine.dataset.health.judge import Seen
from engine.dataset.health.lettering import Lettering, lettering_of
from engine.dataset.health.measure import DECODED
from engine.dataset.health.people import Person, look_at_people
from engine.dataset.health.sameness import opened
from engine.dataset.picture import open_small
from engine.errors import DatasetError, LorasmithError, shown
from engine.plan import Plan

if TYPE_CHECKING:
    from engine.vision.faces import FaceReader
    from engine.vision.lettering import TextReader
    from engine.vision.models import Role

_BATCH = 16
FETCHED = {"copies": "sscd", "text": "pp-ocr", "faces": "auraface"}  # what each role is fetched as


def wanted_roles(kind: str) -> tuple[Role, ...]:
    """What a check of this kind of subject has a use for."""
    return ("copies", "text", "faces") if kind == "person" else ("copies", "text")


def fetch_missing(kind: str, stage: Callable[..., None], warn: Callable[[str], None]) -> None:
    """Brings the models that are wanted and not here; where one does not come, the check goes on without."""
    from engine.vision.fetch import fetch_model
    from engine.vision.models import find_model, installed

    for role in wanted_roles(kind):
        if installed(role) is None:
            what = f"fetching {FETCHED[role]}"
            try:
                fetch_model(find_model(FETCHED[role], role), partial(stage, what))
            except LorasmithError as error:
                warn(str(error))


def with_vectors(shots: Sequence[Shot], cache: Cache, stage: Callable[..., None]) -> tuple[list[Shot], str]:
    """The shots with the copy detector's vectors, kept in the cache; without it as they are, and a sentence on that."""
    from engine.vision.models import installed

    source = installed("copies")
    if source is None:
        return list(shots), (
            "copies that were turned, recoloured or much edited. The copy detector sees those; `lorasmith check` "
            "with --fetch brings it."
        )
    digests = [shot.picture.digest for shot in shots]
    rows = cache.vectors(source.name, digests)
    missing = list({shot.picture.digest: shot for shot in shots if shot.picture.digest not in rows}.values())
    if missing:
        try:
            from engine.vision.encoder import open_encoder

            encoder = open_encoder(source)
            for start in range(0, len(missing), _BATCH):
                stage("comparing with the copy detector", start, len(missing))
                some = missing[start : start + _BATCH]
                vectors = encoder.embed([opened(shot.thumbnail) for shot in some])
                for shot, vector in zip(some, vectors, strict=True):
                    rows[shot.picture.digest] = vector
                    cache.keep_vector(source.name, shot.picture.digest, vector)
        except LorasmithError as error:
            return list(shots), f"copies by the copy detector ({shown(error)})"
    return [replace(shot, vector=rows[shot.picture.digest]) for shot in shots], ""


def lettering(
    train: Sequence[Seen], plan: Plan, cache: Cache, stage: Callable[..., None]
) -> tuple[list[tuple[Lettering, ...]], str, str]:
    """Every picture's lettering and the reader's name; without a reader, a sentence on that.

    The third value is that sentence, or what even the reader does not see.
    """
    from engine.vision.models import installed

    source = installed("text")
    if source is None:
        return [], "", (
            "lettering and watermarks that only one or two pictures carry. The text reader sees those; `lorasmith "
            "check` with --fetch brings it."
        )
    digests = [one.line.picture.digest for one in train]
    known = cache.lines(source.name, digests)
    missing = list({one.line.picture.digest: one for one in train if one.line.picture.digest not in known}.values())
    try:
        if missing:
            from engine.vision.lettering import open_text_reader

            reader = open_text_reader(source)
            for done, one in enumerate(missing):
                stage("looking for lettering", done, len(missing))
                digest = one.line.picture.digest
                known[digest] = _lines_of(one, reader, background_of(plan))
                cache.keep_lines(source.name, digest, known[digest])
    except LorasmithError as error:
        return [], "", f"lettering and watermarks in single pictures ({shown(error)})"
    faint = "watermarks without letters, and lettering too faint or too small to be read: look for them."
    return [lettering_of(known[digest]) for digest in digests], source.name, faint


def _lines_of(one: Seen, reader: TextReader, background: tuple[int, int, int]) -> list[dict[str, Any]]:
    try:
        small = open_small(one.line.picture.path, DECODED, background, one.line.picture.name)
    except DatasetError:
        return []  # measured a moment ago and gone now: the training will say so
    return [dataclasses.asdict(line) for line in reader.read(small.image)]


def background_of(plan: Plan) -> tuple[int, int, int]:
    """The colour that transparent pictures are flattened onto."""
    colour = plan.pictures.background
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def people(
    train: Sequence[Seen], plan: Plan, stage: Callable[..., None]
) -> tuple[list[Person | None], FaceReader | None, str]:
    """Every picture's faces and the reader that saw them; without a reader, a sentence on that."""
    from engine.vision.models import installed

    source = installed("faces")
    if source is None:
        return [], None, (
            "faces, clothes and framing. The face reader sees those; `lorasmith check` with --fetch brings it, and "
            "nothing that it reads of a face is kept."
        )  # fmt: skip
    try:
        from engine.vision.faces import open_faces

        reader = open_faces(source)
        seen = look_at_people(
            train, reader, background_of(plan), lambda done, total: stage("looking for faces", done, total)
        )
    except LorasmithError as error:
        return [], None, f"faces, clothes and framing ({shown(error)})"
    return seen, reader, ""
