"""One picture as it is ordered, what its PNG says of it, and the key that its drawing is kept under. Light."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

SAMPLERS = {"euler": "Euler", "euler_a": "Euler a", "dpmpp_2m": "DPM++ 2M", "ddim": "DDIM"}
"""A base's scheduler names, and how A1111 writes them."""


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


def parameters(order: Order, *, base_name: str, base_hash: str, lora: str = "") -> str:
    """The text that A1111 reads out of a PNG; `lora` is a tag such as `<lora:name:1>`, put behind the prompt."""
    width, height = order.size
    prompt = f"{order.prompt} {lora}".rstrip() if lora else order.prompt
    negative = f"\nNegative prompt: {order.negative}" if order.negative else ""
    return (
        f"{prompt}{negative}\nSteps: {order.steps}, Sampler: {SAMPLERS[order.sampler]}, CFG scale: {order.cfg:g}, "
        f"Seed: {order.seed}, Size: {width}x{height}, Model hash: {base_hash[:10]}, Model: {base_name}"
    )


def drawing_key(order: Order, model: str) -> str:
    """What a drawing is kept under: the order's every field and `model`, which identifies weights and VAE."""
    content = json.dumps([model, asdict(order)], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]
