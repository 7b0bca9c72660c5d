"""The screens of the mode *compare* as they are meant to look, letter by letter; pictures as their names.

`LORASMITH_GOLDEN=write pytest tests/tui/test_compare_golden.py` writes them anew.
"""

from __future__ import annotations

import time

import pytest
from golden import matches
from pilots import until
from recorded_run import RecordedRun

from tui.app import LorasmithApp

pytestmark = pytest.mark.asyncio


@pytest.fixture
def opened(comparison_run, monkeypatch):
    """Opens a comparison of the first day of 2025, in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()

    def open_(kind: str = "finished", size: tuple[int, int] = (80, 24)):
        record = RecordedRun(comparison_run(kind), began=1735732800.0)
        record.event("started", verb="compare", from_step=None)
        record.finish("stopped" if kind == "half_way" else "ok", "as asked" if kind == "half_way" else None)
        return LorasmithApp(record.folder, images="off").run_test(size=size)

    yield open_
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("kind", ["finished", "too_close", "undecided", "half_way", "from_elsewhere"])
async def test_the_choice(opened, kind):
    async with opened(kind) as pilot:
        await until(pilot, "▸1 Choice")
        await matches(pilot, f"compare-choice-{kind.replace('_', '-')}-80x24")


async def test_the_choice_with_its_pictures_where_there_is_room(opened):
    async with opened(size=(120, 36)) as pilot:
        await until(pilot, "4 ← choice")
        await pilot.press("down")
        await matches(pilot, "compare-choice-120x36")


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("evidence", ["down", "enter"]),
        ("table", ["2"]),
        ("table-ruled-out", ["2", "end"]),
        ("grid", ["3"]),
        ("beside", ["3", "right", "right", "right", "enter"]),
        ("make", ["m"]),
        ("help", ["question_mark"]),
    ],
)
async def test_further_views(opened, monkeypatch, name, keys):
    if name == "make":  # its places are told by their paths
        from pathlib import Path

        from tui.compare import making

        monkeypatch.setattr(making, "home", lambda: Path("/home/you/lorasmith"))
    async with opened() as pilot:
        await until(pilot, "4 ← choice")
        await pilot.press(*keys)
        await matches(pilot, f"compare-{name}-80x24")


async def test_a_vote(opened):
    async with opened("too_close") as pilot:
        await until(pilot, "too close to call")
        await pilot.press("4")
        await matches(pilot, "compare-vote-80x24")


async def test_too_little_room(opened):
    async with opened(size=(60, 15)) as pilot:
        await until(pilot, "lorasmith needs")
        await matches(pilot, "compare-60x15")
