"""The files of a base model in diffusers' folder layout: which are there, wanted, broken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.base.configs import CONFIG_FILES
from engine.base.header import Header, read_header
from engine.errors import BaseModelError, shown

# Component folder -> stem of its weight files (diffusers' models and transformers' models differ).
WEIGHT_STEMS: Mapping[str, str] = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "text_encoder_2": "model",
}
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class ComponentWeights:
    """The safetensors files of one component, each with its header."""

    headers: Mapping[Path, Header]

    @property
    def size_bytes(self) -> int:
        return sum(header.size_bytes for header in self.headers.values())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a model folder; a missing or unreadable one is an error that names it."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise BaseModelError(f"{shown(path)} is missing; copy or download the model folder again.") from error
    except OSError as error:
        raise BaseModelError(f"{shown(path)} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise BaseModelError(
            f"{shown(path)} is damaged (no valid JSON); download the model folder again."
        ) from error
    if not isinstance(content, dict):
        raise BaseModelError(f"{shown(path)} is damaged (no JSON object); download the model folder again.")
    return content


def folder_configs(folder: Path) -> dict[str, dict[str, Any]]:
    """The configurations of a diffusers folder's components; the scheduler's is {} where there is none."""
    configs = {}
    for component, name in CONFIG_FILES.items():
        path = folder / component / name
        configs[component] = {} if component == "scheduler" and not path.exists() else read_json(path)
    return configs


def component_weights(folder: Path, component: str, subfolder: str | None = None) -> ComponentWeights:
    """The weight files of one component: full precision before fp16, one file before shards.

    They lie in `folder`/`subfolder`, which is the component's name unless said otherwise.

    Raises BaseModelError when there is none, when one is truncated, when only pickles are there, or when an
    index names a shard that is missing or lacks a tensor.
    """
    inside = folder / (subfolder or component)
    stem = WEIGHT_STEMS[component]
    for name in (f"{stem}.safetensors", f"{stem}.fp16.safetensors"):
        if (inside / name).exists():
            return ComponentWeights({inside / name: read_header(inside / name)})
    for name in (f"{stem}.safetensors.index.json", f"{stem}.safetensors.index.fp16.json"):
        if (inside / name).exists():
            return _sharded(inside / name)
    pickles = sorted(path for path in inside.glob("*") if path.suffix in _PICKLES)
    if pickles:
        raise BaseModelError(
            f"{shown(pickles[0])} is a pickle, which can run programs when opened; "
            "take the model's .safetensors version or save it again with safe_serialization."
        )
    raise BaseModelError(
        f"{shown(folder)} lacks the weights of its {component} ({component}/{stem}.safetensors); "
        "download the missing files."
    )


def _sharded(index: Path) -> ComponentWeights:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise BaseModelError(f"{shown(index)} is damaged (no weight_map); download the model folder again.")
    headers = {}
    for name in sorted(set(weight_map.values())):
        # A plain name only: an index must not reach outside its folder.
        path = index.parent / Path(str(name)).name
        if not path.exists():
            raise BaseModelError(f"{shown(path)} is missing, though {index.name} names it; download it.")
        headers[path] = read_header(path)
    for key, name in weight_map.items():
        if key not in headers[index.parent / Path(str(name)).name].tensors:
            raise BaseModelError(
                f"{shown(index.parent / Path(str(name)).name)} lacks {shown(key)}, which {index.name} "
                "promises; download the model folder again."
            )
    return ComponentWeights(headers)
