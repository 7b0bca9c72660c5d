"""Writing SDXL as one file in the original (SGM) key layout, as sd_xl_base_1.0 and its fine-tunes are.

Tensors are written one after the other, so a 6.9 GB file needs the memory of its largest tensor.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from engine.base.configs import sdxl_configs
from engine.base.layout import PREFIXES, place
from engine.base.recognise import CONFIGS_KEY
from engine.files import atomic_path

_DTYPE_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
_CLASSES: Mapping[str, Any] = {
    "unet": UNet2DConditionModel,
    "vae": AutoencoderKL,
    "text_encoder": CLIPTextModel,
    "text_encoder_2": CLIPTextModelWithProjection,
}


@dataclass(frozen=True)
class _Entry:
    """One tensor of the file: its name, its shape there, and what makes it when its turn comes."""

    name: str
    shape: tuple[int, ...]
    make: Callable[[], torch.Tensor]


def write_single_file(
    modules: Mapping[str, torch.nn.Module],
    path: Path,
    dtype: torch.dtype,
    *,
    merges: list[str] | None = None,
    v_prediction: bool = False,
    zero_terminal_snr: bool = False,
) -> None:
    """Writes the four modules (unet, vae, text_encoder, text_encoder_2) as one file, atomically.

    Where their shape is not SDXL's own, the configurations and the tokenizers' `merges` go into the metadata,
    so that lorasmith can open the file again. v-prediction is marked by the empty tensors programs look for.
    """
    configs = {name: _plain_config(module) for name, module in modules.items()}
    entries = [
        entry
        for component, module in modules.items()
        for entry in _entries(component, module.state_dict(), configs[component])
    ]
    marks = [name for name, said in (("v_pred", v_prediction), ("ztsnr", zero_terminal_snr)) if said]
    entries += [_Entry(mark, (0,), lambda: torch.empty(0)) for mark in marks]
    metadata = {"modelspec.architecture": "stable-diffusion-xl-v1-base", "modelspec.sai_model_spec": "1.0.0"}
    if _differs_from_sdxl(configs):
        metadata[CONFIGS_KEY] = json.dumps({**configs, "scheduler": {}, "merges": merges})
    _write(path, entries, dtype, metadata)


def write_random_sdxl(path: Path, dtype: torch.dtype = torch.float16, seed: int = 0) -> None:
    """Writes a file of SDXL's real shape with random weights (6.9 GB in 16 bits), for tests and benchmarks.

    Matrices get a spread of 1 / sqrt(inputs), norms one, biases zero, so that everything stays finite. Values
    repeat: they are cut from one block of random numbers, which is much faster than drawing 3.5 billion.
    """
    block = torch.randn(1 << 22, generator=torch.Generator().manual_seed(seed))
    entries = [_Entry(entry.name, entry.shape, _random_maker(entry, block)) for entry in _real_entries()]
    _write(path, entries, dtype, {"modelspec.architecture": "stable-diffusion-xl-v1-base"})


def real_shapes() -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a single-file SDXL, in the file's order (2,513)."""
    return {entry.name: entry.shape for entry in _real_entries()}


def _real_entries() -> list[_Entry]:
    entries: list[_Entry] = []
    for component, config in sdxl_configs().items():
        if component in _CLASSES:
            kind = _CLASSES[component]
            with init_empty_weights():
                module = kind(CLIPTextConfig(**config)) if "text" in component else kind.from_config(config)
            entries += _entries(component, module.state_dict(), config)
    return entries


def _entries(
    component: str, state: Mapping[str, torch.Tensor], config: Mapping[str, Any]
) -> Iterator[_Entry]:
    """The file's tensors of one component, in its own order; q, k and v of OpenCLIP are joined."""
    parts: dict[str, list[tuple[str, torch.Tensor]]] = {}
    for key, tensor in state.items():
        spot = place(component, key, config)
        parts.setdefault(PREFIXES[component] + spot.key, []).append((spot.change, tensor))
    for name, pieces in parts.items():
        change, tensor = pieces[0]
        if change in {"q", "k", "v"}:
            thirds = [dict(pieces)[letter] for letter in "qkv"]
            yield _Entry(
                name, (3 * tensor.shape[0], *tensor.shape[1:]), lambda thirds=thirds: torch.cat(thirds)
            )
        elif change == "transpose":
            yield _Entry(name, tuple(reversed(tensor.shape)), lambda tensor=tensor: tensor.T)
        elif change == "conv1x1":
            yield _Entry(name, (*tensor.shape, 1, 1), lambda tensor=tensor: tensor[..., None, None])
        else:
            yield _Entry(name, tuple(tensor.shape), lambda tensor=tensor: tensor)


def _random_maker(entry: _Entry, block: torch.Tensor) -> Callable[[], torch.Tensor]:
    def make() -> torch.Tensor:
        if len(entry.shape) == 1:
            return torch.full(entry.shape, 0.0 if entry.name.endswith("bias") else 1.0)
        count, inputs = torch.Size(entry.shape).numel(), torch.Size(entry.shape[1:]).numel()
        return block.repeat(-(-count // block.numel()))[:count].reshape(entry.shape) / inputs**0.5

    return make


def _write(path: Path, entries: list[_Entry], dtype: torch.dtype, metadata: Mapping[str, str]) -> None:
    size = torch.empty(0, dtype=dtype).element_size()
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **metadata}}
    offset = 0
    for entry in entries:
        end = offset + size * torch.Size(entry.shape).numel()
        header[entry.name] = {
            "dtype": _DTYPE_NAMES[dtype],
            "shape": list(entry.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    packed = json.dumps(header, separators=(",", ":")).encode("utf-8")
    packed += b" " * (-len(packed) % 8)  # the data begins at a multiple of eight, as the format asks
    with atomic_path(path) as beside, beside.open("wb") as file:
        file.write(struct.pack("<Q", len(packed)) + packed)
        for entry in entries:
            tensor = entry.make().detach().to("cpu", dtype).contiguous()
            file.write(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()))


def _plain_config(module: Any) -> dict[str, Any]:
    config = module.config
    return config.to_dict() if hasattr(config, "to_dict") else json.loads(module.to_json_string())


def _differs_from_sdxl(configs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether any value that SDXL's own configurations state is another one here."""
    own = sdxl_configs()
    telling = {
        "unet": ("block_out_channels", "cross_attention_dim", "transformer_layers_per_block", "sample_size"),
        "vae": ("block_out_channels", "scaling_factor"),
        "text_encoder": ("hidden_size", "vocab_size"),
        "text_encoder_2": ("hidden_size", "vocab_size"),
    }
    return any(
        _listed(configs[component].get(key)) != _listed(own[component][key])
        for component, keys in telling.items()
        for key in keys
    )


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
