"""The check report: what will be trained, said in figures that a simulation of the training confirms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.dataset.buckets import BucketRules
from engine.dataset.captions import CaptionRules
from engine.dataset.check import CheckReport, check_dataset
from engine.dataset.check_text import bucket_table, problem_lines, step_lines, to_json, totals
from engine.dataset.scan import Dataset, Folder, scan

RULES = BucketRules(1024, 64, 512, 2048)
SMALL = BucketRules(64, 8, 32, 128)


def report_lines(report: CheckReport) -> list[str]:
    return [*totals(report), *bucket_table(report), *step_lines(report), *problem_lines(report)]


def scanned(*folders: Path, classes: Path | None = None) -> Dataset:
    given = [Folder(folder) for folder in folders]
    return scan([*given, Folder(classes, role="class")] if classes else given, CaptionRules())


def test_the_reference_photographs(shared_data: Path) -> None:
    report = check_dataset(scanned(shared_data / "dreambooth" / "bear_plushie"), RULES, kind="object")
    assert [(line.bucket, line.fit.loss, line.upscaled, line.small) for line in report.lines] == [
        ((1024, 1024), 0, False, False)
    ] * 5
    # 5 pictures x 40 repeats x 10 epochs = 2,000 picture-steps, one a step.
    assert report.steps.per_epoch == 200 and report.steps.total == 2000 and report.problems == ()
    text = "\n".join(report_lines(report))
    assert "5 MPO" in text and "an epoch: 200 batches of 1 = 200 steps; the training: 10 epochs = 2,000 steps" in text
    assert any("5 pictures have no caption, which matters for an object" in said for said in report.warnings)


def test_small_pictures_are_named(shared_data: Path) -> None:
    report = check_dataset(scanned(shared_data / "dreambooth" / "teapot"), RULES)
    assert {line.picture.name: line.bucket for line in report.lines if line.small} == {
        "01.jpg": (832, 832), "03.jpg": (640, 640),
    }  # fmt: skip
    assert any("2 pictures train well below the resolution" in said for said in report.warnings)
    upscaling = BucketRules(1024, 64, 512, 2048, upscale=True)
    enlarged = check_dataset(scanned(shared_data / "dreambooth" / "teapot"), upscaling)
    assert "up to 1.46 times" in " ".join(enlarged.warnings)  # 1024 / 703


def test_buckets_batches_and_the_short_ones(tmp_path: Path, photograph) -> None:
    for index in range(5):
        photograph(tmp_path / "3_ohwx man" / f"wide{index}.png", (128, 96))
    photograph(tmp_path / "3_ohwx man" / "tall.png", (96, 160))
    report = check_dataset(scanned(tmp_path), SMALL, batch=4, accumulation=2, epochs=10)
    assert [(b.bucket, b.pictures, b.items, b.batches, b.short) for b in report.buckets] == [
        ((48, 80), 1, 3, 1, 3), ((72, 56), 5, 15, 4, 3),
    ]  # fmt: skip
    assert (report.steps.micro_per_epoch, report.steps.per_epoch, report.steps.total) == (5, 3, 30)
    text = "\n".join(report_lines(report))
    assert "3 of 4" in text and "2 batches an epoch run short" in text
    assert 'folder "3_ohwx man": 3 repeats, trigger "ohwx", class "man"' in text
    assert report.repeats_sentence is None


def test_class_pictures_and_held_out_ones_are_counted(tmp_path: Path, photograph) -> None:
    for index in range(20):
        photograph(tmp_path / "mine" / f"{index}.png")
    for index in range(30):
        photograph(tmp_path / "class" / f"{index}.png")
    report = check_dataset(scanned(tmp_path / "mine", classes=tmp_path / "class"), SMALL, batch=2)
    assert sum(line.held_out for line in report.lines) == 2
    # 18 pictures x 11 repeats = 198, and as many class pictures.
    assert (report.class_pool, report.class_need) == (30, 198)
    assert report.buckets[0].items == report.buckets[0].class_items == 198 == report.steps.per_epoch
    text = "\n".join(report_lines(report))
    assert "30 class pictures, 198 an epoch" in text and "2 of them held out" in text
    assert any("each met about 66.0 times" in said for said in report.warnings)


def test_pictures_that_fit_no_bucket_are_named(tmp_path: Path, photograph) -> None:
    photograph(tmp_path / "tiny.png", (40, 20))
    report = check_dataset(scanned(tmp_path), SMALL)
    assert not report.trainable and report.steps.total == 0
    assert report.problems[0].sentence.startswith("tiny.png: 40 x 20 pixels is smaller than the smallest bucket side")
    assert "these take no part in the training" in "\n".join(report_lines(report))


def test_holding_out_too_many_is_said(tmp_path: Path, photograph) -> None:
    photograph(tmp_path / "a.png")
    report = check_dataset(scanned(tmp_path), SMALL, hold_out=3)
    assert report.trainable and "pictures.hold_out = 3 leaves nothing to train" in (report.hold_out_problem or "")


def test_the_text_is_plain_and_narrow_whatever_the_names(tmp_path: Path, photograph) -> None:
    photograph(tmp_path / ("long name " * 20 + ".png"))
    photograph(tmp_path / "写真写真写真写真写真写真写真写真写真写真.png", (300, 60))
    photograph(tmp_path / "esc\x1b[2J.png")
    photograph(tmp_path / "12_ohwx woman" / "a.webp", (96, 128))
    (tmp_path / ("stray" * 30 + ".xyz")).touch()
    report = check_dataset(scanned(tmp_path), SMALL, batch=3, accumulation=2, kind="style")
    lines = report_lines(report)
    assert all(line.isprintable() for line in lines), lines
    # Only a name that is longer than a line by itself may make one longer.
    assert all(len(line) <= 80 or max(map(len, line.split())) > 70 for line in lines), lines
    again = json.loads(json.dumps(to_json(report)))
    assert again["trainable"] is True and len(again["lines"]) == 4
    assert again["steps"]["total"] == report.steps.total
    assert {"bucket", "resized", "crop", "loss", "scale"} == set(again["lines"][0]["fit"])


def test_an_empty_folder_has_a_report(tmp_path: Path) -> None:
    lines = report_lines(check_dataset(scanned(tmp_path), RULES))
    assert lines[0] == "No picture to train with." and "is empty" in " ".join(" ".join(lines).split())


@pytest.mark.parametrize("module", ["picture", "buckets", "captions", "kohya_folder", "scan", "schedule", "check",
                                    "check_text"])  # fmt: skip
def test_the_room_is_light(module: str) -> None:
    import subprocess
    import sys

    code = (f"import sys, engine.dataset.{module}; "
            "print(sorted({'torch', 'numpy', 'PIL', 'rich', 'textual'} & set(sys.modules)))")  # fmt: skip
    out = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True,
                         cwd=Path(__file__).parents[2], env={"PYTHONPATH": str(Path(__file__).parents[2])})  # fmt: skip
    assert out.stdout.strip() == "[]"


def test_many_files_of_other_things_do_not_hide_what_matters(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"song{number}.mp3").write_bytes(b"ID3")
    (tmp_path / "zero.jpg").touch()
    lines = report_lines(check_dataset(scanned(tmp_path), SMALL))
    said = " ".join(" ".join(lines).split())
    assert "zero.jpg is empty" in said and "30 things to look at" in said
    assert sum("song" in line for line in lines) == 10
    assert "and 20 more, of which each is neither a picture nor a caption" in said
    assert len(to_json(check_dataset(scanned(tmp_path), SMALL))["problems"]) == 31
