"""What captions said before they were changed, so that every change is one undo away.

Each change of a folder's captions, by a model or by hand, is one operation: a file of JSON lines with the former bytes
of every caption it touched and the SHA-256 of what was written instead. It lies in $LORASMITH_HOME/captions, keyed by
the folder's path, not among the pictures: nothing of ours travels with a data set that is shared, and trainers that
read every file of a folder stay undisturbed. A folder that is moved leaves its history behind.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from engine.errors import LorasmithError, shown
from engine.files import atomic_path
from engine.runs.folder import home

_NAME = re.compile(r"(\d{6})\.jsonl")
_UNDONE = ".undone"
_AT_ONCE = 16
T = TypeVar("T")


class CaptionError(LorasmithError):
    """Captions that cannot be read, written or taken back: names the file or folder."""


@dataclass(frozen=True)
class Operation:
    """One change of a folder's captions: `what` it was in words, `when` it began (seconds since 1970)."""

    number: int
    what: str
    when: float
    run: str
    path: Path


@dataclass(frozen=True)
class Undone:
    """What an undo did: captions `restored`, and names of those `left`, as a person has changed them since."""

    what: str
    restored: int
    left: tuple[str, ...]
    kept_in: Path


@dataclass(frozen=True)
class Write:
    """A caption to be written: `before` are the bytes the writer saw (None: no file), `after` those to be there."""

    path: Path
    before: bytes | None
    after: bytes


@dataclass
class Journal:
    """An operation being written; open one with `begin`, close it by leaving the `with` block."""

    root: Path
    operation: Operation
    _file: int
    done: set[str] = field(default_factory=set)
    """Captions that say what this operation wanted, relative to the folder."""

    def write(self, writes: Iterable[Write]) -> list[str]:
        """Writes captions, each atomically, after their former bytes are safe; gives a sentence for each refusal.

        A caption that is no longer what its writer saw has been changed by somebody meanwhile, and stays. OSError
        (disk full) passes on; what was written before it is kept and can be taken back.
        """
        refused: list[str] = []
        ready: list[tuple[Write, Path]] = []
        for write in writes:
            path = Path(os.path.realpath(write.path))  # a link stays a link
            if _content(path) != write.before:
                refused.append(
                    f"{shown(self.named(write.path))} has been changed by somebody else meanwhile, and is left as "
                    "it is."
                )
            elif write.before == write.after:
                self.done.add(self.named(write.path))
            else:
                ready.append((write, path))
        lines = [self._line(write) for write, _ in ready]
        _append(self._file, "".join(lines).encode("ascii"))
        done, error = _together(lambda one: put(one[1], one[0].after), ready)
        self.done.update(self.named(write.path) for write, _ in done)
        if error is not None:
            raise error
        return refused

    def named(self, path: Path) -> str:
        """A caption's path relative to the folder, as `done` has it."""
        return os.path.relpath(path, self.root)

    def _line(self, write: Write) -> str:
        after = hashlib.sha256(write.after).hexdigest()
        entry = {"file": self.named(write.path), **_told(write.before), "after": after}
        return json.dumps(entry) + "\n"


@contextlib.contextmanager
def begin(root: Path, what: str, *, run: str = "") -> Iterator[Journal]:
    """Opens a new operation; one that wrote nothing leaves no trace.

    An operation of the same `run` (an absolute path) that is still the newest is gone on with, so that a job that
    was stopped and resumed is one undo. CaptionError: the journal cannot be written, or another process is at it.
    """
    root = root.resolve()
    try:
        operation, handle, done = _opened(root, what, run)
    except OSError as error:
        raise CaptionError(
            f"the captions' history cannot be kept in {shown(_folder(root))} ({error.strerror}), so nothing is "
            "changed: make room there, or set LORASMITH_HOME."
        ) from error
    journal = Journal(root, operation, handle, set(done))
    try:
        yield journal
    finally:
        # The lines come first: of captions that a full disk refused there may be lines, and nothing to take back.
        if os.fstat(handle).st_nlink and not _there(root, _entries(operation.path)):
            operation.path.unlink(missing_ok=True)
        os.close(handle)


def operations(root: Path) -> list[Operation]:
    """The operations of a folder that can be taken back, oldest first."""
    found = []
    for path in _files(root.resolve()):
        head = _head(path)
        if head is not None:
            found.append(Operation(int(path.name[:6]), str(head.get("what", "")), float(head.get("t", 0)),
                                   str(head.get("run", "")), path))  # fmt: skip
    return found


def written_by(root: Path, run: str) -> set[str]:
    """The captions (relative to the folder) that a run has written and that nobody took back."""
    root = root.resolve()
    return _there(root, [entry for one in operations(root) if one.run == run for entry in _entries(one.path)])


def undo(root: Path) -> Undone:
    """Takes the newest operation back: every caption it wrote is again what it was, or gone where there was none.

    What was changed after it (by hand, by another program) is left and named. CaptionError: nothing to undo, the
    operation still goes on, or the folder cannot be written; called again it goes on where it broke off.
    """
    root = root.resolve()
    known = [one for one in operations(root) if _entries(one.path)]
    if not known:
        raise CaptionError(f"there is nothing to undo: lorasmith has changed no captions in {shown(root)}.")
    last = known[-1]
    with _held(last.path, root):
        entries = _first_and_last(_entries(last.path))
        outcomes = dict.fromkeys((str(entry["file"]) for entry in entries), "")

        def put_back(entry: dict) -> None:
            outcomes[str(entry["file"])] = _restore(root, entry)

        _, error = _together(put_back, entries)
        if error is not None:
            raise error
        restored = sum(outcome == "restored" for outcome in outcomes.values())
        left = [name for name, outcome in outcomes.items() if outcome == "left"]
        kept_in = last.path.with_name(last.path.name + _UNDONE)
        last.path.replace(kept_in)
    return Undone(last.what, restored, tuple(left), kept_in)


def put(path: Path, data: bytes) -> None:
    """Writes a caption in one piece; an existing file keeps its permissions. OSError passes on."""
    with atomic_path(path) as beside:
        beside.write_bytes(data)
        with contextlib.suppress(FileNotFoundError):
            beside.chmod(stat.S_IMODE(path.stat().st_mode))


def _together(work: Callable[[T], object], items: Sequence[T]) -> tuple[list[T], BaseException | None]:
    """Does the work on every item, some at a time; those that were done, and the first error of the others.

    Each caption is flushed to the disk, which takes hardly longer for sixteen at once than for one.
    """
    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, max(1, len(items)))) as pool:
        errors = [future.exception() for future in [pool.submit(work, item) for item in items]]
    done = [item for item, error in zip(items, errors, strict=True) if error is None]
    return done, next((error for error in errors if error is not None), None)


def _restore(root: Path, entry: dict) -> str:
    path = Path(os.path.realpath(root / entry["file"]))
    before = _former(entry)
    try:
        now = _content(path)
        if now == before:
            return "same"
        if now is None or hashlib.sha256(now).hexdigest() not in entry["ours"]:
            return "left"
        if before is None:
            path.unlink()
        else:
            put(path, before)
    except OSError as error:
        raise CaptionError(
            f"{shown(path)} cannot be put back ({error.strerror}); what is back is kept, and the same undo goes on "
            "when that is mended."
        ) from error
    return "restored"


def _there(root: Path, entries: Iterable[dict]) -> set[str]:
    """The captions of a journal that no longer say what they said before.

    The journal is written first: a full disk or a kill leaves lines of captions that were never written.
    """
    there = set()
    for entry in _first_and_last(entries):
        try:
            now = _content(root / entry["file"])
        except OSError:
            now = b""  # no longer a file: somebody has been here since
        if now != _former(entry) or (now is not None and hashlib.sha256(now).hexdigest() in entry["ours"]):
            there.add(str(entry["file"]))
    return there


def _first_and_last(entries: Iterable[dict]) -> list[dict]:
    """One entry a caption: what it said before the operation, and everything the operation wrote there."""
    whole: dict[str, dict] = {}
    for entry in entries:
        first = whole.setdefault(str(entry["file"]), {**entry, "ours": set()})
        first["ours"].add(entry["after"])
    return list(whole.values())


def _opened(root: Path, what: str, run: str) -> tuple[Operation, int, set[str]]:
    folder = _folder(root)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    taken = _files(root, undone=True)
    last = operations(root)[-1:]
    if run and last and last[0].run == run:
        handle = os.open(last[0].path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        _lock(handle, root)
        if not last[0].path.read_bytes().endswith(b"\n"):
            _append(handle, b"\n")  # ends a line of which the disk took half
        return last[0], handle, _there(root, _entries(last[0].path))
    number = 1 + max((int(path.name[:6]) for path in taken), default=0)
    while True:
        path = folder / f"{number:06d}.jsonl"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            break
        except FileExistsError:
            number += 1
    _lock(handle, root)
    head = {"v": 1, "folder": os.fspath(root), "what": what, "run": run, "t": round(time.time(), 3)}
    _append(handle, json.dumps(head).encode("ascii") + b"\n")
    return Operation(number, what, head["t"], run, path), handle, set()


def _append(handle: int, data: bytes) -> None:
    """All of it or OSError; a torn end is cut off again, so that the next line begins on its own."""
    if not data:
        return
    size = os.fstat(handle).st_size
    try:
        rest = data
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)
        raise


def _lock(handle: int, root: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
            raise
        raise CaptionError(
            f"the captions in {shown(root)} are being written at this moment: wait for that to end, or stop it "
            "(`lorasmith status` names the run)."
        ) from None


@contextlib.contextmanager
def _held(path: Path, root: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        _lock(handle, root)
        yield
    finally:
        os.close(handle)


def _folder(root: Path) -> Path:
    key = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    name = re.sub(r"[^\w.-]+", "-", root.name)[:40] or "folder"
    return home() / "captions" / f"{name}-{key}"


def _files(root: Path, *, undone: bool = False) -> list[Path]:
    try:
        names = list(_folder(root).iterdir())
    except FileNotFoundError:
        return []
    return sorted(
        path for path in names if _NAME.fullmatch(path.name.removesuffix(_UNDONE) if undone else path.name)
    )


def _head(path: Path) -> dict | None:
    try:
        with path.open("rb") as file:
            said = json.loads(file.readline())
    except (OSError, ValueError):
        return None  # a start that never got its first line written: nothing was changed under it
    return said if isinstance(said, dict) and "what" in said else None


def _entries(path: Path) -> list[dict]:
    entries = []
    for line in path.read_bytes().split(b"\n")[1:]:
        with contextlib.suppress(ValueError):  # a line that the disk took half of was never acted on
            said = json.loads(line)
            if isinstance(said, dict) and {"file", "after"} <= said.keys():
                entries.append(said)
    return entries


def _told(data: bytes | None) -> dict[str, str | None]:
    """Former bytes as a person can read them where they are UTF-8, else in base 64."""
    if data is None:
        return {"before": None}
    try:
        return {"before": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"before64": base64.b64encode(data).decode("ascii")}


def _former(entry: dict) -> bytes | None:
    if "before64" in entry:
        return base64.b64decode(entry["before64"])
    return None if entry.get("before") is None else str(entry["before"]).encode("utf-8")


def _content(path: Path) -> bytes | None:
    """A file's bytes, None where there is none. OSError for what is no file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
