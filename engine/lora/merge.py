"""`lorasmith merge`: several LoRAs as one, exactly their sum, by putting their ranks side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from engine import __version__
from engine.errors import LorasmithError, shown
from engine.lora.file import Factors, LoraFile
from engine.lora.metadata import ARCHITECTURE, BASE_VERSION
from engine.lora.resize import resized
from engine.lora.rewrite import (
    Progress,
    Rewritten,
    check_target,
    read_source,
    usual_precision,
    write_verified,
)
from engine.plan import FilePrecision


@dataclass(frozen=True)
class Source:
    """A LoRA to merge and how strongly it counts; a negative weight takes it away."""

    path: Path
    weight: float = 1.0


def merge(
    sources: Sequence[Source], to: Path, *, rank: int | None = None, precision: FilePrecision | None = None,
    force: bool = False, progress: Progress = lambda done, total: None,
) -> Rewritten:  # fmt: skip
    """Writes one LoRA whose update is the weighted sum of the sources' updates, module by module.

    Without `rank` nothing is lost: a module's rank is the sum of its ranks. With it, the sum is cut to that rank by
    its singular values. Raises LorasmithError for DoRAs (the sum depends on the base) and for shapes that differ.
    """
    if len(sources) < 2:
        raise LorasmithError("Merging takes at least two LoRAs; to weaken one, give its weight where you draw.")
    for source in sources:
        if source.weight == 0:
            raise LorasmithError(f"{shown(source.path.name)} at weight 0 adds nothing: leave it out.")
    if rank is not None and rank < 1:
        raise LorasmithError(f"The rank {rank} is no rank: give a whole number from 1 up.")
    target = check_target(to, [source.path for source in sources], force)
    files: list[LoraFile] = []
    notes: list[str] = []
    for source in sources:
        file, said = read_source(source.path)
        if file.dora:
            raise LorasmithError(f"{shown(file.path.name)} is a DoRA, whose effect depends on the base: it has no sum.")
        files.append(file)
        notes += said
    precision = precision or usual_precision(files)
    meant = _by_module(files, [source.weight for source in sources])
    modules: dict[str, Factors] = {}
    worst = 0.0
    for done, (name, parts) in enumerate(meant.items()):
        progress(done, len(meant))
        modules[name] = concatenated(parts)
        if rank is not None:
            modules[name], lost = resized(modules[name], rank, None)
            worst = max(worst, lost)
    notes += _overlap(files)
    return write_verified(target, modules, meant, precision, _metadata(sources, files, modules), worst, notes)


def concatenated(parts: Sequence[Factors]) -> Factors:
    """One module whose update is the sum of the parts' updates: their ranks side by side.

    The first part's scale becomes the whole's, so that parts of equal scale and weight go in bit for bit; the others'
    up factors are multiplied by what their scale differs.
    """
    scale = next((abs(part.scale) for part in parts if part.scale), 1.0)
    down = torch.cat([part.down.double() for part in parts])
    up = torch.cat([part.up.double() * (part.scale / scale) for part in parts], dim=1)
    return Factors(down, up, scale * len(down))


def _by_module(files: Sequence[LoraFile], weights: Sequence[float]) -> dict[str, list[Factors]]:
    """Every module of any file with its weighted parts, in the shape of a convolution where it is one."""
    found: dict[str, list[Factors]] = {}
    first: dict[str, LoraFile] = {}
    for file, weight in zip(files, weights, strict=True):
        for name, factors in file.modules.items():
            part = replace(factors, alpha=factors.alpha * weight)
            if name in found:
                part = _like(found[name][0], part, name, first[name], file)
            found.setdefault(name, []).append(part)
            first.setdefault(name, file)
    return found


def _like(one: Factors, other: Factors, name: str, first: LoraFile, second: LoraFile) -> Factors:
    """`other` in the number of dimensions of `one`: a 1 x 1 convolution may be written as a linear layer."""
    same = one.down[0].numel() == other.down[0].numel() and len(one.up) == len(other.up)
    kernels = {tuple(factors.down.shape[2:]) for factors in (one, other)} - {(), (1, 1)}
    if not same or len(kernels) > 1:
        raise LorasmithError(
            f"{shown(name)} is {len(one.up)} x {one.down[0].numel()} in {shown(first.path.name)} and "
            f"{len(other.up)} x {other.down[0].numel()} in {shown(second.path.name)}: merge LoRAs of one base."
        )
    return replace(
        other,
        down=other.down.reshape(other.rank, *one.down.shape[1:]),
        up=other.up.reshape(len(other.up), other.rank, *one.up.shape[2:]),
    )


def _overlap(files: Sequence[LoraFile]) -> list[str]:
    """A note where the LoRAs touch nothing in common: probably of different bases."""
    common = set.intersection(*(set(file.modules) for file in files))
    if common:
        return []
    return ["These LoRAs have no module in common: check that they were trained on the same base."]


def _metadata(
    sources: Sequence[Source], files: Sequence[LoraFile], modules: Mapping[str, Factors]
) -> dict[str, str]:
    """What the merged file says of itself: its parts with weights and hashes; trigger words and tags of all."""
    said = [f"{source.path.stem} ({source.weight:g})" for source in sources]
    ranks = {factors.rank for factors in modules.values()}
    alphas = {factors.alpha for factors in modules.values()}
    triggers = dict.fromkeys(filter(None, (file.metadata.get("modelspec.trigger_phrase", "") for file in files)))
    parts = [
        {"name": s.path.name, "weight": s.weight, "sshs_model_hash": f.metadata.get("sshs_model_hash", "")}
        for s, f in zip(sources, files, strict=True)
    ]
    title = " + ".join(source.path.stem for source in sources)
    made = {
        "ss_v2": "False",
        "ss_base_model_version": files[0].metadata.get("ss_base_model_version", BASE_VERSION),
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(ranks.pop()) if len(ranks) == 1 else "Dynamic",
        "ss_network_alpha": f"{alphas.pop():g}" if len(alphas) == 1 else "Dynamic",
        "ss_output_name": title,
        "ss_training_comment": f"merged by lorasmith {__version__} from {', '.join(said)}",
        "ss_tag_frequency": json.dumps(_tags(files), ensure_ascii=False),
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": files[0].metadata.get("modelspec.architecture", ARCHITECTURE),
        "modelspec.title": title,
        "modelspec.trigger_phrase": ", ".join(triggers),
        "modelspec.merged_from": ", ".join(source.path.stem for source in sources),
        "lorasmith.merged_from": json.dumps(parts, ensure_ascii=False),
    }
    return made


def _tags(files: Sequence[LoraFile]) -> dict[str, object]:
    found: dict[str, object] = {}
    for file in files:
        try:
            tags = json.loads(file.metadata.get("ss_tag_frequency", "{}"))
        except ValueError:
            continue
        if isinstance(tags, dict):
            found.update({(f"{file.path.stem}: {name}" if name in found else name): own for name, own in tags.items()})
    return found
