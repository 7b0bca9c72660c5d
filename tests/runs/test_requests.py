from __future__ import annotations

import pytest

from engine.errors import RunError
from engine.runs.control import Request, request, take_requests
from engine.runs.folder import RunFolder
from engine.runs.lock import hold_lock


def test_requests_are_taken_once_in_the_order_they_were_made(run: RunFolder, monkeypatch) -> None:
    hold_lock(run)
    for number in range(12):
        monkeypatch.setattr("time.time", lambda now=-number: now)  # a clock that runs backwards
        request(run, "stop" if number == 11 else "save", now=number == 11)

    taken = take_requests(run)
    assert [asked.verb for asked in taken] == ["save"] * 11 + ["stop"]
    assert taken[-1] == Request("stop", {"now": True})
    assert take_requests(run) == []
    assert list(run.control.iterdir()) == []


def test_an_unreadable_request_is_set_aside_and_the_others_are_heard(run: RunFolder) -> None:
    hold_lock(run)
    request(run, "pause")
    (run.control / "000000-aaaa-x.json").write_bytes(b"{\xff")
    (run.control / "000000-bbbb-x.json").write_text('{"verb": "explode\\u001b[2J"}')
    (run.control / "000000-cccc-x.json").mkdir()
    (run.control / "000000-dddd-x.json").write_text("[" * 60000)
    (run.control / "000000-eeee-x.json").write_text('{"verb": "save", "x": "' + "y" * 70000 + '"}')
    (run.control / ".000001-half.json").write_text("{")

    said: list[str] = []
    assert [asked.verb for asked in take_requests(run, said.append)] == ["pause"]
    assert len(said) == 5 and all(text.isprintable() and "set aside" in text for text in said)
    assert sum(path.suffix == ".unreadable" for path in run.control.iterdir()) == 5
    assert take_requests(run, said.append) == [] and len(said) == 5


def test_a_run_that_nobody_works_on_hears_nothing(run: RunFolder) -> None:
    with pytest.raises(RunError, match="bear is not running.*lorasmith resume bear"):
        request(run, "stop")
    assert take_requests(run) == []


def test_an_unknown_request_is_named(run: RunFolder) -> None:
    with pytest.raises(RunError, match="'dance' is not a request: there are stop, save"):
        request(run, "dance")
