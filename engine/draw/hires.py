"""The high-res fix: a finished picture enlarged and partly drawn anew, with A1111's meaning of every setting."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import torch

from engine.base.encode import NonFiniteLatent, encode_picture
from engine.base.load import Base
from engine.draw.artist import decode_order, draw_order_latents, drawing_step, tiled_if_needed
from engine.draw.order import HiresFix, Order
from engine.draw.sampling import Prompt, schedule_length
from engine.draw.upscale import LATENT, LATENT_NEEDS, PixelUpscaler, enlarge_latent, upscaler_name
from engine.errors import BaseModelError, LorasmithError, shown

_LONGEST = 1000  # timesteps of the noise schedule: no sampler has more levels
_LARGEST_SCALE = 8.0


def checked_fix(fix: HiresFix, steps: int) -> HiresFix:
    """The settings with the upscaler's own spelling. Raises LorasmithError for one that cannot be done."""
    if not 1 < fix.scale <= _LARGEST_SCALE:
        raise LorasmithError(f"A high-res scale of {fix.scale:g} is not above 1 and at most {_LARGEST_SCALE:g}.")
    if not 0 < fix.denoise <= 1:
        raise LorasmithError(f"A high-res denoise of {fix.denoise:g} is not above 0 and at most 1; 0.4 is usual.")
    if fix.steps is not None and fix.steps < 0:
        raise LorasmithError(f"{fix.steps} high-res steps cannot be made: give a number from 1 up.")
    made = fix.steps or steps
    length = schedule_length(made, fix.denoise)
    if length > _LONGEST:
        raise LorasmithError(
            f"{made} high-res steps at denoise {fix.denoise:g} are the end of a schedule of {length}, and {_LONGEST} "
            "is the longest: take fewer steps or a higher denoise."
        )
    return replace(fix, steps=made, upscaler=upscaler_name(fix.upscaler))


def hires_order(order: Order, fix: HiresFix, base: Base) -> Order:
    """The second pass over an order: its target size, to the nearest that the base can draw, and its own steps."""
    step = drawing_step(base)
    width, height = (int(int(side * fix.scale) / step + 0.5) * step for side in order.size)
    return replace(order, size=(width, height), steps=fix.steps or order.steps)


def hires_orders(
    base: Base,
    unet: Any,
    vae: Any,
    prompts: Mapping[str, Prompt],
    finished: Sequence[tuple[Order, Any]],
    fix: HiresFix,
    *,
    batch: int = 1,
    between_steps: Callable[[], None] = lambda: None,
    said: Callable[[str], None] = lambda sentence: None,
) -> Generator[tuple[Order, Any], None, None]:
    """Gives each finished order with its high-res picture, uint8 (h, w, 3); the finished ones stay as they are.

    `finished` holds first-pass pictures, uint8 (h, w, 3), or their latents (c, h, w): a latent upscaler starts from
    those without decoding, and encodes pixels first; any other decodes. The UNet and its LoRAs are to be those of the
    first pass, `prompts` the encodings by text. As A1111 does it: exactly `fix.steps` steps are made, the last of a
    schedule of int(steps / denoise); the noise is fresh, of the same seed at the new size; the UNet is told the
    target's size; what the VAE encodes is its mode. When memory runs out the VAE goes over to tiles and the batch is
    halved. Raises LorasmithError as `checked_fix` does, for an upscaling model that cannot be used, and where one
    picture alone does not fit.
    """
    fix = replace(fix, upscaler=upscaler_name(fix.upscaler))
    for steps in {order.steps for order, _ in finished}:
        checked_fix(fix, steps)
    if fix.upscaler in LATENT and fix.denoise < LATENT_NEEDS:
        said(
            f"The upscaler {fix.upscaler} leaves pictures blurred or gridded below denoise {LATENT_NEEDS:g} (here "
            f"{fix.denoise:g}): take Lanczos, or a higher denoise."
        )
    orders = [hires_order(order, fix, base) for order, _ in finished]
    begun = _enlarged(base, vae, finished, orders, fix, between_steps)
    drawn = draw_order_latents(
        base, unet, prompts, orders, batch=batch, begun=begun, denoise=fix.denoise, between_steps=between_steps,
        said=said,
    )  # fmt: skip
    with closing(drawn):
        for index, latent in drawn:
            yield finished[index][0], decode_order(vae, latent, orders[index], base)


def _enlarged(
    base: Base, vae: Any, finished: Sequence[tuple[Order, Any]], targets: Sequence[Order], fix: HiresFix,
    between_steps: Callable[[], None],
) -> list[torch.Tensor]:  # fmt: skip
    """The latents (c, h, w), on the CPU, that the second pass begins with, before noise."""
    upscaler = None if fix.upscaler in LATENT else PixelUpscaler(fix.upscaler, vae.device)
    made = []
    for (order, picture), target in zip(finished, targets, strict=True):
        between_steps()
        if upscaler is None:
            latent = picture if isinstance(picture, torch.Tensor) else _encoded(vae, picture, order, base)
            width, height = target.size
            latent = enlarge_latent(latent, fix.upscaler, (width // base.vae_scale, height // base.vae_scale))
        else:
            pixels = decode_order(vae, picture, order, base) if isinstance(picture, torch.Tensor) else picture
            latent = _encoded(vae, upscaler.enlarge(pixels, target.size), order, base)
        made.append(latent.cpu())
    return made


@torch.no_grad()
def _encoded(vae: Any, pixels: Any, order: Order, base: Base) -> torch.Tensor:
    """The mode of the latents of one picture, scaled as the UNet takes it."""
    picture = torch.tensor(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    try:
        return tiled_if_needed(vae, lambda: encode_picture(vae, picture)[0])[0]
    except NonFiniteLatent as error:
        raise BaseModelError(
            f"The VAE of {shown(base.name)} gives no finite latent for the picture of {shown(order.prompt[:80])!r}, "
            f"seed {order.seed}: it is damaged, or overflows in this precision."
        ) from error
