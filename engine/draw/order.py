"""One picture as it is ordered, what its PNG says of it, and the key that its drawing is kept under. Light."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass

from engine.draw import samplers
from engine.errors import LorasmithError, shown

SAMPLERS = {key: sampler.name for key, sampler in samplers.SAMPLERS.items()}
"""The samplers' keys, and the names people know them by."""

MOST_STEPS = 1000
"""The timesteps of the noise schedule: more steps would only repeat them."""

MOST_WEIGHT = 100
"""How strongly a LoRA may be worn, either way: nothing is drawn well with more than a few."""

LARGEST_SIDE = 4096
"""Pixels: four times SDXL's own side. Far beyond, the system ends the process for want of memory, without a word."""


@dataclass(frozen=True)
class Order:
    """Everything that decides a picture but the model. `size` is (width, height) in pixels."""

    prompt: str
    size: tuple[int, int]
    seed: int
    negative: str = ""
    steps: int = 25
    cfg: float = 5.0
    sampler: str = "euler"


def check_limits(size: tuple[int, int] | None = None, steps: int = 1) -> None:
    """LorasmithError for what no machine draws in a person's time; `draw` and `plot` have one limit."""
    if not 1 <= steps <= MOST_STEPS:
        raise LorasmithError(f"--steps {steps:,} is out of range, 1 to {MOST_STEPS:,}: correct it; 25 are usual.")
    if size is not None and max(size) > LARGEST_SIDE:
        raise LorasmithError(
            f"The size {size[0]}x{size[1]} is too large: take sides of at most {LARGEST_SIDE:,}, and enlarge with "
            "`draw --hires`."
        )


def size_of(text: str, where: str) -> tuple[int, int]:
    """`832x1216`, or `768` for a square, as (width, height); `where` begins the sentence of the LorasmithError."""
    found = re.fullmatch(r"(\d{1,5})(?:\s*[x×*]\s*(\d{1,5}))?", text.strip().lower(), re.ASCII)
    if found is None:
        raise LorasmithError(f"{where}: {shown(text)!r} is no size: write it as 832x1216.")
    return int(found[1]), int(found[2] or found[1])


@dataclass(frozen=True)
class HiresFix:
    """A second pass over a finished picture, enlarged: A1111's "Hires. fix", with the defaults of `lorasmith`.

    `steps` are steps that are really made (None: as many as the first pass had). `upscaler` is a name of
    `engine.draw.upscale.UPSCALERS` or the path of an upscaling model.
    """

    scale: float = 1.5
    denoise: float = 0.4
    steps: int | None = None
    upscaler: str = "Lanczos"


def parameters(
    order: Order, *, base_name: str, base_hash: str, lora: str = "", hires: HiresFix | None = None
) -> str:
    """The text that A1111 reads out of a PNG.

    `lora` holds tags such as `<lora:name:1>`, put behind the prompt; `order` is the first pass's also with `hires`.
    """
    width, height = order.size
    sampler = samplers.SAMPLERS[order.sampler]
    said: dict[str, object] = {
        "Steps": order.steps,
        "Sampler": sampler.solver,
        "Schedule type": sampler.schedule,
        "CFG scale": f"{order.cfg:g}",
        "Seed": order.seed,
        "Size": f"{width}x{height}",
        "Model hash": base_hash[:10],
        "Model": base_name,
    }
    if hires:
        said |= {
            "Denoising strength": f"{hires.denoise:g}",
            "Hires upscale": f"{hires.scale:g}",
            "Hires steps": hires.steps or order.steps,
            "Hires upscaler": hires.upscaler,
        }
    prompt = f"{order.prompt} {lora}".rstrip() if lora else order.prompt
    negative = f"\nNegative prompt: {order.negative}" if order.negative else ""
    return f"{prompt}{negative}\n" + ", ".join(f"{key}: {_quoted(value)}" for key, value in said.items())


def lora_tag(name: str, weight: float) -> str:
    """How A1111 writes a worn LoRA in a prompt; `name` is the file's without its ending."""
    return f"<lora:{name}:{weight:g}>"


def _quoted(value: object) -> str:
    # Only what would end the value early: A1111 reads a quoted one as JSON.
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r'[,:\n"]', text) else text


def drawing_key(order: Order, model: str) -> str:
    """What a drawing is kept under: the order's every field and `model`, which identifies weights and VAE."""
    content = json.dumps([model, asdict(order)], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]
