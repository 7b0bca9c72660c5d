"""A LoRA file's weights by memory map and numpy, for what does not need torch. Light until an array is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.base.header import Header, read_header
from engine.errors import BaseModelError, LorasmithError, shown
from engine.lora.keys import Role, role_of

if TYPE_CHECKING:
    import numpy as np

# How the 16-bit types and their like are read; bf16 is the upper half of a float32.
_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True, eq=False)
class LoraWeights:
    """An opened file: its header, and where each module's tensors are (module -> role -> key)."""

    path: Path
    header: Header
    modules: dict[str, dict[Role, str]]
    unknown: tuple[str, ...]  # keys of tensors that belong to no LoRA
    _offsets: dict[str, tuple[int, int]]
    _start: int

    @property
    def whole(self) -> dict[str, dict[Role, str]]:
        """The modules that have both factors."""
        return {name: roles for name, roles in self.modules.items() if {"down", "up"} <= roles.keys()}

    def array(self, key: str) -> np.ndarray | None:
        """A tensor in its own shape, float32 (or float64); None where numpy cannot read its type (8 bits)."""
        import numpy as np

        info = self.header.tensors[key]
        if info.dtype not in _NUMPY:
            return None
        begin, end = self._offsets[key]
        raw = np.fromfile(
            self.path, dtype=_NUMPY[info.dtype], offset=self._start + begin,
            count=(end - begin) // np.dtype(_NUMPY[info.dtype]).itemsize,
        )  # fmt: skip
        if info.dtype == "BF16":
            raw = (raw.astype(np.uint32) << 16).view(np.float32)
        return raw.astype(np.float64 if info.dtype == "F64" else np.float32).reshape(info.shape)

    def factors(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Each whole module's (name, up [out, r], down [r, in...]) with the scale in `up`; the update is up @ down.

        float32. LoCon's three factors come as two. A missing alpha is scale 1. Modules in a type that numpy cannot
        read are passed over. Raises LorasmithError for factors that do not fit each other.
        """
        import numpy as np

        for name, roles in self.whole.items():
            read = {role: self.array(roles[role]) for role in roles if role in {"down", "up", "mid", "alpha"}}
            if any(tensor is None for tensor in read.values()):
                continue
            down, up = np.asarray(read["down"], np.float32), np.asarray(read["up"], np.float32)
            try:
                if "mid" in read:
                    down = np.einsum("rskl,si->rikl", np.asarray(read["mid"], np.float32), down.reshape(len(down), -1))
                up, down = up.reshape(len(up), len(down)), down.reshape(len(down), -1)
            except ValueError:
                raise LorasmithError(
                    f"The factors of {shown(name)} in {shown(self.path.name)} do not fit each other "
                    f"({list(up.shape)} and {list(down.shape)}): the file is damaged, get it again."
                ) from None
            alpha = float(np.ravel(read["alpha"])[0]) if "alpha" in read else len(down)  # type: ignore[index]
            yield name, up * np.float32(alpha / len(down)), down


_FOLDERS = ("adapter_model.safetensors", "pytorch_lora_weights.safetensors")  # peft's and diffusers' own names


def lora_file(path: Path) -> Path:
    """The file that a path means: itself, or the one in a folder as peft or diffusers writes it. LorasmithError."""
    path = Path(path)
    if not path.is_dir():
        return path
    there = [path / name for name in _FOLDERS if (path / name).is_file()]
    if not there:
        raise LorasmithError(f"{shown(path)} is a folder without {' or '.join(_FOLDERS)}: name the LoRA's file itself.")
    return there[0]


def open_weights(path: Path) -> LoraWeights:
    """Opens a LoRA by its header. Raises LorasmithError for a file that is missing, damaged or no safetensors file."""
    path = lora_file(path)
    if path.suffix.lower() in {".pt", ".ckpt", ".bin", ".pth"}:
        raise LorasmithError(
            f"{shown(path)} is a pickle, which can run code when opened; use the .safetensors file of this LoRA."
        )
    try:
        header = read_header(path)
    except BaseModelError as error:
        raise LorasmithError(str(error).replace("an SDXL checkpoint", "a LoRA")) from None
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entries = json.loads(file.read(length))
    offsets = {key: tuple(entries[key]["data_offsets"]) for key in header.tensors}
    modules: dict[str, dict[Role, str]] = {}
    unknown: list[str] = []
    for key in header.tensors:
        name, role = role_of(key)
        if role is None:
            unknown.append(key)
        else:
            modules.setdefault(name, {})[role] = key
    return LoraWeights(path, header, modules, tuple(unknown), offsets, 8 + length)
