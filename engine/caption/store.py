"""The captions of a folder of pictures as the wizard and the command line handle them: read, changed, written.

Light: a thousand captions are read and edited without any model.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.caption.journal import CaptionError, Journal, Write, begin
from engine.dataset.captions import CaptionRules, caption_candidates, read_caption
from engine.dataset.kohya_folder import kohya_root
from engine.dataset.walk import walk
from engine.dataset.zips import is_zip
from engine.errors import shown

_RULES = CaptionRules()


@dataclass(frozen=True)
class Entry:
    """A picture and its caption. `text` None = there is none; "" = the file holds nothing usable.

    `path` is the file it was read from, or would be written to (the picture's stem with .txt); `others` are pictures
    of the same stem, which share it.
    """

    picture: Path
    name: str
    path: Path
    text: str | None
    problems: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        return bool(self.text)


@dataclass(frozen=True)
class Captions:
    """A folder's pictures in natural order, each with its caption; `problems` are sentences about other files."""

    root: Path
    entries: tuple[Entry, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """What an edit would do to one caption; nothing is written until `write_changes` is asked to."""

    entry: Entry
    after: str

    @property
    def before(self) -> str:
        return self.entry.text or ""


@dataclass(frozen=True)
class Written:
    """The pictures whose captions were written, by name, and a sentence for each that was not."""

    names: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return len(self.names)


def read_captions(folder: str | Path) -> Captions:
    """The captions of a folder, its sub-folders included; a kohya project's class pictures are left out.

    CaptionError for a .zip (captions cannot be written into it) and for what is no folder; DatasetError for a folder
    that cannot be listed.
    """
    root = checked_folder(folder)
    layout = kohya_root(root)
    skipped = (*layout.outputs, layout.classes) if layout else ()
    found = walk(root, _RULES.extension, tuple(path for path in skipped if path is not None))
    by_stem: dict[Path, list[Path]] = {}
    for picture in found.pictures:
        by_stem.setdefault(picture.with_suffix(""), []).append(picture)
    entries = []
    for group in by_stem.values():
        others = tuple(path.relative_to(root).as_posix() for path in group[1:])
        entries.append(replace(_entry(group[0], root), others=others))
    # Where nothing can be written or used is told once, by the entry; the walk knows the rest.
    return Captions(root, tuple(entries), tuple(problem.sentence for problem in found.problems))


def read_entry(picture: Path, root: Path) -> Entry:
    """One picture's caption as it is now."""
    return _entry(picture, root)


def checked_folder(folder: str | Path) -> Path:
    """The folder as an absolute path, or CaptionError."""
    root = Path(folder).expanduser().absolute()
    try:
        if is_zip(root):
            raise CaptionError(
                f"{shown(root)} is an archive, and captions cannot be written into one: unpack it and give the folder."
            )
        if not root.is_dir():
            what = "is a file" if root.exists() else "does not exist"
            raise CaptionError(f"{shown(root)} {what}: give the folder that holds the pictures.")
    except OSError as error:
        raise CaptionError(
            f"{shown(root)} cannot be read ({error.strerror}): give this user the right to read it."
        ) from error
    return root


def check_writable(captions: Captions) -> None:
    """CaptionError where a caption's folder does not let this user write, before any work is done."""
    for folder in dict.fromkeys(entry.path.parent for entry in captions.entries):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise CaptionError(
                f"captions cannot be written in {shown(folder)}: give this user the right to write there, or copy "
                "the pictures to a folder of yours."
            )


def write_changes(captions: Captions, changes: Sequence[Change], what: str) -> Written:
    """Writes edits as one operation that `journal.undo` takes back; `what` says in words what it was.

    A caption that somebody else changed since it was read is left and named. CaptionError where the disk refuses:
    what was written before that is kept, and can be taken back.
    """
    if not changes:
        return Written()
    with begin(captions.root, what) as journal:
        return write_with(journal, changes)


def write_with(journal: Journal, changes: Sequence[Change], *, whole: bool = False) -> Written:
    """As `write_changes`, into an operation that is open; `whole` replaces further lines, too.

    An edit changes the caption's line, the file's first; lines below it stay as they are.
    """
    writes, refused = [], []
    for change in changes:
        try:
            before = current_bytes(change.entry)
        except CaptionError as error:
            refused.append(str(error))
            continue
        if _text_of(change.entry) != change.entry.text:
            refused.append(
                f"the caption of {shown(change.entry.name)} has been changed by somebody else meanwhile, and is left "
                "as it is."
            )
            continue
        keep = b"" if whole or before is None else _below(before)
        writes.append(Write(change.entry.path, before, change.after.encode("utf-8", "replace") + keep))
    try:
        refused += journal.write(writes)
    except OSError as error:
        room = "make room there"
        advice = {errno.ENOSPC: room, errno.EDQUOT: room, errno.ENOENT: "bring that folder back"}
        # A job writes batch by batch, so that the count of one batch would say nothing.
        kept = "what was written" if whole else f"{len(_done(journal, changes))} of {len(writes)} were, and"
        raise CaptionError(
            f"a caption in {shown(journal.root)} cannot be written ({error.strerror}); {kept} "
            f"{'is' if whole else 'are'} kept: {advice.get(error.errno or 0, 'see whose files these are')}."
        ) from error
    return Written(_done(journal, changes), tuple(refused))


def _done(journal: Journal, changes: Sequence[Change]) -> tuple[str, ...]:
    return tuple(one.entry.name for one in changes if journal.named(one.entry.path) in journal.done)


def current_bytes(entry: Entry) -> bytes | None:
    """The caption file's bytes, None where there is none; CaptionError where that is a folder, a device, a dead link
    or unreadable.
    """
    path = entry.path
    if not os.path.lexists(path):
        return None
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no regular file"
        raise CaptionError(f"{shown(path)} is {what} where a caption should be: remove or rename it.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise CaptionError(
            f"{shown(path)} cannot be read ({error.strerror}): give this user the right to read it."
        ) from error


def _entry(picture: Path, root: Path) -> Entry:
    name = picture.relative_to(root).as_posix()
    found = read_caption(picture, _RULES, name)
    if found is None:
        return Entry(picture, name, caption_candidates(picture, _RULES)[0], None)
    return Entry(picture, name, found.path, found.text, found.problems)


def _text_of(entry: Entry) -> str | None:
    found = read_caption(entry.picture, _RULES, entry.name)
    return None if found is None else found.text


def _below(data: bytes) -> bytes:
    """What stands below a caption's line, its line end included, as UTF-8 whatever it was."""
    for mark, name in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            text = data.decode(name, errors="replace")
            break
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", errors="replace")
    lines = text.splitlines(keepends=True)
    at = next((index for index, line in enumerate(lines) if line.split()), len(lines) - 1)
    if not lines:
        return b""
    ending = lines[at][len(lines[at].splitlines()[0]) :] if lines[at].splitlines() else ""
    return (ending + "".join(lines[at + 1 :])).encode("utf-8")
