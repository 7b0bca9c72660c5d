"""The names of SDXL's weights: diffusers' on one side, the original single file's (SGM) on the other.

One table for both directions: the loader reads a single file through it, `original_layout` writes one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

# Where each component lies in a single file.
PREFIXES: Mapping[str, str] = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "text_encoder": "conditioner.embedders.0.transformer.text_model.",
    "text_encoder_2": "conditioner.embedders.1.model.",
}
# Buffers and training leftovers that checkpoints carry and that no model needs.
IGNORED = re.compile(r"(position_ids|logit_scale|attn_mask|num_batches_tracked)$|^loss\.|^model_ema\.")

Change = Literal["same", "transpose", "q", "k", "v", "conv1x1"]


@dataclass(frozen=True)
class Place:
    """Where a diffusers weight lies in a single file, and how it differs there.

    `transpose`: stored transposed; `q`/`k`/`v`: the first, second or last third of a joint projection;
    `conv1x1`: a linear weight stored as [out, in, 1, 1].
    """

    key: str
    change: Change = "same"


def place(component: str, key: str, config: Mapping[str, Any]) -> Place:
    """The place of one diffusers weight of `component` in a single file, prefix left out.

    `key` is the name in the module's state dict (text encoders with or without a leading `text_model.`).
    """
    if component == "unet":
        return Place(_unet_name(key, config))
    if component == "vae":
        return _vae_place(key, config)
    bare = key.removeprefix("text_model.")
    return Place(bare) if component == "text_encoder" else _open_clip_place(bare)


_UNET_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def _unet_name(key: str, config: Mapping[str, Any]) -> str:
    module, _, leaf = key.rpartition(".")
    if module in _UNET_ENDS:
        return f"{_UNET_ENDS[module]}.{leaf}"
    side, _, rest = key.partition(".")
    if side == "mid_block":
        kind, number, inner = rest.split(".", 2)
        # resnet, attention, resnet, attention, resnet ...: one attention lies between two resnets.
        position = 2 * int(number) + (kind == "attentions")
        return f"middle_block.{position}.{_unet_inner(kind, inner)}"
    number, kind, index, inner = rest.split(".", 3)
    layers, block, layer = int(config["layers_per_block"]), int(number), int(index)
    if side == "down_blocks":
        first = 1 + block * (layers + 1)
        if kind == "downsamplers":
            return f"input_blocks.{first + layers}.0.op.{leaf}"
        return f"input_blocks.{first + layer}.{int(kind == 'attentions')}.{_unet_inner(kind, inner)}"
    first = block * (layers + 1)
    if kind == "upsamplers":
        after = 2 if "CrossAttn" in config["up_block_types"][block] else 1
        return f"output_blocks.{first + layers}.{after}.conv.{leaf}"
    return f"output_blocks.{first + layer}.{int(kind == 'attentions')}.{_unet_inner(kind, inner)}"


def _unet_inner(kind: str, inner: str) -> str:
    if kind == "attentions":
        return inner  # the same names inside a transformer on both sides
    module, _, leaf = inner.rpartition(".")
    return f"{_UNET_RESNET[module]}.{leaf}"


# Inside the VAE's one attention; the second name of a pair is what diffusers called it before 0.18.
_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
    "query": "q",
    "key": "k",
    "value": "v",
    "proj_attn": "proj_out",
}


def _vae_place(key: str, config: Mapping[str, Any]) -> Place:
    attention = re.fullmatch(r"(encoder|decoder)\.mid_block\.attentions\.0\.(.+)\.(weight|bias)", key)
    if attention is not None:
        side, module, leaf = attention.groups()
        flat = leaf == "weight" and module != "group_norm"
        return Place(f"{side}.mid.attn_1.{_VAE_ATTENTION[module]}.{leaf}", "conv1x1" if flat else "same")
    name = key.replace("conv_norm_out.", "norm_out.").replace("conv_shortcut.", "nin_shortcut.")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    name = re.sub(r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block.", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample.", name)
    last = len(config["block_out_channels"]) - 1  # the decoder counts from the finest level in the original
    name = re.sub(r"up_blocks\.(\d+)\.resnets\.", lambda m: f"up.{last - int(m[1])}.block.", name)
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0\.", lambda m: f"up.{last - int(m[1])}.upsample.", name)
    return Place(name)


_OPEN_CLIP_ENDS = {
    "embeddings.token_embedding.weight": Place("token_embedding.weight"),
    "embeddings.position_embedding.weight": Place("positional_embedding"),
    "final_layer_norm.weight": Place("ln_final.weight"),
    "final_layer_norm.bias": Place("ln_final.bias"),
    "text_projection.weight": Place("text_projection", "transpose"),
}
_OPEN_CLIP_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def _open_clip_place(key: str) -> Place:
    if key in _OPEN_CLIP_ENDS:
        return _OPEN_CLIP_ENDS[key]
    _, _, number, inner = key.split(".", 3)  # encoder.layers.N....
    block = f"transformer.resblocks.{number}"
    if (joint := re.fullmatch(r"self_attn\.([qkv])_proj\.(weight|bias)", inner)) is not None:
        change: Change = "q" if joint[1] == "q" else "k" if joint[1] == "k" else "v"
        return Place(f"{block}.attn.in_proj_{joint[2]}", change)
    module, _, leaf = inner.rpartition(".")
    return Place(f"{block}.{_OPEN_CLIP_LAYER[module]}.{leaf}")
