"""A folder is read whole: every picture with its facts, every oddity by name."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import traceback
from pathlib import Path

import pytest
from PIL import Image

from engine.dataset.captions import CaptionRules
from engine.dataset.kohya_folder import parse_kohya_name
from engine.dataset.scan import Dataset, Folder, scan
from engine.errors import DatasetError

RULES = CaptionRules()


def read(folder: Path, **options) -> Dataset:
    return scan([Folder(folder)], RULES, **options)


def sentences(data: Dataset) -> list[str]:
    return [problem.sentence for problem in data.problems]


def test_the_reference_photographs(shared_data: Path) -> None:
    counted: list[tuple[int, int]] = []
    found = scan([Folder(shared_data / "dreambooth" / "bear_plushie")], RULES, lambda *at: counted.append(at))
    assert [p.name for p in found.pictures] == [f"0{i}.jpg" for i in range(5)]
    assert {(p.width, p.height, p.format, p.caption, p.repeats, p.role) for p in found.pictures} == {
        (2048, 2048, "MPO", None, None, "train")
    }
    assert found.problems == () and counted == [(i, 5) for i in range(1, 6)]
    first = found.pictures[0]
    assert first.digest == hashlib.sha256(first.path.read_bytes()).hexdigest()


def test_natural_order_nested_folders_and_captions(tmp_path: Path, photograph) -> None:
    for name in ("b/10.png", "b/9.png", "a.png", "A2.png"):
        photograph(tmp_path / name)
    (tmp_path / "b" / "9.txt").write_text("nine\n")
    found = read(tmp_path)
    assert [p.name for p in found.pictures] == ["a.png", "A2.png", "b/9.png", "b/10.png"]
    assert [p.caption for p in found.pictures] == [None, None, "nine", None]
    assert found.pictures[2].caption_path == tmp_path / "b" / "9.txt" and found.problems == ()


def test_a_folder_of_mixed_rubbish_names_each_problem(tmp_path: Path, photograph) -> None:
    photograph(tmp_path / "good.png")
    (tmp_path / "good.txt").write_text("a good picture")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.jpg").write_text("<html>moved</html>")
    whole = photograph(tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    photograph(tmp_path / "twin.png")
    photograph(tmp_path / "twin.webp")
    (tmp_path / "lonely.txt").write_text("no picture here")
    (tmp_path / "whole.txt").write_bytes("schön".encode("cp1252"))
    (tmp_path / "notes.docx").write_bytes(b"PK\x03\x04")
    shutil.copy(tmp_path / "good.png", tmp_path / "photo.png_large")
    (tmp_path / "dead.jpg").symlink_to(tmp_path / "gone.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    photograph(tmp_path / "blank.png")
    (tmp_path / "blank.txt").touch()
    photograph(tmp_path / "dir.png")
    (tmp_path / "dir.txt").mkdir()
    photograph(tmp_path / "two.png")
    (tmp_path / "two.txt").write_text("used")
    (tmp_path / "two.caption").write_text("passed over")
    (tmp_path / "loop").symlink_to(tmp_path)
    for quiet in ("Thumbs.db", ".DS_Store", "good.npz", "meta.json", ".hidden.jpg"):
        (tmp_path / quiet).write_bytes(b"side file")

    found = read(tmp_path)
    assert [p.name for p in found.pictures] == [
        "blank.png", "dir.png", "good.png", "twin.png", "twin.webp", "two.png", "whole.jpg",
    ]  # fmt: skip
    said = sentences(found)
    wanted = {
        "empty.jpg": "is empty (0 bytes)", "page.jpg": "a web page", "cut.jpg": "damaged or cut off",
        "twin.png and twin.webp": "share one caption", "lonely.txt": "a caption without a picture",
        "whole.txt": "not UTF-8", "notes.docx": "neither a picture nor a caption (a zip archive)",
        "photo.png_large": "a PNG picture under an unknown ending", "dead.jpg": "a link to nothing",
        "pipe.jpg": "a pipe, socket or device", "blank.txt": "is empty", "dir.txt": "is a folder",
        "two.caption": "ignored, because two.txt is the caption", "loop leads back to": "remove the link",
    }  # fmt: skip
    for name, words in wanted.items():
        assert sum(line.startswith(name) and words in line for line in said) == 1, (name, said)
    assert len(said) == len(wanted), said
    errors = {problem.path.name for problem in found.problems if problem.severity == "error"}
    assert errors == {"empty.jpg", "page.jpg", "cut.jpg", "dead.jpg", "pipe.jpg"}


def test_hostile_and_undecodable_names_are_read_and_shown_safely(tmp_path: Path, photograph) -> None:
    for raw in (b"red\x1b[31m\n.png", b"caf\xe9.png", "bidi\u202egnp.png".encode(), b"bad\x1b]0;x\x07.txt"):
        path = tmp_path / os.fsdecode(raw)
        if raw.endswith(b"png"):
            photograph(path)
        else:
            path.touch()
    found = read(tmp_path)
    assert len(found.pictures) == 3
    assert any(os.fsencode(p.path).endswith(b"caf\xe9.png") for p in found.pictures)
    said = " ".join(sentences(found))
    assert "\\x1b]0;x\\x07.txt" in said and "\x1b" not in said and "\x07" not in said


def test_kohyas_layout_gives_repeats_words_and_class_pictures(tmp_path: Path, photograph) -> None:
    photograph(tmp_path / "img" / "12_ohwx woman" / "a.png")
    photograph(tmp_path / "img" / "3_sks golden retriever" / "b.png")
    photograph(tmp_path / "reg" / "1_woman" / "c.png")
    photograph(tmp_path / "model" / "sample" / "drawn.png")
    (tmp_path / "log").mkdir()
    found = read(tmp_path)
    assert {(p.name, p.repeats, p.role) for p in found.pictures} == {
        ("img/12_ohwx woman/a.png", 12, "train"),
        ("img/3_sks golden retriever/b.png", 3, "train"),
        ("reg/1_woman/c.png", 1, "class"),
    }
    assert {(n.repeats, n.trigger, n.class_, n.role) for n in found.kohya} == {
        (12, "ohwx", "woman", "train"), (3, "sks", "golden retriever", "train"), (1, "", "woman", "class"),
    }  # fmt: skip
    stated = scan([Folder(tmp_path / "img", repeats=5)], RULES)
    assert {p.repeats for p in stated.pictures} == {5}
    alone = scan([Folder(tmp_path / "img" / "12_ohwx woman")], RULES)
    assert [p.repeats for p in alone.pictures] == [12]


@pytest.mark.parametrize(("name", "read_as"), [
    ("12_ohwx woman", (12, "ohwx", "woman")), ("1_woman", (1, "woman", "")), ("0_off", (0, "off", "")),
    ("7_ohwx  red haired woman ", (7, "ohwx", "red haired woman")), ("2024_holiday", None), ("holiday", None),
    ("12_", None), ("12_ ", None), ("_x", None), ("-3_x", None), ("٣_x", None),
])  # fmt: skip
def test_kohya_names(name: str, read_as: tuple | None) -> None:
    assert parse_kohya_name(name) == read_as


def test_zero_repeats_are_said(tmp_path: Path, photograph) -> None:
    photograph(tmp_path / "0_off" / "a.png")
    found = read(tmp_path)
    assert found.pictures == () and "0_off says 0 repeats" in sentences(found)[0]


def test_empty_missing_and_wrong_folders(tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    assert "is empty" in sentences(read(tmp_path / "void"))[0]
    (tmp_path / "void" / "a.txt").write_text("x")
    assert any("holds no pictures" in said for said in sentences(read(tmp_path / "void")))
    with pytest.raises(DatasetError, match="does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="neither a folder nor a .zip"):
        read(tmp_path / "void" / "a.txt")


def test_one_folder_given_twice_is_said(tmp_path: Path, photograph) -> None:
    photograph(tmp_path / "a.png")
    found = scan([Folder(tmp_path), Folder(tmp_path, role="class")], RULES)
    assert "reached 2 times" in sentences(found)[0]


def test_many_pictures_in_threads_come_out_as_one_by_one(tmp_path: Path) -> None:
    for index in range(40):
        Image.new("RGB", (40 + index, 40), (index, 2, 3)).save(tmp_path / f"{index}.png")
    found = read(tmp_path)
    assert [p.width for p in found.pictures] == [40 + index for index in range(40)]
    assert found == read(tmp_path)


def as_another_user(work) -> str:
    """What `work()` returns when an ordinary user does it: root may read everything, so it must not be root."""
    if os.geteuid() != 0:
        return work()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            answer = work()
        except BaseException:
            answer = traceback.format_exc()
        os.write(writing, answer.encode("utf-8", "backslashreplace"))
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, encoding="utf-8") as stream:
        return stream.read()


def test_what_this_user_may_not_read_is_named(photograph) -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        photograph(folder / "open.png")
        for locked in ("locked.png", "inner/deep.png", "open.txt"):
            photograph(folder / locked) if locked.endswith("png") else (folder / locked).write_text("x")
        (folder / "locked.png").chmod(0)
        (folder / "open.txt").chmod(0)
        (folder / "inner").chmod(0)

        def work() -> str:
            found = read(folder)
            try:
                read(folder / "inner")
                refused = "not refused"
            except DatasetError as error:
                refused = str(error)
            return json.dumps([[p.name for p in found.pictures], sentences(found), refused])

        names, said, refused = json.loads(as_another_user(work))
        assert names == ["open.png"]
        assert {line.split(" cannot be read (Permission denied)")[0] for line in said} == {
            "locked.png", "inner", "open.txt",
        }  # fmt: skip
        assert "inner cannot be read (Permission denied)" in refused
    finally:
        (folder / "inner").chmod(0o755)
        shutil.rmtree(folder)
