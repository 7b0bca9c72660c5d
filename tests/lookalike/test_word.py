"""What is said of an instance word before anything is drawn."""

from __future__ import annotations

import pytest

from engine.errors import LorasmithError
from engine.lookalike.classes import class_choices
from engine.lookalike.word import WordReport, drawable, read_word
from engine.plan import KINDS, BaseChoice, Plan, Subject


def report_of(word: str, class_prompt: str = "woman", kind: str = "person", base: str = "sdxl-1.0") -> WordReport:
    return read_word(Plan(subject=Subject(kind, word, class_prompt), base=BaseChoice(base)))  # type: ignore[arg-type]


def warnings(report: WordReport) -> str:
    return " ".join(remark.sentence for remark in report.remarks if remark.severity == "warning")


@pytest.mark.parametrize(
    ("word", "judgement"),
    [("ohwx", "rare"), ("sks", "rare"), ("man", "common"), ("zkz", "pieces"), ("p3rs0n", "many pieces"),
     ("lvngvncnt", "many pieces"), ("taylor swift", "several words"), ("", "none")],
)  # fmt: skip
def test_a_word_is_judged_by_its_tokens(word: str, judgement: str):
    assert report_of(word).judgement == judgement


def test_a_rare_word_beside_a_class_has_no_remark():
    assert report_of("ohwx").remarks == ()


def test_an_everyday_word_a_weight_mark_and_many_pieces_are_warned_of():
    assert "everyday word" in warnings(report_of("man", "person")) and "786" in warnings(report_of("man", "person"))
    assert "weights" in warnings(report_of("(ohwx)"))
    assert "5 pieces" in warnings(report_of("p3rs0n"))


def test_the_class_prompt_is_missed_and_its_doubling_named():
    assert "no class prompt" in warnings(report_of("ohwx", ""))
    assert "no more than the class prompt" in warnings(report_of("woman", "woman"))
    assert "put behind it by itself" in report_of("ohwx woman", "woman").remarks[0].sentence


def test_a_word_of_no_tokens_and_one_of_eighty_can_not_be_drawn():
    for word in ("", " \t", "\u200b"):
        if report_of(word).tokens[0]:
            continue
        with pytest.raises(LorasmithError, match="such as ohwx"):
            drawable(report_of(word))
    with pytest.raises(LorasmithError, match="80 tokens of the 75"):
        drawable(report_of(" ".join(["cat"] * 80)))


def test_an_escape_code_in_the_word_is_shown_and_not_sent():
    sentences = " ".join(remark.sentence for remark in report_of("oh\x1b[31mwx(").remarks)
    assert "\x1b" not in sentences and sentences


def test_another_vocabulary_has_no_bound_for_common_words():
    report = report_of("cat", "animal", base="demo")
    assert report.judgement == "unknown" and len(report.tokens[0]) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_class_prompts_with_their_effects(kind):
    choices = class_choices(kind)
    assert len(choices) >= 2 and all(len(choice.effect) > 20 for choice in choices)
