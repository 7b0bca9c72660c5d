"""Proof after writing: the file is read back, matched by each program's rules, and compared with what was trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from engine.errors import LorasmithError, shown
from engine.lora import names
from engine.lora.attach import Adapter
from engine.lora.file import file_tensors
from engine.lora.names import Part
from engine.lora.readers import match_all

_MODEL: dict[Part, str] = {"unet": "unet", "te1": "text_encoder", "te2": "text_encoder_2"}


@dataclass(frozen=True)
class Verification:
    """What the check of a written file has shown."""

    modules: int
    matched: dict[str, int]  # program -> modules that land where they were trained
    max_difference: float  # between the file's tensors and the trained ones rounded to its type
    ignoring: tuple[str, ...] = ()  # programs that read the file but leave DoRA's magnitudes out

    @property
    def message(self) -> str:
        """`722/722 modules, difference 0`"""
        fewest = min(self.matched.values(), default=0)
        text = f"{fewest}/{self.modules} modules, difference {self.max_difference:g}"
        if self.ignoring:
            text += f"; DoRA is experimental and its magnitudes are ignored by {', '.join(self.ignoring)}"
        return text


def verify(path: Path, adapter: Adapter) -> Verification:
    """Reads a file that was just written and raises LorasmithError unless it holds this adapter, whole and findable."""
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise LorasmithError(
            f"{shown(path)} could not be read back after writing ({shown(error)}); "
            "check the disk and write the checkpoint again."
        ) from error
    difference = _difference(path, tensors, adapter)
    matched, ignoring = _findable(path, tensors, adapter)
    return Verification(len(adapter.modules), matched, difference, ignoring)


def _difference(path: Path, tensors: dict[str, torch.Tensor], adapter: Adapter) -> float:
    expected_keys = 0
    worst = 0.0
    for module in adapter.modules.values():
        down = tensors.get(f"{module.name}.lora_down.weight")
        if down is None:
            raise _broken(path, f"{module.name} is missing")
        for key, expected in file_tensors(module, down.dtype).items():
            expected_keys += 1
            found = tensors.get(key)
            if found is None or found.shape != expected.shape:
                raise _broken(path, f"{key} is missing or of another shape")
            worst = max(worst, float((found.double() - expected.double()).abs().max()))
        scale = float(tensors[f"{module.name}.alpha"]) / down.shape[0]
        if abs(scale - module.scale) > 1e-6 * abs(module.scale):
            raise _broken(path, f"alpha of {module.name} gives a scale of {scale:g} instead of {module.scale:g}")
    if expected_keys != len(tensors):
        raise _broken(path, f"it holds {len(tensors)} tensors instead of {expected_keys}")
    if worst != 0.0:
        raise _broken(path, f"its weights differ from the trained ones by up to {worst:g}")
    return worst


def _findable(
    path: Path, tensors: dict[str, torch.Tensor], adapter: Adapter
) -> tuple[dict[str, int], tuple[str, ...]]:
    own = {
        module.name: f"{_MODEL[module.part]}.{module.path.removeprefix('text_model.')}"
        for module in adapter.modules.values()
    }
    layers = names.layers_per_block(adapter.models["unet"].config)  # type: ignore[arg-type]
    results = match_all(tensors.keys(), own.values(), layers)
    for program, result in results.items():
        if result.refused:
            raise _broken(path, f"{program} would refuse it: {result.refused}")
        astray = [name for name, module in own.items() if result.matched.get(name) != module]
        if astray:
            raise _broken(path, f"{program} would not find {len(astray)} of its modules (first: {astray[0]})")
    ignoring = tuple(program for program, result in results.items() if result.ignored)
    return {program: len(result.matched) for program, result in results.items()}, ignoring


def _broken(path: Path, what: str) -> LorasmithError:
    return LorasmithError(
        f"The LoRA written to {shown(path)} is not right: {shown(what)}; "
        "keep the run folder, its state still holds the weights, and report this."
    )
