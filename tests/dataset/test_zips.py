"""Archives: unpacked once, and never outside their folder or without bound."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from engine.dataset import zips
from engine.dataset.captions import CaptionRules
from engine.dataset.scan import Folder, scan
from engine.errors import DatasetError

RULES = CaptionRules()


def png(colour: tuple[int, int, int] = (200, 10, 10)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(stream, "PNG")
    return stream.getvalue()


def archive(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in entries.items():
            made.writestr(name, data)
    return path


def test_an_archive_is_read_like_a_folder_and_unpacked_once(tmp_path: Path) -> None:
    path = archive(tmp_path / "set.zip", {"mine/10_ohwx man/a.png": png(), "mine/10_ohwx man/a.txt": b"a man",
                                          "__MACOSX/mine/._a.png": b"x"})  # fmt: skip
    found = scan([Folder(path)], RULES, unpack_to=tmp_path / "cache")
    assert [(p.name, p.caption, p.repeats) for p in found.pictures] == [("10_ohwx man/a.png", "a man", 10)]
    assert found.problems == ()
    before = found.pictures[0].path.stat()
    again = scan([Folder(path)], RULES, unpack_to=tmp_path / "cache")
    assert again == found and again.pictures[0].path.stat().st_mtime_ns == before.st_mtime_ns
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_without_a_place_given_it_goes_to_lorasmiths_home(tmp_path: Path, own_home: Path) -> None:
    found = scan([Folder(archive(tmp_path / "a.zip", {"a.png": png()}))], RULES)
    assert found.pictures[0].path.is_relative_to(own_home / "unpacked")


def test_entries_that_point_outside_are_refused_each_time(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("good.png", png())
        for name in ("../outside.png", "/abs.png", "a/../../up.png", "C:\\windows.png", "..\\back.png"):
            made.writestr(name, png())
        made.writestr(link, "/etc/passwd")
        made.writestr("x" * 250 + ".png", png())
    for _ in range(2):
        found = scan([Folder(path)], RULES, unpack_to=tmp_path / "in" / "cache")
        assert [p.name for p in found.pictures] == ["good.png"]
        assert sum("points outside the archive" in p.sentence for p in found.problems) == 5
        assert sum("is a link" in p.sentence for p in found.problems) == 1
        assert sum("a name too long" in p.sentence for p in found.problems) == 1
    names = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert names == {"evil.zip", "good.png"} and not Path("/abs.png").exists()


def test_a_bomb_is_refused_by_what_it_states_and_by_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zips, "ALWAYS_ALLOWED", 1_000_000)
    path = archive(tmp_path / "bomb.zip", {"a.png": png(), "zeros.bmp": b"\x00" * 20_000_000})
    with pytest.raises(DatasetError, match=r"would unpack to 0.0 GB|bomb.zip would unpack"):
        zips.unpack(path, tmp_path / "cache")
    # The same archive, lying about its size in both of its headers.
    data = path.read_bytes()
    lying = tmp_path / "lying.zip"
    lying.write_bytes(data.replace(struct.pack("<I", 20_000_000), struct.pack("<I", 1_000)))
    with pytest.raises(DatasetError, match="lying.zip"):
        zips.unpack(lying, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_damaged_and_encrypted_archives_leave_nothing_behind(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": png(), "b.png": png((1, 2, 3))})
    data = bytearray(path.read_bytes())
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    data[data.index(b"a.png") + len(b"a.png") + 12] ^= 0xFF
    (tmp_path / "flipped.zip").write_bytes(data)
    locked = bytearray(path.read_bytes())
    for start in (b"PK\x03\x04", b"PK\x01\x02"):
        locked[locked.index(start) + (6 if start[2] == 3 else 8)] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    for name, words in (("cut.zip", "damaged"), ("flipped.zip", "damaged"), ("locked.zip", "is encrypted")):
        with pytest.raises(DatasetError, match=words):
            scan([Folder(tmp_path / name)], RULES, unpack_to=tmp_path / "cache")
    assert not (tmp_path / "cache").exists() or list((tmp_path / "cache").iterdir()) == []


def test_any_damage_to_an_archive_is_one_sentence(tmp_path: Path) -> None:
    chance = random.Random(4)
    made = []
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as whole:
            whole.writestr("a/b.bin", bytes(range(200)) * 3)
            whole.writestr("ä.txt", "hello")
        made.append(stream.getvalue())
    outcomes = set()
    for turn in range(400):
        data = bytearray(chance.choice(made))
        for _ in range(chance.choice([1, 2, 5])):
            data[chance.randrange(4, len(data))] = chance.choice([0, 46, 47, 255])
        path = tmp_path / "damaged.zip"
        path.write_bytes(data)
        try:
            zips.unpack(path, tmp_path / "cache")
            outcomes.add("unpacked")
        except DatasetError as error:
            assert "damaged.zip" in str(error) and "\n" not in str(error), turn
            outcomes.add("refused")
    assert outcomes == {"unpacked", "refused"}
    assert not [left for left in (tmp_path / "cache").iterdir() if left.name.startswith(".")]
    assert {left.name for left in tmp_path.iterdir()} == {"damaged.zip", "cache"}
