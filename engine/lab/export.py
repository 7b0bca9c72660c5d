"""Writes the trained networks as a diffusers folder that any SDXL loader takes."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from engine.errors import LorasmithError, shown
from engine.lab.base import Networks

LARGEST = 25_000_000
"""Bytes the folder may have: it travels in the package."""


def export_base(networks: Networks, vae: AutoencoderKL, folder: Path) -> int:
    """Writes model_index.json and the parts in 16 bits into `folder`, replacing it; gives the bytes written.

    The folder appears whole or not at all. Raises LorasmithError when it came out larger than `LARGEST`.
    """
    beside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    parts = copy.deepcopy(networks)
    for model in (*parts.trained.values(), whole := copy.deepcopy(vae)):
        model.to(torch.float16, memory_format=torch.contiguous_format)
    parts.pipeline(whole).save_pretrained(beside, safe_serialization=True)
    _forget_origins(beside)
    size = sum(path.stat().st_size for path in beside.rglob("*") if path.is_file())
    if size > LARGEST:
        shutil.rmtree(beside)
        raise LorasmithError(
            f"The base for {shown(folder)} came to {size:,} bytes; the most it may have is {LARGEST:,}."
        )
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
    return size


def _forget_origins(folder: Path) -> None:
    """Drops the path a part was loaded from out of its configuration: it would name the maker's machine."""
    for path in folder.rglob("*.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(config, dict) and config.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
