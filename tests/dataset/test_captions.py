"""Caption files of every kind are read or named; the trained text is composed without doubling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.dataset.captions import CaptionRules, compose, read_caption, variant_index, variants

RULES = CaptionRules()


def caption_of(folder: Path, data: bytes, name: str = "a.txt", rules: CaptionRules = RULES):
    (folder / name).write_bytes(data)
    return read_caption(folder / "a.jpg", rules, "a.jpg")


@pytest.mark.parametrize(("data", "text", "problem"), [
    (b"a dog on grass", "a dog on grass", None),
    (b"\xef\xbb\xbfa dog\r\n", "a dog", None),
    (b"  a   dog\t on grass \n\n", "a dog on grass", None),
    ("Hündin, grün".encode(), "Hündin, grün", None),
    ("Hündin".encode("cp1252"), "Hündin", "not UTF-8 and was read as Windows-1252"),
    (b"caf\xe9 \x81", "caf\xe9 \ufffd", "read as Windows-1252"),
    ("a dog".encode("utf-16"), "a dog", "is UTF-16"),
    (b"\nfirst\nsecond\nthird\n", "first", "further 2 lines are ignored"),
    (b"one\r\ntwo", "one", "further line is ignored"),
    (b"", "", "is empty"),
    (b" \n \n", "", "is empty"),
    (b"\x89PNG\x00\x00\x00", "", "binary data"),
    (b"x" * 70_000, "", "larger than 64 KB"),
    (b"a \x1b[31mred dog", "a [31mred dog", "control characters"),
])  # fmt: skip
def test_caption_files(tmp_path: Path, data: bytes, text: str, problem: str | None) -> None:
    found = caption_of(tmp_path, data)
    assert found is not None and found.text.strip() == text
    assert [problem in said for said in found.problems] == ([True] if problem else [])
    assert all(said.startswith("a.txt") and "\x1b" not in said for said in found.problems)


def test_where_a_caption_is_looked_for(tmp_path: Path) -> None:
    assert read_caption(tmp_path / "a.jpg", RULES) is None
    assert caption_of(tmp_path, b"fourth", "a.caption").text == "fourth"
    assert caption_of(tmp_path, b"third", "a.jpg.txt").text == "third"
    assert caption_of(tmp_path, b"second", "a.TXT").text == "second"
    assert caption_of(tmp_path, b"first", "a.txt").text == "first"
    assert read_caption(tmp_path / "a.jpg", CaptionRules(extension=".caption")).text == "fourth"


def test_a_folder_or_a_dead_link_for_a_caption_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    found = read_caption(tmp_path / "a.jpg", RULES, "a.jpg")
    assert found.text == "" and "is a folder" in found.problems[0]
    (tmp_path / "b.txt").symlink_to(tmp_path / "nowhere")
    assert "no regular file" in read_caption(tmp_path / "b.jpg", RULES).problems[0]


@pytest.mark.parametrize(("caption", "prefix", "wanted"), [
    (None, "", "ohwx woman"),
    ("  ", "", "ohwx woman"),
    ("a woman in red", "", "a woman in red"),
    ("smiling, park", "ohwx woman,", "ohwx woman, smiling, park"),
    ("smiling in a park", "ohwx woman", "ohwx woman smiling in a park"),
    ("ohwx woman, smiling", "ohwx woman", "ohwx woman, smiling"),
    ("Ohwx woman smiling", "ohwx woman,", "Ohwx woman smiling"),
    ("woman in red", "ohwx woman", "ohwx woman in red"),
    ("ohwx woman, smiling", "photo of ohwx woman", "photo of ohwx woman, smiling"),
    ("a woman", "a photo of a", "a photo of a woman"),
    (None, "ohwx woman", "ohwx woman"),
    (None, "photo of", "photo of ohwx woman"),
    ("womanly", "ohwx woman", "ohwx woman womanly"),
])  # fmt: skip
def test_the_trained_text(caption: str | None, prefix: str, wanted: str) -> None:
    assert compose(caption, replace(RULES, prefix=prefix), "ohwx", "woman") == wanted


def test_class_pictures_never_carry_the_trigger() -> None:
    rules = replace(RULES, prefix="ohwx woman")
    assert compose(None, rules, "ohwx", "woman", role="class") == "woman"
    assert compose("a woman at sea", rules, "ohwx", "woman", role="class") == "a woman at sea"


def test_shuffled_variants_keep_the_front_and_lose_nothing() -> None:
    text = "ohwx woman, red dress, garden, smiling, evening light"
    rules = CaptionRules(shuffle=True, keep_tokens=1)
    made = variants(text, rules, seed=5, count=24)
    assert made[0] == text and len(made) == 24 and len(set(made)) > 12
    for one in made:
        parts = one.split(", ")
        assert parts[0] == "ohwx woman" and sorted(parts) == sorted(text.split(", "))
    assert made == variants(text, rules, seed=5, count=24)
    assert made[:8] == variants(text, rules, seed=5, count=8), "a variant depends on its own index alone"
    assert made != variants(text, rules, seed=6, count=24)
    assert variants(text, CaptionRules(), 5, 3) == (text,) * 3
    two = variants(text, CaptionRules(shuffle=True, keep_tokens=2), 5, 10)
    assert all(one.startswith("ohwx woman, red dress, ") for one in two)


def test_variants_are_chosen_evenly_and_by_place() -> None:
    chosen = [variant_index(1, step, position, 4) for step in range(500) for position in range(4)]
    assert all(400 < chosen.count(index) < 600 for index in range(4))
    assert chosen == [variant_index(1, step, position, 4) for step in range(500) for position in range(4)]
    assert chosen != [variant_index(2, step, position, 4) for step in range(500) for position in range(4)]
