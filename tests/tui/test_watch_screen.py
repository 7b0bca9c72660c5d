"""The monitor under a pilot, at three sizes, with runs whose events the test writes."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image
from pilots import holds, text_of, until
from recorded_run import RecordedRun, new_recorded_run

from engine.runs.control import take_requests
from tui.app import LorasmithApp
from tui.text import GIB
from tui.watch.boards import KINDS

pytestmark = pytest.mark.asyncio

SIZES = [(80, 24), (100, 30), (160, 50)]
MANY = "why: the disk is full while writing state-00000100.pt in a folder of a rather long name that goes on and on"


@pytest.fixture
def run() -> RecordedRun:
    made = new_recorded_run()
    made.start()
    return made


@pytest.fixture
def alive(run):
    with run.alive():
        yield run


def opened(run: RecordedRun, size: tuple[int, int] = (80, 24), **options):
    app = LorasmithApp(run.folder, look_seconds=0.05, **options)
    return app.run_test(size=size)


def fits(pilot) -> bool:
    """Whether every widget that is shown lies within the screen."""
    screen = pilot.app.screen
    shown = [widget for widget in screen.walk_children() if widget.display and widget.size]
    return all(screen.region.contains_region(widget.region) for widget in shown)


@pytest.mark.parametrize("size", SIZES)
async def test_a_training_at_work(alive, size):
    alive.train(130)
    async with opened(alive, size) as pilot:
        text = await until(pilot, "bear  training", "▸ running", "step 130 of 200", "65 %", "epoch 3 of 4", "smoothed")
        assert "held out 0.1100 (base 0.1300)" in text
        assert "learning rate 0.0001" in text
        assert "2 checkpoints, last: epoch 2" in text
        assert "The held-out loss is below the base's and has not turned" in text
        assert "s save  d draw  p pause  x stop" in text
        assert fits(pilot)
        alive.step(131)
        await until(pilot, "step 131 of 200")


async def test_the_end_is_told_with_the_clock(alive):
    alive.train(100)
    async with opened(alive) as pilot:
        text = await until(pilot, "steps/s", "done ", ", in ")
        assert "2.00 steps/s" in text or "1.9" in text  # half a second for each event of the record


async def test_stages_before_the_first_step(alive):
    alive.event("stage", name="encoding captions", done=120, total=400)
    alive.event("stage", name="encoding captions", done=160, total=400)
    alive.event("stage", name="encoding captions", done=200, total=400)
    async with opened(alive) as pilot:
        text = await until(pilot, "▸ running: encoding captions 200/400", "50 %", "200 of 400", "80.0 a second")
        assert "▸1 Work" in text and "The loss follows with the first steps." in text


async def test_stages_of_one_piece_of_work_end_with_the_whole(alive, lorasmith):
    for done in (10, 15, 20):
        alive.event("stage", name="first pictures", done=done, total=40, left=600)
    async with opened(alive) as pilot:
        await until(pilot, "20 of 40", "10.0 a second", "all done ", "in 10 min")
    assert "first pictures 20/40, 10 min left in all (until " in " ".join(lorasmith("status", "bear").out.split())


@pytest.mark.parametrize("kind", ["caption", "health", "regularize", "names", "lab", "a kind of a newer lorasmith"])
async def test_jobs_without_a_loss_use_the_same_monitor(kind, own_home):
    from engine.runs.folder import create_run

    job = RecordedRun(create_run("job", f'kind = "{kind}"\n', kind=kind))
    job.event("started", verb=kind, from_step=None)
    job.event("stage", name="reading the pictures", done=40, total=40)
    job.event("stage", name="looking", done=10, total=40)
    job.event("warning", text="one picture cannot be read: cat.png")
    with job.alive():
        async with opened(job) as pilot:
            name = KINDS.get(kind, kind)
            text = await until(pilot, f"job  {name}", "✓ reading the pictures", "▸ looking", "10 of 40")
            assert "warning: one picture cannot be read: cat.png" in text
            job.event("finished", outcome="ok")
    async with opened(job) as pilot:
        await until(pilot, "✓ finished")


async def test_the_card_with_its_headroom(alive):
    alive.event("gpu", used=10.2 * GIB, peak=11 * GIB, limit=24 * GIB,
                utilisation=97, temperature=71, power=310.2, throttled=[])  # fmt: skip
    async with opened(alive) as pilot:
        text = await until(pilot, "10.2/24.0 GiB, peak 11.0, 13.0 free  97 %  71 °C  310 W")
        assert "slowed" not in text
        alive.event("gpu", used=23.9 * GIB, peak=None, limit=24 * GIB, utilisation=None, temperature=90, power=None,
                    throttled=["too hot"])  # fmt: skip
        await until(pilot, "23.9/24.0 GiB, peak 23.9, 0.1 free  - %  90 °C  - W  ! slowed: too hot")


@pytest.mark.parametrize(
    ("key", "verb", "waiting", "answer", "then"),
    [
        ("s", "save", "saving…", ("state", {"step": 1}), "s save"),
        ("d", "sample", "drawing…", ("sample", {"step": 1, "files": []}), "d draw"),
        ("p", "pause", "pausing…", ("paused", {}), "p go on"),
    ],
)
async def test_a_request_is_faint_until_the_engine_has_answered(alive, key, verb, waiting, answer, then):
    alive.step(1)
    async with opened(alive) as pilot:
        await until(pilot, "s save  d draw  p pause")
        await pilot.press(key)
        await until(pilot, waiting)
        asked = []
        await holds(pilot, lambda: asked.extend(take_requests(alive.folder)) or asked, "the request")
        assert [one.verb for one in asked] == [verb]
        await pilot.press(key)
        await pilot.pause()
        assert take_requests(alive.folder) == []  # once is enough
        alive.event(answer[0], **answer[1])
        await until(pilot, then)


async def test_a_paused_run_goes_on_by_the_same_key(alive):
    alive.step(1)
    alive.event("paused")
    async with opened(alive) as pilot:
        await until(pilot, "= paused", "p go on", "Paused; it keeps its memory.")
        await pilot.press("p")
        asked = []
        await holds(pilot, lambda: asked.extend(take_requests(alive.folder)) or asked, "the request")
        assert asked[0].verb == "resume"
        alive.event("resumed")
        await until(pilot, "▸ running", "p pause")


@pytest.mark.parametrize(("keys", "payload"), [(["s"], False), (["o"], True), (["down", "enter"], True)])
async def test_stopping_asks_how(alive, keys, payload):
    alive.step(1)
    async with opened(alive) as pilot:
        await until(pilot, "x stop")
        await pilot.press("x")
        await until(pilot, "Stop bear? It can be resumed later.", "save, then stop", "stop at once")
        await pilot.press(*keys)
        asked = []
        await holds(pilot, lambda: asked.extend(take_requests(alive.folder)) or asked, "the request")
        assert asked[0].verb == "stop" and asked[0].payload == {"now": payload}
        alive.event("stopping", how="now" if payload else "save")
        await until(pilot, "▪ stopping")


async def test_a_job_that_keeps_no_states_is_stopped_and_gone_on_with_in_its_own_words(own_home):
    from engine.runs.folder import create_run

    job = RecordedRun(create_run("versus", 'kind = "compare"\n', kind="compare"))
    job.event("started", verb="compare", from_step=None)
    job.event("stage", name="drawing", done=10, total=40)
    job.event("stage", name="drawing", done=20, total=40)
    app = LorasmithApp(look_seconds=0.05)
    with job.alive():
        async with app.run_test(size=(80, 24)) as pilot:
            app.show_run(job.folder)
            await until(pilot, "x stop")
            await pilot.press("p")
            await until(pilot, "it holds before the next picture")
            job.event("paused")
            text = await until(pilot, "= paused")
            assert "a second" not in text and "done " not in text  # nothing comes nearer while it waits
            job.event("resumed")
            await pilot.press("x")
            text = await until(pilot, "Stop versus?", "what it has in hand is done again")
            assert "saved state" not in text
            await pilot.press("s")
            job.event("finished", outcome="stopped", reason="stopped as asked")
    app = LorasmithApp(look_seconds=0.05)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_run(job.folder)
        await until(pilot, "Stopped as asked. r goes on with what is left.", "▪ drawing")


async def test_a_reason_that_is_known_is_said_once_without_the_traceback_behind_it(run):
    run.train(20)
    run.folder.log.write_text(
        'Traceback (most recent call last):\n  File "prepare.py", line 151, in check\n    raise DatasetError(\n'
        "engine.errors.DatasetError: The disk is full: make room.\n"
    )
    run.event("finished", outcome="failed", reason="The disk is full: make room.", hint=None)
    async with opened(run) as pilot:
        text = await until(pilot, "why: The disk is full: make room.", "It has failed")
        assert text.count("The disk is full") == 1 and "prepare.py" not in text and "raise" not in text


@pytest.mark.parametrize("key", ["escape", "b"])
async def test_escape_and_back_stop_nothing(alive, key):
    alive.step(1)
    async with opened(alive) as pilot:
        await until(pilot, "x stop")
        await pilot.press("x")
        await until(pilot, "stop at once")
        await pilot.press(key)
        await holds(pilot, lambda: "stop at once" not in text_of(pilot), "the dialog's end")
        assert take_requests(alive.folder) == []


async def test_a_run_that_died_says_why_from_its_last_lines_and_offers_to_resume(run):
    run.train(60)
    run.folder.log.write_text("loading\nRuntimeError: CUDA error: an illegal memory access was encountered\n")
    async with opened(run) as pilot:
        text = await until(pilot, "✗ died", "r resume", "log: RuntimeError: CUDA error: an illegal memory access")
        assert "why: stopped without saying why (killed, out of memory, or a crash" in text
        assert "s save" not in text and "x stop" not in text


async def test_a_long_reason_is_read_to_its_end(run):
    run.finish("failed", MANY, "make room on that disk, then resume: what was saved is kept")
    async with opened(run) as pilot:
        text = " ".join((await until(pilot, "✗ failed", "make room")).split())
        assert "that goes on and on." in text and "what was saved is kept" in text
        assert fits(pilot)


async def test_resuming_starts_the_engine_and_says_what_came_of_it(run, monkeypatch):
    from engine.errors import RunError
    from tui.watch import asking

    run.finish("stopped", "stopped after saving, as asked")
    started = []

    def start_engine(folder, verb, *, processes):
        started.append((folder.name, verb, processes))
        raise RunError("the graphics card is in use by another program")

    monkeypatch.setattr(asking, "start_engine", start_engine)
    async with opened(run) as pilot:
        await until(pilot, "Stopped after saving, as asked. r starts it again from the beginning.")
        await pilot.press("r")
        await until(pilot, "the graphics card is in use by another program", "r resume")
    assert started == [("bear", "train", 1)]


async def test_a_request_that_cannot_be_left_is_said(alive):
    alive.step(1)
    async with opened(alive) as pilot:
        await until(pilot, "s save")
        shutil.rmtree(alive.folder.control)
        alive.folder.control.write_text("in the way")
        await pilot.press("s")
        text = await until(pilot, "cannot leave a request in", "s save ")
        assert "(Not a directory)" in text or "(File exists)" in text  # the reason behind a long path, too


async def test_samples_newest_first_and_back_to_earlier_ones(run):
    for epoch, colour in ((1, "red"), (2, "blue")):
        names = [f"samples/epoch-{epoch}-{number}.png" for number in (1, 2)]
        for name in names:
            Image.new("RGB", (32, 32), colour).save(run.folder.path / name)
        run.event("sample", step=50 * epoch, epoch=epoch, files=names)
    async with opened(run) as pilot:
        await pilot.press("2")
        await until(pilot, "epoch 2, step 100  2 of 2")
        await holds(pilot, lambda: background(pilot) == (0, 0, 252), "the blue pictures")
        await pilot.press("left")
        await until(pilot, "epoch 1, step 50  1 of 2")
        await holds(pilot, lambda: background(pilot) == (252, 0, 0), "the red pictures")
        await pilot.press("z", "down")
        await until(pilot, "samples/epoch-1-2.png")
        await pilot.press("z", "end")
        await until(pilot, "epoch 2, step 100  2 of 2")
        assert fits(pilot)


def background(pilot) -> tuple[int, ...] | None:
    """The colour in the middle of the left half, where the first of two pictures is."""
    strip = pilot.app.screen._compositor.render_strips()[14].crop(18, 19)
    style = strip._segments[0].style
    return tuple(style.bgcolor.triplet) if style and style.bgcolor and style.bgcolor.triplet else None


@pytest.mark.parametrize("content", [b"", b"no picture", None], ids=["empty", "broken", "gone"])
async def test_a_sample_that_cannot_be_shown_is_said_in_its_place(run, content):
    if content is not None:
        (run.folder.samples / "one.png").write_bytes(content)
    run.event("sample", step=1, epoch=1, files=["samples/one.png"])
    async with opened(run) as pilot:
        await pilot.press("2")
        await until(pilot, "no longer there" if content is None else "not shown: UnidentifiedImageError")


async def test_the_record_can_be_read_back_while_it_grows(alive):
    for number in range(60):
        alive.event("warning", text=f"number {number:02d}")
    async with opened(alive) as pilot:
        await pilot.press("3")
        await until(pilot, "number 59")
        await pilot.press("pageup", "pageup")
        text = await until(pilot, "number 30")
        assert "number 58" not in text
        alive.event("warning", text="number 60")
        await holds(pilot, lambda: "number 60" in str(pilot.app.screen.seen.record[-1]), "the new line")
        await until(pilot, "number 30")
        await pilot.press("end")
        await until(pilot, "number 60")


async def test_the_log_safe_to_look_at(run):
    run.folder.log.write_text("hello\n\x1b[31mred\x1b[0m and \x07 bell\n" + "very long " * 50 + "\n")
    async with opened(run) as pilot:
        await pilot.press("4")
        await until(pilot, "hello", "\\x1b[31mred\\x1b[0m and \\x07 bell", "very long")


async def test_a_hostile_name_moves_no_cursor(own_home):
    from engine.runs.folder import RunFolder

    folder = own_home / "runs" / "x\x1b[31m\u202ey"
    folder.mkdir(parents=True)
    (folder / "plan.toml").write_text("")
    run = RecordedRun(RunFolder(folder))
    run.event("started", verb="\x1b[2Jtrain", from_step=None)
    run.event("warning", text="\x1b[2J猫" * 300)
    async with opened(run) as pilot:
        text = await until(pilot, "x\\x1b[31m\\u202ey")
        await pilot.press("3")
        await until(pilot, "猫")
        assert "\x1b" not in text + text_of(pilot)


async def test_a_run_folder_that_is_deleted_while_one_watches(run):
    run.step(1)
    async with opened(run) as pilot:
        await until(pilot, "step 1 of 200")
        shutil.rmtree(run.folder.path)
        await until(pilot, "The folder of bear was moved or deleted.")


async def test_help_lists_the_keys_and_closes_again(run):
    async with opened(run) as pilot:
        await pilot.press("question_mark")
        await until(pilot, "The engine works in a process of its own", "the engine's log", "escape closes this")
        await pilot.press("escape")
        await holds(pilot, lambda: "escape closes" not in text_of(pilot), "the help's end")


async def test_the_palette_opens_with_a_colon(run):
    async with opened(run) as pilot:
        await pilot.press("colon")
        await until(pilot, "The list of all runs", "what runs goes on")


async def test_resizing_at_any_moment(alive):
    alive.train(60)
    async with opened(alive) as pilot:
        await until(pilot, "smoothed")
        for size in ((60, 15), (120, 36), (20, 5), (200, 60), (80, 24)):
            await pilot.resize_terminal(*size)
            small = size[0] < 80
            await until(pilot, "lorasmith needs"[: size[0]] if small else "step 60 of 200")
            assert fits(pilot) or small
        await pilot.press("x")
        await until(pilot, "stop at once")
        await pilot.resize_terminal(70, 20)
        await pilot.resize_terminal(80, 24)
        await pilot.press("escape")
        await until(pilot, "step 60 of 200", "q leave")
