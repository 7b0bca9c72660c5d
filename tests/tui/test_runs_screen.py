"""The list of runs, and the first screen of all."""

from __future__ import annotations

import pytest
from pilots import holds, text_of, until
from recorded_run import RecordedRun, new_recorded_run

from tui.app import LorasmithApp

pytestmark = pytest.mark.asyncio

SIZES = [(80, 24), (100, 30), (160, 50)]


@pytest.fixture
def runs() -> dict[str, RecordedRun]:
    """One of each way a run can stand, but for one at work."""
    made = {name: new_recorded_run(name) for name in ("new", "died", "failed", "stopped", "finished")}
    for name, run in made.items():
        if name == "new":
            continue
        run.start()
        run.train(120)
        if name == "died":
            run.folder.log.write_text("Killed by the kernel\n")
        else:
            outcome = "ok" if name == "finished" else name
            run.finish(outcome, f"the reason of {name}" if name != "finished" else None)
    return made


@pytest.mark.parametrize("size", SIZES)
async def test_each_with_its_state_progress_and_age(runs, size):
    with runs["died"].alive():
        async with LorasmithApp().run_test(size=size) as pilot:
            text = await until(pilot, "5 runs, 1 at work", "✗ failed", "▪ stopped", "✓ finished", "· not started")
            rows = {name: next(line for line in text.splitlines() if f" {name} " in line) for name in runs}
            assert "▸ running" in rows["died"] and "60 % of 200" in rows["died"] and "done" in rows["died"]
            assert "ago" in rows["failed"]


async def test_the_one_under_the_cursor_is_explained(runs):
    async with LorasmithApp().run_test(size=(80, 24)) as pilot:
        await until(pilot, "5 runs")
        seen = []
        for _ in runs:
            text = " ".join(text_of(pilot).split())
            seen.append(text)
            await pilot.press("down")
        told = "\n".join(seen)
        assert "why: the reason of failed" in told
        assert "why: stopped without saying why (killed, out of memory, or a crash" in told
        assert "log: Killed by the kernel" in told
        assert "last checkpoint: epoch 2, checkpoints/bear-000002.safetensors" in told
        assert "Never started: enter, then r starts it." in told


async def test_enter_watches_and_l_comes_back_to_the_same_line(runs):
    app = LorasmithApp(look_seconds=0.05)
    async with app.run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "5 runs")
        names = [line.split()[0] for line in text.splitlines()[2:7] if not line.startswith(" ▸")]
        await pilot.press("down", "down")
        await holds(pilot, lambda: f"▸ {names[1]}" in text_of(pilot), "the cursor")
        await pilot.press("enter")
        await until(pilot, f"{names[1]}  training")
        assert app.watched is not None and app.watched.name == names[1]
        await pilot.press("l")
        await until(pilot, "5 runs", f"▸ {names[1]}")


async def test_a_hundred_runs_scroll():
    for number in range(100):
        new_recorded_run(f"run-{number:03d}")
    async with LorasmithApp().run_test(size=(80, 24)) as pilot:
        await until(pilot, "100 runs", "▸ run-099")
        await pilot.press("end")
        await until(pilot, "▸ run-000")
        await pilot.press("home")
        await until(pilot, "▸ run-099")


async def test_a_run_that_appears_or_goes_while_one_looks(runs):
    import shutil

    from tui.runs_screen import RunsScreen

    app = LorasmithApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "5 runs")
        await app.switch_screen(RunsScreen(look_seconds=0.05))
        await until(pilot, "5 runs")
        new_recorded_run("another")
        await until(pilot, "6 runs", "another")
        shutil.rmtree(runs["failed"].folder.path)
        await until(pilot, "5 runs")


async def test_broken_runs_do_not_hide_the_others(runs):
    runs["died"].folder.events.unlink()
    runs["died"].folder.events.mkdir()
    runs["failed"].folder.events.write_bytes(b"\xff\x00 no events\n" * 50)
    async with LorasmithApp().run_test(size=(80, 24)) as pilot:
        await until(pilot, "5 runs", "✓ finished", "▪ stopped")


async def test_without_runs_there_is_a_welcome():
    async with LorasmithApp().run_test(size=(80, 24)) as pilot:
        await until(pilot, "From a folder of pictures to the one SDXL LoRA", "d demo", "(none yet)")
        await pilot.press("l")
        await until(pilot, "0 runs")
        await pilot.press("n")
        await until(pilot, "see it work")


async def test_the_demo_begins_from_the_welcome(monkeypatch):
    from tui import welcome_screen

    started = []
    monkeypatch.setattr(welcome_screen, "start_engine", lambda run, verb: started.append((run.name, verb)))
    app = LorasmithApp(look_seconds=0.05)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "d demo")
        await pilot.press("d")
        await until(pilot, "demo  training", "· not started", "Not started yet: r starts it.")
    assert started == [("demo", "train")]


async def test_a_demo_that_cannot_begin_says_why(monkeypatch):
    from engine.errors import RunError
    from tui import welcome_screen

    def refuse(*_):
        raise RunError("the engine of demo ended before it began; its last words: no torch")

    monkeypatch.setattr(welcome_screen, "start_engine", refuse)
    async with LorasmithApp().run_test(size=(80, 24)) as pilot:
        await until(pilot, "d demo")
        await pilot.press("d")
        await until(pilot, "its last words: no torch")
