"""The captioning job: stopped, resumed, short of memory, short of pictures; what is done is kept."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_captioners import tiny_qwen

from engine.caption import job as caption_job
from engine.caption.captioner import Captioner
from engine.caption.journal import CaptionError, undo
from engine.caption.plan import CaptionPlan, caption_toml, read_caption_plan
from engine.runs.events import Event, EventLog, EventReader
from engine.runs.folder import RunFolder, create_run
from engine.runs.job import Job, Stopped

ROOT = Path(__file__).resolve().parents[2]


class Sizes(Captioner):
    """Says how wide a picture is, in which the tests' differ; `fits` pictures at once have room."""

    name, batch, refuses = "sizes", 4, 0

    def __init__(self, fits: int = 100, say: str = "a photo of a woman of {} pixels") -> None:
        self.fits, self.say = fits, say
        self.asked: list[str] = []
        self.batches: list[int] = []
        self.ahead: list[bool] = []

    def prepare(self, images: Sequence[Image.Image], instruction: str) -> list[Image.Image]:
        self.ahead.append(threading.current_thread() is not threading.main_thread())
        self.asked.append(instruction)
        return list(images)

    def write(self, prepared: list[Image.Image]) -> list[str]:
        if len(prepared) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if any(image.width == self.refuses for image in prepared):
            raise ValueError("absolute aspect ratio\nmust be smaller")
        self.batches.append(len(prepared))
        return [self.say.format(image.width) for image in prepared]


def started(plan: CaptionPlan) -> RunFolder:
    return create_run("captions", caption_toml(plan), kind="caption")


def work(run: RunFolder, captioner: Captioner, attempt: int = 1) -> dict[str, list[Event]]:
    job = Job(run, EventLog(run, attempt))
    caption_job.run(job, lambda plan: captioner)
    return events(run)


def events(run: RunFolder) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in EventReader(run.events).poll():
        found.setdefault(event.name, []).append(event)
    return found


def captions(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("*.txt"))}


def test_captions_are_put_in_order_and_those_that_are_there_stay(pictures):
    folder = pictures({"a.jpg": None, "b.jpg": "my own words", "c.jpg": "", "d.png": None})
    run = started(CaptionPlan(str(folder), subject="person", trigger="ohwx", class_word="woman"))
    told = work(run, Sizes())
    assert captions(folder) == {"a.txt": "ohwx woman of 40 pixels", "b.txt": "my own words",
                                "c.txt": "ohwx woman of 42 pixels", "d.txt": "ohwx woman of 43 pixels"}  # fmt: skip
    last = told["captioned"][-1]
    assert (last.get("written"), last.get("kept"), last.get("skipped")) == (3, 1, 0)
    newest = told["caption"][-1]
    assert newest.get("text") == "ohwx woman of 43 pixels" and newest.get("picture") == "d.png"
    assert (newest.get("done"), newest.get("total")) == (3, 3) and newest.number("rate")
    assert [(event.get("done"), event.get("total")) for event in told["stage"]][-1] == (3, 3)
    again = work(started(CaptionPlan(str(folder))), Sizes())
    assert again["captioned"][-1].get("kept") == 4 and "caption" not in again, "nothing is done twice"


def test_overwriting_is_one_undo_away_also_after_a_stop_and_a_resume(pictures):
    folder = pictures({f"{at}.jpg": f"mine {at}" for at in range(10)})
    before = captions(folder)
    run = started(CaptionPlan(str(folder), overwrite=True))
    job = Job(run, EventLog(run, 1))

    class Stopping(Sizes):
        def write(self, prepared: list[Image.Image]) -> list[str]:
            if len(self.batches) == 1:
                job.signalled()  # as Ctrl-C or `lorasmith stop` in the middle of the second batch
            return super().write(prepared)

    with pytest.raises(Stopped):
        caption_job.run(job, lambda plan: Stopping())
    done = [name for name, text in captions(folder).items() if text != before[name]]
    assert len(done) == 8, "the batch at hand is finished and kept"
    captioner = Sizes()
    told = work(run, captioner, attempt=2)
    assert sum(captioner.batches) == 2 and told["captioned"][-1].get("written") == 2
    assert all(text.startswith("a photo of a woman of 4") for text in captions(folder).values())
    assert undo(folder).restored == 10 and captions(folder) == before


def test_out_of_memory_halves_the_batch_and_goes_on(pictures):
    folder = pictures({f"{at}.jpg": None for at in range(20)})
    captioner = Sizes(fits=3)
    told = work(started(CaptionPlan(str(folder), batch=8)), captioner)
    said = [str(event.get("text")) for event in told["warning"]]
    assert said == ["8 pictures at once do not fit in memory: going on with 4.",
                    "4 pictures at once do not fit in memory: going on with 2."]  # fmt: skip
    assert max(captioner.batches) == 2 and sum(captioner.batches) == 20
    assert len(captions(folder)) == 20 and captioner.ahead[0], "the first is prepared by a thread"


def test_a_captioner_without_room_for_one_picture_says_so(pictures):
    folder = pictures({"a.jpg": None, "b.jpg": None})
    with pytest.raises(CaptionError, match="no memory left for even one picture"):
        work(started(CaptionPlan(str(folder))), Sizes(fits=0))


def test_pictures_that_are_lost_broken_or_refused_are_named_and_left_out(pictures):
    folder = pictures({f"{at}.jpg": None for at in range(10)})
    (folder / "3.jpg").write_bytes(b"\xff\xd8\xff no picture")

    class Losing(Sizes):
        refuses = 47  # the width of 7.jpg

        def write(self, prepared: list[Image.Image]) -> list[str]:
            (folder / "9.jpg").unlink(missing_ok=True)
            return super().write(prepared)

    told = work(started(CaptionPlan(str(folder), batch=2)), Losing())
    said = " ".join(str(event.get("text")) for event in told["warning"])
    assert "3.jpg" in said and "7.jpg is refused by sizes (absolute aspect ratio" in said
    assert "9.jpg does not exist any more" in said and "\n" not in said
    assert sorted(captions(folder)) == [f"{at}.txt" for at in (0, 1, 2, 4, 5, 6, 8)]
    last = told["captioned"][-1]
    assert (last.get("written"), last.get("skipped")) == (7, 3)
    with pytest.raises(CaptionError, match="none of the pictures could be captioned"):
        work(started(CaptionPlan(str(folder))), Sizes(fits=9, say=""))


def test_what_somebody_writes_while_the_model_looks_is_kept(pictures):
    folder = pictures({"a.jpg": None, "b.jpg": None})

    class Slow(Sizes):
        def write(self, prepared: list[Image.Image]) -> list[str]:
            (folder / "a.txt").write_text("mine")
            return super().write(prepared)

    told = work(started(CaptionPlan(str(folder), trigger="ohwx")), Slow())
    assert captions(folder)["a.txt"] == "mine" and captions(folder)["b.txt"].startswith("ohwx, ")
    assert "changed by somebody else" in str(told["warning"][-1].get("text"))
    assert [event.get("picture") for event in told["caption"]] == ["b.jpg"]


def test_odd_folders_are_told(pictures, tmp_path):
    folder = pictures({"a.jpg": None, "a.png": None, "b.jpg": None, "c.jpg": b"\x00\x01 binary"})
    (folder / "b.txt").mkdir()
    told = work(started(CaptionPlan(str(folder))), Sizes())
    said = [str(event.get("text")) for event in told["warning"]]
    assert any("a.jpg and a.png" in text and "share one caption" in text for text in said)
    assert any("b.txt is a folder" in text for text in said)
    assert any("binary data" in text and "--overwrite" in text for text in said)
    assert (folder / "c.txt").read_bytes() == b"\x00\x01 binary" and (folder / "a.txt").is_file()
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaptionError, match="holds no pictures"):
        work(started(CaptionPlan(str(tmp_path / "empty"))), Sizes())


def test_the_instruction_is_the_kinds_or_the_persons_own(pictures):
    folder = pictures({"a.jpg": None})
    captioner = Sizes()
    captioner.instructed = True
    work(started(CaptionPlan(str(folder), subject="style", overwrite=True)), captioner)
    told = CaptionPlan(str(folder), instruction="Name the {subject}.", class_word="dog", overwrite=True)
    work(started(told), captioner)
    assert "style" in captioner.asked[0] and captioner.asked[1] == "Name the dog."
    deaf = work(started(CaptionPlan(str(folder), instruction="Be brief.", overwrite=True)), Sizes())
    assert "takes no instruction" in str(deaf["warning"][0].get("text"))


def test_the_plan_comes_back_from_its_toml_and_names_a_wrong_key(tmp_path):
    plan = CaptionPlan("/pictures", "qwen", "style", "zwv", "style", 'say "it"\nplainly', True, 4, 0.4, 0.9)
    path = tmp_path / "job.toml"
    path.write_text(caption_toml(plan))
    assert read_caption_plan(path) == plan and 'kind = "caption"' in path.read_text()
    for line, wanted in (
        ("speed = 3", "speed is no setting"),
        ("batch = true", "batch = True should be a whole number"),
        ('subject = "ghost"', "'ghost' is none of"),
        ("general = 1.5", "a share between 0 and 1"),
    ):
        path.write_text(f'kind = "caption"\nfolder = "/pictures"\n{line}\n')
        with pytest.raises(CaptionError, match=wanted):
            read_caption_plan(path)


def test_the_command_captions_with_a_chat_model_of_the_real_class(pictures, tmp_path):
    """The whole way: `lorasmith caption` starts an engine that loads the folder, and tells what it did."""
    model = tiny_qwen(tmp_path / "qwen")
    folder = pictures({"a.jpg": None, "b.jpg": None, "c.jpg": "mine"})
    done = lorasmith("caption", folder, "--captioner", model, "--kind", "animal", "--trigger", "ohwx", "--class", "dog")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 captions written, 1 left as they were" in done.stdout.replace("\n", " ")
    assert all(text.startswith("ohwx dog") for name, text in captions(folder).items() if name != "c.txt")
    assert captions(folder)["c.txt"] == "mine" and len(captions(folder)) == 3
    again = lorasmith("caption", folder)
    assert again.returncode == 0 and "All 3 pictures" in again.stdout
    lorasmith("caption", folder, "--undo")
    assert captions(folder) == {"c.txt": "mine"}


def test_the_command_edits_only_what_was_agreed_to(pictures):
    folder = pictures({"a.jpg": "a man in red", "b.jpg": "a \x1b[31m man", "c.jpg": None})
    shown = lorasmith("captions", folder, "--replace", "man", "woman")
    assert shown.returncode == 1 and "nothing is written without --yes" in shown.stdout and "\x1b" not in shown.stdout
    assert "- a man in red\n  + a woman in red" in shown.stdout and captions(folder)["a.txt"] == "a man in red"
    assert lorasmith("captions", folder, "--replace", "man", "woman", "--yes").returncode == 0
    assert captions(folder)["a.txt"] == "a woman in red"
    listed = json.loads(lorasmith("captions", folder, "--find", "woman", "--json").stdout)
    assert [one["picture"] for one in listed] == ["a.jpg", "b.jpg"]
    problems = json.loads(lorasmith("captions", folder, "--problem", "any", "--json").stdout)
    assert [(one["picture"], one["problem"]) for one in problems] == [("c.jpg", "missing")]
    lorasmith("captions", folder, "--undo")
    assert captions(folder) == {"a.txt": "a man in red", "b.txt": "a \x1b[31m man"}


def lorasmith(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tui", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)


def test_a_plan_is_frozen_data() -> None:
    assert dataclasses.replace(CaptionPlan("x"), trigger="ohwx", class_word=" big  dog ").prefix == "ohwx big dog"
