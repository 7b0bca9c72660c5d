"""A .zip of pictures, unpacked once into a folder named by its content; safe against hostile archives."""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.errors import DatasetError, shown

MAX_ENTRIES = 100_000
# Pictures hardly compress; an archive that unpacks to far more than itself is a bomb or not a set of pictures.
MAX_GROWTH = 20
ALWAYS_ALLOWED = 2 * 2**30
_CHUNK = 1 << 20
# What zipfile and its decompressors raise on damaged archives (NotImplementedError is a RuntimeError,
# UnicodeDecodeError a ValueError).
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    IndexError,
)


@dataclass(frozen=True)
class Unpacked:
    """Where an archive's files lie now, and the (name, sentence) of each that was not unpacked."""

    folder: Path
    refused: tuple[tuple[str, str], ...]


def is_zip(path: Path) -> bool:
    """Whether a file is a zip archive by its content, whole or cut off. OSError passes on."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04" or zipfile.is_zipfile(stream)


def unpack(path: Path, cache: Path) -> Unpacked:
    """Unpacks an archive to `cache/<hash of its bytes>`, or finds it unpacked there already.

    Entries that point outside, links and unusable names are refused one by one; a damaged, encrypted or oversized
    archive raises DatasetError, and nothing half-unpacked is left behind.
    """
    called = shown(path)
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        with zipfile.ZipFile(path) as archive:
            safe, refused = _sorted_out(archive, called)
            target = cache / digest[:32]
            if not target.is_dir():
                _unpack_all(archive, safe, target, _allowance(path, safe, called), called)
    except _DAMAGED as error:
        raise DatasetError(f"{called} is a damaged or unreadable archive ({shown(error)}): pack it anew.") from error
    except OSError as error:
        raise DatasetError(
            f"{called} cannot be unpacked to {shown(cache)} ({error.strerror or error}): make room or rights there, "
            "or unpack it yourself and give the folder."
        ) from error
    return Unpacked(_inner(target), refused)


def _sorted_out(
    archive: zipfile.ZipFile, called: str
) -> tuple[dict[PurePosixPath, zipfile.ZipInfo], tuple[tuple[str, str], ...]]:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise DatasetError(f"{called} holds {len(entries):,} files, more than {MAX_ENTRIES:,}: split it.")
    safe: dict[PurePosixPath, zipfile.ZipInfo] = {}
    refused: list[tuple[str, str]] = []
    for entry in entries:
        if entry.is_dir():
            continue
        if entry.flag_bits & 0x1:
            raise DatasetError(f"{called} is encrypted: unpack it yourself and give the folder.")
        name = PurePosixPath(entry.filename.replace("\\", "/"))
        why = _refusal(name, entry)
        if why:
            refused.append((entry.filename, f"{shown(entry.filename)} in the archive {why} and is not unpacked."))
        elif name in safe:
            refused.append((entry.filename, f"{shown(entry.filename)} is in the archive twice; the first is used."))
        else:
            safe[name] = entry
    return safe, tuple(refused)


def _refusal(name: PurePosixPath, entry: zipfile.ZipInfo) -> str | None:
    if name.is_absolute() or ".." in name.parts or not name.parts or ":" in name.parts[0]:
        return "points outside the archive"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a link"
    if any(len(os.fsencode(part)) > 240 for part in name.parts):
        return "has a name too long for a file"
    return None


def _allowance(path: Path, safe: dict[PurePosixPath, zipfile.ZipInfo], called: str) -> int:
    """How many bytes may be written; refuses early what its own directory says is more."""
    allowed = max(ALWAYS_ALLOWED, MAX_GROWTH * path.stat().st_size)
    stated = sum(entry.file_size for entry in safe.values())
    if stated > allowed:
        raise DatasetError(
            f"{called} would unpack to {stated / 1e9:,.1f} GB, more than the {allowed / 1e9:,.1f} GB that an archive "
            "of pictures this size can hold: unpack it yourself and give the folder."
        )
    return allowed


def _unpack_all(
    archive: zipfile.ZipFile, safe: dict[PurePosixPath, zipfile.ZipInfo], target: Path, allowed: int, called: str
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        for name, entry in safe.items():
            place = beside.joinpath(*name.parts)
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, place.open("xb") as sink:
                while chunk := source.read(_CHUNK):
                    allowed -= len(chunk)  # what is really there, whatever the directory says
                    if allowed < 0:
                        raise DatasetError(
                            f"{called} unpacks to far more than it states, as archive bombs do: do not use it."
                        )
                    sink.write(chunk)
        beside.rename(target)
    except OSError:
        if not target.is_dir():  # else another process has just unpacked the same archive
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _inner(folder: Path) -> Path:
    """The folder inside, where an archive holds nothing but one folder."""
    entries = [entry for entry in folder.iterdir() if entry.name != "__MACOSX" and not entry.name.startswith(".")]
    return _inner(entries[0]) if len(entries) == 1 and entries[0].is_dir() and not _numbered(entries[0]) else folder


def _numbered(folder: Path) -> bool:
    # kohya's "12_ohwx woman" must stay below the root, because its name is read.
    return folder.name[:1].isdigit()
