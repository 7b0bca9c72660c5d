"""Trigger and class words stand in front of a caption, once, whatever a captioner wrote."""

from __future__ import annotations

import time

import pytest

from engine.caption.front import carries, changed_front, in_front, without_front

WOMAN = [
    # The class word at the beginning takes the prefix in its place.
    ("a woman in red", "ohwx woman in red"),
    ("woman in red", "ohwx woman in red"),
    ("The woman in red stands.", "ohwx woman in red stands."),
    ("woman, smiling", "ohwx woman, smiling"),
    ("a woman", "ohwx woman"),
    ("there is a woman in a park", "ohwx woman in a park"),
    ("a woman's face in the dark", "ohwx woman's face in the dark"),
    # So do words that mean the same.
    ("a lady in a hat", "ohwx woman in a hat"),
    ("a girl in a hat", "ohwx woman in a hat"),
    # Adjectives are kept, the article goes.
    ("an elderly woman in a park", "ohwx woman, elderly, in a park"),
    ("a young, smiling woman", "ohwx woman, young, smiling"),
    ("smiling woman with a dog", "ohwx woman, smiling, with a dog"),
    # A photograph is what a picture is anyway; another medium is said.
    ("a photo of a woman", "ohwx woman"),
    ("a picture of a woman with a dog", "ohwx woman with a dog"),
    ("a painting of a woman in red", "ohwx woman in red, painting"),
    ("a black and white photo of a woman. She smiles.", "ohwx woman, black and white photo. She smiles."),
    ("a close up of a woman's face", "ohwx woman's face, close up"),
    # Others beside her, and her further on.
    ("a woman and a man", "ohwx woman and a man"),
    ("a man and a woman in red", "ohwx woman and a man in red"),
    ("a living room with a woman sitting on a couch", "ohwx woman, a living room with her sitting on a couch"),
    ("a couple of people with a smiling lady", "ohwx woman, smiling, a couple of people with her"),
    # Somebody or something else.
    ("two women in red", "ohwx woman, two women in red"),
    ("A group of women", "ohwx woman, a group of women"),
    ("A policewoman in red", "ohwx woman, a policewoman in red"),
    ("a woman-shaped balloon", "ohwx woman, a woman-shaped balloon"),
    ("womanly", "ohwx woman, womanly"),
    ("another woman in red", "ohwx woman, another woman in red"),
    # Tags, other scripts, nothing.
    ("1girl, solo, smile", "ohwx woman, 1girl, solo, smile"),
    ("穿红衣的女人", "ohwx woman, 穿红衣的女人"),
    ("", "ohwx woman"),
    # What is there already.
    ("ohwx woman, smiling", "ohwx woman, smiling"),
    ("Ohwx  woman smiling", "Ohwx woman smiling"),
    ("photo of ohwx woman", "photo of ohwx woman"),
    ("ohwx, smiling", "ohwx woman, smiling"),
]


@pytest.mark.parametrize(("text", "wanted"), WOMAN)
def test_a_woman(text: str, wanted: str) -> None:
    assert in_front(text, "ohwx woman") == wanted
    assert in_front(wanted, "ohwx woman") == wanted, "a second time changes nothing"


@pytest.mark.parametrize(("text", "prefix", "wanted"), [
    ("a woman in red", "ohwx", "ohwx, a woman in red"),
    ("a woman in red", "ohwx woman,", "ohwx woman in red"),
    ("a photo of a woman in red", "photo of ohwx woman", "photo of ohwx woman in red"),
    ("a woman", "a photo of a", "a photo of a woman"),
    ("a car on a green ground", "zwv style", "zwv style, a car on a green ground"),
    ("a black and white dog running", "ohwx dog", "ohwx dog, black and white, running"),
    ("a brown teddy bear on a chair", "ohwx teddy bear", "ohwx teddy bear, brown, on a chair"),
    ("a teddy bear on a shelf", "ohwx plushie", "ohwx plushie on a shelf"),
    ("a close up of a man's hand", "ohwx man", "ohwx man's hand, close up"),
    ("a street with a man in it", "ohwx man", "ohwx man, a street with him in it"),
    ("a table with a vase on it", "ohwx vase", "ohwx vase, a table with it on it"),
    ("a woman in red", "ohwx person", "ohwx person in red"),
    ("a woman in red", "", "a woman in red"),
])  # fmt: skip
def test_other_subjects(text: str, prefix: str, wanted: str) -> None:
    assert in_front(text, prefix) == wanted


@pytest.mark.parametrize(("text", "_"), [case for case in WOMAN if case[0] and not case[0].lower().startswith("photo")])
def test_the_words_are_never_doubled(text: str, _: str) -> None:
    begun = in_front(text, "ohwx woman").casefold().replace("ohwx woman", "", 1).split()
    assert begun[:1] not in (["woman"], ["a"], ["the"], ["an"]) or text.casefold().split()[0] == begun[0]
    assert "ohwx" not in begun


def test_the_words_are_changed_later_for_all() -> None:
    assert changed_front("ohwx woman, smiling", "ohwx woman", "sks lady") == "sks lady, smiling"
    assert changed_front("photo of ohwx woman in red", "ohwx woman", "sks man") == "photo of sks man in red"
    assert changed_front("a man in red", "ohwx woman", "sks man") == "sks man in red"
    assert changed_front("ohwx woman, smiling", "ohwx woman", "") == "smiling"
    assert changed_front("ohwx women", "ohwx woman", "sks man") == "sks man, ohwx women"
    assert changed_front("ohwx woman", "ohwx woman", r"sks \1") == r"sks \1"


def test_the_words_are_taken_off() -> None:
    assert without_front("ohwx woman, smiling", "ohwx woman") == "smiling"
    assert without_front("OHWX woman in red", "ohwx woman,") == "in red"
    assert without_front("a photo of ohwx woman", "ohwx woman") == "a photo of ohwx woman"
    assert without_front("ohwx womanly", "ohwx woman") == "ohwx womanly"
    assert without_front("ohwx woman", "ohwx woman") == ""


def test_whether_a_caption_has_them() -> None:
    assert carries("a photo of Ohwx woman", "ohwx woman") and not carries("ohwxx woman", "ohwx woman")
    assert not carries("anything", "")


@pytest.mark.parametrize("text", ["a " + "x" * 9000, "word " * 2000, "and, big " * 1200, "a very " * 1500, "(" * 5000])
def test_no_caption_takes_long(text: str) -> None:
    begun = time.process_time()
    assert in_front(text, "ohwx woman").startswith("ohwx woman, ")
    assert time.process_time() - begun < 0.5
