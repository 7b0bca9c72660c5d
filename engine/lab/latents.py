"""The training set: seeded scenes painted and encoded once, kept as latents on disk, captioned anew at every
use.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from engine.files import atomic_path
from engine.lab.base import FACTOR, SHAPES
from engine.lab.paint import paint
from engine.lab.progress import Report, Stop
from engine.lab.scenes import Scene, sample_scene
from engine.lab.train_vae import to_tensor
from engine.runs.job import Stopped

_CHUNK = 256


@dataclass(frozen=True)
class LatentSet:
    """Scenes of one shape and their scaled latents, float16 [n, 4, height / 4, width / 4]."""

    width: int
    height: int
    scenes: tuple[Scene, ...]
    latents: np.ndarray

    def batch(self, picks: list[int]) -> torch.Tensor:
        """The picked latents as float32."""
        return torch.from_numpy(self.latents[picks].astype(np.float32))


def scenes_of(seed: int, width: int, height: int, count: int) -> tuple[Scene, ...]:
    """The training scenes of one shape: the same for the same seed, and a prefix of any longer list."""
    return tuple(sample_scene(random.Random(f"{seed}:{width}x{height}:{index}")) for index in range(count))


def load_latents(
    folder: Path, vae: AutoencoderKL, counts: tuple[int, ...], seed: int, report: Report, stop: Stop
) -> list[LatentSet]:
    """The latents of `counts[i]` scenes for each of `SHAPES`; those not yet in `folder` are painted and
    encoded.

    A chunk is one file, so that a killed call, or one ended by `stop` (raises Stopped), goes on where it was.
    """
    sets = []
    total = sum(counts)
    done = 0
    for (width, height), count in zip(SHAPES, counts, strict=True):
        scenes = scenes_of(seed, width, height, count)
        latents = np.empty((count, 4, height // FACTOR, width // FACTOR), dtype=np.float16)
        for first in range(0, count, _CHUNK):
            part = scenes[first : first + _CHUNK]
            path = folder / f"{width}x{height}-{first:06d}-{len(part)}.npy"
            if not path.exists():
                if stop():
                    raise Stopped
                folder.mkdir(parents=True, exist_ok=True)
                encoded = _encode(vae, part, width, height)
                with atomic_path(path) as beside:
                    np.save(beside, encoded)
            latents[first : first + len(part)] = np.load(path)
            done += len(part)
            report("stage", name="cache latents", done=done, total=total)
        sets.append(LatentSet(width, height, scenes, latents))
    return sets


@torch.inference_mode()
def _encode(vae: AutoencoderKL, scenes: tuple[Scene, ...], width: int, height: int) -> np.ndarray:
    pixels = np.stack([np.asarray(paint(scene, (width, height))) for scene in scenes])
    encoded = [vae.encode(part).latent_dist.mean for part in to_tensor(pixels).split(32)]
    return (torch.cat(encoded) * vae.config.scaling_factor).numpy().astype(np.float16)
