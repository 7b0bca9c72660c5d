"""What an engine process does with its run, seen from outside."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from engine.errors import RunError
from engine.runs.control import request
from engine.runs.events import latest_attempt_view
from engine.runs.folder import RunFolder, create_run
from engine.runs.job import run_job
from engine.runs.launch import start_engine
from engine.runs.lock import lock_holder
from engine.runs.summary import read_summary

RESUMING = """
def work(job):
    done = 0
    if (job.folder.state / "step").exists():
        done = int((job.folder.state / "step").read_text())
    job.event("plan", from_step=done + 1)
    while done < 12:
        done += 1
        job.event("step", step=done, steps=12)
        if done == 5:
            (job.folder.state / "step").write_text(str(done))
        if done == 8 and job.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_job_tells_its_life_from_started_to_finished(run: RunFolder, engine, events_of) -> None:
    process = engine(run, "def work(job):\n    job.stage('caching latents', 1, 1)")

    assert process.wait() == 0
    started, stage, finished = events_of(run)
    assert started.name == "started" and started.get("pid") == process.pid
    assert (started.get("verb"), started.get("version")) == ("train", "0.1.0")
    assert stage.fields == {"name": "caching latents", "done": 1, "total": 1}
    assert (finished.name, finished.get("outcome")) == ("finished", "ok")
    assert str(run.path.parent) not in run.events.read_text()


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        ("LorasmithError('the picture a.png is empty: remove it')", "the picture a.png is empty: remove it"),
        ("MemoryError()", "this machine's memory is full"),
        ("OSError(28, 'No space left on device', '/secret/a.safetensors')", "disk is full while writing a.saf"),
        ("RuntimeError('I/O error: No space left on device (os error 28)')", "the disk is full"),
        ("ValueError('bad\\x1b[2J\\nmore')", r"unexpected error, ValueError: bad\x1b[2J"),
        ("SystemExit('a library gave up')", "SystemExit: a library gave up"),
    ],
)
def test_a_failure_is_one_sentence_and_the_log_has_the_rest(
    run: RunFolder, engine, events_of, raised: str, reason: str
) -> None:
    process = engine(run, f"def work(job):\n    raise {raised}")

    assert process.wait() == 1
    (finished,) = events_of(run, "finished")
    assert finished.get("outcome") == "failed"
    assert reason in str(finished.get("reason")) and str(finished.get("reason")).isprintable()
    assert "Traceback" in run.log.read_text()


def test_stage_events_are_few_but_never_miss_the_end(run: RunFolder, engine, events_of) -> None:
    body = """
    def work(job):
        for done in range(5001):
            job.stage("caching", done, 5000)
        job.stage("training")
    """
    assert engine(run, body).wait() == 0

    stages = events_of(run, "stage")
    assert 3 <= len(stages) <= 8
    assert [event.get("done") for event in stages][-2:] == [5000, None]
    assert stages[0].get("done") == 0


def test_kill_9_is_told_as_a_death_with_the_last_words_of_the_log(run: RunFolder, engine, until) -> None:
    body = """
    def work(job):
        job.event("step", step=3, steps=9)
        print("loading  10%\\rloading 100%\\n\\x1b[31mCUDA error: too hot", file=sys.stderr, flush=True)
        while True:
            job.poll()
    """
    process = engine(run, body)
    until(lambda: run.log.read_text().endswith("hot\n"))
    assert read_summary(run).status == "running"

    process.kill()
    process.wait()
    summary = read_summary(run)
    assert (summary.status, summary.step, summary.steps) == ("died", 3, 9)
    assert "stopped without saying why" in str(summary.reason) and "resume" in str(summary.hint)
    assert summary.log_tail == ("loading 100%", r"\x1b[31mCUDA error: too hot")


def test_a_second_engine_is_refused_and_changes_nothing(run: RunFolder, engine, until, events_of) -> None:
    first = engine(run)
    until(lambda: events_of(run, "step"))
    lock = run.lock.read_bytes()

    second = engine(run)
    assert second.wait() == 3
    (line,) = second.stdout.read().splitlines()
    assert f"process {first.pid}" in json.loads(line)["refused"]
    assert len(events_of(run, "started")) == 1 and run.lock.read_bytes() == lock
    assert lock_holder(run).pid == first.pid


def test_a_stop_is_acknowledged_and_ends_after_saving(run: RunFolder, engine, until, events_of) -> None:
    process = engine(run)
    until(lambda: events_of(run, "step"))

    request(run, "stop", now=False)
    assert process.wait() == 4
    *_, stopping, state, finished = events_of(run)
    assert (stopping.name, stopping.get("how"), state.name) == ("stopping", "save", "state")
    assert (finished.get("outcome"), finished.get("reason")) == ("stopped", "stopped after saving, as asked")
    summary = read_summary(run)
    assert (summary.status, summary.reason) == ("stopped", "stopped after saving, as asked")


def test_a_stop_at_once_does_not_save(run: RunFolder, engine, until, events_of) -> None:
    process = engine(run)
    until(lambda: events_of(run, "step"))

    request(run, "stop", now=True)
    assert process.wait() == 4
    assert events_of(run, "stopping")[0].get("how") == "now" and not events_of(run, "state")


def test_pause_save_resume(run: RunFolder, engine, until, events_of) -> None:
    process = engine(run)
    until(lambda: events_of(run, "step"))

    request(run, "pause")
    until(lambda: events_of(run)[-1].name == "paused", "the pause is acknowledged and no step follows")
    assert read_summary(run).status == "paused"
    request(run, "save")
    until(lambda: events_of(run, "state"), "a save is heard during the pause")
    assert read_summary(run).status == "paused"
    steps = len(events_of(run, "step"))
    request(run, "pause")  # twice is once
    request(run, "resume")
    until(lambda: len(events_of(run, "step")) > steps + 5, "steps go on")
    assert [event.name for event in events_of(run) if event.name in {"paused", "resumed"}] == [
        "paused",
        "resumed",
    ]
    request(run, "pause")
    until(lambda: events_of(run)[-1].name == "paused")
    request(run, "stop")
    assert process.wait() == 4


def test_a_pause_asked_for_in_long_work_is_told_when_it_holds(run: RunFolder, engine, until, events_of) -> None:
    body = """
    def work(job):
        job.stage("caching", 0, 1)
        while not (job.folder.path / "cached").exists():
            job.stop_asked()
            time.sleep(0.01)
        job.stage("caching", 1, 1)
        job.poll()
    """
    process = engine(run, body)
    until(lambda: events_of(run, "stage"))

    request(run, "pause")
    until(lambda: not any(run.control.glob("*.json")), "the request is taken")
    assert not events_of(run, "paused") and read_summary(run).status == "running"
    (run.path / "cached").touch()
    until(lambda: events_of(run)[-1].name == "paused", "it holds")
    request(run, "resume")
    assert process.wait() == 0
    assert [event.name for event in events_of(run)][-3:] == ["paused", "resumed", "finished"]


def test_sigterm_saves_and_a_second_one_does_not_wait(run: RunFolder, engine, until, events_of) -> None:
    body = """
    def work(job):
        while True:
            wanted = job.poll()
            job.event("step", step=1)
            time.sleep(0.01)  # a save that takes its time
            if wanted.stop == "now":
                return
    """
    process = engine(run, body)
    until(lambda: events_of(run, "step"))
    process.send_signal(signal.SIGHUP)  # a closed terminal is nothing
    process.send_signal(signal.SIGTERM)
    until(lambda: events_of(run, "stopping"))
    assert read_summary(run).status == "stopping"
    process.send_signal(signal.SIGINT)

    assert process.wait() == 4
    assert [event.get("how") for event in events_of(run, "stopping")] == ["save", "now"]
    assert events_of(run, "finished")[0].get("reason") == "stopped at once, as asked"


def test_after_a_kill_the_next_attempt_repeats_and_the_reader_sees_one_line_of_steps(
    run: RunFolder, engine, events_of
) -> None:
    assert engine(run, RESUMING).wait() == -signal.SIGKILL
    with run.events.open("ab") as file:
        file.write(b'{"v":1,"t":1')  # it was killed in the middle of a line
    assert engine(run, RESUMING).wait() == 0

    steps = [(event.attempt, event.step) for event in events_of(run, "step")]
    assert steps == [(1, step) for step in range(1, 9)] + [(2, step) for step in range(6, 13)]
    seen = [event for event in latest_attempt_view(events_of(run)) if event.name == "step"]
    assert [event.step for event in seen] == list(range(1, 13))
    assert read_summary(run).attempt == 2 and read_summary(run).status == "finished"


def test_an_old_stop_does_not_end_a_new_start(run: RunFolder, engine, until, events_of) -> None:
    process = engine(run, "def work(job):\n    job.event('here')\n    time.sleep(60)")
    until(lambda: events_of(run, "here"))
    request(run, "stop")  # which this engine never looks for
    process.kill()
    process.wait()

    assert engine(run, "def work(job):\n    return job.poll().stop and 1 / 0").wait() == 0


def test_an_engine_that_is_only_leaving_is_waited_for(run: RunFolder, engine, until, events_of) -> None:
    leaving = """
    import atexit
    def work(job):
        atexit.register(time.sleep, 0.5)
    """
    first = engine(run, leaving)
    until(lambda: events_of(run, "finished"))
    assert first.poll() is None and read_summary(run).status == "finished"

    assert engine(run, "def work(job): pass").wait() == 0
    assert len(events_of(run, "finished")) == 2


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, run: RunFolder, engine) -> None:
    run.plan.unlink()
    (tmp_path / "file").write_text("")
    for path, why in [(run.path, "plan.toml"), (tmp_path / "none", "no run"), (tmp_path / "file", "a file")]:
        said = StringIO()
        with redirect_stdout(said):
            assert run_job(RunFolder(path), lambda job: None) == 3
        assert why in json.loads(said.getvalue())["refused"]
    assert not run.events.exists() and not run.lock.exists()


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder another user can look into, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(place)


def as_nobody(function: Callable[[], object]) -> str:
    """What a function returns, as text, when the user `nobody` calls it in a process of its own."""
    if os.geteuid() != 0:
        pytest.skip("needs to become another user")
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        try:
            said = str(function())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(into, said.encode())
        os._exit(0)
    os.close(into)
    with os.fdopen(out) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


def run_and_say(run: RunFolder) -> str:
    said = StringIO()
    with redirect_stdout(said):
        code = run_job(run, lambda job: None)
    return f"{code} {said.getvalue()}"


def test_a_read_only_folder_is_refused_by_every_door(open_place: Path) -> None:
    run = create_run("bear", "", parent=open_place)
    run.path.chmod(0o555)
    before = sorted(path.name for path in run.path.iterdir())

    assert '3 {"refused": "cannot write in ' in as_nobody(lambda: run_and_say(run))
    assert "cannot write in" in as_nobody(lambda: start_engine(run, "train"))
    assert "Permission denied" in as_nobody(lambda: create_run("mine", "", parent=open_place))
    assert sorted(path.name for path in run.path.iterdir()) == before


def test_the_run_of_another_user_is_refused(open_place: Path) -> None:
    run = create_run("bear", "", parent=open_place)
    run.path.chmod(0o777)

    assert "belongs to user number 0" in as_nobody(lambda: run_and_say(run))
    assert not run.events.exists()
    os.chown(run.path, 65534, 65534)
    with pytest.raises(RunError, match="belongs to user number 65534"):
        start_engine(run, "train")
