"""Trains the UNet and both text encoders on cached latents; stops and goes on bit by bit from its state."""

from __future__ import annotations

import copy
import random
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch.nn import functional as F

from engine.lab.base import Networks, new_scheduler
from engine.lab.latents import LatentSet
from engine.lab.muon import Muon
from engine.lab.plan import BaseSettings
from engine.lab.progress import Pace, Report, Stop, load_state, save_state, step_generators
from engine.lab.scenes import caption


def timestep_weights() -> torch.Tensor:
    """How often each of the 1,000 timesteps is drawn, in proportion.

    Min-SNR-5 (arXiv 2303.09556) as a sampling density, so that no work goes into steps that hardly count;
    above the noise level of the picture it rises again, up to fourfold, as there the ground and the place are
    decided, which the epsilon loss nearly ignores. A tenth is uniform.
    """
    kept = new_scheduler().alphas_cumprod
    snr = kept / (1 - kept)
    weights = snr.clamp(max=5) / snr * snr.rsqrt().clamp(1, 4)
    return 0.9 * weights / weights.sum() + 0.1 / len(weights)


def size_conditioning(rng: random.Random, width: int, height: int) -> list[int]:
    """SDXL's six numbers (original height, width, crop top, left, target height, width).

    Mostly those of a picture drawn at its own size; the others as a LoRA's training meets them: pictures of
    up to some thousand pixels, now and then cropped.
    """
    scale = 1.0 if rng.random() < 0.5 else 64 ** rng.random()
    crop = (rng.randrange(0, 17), 0) if rng.random() < 0.2 else (0, 0)
    top, left = crop if rng.random() < 0.5 else crop[::-1]
    return [round(height * scale), round(width * scale), top, left, height, width]


@dataclass(frozen=True)
class Batch:
    """One step's inputs; `dropped` marks samples trained without any text, as SDXL's zeroed negative."""

    latents: torch.Tensor
    captions: list[str]
    sizes: torch.Tensor
    dropped: torch.Tensor
    timesteps: torch.Tensor
    noise: torch.Tensor


def draw_batch(sets: list[LatentSet], settings: BaseSettings, density: torch.Tensor, step: int) -> Batch:
    """Step `step`'s batch: all of one shape, mostly square; depends on nothing but the seed and the step."""
    rng, generator = step_generators(settings.seed, step)
    chosen = rng.choices(sets, [8, *([1] * (len(sets) - 1))])[0]
    picks = [rng.randrange(len(chosen.scenes)) for _ in range(settings.batch)]
    captions = [caption(chosen.scenes[pick], rng) for pick in picks]
    fate = [rng.random() / settings.drop for _ in picks]
    latents = chosen.batch(picks)
    return Batch(
        latents=latents,
        captions=["" if 0.6 < value < 1 else text for value, text in zip(fate, captions, strict=True)],
        sizes=torch.tensor([size_conditioning(rng, chosen.width, chosen.height) for _ in picks]),
        dropped=torch.tensor([value <= 0.6 for value in fate]),
        timesteps=torch.multinomial(density, len(picks), replacement=True, generator=generator),
        noise=torch.randn(latents.shape, generator=generator),
    )


def batch_loss(networks: Networks, batch: Batch, kept: torch.Tensor, train_text: bool) -> torch.Tensor:
    """Mean squared error of the predicted noise; `kept` is the scheduler's alphas_cumprod [1000]."""
    share = kept[batch.timesteps].view(-1, 1, 1, 1)
    noisy = share.sqrt() * batch.latents + (1 - share).sqrt() * batch.noise
    spoken = (~batch.dropped).float()
    with torch.autocast("cpu", torch.bfloat16):  # a third faster than fp32 on processors that have bfloat16
        with torch.set_grad_enabled(train_text and torch.is_grad_enabled()):
            context, pooled = networks.encode(batch.captions)
        predicted = networks.unet(
            noisy.contiguous(memory_format=torch.channels_last),
            batch.timesteps,
            context * spoken[:, None, None],
            added_cond_kwargs={"text_embeds": pooled * spoken[:, None], "time_ids": batch.sizes},
        ).sample
    return F.mse_loss(predicted.float(), batch.noise)


class Training:
    """The networks, their averages and optimizers: all that a state holds."""

    def __init__(self, settings: BaseSettings) -> None:
        self.settings = settings
        self.networks = Networks.new(settings.seed)
        self.networks.unet.to(memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self.networks)
        for model in self.averaged.trained.values():
            model.requires_grad_(False).eval()
        self._quicken()
        matrices, others = [], []
        for model in self.networks.trained.values():
            model.train()
            for name, weight in model.named_parameters():
                plain = (
                    weight.ndim >= 2
                    and "embedding" not in name
                    and not name.startswith(("conv_in", "conv_out"))
                )
                (matrices if plain and settings.muon_rate else others).append(weight)
        self.optimizers = [torch.optim.AdamW(others, settings.rate, betas=(0.9, 0.99), weight_decay=0.0)]
        if matrices:
            self.optimizers.append(Muon(matrices, settings.muon_rate))
        self.weights = [*others, *matrices]
        self.step = 0

    def _quicken(self) -> None:
        """Plain attention: without a GPU, on so few tokens, a third faster than the fused kernel."""
        self.networks.unet.set_attn_processor(AttnProcessor())
        for encoder in (self.networks.text_encoder, self.networks.text_encoder_2):
            encoder.set_attn_implementation("eager")

    @property
    def kept(self) -> str:
        """What must be the same when a training goes on; other words would mean other tokens."""
        vocabulary = zlib.crc32(repr(sorted(self.networks.tokenizers[0].get_vocab().items())).encode())
        return f"{self.settings.kept} vocabulary={vocabulary:08x}"

    def state(self) -> dict[str, Any]:
        return {
            "settings": self.kept,
            "step": self.step,
            "weights": {name: model.state_dict() for name, model in self.networks.trained.items()},
            "averaged": {name: model.state_dict() for name, model in self.averaged.trained.items()},
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        for name in self.networks.trained:
            self.networks.trained[name].load_state_dict(state["weights"][name])
            self.averaged.trained[name].load_state_dict(state["averaged"][name])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)

    def advance(self, batch: Batch, kept: torch.Tensor) -> torch.Tensor:
        """One update; gives the loss."""
        factor = rate_factor(self.step, self.settings)
        for optimizer, rate in zip(
            self.optimizers, (self.settings.rate, self.settings.muon_rate), strict=False
        ):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        loss = batch_loss(self.networks, batch, kept, self.step < self.settings.text_steps)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self._average()
        self.step += 1
        return loss

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        for name, model in self.networks.trained.items():
            mean = list(self.averaged.trained[name].parameters())
            torch._foreach_lerp_(mean, list(model.parameters()), 1 - decay)


def rate_factor(step: int, settings: BaseSettings) -> float:
    """What the rates are multiplied by: warm-up, flat, then 1 - sqrt over the last `decay` steps."""
    warm = min(1.0, (step + 1) / settings.warmup)
    into = step - (settings.steps - settings.decay)
    return warm if into < 0 or not settings.decay else warm * (1 - (into / settings.decay) ** 0.5)


def train_base(
    state_path: Path, settings: BaseSettings, sets: list[LatentSet], report: Report, stop: Stop
) -> Training:
    """Trains (or goes on from `state_path`) to `settings.steps`; saves every two minutes and at the end."""
    training = Training(settings)
    state = load_state(state_path, training.kept)
    if state:
        training.restore(state)
    density, kept = timestep_weights(), new_scheduler().alphas_cumprod
    pace = Pace(training.step, settings.steps)
    while training.step < settings.steps and not stop():
        loss = training.advance(draw_batch(sets, settings, density, training.step), kept)
        pace.count(loss, settings.batch, report, seen=training.step * settings.batch)
        if pace.due():
            save_state(state_path, training.state())
            report("state", step=training.step)
    save_state(state_path, training.state())
    return training
