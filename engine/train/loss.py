"""The diffusion loss of one batch, a value a picture, for epsilon and v-prediction."""

from __future__ import annotations

import torch


def add_noise(
    latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, alphas_cumprod: torch.Tensor
) -> torch.Tensor:
    """Latents (n, c, h, w) moved to the noise level of their timestep (n,), as DDPM's forward process does."""
    signal, strength = _levels(timesteps, alphas_cumprod)
    return signal * latents + strength * noise


def target(
    latents: torch.Tensor,
    noise: torch.Tensor,
    timesteps: torch.Tensor,
    alphas_cumprod: torch.Tensor,
    prediction: str,
) -> torch.Tensor:
    """What the UNet should answer: the noise (epsilon) or the velocity (v_prediction)."""
    if prediction == "epsilon":
        return noise
    signal, strength = _levels(timesteps, alphas_cumprod)
    return signal * noise - strength * latents


def per_picture_loss(predicted: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean squared error of each picture, (n,), in fp32 whatever the model computes in."""
    return (predicted.float() - wanted.float()).square().mean(dim=(1, 2, 3))


def min_snr_weights(
    timesteps: torch.Tensor, alphas_cumprod: torch.Tensor, gamma: float, prediction: str
) -> torch.Tensor:
    """Min-SNR-gamma weights (n,), Hang et al. 2023 (arXiv 2303.09556).

    min(SNR, gamma) / SNR for epsilon and min(SNR, gamma) / (SNR + 1) for v. At zero-terminal SNR the epsilon
    weight tends to 1 (gamma is never the smaller one there), which the formula itself would make 0/0.
    """
    signal = alphas_cumprod[timesteps]
    snr = signal / (1 - signal).clamp_min(1e-12)
    if prediction == "epsilon":
        return (gamma / snr.clamp_min(1e-12)).clamp_max(1.0)
    return snr.clamp_max(gamma) / (snr + 1)


def _levels(timesteps: torch.Tensor, alphas_cumprod: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    level = alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    return level.sqrt(), (1 - level).sqrt()
