"""Writing a LoRA that was made from others: kohya's format, whole, read back and held against what was meant."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from engine.errors import LorasmithError, shown
from engine.files import atomic_path, check_free
from engine.lora import names
from engine.lora.file import DTYPE, Factors, LoraFile, load_lora, write_tensors
from engine.lora.keys import kohya_name, part_of
from engine.lora.spectrum import update_inner
from engine.lora.weights import open_weights
from engine.plan import FilePrecision

Progress = Callable[[int, int], None]
_CROSS = re.compile(r"attn2[._]to_[kv]$")
_SDXL_TEXT = 2048  # width of the text that SDXL's cross-attention reads
_ROUNDING = 0.02  # of the update's norm: more than bf16's 8 bits can lose


@dataclass(frozen=True)
class PartChange:
    """How one model's share came out: modules, ranks in use (lowest, highest), and the share of the update kept.

    `error` is the Frobenius norm of the difference between what is in the written file and what was meant, over that
    of what was meant: rounding to the file's type and, where ranks were cut, what was cut off.
    """

    part: str
    modules: int
    ranks: tuple[int, int]
    error: float


@dataclass(frozen=True)
class Rewritten:
    """A written and verified file."""

    path: Path
    size_bytes: int
    precision: FilePrecision
    parts: tuple[PartChange, ...]
    notes: tuple[str, ...] = ()


def check_target(path: Path, sources: Sequence[Path], force: bool) -> Path:
    """The absolute target. Raises LorasmithError where it would overwrite something or nobody would find it."""
    path = Path(path).expanduser().absolute()
    if path.suffix != ".safetensors":
        raise LorasmithError(
            f"{shown(path)} does not end in .safetensors, so no program would find it: add that ending."
        )
    if not path.parent.is_dir():
        raise LorasmithError(f"There is no folder {shown(path.parent)}: make it first, or choose another.")
    if any(path.exists() and source.exists() and path.samefile(source) for source in sources):
        raise LorasmithError(f"{shown(path)} is the file that is read: choose another name.")
    check_free(path, force=force)
    return path


def read_source(path: Path) -> tuple[LoraFile, list[str]]:
    """A LoRA under kohya's names, and notes on what is left out of it. Raises LorasmithError for weights not finite."""
    file = load_lora(Path(path).expanduser())
    modules: dict[str, Factors] = {}
    for name, factors in file.modules.items():
        try:
            own = kohya_name(name)
        except KeyError:
            raise LorasmithError(
                f"{shown(name)} in {shown(file.path.name)} is a module that kohya's format has no name for: "
                "use a LoRA of SDXL."
            ) from None
        if own in modules:
            raise LorasmithError(f"{shown(file.path.name)} holds {shown(own)} twice: get the file again.")
        _check(file, name, factors)
        if own != name and _CROSS.search(name) and factors.down.shape[1] != _SDXL_TEXT:
            raise LorasmithError(
                f"{shown(file.path.name)} was trained on a base of another shape than SDXL, whose blocks kohya's names "
                "count otherwise than the names in it: give the file as its trainer wrote it, in kohya's names."
            )
        modules[own] = factors
    unknown = open_weights(file.path).unknown
    notes = [file.left_out] if file.left_out else []
    if unknown:
        notes.append(
            f"{len(unknown)} tensors of {shown(file.path.name)} belong to no LoRA (first: {shown(unknown[0])}) and "
            "were left out."
        )
    return replace(file, modules=modules), notes


def _check(file: LoraFile, name: str, factors: Factors) -> None:
    # As float64, for torch cannot ask this of fp8's types.
    if not all(torch.isfinite(factor.double()).all() for factor in (factors.down, factors.up)):
        raise LorasmithError(
            f"The weights of {shown(name)} in {shown(file.path.name)} are not finite: "
            "use another checkpoint of this LoRA."
        )


def usual_precision(files: Sequence[LoraFile]) -> FilePrecision:
    """The type that most weights of these files have, the wider one where files differ; fp32 for any other."""
    names: dict[torch.dtype, FilePrecision] = {dtype: name for name, dtype in DTYPE.items()}
    found = set()
    for file in files:
        counts = Counter(factors.up.dtype for factors in file.modules.values())
        found.add(names.get(counts.most_common(1)[0][0], "fp32"))
    return found.pop() if len(found) == 1 else "fp32"


def write_verified(
    path: Path, modules: Mapping[str, Factors], meant: Mapping[str, Sequence[Factors]], precision: FilePrecision,
    metadata: Mapping[str, str], allowed: float, notes: Sequence[str],
) -> Rewritten:  # fmt: skip
    """Writes `modules`, reads them back, and only then puts the file in its place.

    What is read is held against `meant`: for each module the updates whose sum it stands for. Raises LorasmithError
    for weights that do not fit into the precision, and where a part's error exceeds `allowed` by more than rounding.
    """
    with atomic_path(path) as beside:
        write_tensors(beside, _tensors(modules, precision), metadata)
        parts = _verified(beside, meant, allowed)
    return Rewritten(path, path.stat().st_size, precision, parts, tuple(notes))


def _tensors(modules: Mapping[str, Factors], precision: FilePrecision) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, factors in modules.items():
        made = {
            "lora_down.weight": factors.down.to(DTYPE[precision]).contiguous(),
            "lora_up.weight": factors.up.to(DTYPE[precision]).contiguous(),
            "alpha": torch.tensor(factors.alpha, dtype=torch.float32),
        }
        if factors.magnitude is not None:
            shape = (-1, *(1,) * (factors.down.dim() - 1))
            made["dora_scale"] = factors.magnitude.reshape(shape).to(DTYPE[precision]).contiguous()
        for role, tensor in made.items():
            if not torch.isfinite(tensor).all():
                raise LorasmithError(
                    f"The weights of {shown(name)} are too large for {precision}: add --precision fp32."
                )
            tensors[f"{name}.{role}"] = tensor
    return tensors


def _verified(path: Path, meant: Mapping[str, Sequence[Factors]], allowed: float) -> tuple[PartChange, ...]:
    written = load_lora(path)
    if written.modules.keys() != meant.keys():
        raise LorasmithError("The file read back does not hold the modules it should; check the disk and try again.")
    parts = []
    for part in (*names.PARTS, "other"):
        own = [name for name in meant if part_of(name) == part]
        if not own:
            continue
        differences = [_difference(written.modules[name], meant[name]) for name in own]
        wrong, whole = (sum(column) for column in zip(*differences, strict=True))
        error = (max(wrong, 0.0) / whole) ** 0.5 if whole > 0 else 0.0
        if not error <= allowed + _ROUNDING:
            raise LorasmithError(
                f"The file read back differs by {error:.1%} from what was meant, so it was not kept: "
                "try --precision fp32."
            )
        ranks = [written.modules[name].rank for name in own]
        parts.append(PartChange(part, len(own), (min(ranks), max(ranks)), error))
    return tuple(parts)


def _difference(written: Factors, meant: Sequence[Factors]) -> tuple[float, float]:
    """The squared norms of (written - sum of meant) and of the sum of meant."""
    own = update_inner(written, written)
    crossed = sum(update_inner(written, one) for one in meant)
    whole = sum(update_inner(one, other) for one in meant for other in meant)
    return own - 2 * crossed + whole, whole
