"""The engine's lock: held for its life, asked about without ever being taken.

POSIX record locks (fcntl.lockf) because they vanish with the process even after kill -9 and even while a
forked child lives on, which flock's do not. Their one trap: closing *any* descriptor of the file in the
holding process drops the lock. So the holder opens the file once and never closes it, and `lock_holder` opens
nothing in it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from engine.errors import RunError, shown
from engine.runs.folder import RunFolder

_UNSUPPORTED = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
_BUSY = {errno.EACCES, errno.EAGAIN}
# A lock file on another machine, where locks do not reach: it counts as held while its run was written to
# lately.
_FRESH_SECONDS = 120.0


@dataclass(frozen=True)
class Holder:
    """Who holds a run: process number, machine, wall-clock time it began (None where it is not known)."""

    pid: int
    host: str
    since: float | None


@dataclass(frozen=True)
class HeldLock:
    """The lock of a run, kept until this process ends; there is deliberately no way to release it."""

    path: Path
    descriptor: int
    holder: Holder


# The locks of this very process by (device, inode). F_GETLK never reports a process's own locks to it, and
# opening the file to ask would drop them on closing, so this is the only way the holder can answer for
# itself.
_HELD: dict[tuple[int, int], HeldLock] = {}


def hold_lock(folder: RunFolder) -> HeldLock:
    """Takes the run's lock for the life of this process.

    RunError: another engine (or this one) holds it, or the file cannot be made or written.
    """
    mine = _held_here(folder)
    if mine is not None:
        raise _already(folder, mine.holder)
    try:
        descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RunError(f"cannot open {shown(folder.lock)} ({error.strerror}): check who owns it") from error
    supported = True
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            os.close(descriptor)
            raise _already(folder, lock_holder(folder)) from None
        if error.errno not in _UNSUPPORTED:
            raise RunError(f"cannot lock {shown(folder.lock)} ({error.strerror})") from error
        supported = False
        other = _holder_by_process(folder, _read_content(descriptor))
        if other is not None:
            os.close(descriptor)
            raise _already(folder, other) from None
    holder = Holder(os.getpid(), socket.gethostname(), time.time())
    _write_content(folder, descriptor, holder, supported)
    facts = os.fstat(descriptor)
    held = HeldLock(folder.lock, descriptor, holder)
    _HELD[facts.st_dev, facts.st_ino] = held
    return held


def lock_holder(folder: RunFolder) -> Holder | None:
    """Who holds the run's lock, by F_GETLK; None = nobody. Never takes the lock, safe in the holder."""
    mine = _held_here(folder)
    if mine is not None:
        return mine.holder
    try:
        descriptor = os.open(folder.lock, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RunError(f"cannot read {shown(folder.lock)} ({error.strerror}): check who owns it") from error
    try:
        content = _read_content(descriptor)
        if content.get("locks") is False:
            return _holder_by_process(folder, content)
        try:
            pid = _pid_of_lock(descriptor)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise RunError(f"cannot ask about {shown(folder.lock)} ({error.strerror})") from error
            return _holder_by_process(folder, content)
    finally:
        os.close(descriptor)
    if pid is None:
        return None
    # The content is a moment younger than the lock, and numbers differ between containers: the file's word on
    # host and time counts only where it speaks of the same process, or the kernel cannot name one (0, -1).
    same = pid <= 0 or content.get("pid") == pid
    return _holder_of(content) if same and content else Holder(pid, socket.gethostname(), None)


def boot_id() -> str | None:
    """The kernel's random name of this boot; None where there is no /proc."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return None


def process_start(pid: int) -> int | None:
    """When a process began, in clock ticks since boot: number and start name it for good. None = no such."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command's name may hold spaces and brackets; starttime is field 22, the first after the name is 3.
    return int(text.rpartition(b")")[2].split()[22 - 3])


def _held_here(folder: RunFolder) -> HeldLock | None:
    try:
        facts = folder.lock.stat()
    except OSError:
        return None
    held = _HELD.get((facts.st_dev, facts.st_ino))
    # A forked child inherits the table but not the lock.
    return held if held is not None and held.holder.pid == os.getpid() else None


def _pid_of_lock(descriptor: int) -> int | None:
    """The process that keeps us from the lock, by F_GETLK; struct flock is packed by hand, 64-bit."""
    if sys.platform == "darwin":
        layout, asked = "@qqihh", (0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
        kind_at, pid_at = 3, 2
    else:
        layout, asked = "@hhqqi4x", (fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind_at, pid_at = 0, 4
    answer = struct.unpack(layout, fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(layout, *asked)))
    return None if answer[kind_at] == fcntl.F_UNLCK else answer[pid_at]


def _holder_by_process(folder: RunFolder, content: dict[str, object]) -> Holder | None:
    """Where locks do not work: the process the file names, if it is that very process and alive."""
    holder = _holder_of(content)
    if holder is None:
        return None
    if holder.host != socket.gethostname():
        try:
            quiet = time.time() - folder.events.stat().st_mtime
        except OSError:
            return None
        return holder if quiet < _FRESH_SECONDS else None
    same_boot = content.get("boot") == boot_id()
    return holder if same_boot and content.get("start") == process_start(holder.pid) is not None else None


def _holder_of(content: dict[str, object]) -> Holder | None:
    pid, host, since = content.get("pid"), content.get("host"), content.get("since")
    if not isinstance(pid, int) or not isinstance(host, str):
        return None
    return Holder(pid, host, float(since) if isinstance(since, int | float) else None)


def _read_content(descriptor: int) -> dict[str, object]:
    try:
        content = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _write_content(folder: RunFolder, descriptor: int, holder: Holder, supported: bool) -> None:
    content = {
        "pid": holder.pid,
        "start": process_start(holder.pid),
        "boot": boot_id(),
        "host": holder.host,
        "since": holder.since,
        "locks": supported,
    }
    data = json.dumps(content).encode("ascii")
    try:
        os.ftruncate(descriptor, 0)
        if os.pwrite(descriptor, data, 0) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        os.close(descriptor)
        where = shown(folder.lock)
        raise RunError(f"cannot write {where} ({error.strerror}): make room on that disk") from error
    if not supported and _read_content(descriptor) != content:
        os.close(descriptor)
        raise RunError(f"another engine began on {shown(folder.name)} at the same moment: watch that one")


def _already(folder: RunFolder, holder: Holder | None) -> RunError:
    name = shown(folder.name)
    who = ""
    if holder is not None:
        since = f" since {time.strftime('%H:%M', time.localtime(holder.since))}" if holder.since else ""
        who = f" (process {holder.pid} on {shown(holder.host)}{since})"
    return RunError(
        f"the run {name} is already being worked on{who}: "
        f"see it with `lorasmith watch {name}`, or end that with `lorasmith stop {name}`"
    )
