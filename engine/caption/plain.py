"""Captioners that travel with lorasmith or need no network: ImageNet's labels, and the lab's own encoder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from engine.caption.captioner import Captioner

if TYPE_CHECKING:
    from engine.lab.scenes import Scene
    from engine.vision.labels import Labeller

_SURE, _LIKELY = 0.3, 0.1  # of a label's probability: said plainly, said as a likeness, not said
_DIM, _BRIGHT = 0.22, 0.78  # of mean brightness, 0 to 1
_COVERED = 0.5  # share of a strip of the edge that has one colour before the colour is named
# Kinds of animal by their places among ImageNet's thousand classes, the last not included.
_FAMILIES = ((0, 7, "fish"), (7, 25, "bird"), (33, 38, "turtle"), (52, 69, "snake"), (80, 101, "bird"),
             (127, 147, "bird"), (151, 269, "dog"), (281, 286, "cat"), (294, 298, "bear"),
             (330, 333, "rabbit"))  # fmt: skip


class Labels(Captioner):
    """What EfficientNet-Lite0 recognises, with the colour behind it and the light, as one plain sentence."""

    long_side = 512

    def __init__(self, labeller: Labeller, subject: str = "object", class_word: str = "") -> None:
        """For an `animal` its kind is said instead of its breed, which is the trigger's to learn; where no label is
        sure, what the person calls it.
        """
        from engine.vision.labels import label_names

        self.name = "labels"
        self._class_word = class_word.strip()
        self._labeller, self._names = labeller, label_names()
        self._families = {
            self._names[at]: family for first, end, family in _FAMILIES for at in range(first, end)
        } if subject == "animal" else {}  # fmt: skip
        self.batch = 8

    def prepare(self, images: Sequence[Image.Image], instruction: str) -> list[Image.Image]:
        return list(images)

    def write(self, prepared: list[Image.Image]) -> list[str]:
        labels = self._labeller.label(prepared, 8)
        return [self._sentence(found, image) for found, image in zip(labels, prepared, strict=True)]

    def _sentence(self, labels: Sequence[tuple[str, float]], image: Image.Image) -> str:
        shares: dict[str, float] = {}
        for name, share in labels:
            name = self._families.get(name, name)
            shares[name] = shares.get(name, 0.0) + share
        name, share = max(shares.items(), key=lambda one: one[1])
        parts = []
        if share >= _SURE:
            parts.append(_with_article(name))
        elif self._class_word:
            parts.append(_with_article(self._class_word))
        elif share >= _LIKELY:
            parts.append(f"something like {_with_article(name)}")
        thing = " ".join(parts) or "something"
        return " ".join(part for part in (thing, _surroundings(image), _light(image)) if part)


class Scenes(Captioner):
    """The lab's encoder naming what it sees on the demo's painted scenes, part by part: thing, ground, style, place."""

    long_side = 128
    _KEPT = 6  # scenes that stay in the running from one part to the next

    def __init__(self, weights: Path) -> None:
        from engine.lab.encoder import load_encoder

        self.name = "scenes"
        self.batch = 8
        self._encoder = load_encoder(weights)
        self._seen: dict[Scene, np.ndarray] = {}

    def prepare(self, images: Sequence[Image.Image], instruction: str) -> list[Image.Image]:
        return list(images)

    def write(self, prepared: list[Image.Image]) -> list[str]:
        from engine.lab.scenes import prompt

        return [prompt(self._closest(seen)) for seen in self._encoder.pictures(prepared).numpy()]

    def _closest(self, picture: np.ndarray) -> Scene:
        from engine.lab.objects import OBJECTS
        from engine.lab.scenes import GROUNDS, Ground, Scene, Style

        changes: tuple[Callable[[Scene], list[Scene]], ...] = (
            lambda scene: [dataclasses.replace(scene, ground=ground) for ground in GROUNDS],
            lambda scene: [dataclasses.replace(scene, style=style) for style in Style],
            lambda scene: [scene, *(dataclasses.replace(scene, **how) for how in _WAYS)],
            lambda scene: [dataclasses.replace(scene, object=name) for name in OBJECTS],
        )
        best = self._best([Scene(name, Ground("plain", "white")) for name in OBJECTS], picture)
        for change in changes:
            best = self._best(list(dict.fromkeys(other for scene in best for other in change(scene))), picture)
        return best[0]

    def _best(self, scenes: Sequence[Scene], picture: np.ndarray) -> list[Scene]:
        from engine.lab.scenes import prompt

        new = [scene for scene in scenes if scene not in self._seen]
        if new:
            self._seen.update(zip(new, self._encoder.texts([prompt(scene) for scene in new]).numpy(), strict=True))
        nearness = np.stack([self._seen[scene] for scene in scenes]) @ picture
        return [scenes[at] for at in np.argsort(-nearness, kind="stable")[: self._KEPT]]


_WAYS: tuple[dict[str, int | str], ...] = ({"size": "small"}, {"place": "left"}, {"place": "right"}, {"count": 2})


def _with_article(name: str) -> str:
    return f"an {name}" if name[0].lower() in "aeio" else f"a {name}"


def _surroundings(image: Image.Image) -> str:
    """The colours of the picture's edge, above and below, in words; "" where there is none to speak of."""
    small = np.asarray(image.resize((48, 48), Image.Resampling.BOX).convert("HSV"), dtype=np.float32)
    behind = _colour_of(np.concatenate([small[:12].reshape(-1, 3), small[12:24, [0, 1, 2, -3, -2, -1]].reshape(-1, 3)]))
    ground = _colour_of(small[-6:].reshape(-1, 3))
    if behind and behind == ground:
        return f"against {_with_article(behind)} background"
    above = f"with {behind} behind it" if behind else ""
    below = f"on {_with_article(ground)} ground" if ground else ""
    return " ".join(part for part in (below, above) if part)


def _colour_of(pixels: np.ndarray) -> str:
    """The colour that most pixels (hue, saturation, value) have, or "" where none prevails."""
    names = [_colour(*(float(part) for part in pixel)) for pixel in pixels]
    most = max(set(names), key=names.count)
    return most if names.count(most) >= _COVERED * len(names) else ""


def _colour(hue: float, saturation: float, value: float) -> str:
    """A plain word for a colour; hue, saturation and value 0 to 255."""
    if value < 45:
        return "black"
    if saturation < 45:
        return "white" if value > 215 else "grey"
    if hue < 12 or hue >= 235:
        return "red"
    if hue < 30:
        return "brown" if value < 190 or saturation < 130 else "orange"
    edges = ((45, "yellow"), (120, "green"), (180, "blue"), (205, "purple"), (235, "pink"))
    return next(name for end, name in edges if hue < end)


def _light(image: Image.Image) -> str:
    mean = float(np.asarray(image.resize((32, 32), Image.Resampling.BOX).convert("L"), dtype=np.float32).mean()) / 255
    return "in dim light" if mean < _DIM else "in bright light" if mean > _BRIGHT else ""
