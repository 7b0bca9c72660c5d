"""Sample pictures during training: the same prompts and seeds each time, drawn with the UNet as it stands."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from engine.base.encode import decode
from engine.draw.prompts import encode_prompt
from engine.draw.sampling import Drawing, Prompt, draw_latents, save_png
from engine.plan import Plan


class Sampler:
    """Draws the plan's sample prompts. The VAE waits on the CPU between samples, where it costs no VRAM."""

    def __init__(self, plan: Plan, *, base: Any, size: int, device: torch.device) -> None:
        self.plan, self.base = plan, base
        self.vae: Any = None  # set once the latents are cached
        self.size, self.device = size, device
        self._encoded: list[Prompt] | None = None

    @property
    def texts(self) -> list[str]:
        """The prompts and, last, the empty negative."""
        return [*self.plan.samples.prompts, ""]

    def encode(self, tokenizers: Any, encoders: Any) -> None:
        """Encodes the prompts; before the UNet loads, and at each sample where the text encoders train."""
        encoded = [encode_prompt(tokenizers, encoders, text) for text in self.texts]
        self._encoded = [Prompt(prompt.hidden.cpu(), prompt.pooled.cpu()) for prompt in encoded]

    def draw(self, unet: Any, folder: Path, stem: str, between: Callable[[int, int], None]) -> Iterator[str]:
        """Draws every prompt one by one (lowest memory); gives each file's name inside `folder` as it is written.

        `between(done, total)` is told the denoising steps over all prompts and may raise to end there.
        """
        assert self._encoded is not None, "encode() comes first"
        *prompts, negative = self._encoded
        samples = self.plan.samples
        total = samples.steps * len(prompts)
        done = itertools.count()
        for index, prompt in enumerate(prompts):
            drawing = Drawing((self.size, self.size), samples.steps, samples.cfg, samples.seed + index)
            latents = draw_latents(
                unet, self.base.scheduler(), [prompt], negative, [drawing],
                vae_scale=self.base.vae_scale, between_steps=lambda: between(next(done), total),
            )  # fmt: skip
            name = f"{stem}-{index + 1:02d}.png"
            save_png(self._decode(latents), folder / name, self._parameters(index, drawing))
            yield name

    def try_one(self, trainer: Any) -> None:
        """One denoising step and a decode, thrown away: for the dry run that measures memory."""
        assert self._encoded is not None, "encode() comes first"
        drawing = Drawing((self.size, self.size), 1, self.plan.samples.cfg, self.plan.samples.seed)
        latents = draw_latents(
            trainer.unet, self.base.scheduler(), self._encoded[:1], self._encoded[-1], [drawing],
            vae_scale=self.base.vae_scale,
        )  # fmt: skip
        self._decode(latents)

    def _decode(self, latents: torch.Tensor):
        self.vae.to(self.device)
        try:
            return decode(self.vae, latents)[0]
        finally:
            self.vae.to("cpu")

    def _parameters(self, index: int, drawing: Drawing) -> str:
        width, height = drawing.size
        return (
            f"{self.plan.samples.prompts[index]}\nSteps: {drawing.steps}, Sampler: Euler, "
            f"CFG scale: {drawing.cfg:g}, Seed: {drawing.seed}, Size: {width}x{height}"
        )
