"""The exact size of a LoRA before there is one: modules, parameters and bytes from the base's configurations alone.

Plain arithmetic over SDXL's architecture, without loading anything, so that the terminal can show the size of every
choice at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.lora import names
from engine.lora.names import Part
from engine.plan import FilePrecision, Network

_BYTES: dict[FilePrecision, int] = {"fp16": 2, "bf16": 2, "fp32": 4}
_TYPE: dict[FilePrecision, str] = {"fp16": "F16", "bf16": "BF16", "fp32": "F32"}
# Metadata beside the header's own entries: a few KB of keys, and captions' tag counts that grow with the data set.
TYPICAL_METADATA = 8_000

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Weight:
    """One module of the base that can carry an adapter: its path in diffusers' model and its weight's shape."""

    path: str
    shape: tuple[int, ...]  # [out, in] or [out, in, k, k]

    @property
    def wide(self) -> bool:
        """A convolution of more than 1 x 1, which takes conv_rank."""
        return len(self.shape) == 4 and self.shape[2:] != (1, 1)


@dataclass(frozen=True)
class LoraSize:
    """What a network comes to on a base."""

    modules_unet: int
    modules_te1: int
    modules_te2: int
    parameters: int
    file_bytes: int

    @property
    def modules(self) -> int:
        return self.modules_unet + self.modules_te1 + self.modules_te2


def lora_size(
    unet_config: Config,
    te1_config: Config,
    te2_config: Config,
    network: Network,
    precision: FilePrecision,
    metadata_bytes: int = TYPICAL_METADATA,
) -> LoraSize:
    """Modules, trained parameters and the size of the file in bytes, for a base with these config.json's.

    Exact but for the metadata, whose length (`metadata_bytes`) depends on names and captions.
    """
    weights: dict[Part, list[Weight]] = {"unet": list(unet_weights(unet_config, network)), "te1": [], "te2": []}
    if network.train_text_encoders:
        weights["te1"] = list(text_encoder_weights(te1_config))
        weights["te2"] = list(text_encoder_weights(te2_config))
    layers = names.layers_per_block(unet_config)
    tensors: dict[str, tuple[int, ...]] = {}
    for part, adapted in weights.items():
        for weight in adapted:
            name = names.module_name(part, weight.path, layers)
            tensors |= {f"{name}.{key}": shape for key, shape in _factors(weight, network).items()}
    trained = sum(math.prod(shape) for shape in tensors.values() if shape)
    alphas = sum(1 for shape in tensors.values() if not shape)
    header = _header_bytes(tensors, precision) + metadata_bytes
    return LoraSize(
        len(weights["unet"]),
        len(weights["te1"]),
        len(weights["te2"]),
        trained,
        trained * _BYTES[precision] + alphas * 4 + header,
    )


def unet_weights(config: Config, network: Network) -> Iterator[Weight]:
    """The modules of a UNet of SDXL's classes that the network adapts: 722, 560 or 788 of SDXL's."""
    channels: list[int] = list(config["block_out_channels"])
    layers = names.layers_per_block(config)
    depths = _depths(config, len(channels))
    text = config["cross_attention_dim"]
    convolutions = network.targets == "locon"
    time = config.get("time_embedding_dim") or channels[0] * 4
    # Down: the first block starts from conv_in's output, each later one from its predecessor's.
    before = channels[0]
    for level, (kind, width) in enumerate(zip(config["down_block_types"], channels, strict=True)):
        block = f"down_blocks.{level}"
        for layer in range(layers):
            if convolutions:
                yield from _resnet(f"{block}.resnets.{layer}", before, width, time)
            if "CrossAttn" in kind:
                yield from _transformer(f"{block}.attentions.{layer}", width, text, depths[level], network)
            before = width
        if convolutions and level < len(channels) - 1:
            yield Weight(f"{block}.downsamplers.0.conv", (width, width, 3, 3))
    if convolutions:
        yield from _resnet("mid_block.resnets.0", before, before, time)
        yield from _resnet("mid_block.resnets.1", before, before, time)
    yield from _transformer("mid_block.attentions.0", before, text, depths[-1], network)
    # Up: every ResNet also takes the matching output of the way down, so its input is wider.
    back, up_depths = channels[::-1], depths[::-1]
    for level, (kind, width) in enumerate(zip(config["up_block_types"], back, strict=True)):
        block = f"up_blocks.{level}"
        below = back[min(level + 1, len(back) - 1)]
        for layer in range(layers + 1):
            skip = below if layer == layers else width
            if convolutions:
                yield from _resnet(f"{block}.resnets.{layer}", before + skip, width, time)
            if "CrossAttn" in kind:
                yield from _transformer(f"{block}.attentions.{layer}", width, text, up_depths[level], network)
            before = width
        if convolutions and level < len(channels) - 1:
            yield Weight(f"{block}.upsamplers.0.conv", (width, width, 3, 3))


def text_encoder_weights(config: Config) -> Iterator[Weight]:
    """The six linears of each CLIP layer: 72 of SDXL's first text encoder, 192 of its second."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    for layer in range(config["num_hidden_layers"]):
        block = f"encoder.layers.{layer}"
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield Weight(f"{block}.self_attn.{name}", (hidden, hidden))
        yield Weight(f"{block}.mlp.fc1", (inner, hidden))
        yield Weight(f"{block}.mlp.fc2", (hidden, inner))


def _depths(config: Config, levels: int) -> list[int]:
    depth = config.get("transformer_layers_per_block", 1)
    return [int(depth)] * levels if isinstance(depth, int) else [int(item) for item in depth]


def _resnet(block: str, inputs: int, width: int, time: int) -> Iterator[Weight]:
    yield Weight(f"{block}.conv1", (width, inputs, 3, 3))
    yield Weight(f"{block}.time_emb_proj", (width, time))
    yield Weight(f"{block}.conv2", (width, width, 3, 3))
    if inputs != width:
        yield Weight(f"{block}.conv_shortcut", (width, inputs, 1, 1))


def _transformer(block: str, width: int, text: int, depth: int, network: Network) -> Iterator[Weight]:
    whole = network.targets != "attention"
    if whole:
        yield Weight(f"{block}.proj_in", (width, width))
        yield Weight(f"{block}.proj_out", (width, width))
    for index in range(depth):
        inner = f"{block}.transformer_blocks.{index}"
        for attention, context in (("attn1", width), ("attn2", text)):
            yield Weight(f"{inner}.{attention}.to_q", (width, width))
            yield Weight(f"{inner}.{attention}.to_k", (width, context))
            yield Weight(f"{inner}.{attention}.to_v", (width, context))
            yield Weight(f"{inner}.{attention}.to_out.0", (width, width))
        if whole:
            yield Weight(f"{inner}.ff.net.0.proj", (8 * width, width))  # GEGLU: twice 4 x the width
            yield Weight(f"{inner}.ff.net.2", (width, 4 * width))


def _factors(weight: Weight, network: Network) -> dict[str, tuple[int, ...]]:
    rank = network.conv_rank_value if weight.wide else network.rank
    out, *inner = weight.shape
    ones = (1,) * (len(weight.shape) - 2)
    made: dict[str, tuple[int, ...]] = {
        "lora_down.weight": (rank, *inner),
        "lora_up.weight": (out, rank, *ones),
        "alpha": (),
    }
    if network.dora:
        made["dora_scale"] = (out, 1, *ones)
    return made


def _header_bytes(tensors: Mapping[str, tuple[int, ...]], precision: FilePrecision) -> int:
    """The safetensors header's own length: one JSON entry for each tensor, offsets included."""
    offset, entries = 0, {}
    # Wider types come first in the file.
    for key in sorted(tensors, key=lambda key: (tensors[key] != () and precision != "fp32", key)):
        shape = tensors[key]
        size = math.prod(shape) * _BYTES[precision] if shape else 4
        entries[key] = {
            "dtype": _TYPE[precision] if shape else "F32",
            "shape": shape,
            "data_offsets": (offset, offset + size),
        }
        offset += size
    return 8 + len(json.dumps(entries, separators=(",", ":")))
