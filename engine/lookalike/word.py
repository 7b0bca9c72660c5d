"""What a base's tokenizers make of the instance word, before anything is drawn. Light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import LorasmithError, shown
from engine.lookalike.classes import INSTANCE_CHOICES, Choice, class_choices
from engine.lookalike.names import tidy
from engine.lookalike.vocabulary import Token, Vocabulary, vocabularies
from engine.plan import Plan

CHUNK = 75  # tokens an encoder reads at once
FEW_PIECES = 3  # a word cut into more is hard to learn and easy to mix up with its pieces
MOST_TOKENS = 8  # of an instance prompt of several words
_WEIGHT_MARKS = "()[]{}<>:|"

Judgement = Literal["none", "rare", "common", "pieces", "many pieces", "several words", "unknown"]
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Remark:
    """One sentence about the words, and how grave it is."""

    severity: Severity
    sentence: str


@dataclass(frozen=True)
class WordReport:
    """The instance word as the base reads it: tokens of both encoders, a judgement, remarks, and what to choose from.

    `vocabulary` is the number of entries of the first encoder's.
    """

    word: str
    class_prompt: str
    tokens: tuple[tuple[Token, ...], tuple[Token, ...]]
    vocabulary: int
    judgement: Judgement
    remarks: tuple[Remark, ...]
    classes: tuple[Choice, ...]
    choices: tuple[Choice, ...] = INSTANCE_CHOICES


def read_word(plan: Plan, word: str | None = None) -> WordReport:
    """What the plan's base makes of its instance prompt, or of another word.

    Raises BaseModelError where the base is named but cannot be read; a poor word is a remark, not an error.
    """
    text = tidy(plan.subject.instance_prompt if word is None else word)
    both = vocabularies(plan.base.model)
    tokens = (tuple(both[0].tokens(text)), tuple(both[1].tokens(text)))
    judgement = _judged(text, both[0], tokens[0])
    class_prompt = tidy(plan.subject.class_prompt)
    return WordReport(
        word=text,
        class_prompt=class_prompt,
        tokens=tokens,
        vocabulary=both[0].size,
        judgement=judgement,
        remarks=(*_word_remarks(text, both, tokens, judgement), *_class_remarks(text, class_prompt, plan)),
        classes=class_choices(plan.subject.kind),
    )


def drawable(report: WordReport) -> str:
    """The word, if there is something to draw. Raises LorasmithError with the first grave remark."""
    for remark in report.remarks:
        if remark.severity == "error":
            raise LorasmithError(remark.sentence)
    return report.word


def _judged(text: str, vocabulary: Vocabulary, tokens: tuple[Token, ...]) -> Judgement:
    if not tokens:
        return "none"
    if " " in text:
        return "several words"
    first, *others = tokens
    if others:
        return "pieces" if len(tokens) <= FEW_PIECES else "many pieces"
    if vocabulary.common_below is None:
        return "unknown"
    return "common" if first.id < vocabulary.common_below else "rare"


def _word_remarks(
    text: str, both: tuple[Vocabulary, Vocabulary], tokens: tuple[tuple[Token, ...], ...], judgement: Judgement
) -> list[Remark]:
    count = max(len(each) for each in tokens)
    if count == 0:
        what = f"{shown(text)!r} has no letter or sign that the base reads" if text else "There is no instance prompt"
        return [_error(f"{what}: set subject.instance_prompt to a word such as ohwx.")]
    if count > CHUNK:
        return [_error(f"The instance prompt takes {count} tokens of the {CHUNK} that a prompt holds: shorten it.")]
    remarks = []
    pieces = ", ".join(shown(token.text) for token in tokens[0])
    if judgement == "many pieces":
        remarks.append(_warning(
            f"It is cut into {count} pieces ({pieces}), more than {FEW_PIECES}: harder to learn, and its pieces mean "
            "other things; a word of one or two tokens is better."
        ))  # fmt: skip
    if judgement == "several words" and count > MOST_TOKENS:
        remarks.append(_warning(f"It takes {count} tokens: a sentence rather than a word to call by; shorten it."))
    if judgement == "common":
        remarks.append(_warning(
            f"It is an everyday word to the base (token {tokens[0][0].id:,} of {both[0].size:,}, below "
            f"{both[0].common_below:,}): its own meaning will mix with the subject; see what is drawn for it."
        ))  # fmt: skip
    if marks := sorted(set(text) & set(_WEIGHT_MARKS)):
        remarks.append(_warning(
            f"It holds {' '.join(marks)}, which A1111, Forge and ComfyUI read as weights: leave them out."
        ))  # fmt: skip
    if text != text.lower():
        remarks.append(_note("Capital letters are the same to the base as small ones."))
    if text.casefold() == "sks":
        remarks.append(_note("sks is also a rifle's name, which some bases draw; look at what yours does."))
    if [token.id for token in tokens[0]] != [token.id for token in tokens[1]]:
        remarks.append(_note("The two encoders of this base cut it differently."))
    return remarks


def _class_remarks(text: str, class_prompt: str, plan: Plan) -> list[Remark]:
    if not class_prompt:
        usual = class_choices(plan.subject.kind)[0].word
        return [_warning(
            "There is no class prompt (subject.class_prompt): the base then lends nothing to the subject and class "
            f"pictures are impossible; {usual} would be usual."
        )]  # fmt: skip
    words, own = set(class_prompt.casefold().split()), text.casefold().split()
    if own and all(word in words for word in own):
        return [_warning(
            f"The instance prompt says no more than the class prompt ({shown(class_prompt)}): nothing would call the "
            "subject alone."
        )]  # fmt: skip
    if words & set(own):
        return [_note(
            f"The class prompt ({shown(class_prompt)}) stands in the instance prompt already; it is put behind it by "
            "itself."
        )]  # fmt: skip
    return []


def _error(sentence: str) -> Remark:
    return Remark("error", sentence)


def _warning(sentence: str) -> Remark:
    return Remark("warning", sentence)


def _note(sentence: str) -> Remark:
    return Remark("note", sentence)
