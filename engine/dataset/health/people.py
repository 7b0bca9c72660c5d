"""Faces in a person's pictures: is there one, is it large enough, is it always the same one, in the same clothes?

Needs a face reader's weights on this machine (engine.vision). What identifies a person stays in memory and goes with
the process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.dataset.health import limits
from engine.dataset.health.figures import Finding
from engine.dataset.health.judge import Fault, Seen, share_level, some_names
from engine.dataset.health.sameness import colours_alike, one_tone
from engine.dataset.picture import open_small
from engine.errors import DatasetError

if TYPE_CHECKING:
    import numpy as np

    from engine.vision.faces import Face, FaceReader

_LOOKED_AT = 1024  # short side that faces are looked for at
_MAIN = 0.3  # of the largest face's area: a smaller one is somebody in the background
_FACELESS = 1 / 3  # of the pictures: as many may teach bearing alone
_LEAST = 3  # faces that must agree before one is called someone else's
# A face's share of the picture's area, by which shots are called near and far (usual advice asks for a mixture).
_FRAMES = ((0.15, "close-ups"), (0.02, "half-length pictures"), (0.0, "pictures from afar"))


@dataclass(frozen=True)
class Person:
    """What was seen in one picture: `count` main faces; of the largest its short side in the bucket's pixels, its share
    of the picture, its embedding, and the colours below it (None where the picture ends there or has no colours).
    """

    count: int
    side: float = 0.0
    share: float = 0.0
    vector: np.ndarray | None = None
    clothes: np.ndarray | None = None


def look_at_people(
    seen: Sequence[Seen], reader: FaceReader, background: tuple[int, int, int], report: Callable[[int, int], None]
) -> list[Person | None]:
    """Every picture's main faces, in order; None for a picture that is gone meanwhile. `report` may raise."""
    found: list[Person | None] = []
    for done, one in enumerate(seen):
        report(done, len(seen))
        try:
            found.append(_looked_at(one, reader, background))
        except DatasetError:
            found.append(None)  # measured a moment ago and gone now: the training will say so
    report(len(seen), len(seen))
    return found


def _looked_at(one: Seen, reader: FaceReader, background: tuple[int, int, int]) -> Person:
    small = open_small(one.line.picture.path, _LOOKED_AT, background, one.line.picture.name)
    faces = reader.detect(small.image)
    if not faces:
        return Person(0)
    first = faces[0]
    main = [face for face in faces if face.area >= _MAIN * first.area]
    width, height = small.image.size
    in_bucket = one.line.fit.scale * one.line.picture.width / width
    return Person(
        count=len(main),
        side=first.short_side * in_bucket,
        share=first.area / (width * height),
        vector=reader.embed(small.image, first),
        # In black and white everybody wears grey.
        clothes=None if one_tone(small.image) else _clothes(small.image, first),
    )


def people_faults(people: Sequence[Person | None], same_person: float) -> list[list[Fault]]:
    """What is to be said against each picture, in order."""
    strangers = _strangers(people, same_person)
    found: list[list[Fault]] = []
    for at, person in enumerate(people):
        own: list[Fault] = []
        if person is not None and person.count == 0:
            own.append(Fault("no_face", "amber", "no face", "none found"))
        elif person is not None:
            if person.count > 1:
                own.append(Fault("faces", "amber", f"{person.count} faces", f"{person.count} of like size"))
            if person.side < limits.FACE_SIDE.amber:
                red = person.side < (limits.FACE_SIDE.red or 0)
                own.append(Fault("small_face", "red" if red else "amber", "small face", f"{person.side:.0f} px"))
            if at in strangers:
                own.append(Fault("stranger", "amber", "someone else?", f"likeness {strangers[at]:.2f}"))
        found.append(own)
    return found


def people_findings(
    names: Sequence[str], people: Sequence[Person | None], faults: Sequence[Sequence[Fault]], reader: FaceReader
) -> list[Finding]:
    """The set's faces in sentences."""
    having: dict[str, list[tuple[str, Fault]]] = {}
    for name, own in zip(names, faults, strict=True):
        for fault in own:
            having.setdefault(fault.check, []).append((name, fault))
    limit = limits.FACE_SIDE
    faint = "an SDXL latent holds 8 pixels in one, so that its features are lost: cut in closer"
    sayings = {
        "stranger": ("seem to show someone else", "the LoRA will mix the two: leave out who does not belong here",
                     f"below {reader.same_person:.2f} to most of the others", reader.name),
        "no_face": ("show no face that could be found", _faceless(len(having.get("no_face", ())), len(names)),
                    "none", reader.name),
        "faces": ("show several people", "the LoRA cannot know whom you mean: cut the others out, or say in the "
                  "caption who is beside whom", "more than one", reader.name),
        "small_face": ("show the face very small", faint,
                       f"below {limit.amber:.0f} px in the bucket, red below {limit.red:.0f}", limit.source),
    }  # fmt: skip
    found = []
    for check, (what, rest, bound, source) in sayings.items():
        if check not in having:
            continue
        few = having[check]
        worst = next((fault for _, fault in few if fault.level == "red"), few[0][1])
        listed = [name for name, _ in few]
        found.append(Finding(
            check, worst.level,
            f"{len(few):,} of {len(names):,} pictures {_verb(what, len(few))} ({some_names(listed)}): {rest}.",
            f"{listed[0]}: {few[0][1].value}", bound, source, tuple(listed),
        ))  # fmt: skip
    return [*found, *_clothes_findings(names, people), *_framing_findings(people)]


def _faceless(few: int, total: int) -> str:
    if few == total:
        return "the LoRA will not learn the face at all: add pictures that show it"
    teach = "they teach clothes and bearing, but not the face"
    if few > _FACELESS * total:
        return f"{teach}, which will stay weak: add pictures that show it"
    return f"{teach}; so few are welcome, if they show the person"


def _verb(what: str, number: int) -> str:
    verb, _, rest = what.partition(" ")
    return what if number > 1 else f"{verb}s {rest}"


def _strangers(people: Sequence[Person | None], same_person: float) -> dict[int, float]:
    """Pictures whose face agrees with few of the set's largest circle, and how much with its middle one.

    One bad match is no proof: angle and age spread a person's own faces. A third of the circle must agree.
    """
    import numpy as np

    places = [at for at, person in enumerate(people) if person is not None and person.vector is not None]
    if len(places) < _LEAST:
        return {}
    rows = np.stack([people[at].vector for at in places])  # type: ignore[union-attr]
    alike = rows @ rows.T
    same = alike >= same_person
    middle = int(same.sum(axis=1).argmax())
    circle = np.flatnonzero(same[middle])
    if len(circle) < _LEAST or len(circle) < len(places) / 2:
        return {}
    return {
        places[at]: float(alike[at, middle])
        for at in range(len(places))
        if not same[at, middle] and same[at, circle].mean() < 1 / 3
    }


def _clothes(image, face: Face) -> np.ndarray | None:
    """The colours of a square below the chin, a face and a half wide; None where less than half of it is in view."""
    from engine.dataset.health.sameness import shares_of

    width, height = face.x1 - face.x0, face.y1 - face.y0
    middle, top = (face.x0 + face.x1) / 2, face.y1 + 0.35 * height
    box = [middle - 0.75 * width, top, middle + 0.75 * width, top + 1.5 * height]
    inside = [max(0.0, box[0]), max(0.0, box[1]), min(float(image.width), box[2]), min(float(image.height), box[3])]
    area = max(0.0, inside[2] - inside[0]) * max(0.0, inside[3] - inside[1])
    if area < 0.5 * (box[2] - box[0]) * (box[3] - box[1]):
        return None
    part = image.crop(tuple(round(value) for value in inside)).resize((32, 32))
    import numpy as np

    return shares_of(np.asarray(part, dtype=np.float32).reshape(-1, 3))


def _clothes_findings(names: Sequence[str], people: Sequence[Person | None]) -> list[Finding]:
    import numpy as np

    places = [at for at, person in enumerate(people) if person is not None and person.clothes is not None]
    if len(places) < _LEAST:
        return []
    rows = np.stack([people[at].clothes for at in places])  # type: ignore[union-attr]
    few = [names[places[at]] for at in colours_alike(rows)]
    level = share_level(len(few) / len(places), limits.SAME_CLOTHES_SHARE)
    if level is None or len(few) < _LEAST:
        return []
    limit = limits.SAME_CLOTHES_SHARE
    return [Finding(
        "clothes", level,
        f"{len(few):,} of the {len(places):,} pictures that show clothes seem to show the same ones "
        f"({some_names(few)}): the LoRA will dress the person in them. Name them in each caption, or add others.",
        f"{len(few) / len(places):.0%}, by the colours below the face",
        f"above {limit.amber:.0%}, red above {limit.red:.0%}", limit.source, tuple(few),
    )]  # fmt: skip


def _framing_findings(people: Sequence[Person | None]) -> list[Finding]:
    shots = [
        next(word for least, word in _FRAMES if person.share >= least)
        for person in people
        if person is not None and person.count
    ]
    most = max(set(shots), key=shots.count) if shots else ""
    if len(shots) < 5 or shots.count(most) <= 0.8 * len(shots):
        return []
    return [Finding(
        "framing", "amber",
        f"{shots.count(most):,} of {len(shots):,} pictures are {most}: the LoRA will be weak at every other distance. "
        "Add pictures from nearer and farther.",
        f"{shots.count(most) / len(shots):.0%} by the face's share of the picture", "above 80%", "lorasmith",
    )]  # fmt: skip
