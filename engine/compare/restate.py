"""A LoRA file under other metadata: the same tensors to the bit, kohya's two hashes computed anew. Light."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.base.header import read_header
from engine.errors import BaseModelError, LorasmithError

_BLOCK = 1 << 20
_LEGACY = slice(0x100000, 0x110000)  # the 64 KB that A1111's old hash is taken of


def restate(source: Path, to: Path, changes: Mapping[str, str]) -> dict[str, str]:
    """Copies `source` to `to` with `changes` in its metadata, and returns the metadata that it then has.

    All that follows the header is copied byte for byte. As kohya does, `sshs_model_hash` is the sha256 of that, and
    `sshs_legacy_hash` is taken of a file with these tensors and the `ss_*` metadata alone. Raises LorasmithError for
    a file that is not whole; OSError (disk full) passes on.
    """
    try:
        read_header(source)
    except BaseModelError as error:
        raise LorasmithError(f"The LoRA cannot be written under its name: {error}") from None
    with source.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        entries = json.loads(file.read(length))
        start = file.tell()
        metadata = {**(entries.pop("__metadata__", None) or {}), **changes}
        kohya = {key: value for key, value in metadata.items() if key.startswith("ss_")}
        head = _head(kohya, entries)
        near = head + file.read(max(0, _LEGACY.stop - len(head)))
        metadata["sshs_legacy_hash"] = hashlib.sha256(near[_LEGACY]).hexdigest()[:8]
        file.seek(start)
        metadata["sshs_model_hash"] = _sum(file)
        file.seek(start)
        with to.open("wb") as written:
            written.write(_head(metadata, entries))
            while block := file.read(_BLOCK):
                written.write(block)
    return metadata


def file_sum(path: Path) -> str:
    """The sha256 of a whole file: what model pages know it by."""
    with path.open("rb") as file:
        return _sum(file)


def _head(metadata: Mapping[str, str], entries: Mapping[str, Any]) -> bytes:
    """The header as the safetensors library writes it: compact JSON, filled up so that the weights are aligned."""
    text = json.dumps({"__metadata__": metadata, **entries}, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _sum(file: Any) -> str:
    found = hashlib.sha256()
    while block := file.read(_BLOCK):
        found.update(block)
    return found.hexdigest()
