"""Many pictures from one loaded model: in batches, a picture the same whatever the batch, halved when memory ends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from engine.base.encode import NonFiniteLatent, decode
from engine.base.load import Base
from engine.draw.order import Order
from engine.draw.prompts import encode_prompt
from engine.draw.sampling import Drawing, Prompt, draw_latents
from engine.errors import BaseModelError, LorasmithError, shown
from engine.train.memory import fits, release

SMALL_MODEL_BYTES = 1_000_000_000  # below it a CPU draws in fp32 and in batches
_CUDA_BATCH = 8  # at 1024 x 1024 a card is busy from here on; halved where it does not fit
_SMALL_BATCH = 8


def drawing_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def drawing_dtype(device: torch.device, base: Base) -> torch.dtype:
    """The base's numbers while drawing: 16 bits on a card and for a large base, else fp32."""
    if device.type != "cuda":
        return torch.float32 if base.known.size_bytes < SMALL_MODEL_BYTES else torch.bfloat16
    return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16


def usual_batch(device: torch.device, base: Base) -> int:
    """How many pictures to begin with: a large base on a CPU gains nothing from more than one."""
    if device.type == "cuda":
        return _CUDA_BATCH
    return _SMALL_BATCH if base.known.size_bytes < SMALL_MODEL_BYTES else 1


def encode_orders(tokenizers: Any, encoders: Any, orders: Sequence[Order]) -> dict[str, Prompt]:
    """Every prompt and negative prompt of these orders encoded once, by its text; the encodings wait on the CPU."""
    texts = dict.fromkeys(text for order in orders for text in (order.prompt, order.negative))
    encoded = {text: encode_prompt(tokenizers, encoders, text) for text in texts}
    return {text: Prompt(one.hidden.cpu(), one.pooled.cpu()) for text, one in encoded.items()}


def draw_orders(
    base: Base,
    unet: Any,
    vae: Any,
    prompts: Mapping[str, Prompt],
    orders: Sequence[Order],
    *,
    batch: int,
    between_steps: Callable[[], None] = lambda: None,
    said: Callable[[str], None] = lambda sentence: None,
) -> Iterator[tuple[Order, Any]]:
    """Gives each order with its picture, uint8 (h, w, 3), as soon as its batch is decoded.

    Orders of one size, length, guidance and sampler are drawn together, `batch` at a time; which those are depends
    on the list alone, so every checkpoint is drawn in the same batches. When memory runs out the batch is halved
    for good, which `said` is told in a sentence. `prompts` holds the encodings (`encode_orders`), `unet` and `vae`
    lie on one device. Raises LorasmithError where one picture alone does not fit, and passes on what
    `between_steps` raises.
    """
    groups: dict[object, list[Order]] = defaultdict(list)
    for order in orders:
        tokens = prompts[order.prompt].hidden.shape[1]
        groups[order.size, order.steps, order.cfg, order.sampler, order.negative, tokens].append(order)
    for group in groups.values():
        at = 0
        while at < len(group):
            part = group[at : at + batch]
            latents: list[torch.Tensor] = []

            def attempt(part: list[Order] = part, into: list[torch.Tensor] = latents) -> None:
                into.append(_latents(base, unet, prompts, part, between_steps))

            if not fits(attempt):
                batch = _halved(len(part), part[0], said)
                continue
            for order, latent in zip(part, latents[0], strict=True):
                yield order, _pixels(vae, latent, order, base)
            at += len(part)


def _latents(
    base: Base, unet: Any, prompts: Mapping[str, Prompt], part: Sequence[Order], between_steps: Callable[[], None]
) -> torch.Tensor:
    drawings = [Drawing(order.size, order.steps, order.cfg, order.seed) for order in part]
    return draw_latents(
        unet, base.scheduler(part[0].sampler), [prompts[order.prompt] for order in part],  # type: ignore[arg-type]
        prompts[part[0].negative], drawings, vae_scale=base.vae_scale, between_steps=between_steps,
    )  # fmt: skip


def _halved(size: int, order: Order, said: Callable[[str], None]) -> int:
    width, height = order.size
    if size == 1:
        raise LorasmithError(
            f"One picture of {width}x{height} does not fit in memory: free memory held by other programs, or lower "
            "pictures.resolution."
        )
    said(f"{size} pictures of {width}x{height} did not fit in memory at a time; going on with {size // 2}.")
    return size // 2


def _pixels(vae: Any, latent: torch.Tensor, order: Order, base: Base) -> Any:
    """One picture decoded; alone, so that the VAE's memory does not grow with the batch, in tiles if it must."""
    done: list[Any] = []
    try:
        if not fits(lambda: done.append(decode(vae, latent[None])[0])):
            vae.enable_tiling()
            done.append(decode(vae, latent[None])[0])
    except NonFiniteLatent as error:
        raise BaseModelError(
            f"{shown(base.name)} draws no finite picture for {shown(order.prompt[:80])!r}, seed {order.seed}: its "
            "weights or its VAE are damaged, or overflow in this precision."
        ) from error
    return done[0]


@contextmanager
def placed_on(device: torch.device, *modules: torch.nn.Module) -> Iterator[None]:
    """Has the modules on the device for the length of a `with`, and on the CPU afterwards."""
    for module in modules:
        module.to(device)
    try:
        yield
    finally:
        for module in modules:
            module.to("cpu")
        release()
