"""Starting an engine and losing everything around it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import RunError
from engine.runs.control import request
from engine.runs.folder import RunFolder, create_run
from engine.runs.launch import Refused, start_engine
from engine.runs.lock import lock_holder
from engine.runs.summary import read_summary

# Stands in for a verb's module before the engine looks for it, so that the real door is what is tested.
_SITE = """
import sys, types
module = types.ModuleType("engine.lab.job")
def run(job):
    import verb
    return verb.run(job)
module.run = run
sys.modules["engine.lab.job"] = module
"""

VERB = """
import json, os, sys, time
from pathlib import Path

if os.environ.get("RANK", "0") == "0":
    assert '"started"' in Path("events.jsonl").read_text(), "the verb is imported after `started`"
print("a line for the log", flush=True)

def run(job):
    job.event("seen", argv=sys.orig_argv[1:4], environment=dict(os.environ), sid=os.getsid(0))
    step = 0
    while job.poll().stop is None:
        step += 1
        job.event("step", step=step)
        print("a line for the log", flush=True)
        time.sleep(0.02)
"""

LAUNCHER = """
import json, sys, time
from pathlib import Path
from engine.runs.folder import RunFolder
from engine.runs.launch import start_engine
print("launching", flush=True)
started = start_engine(RunFolder(Path(sys.argv[1])), "lab", extra_env=json.loads(sys.argv[2]))
print("started", started.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def verb(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Writes a verb (and what python does before it) and gives the environment that has it."""

    def write(source: str = VERB, before: str = "") -> dict[str, str]:
        place = tmp_path / "verb"
        place.mkdir(exist_ok=True)
        (place / "verb.py").write_text(source)
        (place / "sitecustomize.py").write_text(before + _SITE)
        return {"PYTHONPATH": str(place)}

    return write


@pytest.fixture
def job() -> Iterator[RunFolder]:
    """A run of the `lab` kind; its engine is killed in the end."""
    made = create_run("proof", 'kind = "lab"\n', kind="lab")
    yield made
    holder = lock_holder(made)
    if holder is not None and holder.pid != os.getpid():
        os.kill(holder.pid, signal.SIGKILL)


def test_an_engine_starts_in_a_session_of_its_own(job: RunFolder, verb, until, events_of, monkeypatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    monkeypatch.delenv("PYTORCH_CUDA_ALLOC_CONF", raising=False)
    started = start_engine(job, "lab", extra_env=verb())

    assert lock_holder(job).pid == started.pid == started.process.pid and started.attempt == 1
    (seen,) = until(lambda: events_of(job, "seen"))
    assert seen.get("sid") == started.pid
    assert seen.get("argv") == ["-P", "-m", "engine"]
    environment = seen.get("environment")
    assert environment["TOKENIZERS_PARALLELISM"] == "true"  # a person's own setting stays
    assert environment["PYTORCH_CUDA_ALLOC_CONF"] == "expandable_segments:True"
    request(job, "stop")
    assert started.process.wait() == 4
    assert "a line for the log" in job.log.read_text()


def test_former_logs_are_kept_three_deep(job: RunFolder, verb) -> None:
    environment = verb("def run(job): print('attempt', job.attempt)")
    left = job.path / ".start-of-a-killed-launcher.log"
    left.write_text("")
    os.utime(left, (0, 0))
    for _ in range(5):
        assert start_engine(job, "lab", extra_env=environment).process.wait() == 0

    said = {path.name: path.read_text() for path in job.path.glob("*.log")}
    assert said == {
        "engine.log": "attempt 5\n",
        "engine.1.log": "attempt 4\n",
        "engine.2.log": "attempt 3\n",
        "engine.3.log": "attempt 2\n",
    }
    assert not list(job.path.glob(".start*"))


def test_a_refusal_has_the_engines_reason_and_leaves_a_live_one_alone(job: RunFolder, verb, until) -> None:
    environment = verb()
    first = start_engine(job, "lab", extra_env=environment)
    until(lambda: job.log.read_text())
    inode = job.log.stat().st_ino

    with pytest.raises(Refused, match=rf"proof is already being worked on \(process {first.pid} on "):
        start_engine(job, "lab", extra_env=environment)
    assert job.log.stat().st_ino == inode and not list(job.path.glob("*.1.log"))
    assert not list(job.path.glob(".start*"))
    assert read_summary(job).attempt == 1


def test_death_before_started_is_a_refusal_with_the_last_words(job: RunFolder, verb) -> None:
    environment = verb(before="import os, sys; print('no such library\\x1b[2J', file=sys.stderr); os._exit(9)\n")

    with pytest.raises(Refused) as caught:
        start_engine(job, "lab", extra_env=environment)
    assert r"no such library\x1b[2J" in str(caught.value) and "before it began" in str(caught.value)
    assert read_summary(job).status == "new" and not list(job.path.glob("*.log"))


def test_a_folder_called_engine_is_not_mistaken_for_ours(job: RunFolder, verb, tmp_path, monkeypatch) -> None:
    for place in (tmp_path, job.path):
        (place / "engine").mkdir()
        (place / "engine" / "__main__.py").write_text("print('the wrong one')")
    monkeypatch.chdir(tmp_path)

    assert start_engine(job, "lab", extra_env=verb("def run(job): pass")).process.wait() == 0


def test_the_terminal_may_die_with_its_pty(job: RunFolder, verb, until, events_of, tmp_path, environment) -> None:
    (tmp_path / "launcher.py").write_text(LAUNCHER)
    pid, terminal = pty.fork()
    if pid == 0:
        command = [sys.executable, str(tmp_path / "launcher.py"), str(job.path), json.dumps(verb())]
        os.execve(sys.executable, command, environment)
    said = b""
    while b"started" not in said:
        said += os.read(terminal, 1000)

    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(terminal)  # the line hangs up

    steps = len(events_of(job, "step"))
    until(lambda: len(events_of(job, "step")) > steps + 20, "the engine goes on, printing as it does")
    assert read_summary(job).status == "running"
    request(job, "stop")
    until(lambda: read_summary(job).status == "stopped")


def launcher(tmp_path: Path, job: RunFolder, extra: dict[str, str], environment: dict[str, str]):
    (tmp_path / "launcher.py").write_text(LAUNCHER)
    command = [sys.executable, str(tmp_path / "launcher.py"), str(job.path), json.dumps(extra)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)


SLOW_START = """
import pathlib, time
pathlib.Path("child").write_text(str(__import__("os").getpid()))
while not pathlib.Path("go").exists():
    time.sleep(0.01)
"""


def test_the_launcher_may_die_before_the_engine_has_begun(
    job: RunFolder, verb, until, events_of, tmp_path, environment
) -> None:
    process = launcher(tmp_path, job, verb(before=SLOW_START), environment)
    until((job.path / "child").exists)
    process.kill()
    process.communicate()

    (job.path / "go").write_text("")
    until(lambda: events_of(job, "step"), "the engine begins although nobody waits for it")
    assert "a line for the log" in job.log.read_text()


def test_an_interrupt_during_the_hand_off_ends_the_child(job: RunFolder, verb, until, tmp_path, environment) -> None:
    process = launcher(tmp_path, job, verb(before=SLOW_START), environment)
    child = int(str(until(lambda: (job.path / "child").exists() and (job.path / "child").read_text())))
    process.send_signal(signal.SIGINT)
    process.communicate()

    assert process.returncode != 0
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert read_summary(job).status == "new" and not list(job.path.glob(".start*"))


def test_of_several_processes_the_first_alone_speaks(job: RunFolder, verb, until, events_of) -> None:
    source = """
import os, time
from pathlib import Path
def run(job):
    job.event("seen", rank=os.environ["RANK"])
    Path("rank" + os.environ["RANK"]).write_text(f"{job.is_main} {job.attempt} {job.poll().stop}")
    while not Path("rank0").exists() or not Path("rank1").exists():
        time.sleep(0.01)
"""
    started = start_engine(job, "lab", processes=2, extra_env=verb(source))

    assert started.pid != started.process.pid
    assert started.process.wait() == 0
    assert [event.name for event in events_of(job)] == ["started", "seen", "finished"]
    assert events_of(job, "started")[0].get("processes") == 2
    assert events_of(job, "seen")[0].get("rank") == "0"
    assert (job.path / "rank0").read_text() == "True 1 None"
    assert (job.path / "rank1").read_text() == "False 0 None"


def test_a_full_disk_is_named_before_anything_begins(small_disk: Path, fill) -> None:
    run = create_run("proof", 'kind = "lab"\n', kind="lab", parent=small_disk)
    fill(small_disk)
    before = sorted(path.name for path in run.path.iterdir())

    with pytest.raises(RunError, match="No space left on device.*make room"):
        start_engine(run, "lab")
    assert sorted(path.name for path in run.path.iterdir()) == before


def test_a_disk_that_fills_up_does_not_end_the_work(small_disk: Path, verb, fill, events_of) -> None:
    run = create_run("proof", 'kind = "lab"\n', kind="lab", parent=small_disk)
    source = """
import sys
from pathlib import Path
def run(job):
    filler = Path("../filler")
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        job.event("full")
    for step in range(1, 301):
        print("a library's chatter " * 20)
        print("caf\\udce9 " * 20, file=sys.stderr)
        job.event("step", step=step)
    filler.unlink()
"""
    started = start_engine(run, "lab", extra_env=verb(source))

    assert started.process.wait() == 0
    assert [event.step for event in events_of(run, "step")] == list(range(1, 301))
    assert events_of(run)[-1].get("outcome") == "ok"
