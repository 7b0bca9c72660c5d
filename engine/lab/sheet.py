"""Draws prompts with the base and lays the pictures out for a person to look at."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image, ImageDraw

from engine.lab.scenes import TRAINED_STYLES, Scene, Style, prompt, sample_scene


def held_out_scenes(count: int, seed: int = 2026, flat_share: float = 0.5) -> list[Scene]:
    """Scenes of combinations never trained on; about `flat_share` of them in the plain style."""
    rng = random.Random(seed)
    others = [style for style in TRAINED_STYLES if style is not Style.FLAT]
    return [
        sample_scene(rng, styles=[Style.FLAT] if rng.random() < flat_share else others, held_out=True)
        for _ in range(count)
    ]


@torch.inference_mode()
def draw(
    pipeline: StableDiffusionXLPipeline,
    prompts: Sequence[str],
    seed: int = 0,
    steps: int = 20,
    guidance: float = 4.5,
    size: tuple[int, int] = (64, 64),
    batch: int = 16,
) -> list[Image.Image]:
    """One picture a prompt, each from a seed of its own (`seed` + its position)."""
    pipeline.set_progress_bar_config(disable=True)
    pictures: list[Image.Image] = []
    for first in range(0, len(prompts), batch):
        part = list(prompts[first : first + batch])
        generators = [torch.Generator().manual_seed(seed + first + index) for index in range(len(part))]
        pictures += pipeline(
            part,
            width=size[0],
            height=size[1],
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generators,
        ).images
    return pictures


def sheet(
    pictures: Sequence[Image.Image], labels: Sequence[str], columns: int = 10, side: int = 128
) -> Image.Image:
    """The pictures enlarged to `side` pixels in rows, each over its label (wrapped to two lines)."""
    gap, text = 4, 26
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (side + gap), rows * (side + text + gap)), "white")
    pen = ImageDraw.Draw(page)
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left, top = index % columns * (side + gap), index // columns * (side + text + gap)
        page.paste(picture.resize((side, side), Image.Resampling.BICUBIC), (left, top))
        pen.multiline_text((left, top + side), _wrapped(label, side // 6), fill="black", spacing=1)
    return page


def _wrapped(label: str, width: int) -> str:
    lines = [""]
    for word in label.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += f"{word} "
    return "\n".join(lines[:2])


def prompts_of(scenes: Sequence[Scene]) -> list[str]:
    """The scenes' plainest full words."""
    return [prompt(scene) for scene in scenes]
