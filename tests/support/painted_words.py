"""Stands in for a base's drawing: an object's name paints that object, any other word paints this and that."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from engine.lab.objects import TRAINED
from engine.lab.paint import paint
from engine.lab.scenes import GROUNDS, Scene
from engine.lookalike import bank_job, words_job
from engine.lookalike.bank import Bank
from engine.runs.job import Job, Stopped

NAMES = [thing.name for thing in TRAINED]


def scene(word: str, number: int) -> Scene:
    """The word's own object where it has one; a class word paints objects of its kind, nonsense paints any."""
    draw = random.Random(f"{word}|{number}")
    kin = [thing.name for thing in TRAINED if str(thing.kind) == word]
    name = word if word in NAMES else draw.choice(kin or NAMES)
    return Scene(name, draw.choice(GROUNDS), seed=number)


def painter(stop_after: int | None = None, counted: Path | None = None) -> Callable[..., None]:
    """A `draw_missing` that paints; it ends as stopped after so many pictures, and counts them in a file."""

    def paint_missing(
        job: Job, base: object, bank: Bank, shots: Sequence[tuple[str, int]], *, stage: str,
        drawn: Callable[[tuple[str, int]], None] = lambda shot: None,
    ) -> None:  # fmt: skip
        missing = [shot for shot in dict.fromkeys(shots) if not bank.has_picture(*shot)]
        for done, shot in enumerate(missing):
            if done == stop_after:
                raise Stopped
            bank.keep_picture(*shot, paint(scene(*shot)))
            job.stage(stage, done + 1, len(missing))
            drawn(shot)
        if counted is not None:
            counted.write_text(str(len(missing)))

    return paint_missing


def use_painter(stop_after: int | None = None, counted: Path | None = None) -> None:
    """Has both jobs paint in this process (a child's own, where tests fork)."""
    words_job.draw_missing = painter(stop_after, counted)  # type: ignore[assignment]
    bank_job.draw_missing = painter(stop_after, counted)  # type: ignore[assignment]


def photographs(folder: Path, word: str, count: int = 5) -> Path:
    """A folder of scenes of one object, as a person's pictures."""
    folder.mkdir(parents=True)
    for number in range(count):
        paint(scene(word, 500 + number)).save(folder / f"{number}.png")
    return folder


def plain(folder: Path, count: int = 2) -> Path:
    """A folder of pictures that show nothing at all."""
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (256, 256), (number, 90, 90)).save(folder / f"{number}.png")
    return folder
