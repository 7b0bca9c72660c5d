"""Runs, engines and waiting for the tests of the run folder."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.runs.events import Event, EventReader
from engine.runs.folder import RunFolder, create_run

ROOT = Path(__file__).resolve().parents[2]

Until = Callable[..., object]
StartScript = Callable[..., "subprocess.Popen[str]"]

_ENGINE = """
import os, signal, sys, time
from pathlib import Path
from engine.errors import LorasmithError
from engine.runs.folder import RunFolder
from engine.runs.job import Job, Stopped, run_job

folder = RunFolder(Path(sys.argv[1]))

{body}

sys.exit(run_job(folder, work))
"""

# What a training loop does, without the training: polls, steps, and saves before it stops.
STEPS = """
def work(job):
    step = 0
    while True:
        wanted = job.poll()
        if wanted.save:
            job.event("state", step=step)
        if wanted.stop == "now":
            raise Stopped
        if wanted.stop == "save":
            job.event("state", step=step)
            raise Stopped
        step += 1
        job.event("step", step=step, steps=100000, loss=0.5)
        time.sleep(0.01)
"""


@pytest.fixture
def run() -> RunFolder:
    return create_run("bear", 'kind = "object"\n')


@pytest.fixture
def until() -> Until:
    """Waits until a condition holds and returns its value; a failure says which condition never did."""

    def wait(condition: Callable[[], object], what: str = "", seconds: float = 20.0) -> object:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.01)
        pytest.fail(f"never happened within {seconds} s: {what or condition}")

    return wait


@pytest.fixture
def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


@pytest.fixture
def engine(tmp_path: Path, environment: dict[str, str]) -> Iterator[StartScript]:
    """Starts an engine process whose verb is the given source of `def work(job)`; kills what is left of it."""
    started: list[subprocess.Popen[str]] = []

    def start(run: RunFolder, body: str = STEPS) -> subprocess.Popen[str]:
        script = tmp_path / f"engine_{len(started)}.py"
        script.write_text(_ENGINE.format(body=textwrap.dedent(body)))
        with run.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", str(script), str(run.path)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def events_of() -> Callable[..., list[Event]]:
    """The events of a run, all or those of one name."""

    def read(run: RunFolder, name: str | None = None) -> list[Event]:
        return [event for event in EventReader(run.events).poll() if name is None or event.name == name]

    return read


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 kB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("needs to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def fill() -> Callable[[Path], Path]:
    """Fills a file system to its last block; deleting the returned file makes room again."""

    def to_the_brim(place: Path) -> Path:
        filler = place / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        return filler

    return to_the_brim
