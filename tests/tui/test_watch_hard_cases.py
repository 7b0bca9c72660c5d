"""Runs that went wrong in every way, as the monitor shows them: never a trace, always how it stands."""

from __future__ import annotations

import json
import time

import pytest
from pilots import holds, text_of, until
from recorded_run import RecordedRun, new_recorded_run

from tui.app import LorasmithApp

pytestmark = pytest.mark.asyncio
STAGES = {
    "after starting": lambda run: run.start(),
    "loading": lambda run: (run.start(), run.event("stage", name="loading the base", done=None, total=None)),
    "caching": lambda run: (run.start(), run.event("stage", name="encoding pictures", done=7, total=40)),
    "between plan and first step": lambda run: (run.start(), run.event("plan", from_step=1, steps=200, epochs=4)),
    "training": lambda run: (run.start(), run.train(60)),
    "drawing": lambda run: (run.start(), run.train(50), run.event("stage", name="drawing samples", done=1, total=2)),
    "stopping": lambda run: (run.start(), run.train(60), run.event("stopping", how="save")),
    "in a pause": lambda run: (run.start(), run.train(60), run.event("paused")),
}


@pytest.fixture
def run() -> RecordedRun:
    return new_recorded_run()


def opened(run: RecordedRun, size: tuple[int, int] = (80, 24)):
    return LorasmithApp(run.folder, look_seconds=0.05).run_test(size=size)


@pytest.mark.parametrize("stage", STAGES)
async def test_an_engine_that_dies_at_any_stage(run, stage):
    STAGES[stage](run)
    async with opened(run) as pilot:
        await until(pilot, "✗ died", "r resume")
        text = " ".join(text_of(pilot).split())
        assert "stopped without saying why" in text and "Traceback" not in text
        assert "p pause" not in text and "x stop" not in text


async def test_a_run_that_never_began(run):
    async with opened(run) as pilot:
        await until(pilot, "Not started yet: r starts it", "r start")


async def test_an_engine_that_hangs_is_quiet_not_dead(run):
    run.began = time.time() - 1200
    run.start()
    run.train(60)
    with run.alive():
        async with opened(run) as pilot:
            await until(pilot, "▸ running, quiet for 1", "x stop")


async def test_a_log_that_is_flooded_is_read_from_its_end(run):
    run.start()
    run.train(20)
    with run.folder.log.open("w") as log:
        for at in range(400_000):
            log.write(f"line {at} of a library that talks and talks and talks\x1b[31m\r\n")
    with run.alive():
        async with opened(run) as pilot:
            await until(pilot, "step 20 of 200")
            began = time.process_time()
            await pilot.press("4")
            await until(pilot, "line 399999 of a library")
            assert time.process_time() - began < 1.0
            assert "\x1b" not in text_of(pilot)


@pytest.mark.parametrize(
    "left", [b"", b'{"v": 1, "t": 17', b"\xff\xfe\x00", b"[]\n", b"null\n{}\n"],
    ids=["no", "half", "odd", "list", "null"],
)  # fmt: skip
async def test_a_folder_of_which_only_a_part_was_copied(run, left):
    run.start()
    run.train(60)
    whole = run.folder.events.read_bytes().splitlines(keepends=True)
    run.folder.events.write_bytes(b"".join(whole[:40]) + left)
    for part in (run.folder.checkpoints, run.folder.samples, run.folder.state):
        if part.is_dir():
            part.rmdir()
    async with opened(run) as pilot:
        await until(pilot, "✗ died", "of 200")
        await pilot.press("2")
        await until(pilot, "No samples yet")


async def test_a_run_of_a_newer_version_is_shown_as_far_as_it_is_understood(run):
    run.start()
    run.train(60)
    with run.folder.events.open("a") as file:
        file.write(json.dumps({"v": 2, "t": time.time(), "elapsed": 99.0, "attempt": 1, "event": "dreamt"}) + "\n")
    with run.alive():
        async with opened(run) as pilot:
            await until(pilot, "step 60 of 200", "written by a newer lorasmith")


async def test_two_terminals_on_one_run_see_what_either_asks(run):
    run.start()
    run.train(60)
    with run.alive():
        async with opened(run) as one, opened(run, (120, 36)) as two:
            await until(one, "step 60 of 200")
            await until(two, "step 60 of 200")
            await one.press("p")
            await until(one, "pausing…")
            run.event("paused")
            await until(one, "= paused", "p go on")
            await until(two, "= paused", "p go on")
            await two.press("p")
            run.event("resumed")
            await until(one, "▸ running", "p pause")
            await holds(two, lambda: "▸ running" in text_of(two), "the other, too")
