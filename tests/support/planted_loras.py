"""LoRA files with visible, seeded weights for any base, as a training would leave them."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.base.load import Base
from engine.lora.attach import attach
from engine.lora.file import save_lora
from engine.plan import FilePrecision, Network


def planted_lora(
    base: Base, path: Path, network: Network, *, seed: int = 0, size: float = 0.1, precision: FilePrecision = "fp32"
) -> Path:
    """Writes a LoRA of the plan's shape for `base`, every weight drawn from `seed`; returns its path."""
    unet, encoders = base.load_unet(torch.float32), base.load_text_encoders(torch.float32)
    adapter = attach(unet, encoders, network, seed=seed)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, tensor in adapter.state().items():
            drawn = torch.randn(tensor.shape, generator=draw) * size
            if key.endswith(".magnitude"):
                tensor.mul_(1 + drawn.clamp(-0.5, 0.5))
            else:
                tensor.copy_(drawn)
    save_lora(adapter, path, precision, {"ss_output_name": path.stem})
    return path
