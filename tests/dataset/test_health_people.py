"""Faces: who does not belong, too small, several; clothes and distance that never change."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from engine.dataset.health import job as health_job
from engine.dataset.health.judge import Seen
from engine.dataset.health.people import Person, look_at_people, people_faults, people_findings
from engine.dataset.health.request import answer, check_run
from engine.dataset.health.sameness import shares_of
from engine.plan import PictureFolder, Pictures, Plan, Subject
from engine.runs.job import Job
from engine.vision.faces import Face

RED, BLUE = (shares_of(np.tile(np.float32(colour), (8, 1))) for colour in ((200, 30, 30), (30, 30, 200)))


class Reader:
    """What the findings ask of a face reader."""

    name = "a reader"
    licence = "none"
    size = 3
    same_person = 0.6


def face(angle: float, *, count: int = 1, side: float = 300, share: float = 0.1, clothes=None) -> Person:
    """A face whose likeness to another is the cosine of their angles' difference (in degrees)."""
    turn = np.radians(angle)
    return Person(count, side, share, np.float32([np.cos(turn), np.sin(turn), 0]), clothes)


def checks(people: list[Person | None]) -> list[list[str]]:
    return [[fault.check for fault in own] for own in people_faults(people, Reader.same_person)]


def test_someone_else_is_told_from_an_unusual_angle() -> None:
    # 50 degrees are a cosine of 0.64: alike one by one, though the outermost two are not.
    people = [face(0), face(20), face(40), face(60), face(140), None]
    assert checks(people) == [[], [], [], [], ["stranger"], []]
    assert checks([face(0), face(90)]) == [[], []]  # of two, nobody can say which


def test_small_many_and_no_faces() -> None:
    people = [face(0, side=100), face(0, side=40), face(0, count=2), Person(0), face(0)]
    assert checks(people) == [["small_face"], ["small_face"], ["faces"], ["no_face"], []]
    faults = people_faults(people, Reader.same_person)
    assert [own[0].level for own in faults if own] == ["amber", "red", "amber", "amber"]
    found = {one.check: one for one in people_findings(list("abcde"), people, faults, Reader())}
    assert found["small_face"].level == "red" and found["small_face"].pictures == ("a", "b")
    assert "1 of 5 pictures shows several people (c)" in found["faces"].sentence


def test_one_dress_and_one_distance() -> None:
    people = [face(0, share=0.3, clothes=RED) for _ in range(5)] + [face(0, share=0.3, clothes=BLUE)]
    faults = people_faults(people, Reader.same_person)
    found = {one.check: one for one in people_findings(list("abcdef"), people, faults, Reader())}
    assert found["clothes"].level == "red" and found["clothes"].pictures == tuple("abcde")
    assert "6 of 6 pictures are close-ups" in found["framing"].sentence
    mixed = [face(0, share=share, clothes=clothes) for share, clothes in
             zip((0.3, 0.1, 0.01, 0.2, 0.05), (RED, BLUE, None, RED, BLUE), strict=True)]  # fmt: skip
    assert people_findings(list("abcde"), mixed, [[]] * 5, Reader()) == []


def test_how_many_pictures_show_no_face_decides_what_is_said() -> None:
    def said(people: list[Person | None]) -> str:
        names = [str(at) for at in range(len(people))]
        found = people_findings(names, people, people_faults(people, Reader.same_person), Reader())
        return next(one.sentence for one in found if one.check == "no_face")

    assert "so few are welcome" in said([Person(0), *(face(0) for _ in range(5))])
    assert "will stay weak" in said([Person(0), Person(0), face(0)])
    assert "not learn the face at all" in said([Person(0)] * 3)


def test_black_and_white_pictures_do_not_make_the_same_clothes(tmp_path: Path, monkeypatch) -> None:
    image = Image.effect_noise((600, 600), 80).convert("RGB")
    image.save(tmp_path / "grey.png")
    Image.merge("RGB", [Image.effect_noise((600, 600), 80) for _ in range(3)]).save(tmp_path / "colour.png")

    class Finds(Reader):
        def detect(self, image):
            return [Face(200, 100, 400, 300, 0.9)]

        def embed(self, image, face):
            return np.ones(4, np.float32) / 2

    def seen(name: str) -> Seen:
        fit = SimpleNamespace(scale=1.0)
        picture = SimpleNamespace(path=tmp_path / name, name=name, width=600, height=600)
        return Seen(SimpleNamespace(picture=picture, fit=fit), None)  # type: ignore[arg-type]

    grey, colour = look_at_people([seen("grey.png"), seen("colour.png")], Finds(), (255,) * 3, lambda *_: None)
    assert grey.clothes is None and colour.clothes is not None


@pytest.mark.slow
def test_real_photographs_with_a_real_reader(offline_models: Path, tmp_path: Path, own_home: Path) -> None:
    pytest.importorskip("dlib")
    (own_home / "models").mkdir(parents=True)
    (own_home / "models" / "dlib").symlink_to(offline_models / "dlib")
    pictures = Path(shutil.copytree(offline_models / "people", tmp_path / "pictures"))
    (pictures / "LICENSE").unlink()
    Image.effect_noise((1100, 1100), 60).convert("RGB").save(pictures / "nobody.jpg")
    plan = Plan(Subject("person", "ohwx", "man"), Pictures(folders=(PictureFolder(str(pictures)),)))
    run = check_run(plan)
    health_job.run(Job(run, None))
    health = answer(run)
    assert {one.name: one.faces for one in health.pictures} == {
        "biden.jpg": 1, "nobody.jpg": 0, "obama.jpg": 1, "obama2.jpg": 1, "obama3.jpg": 1,
    }  # fmt: skip
    found = {finding.check: finding for finding in health.findings}
    assert found["stranger"].pictures == ("biden.jpg",) and found["no_face"].pictures == ("nobody.jpg",)
    assert not list((own_home / "cache").glob("*face*"))


def test_without_a_reader_the_report_says_so(tmp_path: Path, photograph) -> None:
    photograph(tmp_path / "pictures" / "a.png", (300, 300))
    folders = (PictureFolder(str(tmp_path / "pictures")),)
    run = check_run(Plan(Subject("person", "ohwx", "man"), Pictures(folders=folders)))
    health_job.run(Job(run, None))
    assert any("faces, clothes and framing" in said and "--fetch" in said for said in answer(run).not_seen)
