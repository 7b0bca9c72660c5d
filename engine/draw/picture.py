"""One picture from a prompt: parts are loaded one at a time, and the PNG says how it was made."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from engine.base.load import Base, open_base
from engine.base.threads import use_threads
from engine.draw.artist import (
    checked_size,
    decode_order,
    draw_order_latents,
    drawing_device,
    drawing_dtype,
    encode_orders,
    placed_on,
)
from engine.draw.hires import checked_fix, hires_order, hires_orders
from engine.draw.loras import LoraSlot, Worn
from engine.draw.order import HiresFix, Order, lora_tag, parameters
from engine.draw.request import PictureRequest, check_request, first_pass
from engine.draw.samplers import SAMPLERS, sampler_key
from engine.draw.sampling import save_png
from engine.draw.upscale import LATENT, upscaler_title
from engine.errors import BaseModelError, LorasmithError, shown
from engine.lora.file import LoraFile, load_lora


def draw_picture(
    request: PictureRequest,
    *,
    said: Callable[[str], None] = lambda sentence: None,
    between_steps: Callable[[], None] = lambda: None,
) -> tuple[Path, ...]:
    """Draws and writes the PNG; with the high-res fix also the first pass, as `NAME-first-pass.png` beside it.

    Returns the paths, the asked one first. `said` is told how the LoRAs met the base, and what else a person should
    know. What is wrong with the request is found before any weights are loaded. Raises LorasmithError for that, for a
    LoRA of which nothing fits and for a picture that comes out black, and passes on what opening the base raises.
    """
    check_request(request)
    sampler = sampler_key(request.sampler)
    fix = checked_fix(request.hires, request.steps) if request.hires else None
    files = [(load_lora(path), weight) for path, weight in request.loras]
    for file, _ in files:
        if file.left_out:
            said(file.left_out)
    base = open_base(request.base)
    seed = secrets.randbelow(2**32) if request.seed == -1 else request.seed
    order = Order(
        request.prompt, checked_size(request.size, base), seed, request.negative, request.steps, request.cfg, sampler
    )
    if request.seed == -1:
        said(f"The seed is {seed}.")
    first, final = _drawn(base, order, files, fix, said, between_steps)
    tags = " ".join(lora_tag(path.stem, weight) for path, weight in request.loras)
    names = {"base_name": base.name, "base_hash": base.hash, "lora": tags}
    if fix is None:
        save_png(first, request.to, parameters(order, **names))
        return (request.to,)
    height, width = final.shape[:2]
    said(f"The high-res pass made {fix.steps} steps from {order.size[0]}x{order.size[1]} to {width}x{height}.")
    kept = first_pass(request.to)
    save_png(first, kept, parameters(order, **names))
    titled = replace(fix, upscaler=upscaler_title(fix))
    save_png(final, request.to, parameters(order, **names, hires=titled))
    return request.to, kept


def evaluations(request: PictureRequest) -> int:
    """How often `between_steps` is called for a request: once before each time that the UNet is asked."""
    sampler = SAMPLERS[sampler_key(request.sampler)]
    first = sampler.evaluations(request.steps)
    if request.hires is None:
        return first
    return first + 1 + sampler.evaluations(request.hires.steps or request.steps)  # 1: the enlarging


def _drawn(
    base: Base, order: Order, files: list[tuple[LoraFile, float]], fix: HiresFix | None,
    said: Callable[[str], None], between_steps: Callable[[], None],
) -> tuple[Any, Any]:  # fmt: skip
    """The first pass's pixels, and the high-res pass's or None."""
    use_threads(base.known.size_bytes)
    device = drawing_device()
    dtype = drawing_dtype(device, base)
    # A LoRA may change both, so both are here at once; the card holds one part at a time.
    encoders = base.load_text_encoders(dtype)
    unet = base.load_unet(dtype)
    for worn in LoraSlot(unet, encoders).wear(files):
        said(worn_sentence(worn))
    with placed_on(device, *encoders):
        prompts = encode_orders(base.tokenizers(), encoders, [order])
    del encoders
    vae = base.load_vae(torch.float32, device)
    with placed_on(device, unet), _blaming(files):
        drawn = draw_order_latents(base, unet, prompts, [order], batch=1, between_steps=between_steps)
        ((_, latent),) = drawn
        first = not_black(decode_order(vae, latent, order, base), order)
        if fix is None:
            return first, None
        finished = [(order, latent if fix.upscaler in LATENT else first)]
        ((_, final),) = hires_orders(
            base, unet, vae, prompts, finished, fix, between_steps=between_steps, said=said
        )
        return first, not_black(final, hires_order(order, fix, base))


def worn_sentence(worn: Worn) -> str:
    """What a person is told of a LoRA that was put on."""
    sentence = f"{worn.matched} of {worn.modules} modules of {shown(worn.name)} matched"
    if worn.unmatched:
        sentence += f" (the base has no place for {shown(worn.unmatched[0])}"
        sentence += f" and {len(worn.unmatched) - 1} more)" if len(worn.unmatched) > 1 else ")"
    return sentence + "."


def not_black(pixels: Any, order: Order) -> Any:
    """The picture itself; LorasmithError for one that is black from edge to edge."""
    if pixels.max() > 1:
        return pixels
    raise LorasmithError(
        f"The picture for {shown(order.prompt[:80])!r}, seed {order.seed}, came out black from edge to edge: lower a "
        "LoRA's weight or --cfg, or take another sampler."
    )


@contextmanager
def _blaming(files: list[tuple[LoraFile, float]]) -> Iterator[None]:
    """With LoRAs on it, a base that draws nothing finite is not called damaged: their weights are the usual cause."""
    try:
        yield
    except BaseModelError as error:
        worn = [f"{shown(file.path.name)} at {weight:g}" for file, weight in files if weight]
        if not worn:
            raise
        raise LorasmithError(
            f"The picture is not finite with {', '.join(worn)}: lower the weight, or use an earlier checkpoint."
        ) from error
