"""Proofs with ground truth: how often the base draws what it was told, and how near a picture is to a
subject.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch.nn import functional as F

from engine.lab.judge import Judge, Reading
from engine.lab.objects import TRAINED
from engine.lab.paint import paint
from engine.lab.scenes import GROUNDS, TRAINED_STYLES, Scene, Style, prompt, sample_scene

Draw = Callable[[Sequence[str]], list[Image.Image]]
"""Draws one picture a prompt, such as `engine.lab.sheet.draw` over a pipeline."""

_ASPECTS = ("object", "ground", "style", "count")


@dataclass(frozen=True)
class Verdict:
    """One scene that was asked for and what the judge read in the picture drawn."""

    scene: Scene
    reading: Reading

    def right(self, aspect: str) -> bool:
        """Whether "object", "ground", "style" or "count" came out as asked."""
        return bool(getattr(self.scene, aspect) == getattr(self.reading, aspect))


def proof_scenes(count: int, seed: int = 4711) -> list[Scene]:
    """Combinations never trained on, as the training weighs styles and grounds."""
    rng = random.Random(seed)
    return [sample_scene(rng, held_out=True) for _ in range(count)]


def judge_scenes(draw: Draw, judge: Judge, scenes: Sequence[Scene]) -> list[Verdict]:
    """Draws each scene's prompt and has it read."""
    pictures = draw([prompt(scene) for scene in scenes])
    return [Verdict(scene, reading) for scene, reading in zip(scenes, judge.read(pictures), strict=True)]


def shares(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """The share of pictures right in each aspect, 0..1."""
    return {aspect: sum(v.right(aspect) for v in verdicts) / max(len(verdicts), 1) for aspect in _ASPECTS}


def table(verdicts: Sequence[Verdict]) -> str:
    """The judge's table in Markdown: all pictures, then by style, by number and by kind of ground."""
    one_big = [v for v in verdicts if v.scene.count == 1 and v.scene.size == "big"]
    rows: list[tuple[str, Sequence[Verdict]]] = [("all", verdicts)]
    rows += [(str(style), [v for v in verdicts if v.scene.style is style]) for style in TRAINED_STYLES]
    rows += [
        ("one, big", one_big),
        ("one, small", [v for v in verdicts if v.scene.size == "small"]),
        ("two", [v for v in verdicts if v.scene.count == 2]),
    ]
    kinds = dict.fromkeys(ground.kind for ground in GROUNDS)
    rows += [(f"ground: {kind}", [v for v in verdicts if v.scene.ground.kind == kind]) for kind in kinds]
    lines = ["| asked for | pictures | object | ground | style | count |", "|---|---|---|---|---|---|"]
    for name, part in rows:
        if part:
            cells = " | ".join(f"{share:.1%}" for share in shares(part).values())
            lines.append(f"| {name} | {len(part)} | {cells} |")
    return "\n".join(lines)


def worst_objects(verdicts: Sequence[Verdict], count: int = 8) -> list[tuple[str, float]]:
    """The objects drawn wrong most often, with the share that came out right."""
    by_object = {
        thing.name: [v.right("object") for v in verdicts if v.scene.object == thing.name] for thing in TRAINED
    }
    scored = [(name, sum(right) / len(right)) for name, right in by_object.items() if right]
    return sorted(scored, key=lambda pair: pair[1])[:count]


class Subject:
    """Measures how near pictures are to one object, by the judge's own features of its true scenes."""

    def __init__(self, judge: Judge, name: str, style: Style = Style.FLAT, scenes: int = 48) -> None:
        rng = random.Random(name)
        self.judge = judge
        grounds = [rng.choice(GROUNDS) for _ in range(scenes)]
        true = [Scene(name, ground, style, seed=seed) for seed, ground in enumerate(grounds)]
        # The mean over all objects is taken off, so that zero means "no nearer than any other object".
        others = [
            Scene(rng.choice(TRAINED).name, ground, style, seed=seed)
            for seed, ground in enumerate(grounds * 2)
        ]
        self._middle = judge.features([paint(scene) for scene in others]).mean(dim=0)
        self._own = judge.features([paint(scene) for scene in true]).mean(dim=0) - self._middle

    def nearness(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """Cosine [n] to the subject: about 0 for another object, towards 1 for the subject itself."""
        return F.cosine_similarity(self.judge.features(pictures) - self._middle, self._own[None], dim=1)
