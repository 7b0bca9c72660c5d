"""Whole screens as they are meant to look, letter by letter, at two sizes.

Plain text rather than SVG: a change shows in the diff of a commit as what a person would see, and no version of the
library that draws them is pinned. `LORASMITH_GOLDEN=write pytest tests/tui/test_golden_screens.py` writes them anew.
"""

from __future__ import annotations

import time

import pytest
from golden import matches
from pilots import until
from recorded_run import RecordedRun, new_recorded_run

from tui.app import LorasmithApp
from tui.text import GIB

pytestmark = pytest.mark.asyncio

SIZES = [(80, 24), (120, 36)]


@pytest.fixture
def run(monkeypatch) -> RecordedRun:
    """A finished training of the first day of 2025, in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    made = new_recorded_run()
    made.began = 1735732800.0
    made.start()
    made.event("stage", name="encoding pictures", done=12, total=12)
    made.train(200)
    made.event("gpu", used=10.2 * GIB, peak=11.4 * GIB, limit=24 * GIB,
               utilisation=97, temperature=71, power=310, throttled=[])  # fmt: skip
    made.finish()
    yield made
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(("view", "key"), [("loss", "1"), ("record", "3")])
async def test_monitor(run, size, view, key):
    async with LorasmithApp(run.folder).run_test(size=size) as pilot:
        await until(pilot, "smoothed")
        await pilot.press(key)
        await matches(pilot, f"monitor-{view}-{size[0]}x{size[1]}")


async def test_monitor_of_a_failed_run(run):
    run.attempt = 2
    run.start()
    run.event("stage", name="loading the UNet")
    run.finish("failed", "the graphics card's memory is full", "choose a smaller batch, resolution or memory limit")
    run.folder.log.write_text("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n")
    async with LorasmithApp(run.folder).run_test(size=(80, 24)) as pilot:
        await matches(pilot, "monitor-failed-80x24")


async def test_monitor_of_a_job_that_captions(monkeypatch, own_home):
    from engine.runs.folder import create_run

    job = RecordedRun(create_run("captions", 'kind = "caption"\n', kind="caption"))
    job.event("started", verb="caption", from_step=None)
    job.event("stage", name="loading the captioner")
    job.event("stage", name="captioning", done=0, total=400)
    job.event("stage", name="captioning", done=120, total=400)
    job.finish("stopped", "stopped after saving, as asked")
    monkeypatch.setenv("TZ", "UTC")
    async with LorasmithApp(job.folder).run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "captions  captioning", "120 of 400", "captioning", "▪ stopped")
        assert "r resume" in text and "s save" not in text


async def test_help_of_the_monitor(run):
    async with LorasmithApp(run.folder).run_test(size=(80, 24)) as pilot:
        await until(pilot, "smoothed")
        await pilot.press("question_mark")
        await matches(pilot, "monitor-help-80x24")
