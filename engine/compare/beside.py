"""An exported LoRA's set of files: which name it can have, what each file is called, and whose it is. Light."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from engine.compare.restate import file_sum
from engine.errors import LorasmithError, shown

LORA = ".safetensors"
BESIDE = {"preview": ".png", "words and weight": ".json", "card": ".md", "samples": ".samples.jpg", "page": ".html"}
"""What is written beside NAME.safetensors, under the same name."""

_FORBIDDEN = set('/\\:*?"<>|,[]')
_LONGEST = 120
_OWN = "lorasmith"  # in NAME.json, which A1111 reads: it keeps the keys that it does not know


def name_trouble(name: str, another: str = "give it another") -> str:
    """Why a LoRA cannot have this name, in a sentence that says to do `another`; empty where it can."""
    bad = set(name) & _FORBIDDEN or any(shown(char) != char for char in name)
    if not name.strip() or name.startswith((".", " ", "-")) or name.endswith((" ", ".")) or bad:
        return (
            f"'{shown(name[:_LONGEST])}' cannot be a LoRA's name: {another}, that begins with no dot, space or '-', "
            f"ends with no dot or space and has none of {' '.join(sorted(_FORBIDDEN))}, which programs read as "
            "something else."
        )
    if len(name.encode()) > _LONGEST:
        return f"The name {shown(name[:40])}... is too long: {another}, of up to {_LONGEST} bytes."
    return ""


def with_sums(about: Mapping[str, Any], folder: Path, name: str) -> str:
    """NAME.json's text: what A1111 reads, and the sha256 of each file of the set as it was written into `folder`.

    By these `theirs` knows a file that nobody has changed since.
    """
    files = [folder / f"{name}{ending}" for ending in (LORA, *BESIDE.values()) if ending != ".json"]
    sums = {path.name: file_sum(path) for path in files if path.exists()}
    sums[f"{name}.json"] = _sum_of(about)
    return json.dumps({**about, _OWN: {"sha256": sums}}, ensure_ascii=False, indent=1) + "\n"


def left_of_former(folder: Path, name: str, written: Collection[str], *, force: bool) -> list[Path]:
    """The files of a LoRA that had the name before which would stay beside the new one, and be untrue of it.

    written: the files that are put in place now. Only files as an export wrote them are given, to be removed; for
    others, which a person may have made, it raises LorasmithError, as for all of them without `force`.
    """
    sums = _sums(folder / f"{name}.json")
    rest = [folder / f"{name}{ending}" for ending in BESIDE.values() if f"{name}{ending}" not in written]
    rest = [path for path in rest if path.exists() or path.is_symlink()]
    own = [path for path in rest if _unchanged(path, sums)]
    others = [path for path in rest if path not in own]
    if own and not force:
        raise LorasmithError(
            f"{shown(own[0])} exists, of a LoRA that had this name: give it another name with --name, or add --force "
            "to have what is left of that one removed."
        )
    if others and (own or (folder / f"{name}{LORA}").exists()):
        raise LorasmithError(
            f"{_listed(others)} in {shown(folder)} would be untrue of the new LoRA and may be your own work: move "
            "away or delete what is there of it, or give another name with --name; nothing was changed."
        )
    return own


def remove_left(paths: Iterable[Path]) -> tuple[str, ...]:
    """Removes what `left_of_former` gave; sentences that say so."""
    gone: list[Path] = []
    notes = []
    for path in paths:
        try:
            path.unlink()
            gone.append(path)
        except OSError as error:
            notes.append(f"{shown(path)} tells of the LoRA that had this name and cannot be removed "
                         f"({error.strerror}): remove it.")  # fmt: skip
    if gone:
        notes.append(f"Removed, as they told of the LoRA that had this name before: {_listed(gone)}.")
    return tuple(notes)


def _unchanged(path: Path, sums: Mapping[str, Any]) -> bool:
    """Whether it is as the export wrote it."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        if path.suffix != ".json":
            return sums.get(path.name) == file_sum(path)
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return bool(sums) and sums.get(path.name) == _sum_of({key: about[key] for key in about if key != _OWN})


def _sums(path: Path) -> Mapping[str, Any]:
    """What an export wrote of its files; empty where NAME.json is of another program, or not there."""
    try:
        sums = json.loads(path.read_text(encoding="utf-8"))[_OWN]["sha256"]
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return {}
    return sums if isinstance(sums, dict) else {}


def _sum_of(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _listed(paths: list[Path]) -> str:
    names = [shown(path.name) for path in paths]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
