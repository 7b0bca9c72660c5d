"""Makes presets/demo/: the pictures that `lorasmith demo` and the tests train on, large and sharp.

    python -m engine.lab.demo_sets NOTO_FOLDER TARGET

NOTO_FOLDER is the unpacked npm package `@iconify-json/noto` (1.2.9); its vectors are rendered as large as
needed.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

from PIL import Image

from engine.files import atomic_path, write_atomic
from engine.lab.make_sprites import render, svg_of, trimmed
from engine.lab.objects import OBJECTS
from engine.lab.paint import paint
from engine.lab.scenes import Ground, Scene, Style, prompt

SUBJECT = "fox"
SUBJECT_TRIGGER = "ohwx"
STYLE_TRIGGER = "zwv style"

_SQUARE, _WIDE, _TALL = (1600, 1600), (2000, 1500), (1500, 2000)
_WIDER, _TALLER = (2250, 1500), (1500, 2250)


def subject_scenes(name: str) -> tuple[tuple[Scene, tuple[int, int]], ...]:
    """Ten scenes of one object in the flat style, each with its size in pixels: grounds, places and formats vary."""
    return (
        (Scene(name, Ground("plain", "blue"), seed=1), _SQUARE),
        (Scene(name, Ground("plain", "white"), seed=2), _TALL),
        (Scene(name, Ground("grass"), seed=3), _WIDER),
        (Scene(name, Ground("striped", "green"), seed=4), _SQUARE),
        (Scene(name, Ground("plain", "yellow"), place="left", seed=5), _WIDE),
        (Scene(name, Ground("beach"), seed=6), _SQUARE),
        (Scene(name, Ground("checked", "pink"), seed=7), _TALLER),
        (Scene(name, Ground("plain", "purple"), size="small", seed=8), _SQUARE),
        (Scene(name, Ground("night"), seed=9), _WIDE),
        (Scene(name, Ground("dotted", "red"), place="right", seed=10), _SQUARE),
    )


STYLE_SCENES: tuple[tuple[Scene, tuple[int, int]], ...] = tuple(
    (Scene(name, ground, Style.NEON, seed=seed), size)
    for seed, (name, ground, size) in enumerate(
        (
            ("dog", Ground("plain", "blue"), _SQUARE),
            ("car", Ground("plain", "green"), _WIDE),
            ("apple", Ground("plain", "white"), _SQUARE),
            ("butterfly", Ground("dotted", "purple"), _SQUARE),
            ("guitar", Ground("plain", "red"), _TALL),
            ("house", Ground("grass"), _WIDE),
            ("smiley", Ground("striped", "orange"), _SQUARE),
            ("penguin", Ground("snow"), _SQUARE),
            ("rocket", Ground("night"), _TALL),
            ("crown", Ground("checked", "pink"), _SQUARE),
            ("burger", Ground("plain", "yellow"), _SQUARE),
            ("fish", Ground("beach"), _WIDE),
        )
    )
)
"""Trained objects in the one held-out style, so that only the style is new."""


def subject_caption(scene: Scene) -> str:
    """The scene in words, the object named by trigger and class: "an ohwx animal on a blue ground"."""
    return prompt(scene, f"{SUBJECT_TRIGGER} {scene.thing.kind}")


def style_caption(scene: Scene) -> str:
    """The scene in words, the style named by its trigger: "a dog on a blue ground, zwv style"."""
    return prompt(scene).replace(str(scene.style), STYLE_TRIGGER)


def main(noto_folder: Path, target: Path) -> None:
    """Writes the subject set as JPEG and the style set as WebP, each picture with its caption beside it."""

    @lru_cache(maxsize=32)
    def vectors(name: str, hand: str) -> Image.Image:
        if hand != "noto":
            raise ValueError(f"the demo's pictures use the vectors only, not {hand}")
        side = 1500 if name == SUBJECT else 750  # glowing lines are soft, and filtering them is slow
        return trimmed(render(svg_of(noto_folder, OBJECTS[name]), 2 * side), side)

    sets = (
        ("subject", subject_scenes(SUBJECT), subject_caption, "jpg", {"quality": 88, "optimize": True}),
        ("style", STYLE_SCENES, style_caption, "webp", {"quality": 85, "method": 6}),
    )
    for folder, scenes, caption, suffix, options in sets:
        (target / folder).mkdir(parents=True, exist_ok=True)
        for number, (scene, size) in enumerate(scenes, 1):
            path = target / folder / f"{scene.object}-{number:02d}.{suffix}"
            with atomic_path(path) as beside:
                paint(scene, size, vectors).save(beside, **options)
            write_atomic(path.with_suffix(".txt"), caption(scene) + "\n")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:3]))
