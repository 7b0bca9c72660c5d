"""What the captions of a set will teach besides the subject."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from engine.dataset.captions import CaptionRules, compose
from engine.dataset.health.limits import PHRASE_SHARE
from engine.dataset.health.tokens import count_tokens
from engine.dataset.scan import Picture
from engine.plan import Subject

_FRONT_WORDS = 6  # a trigger further back than this is not in front
_LONGEST_PHRASE = 6  # words
_PHRASES_FROM = 4  # captions: with fewer, everything is in most of them
# Words that bind to nothing: they may be in every caption.
_SMALL = (
    "a an the of on in at with and or to from by for as is are was be it its his her their this that these those "
    "into onto over under near next up down out off photo photograph picture image"
)
_SMALL_WORDS = frozenset(_SMALL.split())
_WORD = re.compile(r"[\w'-]+")


@dataclass(frozen=True)
class Words:
    """What was found in the captions; lists are picture indices in the order given.

    `texts` are the texts as trained, `tokens` their lengths. `phrases` are (words, share of captions).
    """

    texts: tuple[str, ...]
    tokens: tuple[int, ...]
    missing: tuple[int, ...]
    duplicates: tuple[tuple[int, ...], ...]
    without_trigger: tuple[int, ...]
    trigger_behind: tuple[int, ...]
    without_class: tuple[int, ...]
    phrases: tuple[tuple[str, float], ...]


def read_words(pictures: Sequence[Picture], subject: Subject, rules: CaptionRules) -> Words:
    """Looks at the texts that a training of these pictures reads; trigger and class may be unknown ("")."""
    texts = [compose(one.caption, rules, subject.instance_prompt, subject.class_prompt) for one in pictures]
    written = [at for at, one in enumerate(pictures) if one.caption]
    trigger, class_ = subject.instance_prompt.strip(), subject.class_prompt.strip()
    return Words(
        texts=tuple(texts),
        # Without a caption the text is trigger and class: nothing to count.
        tokens=tuple(count_tokens(texts)) if written else (),
        missing=tuple(at for at, one in enumerate(pictures) if not one.caption),
        duplicates=_duplicates(texts, written),
        without_trigger=tuple(at for at in written if trigger and not holds(texts[at], trigger)),
        trigger_behind=tuple(at for at in written if _is_behind(texts[at], trigger, subject.kind, rules)),
        without_class=tuple(at for at in written if class_ and not holds(texts[at], class_)),
        phrases=common_phrases([texts[at] for at in written], (trigger, class_)),
    )


def holds(text: str, words: str) -> bool:
    """Whether a text has these words as they stand, whole; a plural counts ("two dogs" holds "dog")."""
    wanted = r"\s+".join(re.escape(word) for word in words.split())
    return bool(re.search(rf"(?<!\w){wanted}(?:e?s)?(?!\w)", text, re.IGNORECASE))


def common_phrases(texts: Sequence[str], known: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """The longest runs of words that stand in more than 85 % of the texts, most frequent first.

    `known` words (trigger, class) belong in all of them and are not told. A shorter run inside a longer one is told
    only where it is more frequent.
    """
    if len(texts) < _PHRASES_FROM:
        return ()
    skipped = {word.casefold() for words in known for word in words.split()}
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        counts.update(_runs(text, skipped))
    often = {run: count for run, count in counts.items() if count > PHRASE_SHARE.amber * len(texts)}
    longest = [
        run for run, count in often.items()
        if not any(_inside(run, other) and often[other] >= count for other in often if len(other) > len(run))
    ]  # fmt: skip
    longest.sort(key=lambda run: (-often[run], -len(run), run))
    return tuple((" ".join(run), often[run] / len(texts)) for run in longest)


def _runs(text: str, skipped: set[str]) -> set[tuple[str, ...]]:
    """Every run of up to six words of a text, within its commas, that begins and ends with a word of meaning."""
    found: set[tuple[str, ...]] = set()
    for part in re.split(r"[,.;:!?()\n]", text.casefold()):
        words = _WORD.findall(part)
        for start in range(len(words)):
            for end in range(start + 1, min(len(words), start + _LONGEST_PHRASE) + 1):
                run = tuple(words[start:end])
                dull = _SMALL_WORDS | skipped
                if run[0] not in dull and run[-1] not in dull and not skipped & set(run):
                    found.add(run)
    return found


def _inside(run: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return any(other[at : at + len(run)] == run for at in range(len(other) - len(run) + 1))


def _is_behind(text: str, trigger: str, kind: str, rules: CaptionRules) -> bool:
    """Whether the trigger is there, but not in front: lost in shuffling, or read as an afterthought.

    A style's trigger stands at the end in many good captions ("a house at night, zwv style"), where nothing is
    shuffled.
    """
    if not trigger or not holds(text, trigger) or (kind == "style" and not rules.shuffle):
        return False
    if rules.shuffle:
        kept = text.split(rules.separator)[: rules.keep_tokens]
        return not holds(rules.separator.join(kept), trigger)
    return not holds(" ".join(text.split()[: _FRONT_WORDS + len(trigger.split())]), trigger)


def _duplicates(texts: Sequence[str], written: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    groups: dict[str, list[int]] = defaultdict(list)
    for at in written:
        groups[texts[at].casefold().strip(" .")].append(at)
    return tuple(tuple(members) for members in groups.values() if len(members) > 1)
