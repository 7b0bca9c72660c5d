"""engine.log: whose it is at a start, how it is written, and its last lines."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import shown
from engine.runs.folder import RunFolder

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_KEPT = 3
_LEFT_SECONDS = 3600.0
_TAIL_BYTES = 16 * 1024


def starting_log(folder: RunFolder, token: str) -> Path:
    """Where an engine that has not yet begun writes its stdout and stderr."""
    return folder.path / f".start-{token}.log"


def adopt_log(folder: RunFolder, token: str | None) -> None:
    """With the lock held, makes the launcher's log engine.log and moves the former ones up.

    Not before, or a second, refused start would take a live engine's log away. `token` None = the engine was
    started by hand and writes to its terminal.
    """
    if token is not None and (mine := starting_log(folder, token)).exists():
        for number in range(_KEPT, 0, -1):
            older = folder.path / (f"engine.{number - 1}.log" if number > 1 else "engine.log")
            with contextlib.suppress(FileNotFoundError):
                older.replace(folder.path / f"engine.{number}.log")
        mine.replace(folder.log)
    # Left by launchers that were killed while their engine was refused; a young one may be another's start.
    for left in folder.path.glob(".start-*.log"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
                left.unlink()


class _Forgiving(io.RawIOBase):
    """A descriptor that drops what cannot be written: a library's print must not end training on a full disk."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Buffer, /) -> int:
        try:
            return os.write(self._descriptor, data)
        except OSError as error:
            # EIO: a terminal that is gone, for an engine started by hand.
            if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EPIPE}:
                raise
            return memoryview(data).nbytes


def forgive_output() -> None:
    """Makes this process's stdout and stderr such that no print can raise, whatever the disk or the text."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        raw = io.BufferedWriter(_Forgiving(descriptor))
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        getattr(sys, name).flush()
        setattr(sys, name, text)


def log_tail(folder: RunFolder, lines: int = 12) -> tuple[str, ...]:
    """The last lines of engine.log that say something, safe to print; a progress bar's last state only."""
    try:
        with folder.log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            said = file.read().decode("utf-8", "replace")
    except OSError:
        return ()
    whole = (line.rstrip("\r").rpartition("\r")[2].expandtabs().rstrip() for line in said.split("\n"))
    return tuple(shown(line) for line in whole if line.strip())[-lines:]
