"""What a LoRA file is: ranks, base, trigger words, how it was trained, and what is odd about it. No torch."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import LorasmithError, shown
from engine.lora.keys import method_of, part_of
from engine.lora.weights import LoraWeights, open_weights

PART_NAMES = {"unet": "UNet", "te1": "text encoder 1", "te2": "text encoder 2", "other": "other"}
_BASES = {2048: "SDXL", 1024: "Stable Diffusion 2", 768: "Stable Diffusion 1"}  # width of the text, by cross-attention
_UNKNOWN = "of no program known here"
_PRECISIONS = {"F64": "fp64", "F32": "fp32", "F16": "fp16", "BF16": "bf16"}

# What is shown of kohya's `ss_` settings, in this order.
_SETTINGS = {
    "ss_sd_model_name": "trained on",
    "ss_num_train_images": "pictures x repeats",
    "ss_num_reg_images": "class pictures",
    "ss_epoch": "epoch",
    "ss_num_epochs": "epochs planned",
    "ss_steps": "steps",
    "ss_total_batch_size": "batch",
    "ss_resolution": "resolution",
    "ss_unet_lr": "learning rate",
    "ss_text_encoder_lr": "text encoder rate",
    "ss_optimizer": "optimizer",
    "ss_lr_scheduler": "schedule",
    "ss_min_snr_gamma": "min-SNR gamma",
    "ss_noise_offset": "noise offset",
    "ss_caption_dropout_rate": "caption dropout",
    "ss_seed": "seed",
    "ss_training_comment": "comment",
}


@dataclass(frozen=True)
class PartReport:
    """One model's share of a LoRA. ranks and alphas: value -> modules; scales: alpha / rank, smallest and largest."""

    part: str
    modules: int
    convolutions: int
    ranks: dict[int, int]
    alphas: dict[float, int]
    scales: tuple[float, float]


@dataclass(frozen=True)
class LoraReport:
    """A file looked into. `odd` holds a sentence for everything that is not as in a sound LoRA."""

    path: Path
    size_bytes: int
    method: str  # LoRA, LoCon, DoRA or the name of a related method
    layout: str  # who names keys like this
    base: str
    precision: dict[str, int]  # type -> tensors
    parts: tuple[PartReport, ...]
    trigger: str
    words: tuple[tuple[str, int], ...]  # the commonest caption parts and their counts
    settings: dict[str, str]
    merged_from: tuple[str, ...]
    sha256: str  # of the whole file; its first 10 digits are Civitai's AutoV2
    weights_sha256: str  # of all behind the header: kohya's sshs_model_hash, whose first 12 are AutoV3
    metadata: dict[str, str]
    odd: tuple[str, ...] = field(default=())

    @property
    def modules(self) -> int:
        return sum(part.modules for part in self.parts)


def inspect_lora(path: Path) -> LoraReport:
    """Looks into a LoRA of any of the common formats. Raises LorasmithError for a file that is none."""
    weights = open_weights(path)
    metadata = dict(weights.header.metadata)
    other = method_of(weights.unknown)
    if not weights.whole and other is None:
        raise LorasmithError(
            f"{shown(weights.path)} holds no LoRA ({len(weights.header.tensors)} tensors of other names); "
            "choose a LoRA file."
        )
    whole, behind = _hashes(weights.path)
    return LoraReport(
        path=weights.path,
        size_bytes=weights.header.size_bytes,
        method=_method(weights, other[0] if other else ""),
        layout=_layout(weights),
        base=_base(weights, metadata),
        precision=dict(Counter(_PRECISIONS.get(t.dtype, t.dtype.lower()) for t in weights.header.tensors.values())),
        parts=_parts(weights),
        trigger=metadata.get("modelspec.trigger_phrase", ""),
        words=_words(metadata),
        settings={label: metadata[key] for key, label in _SETTINGS.items() if metadata.get(key) not in {None, "None"}},
        merged_from=_merged(metadata),
        sha256=whole,
        weights_sha256=behind,
        metadata=metadata,
        odd=tuple(_oddities(weights, metadata, behind)),
    )


def _hashes(path: Path) -> tuple[str, str]:
    whole, behind = hashlib.sha256(), hashlib.sha256()
    with path.open("rb") as file:
        head = file.read(8)
        header = head + file.read(int.from_bytes(head, "little"))
        whole.update(header)
        while block := file.read(1 << 20):
            whole.update(block)
            behind.update(block)
    return whole.hexdigest(), behind.hexdigest()


def _method(weights: LoraWeights, other: str) -> str:
    if other and not weights.whole:
        return other
    roles = {role for found in weights.whole.values() for role in found}
    shapes = (weights.header.tensors[found["down"]].shape for found in weights.whole.values())
    conv = "mid" in roles or any(len(shape) == 4 and shape[2:] != (1, 1) for shape in shapes)
    name = "LoCon" if conv else "LoRA"
    name = f"DoRA ({name})" if "magnitude" in roles else name
    return f"{name} with {other}" if other else name


def _layout(weights: LoraWeights) -> str:
    keys = list(weights.header.tensors)
    if any(key.startswith("lora_unet_") for key in keys):
        sgm = any(re.match(r"lora_unet_(input|middle|output)_block", key) for key in keys)
        own = any(re.match(r"lora_unet_(down|mid|up)_block", key) for key in keys)
        return "kohya" if not own else "kohya, diffusers' block names" if not sgm else "kohya, two kinds of block names"
    if any(key.startswith("base_model.model.") for key in keys):
        return "peft"
    if any(key.startswith(("unet.", "text_encoder")) for key in keys):
        return "diffusers"
    return "kohya" if any(key.startswith("lora_te") for key in keys) else _UNKNOWN


def _base(weights: LoraWeights, metadata: Mapping[str, str]) -> str:
    """The base's family: by the width of the text that cross-attention reads, for metadata can be wrong."""
    for name, roles in weights.whole.items():
        if re.search(r"attn2[._]to_[kv]$", name):
            shape = weights.header.tensors[roles["down"]].shape
            if len(shape) > 1 and shape[1] in _BASES:
                return _BASES[shape[1]]
    if any(part_of(name) == "te2" for name in weights.whole):
        return "SDXL"
    said = metadata.get("modelspec.architecture") or metadata.get("ss_base_model_version") or ""
    return "SDXL" if re.search(r"stable-diffusion-xl|sdxl", said) else said or "a base it does not name"


def _parts(weights: LoraWeights) -> tuple[PartReport, ...]:
    by_part: dict[str, list[tuple[str, dict]]] = {}
    for name, roles in weights.whole.items():
        by_part.setdefault(part_of(name), []).append((name, roles))
    found = []
    for part in PART_NAMES:
        modules = by_part.get(part, [])
        if not modules:
            continue
        tensors = weights.header.tensors
        ranks = [_rank(weights, roles) for _, roles in modules]
        alphas = [weights.alpha(name, rank) for (name, _), rank in zip(modules, ranks, strict=True)]
        scales = [alpha / rank for alpha, rank in zip(alphas, ranks, strict=True)]
        wide = sum("mid" in roles or tensors[roles["down"]].shape[2:] not in {(), (1, 1)} for _, roles in modules)
        found.append(
            PartReport(part, len(modules), wide, _counted(ranks), _counted(alphas), (min(scales), max(scales)))
        )
    return tuple(found)


def _rank(weights: LoraWeights, roles: Mapping[Any, str]) -> int:
    shape = weights.header.tensors[roles["down"]].shape
    return max(shape[0], 1) if shape else 1


def _counted(values: list) -> dict:
    return dict(Counter(values).most_common())


def _words(metadata: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """The commonest parts of the captions, counted over the folders of kohya's `ss_tag_frequency`."""
    counts: Counter[str] = Counter()
    try:
        for folder in json.loads(metadata.get("ss_tag_frequency", "{}")).values():
            counts.update({str(tag).strip(): int(count) for tag, count in folder.items()})
    except (ValueError, AttributeError, TypeError):
        return ()
    return tuple(counts.most_common(10))


def _merged(metadata: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(part.strip() for part in metadata.get("modelspec.merged_from", "").split(",") if part.strip())


def _oddities(weights: LoraWeights, metadata: Mapping[str, str], weights_hash: str) -> list[str]:
    found = [*_odd_keys(weights), *_odd_weights(weights)]
    ranks = {_rank(weights, roles) for roles in weights.whole.values()}
    stated = metadata.get("ss_network_dim", "")
    if len(ranks) > 2 and stated != "Dynamic":
        found.append(f"Its modules have {len(ranks)} different ranks, from {min(ranks)} to {max(ranks)}.")
    if stated.isdigit() and ranks and int(stated) not in ranks:
        found.append(f"The metadata says rank {stated}, and no module has it.")
    if (said := metadata.get("sshs_model_hash")) and said != weights_hash:
        found.append("The weights are not the ones the metadata's hash was taken of: they were changed since.")
    base = _base(weights, metadata)
    if weights.whole and base not in {"SDXL", "a base it does not name"}:
        found.append(f"It was made for {shown(base)}, not for SDXL.")
    return found


def _odd_keys(weights: LoraWeights) -> list[str]:
    found = []
    halves = [name for name, roles in weights.modules.items() if not {"down", "up"} <= roles.keys()]
    if halves:
        have = "module has" if len(halves) == 1 else "modules have"
        found.append(f"{len(halves)} {have} only one of their two factors (first: {shown(halves[0])}).")
    if weights.whole and _layout(weights) == _UNKNOWN:
        found.append(f"No known program names modules like {shown(next(iter(weights.whole)))}: it may fit no base.")
    if weights.unknown:
        first = shown(weights.unknown[0])
        found.append(f"{len(weights.unknown)} tensors belong to no LoRA (first: {first}); programs may pass them over.")
    silent = [
        name for name, roles in weights.whole.items() if "alpha" not in roles and weights.stated.of(name, 1) is None
    ]
    if silent and len(silent) < len(weights.whole):
        found.append(f"{len(silent)} of {len(weights.whole)} modules state no alpha and count at full scale.")
    return found


def _numbers_beside(weights: LoraWeights, name: str) -> list[Any]:
    """A module's alpha and DoRA magnitudes, by which its factors are multiplied."""
    magnitude = weights.modules[name].get("magnitude")
    arrays = [weights.alpha(name, 1), None if magnitude is None else weights.array(magnitude)]
    return [array for array in arrays if array is not None]


def _odd_weights(weights: LoraWeights) -> list[str]:
    """Weights that are not finite or of no LoRA's type, modules that do nothing, factors that do not fit."""
    import numpy as np

    broken, idle, misfits, scaled, strange = [], [], [], [], []
    for name, roles in weights.whole.items():
        if not all(np.isfinite(one).all() for one in _numbers_beside(weights, name)):
            scaled.append(name)
        if weights.strange_type(name):
            strange.append(name)
            continue
        if not weights.fits(name):
            misfits.append(name)
            continue
        arrays = [np.asarray(weights.array(key)) for role, key in roles.items() if role in {"down", "up", "mid"}]
        if not all(np.isfinite(array).all() for array in arrays):
            broken.append(name)
        elif not all(array.any() for array in arrays):
            idle.append(name)
    found = []
    if strange:
        kind, first = weights.strange_type(strange[0]).lower(), shown(strange[0])
        found.append(f"{len(strange)} modules have weights of a type that no LoRA has ({kind}; first: {first}).")
    if broken:
        found.append(f"{len(broken)} modules have weights that are not finite (first: {shown(broken[0])}).")
    if scaled:
        found.append(f"{len(scaled)} modules are scaled by numbers that are not finite (first: {shown(scaled[0])}).")
    if misfits:
        found.append(f"{len(misfits)} modules have factors that do not fit each other (first: {shown(misfits[0])}).")
    if idle:
        of = "All" if len(idle) == len(weights.whole) else f"{len(idle)} of {len(weights.whole)}"
        found.append(f"{of} modules are all zero and change nothing (first: {shown(idle[0])}).")
    return found
