"""Drawing with an SDXL UNet: classifier-free guidance over any diffusers scheduler, noise from a CPU generator."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.files import atomic_path


@dataclass(frozen=True)
class Prompt:
    """A prompt's encodings, each with its first dimension 1: hidden (1, tokens, width), pooled (1, width)."""

    hidden: torch.Tensor
    pooled: torch.Tensor


@dataclass(frozen=True)
class Drawing:
    """How one picture is drawn. `size` is (width, height) in pixels."""

    size: tuple[int, int]
    steps: int
    cfg: float
    seed: int


def starting_noise(drawing: Drawing, channels: int, vae_scale: int) -> torch.Tensor:
    """The unit noise (1, channels, h, w) of a seed: the same on every device and whatever the batch."""
    width, height = drawing.size
    draw = torch.Generator().manual_seed(drawing.seed)
    return torch.randn((1, channels, height // vae_scale, width // vae_scale), generator=draw)


def step_generator(seed: int, stage: str = "steps") -> torch.Generator:
    """What ancestral and SDE schedulers draw the fresh noise of each step from; one a picture, whatever the batch.

    Derived so that it is no other seed's starting noise: with neighbouring seeds, pictures would share noise.
    """
    digest = hashlib.sha256(f"{stage} of seed {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def schedule_length(steps: int, denoise: float) -> int:
    """How long a schedule is of which the last `steps` steps begin at a share `denoise` of it: A1111's rule."""
    return int(steps / min(denoise, 0.999))


@dataclass(frozen=True, eq=False)
class Begun:
    """Pictures to go on from instead of from noise: latents (n, c, h, w), and how much of the schedule is redone."""

    latents: torch.Tensor
    denoise: float


@torch.no_grad()
def draw_latents(
    unet,
    scheduler,
    prompts: Sequence[Prompt],
    negative: Prompt,
    drawings: Sequence[Drawing],
    *,
    vae_scale: int,
    begun: Begun | None = None,
    between_steps: Callable[[], None] = lambda: None,
) -> torch.Tensor:
    """Latents (n, c, h, w) of n pictures drawn together; all must share size, steps and guidance.

    The negative prompt is encoded text, the empty string included, as A1111 and ComfyUI do. Guidance of 1 or
    less draws without the negative half. With `begun`, exactly `steps` steps are made from there, after fresh noise
    of each seed. `between_steps` may raise to stop.
    """
    first = drawings[0]
    if any((d.size, d.steps, d.cfg) != (first.size, first.steps, first.cfg) for d in drawings):
        raise ValueError("pictures drawn together must share size, steps and guidance")
    parameter = next(unet.parameters())
    device, dtype = parameter.device, parameter.dtype
    guided = first.cfg > 1
    hidden, pooled = _rows(prompts, negative, guided)
    width, height = first.size
    sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32, device=device)
    conditions = {
        "text_embeds": pooled.to(device, dtype),
        "time_ids": sizes.repeat(hidden.shape[0], 1),
    }
    hidden = hidden.to(device, dtype)

    noise = torch.cat([starting_noise(d, unet.config.in_channels, vae_scale) for d in drawings]).to(device)
    latents, timesteps = _started(scheduler, noise, first.steps, begun)
    stage = "hires steps" if begun else "steps"
    extra = {"generator": [step_generator(d.seed, stage) for d in drawings]} if _takes_generator(scheduler) else {}
    for step in timesteps:
        between_steps()
        doubled = torch.cat([latents, latents]) if guided else latents
        model_input = scheduler.scale_model_input(doubled, step).to(dtype)
        predicted = unet(model_input, step, encoder_hidden_states=hidden, added_cond_kwargs=conditions)[0].float()
        if guided:
            without, with_prompt = predicted.chunk(2)
            predicted = without + first.cfg * (with_prompt - without)
        latents = scheduler.step(predicted, step, latents, **extra, return_dict=False)[0]
    return latents


def _started(scheduler, noise: torch.Tensor, steps: int, begun: Begun | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The noisy latents to begin with, and the timesteps that are left to go through."""
    length = schedule_length(steps, begun.denoise) if begun else steps
    scheduler.set_timesteps(length)
    # Heun's kind asks the model twice a step, and lists twice the timesteps.
    skipped = (length - steps) * scheduler.order
    timesteps = scheduler.timesteps[skipped:]
    if hasattr(scheduler, "set_begin_index"):  # two levels may share a rounded timestep, so searching finds either
        scheduler.set_begin_index(skipped)
    if begun is None:
        return noise * scheduler.init_noise_sigma, timesteps
    latents = begun.latents.to(noise.device, noise.dtype)
    return scheduler.add_noise(latents, noise, timesteps[:1].repeat(len(noise))), timesteps


def save_png(pixels, path: Path, parameters: str = "") -> None:
    """One picture, uint8 (h, w, 3), as PNG; `parameters` goes into the text chunk that A1111 reads."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    if parameters:
        info.add_itxt("parameters", parameters)
    with atomic_path(path) as beside:
        Image.fromarray(pixels).save(beside, format="PNG", pnginfo=info)


def _rows(prompts: Sequence[Prompt], negative: Prompt, guided: bool) -> tuple[torch.Tensor, torch.Tensor]:
    hidden = torch.cat([prompt.hidden for prompt in prompts])
    pooled = torch.cat([prompt.pooled for prompt in prompts])
    if not guided:
        return hidden, pooled
    count = len(prompts)
    # Of prompt and negative either may be the longer. Repeating all rows of a text changes nothing that attention
    # answers (each weight is shared out among equal rows), so both are repeated to a length they have in common.
    rows, own = hidden.shape[1], negative.hidden.shape[1]
    common = math.lcm(rows, own)
    negatives = negative.hidden.repeat(count, common // own, 1)
    hidden = hidden.repeat(1, common // rows, 1)
    return torch.cat([negatives, hidden]), torch.cat([negative.pooled.repeat(count, 1), pooled])


def _takes_generator(scheduler) -> bool:
    return "generator" in inspect.signature(scheduler.step).parameters
