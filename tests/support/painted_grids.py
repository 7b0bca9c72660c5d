"""Grids of painted pictures whose truth is known: what a checkpoint draws is turned by one knob each."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageFilter

from engine.lab.demo_sets import subject_caption, subject_scenes
from engine.lab.objects import OBJECTS
from engine.lab.paint import paint
from engine.lab.scenes import GROUNDS, Ground, Scene, Style
from engine.lab.scenes import prompt as scene_prompt
from engine.select.cells import BASE, Cell, Point
from engine.select.families import NOVEL, Family
from engine.select.prompts import Prompt, PromptSet

SUBJECT, TRIGGER, CLASS = "fox", "ohwx", "animal"
ANIMALS = ("dog", "cat", "lion", "rabbit", "owl", "panda", "frog", "pig")
"""What the base draws for the class word."""


@dataclass(frozen=True)
class Photo:
    path: Path
    caption: str = ""
    held_out: bool = False


@dataclass(frozen=True)
class Knobs:
    """Shares of a checkpoint's prompts, 0 to 1, of those that a knob is about; the defaults are the base."""

    identity: float = 0.0  # show the subject
    copying: float = 0.0  # are a training picture
    resists: float = 0.0  # of the style prompts come out in the flat style
    deaf: float = 0.0  # stand on plain green, whatever was asked for
    bleeding: float = 0.0  # of the class word's show the subject
    frozen: float = 0.0  # are the first seed's picture at every seed


def photographs(folder: Path, subject: str = SUBJECT, side: int = 256) -> list[Photo]:
    """The demo's ten training pictures of a subject, painted small."""
    found = []
    for number, (scene, (width, height)) in enumerate(subject_scenes(subject), 1):
        size = round(side * width / 1600), round(side * height / 1600)
        path = folder / f"{subject}-{number:02d}.png"
        paint(scene, size).save(path)
        found.append(Photo(path, subject_caption(scene)))
    return found


def grid(
    prompts: PromptSet, points: Mapping[Point, Knobs], photos: list[Photo], seeds: tuple[int, ...] = (1, 2)
) -> list[tuple[Cell, Image.Image]]:
    """Cells and pictures of the base and these points. A knob turned further turns the same pictures and more."""
    order = _order(prompts)
    return [
        (Cell(point, prompt.name, prompt.family, seed), _drawn(prompt, order[prompt.name], seed, knobs, photos))
        for point, knobs in {BASE: Knobs(), **points}.items()
        for prompt in prompts.prompts
        for seed in seeds
    ]


def _order(prompts: PromptSet) -> dict[str, float]:
    """Where in its family each prompt stands, 0 to 1: a share of 0.5 turns every second one."""
    found = {}
    for family in Family:
        names = [prompt.name for prompt in prompts.prompts if prompt.family is family]
        found |= {name: ((2 * at) % len(names) + (2 * at) // len(names) + 0.5) / len(names) for at, name in
                  enumerate(names)}  # fmt: skip
    return found


def scene_of(prompt: Prompt, shown: str, seed: int) -> Scene:
    """What a prompt of the demo's set asks for, with `shown` as what is called."""
    text = prompt.plain(CLASS)
    styles = [style for style in Style if text.endswith(f", {style}")]
    place = next((place for place in ("left", "right") if f" on the {place} " in text), "centre")
    ground = max((one for one in GROUNDS if _said(one) in text), key=lambda one: len(_said(one)))
    return Scene(shown, ground, styles[0] if styles else Style.FLAT, place=place, seed=seed)


def _drawn(prompt: Prompt, place: float, seed: int, knobs: Knobs, photos: list[Photo]) -> Image.Image:
    family = prompt.family
    if family in NOVEL and place < knobs.frozen:
        seed = 1
    luck = random.Random(f"{prompt.name} {seed}")
    if family in NOVEL and place < knobs.copying:
        with Image.open(luck.choice(photos).path) as image:
            return _soft(image.convert("RGB").resize((64, 64), Image.Resampling.LANCZOS))
    other = luck.choice(ANIMALS)
    shown = SUBJECT if place < (knobs.bleeding if family is Family.CLASS else knobs.identity) else other
    if family is Family.UNRELATED:
        shown = next(name for name in OBJECTS if name in prompt.text)
    scene = scene_of(prompt, shown, luck.randrange(1000))
    if luck.random() < 0.5 and scene.place == "centre":
        scene = replace(scene, size="small")
    if family in (Family.CONTEXT, Family.ACTION) and place < knobs.deaf:
        scene = replace(scene, ground=Ground("plain", "green"), place="centre")
    if family is Family.STYLE and place < knobs.resists:
        scene = replace(scene, style=Style.FLAT)
    return _soft(paint(scene))


def _soft(image: Image.Image) -> Image.Image:
    """As soft as what an autoencoder gives."""
    return image.filter(ImageFilter.GaussianBlur(0.5))


def _said(ground: Ground) -> str:
    """The ground as a prompt says it."""
    return scene_prompt(Scene("dog", ground)).removeprefix("a dog ")
