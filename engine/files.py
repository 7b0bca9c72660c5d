"""Writing files: never over a person's unasked, and so that a reader meets the old one or the new one, never half."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from engine.errors import LorasmithError, shown

_LONGEST_NAME = 255  # bytes of a file's name, on every file system that people use
_SPARE = 1 << 28  # bytes that stay free on a disk


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


def check_free(path: Path, *, force: bool) -> None:
    """LorasmithError where something is at the place of a file to be written, and it was not said to overwrite it."""
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise LorasmithError(f"The name {shown(path.name[:40])}... is too long for a file: choose a shorter one.")
    if path.is_dir():
        raise LorasmithError(f"{shown(path)} is a folder: choose another name.")
    if not force and (path.exists() or path.is_symlink()):
        raise LorasmithError(f"{shown(path)} exists: choose another name, or add --force to overwrite it.")


def check_space(
    folder: Path, wanted: float, what: str, advice: str, trouble: type[LorasmithError] = LorasmithError
) -> None:
    """Raises `trouble` where a disk cannot take so many bytes and keep some free: better said before hours of work.

    what: the beginning of the sentence, "The plot takes"; advice: its end, "name fewer values".
    """
    free = shutil.disk_usage(folder).free
    if wanted and wanted + _SPARE > free:
        raise trouble(
            f"{what} about {_room(max(wanted, 1e6))} in {shown(folder)}, where {_room(free)} are free and "
            f"{_room(_SPARE)} are to stay so: {advice}."
        )


def _room(size: float) -> str:
    """Bytes as they are said of a disk: "268 MB", "6.9 GB"."""
    return f"{size / 1e6:,.0f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"


def check_writable(folder: Path) -> None:
    """LorasmithError where no file can be made in a folder: better said before hours of work than after them."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise LorasmithError(
            f"No file can be written in {shown(folder)} ({error.strerror}): choose another folder."
        ) from error


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
