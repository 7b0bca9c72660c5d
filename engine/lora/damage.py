"""What makes a LoRA file damaged or none, found and said alike by all that read one. Light."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import LorasmithError, shown

# Bits of an element, by the safetensors library's names.
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip


def check_ranges(path: Path, entries: Mapping[str, Any]) -> None:
    """LorasmithError for a header's entry whose type and shape do not fit the bytes it names."""
    for key, entry in entries.items():
        bits = _BITS.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
        sides, offsets = entry["shape"], entry["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (*sides, *offsets))
        if bits and whole and len(offsets) == 2 and math.prod(sides) * bits == (offsets[1] - offsets[0]) * 8:
            continue
        raise LorasmithError(
            f"{shown(path)} has a damaged header (the type and shape of {shown(key)} do not fit its bytes); "
            "copy or download it again."
        )


def fit(down: Sequence[int], up: Sequence[int], mid: Sequence[int] | None = None) -> bool:
    """Whether factors of these shapes make an update: [r, in ...] and [out, r, 1 ...], LoCon's `mid` between them."""
    if len(down) < 2 or len(up) < 2 or not all((*down, *up)) or math.prod(up[2:]) != 1:
        return False
    if mid is None:
        return up[1] == down[0]
    return len(mid) == 4 and all(mid) and tuple(mid[:2]) == (up[1], down[0]) and math.prod(down[2:]) == 1


def misfit(path: Path, name: str, shapes: Sequence[Sequence[int]]) -> LorasmithError:
    """Says that a module's factors make no update."""
    said = " and ".join(str(list(shape)) for shape in shapes)
    return LorasmithError(
        f"The factors of {shown(name)} in {shown(path.name)} do not fit each other ({said}): "
        "the file is damaged, get it again."
    )


def no_number(path: Path, name: str) -> LorasmithError:
    """Says that a module's alpha is not one number."""
    return LorasmithError(
        f"The alpha of {shown(name)} in {shown(path.name)} is not one number: the file is damaged, get it again."
    )


def strange_type(path: Path, name: str, kind: str) -> LorasmithError:
    """Says that a module's weights are of a type that is read for no LoRA: whole numbers, or fewer than 8 bits."""
    return LorasmithError(
        f"The weights of {shown(name)} in {shown(path.name)} are of a type that no LoRA has ({shown(kind)}): "
        "use this LoRA in fp16, bf16 or fp32."
    )
