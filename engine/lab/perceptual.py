"""The small base's perceptual encoder: how much of a subject's drawing is in a picture, wherever it stands.

The contrastive encoder (`engine.lab.encoder`) knows pictures by their names: a clumsy fox is as much a fox to it as a
good one. This one is trained on no names. It sees two paintings of one drawing on different grounds, the second spoiled
(`engine.lab.pairs`), and is to say what share of the drawing is left. It does so patch by patch, as DINOv2 and SigLIP
are read on SDXL: each patch of the photograph looks for the one most like it in the picture, and what the patches find
is weighed by how much each belongs to the subject, which is learnt too and stands in for a mask. It never saw a picture
of the base, nor an object or the style that is held out of the base's training, and of the judge (`engine.lab.judge`)
it has a block of the network and the loop of training, not a weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from engine.lab.judge import Residual, pixels_of, train_reader
from engine.lab.pairs import pairs
from engine.lab.plan import ReaderSettings
from engine.lab.progress import Report, Stop

WIDTH = 64
"""Numbers that a patch is told by."""

_CHANNELS = 32
_MIXED = 128
_TEMPERATURE = 0.1
_STRANGERS = 6  # of a batch, that each whole drawing is held against
_NEAREST = 3  # of them: those that it takes for itself most are pushed away
_SHARE, _FOUND = 4.0, 0.3  # what the share and the finding of the partner count in the loss; the strangers count 1


class Perceptual(nn.Module):
    """Pictures as patches: unit vectors, a patch for every four pixels of a side, and how much each counts."""

    def __init__(self) -> None:
        super().__init__()
        channels = _CHANNELS
        self.near = nn.Sequential(
            nn.Conv2d(3, channels, 4, stride=2, padding=1), nn.SiLU(), *_stage(channels, 2 * channels)
        )
        self.wide = nn.Sequential(*_stage(2 * channels, 4 * channels), Residual(4 * channels))
        self.whole = nn.Sequential(*_stage(4 * channels, 4 * channels))
        self.sides = nn.ModuleList(nn.Conv2d(count * channels, _MIXED, 1) for count in (2, 4, 4))
        self.mixed = nn.Sequential(
            nn.GroupNorm(8, _MIXED), nn.SiLU(), nn.Conv2d(_MIXED, _MIXED, 3, padding=1), nn.SiLU()
        )
        self.seen = nn.Conv2d(_MIXED, WIDTH, 1)
        self.weight = nn.Conv2d(_MIXED, 1, 1)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of pixels [n, 3, h, w]: unit vectors [n, patches, WIDTH], and weights [n, patches] adding up to 1."""
        near = self.near(pixels)
        wide = self.wide(near)
        whole = self.whole(wide)
        size = near.shape[-2:]
        features = sum(
            (F.interpolate(side(level), size, mode="bilinear") for side, level in
             zip(self.sides, (near, wide, whole), strict=True)), torch.zeros(()),
        )  # fmt: skip
        features = self.mixed(features)
        patches = F.normalize(self.seen(features).float().flatten(2).transpose(1, 2), dim=-1)
        return patches, self.weight(features).float().flatten(1).softmax(dim=1)

    @torch.inference_mode()
    def patches(self, pictures: Sequence[Image.Image]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each picture, of any size: its patches [patches, WIDTH] and their weights [patches]."""
        found = (self(pixels_of([picture])) for picture in pictures)
        return [(patches[0].numpy(), weights[0].numpy()) for patches, weights in found]


def share_seen(patches: torch.Tensor, weights: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    """How much of each photograph its picture shows, [n]; of n photographs and n pictures (see `Perceptual`)."""
    return ((patches @ picture.transpose(1, 2)).amax(dim=2) * weights).sum(dim=1)


def train_perceptual(state_path: Path, settings: ReaderSettings, report: Report, stop: Stop) -> Perceptual:
    """Trains (or goes on from `state_path`) on pairs of paintings; a batch is half whole, half spoiled."""
    torch.manual_seed(settings.seed)
    encoder = Perceptual()

    def loss_at(step: int) -> torch.Tensor:
        made = pairs(settings, step)
        (patches, weights), (others, _) = encoder(made.whole), encoder(made.spoiled)
        own = share_seen(patches, weights, others)
        moves = range(1, min(_STRANGERS, len(own) - 1) + 1)
        wrong = torch.where(made.left > 0, own - made.left, own.clamp(min=0))  # of nothing there is no less
        share = wrong.square().mean()
        if not moves:
            return _SHARE * share
        # Each is to find its own partner among strangers, the surer the more is left of it.
        alike = torch.stack([share_seen(patches, weights, others.roll(move, 0)) for move in moves], dim=1)
        same = torch.stack([made.shown == made.shown.roll(move) for move in moves], dim=1)
        alike = alike.masked_fill(same, -1)
        strangers = alike.topk(min(_NEAREST, len(moves)), dim=1).values.clamp(min=0).square().mean()
        told = torch.cat([own[:, None], alike], dim=1) / _TEMPERATURE
        found = F.cross_entropy(told, torch.zeros(len(own), dtype=torch.long), reduction="none")
        return _SHARE * share + strangers + _FOUND * (made.left * found).mean()

    train_reader(encoder, loss_at, state_path, settings, report, stop)
    return encoder.eval()


def _stage(inner: int, outer: int) -> list[nn.Module]:
    halved = nn.Conv2d(inner, outer, 3, stride=2, padding=1)
    return [halved, nn.GroupNorm(8, outer), nn.SiLU(), Residual(outer)]


def load_perceptual(path: Path) -> Perceptual:
    """The encoder from its weights."""
    encoder = Perceptual()
    encoder.load_state_dict({name: weight.float() for name, weight in load_file(path).items()})
    return encoder.eval()
