"""From a training to its comparison, from a comparison to a LoRA, and what stays printed."""

from __future__ import annotations

import shutil

import pytest
from pilots import holds, text_of, until
from recorded_run import RecordedRun

from engine.compare.report import read_report
from engine.runs.folder import RunFolder
from tui.app import LorasmithApp
from tui.compare import starting
from tui.compare.farewell import say_choice

pytestmark = pytest.mark.asyncio


def opened(run=None, size=(80, 24)):
    return LorasmithApp(run, look_seconds=0.05).run_test(size=size)


async def cleared(pilot, *keys: str) -> None:
    """Empties the field that has the keys, and types this."""
    await pilot.press("end", "ctrl+u", *keys)


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (160, 50)])
async def test_the_choice_becomes_the_lora(comparison_run, own_home, size):
    run = comparison_run()
    async with opened(run, size) as pilot:
        await until(pilot, "4 ← choice")
        await pilot.press("m")
        text = await until(pilot, "Make epoch 4 your LoRA?", "Writes", "enter writes it")
        assert ".md (card)" in text and ".html (page)" in text
        await pilot.press("enter")
        await until(pilot, "Your LoRA:", "Trigger words: ohwx animal. Use it at weight 1.", "scp ")
        await pilot.press("enter")
        await until(pilot, "Your LoRA is epoch 4:", "4 ← choice")
    file = own_home / "loras" / "fox.safetensors"
    assert file.is_file() and (own_home / "loras" / "fox.md").is_file()
    assert read_report(run.compare).chosen.file == str(file)


async def test_another_epoch_by_name_place_and_weight(comparison_run, tmp_path):
    run = comparison_run()
    place = tmp_path / "my loras"
    place.mkdir()
    async with opened(run) as pilot:
        await pilot.press("2")
        await until(pilot, "▸● 4")
        await pilot.press("up", "enter")
        await until(pilot, "Make epoch 3 your LoRA? The comparison recommends epoch 4")
        await cleared(pilot, *"fox3")
        await pilot.press("down")
        await cleared(pilot, *str(place))
        await pilot.press("down")
        await cleared(pilot, *"0.7")
        await pilot.press("enter")
        await until(pilot, "Use it at weight 0.7.")
    assert (place / "fox3.safetensors").is_file()
    chosen = read_report(run.compare).chosen
    assert (chosen.checkpoint, chosen.weight) == (3, 0.7)


async def test_nothing_is_ever_overwritten(comparison_run, own_home):
    run = comparison_run()
    (own_home / "loras").mkdir(parents=True)
    mine = own_home / "loras" / "fox.md"
    mine.write_text("mine")
    async with opened(run) as pilot:
        await until(pilot, "4 ← choice")
        await pilot.press("m")
        await until(pilot, "fox.md is there already and is not overwritten")
        await pilot.press("enter")
        await pilot.pause(0.2)
        assert mine.read_text() == "mine" and not (own_home / "loras" / "fox.safetensors").exists()
        await pilot.press("end", "2")
        await until(pilot, "enter writes it")
        await pilot.press("enter")
        await until(pilot, "Your LoRA:")
    assert mine.read_text() == "mine" and (own_home / "loras" / "fox2.safetensors").is_file()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["end", "ctrl+u"], "Give it a name."),
        ([*"a/b"], "cannot be a LoRA's name: give it another"),
        (["end", "ctrl+u", *"a,b:c"], "'a,b:c' cannot be a LoRA's name: give it another"),
        (["end", "ctrl+u", *"-neu"], "'-neu' cannot be a LoRA's name: give it another"),
        (["end", "ctrl+u", *("n" * 121)], "is too long: give it"),
        (["down", "end", "ctrl+u", *"/nowhere"], "There is no folder /nowhere"),
        (["down", "down", *"x"], "The weight to use it at is a number above 0"),
    ],
    ids=["no name", "slash", "comma", "minus", "long", "no folder", "weight"],
)
async def test_a_mistake_is_answered_in_a_sentence_while_it_is_typed(comparison_run, typed, said):
    async with opened(comparison_run()) as pilot:
        await until(pilot, "4 ← choice")
        await pilot.press("m", *typed)
        await until(pilot, said)
        await pilot.press("enter")
        await until(pilot, said)
        await pilot.press("escape")
        await until(pilot, "4 ← choice")


async def test_what_is_typed_reaches_the_engine_as_it_is(comparison_run, own_home, monkeypatch):
    """Also where a rule of the window were laxer: no name or folder is read as an option."""
    run = comparison_run()
    monkeypatch.setattr("tui.compare.making.name_trouble", lambda name: "")
    async with opened(run) as pilot:
        await until(pilot, "4 ← choice")
        await pilot.press("m")
        await until(pilot, "enter writes it")
        await cleared(pilot, *"-neu")
        await until(pilot, "-neu.safetensors")
        await pilot.press("enter")
        text = await until(pilot, "'-neu' cannot be a LoRA's name")
        assert "usage" not in text and "expected one argument" not in text


async def test_a_weight_by_hand_is_said_of_what_was_written(comparison_run):
    async with opened(comparison_run(), (100, 30)) as pilot:
        await until(pilot, "4 ← choice")
        await pilot.press("m", "down", "down")
        await cleared(pilot, *"0.7")
        await pilot.press("enter")
        await until(pilot, "Use it at weight 0.7.", "Weight 0.7 was chosen by hand for epoch 4; the comparison", "scp ")


async def test_what_cannot_be_written_is_said(comparison_run, own_home):
    run = comparison_run()
    report = read_report(run.compare)
    gone = report.checkpoint(4)
    text = (run.compare / "report.json").read_text("utf-8").replace(gone.file, "/gone/fox.safetensors")
    (run.compare / "report.json").write_text(text.replace(report.run, "/gone/run"), encoding="utf-8")
    async with opened(run) as pilot:
        await until(pilot, "4 ← choice")
        await pilot.press("m")
        await until(pilot, "Make epoch 4 your LoRA?")
        await pilot.press("enter")
        await until(pilot, "is gone: put it back, or choose")
        await pilot.press("escape")
        await until(pilot, "4 ← choice")


def finished_training(own_home) -> RunFolder:
    """The training `fox`, with a record that it has finished."""
    run = RecordedRun(RunFolder(own_home / "runs" / "fox"))
    run.start()
    run.train(200)
    run.finish()
    return run.folder


async def test_a_finished_training_opens_the_comparison_that_there_is(comparison_run, own_home):
    run = comparison_run()
    finished_training(own_home)
    async with opened() as pilot:
        text = await until(pilot, "2 runs", "fox-compare", "comparison")
        while "▸ fox-compare" not in text_of(pilot):
            await pilot.press("down")
        await until(pilot, "Take epoch 4: clearly the best", "choose")
        await pilot.press("enter")
        await until(pilot, "4 ← choice")
        assert pilot.app.watched == run
        await pilot.press("l")
        await until(pilot, "▸ fox-compare")
        while "▸ fox " not in (text := text_of(pilot)):
            await pilot.press("up" if "▸ fox-compare" in text and text.index("▸") > text.index(" fox ") else "down")
        await until(pilot, "c compares its checkpoints")
        await pilot.press("c")
        await until(pilot, "4 ← choice")


async def test_a_training_without_one_begins_it_after_saying_what_it_costs(comparison_run, own_home, monkeypatch):
    shutil.rmtree(comparison_run().path)
    training = finished_training(own_home)
    begun = []

    def start_engine(folder: RunFolder, verb: str) -> None:
        begun.append((folder.name, verb))
        RecordedRun(folder).event("started", verb=verb, from_step=None)

    monkeypatch.setattr(starting, "start_engine", start_engine)
    async with opened(training) as pilot:
        await until(pilot, "c compare")
        await pilot.press("c")
        text = await until(pilot, "Compare the checkpoints of fox?", "10 checkpoints and the untouched base: ")
        assert "pictures" in text and "keeps what is" in text
        await pilot.press("escape")
        await holds(pilot, lambda: "Compare the checkpoints" not in text_of(pilot), "the window's end")
        assert begun == []
        await pilot.press("c")
        await until(pilot, "10 checkpoints and the untouched base: ")
        await pilot.press("up")
        await until(pilot, "● quick")
        await pilot.press("enter")
        await until(pilot, "fox-compare  comparison")
    assert begun == [("fox-compare", "compare")]
    from engine.compare.settings import read_compare_job

    job = read_compare_job(RunFolder(own_home / "runs" / "fox-compare").job)
    assert job.depth == "quick" and job.run == str(training.path)


async def test_encoders_that_are_not_here_are_fetched_first_unless_that_is_left_out(
    comparison_run, own_home, monkeypatch, tmp_path
):
    from engine.compare.settings import read_compare_job
    from engine.errors import RunError

    shutil.rmtree(comparison_run().path)
    training = finished_training(own_home)
    training.plan.write_text(training.plan.read_text().replace('model = "demo"', 'model = "sdxl-1.0"'))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("engine.vision.models._package_folders", lambda package, inside: [])
    begun = []

    def start_engine(folder: RunFolder, verb: str) -> None:
        begun.append(read_compare_job(folder.job))
        raise RunError("no graphics card is free")

    monkeypatch.setattr(starting, "start_engine", start_engine)
    async with opened(training) as pilot:
        await until(pilot, "c compare")
        await pilot.press("c")
        await until(pilot, "First, once for all comparisons: the download of siglip2", "f leaves the download out")
        await pilot.press("enter")
        await until(pilot, "no graphics card is free")
        await pilot.press("escape")
        await pilot.press("c")
        await until(pilot, "f leaves the download out")
        await pilot.press("f")
        await until(pilot, "Nothing is measured and none chosen without siglip2", "f fetches first")
        await pilot.press("enter")
        await until(pilot, "no graphics card is free")
    assert [(job.fetch, job.readers) for job in begun] == [(True, ()), (False, ())]


async def test_a_comparison_that_is_refused_says_why_and_leaves_nothing(comparison_run, own_home, monkeypatch):
    from engine.errors import RunError

    shutil.rmtree(comparison_run().path)
    training = finished_training(own_home)

    def start_engine(folder: RunFolder, verb: str) -> None:
        raise RunError("the graphics card is in use by another program")

    monkeypatch.setattr(starting, "start_engine", start_engine)
    async with opened(training) as pilot:
        await until(pilot, "c compare")
        await pilot.press("c")
        await until(pilot, "10 checkpoints")
        await pilot.press("enter")
        await until(pilot, "the graphics card is in use by another program")
    assert not (own_home / "runs" / "fox-compare").exists()


async def test_what_stays_printed(comparison_run, own_home, capsys, tmp_path):
    run = comparison_run()
    say_choice(run)
    said = capsys.readouterr().out
    assert "Take epoch 4: clearly the best" in said and "`lorasmith choose fox-compare` makes it your LoRA." in said
    assert "`lorasmith watch fox-compare` comes back to it." in said


