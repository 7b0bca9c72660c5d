"""Class pictures that a person brings, and ready-made sets: checked, licences shown, the subject's own refused."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from types import SimpleNamespace

import pytest
from PIL import Image
from training_runs import events, forked

from engine.draw import class_hub
from engine.draw.class_hub import chosen_files, licence_sentence
from engine.draw.class_plan import needed
from engine.draw.class_settings import dataset_job, job_text
from engine.draw.class_sources import check_brought
from engine.errors import DatasetError
from engine.estimate import plan_report
from engine.plan import BaseChoice, PictureFolder, Pictures, Plan, Subject
from engine.runs.folder import create_run
from engine.runs.job import run_job
from engine.runs.summary import read_summary


def paint(folder, count, size=(64, 64), shade=0):
    folder.mkdir(exist_ok=True)
    for index in range(count):
        Image.new("RGB", size, (shade, 10 * index, 80)).save(folder / f"p{index}.png")
    return folder


@pytest.fixture
def plan(tmp_path):
    mine = paint(tmp_path / "mine", 2)
    return Plan(
        subject=Subject("animal", "ohwx", "dog"),
        pictures=Pictures(folders=(PictureFolder(str(mine), 3),)),
        base=BaseChoice(model="demo"),
    )


def brought(plan, path):
    report = plan_report(plan, native_resolution=64, native_step=16)
    return check_brought(plan, needed(plan, report), report, path)


def test_a_sound_folder_is_counted_against_the_plan(plan, tmp_path):
    others = paint(tmp_path / "others", 4, shade=200)
    found = brought(plan, others)
    assert found.pictures == 4
    assert "4 pictures, and the plan wants 6: each is met 1.5 times an epoch" in found.sentences[0]
    assert "4 of 4 have no caption and stand for 'dog'." in found.sentences
    more = brought(plan, paint(tmp_path / "others", 9, shade=200))
    enough = "9 pictures, and the plan wants 6: enough; an epoch takes another part of them each time."
    assert more.sentences[0] == enough
    unnamed = brought(replace(plan, subject=Subject("animal", "ohwx", "")), others)
    assert any("subject.class_prompt is empty" in sentence for sentence in unnamed.sentences)


def test_the_subjects_own_pictures_and_captions_with_its_trigger_are_refused(plan, tmp_path):
    mixed = paint(tmp_path / "mixed", 3, shade=200)
    Image.open(tmp_path / "mine" / "p1.png").save(mixed / "again.png")
    (mixed / "again.png").write_bytes((tmp_path / "mine" / "p1.png").read_bytes())
    with pytest.raises(DatasetError, match=r"1 of 4 pictures .* subject's own .*again\.png"):
        brought(plan, mixed)
    named = paint(tmp_path / "named", 2, shade=200)
    (named / "p0.txt").write_text("an ohwx dog", encoding="utf-8")
    with pytest.raises(DatasetError, match="hold the trigger 'ohwx'"):
        brought(plan, named)
    with pytest.raises(DatasetError, match="is empty"):
        (tmp_path / "empty").mkdir()
        brought(plan, tmp_path / "empty")


def test_small_pictures_are_named(plan, tmp_path):
    small = paint(tmp_path / "small", 3, size=(32, 32), shade=200)
    assert any("3 of 3 pictures are smaller than the plan's 64 x 64" in one for one in brought(plan, small).sentences)
    with pytest.raises(DatasetError, match="large enough"):
        brought(plan, paint(tmp_path / "tiny", 2, size=(10, 10), shade=200))


@pytest.mark.parametrize(("licence", "said"), [
    ("\nCC BY 4.0 International\nmore", "Licence of set.zip (LICENSE.txt): CC BY 4.0 International."),
    (None, "set.zip says nothing of its licence: make sure that you may use these pictures."),
])  # fmt: skip
def test_a_zip_shows_its_licence_or_that_it_has_none(plan, tmp_path, licence, said):
    others = paint(tmp_path / "others", 3, shade=200)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in others.iterdir():
            archive.write(path, path.name)
        if licence is not None:
            archive.writestr("LICENSE.txt", licence)
    assert said in brought(plan, tmp_path / "set.zip").sentences


def test_a_set_on_the_hub_is_chosen_by_name_with_its_captions():
    files = ["README.md", *(f"data/{index}.jpg" for index in range(9)), "data/3.txt", "a.parquet"]
    chosen = chosen_files(files, 4)
    assert len([name for name in chosen if name.endswith(".jpg")]) == 4 and chosen == chosen_files(files[::-1], 4)
    assert ("data/3.txt" in chosen) == ("data/3.jpg" in chosen)
    assert chosen_files(["one.zip", "README.md"], 4) == ["one.zip"]
    stated = SimpleNamespace(card_data={"license": ["cc0-1.0"]})
    assert licence_sentence("a/b", stated).startswith("The licence of a/b is cc0-1.0: see https://")
    assert licence_sentence("a/b", SimpleNamespace(card_data=None)).startswith("a/b states no licence")


def fetch(folder, before):
    from engine.draw.class_job import run

    def attempt():
        before()
        return run_job(folder, run, verb="regularize")

    return forked(attempt)


def test_a_hub_set_is_fetched_file_by_file_and_its_licence_said(plan, tmp_path):
    source = paint(tmp_path / "hub", 5, shade=200)
    info = SimpleNamespace(
        card_data={"license": "cc0-1.0"}, sha="main",
        siblings=[SimpleNamespace(rfilename=path.name) for path in source.iterdir()],
    )  # fmt: skip
    folder = create_run("set", job_text(dataset_job(plan, "someone/dogs", 3)), kind="regularize")

    def hub_here():
        class_hub.HfApi = lambda endpoint=None: SimpleNamespace(dataset_info=lambda *_, **__: info)
        class_hub.hf_hub_download = lambda repo, file, **_: str(source / file)

    assert fetch(folder, hub_here) == 0
    assert len(list((folder.path / "pictures").glob("*.png"))) == 3
    assert any("The licence of someone/dogs is cc0-1.0" in event.get("text") for event in events(folder, "warning"))

    only_tables = create_run("tables", job_text(dataset_job(plan, "someone/dogs", 3)), kind="regularize")

    def hub_of_tables():
        hub_here()
        info.siblings = [SimpleNamespace(rfilename="data.parquet")]

    assert fetch(only_tables, hub_of_tables) == 1
    assert "holds no picture files" in read_summary(only_tables).reason


def test_several_archives_together_give_as_many_as_were_asked_for(plan, tmp_path):
    for number in range(3):
        paint(tmp_path / f"set{number}", 2, shade=60 * number)
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as archive:
            for path in (tmp_path / f"set{number}").iterdir():
                archive.write(path, f"{number}-{path.name}")
    archives = [SimpleNamespace(rfilename=f"{at}.zip") for at in range(3)]
    info = SimpleNamespace(card_data=None, sha="main", siblings=archives)
    folder = create_run("set", job_text(dataset_job(plan, "someone/dogs", 3)), kind="regularize")

    def hub_here():
        class_hub.HfApi = lambda endpoint=None: SimpleNamespace(dataset_info=lambda *_, **__: info)
        class_hub.hf_hub_download = lambda repo, file, **_: str(tmp_path / file)

    assert fetch(folder, hub_here) == 0
    assert len(list((folder.path / "pictures").glob("*.png"))) == 3


def test_no_network_is_one_sentence(plan, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    folder = create_run("set", job_text(dataset_job(plan, "someone/dogs", 3)), kind="regularize")
    assert fetch(folder, lambda: None) == 1
    reason = read_summary(folder).reason
    assert reason.startswith("the hub cannot be reached for someone/dogs") and "let the base draw" in reason
