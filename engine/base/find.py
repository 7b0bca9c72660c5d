"""Base models on this machine, and what a person's way of naming one means."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.base.folder import component_weights
from engine.base.recognise import recognise
from engine.errors import BaseModelError, shown

SHORT_NAMES: Mapping[str, str] = {
    "sdxl-1.0": "stabilityai/stable-diffusion-xl-base-1.0",
    "illustrious-xl": "OnomaAIResearch/Illustrious-xl-early-release-v0",
    "noobai-xl": "Laxhar/noobai-XL-1.1",
    "animagine-xl-4.0": "cagliostrolab/animagine-xl-4.0",
}
DEMO = "demo"  # the base that travels with lorasmith

# Where the programs people draw with keep their checkpoints, below the home folder (and RunPod's /workspace).
_MODEL_FOLDERS = (
    "stable-diffusion-webui/models/Stable-diffusion",
    "stable-diffusion-webui-forge/models/Stable-diffusion",
    "stable-diffusion-webui-reForge/models/Stable-diffusion",
    "sd-webui-forge-neo/models/Stable-diffusion",
    "ComfyUI/models/checkpoints",
    "comfy/ComfyUI/models/checkpoints",
    "invokeai/models/sdxl/main",
    "invokeai/models",
    "InvokeAI/models",
    "StabilityMatrix/Data/Models/StableDiffusion",
    "models",
)
_DEPTH = 2  # folders below each of these that are looked into
_MOST_ENTRIES = 2_000  # in one place: a folder of pictures by that name must not stall the start
_SMALLEST = 1_000_000_000  # bytes; smaller single files outside lorasmith's own folder are no SDXL base
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILE_ENDINGS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf")


@dataclass(frozen=True)
class FoundBase:
    """A base model that lies on this machine, ready to be named in a plan."""

    name: str
    path: Path
    size_bytes: int
    kind: Literal["single-file", "diffusers"]


@dataclass(frozen=True)
class BaseSource:
    """Where a base comes from: a path (file or folder), a hub repository, or lorasmith itself (neither)."""

    kind: Literal["single-file", "diffusers", "hub", "embedded"]
    path: Path | None = None
    repo: str | None = None

    @property
    def name(self) -> str:
        """What to call it: the file's stem, the folder's name, the repository, or `demo`."""
        if self.kind == "single-file" and self.path is not None:
            return self.path.stem
        if self.path is not None:
            return self.path.name
        return self.repo or DEMO


def lorasmith_home() -> Path:
    """The folder of runs, bases and caches: $LORASMITH_HOME, or ~/lorasmith."""
    return Path(os.environ.get("LORASMITH_HOME") or Path.home() / "lorasmith")


def hub_cache() -> Path:
    """Hugging Face's cache folder, by the variables huggingface_hub reads (which itself imports slowly)."""
    if os.environ.get("HF_HUB_CACHE"):
        return Path(os.environ["HF_HUB_CACHE"])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("HF_HOME") or cache / "huggingface") / "hub"


def resolve_base(spec: str) -> BaseSource:
    """What a person means by `spec`: a path, a file in the bases folder, a short or hub name, or `demo`.

    Raises BaseModelError when it is none of these. A path is not opened here; see `recognise`.
    """
    if spec == DEMO:
        return BaseSource("embedded")
    if spec in SHORT_NAMES:
        return BaseSource("hub", repo=SHORT_NAMES[spec])
    candidates = [Path(spec).expanduser()] if spec else []
    if spec and "/" not in spec:
        candidates += [lorasmith_home() / "bases" / name for name in (spec, f"{spec}.safetensors")]
    for path in candidates:
        if path.exists():
            return BaseSource("diffusers" if path.is_dir() else "single-file", path=path.absolute())
    if _HUB_NAME.fullmatch(spec) and not spec.lower().endswith(_FILE_ENDINGS):
        return BaseSource("hub", repo=spec)
    raise BaseModelError(
        f"base model {shown(spec)!r} is no file or folder here and no hub name; give the path of an SDXL "
        f".safetensors file or diffusers folder, a hub name like owner/model, or one of "
        f"{', '.join([*SHORT_NAMES, DEMO])}."
    )


def find_bases() -> list[FoundBase]:
    """The SDXL bases in the usual places, each recognised by its header; folders are searched two deep."""
    found: dict[Path, FoundBase] = {}
    for path, name, smallest in _candidates():
        real = path.resolve()
        if real in found:
            continue
        try:
            if path.is_file() and path.stat().st_size < smallest:
                continue
            known = recognise(path)
        except (BaseModelError, OSError):
            continue  # something else, or broken: naming it is the business of who asks for it
        found[real] = FoundBase(name, path, known.size_bytes, known.kind)
    return list(found.values())


def cached_snapshot(repo: str) -> Path | None:
    """A complete download of a hub repository: its folder or single file, or None.

    Looks in lorasmith's own bases, then in Hugging Face's cache, where the newest complete snapshot wins.
    """
    for folder in _downloads(repo):
        options = [folder] if (folder / "model_index.json").exists() else sorted(folder.glob("*.safetensors"))
        for path in options:
            try:
                return recognise(path).path
            except BaseModelError:
                continue
    return None


def cached_vae(repo: str) -> Path | None:
    """A complete download of a hub repository's VAE (its folder holds config.json or vae/config.json), or None."""
    for folder in _downloads(repo):
        inside = folder / "vae" if (folder / "vae").is_dir() else folder
        try:
            component_weights(inside.parent, "vae", inside.name)
        except BaseModelError:
            continue
        if (inside / "config.json").exists():
            return folder
    return None


def _downloads(repo: str) -> list[Path]:
    """Where a repository's files may lie: lorasmith's own download, then snapshots, newest first."""
    flat = repo.replace("/", "--")
    snapshots = _children(hub_cache() / f"models--{flat}" / "snapshots")
    return [lorasmith_home() / "bases" / flat, *sorted(snapshots, key=_modified, reverse=True)]


def _candidates() -> Iterator[tuple[Path, str, int]]:
    """(path, name, smallest size in bytes) of everything that may be a base."""
    own = lorasmith_home() / "bases"
    for path in _models_below(own):
        # A folder downloaded from the hub bears its repository's name, with "--" for the slash.
        yield path, path.stem if path.is_file() else path.name.replace("--", "/", 1), 0
    for repository in _children(hub_cache()):
        if repository.name.startswith("models--"):
            repo = repository.name.removeprefix("models--").replace("--", "/")
            if (path := cached_snapshot(repo)) is not None:
                yield path, repo, 0
    for root in (Path.home(), Path("/workspace")):
        for below in _MODEL_FOLDERS:
            for path in _models_below(root / below):
                yield path, path.stem if path.is_file() else path.name, _SMALLEST


def _models_below(folder: Path) -> Iterator[Path]:
    """Safetensors files and diffusers folders at most `_DEPTH` folders down."""
    waiting, seen = [(folder, 0)], 0
    while waiting:
        here, depth = waiting.pop(0)
        for path in _children(here):
            seen += 1
            if seen > _MOST_ENTRIES:
                return
            if path.suffix == ".safetensors":
                yield path
            elif path.is_dir():
                if (path / "model_index.json").exists():
                    yield path
                elif depth < _DEPTH:
                    waiting.append((path, depth + 1))


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []  # not there or not ours to read: nothing to be found in it


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
