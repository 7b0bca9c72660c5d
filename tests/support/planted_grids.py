"""Grids of invented measurements whose true answer is known: each knob of a checkpoint moves one thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.select.cells import BASE, Cell, Copying, Following, Likeness, Looks, Measurements, Point, StyleReading
from engine.select.families import NOVEL, Family

LABELS = ("photo", "watercolour", "pencil", "poster")
LOW, HIGH = 0.3, 0.7  # the base's likeness and the photographs'
REFS = 6

PROMPTS = {
    **{f"identity-{i}": Family.IDENTITY for i in range(3)},
    **{f"context-{i}": Family.CONTEXT for i in range(6)},
    **{f"action-{i}": Family.ACTION for i in range(3)},
    **{f"style-{i}": Family.STYLE for i in range(4)},
    **{f"class-{i}": Family.CLASS for i in range(4)},
    **{f"unrelated-{i}": Family.UNRELATED for i in range(2)},
}


@dataclass(frozen=True)
class Knobs:
    """What a checkpoint is truly like, 0 to 1; the defaults are the base."""

    likeness: float = 0.0
    follows: float = 1.0
    obeys: float = 1.0
    varies: float = 1.0
    copies: float = 0.0  # share of pictures that repeat a training picture
    bleeds: float = 0.0


def grid_of(
    knobs: Mapping[Point, Knobs], *, seeds: int = 2, noise: float = 0.0, held_out: bool = False, random: int = 0,
    prompts: Mapping[str, Family] = PROMPTS,
) -> Measurements:  # fmt: skip
    """Measurements of the base and these points; luck is shared by all points on a prompt and seed, and some is own."""
    rng = np.random.default_rng(random)
    everything = {BASE: Knobs(), **knobs}
    slots = [(prompt, family, seed) for prompt, family in prompts.items() for seed in range(seeds)]
    shared = {slot: rng.normal(0, noise, 8) for slot in slots}
    layouts = {slot: rng.normal(size=24) for slot in slots}
    centres = {prompt: rng.normal(size=24) for prompt in prompts}
    copied = {slot: at / len(slots) for at, slot in enumerate(rng.permutation(len(slots)))}
    order = dict(zip(slots, copied.values(), strict=True))
    names = [name for name, family in prompts.items() if family not in {Family.CLASS, Family.UNRELATED}]
    cells, refs, texts, shares, vectors, train, pixels = [], [], [], [], [], [], []
    for point, knob in everything.items():
        for slot in slots:
            prompt, family, seed = slot
            luck = shared[slot] + rng.normal(0, noise / 3, 8)
            cells.append(Cell(point, prompt, family, seed))
            like = knob.bleeds if family is Family.CLASS else knob.likeness
            refs.append(np.full(REFS, LOW + like * (HIGH - LOW) + luck[0] * (HIGH - LOW)))
            text = np.full(len(names), 0.1)
            if prompt in names:
                text[names.index(prompt)] = 0.1 + 0.2 * (knob.follows + luck[1])
            texts.append(text)
            shares.append(_shares(prompt, 0.8 * knob.obeys))
            vectors.append(centres[prompt] * (2 - knob.varies) + layouts[slot] * knob.varies)
            is_copy = family in NOVEL and (rng.random() if noise else order[slot]) < knob.copies
            train.append(np.full(REFS, 0.9 if is_copy else 0.2))
            pixels.append([0.4 + luck[5] / 10, 0.05, 0.25, -5.0])
    real = np.full((4 if held_out else REFS, REFS), HIGH) + rng.normal(0, noise / 20, (4 if held_out else REFS, REFS))
    among = np.full((REFS, REFS), 0.35)
    return Measurements(
        tuple(cells),
        Likeness("planted", np.array(refs), real, held_out),
        Following("planted", np.array(texts), tuple(names)),
        StyleReading("planted", np.array(shares), LABELS, {p: LABELS[1 + int(p[-1]) % 3] for p in _styles(prompts)}),
        Looks("planted", np.array(vectors)),
        Copying("planted", np.array(train), among, floor=0.5, hard=0.75),
        np.array(pixels),
    )


def _styles(prompts: Mapping[str, Family]) -> list[str]:
    return [prompt for prompt, family in prompts.items() if family is Family.STYLE]


def _shares(prompt: str, wanted: float) -> np.ndarray:
    """On style prompts what the wanted style lacks goes to the photograph."""
    shares = np.zeros(len(LABELS))
    if not prompt.startswith("style"):
        shares[0] = 1
        return shares
    shares[1 + int(prompt[-1]) % 3] = wanted
    shares[0] = 1 - wanted
    return shares


CURVE = {
    Point(1): Knobs(0.30, 1.00, 1.00, 0.95),
    Point(2): Knobs(0.55, 0.98, 0.97, 0.92),
    Point(3): Knobs(0.72, 0.96, 0.94, 0.90),
    Point(4): Knobs(0.82, 0.94, 0.92, 0.88),
    Point(5): Knobs(0.86, 0.80, 0.70, 0.75, bleeds=0.1),
    Point(6): Knobs(0.90, 0.65, 0.50, 0.60, bleeds=0.2),
    Point(7): Knobs(0.93, 0.50, 0.35, 0.45, copies=0.04, bleeds=0.3),
    Point(8): Knobs(0.96, 0.40, 0.25, 0.40, copies=0.3, bleeds=0.5),
}
"""A usual run: the subject is learnt by epoch 4, and what comes after is paid for."""
