"""The hash that identifies a base, computed once and remembered while the files stay as they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.base.folder import WEIGHT_STEMS, component_weights
from engine.base.recognise import Recognised
from engine.files import write_atomic

_PIECE = 1 << 24


def base_hash(base: Recognised, cache: Path, report: Callable[[int, int], None] | None = None) -> str:
    """SHA-256 in hexadecimal of a base: of the file itself, or of a folder's lines "component/file sha256".

    The weight files of a folder are those that loading reads. See `files_hash`.
    """
    if base.kind == "single-file":
        files = {base.path.name: base.path}
    else:
        files = {
            f"{component}/{path.name}": path
            for component in sorted(WEIGHT_STEMS)
            for path in component_weights(base.path, component).headers
        }
    return files_hash(files, cache, report)


def files_hash(
    files: Mapping[str, Path], cache: Path, report: Callable[[int, int], None] | None = None
) -> str:
    """SHA-256 of one file, or of several files' lines "name sha256".

    Results are kept in `cache`/hashes.json under path, size and modification time. `report` is told (bytes
    done, bytes in all).
    """
    remembered = _read_cache(cache / "hashes.json")
    total = sum(path.stat().st_size for path in files.values())
    lines, done, fresh = [], 0, False
    for name, path in files.items():
        status = path.stat()
        key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"
        if key not in remembered:
            remembered[key] = _sha256(path, done, total, report)
            fresh = True
        done += status.st_size
        if report is not None:
            report(done, total)
        lines.append(f"{name} {remembered[key]}\n")
    if fresh:
        cache.mkdir(parents=True, exist_ok=True)
        write_atomic(cache / "hashes.json", json.dumps(remembered, indent=1))
    if len(lines) == 1:
        return lines[0].split()[-1]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _read_cache(path: Path) -> dict[str, str]:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # absent or damaged: the hashes are computed again


def _sha256(path: Path, done: int, total: int, report: Callable[[int, int], None] | None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            done += len(piece)
            if report is not None:
                report(done, total)
    return digest.hexdigest()
