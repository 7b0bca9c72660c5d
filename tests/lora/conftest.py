"""Tiny models of SDXL's own classes, and SDXL's true shape without its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

SDXL_UNET: dict[str, Any] = {
    "sample_size": 128,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "layers_per_block": 2,
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
TINY_UNET: dict[str, Any] = SDXL_UNET | {
    "sample_size": 16,
    "block_out_channels": (8, 16, 16),
    "transformer_layers_per_block": (1, 1, 1),
    "attention_head_dim": (1, 2, 2),
    "norm_num_groups": 4,
    "cross_attention_dim": 24,
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 16 + 6 * 4,
}
SDXL_TE1: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
SDXL_TE2: dict[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
}
TINY_TE1: dict[str, Any] = {
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 8,
    "vocab_size": 99,
}
TINY_TE2: dict[str, Any] = TINY_TE1 | {"hidden_size": 16, "num_hidden_layers": 3, "projection_dim": 16}


@dataclass(frozen=True)
class Models:
    unet: UNet2DConditionModel
    te1: nn.Module
    te2: nn.Module

    @property
    def text_encoders(self) -> tuple[nn.Module, nn.Module]:
        return self.te1, self.te2


def _models(unet: dict[str, Any], te1: dict[str, Any], te2: dict[str, Any]) -> Models:
    return Models(
        UNet2DConditionModel(**unet),
        CLIPTextModel(CLIPTextConfig(**te1)),
        CLIPTextModelWithProjection(CLIPTextConfig(**te2)),
    )


@pytest.fixture
def tiny() -> Callable[..., Models]:
    """Makes a new tiny SDXL (the same weights each time); keyword arguments change the UNet's configuration."""

    def make(dtype: torch.dtype = torch.float32, **unet_changes: Any) -> Models:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            made = _models(TINY_UNET | unet_changes, TINY_TE1, TINY_TE2)
        for model in (made.unet, made.te1, made.te2):
            model.eval()
            if dtype != torch.float32:
                model.to(dtype)
        return made

    return make


@pytest.fixture(scope="session")
def sdxl_shape() -> Models:
    """SDXL's true modules on the meta device: shapes and names, no weights. A test that adapts them undoes it."""
    with torch.device("meta"):
        return _models(SDXL_UNET, SDXL_TE1, SDXL_TE2)


@pytest.fixture
def unet_inputs() -> Callable[..., dict[str, Any]]:
    """Seeded inputs for the tiny UNet."""

    def make(dtype: torch.dtype = torch.float32, batch: int = 2) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(1)

        def noise(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator).to(dtype)

        return {
            "sample": noise(batch, 4, 16, 16),
            "timestep": torch.arange(batch) * 100 + 50,
            "encoder_hidden_states": noise(batch, 7, 24),
            "added_cond_kwargs": {
                "text_embeds": noise(batch, 16),
                "time_ids": torch.tensor([[16.0, 16, 0, 0, 16, 16]]).repeat(batch, 1).to(dtype),
            },
        }

    return make


@pytest.fixture
def randomize() -> Callable[..., None]:
    """Gives every weight of an adapter a seeded, visible value, as if it had been trained."""

    def fill(adapter: Any, size: float = 0.2) -> None:
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for key, tensor in adapter.state().items():
                drawn = torch.randn(tensor.shape, generator=generator) * size
                if key.endswith(".magnitude"):
                    tensor.mul_(1 + drawn.clamp(-0.5, 0.5))
                else:
                    tensor.copy_(drawn)

    return fill
