"""Who sees how well a thing is drawn: pictures of known damage, put in order by judge, encoder and drawing itself.

    python -m engine.lab.damage

prints, for held-out objects and ways to spoil a drawing (`engine.lab.spoil`), the rank correlation between the share
that each way was told to leave and what each reader says: why the proof of the choice (`engine.lab.overfit`) reads
fidelity from the drawing, and what the selector's encoder on the small base is worth.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from engine.lab.judge import load_judge
from engine.lab.match import match
from engine.lab.objects import OBJECTS
from engine.lab.paint import paint
from engine.lab.proof import Subject
from engine.lab.scenes import GROUNDS, Ground, Scene, Style
from engine.lab.spoil import WAYS, Spoil, Way, doubled
from engine.lab.sprites import drawn
from engine.select.likeness import SubjectPatches
from engine.select.looking import Seen
from engine.vision.encoder import PerceptualEncoder
from engine.vision.models import find_model

Reader = Callable[[Sequence[Image.Image]], np.ndarray]
"""What is read of each picture, [n]: higher where more of the subject is left."""

ORDERED = tuple(way for way in WAYS if way is not doubled)  # how far apart it doubles is left to chance
_MOST = 0.6  # lost; a LoRA's pictures that anyone would choose among lose less
_SOFT = 0.6  # pixels of blur, as the base's autoencoder has


def damaged(name: str, way: Way, count: int = 60, seed: int = 5) -> tuple[list[Image.Image], np.ndarray]:
    """Pictures of one object in the flat style on any grounds, spoiled in one way, and the share left of each."""
    rng = random.Random(seed)
    alike = [other for other, thing in OBJECTS.items() if thing.kind is OBJECTS[name].kind and other != name]
    pictures, left = [], []
    for at in range(count):
        lost, other = rng.uniform(0, _MOST), rng.choice(alike)
        scene = Scene(name, rng.choice(GROUNDS), place=rng.choice(("centre", "left", "right")), seed=at)
        pictures.append(_spoiled(scene, Spoil(((way, lost),)), other, rng))
        left.append(1 - lost)
    return pictures, np.array(left)


def rank_correlation(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """Spearman's: the correlation of the ranks, where no two are the same."""
    return float(np.corrcoef(*(np.argsort(np.argsort(values)) for values in (a, b)))[0, 1])


def by_drawing(name: str) -> Reader:
    """The true drawing laid over each picture."""
    return lambda pictures: np.array([match(picture, name) for picture in pictures])


def by_judge(name: str, readers: Path) -> Reader:
    """The judge's nearness."""
    subject = Subject(load_judge(readers / "judge.safetensors"), name)
    return lambda pictures: subject.nearness(pictures).numpy()


def by_encoder(name: str) -> Reader:
    """How much of ten true pictures the perceptual encoder sees, as the selector reads it."""
    encoder = PerceptualEncoder(find_model("demo-perceptual", "embedding"))
    places = ("centre", "left", "right")
    true = [paint(Scene(name, Ground("plain", "blue"), place=places[seed % 3], seed=seed)) for seed in range(10)]
    reader = SubjectPatches(encoder, Seen(true), encoder.patch_weights(true))
    return lambda pictures: reader.to_photographs(Seen(pictures)).mean(axis=1)


def _spoiled(scene: Scene, spoil: Spoil, other: str, rng: random.Random) -> Image.Image:
    def change(drawing: Image.Image) -> Image.Image:
        return spoil(drawing, drawn(other, Style.FLAT, drawing.width), rng)

    return paint(scene, change=change).filter(ImageFilter.GaussianBlur(_SOFT))


def main() -> None:
    """Prints the table in Markdown."""
    from engine.base.configs import embedded_base_folder

    torch.set_num_threads(1)
    folder = embedded_base_folder()
    if folder is None:
        raise SystemExit("this installation has no embedded base")
    print("| | spoiled by | judge | perceptual encoder | the drawing itself |\n|---|---|---|---|---|")
    for name in ("fox", "koala", "robot"):
        readers = by_judge(name, folder / "readers"), by_encoder(name), by_drawing(name)
        for way in ORDERED:
            pictures, left = damaged(name, way)
            cells = " | ".join(f"{rank_correlation(left, read(pictures)):.2f}" for read in readers)
            print(f"| {name} | {way.__name__} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
