"""The job `health`: each made-up fault is found where it is, no sound picture is accused, and nothing stops it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFilter

from engine.dataset.health import job as health_job
from engine.dataset.health.cache import Cache
from engine.dataset.health.figures import Finding, Health
from engine.dataset.health.request import (
    NoRoom,
    answer,
    check_run,
    checks_folder,
    forget_checks,
    health_toml,
    read_request,
    running_check,
)
from engine.errors import DatasetError, RunError
from engine.plan import ClassFolder, Length, PictureFolder, Pictures, Plan, Regularization, Subject
from engine.runs.folder import RunFolder, list_runs
from engine.runs.job import Job, Stopped

SOUND = tuple(f"bear_plushie-0{number}.jpg" for number in range(5)) + ("duck_toy-00.jpg", "duck_toy-03.jpg")


def plan_of(folder: Path, subject: Subject = Subject("object", "ohwx", "toy"), **more: object) -> Plan:  # noqa: B008
    return Plan(subject=subject, pictures=Pictures(folders=(PictureFolder(str(folder)),)), **more)  # type: ignore[arg-type]


def checked(plan: Plan) -> Health:
    """The job in this process, as the engine runs it."""
    run = check_run(plan)
    health_job.run(Job(run, None))
    return answer(run)


def found(health: Health, check: str) -> Finding:
    return next(finding for finding in health.findings if finding.check == check)


@pytest.fixture(scope="module")
def sound(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven sharp photographs of 1100 x 1100 with nothing against them."""
    folder = tmp_path_factory.mktemp("sound")
    for name in SOUND:
        kind, _, file = name.rpartition("-")
        with Image.open(shared_data / "dreambooth" / kind / file) as image:
            image.draft("RGB", (1100, 1100))
            image.convert("RGB").resize((1100, 1100), Image.Resampling.LANCZOS).save(folder / name, quality=90)
    return folder


@pytest.fixture
def pictures(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "pictures"))


@pytest.fixture(scope="module")
def faulty(sound: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sound pictures and, of other photographs, one with each fault."""
    folder = Path(shutil.copytree(sound, tmp_path_factory.mktemp("faulty") / "pictures"))
    originals = iter(sorted((shared_data / "dreambooth").glob("teapot/*.jpg"))
                     + sorted((shared_data / "dreambooth").glob("dog6/*.jpg")))  # fmt: skip

    def next_one() -> Image.Image:
        with Image.open(next(originals)) as image:
            return image.convert("RGB").resize((1100, 1100), Image.Resampling.LANCZOS)

    def save(name: str, image: Image.Image, **options: object) -> None:
        image.save(folder / name, **options)  # type: ignore[arg-type]

    save("blur.jpg", next_one().filter(ImageFilter.GaussianBlur(9)), quality=92)
    save("dark.png", next_one().point(lambda value: value * 0.15), compress_level=1)
    with Image.open(shared_data / "dreambooth" / "bear_plushie" / "00.jpg") as image:
        rock = image.convert("RGB").crop((0, 948, 1100, 2048))
    save("clipped.jpg", rock.point(lambda value: min(255, value * 3)), quality=92)
    barred = next_one()
    ImageDraw.Draw(barred).rectangle((0, 0, 1100, 120), fill="black")
    ImageDraw.Draw(barred).rectangle((0, 980, 1100, 1100), fill="black")
    save("border.jpg", barred, quality=92)
    save("small.jpg", next_one().resize((500, 500)), quality=92)
    save("jpeg.jpg", next_one(), quality=12)
    save("blank.png", Image.new("RGB", (1100, 1100), (200, 200, 210)))
    save("cut.jpg", next_one().crop((0, 380, 1100, 700)).resize((3300, 960)), quality=92)
    save("detail.jpg", next_one().resize((450, 450)).resize((1100, 1100), Image.Resampling.BICUBIC), quality=92)
    return folder


def test_every_fault_is_found_and_no_sound_picture_is_accused(faulty: Path) -> None:
    health = checked(plan_of(faulty))
    remarked = {one.name: one.remarks for one in health.pictures}
    assert {name: remarked[name] for name in SOUND} == dict.fromkeys(SOUND, ())
    for check in ("blur", "dark", "clipped", "border", "small", "jpeg", "blank", "detail"):
        name = next(path.name for path in faulty.glob(f"{check}.*"))
        assert name in found(health, check).pictures, check
        said = found(health, check)
        assert name in said.sentence and said.value and said.limit and said.source
    assert found(health, "aspect").pictures == ("cut.jpg",)
    assert health.verdict == "red" and health.copies == () and health.trainable
    levels = [finding.level for finding in health.findings]
    assert levels == sorted(levels, key=["red", "amber", "note"].index)
    assert all(len(line) <= 80 or "/" in line for line in health.report)


def test_the_paper_of_a_styles_drawings_is_not_overexposed(tmp_path: Path) -> None:
    draw = random.Random(0)
    for number in range(4):
        page = Image.new("RGB", (2200, 2200), "white")
        pen = ImageDraw.Draw(page)
        for _ in range(60):
            x, y, r, at = (draw.randrange(most) for most in (2200, 2200, 460, 360))
            pen.arc((x - r, y - r, x + r, y + r), at, at + 200, fill="black", width=8)
        page.resize((1100, 1100), Image.Resampling.LANCZOS).save(tmp_path / f"{number}.png")
    drawings = checked(plan_of(tmp_path, Subject("style", "inkwork", "drawing")))
    assert all(one.measures is not None and one.measures.blank > 0.8 for one in drawings.pictures), "mostly paper"
    assert [one.remarks for one in drawings.pictures] == [()] * 4


def test_the_reference_sets_are_judged_as_a_person_would(shared_data: Path) -> None:
    checks = {}
    for name in ("bear_plushie", "dog6", "duck_toy", "teapot"):
        health = checked(plan_of(shared_data / "dreambooth" / name))
        checks[name] = {finding.check: finding.level for finding in health.findings}
        assert health.copies == ()
    few = {"count": "amber", "missing": "amber"}
    assert checks["bear_plushie"] == few  # 4.2 megapixels, five places
    assert checks["dog6"] == few | {"ground": "red", "megapixels": "note"}  # four of five before orange paper
    assert checks["duck_toy"] == few | {"count": "red", "megapixels": "note"}
    assert checks["teapot"] == few | {"small": "amber", "megapixels": "note"}  # one of 703 pixels


def test_large_photographs_of_other_shapes(backgrounds: Path) -> None:
    health = checked(plan_of(backgrounds / "nature"))
    assert len(health.pictures) == 12 and health.copies == ()
    assert {one.level for one in health.pictures} == {None}, [one.remarks for one in health.pictures]
    assert {finding.check for finding in health.findings} == {"missing", "megapixels"}
    # One photograph in three sizes, the largest of 17.9 megapixels; and transparent drawings on white.
    abstract = checked(plan_of(backgrounds / "abstract"))
    assert [(group.keep, group.how) for group in abstract.copies] == [
        ("Elephants_5640x3172.jpg", ("the same shot", "the same shot"))
    ]
    assert set(found(abstract, "blank").pictures) >= {"Flow.png", "Silk.png", "Waves.png"}
    assert "transparent; flattened" in " ".join(" ".join(abstract.report).split())


def test_copies_are_grouped_and_can_be_set_aside(pictures: Path) -> None:
    with Image.open(pictures / "duck_toy-00.jpg") as image:
        image.save(pictures / "again.jpg", quality=60)
    shutil.copy(pictures / "duck_toy-03.jpg", pictures / "twice.jpg")
    health = checked(plan_of(pictures))
    assert {group.keep: group.leave_out for group in health.copies} == {
        "duck_toy-00.jpg": ("again.jpg",), "duck_toy-03.jpg": ("twice.jpg",),
    }  # fmt: skip
    assert found(health, "copies").level == "amber"  # 2 of 9
    # What the report advises.
    aside = pictures / ".copies"
    aside.mkdir()
    for group in health.copies:
        for path in group.leave_out_paths:
            shutil.move(path, aside)
    again = checked(plan_of(pictures))
    assert again.copies == () and len(again.pictures) == len(SOUND)


def test_captions_and_class_pictures_are_judged(
    pictures: Path, photograph: Callable[..., Path], tmp_path: Path
) -> None:
    for at, name in enumerate(SOUND):
        text = f"ohwx toy sitting on a blue cushion, picture {at}"
        (pictures / name).with_suffix(".txt").write_text(text if at else "toy with a blue cushion " + "very " * 90)
    (tmp_path / "class").mkdir()
    for at in range(3):
        photograph(tmp_path / "class" / f"{at}.png", (1100, 1100))
        (tmp_path / "class" / f"{at}.txt").write_text("ohwx toy" if at == 0 else "a lamp")
    classes = Regularization(folders=(ClassFolder(str(tmp_path / "class")),))
    health = checked(plan_of(pictures, regularization=classes))
    assert found(health, "trigger").pictures == found(health, "tokens").pictures == (SOUND[0],)
    assert '"blue cushion"' in found(health, "phrase").sentence
    assert found(health, "class_trigger").level == "red" and found(health, "class_trigger").pictures == ("0.png",)
    assert found(health, "class_captions").pictures == ("1.png", "2.png")
    assert found(health, "class_count").level == "amber"  # 3 pictures for 2,030 uses
    assert next(one for one in health.pictures if one.name == SOUND[0]).tokens > 75


def test_a_second_check_reads_what_it_knows(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = checked(plan_of(pictures))
    assert first.known == 0
    (pictures / "duck_toy-00.jpg").rename(pictures / "renamed.jpg")
    monkeypatch.setattr(health_job, "measure", lambda *_: pytest.fail("measured again"))
    again = checked(plan_of(pictures))
    assert again.known == len(SOUND)
    by_name = {one.name.replace("renamed", "duck_toy-00"): one.measures for one in again.pictures}
    assert by_name == {one.name: one.measures for one in first.pictures}


def test_what_was_measured_before_a_stop_is_kept(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = check_run(plan_of(pictures))
    heard = iter(range(100))

    def stop_soon(job: Job) -> None:
        if next(heard) >= len(SOUND) + 3:  # after three of the pictures measured
            raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(health_job, "_hear", stop_soon)
        with pytest.raises(Stopped):
            health_job.run(Job(run, None))
    with pytest.raises(RunError, match="run the check again"):
        answer(run)
    assert 3 <= checked(plan_of(pictures)).known < len(SOUND)


def test_pictures_that_vanish_or_are_cut_off_are_named_and_the_rest_is_judged(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (pictures / "duck_toy-03.jpg").read_bytes()
    (pictures / "cut.jpg").write_bytes(data[: len(data) // 2])
    whole = health_job.measure

    def vanishing(path: Path, *others):
        if path.name == "duck_toy-00.jpg":
            path.unlink()
        return whole(path, *others)

    monkeypatch.setattr(health_job, "measure", vanishing)
    health = checked(plan_of(pictures))
    told = " ".join(" ".join(health.report).split())
    assert "cut.jpg is damaged or cut off" in told and "duck_toy-00.jpg does not exist any more" in told
    assert len(health.pictures) == len(SOUND) - 1


def test_hostile_names_and_captions_print_safely(pictures: Path) -> None:
    bad = pictures / "x\x1b[31m\u202e.jpg"
    (pictures / "duck_toy-00.jpg").rename(bad)
    for name in SOUND[:5]:
        (pictures / name).with_suffix(".txt").write_text("ohwx \x1b[2J\u202eevil toy on grass")
    (pictures / "duck_toy-03.txt").mkdir()
    health = checked(plan_of(pictures))
    assert all(line.isprintable() for line in health.report)
    assert "duck_toy-03.txt is a folder where a caption should be" in " ".join(" ".join(health.report).split())
    assert any("\\x1b" in one.name for one in health.pictures)


def test_a_cache_that_cannot_be_kept_stops_nothing(pictures: Path, own_home: Path) -> None:
    (own_home / "cache").mkdir(parents=True)
    (own_home / "cache" / "health.sqlite").write_bytes(b"no database at all" * 100)
    assert checked(plan_of(pictures)).known == 0  # a damaged file is replaced
    assert checked(plan_of(pictures)).known == len(SOUND)
    shutil.rmtree(own_home / "cache")
    (own_home / "cache").write_text("a file where a folder should be, as on a full disk")
    said: list[str] = []

    class Hearing(Job):
        def warn(self, text: str) -> None:
            said.append(text)

    run = check_run(plan_of(pictures))
    health_job.run(Hearing(run, None))
    assert len(answer(run).pictures) == len(SOUND)
    assert len(said) == 1 and said[0].startswith("What was measured cannot be kept in ")
    assert str(own_home / "cache" / "health.sqlite") in said[0]


def test_pale_flat_colours_are_not_called_blurred(tmp_path: Path) -> None:
    draw = random.Random(2)
    page = Image.new("RGB", (2800, 2800), (235, 225, 230))
    pen = ImageDraw.Draw(page)
    for _ in range(14):
        x, y, r = (draw.randrange(*span) for span in ((2800,), (2800,), (200, 700)))
        pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(draw.randrange(215, 235) for _ in range(3)))
    art = page.resize((1400, 1400), Image.Resampling.LANCZOS)
    art.save(tmp_path / "art.jpg", quality=95)
    art.filter(ImageFilter.GaussianBlur(6)).save(tmp_path / "soft.jpg", quality=95)
    remarks = {one.name: one.remarks for one in checked(plan_of(tmp_path, Subject("style", "", ""))).pictures}
    assert remarks["art.jpg"] == () and "blurred" in remarks["soft.jpg"]


def test_a_picture_that_is_read_otherwise_is_not_said_to_take_no_part(pictures: Path) -> None:
    with Image.open(pictures / "duck_toy-00.jpg") as image:
        image.convert("CMYK").save(pictures / "duck_toy-00.jpg")
    (pictures / "note.pdf").write_bytes(b"%PDF-1.4")
    (pictures / "wrong.jpg").write_bytes(b"%PDF-1.4")
    lines = checked(plan_of(pictures)).report
    worth, problems = (next(at for at, line in enumerate(lines) if word in line) for word in
                       ("Trained, but read", "these take no part"))  # fmt: skip
    assert problems < worth and "CMYK" in " ".join(lines[worth:]) and "CMYK" not in " ".join(lines[problems:worth])


def test_what_is_kept_is_bounded_and_can_be_forgotten(pictures: Path, own_home: Path) -> None:
    checked(plan_of(pictures))
    place = own_home / "cache" / "health.sqlite"
    sizes = {path: path.stat().st_size for path in pictures.iterdir()}
    with Cache(place, most_bytes=40_000):
        pass  # some 15 kB for each: the two or three met last stay
    assert 0 < checked(plan_of(pictures)).known < len(sizes)
    assert forget_checks() > 50_000 and not place.exists() and not list(checks_folder().iterdir())
    assert forget_checks() == 0
    assert {path: path.stat().st_size for path in pictures.iterdir()} == sizes


def test_a_check_at_work_is_followed_and_not_forgotten(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(pictures)
    assert running_check(plan) is None
    run = check_run(plan)
    monkeypatch.setattr("engine.dataset.health.request.lock_holder", lambda _: 4711)
    assert running_check(plan) == run
    with pytest.raises(RunError, match="another kind"):
        running_check(plan_of(pictures, Subject("style", "", "")))
    with pytest.raises(RunError, match="at work"):
        forget_checks()


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        checked(plan_of(tmp_path / "nowhere"))


def test_the_request_is_a_plan_and_the_check_lies_apart_from_runs(pictures: Path) -> None:
    plan = plan_of(pictures, length=Length(batch_size=3))
    run = check_run(plan)
    assert run.kind == "health" and read_request(run) == (plan, False)
    assert run.job.read_text() == health_toml(plan)
    assert run.path.parent == checks_folder() and list_runs() == []
    (run.path / "health.json").write_text("{}")
    again = check_run(replace(plan, subject=Subject("style", "", "")))
    assert again.path == run.path and not (run.path / "health.json").exists()
    assert [path.name for path in checks_folder().iterdir()] == [run.name]


def test_no_room_for_a_check_is_told_apart(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NoRoom):
        check_run(plan_of(pictures), tmp_path / "file")


def test_many_pictures_are_never_a_fault_and_the_address_is_for_few(
    tmp_path: Path, photograph: Callable[..., Path]
) -> None:
    for at in range(12):
        photograph(tmp_path / "many" / f"{at}.png", (300, 300))
    many = checked(plan_of(tmp_path / "many", Subject("animal", "ohwx", "border collie")))
    assert many.search is None and all(finding.check != "count" for finding in many.findings)
    for at in range(4, 12):
        (tmp_path / "many" / f"{at}.png").unlink()
    few = checked(plan_of(tmp_path / "many", Subject("animal", "ohwx", "border collie")))
    assert few.search == "https://www.google.com/search?q=border+collie&udm=2&tbs=isz:lt,islt:4mp"
    assert few.search in few.report


def test_the_answer_survives_json(pictures: Path) -> None:
    run = check_run(plan_of(pictures))
    health_job.run(Job(run, None))
    data = json.loads((run.path / "health.json").read_text())
    assert data["check"]["trainable"] is True and len(data["pictures"]) == len(SOUND)
    assert answer(RunFolder(run.path)) == answer(run)
