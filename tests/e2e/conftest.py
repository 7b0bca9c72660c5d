"""A real training of the real engine, long enough for every test here, and terminals in which to watch it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loopback_ssh import Server, serving
from PIL import Image
from terminal import Terminal, lorasmith
from tmux import Tmux

from engine.plan import BaseChoice, Length, Network, PictureFolder, Pictures, Plan, Samples, Subject
from engine.plan_file import write_plan
from engine.runs.folder import RunFolder, create_run
from engine.runs.launch import start_engine
from engine.runs.summary import read_summary


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(3):
        Image.new("RGB", (64, 64), (60 * number, 120, 90)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The LORASMITH_HOME of the run below."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def training(home: Path, pictures: Path) -> Iterator[RunFolder]:
    """A training on the demo's base that goes on through all tests of this folder; each must leave it going."""
    plan = Plan(
        subject=Subject("object", "ohwx", "box"),
        pictures=Pictures(folders=(PictureFolder(str(pictures), 1000),)),
        base=BaseChoice(model="demo"),
        network=Network(rank=4),
        length=Length(epochs=50, batch_size=1),
        samples=Samples(prompts=("ohwx box", "box in the snow"), steps=2),
    )
    run = create_run("box", write_plan(plan), parent=home / "runs")
    started = start_engine(run, "train", extra_env={"OMP_NUM_THREADS": "1", "LORASMITH_HOME": str(home)})
    os.setpriority(os.PRIO_PROCESS, started.pid, 10)  # the screens are what is timed here
    wait_until(lambda: (read_summary(run).step or 0) > 5, 180)
    yield run
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    started.process.wait(10)


@pytest.fixture
def goes_on(training: RunFolder) -> Iterator[Callable[[], None]]:
    """Says that the training goes on: it does further steps. Asked again when the test is over."""

    def check() -> None:
        before = read_summary(training).step or 0
        wait_until(lambda: (read_summary(training).step or 0) > before, 20)

    yield check
    check()


@pytest.fixture
def open_app(home: Path) -> Iterator[Callable[..., Terminal]]:
    """Opens `lorasmith ARGUMENTS` in a terminal of its own."""
    opened: list[Terminal] = []

    def start(*arguments: object, size: tuple[int, int] = (80, 24), **environment: str) -> Terminal:
        terminal = Terminal(lorasmith(*arguments), size=size, env={"LORASMITH_HOME": str(home), **environment})
        opened.append(terminal)
        return terminal

    yield start
    for terminal in opened:
        terminal.__exit__()


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Finds a program these tests need; where it is missing they are skipped, in CI they fail."""

    def find(name: str) -> str:
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
        if found is None and os.environ.get("CI"):
            pytest.fail(f"needs {name}")
        return found or pytest.skip(f"needs {name}")

    return find


@pytest.fixture
def tmux(tmp_path: Path, program: Callable[[str], str]) -> Iterator[Tmux]:
    made = Tmux(program("tmux"), tmp_path / "tmux")
    yield made
    made("kill-server")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("sshd"), program) as running:
        yield running


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that only waits to be reaped has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except FileNotFoundError:
        return True
