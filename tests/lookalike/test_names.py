"""Lists of names: a person's own file with all that can be wrong in it, and made-up names."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import LorasmithError
from engine.lookalike.names import made_up_names, made_up_words, read_names, shipped_names
from engine.lookalike.vocabulary import vocabularies


def test_a_messy_file_gives_each_name_once_and_says_what_was_left_out(tmp_path: Path):
    lines = ["\ufeff# mine", "  Marie   Curie ", "marie curie", "12345", "\x1b[31mRed", "x" * 90, "", "Pelé # football"]
    path = tmp_path / "names.txt"
    path.write_text("\r\n".join(lines), encoding="utf-8")
    found = read_names(path)
    assert found.names == ("Marie Curie", "Pelé")
    assert "lines 4, 5, 6" in found.left_out[0] and "there already: 1" in found.left_out[1]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "holds no name"), (b"# only a remark\n", "holds no name"), (b"\xff\xfe\x00", "not UTF-8"),
     (b"a\n" * 600_000, "larger than 1 MB")],
)  # fmt: skip
def test_a_file_that_is_no_list_is_named_in_one_sentence(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    with pytest.raises(LorasmithError, match=said):
        read_names(path)
    with pytest.raises(LorasmithError, match="cannot be read"):
        read_names(tmp_path)


def test_the_shipped_list_is_long_and_clean():
    found = read_names(shipped_names())
    assert 300 <= len(found.names) <= 600 and found.left_out == ()


@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 5])
def test_made_up_words_have_as_many_tokens_as_asked(tokens: int):
    vocabulary = vocabularies("sdxl-1.0")[0]
    words = made_up_words(vocabulary, tokens, 12)
    assert len(set(words)) == 12
    assert {vocabulary.count(word) for word in words} == {tokens}
    assert words == made_up_words(vocabulary, tokens, 12)


def test_a_small_vocabulary_gives_the_nearest_and_never_a_word_of_its_own():
    vocabulary = vocabularies("demo")[0]
    words = made_up_words(vocabulary, 1, 10)
    assert len(set(words)) == 10 and all(vocabulary.count(word) > 1 for word in words)


def test_made_up_names_are_of_nobody_on_the_list_and_as_long():
    vocabulary = vocabularies("sdxl-1.0")[0]
    names = read_names(shipped_names()).names
    invented = made_up_names(vocabulary, names, 20)
    assert len(set(invented)) == 20 and not set(invented) & set(names)
    firsts = {name.split()[0] for name in names}
    assert all(name.split()[0] in firsts and len(name.split()) == 2 for name in invented)
    lengths = {vocabulary.count(name) for name in names}
    assert {vocabulary.count(name) for name in invented} <= lengths


def test_a_list_of_single_words_gets_made_up_words():
    vocabulary = vocabularies("demo")[0]
    invented = made_up_names(vocabulary, ["cat", "dog", "car"], 5)
    assert len(invented) == 5 and not {"cat", "dog", "car"} & set(invented)
