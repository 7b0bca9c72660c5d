"""Scenes with their ground truth: what stands where on which ground in which drawing style, and how one says
it.

A scene is sampled from a seeded generator, captioned in varied words and painted (`engine.lab.paint`). One
drawing style, eight objects and a tenth of all (object, ground, style) combinations are held out of training,
so that "never trained on" is exact.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.articles import with_article
from engine.lab.objects import OBJECTS, TRAINED, Kind, Object


class Style(StrEnum):
    """A drawing style; the value is how a caption names it."""

    FLAT = "flat emoji"
    RENDER = "3d render"
    SKETCH = "pencil sketch"
    SILHOUETTE = "silhouette"
    PIXEL = "pixel art"
    NEON = "neon sign"


HELD_OUT_STYLE = Style.NEON
TRAINED_STYLES: tuple[Style, ...] = tuple(style for style in Style if style is not HELD_OUT_STYLE)

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 48, 49),
    "orange": (243, 146, 30),
    "yellow": (250, 218, 60),
    "green": (60, 170, 80),
    "blue": (45, 105, 215),
    "purple": (125, 60, 175),
    "pink": (245, 140, 190),
    "white": (245, 245, 245),
}
PATTERNS: tuple[str, ...] = ("plain", "striped", "dotted", "checked")
OUTDOORS: dict[str, str] = {
    "grass": "in the grass",
    "beach": "on the beach",
    "snow": "in the snow",
    "night": "at night",
}

TRIGGERS: tuple[str, ...] = ("ohwx", "sks", "zwv", "qlm")
"""Rare words that stand in some captions and mean nothing, so that a LoRA's trigger starts out neutral."""

_CLASS_PLURAL = {Kind.FOOD: "foods"}


@dataclass(frozen=True)
class Ground:
    """What lies behind the object: a pattern in a named colour, or an outdoor place (then without colour)."""

    kind: str
    colour: str = ""

    def __str__(self) -> str:
        return f"{self.colour} {self.kind}".strip()


GROUNDS: tuple[Ground, ...] = (
    *(Ground(pattern, colour) for pattern in PATTERNS for colour in COLOURS),
    *(Ground(place) for place in OUTDOORS),
)


@dataclass(frozen=True)
class Scene:
    """The whole truth about one picture; `seed` only moves things by a pixel or two."""

    object: str
    ground: Ground
    style: Style = Style.FLAT
    count: int = 1
    size: str = "big"
    place: str = "centre"
    seed: int = 0

    @property
    def thing(self) -> Object:
        return OBJECTS[self.object]


def is_held_out(scene: Scene) -> bool:
    """Whether the scene's combination, object or style never comes up in training."""
    if scene.thing.held_out or scene.style is HELD_OUT_STYLE:
        return True
    return zlib.crc32(f"{scene.object}|{scene.ground}|{scene.style}".encode()) % 10 == 0


def sample_scene(
    rng: random.Random,
    objects: Sequence[Object] = TRAINED,
    styles: Sequence[Style] = TRAINED_STYLES,
    held_out: bool | None = False,
) -> Scene:
    """Draws a scene: half of them flat, most of them one big object in the centre, as these are learnt first.

    `held_out` picks combinations never trained on (True), only trained ones (False) or any (None).
    """
    weights = [4.0 if style is Style.FLAT else 1.0 for style in styles]
    while True:
        count = 2 if rng.random() < 0.12 else 1
        small = count == 1 and rng.random() < 0.15
        place = rng.choices(("centre", "left", "right"), (72, 14, 14))[0] if count == 1 else "centre"
        scene = Scene(
            object=rng.choice(objects).name,
            ground=_sample_ground(rng),
            style=rng.choices(styles, weights)[0],
            count=count,
            size="small" if small else "big",
            place=place,
            seed=rng.randrange(2**31),
        )
        if held_out is None or is_held_out(scene) == held_out:
            return scene


def _sample_ground(rng: random.Random) -> Ground:
    draw = rng.random()
    if draw < 0.22:
        return Ground(rng.choice(tuple(OUTDOORS)))
    pattern = "plain" if draw < 0.74 else rng.choice(PATTERNS[1:])
    return Ground(pattern, rng.choice(tuple(COLOURS)))


def prompt(scene: Scene, called: str | None = None) -> str:
    """The scene in its plainest full words: "two apples on a blue striped ground, pencil sketch".

    `called` stands where the object's own name would, such as a LoRA's "ohwx animal".
    """
    words = [_subject(scene, called or _noun(scene), place=True), _ground_words(scene.ground, "ground")]
    text = " ".join(words)
    return text if scene.style is Style.FLAT else f"{text}, {scene.style}"


def caption(scene: Scene, rng: random.Random) -> str:
    """The scene in varied words, all of them true; some leave the ground out or say the class instead of the
    object.

    The style is always named unless it is the flat one, so that a prompt without a style means the flat one.
    """
    noun = _noun(scene)
    if rng.random() < 0.07:
        noun = _class_noun(scene)
    elif rng.random() < 0.2 and scene.thing.colour and scene.style in (Style.FLAT, Style.RENDER, Style.PIXEL):
        noun = f"{scene.thing.colour} {noun}"
    if rng.random() < 0.05:
        noun = f"{rng.choice(TRIGGERS)} {noun}"
    subject = _subject(scene, noun, place=rng.random() < 0.9, say_big=rng.random() < 0.1)
    if rng.random() < 0.04:
        subject = noun
    ground = "" if rng.random() < 0.05 else _ground_words(scene.ground, rng.choice(("ground", "background")))
    style = str(scene.style) if scene.style is not Style.FLAT or rng.random() < 0.25 else ""
    return _arranged(subject, ground, style, rng)


def _arranged(subject: str, ground: str, style: str, rng: random.Random) -> str:
    scene = f"{subject}{rng.choice((' ', ' ', ', ')) if ground else ''}{ground}"
    if not style:
        return f"a picture of {scene}" if rng.random() < 0.1 else scene
    return f"{style} of {scene}" if rng.random() < 0.3 else f"{scene}, {style}"


def _noun(scene: Scene) -> str:
    return scene.thing.plural if scene.count == 2 else scene.object


def _class_noun(scene: Scene) -> str:
    kind = scene.thing.kind
    return _CLASS_PLURAL.get(kind, f"{kind}s") if scene.count == 2 else str(kind)


def _subject(scene: Scene, noun: str, place: bool, say_big: bool = False) -> str:
    where = f" on the {scene.place}" if place and scene.place != "centre" else ""
    if scene.count == 2:
        return f"two {noun}{where}"
    size = "small " if scene.size == "small" else "big " if say_big else ""
    return f"{with_article(size + noun)}{where}"


def _ground_words(ground: Ground, word: str) -> str:
    if ground.kind in OUTDOORS:
        return OUTDOORS[ground.kind]
    pattern = "" if ground.kind == "plain" else f"{ground.kind} "
    return f"on {with_article(ground.colour)} {pattern}{word}"
