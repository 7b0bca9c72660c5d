"""One picture from a prompt: parts are loaded one at a time, and the PNG says how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from engine.base.load import Base, open_base
from engine.base.threads import use_threads
from engine.draw.artist import draw_orders, drawing_device, drawing_dtype, encode_orders, placed_on
from engine.draw.order import Order, parameters
from engine.draw.sampling import save_png
from engine.errors import LorasmithError, shown
from engine.lora.file import apply_lora, load_lora


@dataclass(frozen=True)
class PictureRequest:
    """What is to be drawn. `size` None is the base's native square; `lora` None is the untouched base."""

    prompt: str
    to: Path
    base: str = "demo"
    lora: Path | None = None
    weight: float = 1.0
    negative: str = ""
    seed: int = 0
    steps: int = 25
    cfg: float = 5.0
    size: tuple[int, int] | None = None


def draw_picture(request: PictureRequest) -> str:
    """Draws and writes the PNG; returns a sentence on what was matched, empty without a LoRA.

    Raises LorasmithError for a size the base cannot draw, and passes on what opening the base or the LoRA raises.
    """
    base = open_base(request.base)
    order = Order(
        request.prompt, checked_size(request.size, base), request.seed, request.negative, request.steps, request.cfg
    )
    use_threads(base.known.size_bytes)
    device = drawing_device()
    dtype = drawing_dtype(device, base)
    # A LoRA may change both, so both are here at once; the card holds one part at a time.
    encoders = base.load_text_encoders(dtype)
    unet = base.load_unet(dtype)
    said = tag = ""
    if request.lora is not None:
        file = load_lora(request.lora)
        adapter = apply_lora(file, unet, encoders, request.weight)
        matched = len(file.modules) - len(adapter.unmatched)
        said = f"{matched} of {len(file.modules)} modules of {shown(request.lora.name)} matched."
        tag = f"<lora:{request.lora.stem}:{request.weight:g}>"
    with placed_on(device, *encoders):
        prompts = encode_orders(base.tokenizers(), encoders, [order])
    vae = base.load_vae(torch.float32, device)
    with placed_on(device, unet):
        (_, pixels), *_ = draw_orders(base, unet, vae, prompts, [order], batch=1)
    save_png(pixels, request.to, parameters(order, base_name=base.name, base_hash=base.hash, lora=tag))
    return said


def checked_size(size: tuple[int, int] | None, base: Base) -> tuple[int, int]:
    """The size, or the base's native square; LorasmithError for one its UNet cannot halve as often as it must."""
    width, height = size or (base.native_resolution, base.native_resolution)
    step = drawing_step(base)
    if width % step or height % step or width < step or height < step:
        raise LorasmithError(f"The size {width}x{height} cannot be drawn: both sides must be multiples of {step}.")
    return width, height


def drawing_step(base: Base) -> int:
    """What both sides of a drawing must be a multiple of: 32 for SDXL."""
    return base.vae_scale * 2 ** (len(base.configs["unet"]["block_out_channels"]) - 1)
