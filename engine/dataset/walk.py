"""Every file under a folder, in natural order, each either sorted into a kind or named as a problem."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.dataset.captions import CAPTION_SUFFIXES
from engine.dataset.picture import PICTURE_SUFFIXES
from engine.dataset.sniff import HEAD_BYTES, other_kind, picture_kind
from engine.errors import DatasetError, shown

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """Something a person should know about one file or folder; `sentence` is whole and safe to print.

    An "error" means the file takes no part in the training; a "warning" that it does, but not as one might think.
    """

    path: Path
    sentence: str
    severity: Severity


@dataclass
class Found:
    """What lies under a folder; `visited` are the folders seen, by device and inode."""

    pictures: list[Path] = field(default_factory=list)
    captions: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    visited: dict[tuple[int, int], Path] = field(default_factory=dict)


# What other programs leave beside pictures: caches, thumbnails, metadata. Not worth a word.
_SIDE_SUFFIXES = frozenset({".npz", ".json", ".jsonl", ".toml", ".xmp", ".aae"})
_SIDE_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx", "@eadir"})


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sorts `2.jpg` before `10.jpg`, folder by folder, regardless of case."""
    return tuple(
        piece
        for part in path.parts
        # A name is sorted without its ending first; (0, ...) ends a name, its own spelling breaks ties.
        for piece in (*_pieces(Path(part).stem), (0, 0, ""), *_pieces(Path(part).suffix), (0, 0, part))
    )


def _pieces(text: str) -> list[tuple[int, int, str]]:
    return [
        (1, int(digits), "") if digits else (2, 0, letters.casefold())
        for digits, letters in re.findall(r"([0-9]+)|([^0-9]+)", text)
    ]


def walk(root: Path, caption_suffix: str, skip: tuple[Path, ...] = ()) -> Found:
    """Sorts everything under `root` into pictures, captions and problems; follows links to folders, each once.

    `skip` are folders whose content is known to be something else. Raises DatasetError if `root` cannot be listed.
    """
    found = Found()
    suffixes = {*CAPTION_SUFFIXES, caption_suffix.lower()}
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            where = folder.stat()
            seen = found.visited.setdefault((where.st_dev, where.st_ino), folder)
            if seen is not folder:
                found.problems.append(Problem(folder, f"{_called(folder, root)} leads back to "
                                              f"{_called(seen, root)}, which is read already: remove the link.",
                                              "warning"))  # fmt: skip
                continue
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: natural_key(Path(entry.name)))
        except OSError as error:
            sentence = (
                f"{_called(folder, root)} cannot be read ({error.strerror}): give this user the right to read it, "
                "or move it elsewhere."
            )
            if folder is root:
                raise DatasetError(sentence) from error
            found.problems.append(Problem(folder, sentence, "error"))
            continue
        inner = [path for entry in entries if (path := _sort_in(entry, root, suffixes, found)) and path not in skip]
        folders.extend(reversed(inner))
    found.pictures.sort(key=lambda path: natural_key(path.relative_to(root)))
    return found


def _sort_in(entry: os.DirEntry[str], root: Path, caption_suffixes: set[str], found: Found) -> Path | None:
    """Files one entry under `found`; gives the path back if it is a folder to be read."""
    path = Path(entry.path)
    if entry.name.startswith(".") or entry.name.lower() in _SIDE_NAMES:
        return None
    called = _called(path, root)
    suffix = path.suffix.lower()
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        why = "is a link to nothing" if entry.is_symlink() else f"cannot be looked at ({error.strerror})"
        found.problems.append(Problem(path, f"{called} {why}: remove it or give it back its target.", "error"))
        return None
    if stat.S_ISDIR(mode):
        # A folder where a caption should be is told by the caption's reader, which knows the picture.
        if suffix in caption_suffixes:
            found.captions.append(path)
        return path
    if not stat.S_ISREG(mode):
        found.problems.append(Problem(path, f"{called} is a pipe, socket or device, not a file: remove it.", "error"))
    elif suffix in PICTURE_SUFFIXES:
        found.pictures.append(path)
    elif suffix in caption_suffixes:
        found.captions.append(path)
    elif suffix not in _SIDE_SUFFIXES:
        found.problems.append(Problem(path, _stray(path, called), "warning"))
    return None


def _stray(path: Path, called: str) -> str:
    """What to say of a file that is neither picture nor caption by its name."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError:
        head = b""
    kind = picture_kind(head)
    if kind == "TIFF" and path.suffix:
        return f"{called} may be a camera's raw picture, which is not read: export it as JPEG or PNG."
    if kind:
        return f"{called} is a {kind} picture under an unknown ending, and is not used: rename it to .{kind.lower()}."
    holds = other_kind(head)
    what = f" ({holds})" if holds and holds != "text" else ""
    return f"{called} is neither a picture nor a caption{what} and is not used: move it elsewhere."


def _called(path: Path, root: Path) -> str:
    return shown(path if path == root else path.relative_to(root))
