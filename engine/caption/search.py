"""Finding captions: by phrase, by picture, by what is wrong with them; and what they say most often."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from engine.caption.edit import Search, phrase_pattern
from engine.caption.front import carries
from engine.caption.store import Entry
from engine.caption.tokens import LIMIT, count_tokens

Problem = Literal["missing", "empty", "encoding", "duplicate", "long", "trigger"]
PROBLEMS: tuple[Problem, ...] = ("missing", "empty", "encoding", "duplicate", "long", "trigger")

_SEPARATORS = re.compile(r"[,.;:!?()\[\]\"“”、，。；]+")
_LONGEST = 4  # words of a phrase that is counted
# A phrase neither begins nor ends with these.
_DULL = frozenset((
    "a", "an", "the", "and", "or", "of", "in", "on", "at", "with", "to", "for", "from", "by", "is", "are",
    "was", "be", "it", "its", "his", "her", "their", "this", "that", "as", "into", "up", "out", "there",
))  # fmt: skip


@dataclass(frozen=True)
class Phrase:
    """Words that `count` captions say, `share` (0 to 1) of those that say anything."""

    text: str
    count: int
    share: float


@dataclass(frozen=True)
class Finding:
    """What is wrong with one caption, as a word and as a sentence."""

    entry: Entry
    problem: Problem
    sentence: str


def phrase_frequencies(texts: Iterable[str], most: int = 40) -> list[Phrase]:
    """What most captions say, the most frequent first: runs of up to four words, and comma-separated tags whole.

    A shorter run is left out where a longer one that holds it is as frequent. Each caption counts once.
    """
    said = [text for text in texts if text and text.strip()]
    counts: Counter[tuple[str, ...]] = Counter()
    for text in said:
        counts.update(_runs(text))
    # In every caption of a thousand there are runs that no other has; they say nothing about the set.
    often = {run: count for run, count in counts.items() if (count > 1 or len(said) == 1) and not _dull(run)}
    told = {part for run, count in often.items() for part in _parts(run) if often.get(part) == count}
    ranked = sorted(
        ((run, count) for run, count in often.items() if run not in told),
        key=lambda item: (-item[1], -len(item[0]), item[0]),
    )
    return [Phrase(" ".join(run), count, count / len(said)) for run, count in ranked[:most]]


def with_phrase(entries: Iterable[Entry], phrase: str, *, as_regex: bool = False) -> list[Entry]:
    """The captions that say this: whole words in any case, or a regular expression."""
    if as_regex:
        search = Search(phrase)
        return [entry for entry in entries if entry.text and search.found(entry.text)]
    pattern = phrase_pattern(phrase) if phrase.strip() else None
    return [entry for entry in entries if entry.text and (pattern is None or pattern.search(entry.text))]


def with_picture(entries: Iterable[Entry], name: str) -> list[Entry]:
    """The pictures whose name holds these letters, or fits a pattern such as `beach-*.jpg`."""
    name = name.casefold()
    if any(char in name for char in "*?["):
        return [entry for entry in entries if fnmatchcase(entry.name.casefold(), name)
                or fnmatchcase(entry.picture.name.casefold(), name)]  # fmt: skip
    return [entry for entry in entries if name in entry.name.casefold()]


def find_problems(entries: Sequence[Entry], trigger: str = "") -> list[Finding]:
    """What is wrong with the captions, in their order; a missing trigger is looked for where one is given.

    Too long is more than 75 tokens of SDXL's tokenizers (both split words alike): the rest is not read by default.
    """
    same: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.text:
            same[entry.text.casefold()].append(entry)
    lengths = dict(zip((entry.name for entry in entries), count_tokens([e.text or "" for e in entries]), strict=True))
    findings: list[Finding] = []
    for entry in entries:
        if entry.text is None:
            findings.append(Finding(entry, "missing", "has no caption: write one, or let `lorasmith caption` do it."))
            continue
        if not entry.text:
            why = entry.problems[0] if entry.problems else "the file is empty."
            findings.append(Finding(entry, "empty", f"has no usable caption: {why}"))
            continue
        findings += [Finding(entry, "encoding", f"was read, but: {why}") for why in entry.problems]
        twins = same[entry.text.casefold()]
        if len(twins) > 1:
            other = next(one for one in twins if one is not entry)
            more = f" and {len(twins) - 2} more" if len(twins) > 2 else ""
            findings.append(Finding(entry, "duplicate", f"says the same as {other.name}{more}."))
        if lengths[entry.name] > LIMIT:
            findings.append(Finding(entry, "long", f"has {lengths[entry.name]} tokens; {LIMIT} are read."))
        if trigger.strip() and not carries(entry.text, trigger):
            findings.append(Finding(entry, "trigger", f"does not say '{trigger.strip()}'."))
    return findings


def _runs(text: str) -> set[tuple[str, ...]]:
    runs: set[tuple[str, ...]] = set()
    for part in _SEPARATORS.split(text.casefold()):
        words = part.split()
        for start in range(len(words)):
            for end in range(start + 1, min(len(words), start + _LONGEST) + 1):
                runs.add(tuple(words[start:end]))
        if len(words) > _LONGEST and len(words) <= 2 * _LONGEST:
            runs.add(tuple(words))
    return runs


def _parts(run: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every shorter run that a run holds."""
    for length in range(1, len(run)):
        for start in range(len(run) - length + 1):
            yield run[start : start + length]


def _dull(run: tuple[str, ...]) -> bool:
    return run[0] in _DULL or run[-1] in _DULL
