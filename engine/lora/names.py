"""Module names: what diffusers calls a module, and what a LoRA file calls it.

LoRA files of SDXL use the names of the original SGM code (`input_blocks_4_1_...`), underscores for dots: every
program reads these, while diffusers' block names are dropped in part by some of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Part = Literal["unet", "te1", "te2"]
PARTS: tuple[Part, ...] = ("unet", "te1", "te2")
PREFIX: dict[Part, str] = {"unet": "lora_unet_", "te1": "lora_te1_", "te2": "lora_te2_"}

# Inside a ResNet block the original code numbers its layers.
_RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_RESNET_BACK = {sgm.replace(".", "_"): ours for ours, sgm in _RESNET.items()}

_DIFFUSERS_BLOCK = re.compile(
    r"(?P<side>down|up)_blocks\.(?P<block>\d+)\.(?P<kind>resnets|attentions|downsamplers|upsamplers)"
    r"\.(?P<layer>\d+)\.(?P<rest>.+)"
)
_DIFFUSERS_MID = re.compile(r"mid_block\.(?P<kind>resnets|attentions)\.(?P<layer>\d+)\.(?P<rest>.+)")
_SGM_BLOCK = re.compile(r"(?P<side>input|output)_blocks_(?P<index>\d+)_(?P<slot>\d+)_(?P<rest>.+)")
_SGM_MID = re.compile(r"middle_block_(?P<slot>[012])_(?P<rest>.+)")
_TEXT_LAYER = re.compile(r"(?:text_model[._])?encoder[._]layers[._](\d+)[._](self_attn|mlp)[._](\w+)")
_ATTENTION_REST = re.compile(
    r"(?:(?P<proj>proj_in|proj_out)"
    r"|transformer_blocks_(?P<depth>\d+)_(?:(?P<attn>attn[12])_(?P<to>to_q|to_k|to_v|to_out_0)"
    r"|ff_net_(?P<ff>0_proj|2)))"
)


def layers_per_block(unet_config: Mapping[str, object]) -> int:
    """How many ResNet blocks each level of the UNet has (2 in SDXL), which the SGM numbering counts with."""
    value = unet_config["layers_per_block"]
    if isinstance(value, int):
        return value
    counts = {int(item) for item in value}  # type: ignore[attr-defined]
    if len(counts) != 1:
        raise ValueError(f"layers_per_block = {value}: a UNet of the SDXL family has the same count everywhere")
    return counts.pop()


def unet_name(path: str, layers: int) -> str:
    """`down_blocks.1.attentions.0.proj_in` -> `lora_unet_input_blocks_4_1_proj_in` (with layers = 2).

    Raises KeyError for a module that lies outside the down, mid and up blocks.
    """
    return PREFIX["unet"] + _sgm_path(path, layers).replace(".", "_")


def text_encoder_name(part: Part, path: str) -> str:
    """`encoder.layers.0.self_attn.q_proj` -> `lora_te1_text_model_encoder_layers_0_self_attn_q_proj`.

    transformers names the layers of the first encoder with or without `text_model.`, by version; files always have it.
    """
    if path.startswith("text_projection"):
        return PREFIX[part] + path.replace(".", "_")
    return PREFIX[part] + "text_model_" + path.removeprefix("text_model.").replace(".", "_")


def module_name(part: Part, path: str, layers: int) -> str:
    """The name in the file of a module of one of the three models."""
    return unet_name(path, layers) if part == "unet" else text_encoder_name(part, path)


def module_path(name: str, layers: int) -> tuple[Part, str]:
    """The inverse: which model a file's name belongs to and the module's path in it, without `text_model.`.

    Reads SGM names and diffusers' own names with underscores. Raises KeyError for a name of another shape.
    """
    for part in PARTS:
        if name.startswith(PREFIX[part]):
            rest = name.removeprefix(PREFIX[part])
            return part, (_unet_path(rest, layers) if part == "unet" else _text_path(rest))
    raise KeyError(name)


def _sgm_path(path: str, layers: int) -> str:
    if found := _DIFFUSERS_MID.fullmatch(path):
        slot = 1 if found["kind"] == "attentions" else 2 * int(found["layer"])
        return f"middle_block.{slot}.{_inner(found['kind'], found['rest'])}"
    found = _DIFFUSERS_BLOCK.fullmatch(path)
    if not found:
        raise KeyError(path)
    block, layer, kind = int(found["block"]), int(found["layer"]), found["kind"]
    # A level takes layers + 1 numbers on both sides: down, its ResNets and a downsampler; up, layers + 1 ResNets.
    # conv_in is input block 0, so the down side starts at 1.
    if kind == "downsamplers":
        return f"input_blocks.{(layers + 1) * (block + 1)}.0.op"
    if kind == "upsamplers":
        return f"output_blocks.{(layers + 1) * block + layers}.2.conv"
    slot = 1 if kind == "attentions" else 0
    if found["side"] == "down":
        return f"input_blocks.{(layers + 1) * block + layer + 1}.{slot}.{_inner(kind, found['rest'])}"
    return f"output_blocks.{(layers + 1) * block + layer}.{slot}.{_inner(kind, found['rest'])}"


def _inner(kind: str, rest: str) -> str:
    return _RESNET[rest] if kind == "resnets" else rest


def _unet_path(rest: str, layers: int) -> str:
    if found := _SGM_MID.fullmatch(rest):
        slot = int(found["slot"])
        if slot == 1:
            return f"mid_block.attentions.0.{_attention_path(found['rest'])}"
        return f"mid_block.resnets.{slot // 2}.{_RESNET_BACK[found['rest']]}"
    if found := _SGM_BLOCK.fullmatch(rest):
        return _level_path(found["side"], int(found["index"]), int(found["slot"]), found["rest"], layers)
    return _diffusers_path(rest)


def _level_path(side: str, index: int, slot: int, rest: str, layers: int) -> str:
    if side == "input":
        block, layer = divmod(index - 1, layers + 1)
        if (slot, rest) == (0, "op"):
            return f"down_blocks.{block}.downsamplers.0.conv"
        prefix = "down_blocks"
    else:
        block, layer = divmod(index, layers + 1)
        if rest == "conv":
            return f"up_blocks.{block}.upsamplers.0.conv"
        prefix = "up_blocks"
    if slot == 1:
        return f"{prefix}.{block}.attentions.{layer}.{_attention_path(rest)}"
    return f"{prefix}.{block}.resnets.{layer}.{_RESNET_BACK[rest]}"


def _diffusers_path(rest: str) -> str:
    found = re.fullmatch(
        r"(mid_block|(?:down|up)_blocks_\d+)_(resnets|attentions|downsamplers|upsamplers)_(\d+)_(.+)", rest
    )
    if not found:
        raise KeyError(rest)
    block, kind, layer, inner = found.groups()
    head = block if block == "mid_block" else re.sub(r"_(\d+)$", r".\1", block)
    return f"{head}.{kind}.{layer}.{_attention_path(inner) if kind == 'attentions' else inner}"


def _attention_path(rest: str) -> str:
    found = _ATTENTION_REST.fullmatch(rest)
    if not found:
        raise KeyError(rest)
    if found["proj"]:
        return found["proj"]
    block = f"transformer_blocks.{found['depth']}"
    if found["attn"]:
        return f"{block}.{found['attn']}.{found['to'].replace('out_0', 'out.0')}"
    return f"{block}.ff.net.{found['ff'].replace('_', '.')}"


def _text_path(rest: str) -> str:
    found = _TEXT_LAYER.fullmatch(rest)
    if not found:
        raise KeyError(rest)
    return f"encoder.layers.{found[1]}.{found[2]}.{found[3]}"
