"""A person's pictures for tests of screens: painted scenes, without any model or torch."""

from __future__ import annotations

from pathlib import Path

from engine.lab.objects import TRAINED
from engine.lab.paint import paint
from engine.lab.scenes import GROUNDS, Scene


def painted_folder(folder: Path, count: int = 5, *, first: int = 0) -> Path:
    """A new folder of scenes 0.png, 1.png ...; another `first` paints other things."""
    folder.mkdir(parents=True)
    for number in range(count):
        at = first + number
        scene = Scene(TRAINED[at % len(TRAINED)].name, GROUNDS[at % len(GROUNDS)], seed=at)
        paint(scene).save(folder / f"{number}.png")
    return folder
