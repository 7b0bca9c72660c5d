"""Reading one component's weights from disk into a module, tensor by tensor, with nothing lost in silence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from engine.base.folder import ComponentWeights
from engine.base.header import Header
from engine.base.layout import IGNORED, PREFIXES, Change, place
from engine.errors import BaseModelError, shown

_BATCH = 1 << 28  # numbers read before a file is closed and opened again


@dataclass(frozen=True)
class Stored:
    """Where one weight of a module lies: the file, the name in it, and how it differs (see `layout`)."""

    path: Path
    name: str
    change: Change = "same"


def locate_in_folder(component: str, wanted: Iterable[str], weights: ComponentWeights) -> dict[str, Stored]:
    """Finds each wanted weight in diffusers' own files; missing and surplus weights are errors.

    The leading `text_model.` (which transformers dropped from one of its two text encoders) and the names of
    the VAE's attention before diffusers 0.18 are levelled out.
    """
    there = {
        _levelled(component, name): Stored(path, name)
        for path, header in weights.headers.items()
        for name in header.tensors
        if not IGNORED.search(name)
    }
    keys = {key: _levelled(component, key) for key in wanted}
    where = next(iter(weights.headers)).parent
    _complain(component, where, set(keys.values()) - there.keys(), there.keys() - set(keys.values()))
    return {key: there[level] for key, level in keys.items()}


def locate_in_file(
    component: str,
    wanted: Iterable[str],
    config: Mapping[str, Any],
    path: Path,
    header: Header,
    prefix: str | None = None,
) -> dict[str, Stored]:
    """Finds each wanted weight in a single file of the original layout; missing and surplus ones are errors.

    Only names that begin with `prefix` (the component's own by default) are looked at.
    """
    prefix = PREFIXES[component] if prefix is None else prefix
    there = {name.removeprefix(prefix) for name in header.tensors if name.startswith(prefix)}
    there = {name for name in there if not IGNORED.search(name)}
    places = {key: place(component, key, config) for key in wanted}
    needed = {spot.key for spot in places.values()}
    _complain(component, path, needed - there, there - needed)
    return {key: Stored(path, prefix + spot.key, spot.change) for key, spot in places.items()}


def read_into(
    module: torch.nn.Module, located: Mapping[str, Stored], dtype: torch.dtype, device: torch.device | str
) -> None:
    """Fills a module made on the meta device; little is held beside the finished weights.

    Each weight is copied, on the CPU too: left in the mapped file it is aligned as the file happens to lay it,
    and results would differ in the last bit between two files of the same model.
    """
    targets = module.state_dict()
    state: dict[str, torch.Tensor] = {}
    for path, keys in _batches(targets, located):
        with safe_open(path, framework="pt", device="cpu") as file:
            for key in keys:
                tensor = _read(file, located[key])
                if tensor.numel() != targets[key].numel():
                    raise BaseModelError(
                        f"{shown(located[key].name)} in {shown(path)} has shape {tuple(tensor.shape)} where SDXL "
                        f"has {tuple(targets[key].shape)}; the file is no SDXL base model."
                    )
                shaped = tensor.reshape(targets[key].shape)
                on_cpu = torch.device(device).type == "cpu"
                state[key] = shaped.to(dtype, copy=True) if on_cpu else shaped.to(device).to(dtype)
                del tensor, shaped
    module.load_state_dict(state, strict=True, assign=True)


def _batches(
    targets: Mapping[str, torch.Tensor], located: Mapping[str, Stored]
) -> Iterator[tuple[Path, list[str]]]:
    """The weights by file, a few hundred MB at a time: closing the mapped file gives its pages back."""
    by_path: dict[Path, list[str]] = {}
    for key in targets:
        by_path.setdefault(located[key].path, []).append(key)
    for path, keys in by_path.items():
        batch: list[str] = []
        numbers = 0
        for key in keys:
            batch.append(key)
            numbers += targets[key].numel()
            if numbers > _BATCH:
                yield path, batch
                batch, numbers = [], 0
        if batch:
            yield path, batch


def _read(file: Any, stored: Stored) -> torch.Tensor:
    if stored.change in {"q", "k", "v"}:
        joint = file.get_slice(stored.name)
        third = joint.get_shape()[0] // 3
        start = third * "qkv".index(stored.change)
        return joint[start : start + third]
    tensor = file.get_tensor(stored.name)
    return tensor.T.contiguous() if stored.change == "transpose" else tensor


def _levelled(component: str, key: str) -> str:
    if component.startswith("text_encoder"):
        return key.removeprefix("text_model.")
    if component == "vae" and ".attentions." in key:
        for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
            key = key.replace(f".{old}.", f".{new}.")
    return key


def _complain(component: str, where: Path, missing: set[str], surplus: set[str]) -> None:
    for kind, names in (("lacks", missing), ("has unknown", surplus)):
        if names:
            raise BaseModelError(
                f"{shown(where)} {kind} weights of its {component} ({len(names)}, such as "
                f"{shown(min(names))}); it is damaged, or no plain SDXL base model."
            )
