"""Where a captioner's weights lie: a folder, lorasmith's own, Hugging Face's cache, or the hub."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.base.find import hub_cache, lorasmith_home
from engine.base.hub import RemoteFile, fetch_files, list_files
from engine.caption.journal import CaptionError
from engine.caption.plan import check_captioner
from engine.errors import shown

Report = Callable[[int, int], None]  # bytes done, bytes in all

TAGGER_FILES = ("model.onnx", "selected_tags.csv")
_PART = re.compile(r"model-\d+-of-\d+\.safetensors")
_TEXTS = (".json", ".txt", ".model", ".jinja")


def find_weights(name: str, report: Report) -> Path:
    """The folder of a captioner's weights, by hub name or path; fetched where it is not on this machine.

    Raises LorasmithError in one sentence: no such folder or name, no network, no safetensors, disk full.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not _whole(folder):
            raise CaptionError(
                f"{shown(folder)} holds no captioner: it needs config.json and model.safetensors, or "
                "model.onnx and selected_tags.csv for a tagger."
            )
        return folder
    check_captioner(name)
    own = lorasmith_home() / "models" / name.replace("/", "--")
    for place in (own, *_cached(name)):
        if _whole(place):
            return place
    revision, files = list_files(name)
    return fetch_files(name, revision, _wanted(name, files), own, report)


def is_tagger(folder: Path) -> bool:
    return all((folder / name).is_file() for name in TAGGER_FILES)


def weight_count(folder: Path) -> int:
    """How many numbers the safetensors of a folder hold, read from their headers."""
    count = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        for name, tensor in header.items():
            if name != "__metadata__":
                size = 1
                for side in tensor["shape"]:
                    size *= side
                count += size
    return count


def _whole(folder: Path) -> bool:
    if is_tagger(folder):
        return True
    if not (folder / "config.json").is_file():
        return False
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return (folder / "model.safetensors").is_file()
    try:
        shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return all((folder / str(name)).is_file() for name in shards)


def _cached(name: str) -> list[Path]:
    snapshots = hub_cache() / f"models--{name.replace('/', '--')}" / "snapshots"
    try:
        return sorted(snapshots.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return []  # not there, or not ours to read


def _wanted(name: str, files: Mapping[str, RemoteFile]) -> list[RemoteFile]:
    """One copy of the weights and the small files beside them, config.json last: it makes a folder a model."""
    top = {path: file for path, file in files.items() if "/" not in path}
    if all(path in top for path in TAGGER_FILES):
        return [top[path] for path in reversed(TAGGER_FILES)]
    # Some repositories hold the weights twice, whole and in parts, or in 16 bits besides.
    parts = [file for path, file in top.items() if _PART.fullmatch(path)]
    weights = [top["model.safetensors"]] if "model.safetensors" in top else parts
    if not weights or "config.json" not in top:
        raise CaptionError(
            f"{shown(name)} on the hub holds no captioner that can be read (config.json and safetensors): "
            "take another."
        )
    left = {"config.json"} | ({"model.safetensors.index.json"} if "model.safetensors" in top else set())
    texts = [file for path, file in top.items() if path.endswith(_TEXTS) and path not in left]
    return [*texts, *weights, top["config.json"]]
