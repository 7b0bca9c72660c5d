"""The loss against diffusers' own schedulers and training helpers."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from engine.train.loss import add_noise, min_snr_weights, per_picture_loss, target

SDXL = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}


@pytest.fixture(params=[False, True], ids=["plain", "zero-terminal"])
def scheduler(request):
    return DDPMScheduler(**SDXL, rescale_betas_zero_snr=request.param, prediction_type="v_prediction")


def draw(shape=(5, 4, 8, 8)):
    generator = torch.Generator().manual_seed(0)
    steps = torch.tensor([0, 10, 500, 900, 999])
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator), steps


def test_noisy_latents_and_velocity_are_the_schedulers(scheduler):
    latents, noise, steps = draw()
    alphas = scheduler.alphas_cumprod
    assert torch.allclose(add_noise(latents, noise, steps, alphas), scheduler.add_noise(latents, noise, steps))
    velocity = target(latents, noise, steps, alphas, "v_prediction")
    assert torch.allclose(velocity, scheduler.get_velocity(latents, noise, steps))
    assert target(latents, noise, steps, alphas, "epsilon") is noise


def test_loss_is_mse_a_picture_in_fp32():
    latents, noise, _ = draw()
    losses = per_picture_loss(latents.bfloat16(), noise)
    expected = [torch.nn.functional.mse_loss(a.bfloat16().float(), b) for a, b in zip(latents, noise, strict=True)]
    assert losses.dtype == torch.float32 and torch.allclose(losses, torch.stack(expected))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_weights_are_the_papers(prediction):
    scheduler = DDPMScheduler(**SDXL)
    _, _, steps = draw()
    snr = compute_snr(scheduler, steps)
    divisor = snr if prediction == "epsilon" else snr + 1
    expected = torch.minimum(snr, torch.full_like(snr, 5.0)) / divisor
    assert torch.allclose(min_snr_weights(steps, scheduler.alphas_cumprod, 5.0, prediction), expected, rtol=1e-4)


def test_min_snr_weights_stay_finite_at_zero_terminal_snr():
    alphas = DDPMScheduler(**SDXL, rescale_betas_zero_snr=True).alphas_cumprod
    last = torch.tensor([999])
    assert min_snr_weights(last, alphas, 5.0, "epsilon").item() == 1.0
    assert min_snr_weights(last, alphas, 5.0, "v_prediction").item() == pytest.approx(0.0, abs=1e-6)
