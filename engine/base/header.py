"""The header of a .safetensors file, read without torch and without touching the weights.

Layout (https://github.com/huggingface/safetensors#format): 8 bytes little-endian header length, the header as
JSON (name -> dtype, shape, data_offsets; `__metadata__` holds strings), then the data, with nothing after it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BaseModelError, shown

_LARGEST_HEADER = 100_000_000  # the safetensors library's own limit
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class TensorInfo:
    """Type (safetensors' names: F16, BF16, F32, F8_E4M3 ...) and shape of one stored tensor."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """What a .safetensors file says about itself."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    size_bytes: int


def read_header(path: Path) -> Header:
    """Reads and checks a header: the file must hold all the bytes it promises and no more.

    Raises BaseModelError when the file is missing, unreadable, empty, a pickle or a pointer in disguise,
    truncated, or no safetensors file at all.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
            length = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else 0
            _check_start(path, start, size, length)
            file.seek(8)
            raw = file.read(length)
    except OSError as error:
        raise BaseModelError(f"{shown(path)} cannot be read: {error.strerror or error}.") from error
    return _parse(path, raw, size)


def _check_start(path: Path, start: bytes, size: int, length: int) -> None:
    name = shown(path)
    if size == 0:
        raise BaseModelError(f"{name} is empty (0 bytes); download or copy it again.")
    sound = start[8:9] == b"{" and length <= _LARGEST_HEADER  # the length's own bytes may look like anything
    if start.startswith(_LFS_POINTER):
        raise BaseModelError(f"{name} is a git-lfs pointer, not the weights; run `git lfs pull` beside it.")
    if not sound and start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04")):
        raise BaseModelError(
            f"{name} is a pickle under another name, which can run programs when opened; "
            "convert it to .safetensors first."
        )
    if not sound and start.lstrip()[:1] == b"<":
        raise BaseModelError(f"{name} is a web page saved under that name; download the file itself again.")
    if size < 8 or (sound and 8 + length > size):
        raise BaseModelError(
            f"{name} is truncated: it ends within its header after {size:,} bytes; download or copy it again."
        )
    if not sound:
        raise BaseModelError(f"{name} is not a safetensors file; give an SDXL checkpoint in .safetensors.")


def _parse(path: Path, raw: bytes, size: int) -> Header:
    try:
        entries = json.loads(raw)
        metadata = {str(key): str(value) for key, value in (entries.pop("__metadata__", None) or {}).items()}
        tensors = {
            name: TensorInfo(entry["dtype"], tuple(int(side) for side in entry["shape"]))
            for name, entry in entries.items()
        }
        ends = (int(entry["data_offsets"][1]) for entry in entries.values())
        promised = 8 + len(raw) + max(ends, default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise BaseModelError(
            f"{shown(path)} has a damaged header and cannot be read; download or copy it again."
        ) from error
    if size < promised:
        raise BaseModelError(
            f"{shown(path)} is truncated: {size:,} of {promised:,} bytes are there; "
            "download or copy it again."
        )
    if size > promised:
        raise BaseModelError(
            f"{shown(path)} is damaged: {size - promised:,} bytes follow its end; download or copy it again."
        )
    return Header(tensors, metadata, size)
