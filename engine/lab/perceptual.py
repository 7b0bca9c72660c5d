"""The small base's perceptual encoder: how much of a subject's drawing is in a picture, wherever it stands.

The contrastive encoder (`engine.lab.encoder`) knows pictures by their names: a clumsy fox is as much a fox to it as a
good one. This one is trained on no names. It sees two paintings of one drawing on different grounds, the second
spoiled by a known share (`engine.lab.spoil`), and its cosine is to be the share that is left. It serves the selector
on the small base, as DINOv2 and SigLIP's patches do on SDXL. It never saw a picture of the base, and of the judge
(`engine.lab.judge`) it has the shape of its body and its loop of training, not a weight. As the contrastive encoder's,
its paintings are of all objects, those held out of the base's training among them: it has seen a fox before a LoRA has.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from engine.lab.base import PICTURE
from engine.lab.judge import FEATURES, OBJECTS_READ, any_scene, body, pixels_of, train_reader
from engine.lab.paint import paint
from engine.lab.plan import ReaderSettings
from engine.lab.progress import Report, Stop, step_generators
from engine.lab.scenes import GROUNDS, Scene
from engine.lab.spoil import Spoil, some_spoil
from engine.lab.sprites import drawn
from engine.lab.train_vae import to_tensor

_WIDTH = 96
_SPOILED = 0.85  # of the partners; the others are whole
_TEMPERATURE = 0.1
_NEAREST = 4  # of the strangers in a batch: those that are taken for the subject most


class Perceptual(nn.Module):
    """Pictures as unit vectors; the cosine of two is the share of one's subject that the other shows."""

    def __init__(self) -> None:
        super().__init__()
        self.body = body()
        self.seen = nn.Linear(FEATURES, _WIDTH)

    def embed_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        return F.normalize(self.seen(self.body(pixels)), dim=-1)

    @torch.inference_mode()
    def pictures(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """Unit vectors [n, 96]; pictures of any sizes."""
        return torch.cat([self.embed_pixels(pixels_of([picture])) for picture in pictures])


def train_perceptual(state_path: Path, settings: ReaderSettings, report: Report, stop: Stop) -> Perceptual:
    """Trains (or goes on from `state_path`) on pairs of paintings; a batch is half whole, half spoiled."""
    torch.manual_seed(settings.seed)
    encoder = Perceptual()

    def loss_at(step: int) -> torch.Tensor:
        whole, spoilt, left, kind = pairs(settings, step)
        alike = encoder.embed_pixels(whole) @ encoder.embed_pixels(spoilt).T
        same = kind[:, None] == kind[None, :]
        share = (alike.diagonal() - left).square().mean()
        nearest = alike.masked_fill(same, -1).topk(min(_NEAREST, len(alike)), dim=1).values
        strangers = nearest.clamp(min=0).square().mean()
        # Each is to find its own partner among the strangers, the surer the more is left of it.
        told = alike.masked_fill(same & ~torch.eye(len(same), dtype=torch.bool), -1) / _TEMPERATURE
        found = F.cross_entropy(told, torch.arange(len(told)), reduction="none")
        return 4 * share + strangers + 0.3 * (left * found).mean()

    train_reader(encoder, loss_at, state_path, settings, report, stop)
    return encoder.eval()


def pairs(settings: ReaderSettings, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pixels of whole drawings and of their spoiled partners, each [batch/2, 3, h, w], the shares left, the objects.

    The two come in shapes of their own, so that a tall photograph and a square drawing of one thing are alike.
    """
    rng, generator = step_generators(settings.seed, step)
    scenes = [any_scene(rng) for _ in range(settings.batch // 2)]
    spoils = [some_spoil(rng) if rng.random() < _SPOILED else Spoil() for _ in scenes]
    shape, other = _any_shape(rng), _any_shape(rng)
    whole = [paint(scene, shape) for scene in scenes]
    spoilt = [_elsewhere(scene, spoil, other, rng) for scene, spoil in zip(scenes, spoils, strict=True)]
    left = torch.tensor([spoil.left for spoil in spoils])
    things = torch.tensor([OBJECTS_READ.index(scene.thing) for scene in scenes])
    return _as_drawn(whole, rng, generator), _as_drawn(spoilt, rng, generator), left, things


def _as_drawn(pictures: Sequence[Image.Image], rng: random.Random, generator: torch.Generator) -> torch.Tensor:
    """With the blur and noise that a drawing of the base has."""
    soft = [
        picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.8))) if rng.random() < 0.4 else picture
        for picture in pictures
    ]
    pixels = to_tensor(np.stack([np.asarray(picture) for picture in soft]))
    level = torch.rand(len(pixels), 1, 1, 1, generator=generator) * 0.08
    return pixels + level * torch.randn(pixels.shape, generator=generator)


def _any_shape(rng: random.Random) -> tuple[int, int]:
    """Width and height of the native area: square, or as photographs are, up to 16:9 on either side."""
    if rng.random() < 0.5:
        return PICTURE, PICTURE
    ratio = rng.uniform(1, 1.8) ** rng.choice((-0.5, 0.5))
    return round(PICTURE * ratio), round(PICTURE / ratio)


def _elsewhere(scene: Scene, spoil: Spoil, size: tuple[int, int], rng: random.Random) -> Image.Image:
    """One of the scene's drawing, spoiled, on another ground, in another place and size."""
    others = [thing for thing in OBJECTS_READ if thing.name != scene.object]
    kin = [thing for thing in others if thing.kind is scene.thing.kind]
    other = rng.choice(kin if rng.random() < 0.5 else others).name
    again = Scene(
        scene.object, rng.choice(GROUNDS), scene.style, size=rng.choice(("big", "big", "small")),
        place=rng.choice(("centre", "left", "right")), seed=rng.randrange(2**31),
    )  # fmt: skip

    def change(drawing: Image.Image) -> Image.Image:
        return spoil(drawing, drawn(other, scene.style, drawing.width).resize(drawing.size), rng)

    return paint(again, size, change=change)


def load_perceptual(path: Path) -> Perceptual:
    """The encoder from its weights."""
    encoder = Perceptual()
    encoder.load_state_dict({name: weight.float() for name, weight in load_file(path).items()})
    return encoder.eval()
