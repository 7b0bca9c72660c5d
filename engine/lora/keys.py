"""How LoRA files of every origin name their tensors: which module, and which part of its update. Light."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from engine.lora import names

Role = Literal["down", "mid", "up", "alpha", "magnitude"]

# How the formats end a key, and what the tensor is; "mid" is LoCon's k x k core between two 1 x 1 factors.
_ENDINGS: dict[str, Role] = {
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_mid.weight": "mid",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    "_lora.down.weight": "down",
    "_lora.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".alpha": "alpha",
    ".dora_scale": "magnitude",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
    ".lora_magnitude_vector.default.weight": "magnitude",
}
OTHER_METHODS: Mapping[str, str] = {
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "oft_": "OFT",
    "boft_": "BOFT",
    "glora": "GLoRA",
    ".diff": "full weight differences",
    "on_input": "IA3",
}
"""Marks in keys of related methods, and what these are called."""

_LAYERS = 2  # SDXL's layers_per_block, by which the original numbering counts


def role_of(key: str) -> tuple[str, Role | None]:
    """The module that a key belongs to, and what its tensor is; the key itself and None for any other tensor.

    kohya's names stay as they are, diffusers' and peft's become `unet.<path>` and `text_encoder.<path>`.
    """
    for ending, role in _ENDINGS.items():
        if key.endswith(ending):
            return _plain(key.removesuffix(ending)), role
    return key, None


def kohya_name(name: str) -> str:
    """A module's name as kohya's files spell it, with SGM block names; KeyError for one that has no place there.

    SGM names come back unchanged, whatever the base's depth; diffusers' names are counted as SDXL's.
    """
    if "." not in name:
        if not name.startswith("lora_unet_") or re.match(r"lora_unet_(input|middle|output)_blocks?_", name):
            return name
        try:
            part, path = names.module_path(name, _LAYERS)
        except KeyError:
            return name  # outside the blocks: every program reads it under its own name
        return names.module_name(part, path, _LAYERS)
    model, _, path = name.partition(".")
    parts: dict[str, names.Part] = {"unet": "unet", "text_encoder": "te1", "text_encoder_2": "te2"}
    if model not in parts:
        raise KeyError(name)
    try:
        return names.module_name(parts[model], path, _LAYERS)
    except KeyError:
        return names.PREFIX[parts[model]] + path.replace(".", "_")


def part_of(name: str) -> str:
    """ "unet", "te1", "te2" or "other", of a name as `role_of` gives it."""
    for part, starts in {
        "unet": ("lora_unet_", "unet."),
        "te1": ("lora_te1_", "text_encoder."),
        "te2": ("lora_te2_", "text_encoder_2."),
    }.items():
        if name.startswith(starts):
            return part
    return "other"


def method_of(keys: Iterable[str]) -> tuple[str, str] | None:
    """What related method some key belongs to, and that key; None where there is none."""
    return next(((name, key) for key in keys for mark, name in OTHER_METHODS.items() if mark in key), None)


def _plain(name: str) -> str:
    """diffusers' and peft's dotted names as `unet.<path>`; kohya's as they are."""
    if name.startswith("lora_"):
        return re.sub(r"^lora_te_", "lora_te1_", name)
    # peft saves the UNet's adapter with its own prefix and no model's name.
    name = re.sub(r"^base_model\.model\.", "unet.", name)
    name = name.replace(".processor.", ".").replace(".text_model.", ".")
    # diffusers' older names for a text encoder's projections.
    if found := re.fullmatch(r"(.+\.self_attn)\.to_(q|k|v|out)", name):
        return f"{found[1]}.{found[2]}_proj"
    return re.sub(r"\.to_out$", ".to_out.0", name)
