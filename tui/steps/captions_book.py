"""The captions of a draft's folders as the wizard handles them: read, found, edited, taken back; no screen.

Plain functions over `engine.caption`, which writes each caption in one piece and keeps its former text; a screen
calls those that touch files in a thread.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.caption.edit import add_prefix, change_prefix, replace_phrase, strip_prefix
from engine.caption.journal import CaptionError, Operation, operations, undo
from engine.caption.search import Finding, find_problems, with_phrase, with_picture
from engine.caption.store import Captions, Change, Entry, check_writable, read_captions, read_entry, write_changes
from engine.caption.tokens import LIMIT, count_tokens
from engine.errors import LorasmithError, shown
from tui.draft import Draft
from tui.text import count

BY_HAND = "the caption of"  # how an edit of one caption begins in the journal
TYPING = "captions.typing"  # the draft's key for a caption that is being typed


@dataclass(frozen=True)
class Book:
    """Every picture's caption, folder by folder; `problems` by picture, `troubles` say what could not be read."""

    parts: tuple[Captions, ...] = ()
    entries: tuple[Entry, ...] = ()
    problems: Mapping[Path, tuple[Finding, ...]] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()

    @property
    def without(self) -> int:
        """Pictures that no caption is of use to."""
        return sum(not entry.usable for entry in self.entries)

    def part_of(self, entry: Entry) -> Captions:
        return next(part for part in self.parts if entry.picture.is_relative_to(part.root))

    def at(self, picture: Path) -> int | None:
        return next((at for at, entry in enumerate(self.entries) if entry.picture == picture), None)


@dataclass(frozen=True)
class Outcome:
    """What became of an edit: the book as it is now, how many captions were written, and what is to be said.

    `clash` is the caption of an edit of one that somebody else changed meanwhile, and that was not written.
    """

    book: Book
    count: int = 0
    words: str = ""
    trouble: str = ""
    clash: Change | None = None


def read_book(folders: Sequence[str], trigger: str) -> Book:
    """All captions of these folders; one that cannot be read or written into is told of."""
    parts, troubles = [], []
    for folder in dict.fromkeys(folders):
        try:
            parts.append(read_captions(folder))
        except LorasmithError as error:
            troubles.append(str(error))
    return _bound(parts, trigger, troubles)


def _bound(parts: Sequence[Captions], trigger: str, troubles: Iterable[str]) -> Book:
    found: dict[Path, list[Finding]] = {}
    for part in parts:
        for finding in find_problems(part.entries, trigger):
            found.setdefault(finding.entry.picture, []).append(finding)
    entries = tuple(entry for part in parts for entry in part.entries)
    problems = {picture: tuple(all_) for picture, all_ in found.items()}
    return Book(tuple(parts), entries, problems, tuple(troubles))


def again(book: Book, pictures: Iterable[Path], trigger: str) -> Book:
    """The book with these pictures' captions read again."""
    wanted = set(pictures)
    parts = [
        replace(part, entries=tuple(
            replace(read_entry(one.picture, part.root), others=one.others) if one.picture in wanted else one
            for one in part.entries
        ))
        for part in book.parts
    ]  # fmt: skip
    return _bound(parts, trigger, book.troubles)


def sifted(book: Book, words: str, *, problems_only: bool) -> list[int]:
    """The numbers of the entries that a filter leaves: by a phrase of the caption or the picture's name."""
    entries: Iterable[Entry] = book.entries
    if words.strip():
        by_words = with_phrase(book.entries, words)
        named = {entry.picture for entry in (*by_words, *with_picture(book.entries, words.strip()))}
        entries = (entry for entry in book.entries if entry.picture in named)
    chosen = {entry.picture for entry in entries if not problems_only or entry.picture in book.problems}
    return [at for at, entry in enumerate(book.entries) if entry.picture in chosen]


def one_line(text: str) -> str:
    """A caption as it is written: one line, and nothing a terminal obeys."""
    return " ".join("".join(" " if unicodedata.category(char) == "Cc" else char for char in text).split())


# Writing.


def written(book: Book, changes: Sequence[Change], what: str, trigger: str) -> Outcome:
    """Writes changes as one operation a folder; every caption that somebody else changed since stays."""
    wrote, refused, trouble = 0, [], _gone(changes)
    for part in book.parts:
        own = [change for change in changes if book.part_of(change.entry) is part]
        try:
            if own and not trouble:
                check_writable(replace(part, entries=tuple(change.entry for change in own)))
                done = write_changes(part, own, what)
                wrote += done.count
                refused += done.refused
        except LorasmithError as error:
            trouble = str(error)
            break
    now = again(book, (change.entry.picture for change in changes), trigger)
    alone = _alone(now, changes)
    clash = alone if refused and alone and alone.entry.text != changes[0].entry.text else None
    if refused and clash is None:
        trouble = trouble or shown(refused[0])
    words = "" if trouble else f"{count(wrote, 'caption')} written; u takes it back."
    return Outcome(now, wrote, words, trouble, clash)


def _gone(changes: Sequence[Change]) -> str:
    """That a picture is no longer there, and so nothing is to be written for it."""
    gone = next((change.entry.name for change in changes if not change.entry.picture.exists()), "")
    return f"{shown(gone)} is no longer there, so nothing was written: g reads the folder again." if gone else ""


def _alone(now: Book, changes: Sequence[Change]) -> Change | None:
    """The one change there is, over what its caption says now."""
    at = now.at(changes[0].entry.picture) if len(changes) == 1 else None
    return Change(now.entries[at], changes[0].after) if at is not None else None


def last_operation(book: Book) -> tuple[Captions, Operation] | None:
    """What an undo would take back: the newest change of any of the folders."""
    found = [(part, known[-1]) for part in book.parts if (known := operations(part.root))]
    return max(found, key=lambda one: (one[1].when, one[1].number)) if found else None


def taken_back(book: Book, part: Captions, trigger: str) -> Outcome:
    """The folder's newest change taken back, and everything read again."""
    folders = [str(one.root) for one in book.parts]
    try:
        done = undo(part.root)
    except CaptionError as error:
        return Outcome(read_book(folders, trigger), trouble=str(error))
    is_ = "caption is" if done.restored == 1 else "captions are"
    words = f"Taken back: {shown(done.what)}. {done.restored:,} {is_} as before."
    if done.left:
        names = ", ".join(shown(name) for name in done.left[:3]) + (" …" if len(done.left) > 3 else "")
        words += f" {count(len(done.left), 'caption')} changed since stay: {names}."
    return Outcome(read_book(folders, trigger), done.restored, words)


# Bulk edits.


@dataclass(frozen=True)
class Bulk:
    """A way of editing many captions: its words, what its two fields are called, and what it would change."""

    title: str
    first: str
    second: str
    plan: Callable[[Sequence[Entry], str, str], list[Change]]
    said: Callable[[str, str], str]


BULKS: tuple[Bulk, ...] = (
    Bulk(
        "put words in front", "words", "", lambda entries, words, _: add_prefix(entries, words),
        lambda words, _: f"'{words}' put in front",
    ),
    Bulk(
        "take words off the front", "words", "", lambda entries, words, _: strip_prefix(entries, words),
        lambda words, _: f"'{words}' taken off the front",
    ),
    Bulk(
        "other words in front", "old words", "new words", change_prefix,
        lambda old, new: f"'{old}' changed to '{new}' in front",
    ),
    Bulk(
        "replace a phrase", "phrase", "by", replace_phrase,
        lambda old, new: f"'{old}' replaced by '{new}'",
    ),
    Bulk(
        "replace by a regular expression", "expression", "by",
        lambda entries, old, new: replace_phrase(entries, old, new, as_regex=True),
        lambda old, new: f"what fits '{old}' replaced by '{new}'",
    ),
)  # fmt: skip


def planned(bulk: Bulk, entries: Sequence[Entry], first: str, second: str) -> tuple[list[Change], str]:
    """What a bulk edit would change, and why it cannot be done; nothing is written."""
    if not first.strip() or (bulk.title.startswith("other") and not second.strip()):
        return [], ""
    try:
        return bulk.plan(entries, first, second), ""
    except CaptionError as error:
        return [], str(error)


def around(change: Change, width: int) -> tuple[str, str]:
    """Before and after, each at most `width` letters around the first difference."""
    before, after = shown(change.before), shown(change.after)
    pairs = enumerate(zip(before, after, strict=False))
    same = next((at for at, (old, new) in pairs if old != new), min(len(before), len(after)))
    start = 0 if max(len(before), len(after)) <= width else max(0, min(same - width // 4, same))
    lead = "…" if start else ""
    return lead + before[start : start + width], lead + after[start : start + width]


# What is being typed.


@dataclass(frozen=True)
class Typing:
    """A caption that is being typed and not written yet: over which text, so that no other change is lost."""

    picture: str
    before: str | None
    text: str


def with_typing(draft: Draft, picture: str, typing: Typing | None) -> Draft:
    """The draft that remembers it, so that a terminal that dies loses nothing of it; None forgets it."""
    key = f"{TYPING}:{picture}"
    if typing is None:
        return draft.without_typed(key) if key in draft.typed else draft
    return draft.with_typed(key, json.dumps({"before": typing.before, "text": typing.text}, ensure_ascii=False))


def typings(draft: Draft) -> dict[str, Typing]:
    """What is typed and not written, by picture."""
    found = {}
    for key, text in draft.typed.items():
        mark, _, picture = key.partition(":")
        if mark != TYPING:
            continue
        try:
            said = json.loads(text)
            before = said["before"]
            found[picture] = Typing(picture, None if before is None else str(before), str(said["text"]))
        except (ValueError, KeyError, TypeError):
            continue  # changed by hand into something else
    return found


def without_written(draft: Draft, book: Book) -> Draft:
    """The draft without what was being typed where the caption says it by now."""
    for picture, typing in typings(draft).items():
        at = book.at(Path(picture))
        if at is not None and (book.entries[at].text or "") == one_line(typing.text):
            draft = with_typing(draft, picture, None)
    return draft


# What is said.


def length_words(text: str) -> tuple[str, str]:
    """A caption's length as SDXL counts it, with its ink."""
    tokens = count_tokens([one_line(text)])[0]
    return (f"{tokens:,} tokens, {LIMIT} are read", "warn") if tokens > LIMIT else (count(tokens, "token"), "muted")


def problem_words(finding: Finding) -> str:
    """A finding as a sentence of its own beside its picture."""
    if finding.problem == "missing":
        return "No caption: write one here, or c has a model write it."
    words = shown(finding.sentence)
    more = " r puts it in front of all." if finding.problem == "trigger" else ""
    return words[:1].upper() + words[1:] + more


def summary_words(book: Book, left: int, words: str, *, problems_only: bool) -> str:
    """The folder's captions in one line, and what of them is in sight."""
    parts = [count(len(book.entries), "picture")]
    parts.append(f"{book.without:,} without a caption" if book.without else "all with captions")
    if book.problems:
        parts.append(f"{len(book.problems):,} with a problem")
    if words.strip() or problems_only:
        what = [f"'{shown(words.strip())}'"] if words.strip() else []
        what += ["problems"] if problems_only else []
        parts.append(f"shown: {left:,} ({' and '.join(what)})")
    return ", ".join(parts)
