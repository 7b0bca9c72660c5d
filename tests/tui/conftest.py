"""The real command in a process of its own, and an engine that writes a training's events without training."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.runs.events import Event, EventReader
from engine.runs.folder import RunFolder, create_run

ROOT = Path(__file__).resolve().parents[2]

_ENGINE = """
import os, sys, time
from pathlib import Path
from engine.runs.folder import RunFolder
from engine.runs.job import Stopped, run_job

folder = RunFolder(Path(sys.argv[1]))

{body}

sys.exit(run_job(folder, work))
"""

# Steps until it is told to stop; answers requests as the training loop does.
STEPS = """
def work(job):
    job.stage("encoding pictures", 5, 5)
    job.warn("a warning with an escape code: \\x1b[31m")
    for step in range(1, 100000):
        wanted = job.poll()
        if wanted.save:
            job.event("checkpoint", step=step, epoch=1, file="checkpoints/bear-step00000001.safetensors", size=1500)
        if wanted.sample:
            job.event("sample", step=step, epoch=1, files=["samples/one.png"])
        if wanted.stop:
            raise Stopped
        job.event("step", step=step, steps=100000, epoch=1 + step // 10000, epochs=10, loss=0.5)
        time.sleep(0.01)
"""


# Hears nothing, as an engine in a long step does.
DEAF = """
def work(job):
    job.event("step", step=1, steps=10)
    time.sleep(600)
"""


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


@pytest.fixture
def lorasmith(tmp_path: Path) -> Callable[..., Said]:
    """Runs `lorasmith ARGUMENTS`; every line it prints must fit in 80 columns unless a path makes it longer."""

    def call(*arguments: object, cwd: Path = tmp_path, columns: bool = True, **environment: str) -> Said:
        done = subprocess.run(
            command(*arguments), capture_output=True, text=True, errors="strict", timeout=120,
            cwd=cwd, env=surroundings(environment), check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if columns:
            for line in [*done.stdout.splitlines(), *done.stderr.splitlines()]:
                assert len(line) <= 80 or "/" in line, f"wider than 80 columns: {line}"
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `lorasmith ARGUMENTS` and does not wait for it; its stdout and stderr are pipes."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            text=True, env=surroundings(environment), cwd=tmp_path,
        )  # fmt: skip
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_until


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tui", *map(str, arguments)]


def surroundings(extra: dict[str, str] | None = None) -> dict[str, str]:
    """This environment with the checkout's packages in reach from any folder."""
    return os.environ | {"PYTHONPATH": str(ROOT)} | (extra or {})


@pytest.fixture
def run() -> RunFolder:
    plan = '[subject]\ninstance_prompt = "ohwx"\nclass_prompt = "bear"\n[samples]\nprompts = ["ohwx bear"]\n'
    return create_run("bear", plan)


@pytest.fixture
def start_engine_script(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a process that holds the run and does `body`'s `work(job)`; waits until it has begun."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(run: RunFolder, body: str = "steps", event: str = "step") -> subprocess.Popen[bytes]:
        body = {"steps": STEPS, "deaf": DEAF}.get(body, body)
        script = tmp_path / f"engine-{len(processes)}.py"
        script.write_text(_ENGINE.format(body=textwrap.dedent(body)), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, str(script), str(run.path)], env=surroundings(), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=run.log.open("ab"),
        )  # fmt: skip
        processes.append(process)
        wait_until(lambda: heard(run, event))
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()


def heard(run: RunFolder, name: str) -> list[Event]:
    """The run's events of this name."""
    return [event for event in EventReader(run.events).poll() if event.name == name]


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Waits for a condition; fails when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def comparison_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The runs folder of a painted comparison of this kind (a function of `comparison`), made once for all tests."""
    made: dict[str, Path] = {}

    def store(kind: str) -> Path:
        if kind not in made:
            import comparison

            place = tmp_path_factory.mktemp(kind)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("LORASMITH_HOME", str(place))
                getattr(comparison, kind)("fox")
            made[kind] = place / "runs"
        return made[kind]

    return store


@pytest.fixture
def comparison_run(comparison_store: Callable[[str], Path], own_home: Path) -> Callable[..., RunFolder]:
    """Puts a comparison of this kind, `fox-compare`, and its training `fox` into this test's home."""

    def put(kind: str = "finished") -> RunFolder:
        store = comparison_store(kind)
        shutil.copytree(store, own_home / "runs", symlinks=True)
        run = RunFolder(own_home / "runs" / "fox-compare")
        for path in (run.job, run.compare / "report.json"):
            path.write_text(path.read_text("utf-8").replace(str(store), str(own_home / "runs")), encoding="utf-8")
        return run

    return put
