"""The staged comparison on the embedded base: what it leaves, interrupted anywhere, and with bad input."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from painted_pictures import painted_folder
from PIL import Image
from planted_grids import Knobs, grid_of
from planted_loras import planted_lora
from training_runs import events, forked

from engine.base.load import open_base
from engine.compare.job import _kept
from engine.compare.job import run as compare
from engine.compare.report import read_report
from engine.compare.rows import picked
from engine.compare.settings import MOST_SURVIVORS, CompareJob, job_text, own_prompts
from engine.plan import BaseChoice, Network
from engine.runs.folder import create_run
from engine.runs.job import run_job
from engine.runs.summary import read_summary
from engine.select.cells import BASE, Point
from engine.select.decide import decide
from engine.select.families import Family
from engine.select.scores import evaluate
from engine.vision.encoder import open_encoder

PROMPTS = """
version = 1
kind = "object"
[styles]
photo = "flat emoji"
sketch = "pencil sketch"
[[prompt]]
family = "identity"
text = "{a subject} on a white ground"
first = true
[[prompt]]
family = "context"
text = "{a subject} in the snow"
first = true
[[prompt]]
family = "context"
text = "{a subject} on the beach"
[[prompt]]
family = "class"
text = "{a class} on a white ground"
first = true
"""
FIRST, REST = 3 * 2, 2  # pictures of a point: prompts x seeds


@pytest.fixture(scope="module")
def loras(tmp_path_factory) -> list[Path]:
    base, folder = open_base("demo"), tmp_path_factory.mktemp("loras")
    open_encoder("demo")  # the children find its vocabulary made
    return [planted_lora(base, folder / f"thing-{number:06d}.safetensors", Network(rank=2), seed=number)
            for number in (1, 2)]  # fmt: skip


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    return painted_folder(tmp_path_factory.mktemp("pictures") / "photographs")


@pytest.fixture(scope="module")
def job(loras, photographs) -> CompareJob:
    return CompareJob(
        loras=tuple(map(str, loras)), base=BaseChoice(model="demo"), kind="animal", trigger="ohwx",
        class_word="animal", pictures=(str(photographs),), prompts="own", steps=1, cfg=1.0,
    )  # fmt: skip


def new_run(job: CompareJob, prompts: str = PROMPTS, name: str = "things-compare"):
    run = create_run(name, job_text(job), kind="compare")
    own_prompts(run).write_text(prompts)
    return run


def work(run, before=lambda: None) -> int:
    """One attempt in a forked child, after `before` has changed the child's own modules."""

    def attempt() -> int:
        before()
        return run_job(run, compare, verb="compare")

    return forked(attempt)


class PlantedReader:
    """Measures what it is told to: epoch 1 balances, epoch 2 is likest and stiff; other weights are as weight 1."""

    key, notes = "planted", ()
    knobs = {1: Knobs(0.8, 0.95, 0.95, 0.9), 2: Knobs(0.95, 0.3, 0.3, 0.3), 3: Knobs(0.9)}

    def read(self, cells, pictures):
        assert all(path.is_file() for path in pictures)
        points = {cell.point for cell in cells} - {BASE}
        prompts = {"identity-1": Family.IDENTITY, "context-1": Family.CONTEXT, "context-2": Family.CONTEXT,
                   "class-1": Family.CLASS}  # fmt: skip
        grid = grid_of({p: self.knobs[p.checkpoint] for p in points}, seeds=3, noise=0.01, prompts=prompts)
        return picked(grid, [grid.cells.index(cell) for cell in cells])


def planted() -> None:
    """Has the planted reader look at the pictures, in the child's own modules."""
    from engine.compare import job

    job.reader_opener = lambda *_: PlantedReader  # type: ignore[assignment]


def pictures(run) -> dict[str, bytes]:
    return {str(path.relative_to(run.compare)): path.read_bytes() for path in (run.compare / "pictures").rglob("*.png")}


def counting(to: Path, at: int = 0, act=None):
    """Counts the pictures that are drawn, in a file; `act` is called at the n-th."""

    def change() -> None:
        from engine.compare import painter

        planted()

        real, drawn = painter.save_png, []

        def save(pixels, path, text=""):
            drawn.append(None)
            if len(drawn) == at:
                act(path)
            real(pixels, path, text)
            to.write_text(str(len(drawn)))

        painter.save_png = save

    return change


@pytest.fixture(scope="module")
def whole(job, tmp_path_factory):
    """A comparison that nothing disturbed."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LORASMITH_HOME", str(tmp_path_factory.mktemp("home")))
        run = new_run(job)
        assert work(run, planted) == 0
    return run


def test_the_demos_own_encoder_measures_what_was_drawn(job):
    run = new_run(job)
    assert work(run) == 0
    report = read_report(run.compare)
    assert report.state == "done" and set(report.encoders) >= {"likeness", "following", "looks"}
    assert {row.at for row in report.points} >= {(0, 0.0), (1, 1.0), (2, 1.0)} and report.words


def test_every_stage_is_drawn_measured_and_told(whole, job, tmp_path, monkeypatch):
    run = whole
    report = read_report(run.compare)
    assert report.state == "done" and report.stage == "" and report.drawn == len(report.pictures)
    assert [row.name for row in report.checkpoints] == ["epoch 1", "epoch 2"] and report.points and report.words
    assert all((run.compare / row.file).is_file() for row in report.pictures)
    points = {(row.checkpoint, row.weight) for row in report.pictures}
    assert points == {(0, 0.0), *((number, weight) for number in (1, 2) for weight in (0.6, 0.8, 1.0))}
    assert report.photographs and (run.compare / report.photographs[0]).is_file()
    assert report.choice == (1, 1.0) and report.decision.last == (2, 1.0)
    hires = [row for row in report.pictures if row.hires]
    assert {(row.checkpoint, row.weight) for row in hires} == {(1, 1.0)} and report.hires is not None
    with Image.open(run.compare / hires[0].file) as picture:
        assert picture.size == (96, 96) and "Hires upscale: 1.5" in picture.info["parameters"]

    stages = list(dict.fromkeys(event.get("name") for event in events(run, "stage")))
    drawing = ["first pictures", "more for the survivors", "weights", "high-res fix"]
    assert [name for name in stages if name in drawing] == drawing
    told = [event for event in events(run, "stage") if event.get("name") in drawing]
    left = {name: [event.number("left") for event in told if event.get("name") == name] for name in drawing}
    assert left["first pictures"][-1] > left["weights"][-1] > left["high-res fix"][-1] == 0.0
    page = [event for event in events(run, "stage") if event.get("name") == "writing the page"]
    assert page[-1].get("done") == page[-1].get("total") >= report.drawn
    said = events(run, "compared")[-1]
    assert said.get("text") == report.words[0].text and (run.compare / "page.html").is_file()
    sheet = events(run, "sample")[-1].get("files")[0]
    assert (run.path / sheet).is_file()

    drawn = run.compare / "pictures" / "001-w1" / "context-1-1.png"
    with Image.open(drawn) as picture:
        assert picture.info["parameters"].startswith("an ohwx animal in the snow <lora:thing-000001:1>")
    base = run.compare / "pictures" / "base" / "context-1-1.png"
    with Image.open(base) as picture:
        assert picture.info["parameters"].startswith("an animal in the snow\n")
    assert base.stat().st_nlink > 1, "the base's pictures are links into the store that all projects share"

    monkeypatch.setenv("LORASMITH_HOME", str(whole.path.parents[1]))
    again = new_run(job, name="second")
    assert work(again, counting(tmp_path / "drawn")) == 0
    assert read_report(again.compare).drawn == report.drawn
    base_files = {name for name in pictures(run) if "/base/" in name}
    assert int((tmp_path / "drawn").read_text()) == len(pictures(run)) - len(base_files)


def test_what_bleeds_at_first_sight_is_not_given_up():
    """By one prompt of the class word all epochs of a real run but a poor one bled, and were given up."""
    knobs = {Point(1): Knobs(0.7), Point(2): Knobs(0.7), **{Point(k): Knobs(0.75, bleeds=0.9) for k in range(3, 8)}}
    knobs |= {Point(5): Knobs(0.85, bleeds=0.9), Point(7): Knobs(0.95, 0.3, 0.3, bleeds=0.9)}
    scores = evaluate(grid_of(knobs), "person")
    strict, sparing = decide(scores), decide(scores, spared=("bleeding",))
    assert not {Point(4), Point(5)} & set(_kept([strict], CompareJob()))
    kept = _kept([strict, sparing], CompareJob())
    assert {strict.choice, Point(5)} <= set(kept) and len(kept) <= MOST_SURVIVORS
    assert set(_kept([strict, sparing], CompareJob(depth="thorough"))) >= set(kept)


@pytest.mark.parametrize("at", [11, 30, 57])
def test_stopped_anywhere_it_goes_on_to_the_same_end(whole, job, tmp_path, at):
    run = new_run(job)

    def stop(path: Path) -> None:
        from engine.runs.job import Stopped

        raise Stopped

    assert work(run, counting(tmp_path / "before", at, stop)) == 4
    stopped = read_report(run.compare)
    assert stopped.state == "stopped" and read_summary(run).status == "stopped"
    assert all((run.compare / row.file).is_file() for row in stopped.pictures)
    before = len(events(run, "stage"))
    assert work(run, counting(tmp_path / "after")) == 0
    resumed = next(one for one in events(run, "stage")[before:] if one.get("name") == "first pictures")
    there = min(stopped.drawn, resumed.get("total"))
    assert resumed.get("done") >= there - 8, "what is there counts from the beginning"

    first, second = read_report(whole.compare), read_report(run.compare)
    assert pictures(run) == pictures(whole), "drawn in the same batches, whenever it is drawn"
    assert second.decision == first.decision and second.points == first.points and second.words == first.words
    drawn = int((tmp_path / "before").read_text()) + int((tmp_path / "after").read_text())
    assert drawn <= len(pictures(whole)) + 8, "at most a batch is drawn twice"


def test_what_was_deleted_is_drawn_again_and_other_prompts_draw_only_what_is_new(job, tmp_path):
    run = new_run(replace(job, depth="quick"))
    assert work(run, planted) == 0
    before = pictures(run)
    lost = run.compare / "pictures" / "002-w1" / "identity-1-1.png"
    kept = next(path for path in (run.compare / "drawn").rglob("*.png") if path.samefile(lost))
    lost.unlink()
    kept.unlink()
    assert work(run, planted) == 0
    assert pictures(run) == before

    changed = PROMPTS.replace("in the snow", "on a pink ground")
    own_prompts(run).write_text(changed)
    assert work(run, counting(tmp_path / "drawn")) == 0
    report = read_report(run.compare)
    assert report.prompt("context-1").drawn == "an ohwx animal on a pink ground"
    assert pictures(run)["pictures/001-w1/context-1-1.png"] != before["pictures/001-w1/context-1-1.png"]
    assert pictures(run)["pictures/001-w1/identity-1-1.png"] == before["pictures/001-w1/identity-1-1.png"]


def test_a_full_disk_keeps_what_is_drawn(job, tmp_path):
    run = new_run(replace(job, depth="quick"))

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    assert work(run, counting(tmp_path / "drawn", 9, full)) == 1
    assert "the disk is full" in read_summary(run).reason
    assert len(pictures(run)) == 8 and work(run, planted) == 0 and read_report(run.compare).state == "done"


def test_broken_files_are_named_and_left_out(job, loras, tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(loras[0].read_bytes()[:5000])
    tensors = safetensors.numpy.load_file(loras[1])
    none = tmp_path / "nan.safetensors"
    key = next(key for key in tensors if "lora_up" in key)
    safetensors.numpy.save_file({**tensors, key: np.full_like(tensors[key], np.nan)}, none)
    alien = tmp_path / "alien.safetensors"
    other = {key.replace("lora_unet_", "lora_unet_never_"): value for key, value in tensors.items()}
    safetensors.numpy.save_file(other, alien)
    idle = tmp_path / "idle.safetensors"
    safetensors.numpy.save_file({k: np.asarray(v * ("alpha" in k)) for k, v in tensors.items()}, idle)
    wild = tmp_path / "wild.safetensors"
    loud = {key: np.asarray(value * np.float32(1e30 if "lora_up" in key else 1)) for key, value in tensors.items()}
    safetensors.numpy.save_file(loud, wild)

    run = new_run(replace(job, loras=(str(loras[0]), *map(str, (cut, none, alien, idle, wild))), depth="quick"))
    assert work(run, planted) == 0
    report = read_report(run.compare)
    rows = {row.name: row.problem or "" for row in report.checkpoints}
    assert "not a whole" in rows["cut"] or "truncated" in rows["cut"] or "shorter" in rows["cut"], rows
    assert "not finite" in rows["nan"]
    assert "Nothing of alien" in rows["alien"], "0 matched modules never pass for perfect flexibility"
    assert "changes nothing" in rows["idle"] and "no finite picture" in rows["wild"]
    assert {row.checkpoint for row in report.points} == {0, 1}
    assert report.words[0].text.startswith("One checkpoint is measured")
    told = " ".join(str(event.get("text")) for event in events(run, "warning"))
    assert all(name in told for name in ("cut", "nan", "alien", "idle", "wild"))


def test_without_photographs_there_are_pictures_and_no_figure_for_likeness(job):
    run = new_run(replace(job, pictures=()))
    assert work(run) == 0
    report = read_report(run.compare)
    assert report.decision.choice is None and "takes photographs of the subject" in report.decision.reason
    assert report.points and all(row.fidelity is None for row in report.points)
    assert not [row for row in report.pictures if row.prompt == "context-2"], "the first pictures are all"
    assert any("No photographs" in note for note in report.notes)


def test_one_file_under_two_names_is_drawn_once_and_said(job, loras, tmp_path):
    twin = tmp_path / "twin.safetensors"
    twin.write_bytes(loras[0].read_bytes())
    third = loras[1]
    run = new_run(replace(job, loras=(str(loras[0]), str(twin), str(third)), depth="quick"))
    assert work(run, counting(tmp_path / "drawn")) == 0
    report = read_report(run.compare)
    assert report.checkpoint(2).twin_of == 1 and {row.checkpoint for row in report.points} == {0, 1, 3}
    assert any("all but the same" in note for note in report.notes)


def test_the_self_test_finds_weight_0_to_be_the_base(job):
    run = new_run(replace(job, dose=2), name="dose")
    assert work(run) == 0
    from engine.compare.dose import findings

    report = read_report(run.compare)
    assert sorted({row.weight for row in report.points if row.checkpoint}) == [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0]
    first = findings(report, run.compare)[0]
    assert first.passed and "bit for bit" in first.sentence
    bare = run.compare / "pictures" / "bare" / "context-1-1.png"
    Image.fromarray(255 - np.asarray(Image.open(bare))).save(bare)
    assert findings(report, run.compare)[0].passed is False
    for at_two, lower in ((88.0, True), (99.6, False), (100.0, False)):
        points = tuple(replace(row, flexibility=at_two if row.weight == 2 else 100.0) for row in report.points)
        assert findings(replace(report, points=points), run.compare)[-1].passed is lower
