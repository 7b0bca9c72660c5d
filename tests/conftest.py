"""Fixtures every room's tests share."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch is imported anywhere, the engines that tests start included: the tests' models are so small that two
# threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what it puts in the background (`pytest &`) deaf to Ctrl-C, and every program that a test starts would
# inherit that: those that are to end by it never would.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_PATIENCE = 300.0  # seconds that a test waits for the machine before it goes on as it is


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Tests marked `alone` measure by the clock: no other worker of this run is at a test meanwhile."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    run = item.config._tmp_path_factory.getbasetemp().parent  # type: ignore[attr-defined] - what workers share
    wanted = fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH
    with _locked(run / "door", wanted) as door, _locked(run / "room", wanted):
        if wanted == fcntl.LOCK_SH:
            fcntl.flock(door, fcntl.LOCK_UN)  # who waits to be alone closes it: nobody further goes in
        return (yield)


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + _PATIENCE
    try:
        while time.monotonic() < end:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, how | fcntl.LOCK_NB)
                break
            time.sleep(0.02)
        yield descriptor
    finally:
        os.close(descriptor)


def missing(reason: str) -> None:
    """Skips where a resource is absent; in CI, where it must be there, the same absence is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pictures and presets that lies beside a developer's checkout (`../shared/data`)."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        missing(f"needs the real pictures and presets in {folder}")
    return folder


@pytest.fixture(scope="session")
def offline_models() -> Path:
    """The folder of small models, and of pictures to try them on, that `.ci/models FOLDER` makes."""
    folder = Path(os.environ.get("LORASMITH_OFFLINE_MODELS") or "")
    if not (folder / "efficientnet-lite0").is_dir():
        missing("needs the small models: run `.ci/models FOLDER` and set LORASMITH_OFFLINE_MODELS to that folder")
    return folder


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of the SDXL classes small enough that a step takes milliseconds; it draws nothing."""
    from engine.base.tiny import tiny_base_folder

    return tiny_base_folder(tmp_path_factory.mktemp("tiny-base"))


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test gets a LORASMITH_HOME of its own, so that none touches a person's runs."""
    home = tmp_path / "lorasmith-home"
    monkeypatch.setenv("LORASMITH_HOME", str(home))
    return home
