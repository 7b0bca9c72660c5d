"""The judge: a small network that reads object, ground, style and count off a picture.

It is trained on painted scenes only, never on pictures of the base, and serves proofs only; the selector must
not use it. It knows the held-out objects and the held-out style too, as it is to say how well a LoRA learnt
them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from engine.files import atomic_path
from engine.lab.base import PICTURE, SHAPES
from engine.lab.objects import OBJECTS
from engine.lab.paint import paint
from engine.lab.plan import ReaderSettings
from engine.lab.progress import Pace, Report, Stop, load_state, save_state, step_generators
from engine.lab.scenes import GROUNDS, Ground, Scene, Style, sample_scene
from engine.lab.train_vae import to_tensor

OBJECTS_READ = list(OBJECTS.values())
_HEADS = {"object": len(OBJECTS_READ), "ground": len(GROUNDS), "style": len(Style), "count": 2}


@dataclass(frozen=True)
class Reading:
    """What the judge sees in one picture, and how sure it is of the object (0..1)."""

    object: str
    ground: Ground
    style: Style
    count: int
    certainty: float


FEATURES = 128
"""Width of what `body` gives for a picture."""


def body(width: int = FEATURES // 4) -> nn.Sequential:
    """A small convolutional network from pictures [n, 3, height, width] to features [n, FEATURES]."""

    def stage(inner: int, outer: int) -> list[nn.Module]:
        norm = nn.GroupNorm(8, outer)
        return [nn.Conv2d(inner, outer, 3, stride=2, padding=1), norm, nn.SiLU(), Residual(outer)]

    return nn.Sequential(
        nn.Conv2d(3, width, 4, stride=2, padding=1),
        nn.SiLU(),
        *stage(width, 2 * width),
        *stage(2 * width, 3 * width),
        *stage(3 * width, 4 * width),
        nn.AdaptiveAvgPool2d((2, 2)),
        nn.Flatten(),
        nn.Linear(16 * width, 4 * width),
        nn.SiLU(),
    )


class Residual(nn.Module):
    """Two convolutions added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + self.change(features)


class Judge(nn.Module):
    """Reads pictures of any size; call `read`."""

    def __init__(self) -> None:
        super().__init__()
        self.body = body()
        self.heads = nn.ModuleDict({name: nn.Linear(FEATURES, count) for name, count in _HEADS.items()})

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.body(pixels)
        return {name: head(features) for name, head in self.heads.items()}

    @torch.inference_mode()
    def features(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """What the judge tells pictures by, [n, FEATURES]; pictures of any sizes."""
        return torch.cat([self.body(pixels_of([picture])) for picture in pictures])

    @torch.inference_mode()
    def read(self, pictures: Sequence[Image.Image]) -> list[Reading]:
        """What is in each picture."""
        readings = []
        for picture in pictures:
            scores = {name: score[0] for name, score in self(pixels_of([picture])).items()}
            sure, which = scores["object"].softmax(dim=0).max(dim=0)
            readings.append(
                Reading(
                    object=OBJECTS_READ[int(which)].name,
                    ground=GROUNDS[int(scores["ground"].argmax())],
                    style=list(Style)[int(scores["style"].argmax())],
                    count=1 + int(scores["count"].argmax()),
                    certainty=float(sure),
                )
            )
        return readings


def pixels_of(pictures: Sequence[Image.Image]) -> torch.Tensor:
    """Pictures of one size as the readers take them; larger ones are reduced to the native area first."""
    width, height = pictures[0].size
    scale = PICTURE / (width * height) ** 0.5
    size = (round(width * scale), round(height * scale))
    rgb = [picture.convert("RGB") for picture in pictures]
    small = rgb if scale >= 0.9 else [picture.resize(size, Image.Resampling.LANCZOS) for picture in rgb]
    return to_tensor(np.stack([np.asarray(picture) for picture in small]))


def labels_of(scenes: Sequence[Scene]) -> dict[str, torch.Tensor]:
    """The scenes' truth as class indices."""
    return {
        "object": torch.tensor([OBJECTS_READ.index(scene.thing) for scene in scenes]),
        "ground": torch.tensor([GROUNDS.index(scene.ground) for scene in scenes]),
        "style": torch.tensor([list(Style).index(scene.style) for scene in scenes]),
        "count": torch.tensor([scene.count - 1 for scene in scenes]),
    }


def reader_batch(settings: ReaderSettings, step: int) -> tuple[list[Scene], torch.Tensor]:
    """True scenes of every object, style and combination, with the blur and noise that a drawing has."""
    rng, generator = step_generators(settings.seed, step)
    size = rng.choices(SHAPES, (6, 1, 1))[0]
    scenes = [any_scene(rng) for _ in range(settings.batch)]
    pictures = [paint(scene, size) for scene in scenes]
    soft = [
        picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0))) if rng.random() < 0.4 else picture
        for picture in pictures
    ]
    pixels = to_tensor(np.stack([np.asarray(picture) for picture in soft]))
    level = torch.rand(len(scenes), 1, 1, 1, generator=generator) * 0.12
    return scenes, pixels + level * torch.randn(pixels.shape, generator=generator)


def any_scene(rng: random.Random) -> Scene:
    """A scene with all objects, styles and grounds equally likely, held out or not."""
    scene = sample_scene(rng, objects=OBJECTS_READ, styles=(rng.choice(list(Style)),), held_out=None)
    return Scene(
        scene.object, rng.choice(GROUNDS), scene.style, scene.count, scene.size, scene.place, scene.seed
    )


def train_judge(state_path: Path, settings: ReaderSettings, report: Report, stop: Stop) -> Judge:
    """Trains (or goes on from `state_path`) on true scenes."""
    torch.manual_seed(settings.seed)
    judge = Judge()

    def loss_at(step: int) -> torch.Tensor:
        scenes, pixels = reader_batch(settings, step)
        scores, truth = judge(pixels), labels_of(scenes)
        return sum((F.cross_entropy(scores[name], truth[name]) for name in _HEADS), torch.zeros(()))

    train_reader(judge, loss_at, state_path, settings, report, stop)
    return judge.eval()


def train_reader(
    model: nn.Module,
    loss_at: Callable[[int], torch.Tensor],
    state_path: Path,
    settings: ReaderSettings,
    report: Report,
    stop: Stop,
) -> None:
    """The loop all readers share, `loss_at` a step: AdamW with a one-cycle rate, resumable."""
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), settings.rate, betas=(0.9, 0.99), weight_decay=1e-2)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.rate, settings.steps + 1, pct_start=0.1)
    state = load_state(state_path, settings)
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        cycle.load_state_dict(state["cycle"])
    pace = Pace(state["step"] if state else 0, settings.steps)

    def save() -> None:
        parts = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "cycle": cycle.state_dict(),
        }
        save_state(state_path, {**parts, "step": pace.step, "settings": str(settings)})

    while pace.step < settings.steps and not stop():
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_at(pace.step)
        loss.backward()
        optimizer.step()
        cycle.step()
        optimizer.zero_grad(set_to_none=True)
        pace.count(loss, settings.batch, report)
        if pace.due():
            save()
    save()


def save_reader(model: nn.Module, path: Path) -> None:
    """Writes the weights in 16 bits."""
    with atomic_path(path) as beside:
        save_file({name: weight.half().contiguous() for name, weight in model.state_dict().items()}, beside)


def load_judge(path: Path) -> Judge:
    """The judge from its weights."""
    judge = Judge()
    judge.load_state_dict({name: weight.float() for name, weight in load_file(path).items()})
    return judge.eval()
