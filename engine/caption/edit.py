"""Editing many captions at once: each function says which captions it would change and how; `write_changes` does it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable

import regex

from engine.caption.front import changed_front, in_front, without_front
from engine.caption.journal import CaptionError
from engine.caption.store import Change, Entry
from engine.errors import shown

PATTERN_SECONDS = 1.0  # of processor time, for all captions together
# Scripts that set no spaces between words: a phrase in them may begin and end anywhere.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"


def add_prefix(entries: Iterable[Entry], prefix: str) -> list[Change]:
    """Trigger and class words in front, by the rule of `front.in_front`; pictures without a caption get the prefix."""
    _needed(prefix, "prefix")
    changed = (Change(entry, in_front(entry.text or "", prefix)) for entry in entries if entry.text != "")
    return [change for change in changed if change.after != change.before]


def strip_prefix(entries: Iterable[Entry], prefix: str) -> list[Change]:
    """Without these words, where a caption begins with them; one that says nothing else becomes empty."""
    _needed(prefix, "prefix")
    return _changes(entries, lambda text: without_front(text, prefix))


def change_prefix(entries: Iterable[Entry], old: str, new: str) -> list[Change]:
    """The new trigger and class words for the old ones, in every caption; in front where the old were nowhere."""
    _needed(old, "old prefix")
    return _changes(entries, lambda text: changed_front(text, old, new))


def replace_phrase(entries: Iterable[Entry], old: str, new: str, *, as_regex: bool = False) -> list[Change]:
    """Replaces a phrase wherever it stands: plain text (whole words, any case), or a regular expression.

    A regular expression is read by the `regex` library, case and all as written; in `new`, \\1 is its first group.
    CaptionError for an expression that is wrong, or that takes longer than PATTERN_SECONDS for all captions.
    """
    _needed(old, "phrase")
    swap = _by_regex(old, new) if as_regex else functools.partial(phrase_pattern(old).sub, lambda _: new)
    return _changes(entries, lambda text: _neat(swap(text), removed=not new))


def phrase_pattern(phrase: str) -> regex.Pattern:
    """Finds a phrase as whole words in any case: "man" is not found in "woman"."""
    words = phrase.split()
    inside = r"\s+".join(regex.escape(word) for word in words) or r"(?!)"
    edge = rf"[[\p{{L}}\p{{N}}_]--[{_UNSPACED}]]"
    before = rf"(?<!{edge})" if regex.match(edge, words[0][0], regex.V1) else ""
    after = rf"(?!{edge})" if regex.match(edge, words[-1][-1], regex.V1) else ""
    return regex.compile(f"{before}{inside}{after}", regex.IGNORECASE | regex.V1)


class Search:
    """A regular expression over many captions with one time limit for all of them, so that none hangs the screen."""

    def __init__(self, pattern: str) -> None:
        """CaptionError for an expression that is wrong."""
        self.pattern = pattern
        try:
            self._compiled = regex.compile(pattern)
        except (regex.error, OverflowError, RecursionError) as error:
            raise CaptionError(
                f"{shown(repr(pattern))} is no regular expression ({shown(error)}): mend it, or search for plain text."
            ) from error
        self._end = time.process_time() + PATTERN_SECONDS

    def found(self, text: str) -> bool:
        return self._timed(lambda left: self._compiled.search(text, timeout=left)) is not None

    def swapped(self, text: str, new: str) -> str:
        try:
            return str(self._timed(lambda left: self._compiled.sub(new, text, timeout=left)))
        except (regex.error, IndexError) as error:
            raise CaptionError(
                f"{shown(repr(new))} does not fit the expression ({shown(error)}): \\1 is its first group."
            ) from error

    def _timed(self, work: Callable[[float], object]) -> object:
        try:
            return work(max(0.001, self._end - time.process_time()))
        except TimeoutError:
            raise CaptionError(
                f"{shown(repr(self.pattern))} takes longer than {PATTERN_SECONDS:.0f} s on these captions, so "
                "nothing is changed: nested repeats such as (a+)+ do that; write it more simply."
            ) from None


def _by_regex(old: str, new: str) -> Callable[[str], str]:
    search = Search(old)
    return lambda text: search.swapped(text, new)


def _changes(entries: Iterable[Entry], edit: Callable[[str], str]) -> list[Change]:
    """An edit over every caption that has text; only what it changes."""
    changed = (Change(entry, edit(entry.text)) for entry in entries if entry.text)
    return [change for change in changed if change.after != change.before]


def _neat(text: str, *, removed: bool) -> str:
    """One line; what a removed phrase leaves behind (two spaces, two commas) goes with it."""
    text = " ".join(text.split())
    if removed:
        text = regex.sub(r" +([,.;])", r"\1", text)
        text = regex.sub(r"(?:, ?){2,}", ", ", text).strip(" ,;")
    return text


def _needed(words: str, what: str) -> None:
    if not words.strip():
        raise CaptionError(f"the {what} is empty: give the words it should have.")
