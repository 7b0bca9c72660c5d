"""One picture from a prompt: parts are loaded one at a time, and the PNG says how it was made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.base.encode import decode
from engine.base.load import Base, open_base
from engine.base.threads import use_threads
from engine.draw.prompts import encode_prompt
from engine.draw.sampling import Drawing, draw_latents, save_png
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
    size = _checked_size(request, base)
    use_threads(base.known.size_bytes)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = _dtype(device, base)
    # A LoRA may change both, so both are here at once; the card holds one part at a time.
    encoders = base.load_text_encoders(dtype)
    unet = base.load_unet(dtype)
    said = ""
    if request.lora is not None:
        file = load_lora(request.lora)
        adapter = apply_lora(file, unet, encoders, request.weight)
        matched = len(file.modules) - len(adapter.unmatched)
        said = f"{matched} of {len(file.modules)} modules of {shown(request.lora.name)} matched."
    tokenizers = base.tokenizers()
    with _on(device, *encoders):
        prompt, negative = (encode_prompt(tokenizers, encoders, text) for text in (request.prompt, request.negative))
    drawing = Drawing(size, request.steps, request.cfg, request.seed)
    with _on(device, unet):
        latents = draw_latents(unet, base.scheduler(), [prompt], negative, [drawing], vae_scale=base.vae_scale)
    vae = base.load_vae(torch.float32, device)
    save_png(decode(vae, latents)[0], request.to, _parameters(request, drawing, base))
    return said


@contextmanager
def _on(device: torch.device, *modules: torch.nn.Module) -> Iterator[None]:
    """Has the modules on the device for the length of a `with`, and on the CPU afterwards."""
    for module in modules:
        module.to(device)
    try:
        yield
    finally:
        for module in modules:
            module.to("cpu")


def _checked_size(request: PictureRequest, base: Base) -> tuple[int, int]:
    width, height = request.size or (base.native_resolution, base.native_resolution)
    step = base.vae_scale * 2 ** (len(base.configs["unet"]["block_out_channels"]) - 1)
    if width % step or height % step or width < step or height < step:
        raise LorasmithError(f"The size {width}x{height} cannot be drawn: both sides must be multiples of {step}.")
    return width, height


def _dtype(device: torch.device, base: Base) -> torch.dtype:
    if device.type != "cuda":
        return torch.float32 if base.known.size_bytes < 1_000_000_000 else torch.bfloat16
    return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16


def _parameters(request: PictureRequest, drawing: Drawing, base: Base) -> str:
    width, height = drawing.size
    lora = f" <lora:{request.lora.stem}:{request.weight:g}>" if request.lora else ""
    negative = f"\nNegative prompt: {request.negative}" if request.negative else ""
    return (
        f"{request.prompt}{lora}{negative}\nSteps: {drawing.steps}, Sampler: Euler, CFG scale: {drawing.cfg:g}, "
        f"Seed: {drawing.seed}, Size: {width}x{height}, Model hash: {base.short_hash}, Model: {base.name}"
    )
