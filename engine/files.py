"""Writing files so that a reader meets the old one or the new one, never half of either."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to; on leaving, it is flushed to disk and renamed into place.

    On an error the half-written file is removed and the old one stays. OSError (disk full, read-only) passes on.
    """
    path = Path(path)
    # The suffix is kept because some writers (Pillow, safetensors) choose the format by it.
    beside = path.with_name(f".{path.stem[:80]}.{os.urandom(4).hex()}{path.suffix}")
    try:
        yield beside
        _flush(beside)
        beside.replace(path)
        _flush(path.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, content: str | bytes) -> None:
    """Writes text (as UTF-8) or bytes in one piece; see `atomic_path`."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_path(path) as beside:
        beside.write_bytes(data)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
