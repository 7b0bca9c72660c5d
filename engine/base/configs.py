"""SDXL's own configurations and CLIP merges, which travel with lorasmith in presets/sdxl.

They make a single file loadable with no network. Source: the configurations of
stabilityai/stable-diffusion-xl-base-1.0 and the merges of OpenAI's CLIP (MIT, see the NOTICE beside them).
"""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

# A component's folder in a diffusers model, and the file its configuration stands in.
CONFIG_FILES: Mapping[str, str] = {
    "unet": "config.json",
    "vae": "config.json",
    "text_encoder": "config.json",
    "text_encoder_2": "config.json",
    "scheduler": "scheduler_config.json",
}
MERGE_COUNT = 48_894


def sdxl_configs() -> dict[str, dict[str, Any]]:
    """The configuration of each component of SDXL 1.0, by its diffusers folder name."""
    root = files("presets") / "sdxl"
    return {
        component: json.loads((root / component / name).read_text("utf-8"))
        for component, name in CONFIG_FILES.items()
    }


@functools.cache
def clip_merges() -> tuple[str, ...]:
    """The 48,894 byte-pair merges of CLIP, most frequent first, each "left right"."""
    packed = (files("presets") / "sdxl" / "tokenizer" / "merges.txt.gz").read_bytes()
    return tuple(gzip.decompress(packed).decode("utf-8").splitlines())


def embedded_base_folder() -> Path | None:
    """The diffusers folder of the base that travels with lorasmith, or None where there is none."""
    folder = Path(str(files("presets") / "base"))
    return folder if (folder / "model_index.json").is_file() else None
