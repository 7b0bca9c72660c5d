"""A separate VAE beside a base: a file or folder or hub name, in either layout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.base.find import cached_vae, resolve_base
from engine.base.folder import ComponentWeights, component_weights, read_json
from engine.base.header import read_header
from engine.base.weights import Stored, locate_in_file, locate_in_folder
from engine.errors import BaseModelError, shown

_MARK = "decoder.conv_in.weight"


@dataclass(frozen=True)
class VaeSource:
    """Where a separate VAE's weights lie and what its configuration is."""

    name: str
    config: Mapping[str, Any]
    weights: ComponentWeights
    prefix: str | None  # of its names in a file of the original layout; None: diffusers' names

    def locate(self, wanted: Iterable[str]) -> dict[str, Stored]:
        """Finds every weight of the module; missing or surplus ones raise BaseModelError."""
        if self.prefix is None:
            return locate_in_folder("vae", wanted, self.weights)
        ((path, header),) = self.weights.headers.items()
        return locate_in_file("vae", wanted, self.config, path, header, self.prefix)


def open_vae(
    spec: str, config: Mapping[str, Any], report: Callable[[int, int], None] | None = None
) -> VaeSource:
    """Opens a VAE by path or hub name; `config` is the base's own, for files that carry none.

    Raises BaseModelError when it is no VAE or not of the base's latent shape.
    """
    source = resolve_base(spec)
    if source.repo is not None:
        path = cached_vae(source.repo)
        if path is None:
            from engine.base.hub import download_vae

            path = download_vae(source.repo, report or (lambda done, total: None))
    elif source.path is not None:
        path = source.path
    else:
        raise BaseModelError(f"{shown(spec)!r} is no VAE; give an SDXL VAE's file, folder or hub name.")
    found = _open_folder(path, source.name) if path.is_dir() else _open_file(path, source.name, config)
    for key in ("latent_channels", "scaling_factor"):
        if found.config.get(key) != config.get(key):
            raise BaseModelError(
                f"VAE {shown(spec)} has {key} {found.config.get(key)} where the base has {config.get(key)}; "
                "give a VAE made for this base."
            )
    return found


def _open_folder(folder: Path, name: str) -> VaeSource:
    own = folder / "vae" if (folder / "vae").is_dir() else folder
    config = read_json(own / "config.json")
    if config.get("_class_name") != "AutoencoderKL":
        raise BaseModelError(
            f"{shown(folder)} is no VAE (its config.json says {config.get('_class_name')!s})."
        )
    return VaeSource(name, config, component_weights(own.parent, "vae", own.name), None)


def _open_file(path: Path, name: str, config: Mapping[str, Any]) -> VaeSource:
    if path.suffix.lower() != ".safetensors":
        raise BaseModelError(f"VAE {shown(path)} is no .safetensors file; take its .safetensors version.")
    header = read_header(path)
    beside = path.parent / "config.json"
    for prefix in ("", "first_stage_model.", "vae."):
        if f"{prefix}{_MARK}" in header.tensors:
            diffusers_names = any(key.startswith(f"{prefix}decoder.up_blocks.") for key in header.tensors)
            if diffusers_names and prefix:
                break
            if diffusers_names and beside.is_file():
                config = read_json(beside)
            # Nothing in a bare file says that it is safe in fp16.
            config = config if diffusers_names and beside.is_file() else {**config, "force_upcast": True}
            return VaeSource(
                name, config, ComponentWeights({path: header}), None if diffusers_names else prefix
            )
    raise BaseModelError(f"{shown(path)} is no VAE; give an SDXL VAE's .safetensors file or folder.")
