"""What a caption should not say depends on what is to be learnt; a model's chatter is never part of it."""

from __future__ import annotations

import time

import pytest

from engine.caption.kinds import by_kind, instruction, tidied
from engine.errors import LorasmithError
from engine.plan import KINDS


@pytest.mark.parametrize(("said", "wanted"), [
    ("a dog on grass", "a dog on grass"),
    ("arafed woman in a red dress", "woman in a red dress"),
    ("there is a woman that is standing in a field", "a woman standing in a field"),
    ("The image shows a woman in red. She smiles.", "a woman in red. She smiles."),
    ("In this photo, we can see a cat\nsitting", "a cat sitting"),
    ("<think>what is it</think>\n**A dog** on grass.", "A dog on grass."),
    ("Here is a caption: \"a dog\"", "a dog"),
    ("here is where the dog sleeps", "here is where the dog sleeps"),
    ("the photo of a dog on a wall", "the photo of a dog on a wall"),
    ("Sure! A dog.", "A dog."),
    ("a dog dog dog dog", "a dog"),
    ("a woman wearing a hat\x1b[31m", "a woman wearing a hat [31m"),
    ("", ""),
])  # fmt: skip
def test_a_models_answer_becomes_one_plain_line(said: str, wanted: str) -> None:
    assert tidied(said) == wanted
    assert tidied(wanted) == wanted


@pytest.mark.parametrize(("said", "wanted"), [
    ("a painting of a house", "a house"),
    ("a watercolor painting of a house in a field", "a house in a field"),
    ("this is a digital illustration of two men talking", "two men talking"),
    ("a black and white photo of a street", "a street"),
    ("a cartoon drawing of a dog in the style of an old master", "a dog"),
    ("a woman in a red dress in a pop art style", "a woman in a red dress"),
    ("a house in a field, digital art, high quality", "a house in a field"),
    ("1girl, solo, watercolor (medium), monochrome, tree", "1girl, solo, tree"),
    ("a 3d render of an apple", "an apple"),
    ("a painting", ""),
    # What is seen stays, also where it sounds like a medium.
    ("a woman painting with watercolors", "a woman painting"),
    ("a close up of a bear", "a close up of a bear"),
    ("a man in a suit holding a picture frame", "a man in a suit holding a picture frame"),
])  # fmt: skip
def test_a_styles_caption_says_what_is_seen(said: str, wanted: str) -> None:
    assert by_kind(said, "style") == wanted


@pytest.mark.parametrize(("said", "wanted"), [
    ("a young woman with blue eyes in a park", "a woman in a park"),
    ("an elderly man in a blue coat, smiling", "a man in a blue coat, smiling"),
    ("a beautiful, young asian woman holding a cup", "an asian woman holding a cup"),
    ("1girl, blue eyes, black hair, red dress", "1girl, red dress"),
    ("an old house behind a man", "an old house behind a man"),
    ("a woman wearing sunglasses at night", "a woman wearing sunglasses at night"),
])  # fmt: skip
def test_a_persons_caption_leaves_out_the_face(said: str, wanted: str) -> None:
    assert by_kind(said, "person") == wanted
    assert by_kind(said, "object") == said


def test_every_kind_has_an_instruction_of_its_own() -> None:
    said = {kind: instruction(kind, "woman") for kind in KINDS}
    assert len(set(said.values())) == len(KINDS)
    assert all("{" not in text and "\n" not in text for text in said.values())
    assert '"a woman"' in said["person"] and "face" in said["person"] and "style" in said["style"]
    assert '"a person"' in instruction("person")
    assert instruction("person", "woman", "Only name the {subject}'s hat.") == "Only name the woman's hat."
    with pytest.raises(LorasmithError, match="no instruction for 'ghost'"):
        instruction("ghost")


@pytest.mark.parametrize("text", ["a, big " * 1500, "young " * 1500, "a b " * 2500, "art " * 2500, "," * 10_000])
def test_no_answer_takes_long(text: str) -> None:
    begun = time.process_time()
    for kind in ("person", "style"):
        by_kind(tidied(text), kind)
    assert time.process_time() - begun < 1
