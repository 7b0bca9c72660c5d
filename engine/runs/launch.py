"""Starting the engine so that it outlives everything around it, and knowing whether it began."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import site
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import engine
from engine.errors import RunError, shown
from engine.runs.events import EventReader
from engine.runs.folder import RunFolder, check_startable
from engine.runs.log import starting_log

_LOOK_SECONDS = 0.05
_KILL_SECONDS = 10.0
# Set by schedulers around us (SLURM, Kubernetes) for a launch that is not ours; torchrun sets its own.
_OTHER_RANKS = {"RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"}


class Refused(RunError):
    """The engine did not begin: its own reason, or the last lines of its log."""


@dataclass(frozen=True)
class Started:
    """An engine that has begun: `attempt` is the number of this start, `pid` the engine's process number."""

    folder: RunFolder
    attempt: int
    pid: int
    process: subprocess.Popen[bytes]


# Kept so that a finished engine is reaped, and none is complained about, when the caller drops its Started.
_children: list[subprocess.Popen[bytes]] = []


def start_engine(
    folder: RunFolder, verb: str, *, processes: int = 1, extra_env: Mapping[str, str] | None = None
) -> Started:
    """Starts `python -P -m engine VERB FOLDER` in its own session; waits until it has begun or refused.

    The engine writes to files only, so the caller's death at any moment, before or after, is nothing to it.
    Refused (a RunError) has the reason. There is no time limit: a slow machine is not a failure. An interrupt
    while waiting ends the engine and is passed on.
    """
    token = os.urandom(8).hex()
    return _hand_off(folder, verb, _command(folder, verb, processes, token), token, extra_env or {})


def _command(folder: RunFolder, verb: str, processes: int, token: str) -> list[str]:
    work = ["-m", "engine", verb, str(folder.path), "--launch", token]
    if processes == 1:
        return [sys.executable, "-P", *work]
    workers = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return [sys.executable, "-P", *workers, *work]


def engine_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The caller's, with this installation's `engine` in front where it is a checkout, never a namesake."""
    # torchrun starts its workers without -P, and the working directory must not be searched there either.
    env = {name: value for name, value in os.environ.items() if name not in _OTHER_RANKS}
    env |= {"PYTHONSAFEPATH": "1", **extra}
    here = Path(engine.__file__).resolve().parents[1]
    # Not for an installed one: site-packages before the standard library would let old backports shadow it.
    installed = {Path(path).resolve() for path in [*site.getsitepackages(), site.getusersitepackages()]}
    if here not in installed:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(here), env.get("PYTHONPATH")]))
    return env


def _hand_off(folder: RunFolder, verb: str, command: list[str], token: str, extra_env: Mapping[str, str]) -> Started:
    check_startable(folder, verb)
    size = folder.events.stat().st_size if folder.events.exists() else 0
    reader = EventReader(folder.events, offset=size)
    log_path = starting_log(folder, token)
    log = os.open(log_path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder.path,
            env=engine_environment(extra_env),
            start_new_session=True,
        )
        try:
            return _wait(folder, process, reader, token, log)
        except BaseException:
            _end(process)
            raise
    finally:
        os.close(log)
        log_path.unlink(missing_ok=True)  # a refused engine's; one that began has renamed it


def _wait(folder: RunFolder, process: subprocess.Popen[bytes], reader: EventReader, token: str, log: int) -> Started:
    while True:
        ended = process.poll() is not None  # asked before looking, so that its last words are read
        for event in reader.poll():
            if event.name == "started" and event.get("launch") == token:
                _children[:] = [child for child in _children if child.poll() is None] + [process]
                pid = event.get("pid")
                return Started(folder, event.attempt, pid if isinstance(pid, int) else process.pid, process)
        if ended:
            raise Refused(_reason(folder, os.pread(log, 1 << 20, max(0, os.fstat(log).st_size - (1 << 20)))))
        time.sleep(_LOOK_SECONDS)


def _reason(folder: RunFolder, said: bytes) -> str:
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    for line in reversed(lines):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return shown(json.loads(line)["refused"])
    tail = " | ".join(shown(line.strip()) for line in lines[-5:]) or "it said nothing"
    return f"the engine of {shown(folder.name)} ended before it began; its last words: {tail}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a child that has not begun, and with it its whole session."""
    process.terminate()
    try:
        process.wait(_KILL_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
