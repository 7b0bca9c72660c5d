from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from engine.runs.events import Event, EventLog, EventReader, last_event, latest_attempt_view
from engine.runs.folder import RunFolder, create_run


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


def test_what_is_written_is_read_back_as_it_comes(run: RunFolder) -> None:
    log, reader = EventLog(run, attempt=1), EventReader(run.events)
    log.write("started", verb="train")
    log.write("step", step=1, loss=0.25)

    first, second = reader.poll()
    assert (first.name, first.attempt, first.get("verb")) == ("started", 1, "train")
    assert (second.step, second.number("loss")) == (1, 0.25)
    assert 0 <= first.elapsed <= second.elapsed and abs(second.t - time.time()) < 60
    assert reader.poll() == []
    log.write("step", step=2)
    assert [event.step for event in reader.poll()] == [2]


def test_every_line_is_json_even_when_the_loss_is_not_a_number(run: RunFolder) -> None:
    log = EventLog(run, attempt=1)
    log.write("step", loss=float("nan"), lr=float("-inf"), files=[Path("a.png")], name="caf\udce9\n")

    (line,) = run.events.read_text("ascii").splitlines()
    said = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert (said["v"], said["loss"], said["lr"], said["files"]) == (1, "nan", "-inf", ["a.png"])
    (event,) = EventReader(run.events).poll()
    assert event.number("lr") == float("-inf")


def test_a_torn_last_line_waits_for_its_rest(run: RunFolder) -> None:
    line = b'{"v":1,"t":1.0,"elapsed":0.0,"attempt":1,"event":"step","step":1}\n'
    reader = EventReader(run.events)
    run.events.write_bytes(line + line[:30])
    assert names(reader.poll()) == ["step"]
    assert reader.poll() == []
    with run.events.open("ab") as file:
        file.write(line[30:])
    assert names(reader.poll()) == ["step"]
    assert reader.unreadable == 0


def test_the_next_attempt_ends_the_torn_line_of_the_last(run: RunFolder) -> None:
    EventLog(run, attempt=1).write("started")
    with run.events.open("ab") as file:
        file.write(b'{"v":1,"t":1.0,"event":"st')
    assert last_event(run.events).attempt == 1

    EventLog(run, attempt=2).write("started")

    reader = EventReader(run.events)
    assert [event.attempt for event in reader.poll()] == [1, 2]
    assert reader.unreadable == 1
    assert last_event(run.events).attempt == 2


def test_what_is_not_understood_is_counted_or_passed_on(run: RunFolder) -> None:
    run.events.write_text(
        'nonsense\n[1, 2]\n{"event": 7}\n\n' + "[" * 5000 + "\n"
        '{"v":2,"t":1.0,"elapsed":1.0,"attempt":1,"event":"aurora","colour":"green"}\n'
    )
    reader = EventReader(run.events)

    (event,) = reader.poll()
    assert (event.name, event.get("colour")) == ("aurora", "green")
    assert reader.unreadable == 4 and reader.newer


def test_a_missing_a_shrunken_and_a_replaced_file(run: RunFolder) -> None:
    reader = EventReader(run.events)
    assert reader.poll() == []
    log = EventLog(run, attempt=1)
    log.write("started")
    log.write("step", step=1)
    assert names(reader.poll()) == ["started", "step"]

    first = run.events.read_bytes().splitlines(keepends=True)[0]
    run.events.write_bytes(first)
    assert names(reader.poll()) == ["started"]
    run.events.rename(run.path / "moved")
    assert reader.poll() == []
    run.events.write_bytes(first * 3)
    assert names(reader.poll()) == ["started"] * 3
    assert reader.restarts == 2


def test_threads_do_not_mix_their_lines(run: RunFolder) -> None:
    log = EventLog(run, attempt=1)

    def write(thread: int) -> None:
        for step in range(200):
            log.write("step", step=step, thread=thread, filling="x" * 500)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    reader = EventReader(run.events)
    events = reader.poll()
    assert reader.unreadable == 0
    for number in range(4):
        assert [event.step for event in events if event.get("thread") == number] == list(range(200))


def made(attempt: int, name: str, **fields: object) -> Event:
    return Event(name, 0.0, 0.0, attempt, fields)


def test_a_later_attempt_replaces_the_steps_it_repeats() -> None:
    events = [
        made(1, "started", from_step=None),
        *(made(1, "step", step=step) for step in (1, 2, 3, 4, 5)),
        made(1, "checkpoint", step=3, file="a"),
        made(1, "checkpoint", step=4, file="b"),
        made(1, "gpu", used=1),
        made(2, "started", from_step=None),
        made(2, "plan", from_step=4),
        made(2, "step", step=4),
        made(3, "started", from_step=None),
        made(3, "step", step=5),
    ]
    seen = latest_attempt_view(events)

    steps = [(event.attempt, event.step) for event in seen if event.name == "step"]
    assert steps == [(1, 1), (1, 2), (1, 3), (2, 4), (3, 5)]
    assert [event.get("file") for event in seen if event.name == "checkpoint"] == ["a"]
    assert names(seen).count("started") == 3 and "gpu" in names(seen)


def test_an_attempt_that_begins_again_from_the_start_replaces_all() -> None:
    events = [*(made(1, "step", step=step) for step in range(1, 9)), made(2, "started", from_step=1)]

    assert names(latest_attempt_view(events)) == ["started"]


def test_a_full_disk_keeps_the_lines_for_later(small_disk: Path, fill) -> None:
    run = create_run("bear", "", parent=small_disk)
    log, reader = EventLog(run, attempt=1), EventReader(run.events)
    log.write("started")
    filler = fill(small_disk)

    for step in range(1, 101):
        log.write("step", step=step, filling="x" * 100)
    assert log.stuck is not None and "make room" in log.stuck
    torn = [event.step for event in reader.poll() if event.step]
    assert len(torn) < 100
    assert not log.flush(patience=0.0)

    filler.unlink()
    log.write("checkpoint", step=100)
    assert log.stuck is None
    rest = reader.poll()
    assert torn + [event.step for event in rest if event.name == "step"] == list(range(1, 101))
    assert rest[-1].name == "checkpoint" and reader.unreadable == 0


def test_a_disk_full_for_long_costs_passing_events_first_and_says_so(small_disk: Path, fill) -> None:
    run = create_run("bear", "", parent=small_disk)
    log = EventLog(run, attempt=1)
    log.write("started")
    filler = fill(small_disk)
    log.write("filling", text="x" * 4096)  # takes what is left of the last block
    log.write("checkpoint", step=1)
    for step in range(2000):
        log.write("step", step=step)
    filler.unlink()
    assert log.flush(patience=0.0)
    log.write("finished", outcome="ok")

    events = EventReader(run.events).poll()
    assert names(events)[:3] == ["started", "filling", "checkpoint"]
    steps = [event.step for event in events if event.name == "step"]
    assert 400 < len(steps) < 600 and steps == list(range(2000 - len(steps), 2000))
    assert names(events)[-2:] == ["finished", "warning"]
    assert f"{2000 - len(steps)} records" in str(events[-1].get("text"))
