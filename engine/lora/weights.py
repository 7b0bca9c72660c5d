"""A LoRA file's weights by memory map and numpy, for what does not need torch. Light until an array is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.base.header import Header, read_header
from engine.errors import BaseModelError, LorasmithError, shown
from engine.lora.alphas import StatedAlphas, stated_alphas
from engine.lora.damage import check_ranges, fit, misfit, no_number, strange_type
from engine.lora.keys import Role, role_of

if TYPE_CHECKING:
    import numpy as np

# How numpy reads the types of weights; bf16 is the upper half of a float32, and fp8 goes by its bits.
WEIGHTS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "F8_E4M3": "u1", "F8_E5M2": "u1"}
_WHOLE = {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1"}
_NUMPY = WEIGHTS | _WHOLE


@dataclass(frozen=True, eq=False)
class LoraWeights:
    """An opened file: its header, and where each module's tensors are (module -> role -> key)."""

    path: Path
    header: Header
    modules: dict[str, dict[Role, str]]
    unknown: tuple[str, ...]  # keys of tensors that belong to no LoRA
    stated: StatedAlphas  # what peft and diffusers say beside the weights
    _offsets: dict[str, tuple[int, int]]
    _start: int

    @property
    def whole(self) -> dict[str, dict[Role, str]]:
        """The modules that have both factors."""
        return {name: roles for name, roles in self.modules.items() if {"down", "up"} <= roles.keys()}

    def array(self, key: str) -> np.ndarray | None:
        """A tensor in its own shape, float32 (or float64); None where its type is of no use in a LoRA."""
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
        elif info.dtype in {"F8_E4M3", "F8_E5M2"}:
            raw = _fp8(raw, info.dtype)
        return raw.astype(np.float64 if info.dtype == "F64" else np.float32).reshape(info.shape)

    def alpha(self, name: str, rank: int) -> float:
        """The alpha that acts on a module: its own, the one stated beside the weights, or its rank. LorasmithError."""
        key = self.modules[name].get("alpha")
        if key is None:
            stated = self.stated.of(name, rank)
            return float(rank) if stated is None else stated
        own = self.array(key)
        if own is None or own.size != 1:
            raise no_number(self.path, name)
        return float(own.ravel()[0])

    def strange_type(self, name: str) -> str:
        """The type of a module's weights where no LoRA has such; else empty."""
        types = (self.header.tensors[key].dtype for role, key in self.modules[name].items() if role != "alpha")
        return next((dtype for dtype in types if dtype not in WEIGHTS), "")

    def fits(self, name: str) -> bool:
        """Whether the shapes of a whole module's factors make an update."""
        shapes = self._shapes(name)
        return fit(shapes["down"], shapes["up"], shapes.get("mid"))

    def _shapes(self, name: str) -> dict[Role, tuple[int, ...]]:
        roles = self.modules[name]
        return {role: self.header.tensors[key].shape for role, key in roles.items() if role in {"down", "mid", "up"}}

    def factors(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Each whole module's (name, up [out, r], down [r, in...]) with the scale in `up`; the update is up @ down.

        float32. LoCon's three factors come as two. An alpha that is nowhere is scale 1. Raises LorasmithError for
        factors that do not fit each other or are of a type that no LoRA has, and for an alpha that is no number.
        """
        import numpy as np

        for name, roles in self.whole.items():
            if kind := self.strange_type(name):
                raise strange_type(self.path, name, kind.lower())
            if not self.fits(name):
                raise misfit(self.path, name, list(self._shapes(name).values()))
            read = {role: np.asarray(self.array(roles[role]), np.float32) for role in self._shapes(name)}
            down, up = read["down"], read["up"]
            if "mid" in read:
                down = np.einsum("rskl,si->rikl", read["mid"], down.reshape(len(down), -1))
            up, down = up.reshape(len(up), len(down)), down.reshape(len(down), -1)
            yield name, up * np.float32(self.alpha(name, len(down)) / len(down)), down


def _fp8(raw: np.ndarray, dtype: str) -> np.ndarray:
    """fp8's bits as float16, which holds each of its values: e5m2 is the upper half of one.

    e4m3's exponent counts from 7 instead of 15, and all ones mean NaN instead of 480.
    """
    import numpy as np

    wide = raw.astype(np.uint16)
    if dtype == "F8_E5M2":
        return (wide << 8).view(np.float16)
    value = ((wide & 0x80) << 8 | (wide & 0x7F) << 7).view(np.float16) * np.float16(256)
    return np.where(wide & 0x7F == 0x7F, np.float16(np.nan), value)


FOLDER_FILES = ("adapter_model.safetensors", "pytorch_lora_weights.safetensors")  # peft's and diffusers' own names


def lora_file(path: Path) -> Path:
    """The file that a path means: itself, or the one in a folder as peft or diffusers writes it. LorasmithError."""
    path = Path(path)
    if not path.is_dir():
        return path
    there = [path / name for name in FOLDER_FILES if (path / name).is_file()]
    if not there:
        raise LorasmithError(
            f"{shown(path)} is a folder without {' or '.join(FOLDER_FILES)}: name the LoRA's file itself."
        )
    return there[0]


def open_weights(path: Path) -> LoraWeights:
    """Opens a LoRA by its header. LorasmithError for a file that is missing, damaged or no safetensors file.

    Damaged is also one whose metadata or configuration states an alpha that cannot be read.
    """
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
    check_ranges(path, {key: entries[key] for key in header.tensors})
    offsets = {key: tuple(entries[key]["data_offsets"]) for key in header.tensors}
    modules: dict[str, dict[Role, str]] = {}
    unknown: list[str] = []
    for key in header.tensors:
        name, role = role_of(key)
        if role is None:
            unknown.append(key)
        else:
            modules.setdefault(name, {})[role] = key
    stated = stated_alphas(path, header.metadata)
    return LoraWeights(path, header, modules, tuple(unknown), stated, offsets, 8 + length)
