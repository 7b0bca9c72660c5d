"""Pictures that a plan leaves out: passed over by the scan, the plan's report and the training alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from engine.dataset.captions import CaptionRules
from engine.dataset.health import job as health_job
from engine.dataset.health.request import answer, check_run
from engine.dataset.scan import Folder, scan
from engine.estimate import plan_report
from engine.plan import BaseChoice, PictureFolder, Pictures, Plan
from engine.plan_file import plan_from_text, write_plan
from engine.runs.job import OK, run_job


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "dog"
    (place / "more").mkdir(parents=True)
    for at, name in enumerate(("a.png", "b.png", "more/c.png")):
        Image.new("RGB", (64, 64), (at * 40, 90, 30)).save(place / name)
        (place / name).with_suffix(".txt").write_text("a dog", encoding="utf-8")
    return place


def test_a_picture_left_out_is_passed_over_with_its_caption(folder: Path):
    found = scan([Folder(folder)], CaptionRules(), leave_out=("more/c.png",))
    assert [picture.name for picture in found.pictures] == ["a.png", "b.png"]
    assert found.problems == ()


def test_a_name_that_matches_nothing_is_a_warning(folder: Path):
    found = scan([Folder(folder)], CaptionRules(), leave_out=("c.png",))
    assert len(found.pictures) == 3
    assert [(one.severity, "c.png" in one.sentence) for one in found.problems] == [("warning", True)]


def test_the_plan_carries_it_through_its_file_and_its_report(folder: Path):
    plan = Plan(pictures=Pictures(folders=(PictureFolder(str(folder)),), leave_out=("a.png",)))
    assert plan_from_text(write_plan(plan)) == plan
    assert "leave_out" not in write_plan(replace(plan, pictures=replace(plan.pictures, leave_out=())))
    report = plan_report(plan, native_resolution=64, native_step=16)
    assert [line.picture.name for line in report.lines] == ["b.png", "more/c.png"]


def test_class_pictures_are_never_left_out(folder: Path):
    found = scan([Folder(folder, 1, "class")], CaptionRules(), leave_out=("a.png",))
    assert len(found.pictures) == 3


def test_a_report_that_raises_ends_the_scan(folder: Path):
    for at in range(40):
        Image.new("RGB", (64, 64), (at, 0, 0)).save(folder / f"{at}.png")

    def enough(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        scan([Folder(folder)], CaptionRules(), enough)


def test_the_health_check_passes_over_them_too(folder: Path):
    pictures = Pictures(folders=(PictureFolder(str(folder)),), leave_out=("a.png",))
    run = check_run(Plan(pictures=pictures, base=BaseChoice(model="demo")))
    assert run_job(run, health_job.run, verb="health") == OK
    assert [one.name for one in answer(run).pictures] == ["b.png", "more/c.png"]
