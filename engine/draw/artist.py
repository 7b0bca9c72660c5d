"""Many pictures from one loaded model: in batches, a picture the same whatever the batch, halved when memory ends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import torch

from engine.base.encode import NonFiniteLatent, decode
from engine.base.load import Base
from engine.base.threads import fit_at_once, in_order
from engine.draw.order import Order
from engine.draw.prompts import encode_prompt
from engine.draw.sampling import Begun, Drawing, Prompt, draw_latents
from engine.errors import BaseModelError, LorasmithError, shown
from engine.train.memory import fits, is_out_of_memory, release

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
) -> Generator[tuple[Order, Any], None, None]:
    """Gives each order with its picture, uint8 (h, w, 3), as soon as its batch is decoded.

    Orders of one size, length, guidance and sampler are drawn together, `batch` at a time; which those are depends
    on the list alone, so every checkpoint is drawn in the same batches. When memory runs out the batch is halved
    for good, which `said` is told in a sentence. `prompts` holds the encodings (`encode_orders`), `unet` and `vae`
    lie on one device. Raises LorasmithError where one picture alone does not fit, and passes on what
    `between_steps` raises. Close it before the UNet is changed.
    """
    drawn = draw_order_latents(base, unet, prompts, orders, batch=batch, between_steps=between_steps, said=said)
    with closing(drawn):
        for index, latent in drawn:
            yield orders[index], decode_order(vae, latent, orders[index], base)


def draw_order_latents(
    base: Base,
    unet: Any,
    prompts: Mapping[str, Prompt],
    orders: Sequence[Order],
    *,
    batch: int,
    begun: Sequence[torch.Tensor] = (),
    denoise: float = 1.0,
    between_steps: Callable[[], None] = lambda: None,
    said: Callable[[str], None] = lambda sentence: None,
) -> Generator[tuple[int, torch.Tensor], None, None]:
    """As `draw_orders`, but gives positions in `orders` with latents (c, h, w).

    With `begun`, one latent an order, each is drawn on from there: `denoise` of its schedule, `order.steps` steps. On a
    CPU several batches of a tiny base are drawn at a time (`fit_at_once`), the same batches with the same result;
    `between_steps` is then called while they are waited for. Close it before the UNet is changed.
    """
    groups: dict[object, list[int]] = defaultdict(list)
    for index, order in enumerate(orders):
        tokens = prompts[order.prompt].hidden.shape[1]
        groups[order.size, order.steps, order.cfg, order.sampler, order.negative, tokens].append(index)
    at_once = fit_at_once(base.known.size_bytes, next(unet.parameters()).device)

    def latents(part: Sequence[int], brake: Callable[[], None]) -> torch.Tensor:
        start = Begun(torch.stack([begun[index] for index in part]), denoise) if begun else None
        return _latents(base, unet, prompts, [orders[index] for index in part], start, brake)

    for group in groups.values():
        at = 0
        if at_once > 1 and len(group) > batch:
            parts = [group[start : start + batch] for start in range(0, len(group), batch)]
            with closing(in_order(latents, parts, at_once, between_steps)) as results:
                try:
                    for part, result in zip(parts, results, strict=True):
                        yield from zip(part, result, strict=True)
                        at += len(part)
                except Exception as error:
                    if not is_out_of_memory(error):
                        raise
            if at < len(group):
                release()
                at_once = 1  # the rest goes one at a time, and smaller if it must
        while at < len(group):
            part = group[at : at + batch]
            made: list[torch.Tensor] = []
            if not fits(lambda part=part, into=made: into.append(latents(part, between_steps))):
                batch = _halved(len(part), orders[part[0]], said)
                continue
            yield from zip(part, made[0], strict=True)
            at += len(part)


def _latents(
    base: Base, unet: Any, prompts: Mapping[str, Prompt], part: Sequence[Order], begun: Begun | None,
    between_steps: Callable[[], None],
) -> torch.Tensor:  # fmt: skip
    drawings = [Drawing(order.size, order.steps, order.cfg, order.seed) for order in part]
    return draw_latents(
        unet, base.scheduler(part[0].sampler), [prompts[order.prompt] for order in part],
        prompts[part[0].negative], drawings, vae_scale=base.vae_scale, begun=begun, between_steps=between_steps,
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


def decode_order(vae: Any, latent: torch.Tensor, order: Order, base: Base) -> Any:
    """One picture, uint8 (h, w, 3); alone, so that the VAE's memory does not grow with the batch, in tiles if it must.

    Raises BaseModelError for one that is not finite.
    """
    try:
        return tiled_if_needed(vae, lambda: decode(vae, latent[None])[0])
    except NonFiniteLatent as error:
        raise BaseModelError(
            f"{shown(base.name)} draws no finite picture for {shown(order.prompt[:80])!r}, seed {order.seed}: its "
            "weights, its VAE or a LoRA on it are damaged, or overflow in this precision."
        ) from error


def tiled_if_needed(vae: Any, work: Callable[[], Any]) -> Any:
    """What `work` gives; where memory runs out, the VAE goes over to tiles for good and does it again."""
    done: list[Any] = []
    if not fits(lambda: done.append(work())):
        vae.enable_tiling()
        done.append(work())
    return done[0]


def checked_size(size: tuple[int, int] | None, base: Base) -> tuple[int, int]:
    """The size, or the base's native square; LorasmithError for one its UNet cannot halve as often as it must."""
    width, height = size or (base.native_resolution, base.native_resolution)
    step = drawing_step(base)
    if width % step or height % step or width < step or height < step:
        near = "x".join(str(max(step, round(side / step) * step)) for side in (width, height))
        raise LorasmithError(
            f"The size {width}x{height} cannot be drawn: both sides must be multiples of {step}, such as {near}."
        )
    return width, height


def drawing_step(base: Base) -> int:
    """What both sides of a drawing must be a multiple of: 32 for SDXL."""
    return base.vae_scale * 2 ** (len(base.configs["unet"]["block_out_channels"]) - 1)


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
