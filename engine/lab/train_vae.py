"""Trains the autoencoder on painted scenes, and later its decoder alone (the latents then stay)."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn import functional as F

from engine.lab.base import FACTOR, PICTURE, new_vae
from engine.lab.paint import paint
from engine.lab.plan import VaeSettings
from engine.lab.progress import Pace, Report, Stop, load_state, save_state, step_generators
from engine.lab.scenes import sample_scene


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """uint8 [n, height, width, 3] to float [n, 3, height, width] in -1..1, channels last in memory."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def _batch(settings: VaeSettings, step: int) -> tuple[torch.Tensor, torch.Generator]:
    rng, generator = step_generators(settings.seed, step)
    crops = np.empty((settings.batch, settings.crop, settings.crop, 3), dtype=np.uint8)
    for crop in crops:
        # A margin of up to one latent position off the grid, so that the code does not hang on the patterns'
        # phase.
        left, top = (rng.randrange(0, PICTURE - settings.crop + 1, FACTOR // 2) for _ in range(2))
        picture = paint(sample_scene(rng))
        crop[:] = np.asarray(picture)[top : top + settings.crop, left : left + settings.crop]
    return to_tensor(crops), generator


def _loss(
    vae: AutoencoderKL, pixels: torch.Tensor, settings: VaeSettings, generator: torch.Generator
) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        with torch.set_grad_enabled(not settings.decoder_only):
            posterior = vae.encode(pixels).latent_dist
        latents = posterior.sample(generator)
        noise = torch.randn(latents.shape, generator=generator) * latents.detach().std() * settings.noise
        drawn = vae.decode(latents + noise).sample
    drawn = drawn.float()
    # The plain difference for colours, the difference of neighbours for sharp edges.
    plain = F.l1_loss(drawn, pixels) + 4 * F.mse_loss(drawn, pixels)
    edges = F.l1_loss(drawn.diff(dim=2), pixels.diff(dim=2)) + F.l1_loss(
        drawn.diff(dim=3), pixels.diff(dim=3)
    )
    return plain + 0.5 * edges + settings.kl * posterior.kl().mean()


def train_vae(
    state_path: Path,
    settings: VaeSettings,
    report: Report,
    stop: Stop,
    start_from: AutoencoderKL | None = None,
) -> AutoencoderKL:
    """Trains (or goes on from `state_path`) and returns the autoencoder, its scaling factor not yet set.

    `start_from` gives the weights to begin with when no state exists yet (for the decoder's own training).
    """
    vae = start_from or new_vae(settings.seed)
    vae.to(memory_format=torch.channels_last).train()
    for part in (vae.encoder, vae.quant_conv):
        part.requires_grad_(not settings.decoder_only)
    weights = [weight for weight in vae.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, settings.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate_at(step, settings))
    state = load_state(state_path, settings)
    if state:
        vae.load_state_dict(state["vae"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
    pace = Pace(state["step"] if state else 0, settings.steps)

    def save() -> None:
        parts = {
            "vae": vae.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
        }
        save_state(state_path, {**parts, "step": pace.step, "settings": str(settings)})

    while pace.step < settings.steps and not stop():
        pixels, generator = _batch(settings, pace.step)
        loss = _loss(vae, pixels, settings, generator)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        pace.count(loss, settings.batch, report)
        if pace.due():
            save()
    save()
    return vae.eval()


def _rate_at(step: int, settings: VaeSettings) -> float:
    warm = min(1.0, (step + 1) / settings.warmup)
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / settings.steps)))


def sample_pictures(count: int, seed: int) -> torch.Tensor:
    """True scenes as float pictures [count, 3, 64, 64] in -1..1, for measuring."""
    rng = random.Random(seed)
    return to_tensor(np.stack([np.asarray(paint(sample_scene(rng, held_out=None))) for _ in range(count)]))


def scaled(vae: AutoencoderKL) -> AutoencoderKL:
    """Sets the scaling factor so that latents of true scenes have a standard deviation of one."""
    means, deviations = latent_statistics(vae, sample_pictures(256, seed=999))
    overall = (deviations.square().mean() + means.var(correction=0)).sqrt()
    vae.register_to_config(scaling_factor=round(float(1 / overall), 5))
    return vae


@torch.inference_mode()
def latent_statistics(vae: AutoencoderKL, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each latent channel [4] over `pixels`; 1 / overall deviation is the
    scaling.
    """
    means = vae.encode(pixels).latent_dist.mean
    return means.mean(dim=(0, 2, 3)), means.std(dim=(0, 2, 3))


@torch.inference_mode()
def signal_to_noise(vae: AutoencoderKL, pixels: torch.Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures taken through the autoencoder."""
    again = vae.decode(vae.encode(pixels).latent_dist.mean).sample.clamp(-1, 1)
    return float(10 * torch.log10(4 / F.mse_loss(again, pixels)))
