"""Captions: the text file beside a picture, and the text that is trained from it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.dataset.chance import draw, order
from engine.errors import shown

Role = Literal["train", "class"]

CAPTION_SUFFIXES = (".txt", ".caption")
MAX_CAPTION_BYTES = 65_536  # two encoders of 225 tokens read less than 2,000 characters


@dataclass(frozen=True)
class CaptionRules:
    """How caption files become the trained text."""

    extension: str = ".txt"  # looked for first; the other of .txt and .caption second
    prefix: str = ""
    shuffle: bool = False
    keep_tokens: int = 1  # how many comma-separated parts stay in front when shuffling
    dropout: float = 0.0  # share of steps trained with the empty text; drawn where the step is built
    separator: str = ","


@dataclass(frozen=True)
class Caption:
    """A caption file's content: one line, or "" where it holds nothing usable. `problems` are whole sentences."""

    path: Path
    text: str
    problems: tuple[str, ...] = ()


def caption_candidates(picture: Path, rules: CaptionRules) -> tuple[Path, ...]:
    """Where a picture's caption may lie, the best first: `a.txt`, `a.TXT`, `a.jpg.txt`, then the other ending."""
    endings = (rules.extension, *(suffix for suffix in CAPTION_SUFFIXES if suffix != rules.extension))
    return tuple(
        picture.with_name(stem + form)
        for ending in endings
        for stem in (picture.stem, picture.name)
        for form in dict.fromkeys((ending, ending.upper()))
    )


def read_caption(picture: str | Path, rules: CaptionRules, name: str | None = None) -> Caption | None:
    """The caption beside a picture, or None where there is none. Never raises for what a file holds.

    As with kohya, the first line that is not empty is the caption; that further lines are ignored is said.
    `name` is what problems call the file (default: its path).
    """
    for path in caption_candidates(Path(picture), rules):
        if path.exists() or path.is_symlink():
            called = shown(path if name is None else Path(name).parent / path.name)
            return _read(path, called)
    return None


def compose(caption: str | None, rules: CaptionRules, instance: str, class_: str, role: Role = "train") -> str:
    """The text trained for a picture: prefix and caption, or "<instance> <class>" where there is no caption.

    The prefix is set in front with a space, as kohya does; words in which it ends and the caption begins are not
    doubled ("ohwx woman" + "woman in red" = "ohwx woman in red"). A class picture carries neither prefix nor
    trigger: its own caption, or the class prompt.
    """
    text = " ".join((caption or "").split())
    if role == "class":
        return text or class_.strip()
    text = text or " ".join(part for part in (instance.strip(), class_.strip()) if part)
    return _prefixed(" ".join(rules.prefix.split()), text)


def variants(text: str, rules: CaptionRules, seed: int, count: int) -> tuple[str, ...]:
    """`count` orders of a caption's parts, to be encoded once each; the first is the caption as written.

    The first `keep_tokens` parts stay in front. Depends on the text, the seed and the index alone. Caption dropout
    is no variant: it is drawn for each step, so that its share is exact.
    """
    parts = [part.strip() for part in text.split(rules.separator)]
    parts = [part for part in parts if part]
    kept, loose = parts[: rules.keep_tokens], parts[rules.keep_tokens :]
    if not rules.shuffle or len(loose) < 2:
        return (text,) * count
    glue = rules.separator if rules.separator.isspace() else rules.separator + " "
    shuffles = (
        glue.join(kept + [loose[at] for at in order(len(loose), seed, "shuffle", text, index)])
        for index in range(1, count)
    )
    return (text, *shuffles)


def variant_index(seed: int, step: int, position: int, count: int) -> int:
    """Which of `count` variants a picture has at this step and position of the global batch."""
    return draw(seed, "variant", step, position) % count


def _prefixed(prefix: str, text: str) -> str:
    if not prefix:
        return text
    before, after = [_bare(word) for word in prefix.split()], [_bare(word) for word in text.split()]
    if after[: len(before)] == before:
        return text
    overlap = next(
        (length for length in range(min(len(before), len(after)), 0, -1) if before[-length:] == after[:length]), 0
    )
    # The caption's own spelling and commas win where the two overlap.
    kept = prefix.split()[: len(before) - overlap]
    return " ".join([*kept, text]).strip()


def _bare(word: str) -> str:
    return word.strip(",.;:").casefold()


def _read(path: Path, called: str) -> Caption:
    if path.is_dir():
        return Caption(path, "", (f"{called} is a folder where a caption should be: remove or rename it.",))
    if not path.is_file():
        return Caption(path, "", (f"{called} is no regular file, so it gives no caption: replace it.",))
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_CAPTION_BYTES + 1)
    except OSError as error:
        return Caption(path, "", (f"{called} cannot be read ({error.strerror}): give this user the right to read it.",))
    if len(data) > MAX_CAPTION_BYTES:
        return Caption(path, "", (f"{called} is larger than {MAX_CAPTION_BYTES // 1024} KB, so it is taken for no "
                                  "caption: shorten it.",))  # fmt: skip
    text, problems = _decoded(data, called)
    if text is None:
        return Caption(path, "", tuple(problems))
    return _one_line(path, text, called, problems)


def _decoded(data: bytes, called: str) -> tuple[str | None, list[str]]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16"), [f"{called} is UTF-16, not UTF-8; it was understood, but save it as UTF-8."]
        except UnicodeDecodeError:
            return None, [f"{called} begins as UTF-16 but is damaged: write the caption anew as UTF-8."]
    if b"\x00" in data:
        return None, [f"{called} holds binary data, not a caption: write the caption anew as UTF-8 text."]
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        pass
    # Five byte values mean nothing in Windows-1252; they become the replacement character for a person to see.
    text = data.decode("cp1252", errors="replace")
    return text, [f"{called} is not UTF-8 and was read as Windows-1252: check it and save it as UTF-8."]


def _one_line(path: Path, text: str, called: str, problems: list[str]) -> Caption:
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        return Caption(path, "", (*problems, f"{called} is empty: write a caption, or delete the file."))
    first = "".join(char for char in lines[0] if unicodedata.category(char) != "Cc")
    if first != lines[0]:
        problems.append(f"{called} holds control characters, which are left out of the caption.")
    if len(lines) > 1:
        further = "line is" if len(lines) == 2 else f"{len(lines) - 1} lines are"
        problems.append(f"{called}: the first line is the caption, the further {further} ignored; join them if meant.")
    return Caption(path, first, tuple(problems))
