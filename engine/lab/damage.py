"""Who sees how well a thing is drawn: pictures of known damage, put in order by judge, encoder and drawing itself.

    python -m engine.lab.damage

prints, for held-out objects and ways to spoil a drawing (`engine.lab.spoil`), the rank correlation between the share
that each way was told to leave and what each reader says; then the same over pictures that fail as a LoRA's do, in any
of these ways and with a part of a second one at an edge. Why the proof of the choice (`engine.lab.overfit`)
reads fidelity from the drawing and the judge together, and what the selector's encoder on the small base is worth.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
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
from engine.lab.spoil import WAYS, Spoil, Way, doubled, some_spoil
from engine.lab.sprites import drawn
from engine.select.likeness import SubjectPatches
from engine.select.looking import Seen
from engine.vision.encoder import PerceptualEncoder
from engine.vision.models import find_model

Reader = Callable[[Sequence[Image.Image]], np.ndarray]
"""What is read of each picture, [n]: higher where more of the subject is left."""

ORDERED = tuple(way for way in WAYS if way is not doubled)  # how far apart it doubles is left to chance
_MOST = 0.6  # lost; a LoRA's pictures that anyone would choose among lose less
_CROWDED = 3  # every such picture of `failed` has a part of a second one
_SOFT = 0.6  # pixels of blur, as the base's autoencoder has


def damaged(name: str, way: Way, count: int = 60, seed: int = 5) -> tuple[list[Image.Image], np.ndarray]:
    """Pictures of one object in the flat style on any grounds, spoiled in one way, and the share left of each."""
    rng = random.Random(seed)
    alike = _alike(name)
    pictures, left = [], []
    for at in range(count):
        lost, other = rng.uniform(0, _MOST), rng.choice(alike)
        scene = Scene(name, rng.choice(GROUNDS), place=rng.choice(("centre", "left", "right")), seed=at)
        pictures.append(_spoiled(scene, Spoil(((way, lost),)), other, rng))
        left.append(1 - lost)
    return pictures, np.array(left)


def failed(name: str, count: int = 160, seed: int = 7) -> tuple[list[Image.Image], np.ndarray]:
    """Pictures of one object that fail in any way, and the share left of each.

    Spoiled by one way to three; every third has a part of a second one at an edge, beside the first or over it. The
    share left is 1 less what
    differs from the true picture, of what differs where another of its kind stands in its place.
    """
    rng = random.Random(seed)
    alike = _alike(name)
    pictures, differ, strange = [], [], []
    for at in range(count):
        other = rng.choice(alike)
        scene = Scene(name, rng.choice(GROUNDS), place=rng.choice(("centre", "left", "right")), seed=at)
        picture = _spoiled(scene, some_spoil(rng), other, rng, soft=0)
        if at % _CROWDED == 0:
            picture = _crowded(picture, name, rng)
        true = paint(scene)
        differ.append(_difference(picture, true))
        strange.append(_difference(paint(replace(scene, object=other)), true))
        pictures.append(picture.filter(ImageFilter.GaussianBlur(_SOFT)))
    return pictures, 1 - np.array(differ) / np.mean(strange)


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


def by_both(name: str, readers: Path, count: int = 24) -> Reader:
    """The mean of drawing and judge, each from others of the kind (0) to true pictures (1), much as the proof's is."""
    rng = random.Random(name)
    grounds = [rng.choice(GROUNDS) for _ in range(count)]
    true = [paint(Scene(name, ground, seed=at)) for at, ground in enumerate(grounds)]
    strangers = [paint(Scene(rng.choice(_alike(name)), ground, seed=at)) for at, ground in enumerate(grounds)]
    reads = by_drawing(name), by_judge(name, readers)
    scales = [(read, read(strangers).mean(), read(true).mean()) for read in reads]
    return lambda pictures: np.mean([(read(pictures) - low) / (high - low) for read, low, high in scales], axis=0)


def by_encoder(name: str) -> Reader:
    """How much of ten true pictures the perceptual encoder sees, as the selector reads it."""
    encoder = PerceptualEncoder(find_model("demo-perceptual", "embedding"))
    places = ("centre", "left", "right")
    true = [paint(Scene(name, Ground("plain", "blue"), place=places[seed % 3], seed=seed)) for seed in range(10)]
    reader = SubjectPatches(encoder, Seen(true), encoder.patch_weights(true))
    return lambda pictures: reader.to_photographs(Seen(pictures)).mean(axis=1)


def _alike(name: str) -> list[str]:
    return [other for other, thing in OBJECTS.items() if thing.kind is OBJECTS[name].kind and other != name]


def _spoiled(scene: Scene, spoil: Spoil, other: str, rng: random.Random, soft: float = _SOFT) -> Image.Image:
    def change(drawing: Image.Image) -> Image.Image:
        return spoil(drawing, drawn(other, Style.FLAT, drawing.width), rng)

    return paint(scene, change=change).filter(ImageFilter.GaussianBlur(soft))


def _crowded(picture: Image.Image, name: str, rng: random.Random) -> Image.Image:
    """The picture with the left or right part of a second one at one of its sides."""
    side = rng.randint(26, 40)
    second, wide = drawn(name, Style.FLAT, side), round(side * rng.uniform(0.2, 0.9))
    left = rng.choice((0, side - wide))
    whole = picture.convert("RGBA")
    at = rng.choice((0, whole.width - wide)), rng.randint(8, whole.height - side)
    whole.alpha_composite(second.convert("RGBA").crop((left, 0, left + wide, side)), at)
    return whole.convert("RGB")


def _difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, dtype=np.float32) - np.asarray(other, dtype=np.float32)).mean())


def _readers(name: str, folder: Path) -> tuple[Reader, ...]:
    return by_judge(name, folder), by_encoder(name), by_drawing(name)


def main() -> None:
    """Prints the tables in Markdown."""
    from engine.base.configs import embedded_base_folder

    torch.set_num_threads(1)
    folder = embedded_base_folder()
    if folder is None:
        raise SystemExit("this installation has no embedded base")
    print("| | spoiled by | judge | perceptual encoder | the drawing itself |\n|---|---|---|---|---|")
    for name in ("fox", "koala", "robot"):
        readers = _readers(name, folder / "readers")
        for way in ORDERED:
            pictures, left = damaged(name, way)
            cells = " | ".join(f"{rank_correlation(left, read(pictures)):.2f}" for read in readers)
            print(f"| {name} | {way.__name__} | {cells} |", flush=True)
    print("\nAll of them (without a second one, with a part of one):\n")
    print("| | judge | perceptual encoder | the drawing itself | drawing and judge |\n|---|---|---|---|---|")
    for name in ("fox", "koala", "robot"):
        pictures, left = failed(name)
        crowded = np.arange(len(pictures)) % _CROWDED == 0
        cells = []
        for reader in (*_readers(name, folder / "readers"), by_both(name, folder / "readers")):
            read = reader(pictures)
            every, without, with_one = (
                rank_correlation(left[some], read[some]) for some in (slice(None), ~crowded, crowded)
            )
            cells.append(f"{every:.2f} ({without:.2f}, {with_one:.2f})")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
