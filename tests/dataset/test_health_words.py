"""What captions will teach besides the subject."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.dataset.captions import CaptionRules
from engine.dataset.health.tokens import clip_tokenizer, count_tokens
from engine.dataset.health.words import Words, common_phrases, holds, read_words
from engine.dataset.scan import Picture
from engine.plan import Subject

OHWX = Subject("person", "ohwx", "woman")


def read(*captions: str | None, subject: Subject = OHWX, rules: CaptionRules | None = None) -> Words:
    pictures = [
        Picture(Path(f"{at}.png"), f"{at}.png", 64, 64, "PNG", str(at), caption, None, 1, "train")
        for at, caption in enumerate(captions)
    ]
    return read_words(pictures, subject, rules or CaptionRules())


def test_tokens_are_counted_as_transformers_does_for_both_encoders() -> None:
    from engine.base.tokenizer import build_tokenizers

    first, second = build_tokenizers()
    texts = ["a photo of a cat", "ohwx man's dog, 4K, 35mm!!", "été in 東京, ☕ <b>bold</b>", "a  b\tc", "Wow! yes!?!"]
    for text in texts:
        assert clip_tokenizer().encode(text, add_special_tokens=False).ids == first(text).input_ids[1:-1]
        longest = max(len(tokenizer(text).input_ids) - 2 for tokenizer in (first, second))
        assert count_tokens([text]) == [longest], text


def test_missing_and_repeated_captions() -> None:
    words = read("ohwx woman in red", None, "ohwx woman in red.", "ohwx woman reading")
    assert words.missing == (1,) and words.duplicates == ((0, 2),)
    assert words.texts[1] == "ohwx woman"  # what is trained where there is no caption


def test_the_trigger_is_there_whole_and_in_front() -> None:
    far = "a bright and sunny afternoon in the large park with ohwx woman"
    words = read("ohwx woman smiling", "a woman smiling", "ohwxwoman smiling", far)
    assert words.without_trigger == (1, 2) and words.trigger_behind == (3,)
    assert read("a house at night, zwv style", subject=Subject("style", "zwv style", "")).trigger_behind == ()
    shuffled = CaptionRules(shuffle=True, keep_tokens=1)
    assert read("a portrait, ohwx woman", rules=shuffled).trigger_behind == (0,)
    assert read("smiling", rules=CaptionRules(prefix="ohwx woman,")).without_trigger == ()


def test_the_class_word_may_be_many() -> None:
    assert holds("two Dogs on grass", "dog") and holds("three boxes", "box") and not holds("a hotdog", "dog")
    assert read("ohwx woman", "ohwx lady").without_class == (1,)


def test_a_phrase_in_nearly_all_captions_is_told_once_and_longest() -> None:
    places = ["a park", "the rain", "her kitchen", "a bus", "a library", "the snow", "a boat"]
    texts = [f"ohwx woman in a red dress with white dots, standing near {place}" for place in places]
    assert common_phrases(texts, ("ohwx", "woman")) == (("red dress with white dots", 1.0), ("standing", 1.0))
    less = [text.replace("a red dress with white dots", "jeans") if at < 2 else text for at, text in enumerate(texts)]
    assert common_phrases(less, ("ohwx", "woman")) == (("standing", 1.0),)  # 5 of 7 are not 85 %


@pytest.mark.parametrize("texts", [["ohwx woman in red"] * 3, ["ohwx woman", "a photo of ohwx woman"] * 3])
def test_few_captions_and_small_words_say_nothing(texts: list[str]) -> None:
    assert common_phrases(texts, ("ohwx", "woman")) == ()
