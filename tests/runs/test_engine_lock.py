from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import RunError
from engine.runs import lock
from engine.runs.folder import RunFolder
from engine.runs.lock import hold_lock, lock_holder

HOLD_AND_FORK = """
def work(job):
    child = os.fork()
    if child == 0:
        signal.pause()
    (job.folder.path / "child").write_text(str(child))
    signal.pause()
"""

ASK = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR)
try:
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("free")
except OSError:
    print("held")
"""


def kernel_says(run: RunFolder) -> list[int]:
    """The processes that hold a POSIX lock on the file, from the kernel's own table."""
    inode = run.lock.stat().st_ino
    with Path("/proc/locks").open() as table:
        rows = [line.split() for line in table]
    return [int(row[4]) for row in rows if row[1] == "POSIX" and int(row[5].split(":")[2]) == inode]


def test_nobody_holds_a_new_run(run: RunFolder) -> None:
    assert lock_holder(run) is None
    assert not run.lock.exists()  # asking makes nothing


def test_the_holder_is_whom_the_kernel_names(run: RunFolder, engine, until) -> None:
    process = engine(run)
    until(lambda: lock_holder(run), "the engine holds its lock")

    holder = lock_holder(run)
    assert holder is not None
    assert (holder.pid, holder.host) == (process.pid, socket.gethostname())
    assert kernel_says(run) == [process.pid]
    asked = subprocess.run([sys.executable, "-c", ASK, str(run.lock)], capture_output=True, text=True)
    assert asked.stdout == "held\n"
    assert lock_holder(run) == holder  # neither question took or dropped it
    content = json.loads(run.lock.read_text())
    assert content["pid"] == process.pid and set(content) >= {"start", "boot", "host"}

    process.kill()
    process.wait()
    assert lock_holder(run) is None
    asked = subprocess.run([sys.executable, "-c", ASK, str(run.lock)], capture_output=True, text=True)
    assert asked.stdout == "free\n"


def test_kill_9_frees_the_lock_although_a_forked_child_lives_on(run: RunFolder, engine, until) -> None:
    process = engine(run, HOLD_AND_FORK)
    child = int(str(until(lambda: (run.path / "child").exists() and (run.path / "child").read_text())))

    process.kill()
    process.wait()

    os.kill(child, 0)
    assert lock_holder(run) is None
    os.kill(child, signal.SIGKILL)


def test_in_the_engine_itself_asking_neither_lies_nor_drops_the_lock(run: RunFolder, engine, until) -> None:
    process = engine(
        run,
        """
        from engine.runs.lock import lock_holder
        def work(job):
            assert lock_holder(job.folder).pid == os.getpid()
            job.event("asked")
            while True:
                job.poll()
        """,
    )
    until(lambda: run.events.exists() and b"asked" in run.events.read_bytes())

    assert kernel_says(run) == [process.pid]


def test_the_lock_is_taken_once_and_the_refusal_says_by_whom(run: RunFolder) -> None:
    held = hold_lock(run)

    assert lock_holder(run) == held.holder
    with pytest.raises(RunError, match=rf"bear is already being worked on \(process {os.getpid()} .*lorasmith"):
        hold_lock(run)


def no_locks_here(*_: object) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def test_where_locks_do_not_work_the_process_itself_is_looked_at(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "lockf", no_locks_here)
    monkeypatch.setattr(fcntl, "fcntl", no_locks_here)
    held = hold_lock(run)
    monkeypatch.setattr(lock, "_HELD", {})  # as another process sees it

    assert lock_holder(run) == held.holder
    with pytest.raises(RunError, match="already"):
        hold_lock(run)

    content = json.loads(run.lock.read_text())
    run.lock.write_text(json.dumps(content | {"start": content["start"] + 1}))
    assert lock_holder(run) is None  # the same number, but another process
    run.lock.write_text(json.dumps(content | {"boot": "another"}))
    assert lock_holder(run) is None  # from before a restart of the machine
    run.lock.write_text(json.dumps(content | {"host": "elsewhere"}))
    assert lock_holder(run) is None
    run.events.write_text("")
    assert lock_holder(run) is not None  # on another machine, and it wrote just now


def test_a_lock_file_full_of_rubbish_is_nobodys(run: RunFolder) -> None:
    run.lock.write_bytes(b"\xff\x00{")

    assert lock_holder(run) is None
    assert hold_lock(run).holder.pid == os.getpid()
