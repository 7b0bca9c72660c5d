"""Lists of names: reading a person's own file, and made-up names to hold real ones against. Light."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from engine.errors import LorasmithError, shown
from engine.lookalike.vocabulary import Vocabulary

LONGEST_NAME = 60  # letters; the longest on the shipped list has half as many
MOST_NAMES = 5_000
_LARGEST_FILE = 1 << 20
# Spelled out of these, words mean nothing in any language on purpose.
_ONSETS = [*"bdfgjklmnprstvwz", "br", "dr", "gl", "kr", "pl", "qu"]
_NUCLEI = [*"aeiou", "au", "ee", "io"]
_CODAS = ["", "", *"bklmnpvx", "nt", "rp", "sk", "zz"]


@dataclass(frozen=True)
class NameList:
    """Names in the file's order, each once; `left_out` says in sentences which lines were not taken and why."""

    names: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def shipped_names() -> Path:
    """The list that travels with lorasmith: widely known adults in public life."""
    return Path(str(files("presets") / "names.txt"))


def read_names(path: Path) -> NameList:
    """The names in a text file, one a line; `#` begins a comment.

    Lines with control characters, without letters, too long or met before are left out and told. Raises
    LorasmithError for a file that cannot be read, is no text, or holds no name at all.
    """
    path = path.expanduser()
    try:
        if path.is_file() and path.stat().st_size > _LARGEST_FILE:
            raise LorasmithError(f"{shown(path)} is larger than 1 MB and can be no list of names; name another file.")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LorasmithError(f"{shown(path)} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from None
    except OSError as error:
        raise LorasmithError(
            f"{shown(path)} cannot be read ({error.strerror}); name a text file with one name a line."
        ) from None
    names, left_out = _sorted_out(text.split("\n"))
    if not names:
        raise LorasmithError(f"{shown(path)} holds no name; write one a line, e.g. as the list in lorasmith's presets.")
    if len(names) > MOST_NAMES:
        raise LorasmithError(
            f"{shown(path)} holds {len(names):,} names, which would take days to draw; keep at most {MOST_NAMES:,}."
        )
    return NameList(tuple(names), tuple(left_out))


def _sorted_out(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    names: dict[str, str] = {}
    odd: list[int] = []
    again = 0
    for number, line in enumerate(lines, 1):
        name = tidy(line.partition("#")[0])
        if not name:
            continue
        if _is_odd(name):
            odd.append(number)
        elif name.casefold() in names:
            again += 1
        else:
            names[name.casefold()] = name
    left_out = []
    if odd:
        which = ", ".join(map(str, odd[:5])) + (f" and {len(odd) - 5} more" if len(odd) > 5 else "")
        left_out.append(
            f"Left out as no names (control characters, no letters, or over {LONGEST_NAME} letters): "
            f"{'line' if len(odd) == 1 else 'lines'} {which}."
        )
    if again:
        left_out.append(f"Left out because they stand there already: {again}.")
    return list(names.values()), left_out


def tidy(text: str) -> str:
    """A word as it is typed, with single spaces and composed letters; what is odd in it stays."""
    return re.sub(r"[ \t\r]+", " ", unicodedata.normalize("NFC", text)).strip()


def _is_odd(name: str) -> bool:
    lettered = any(unicodedata.category(char)[0] == "L" for char in name)
    return len(name) > LONGEST_NAME or not lettered or shown(name) != name


def made_up_words(vocabulary: Vocabulary, tokens: int, count: int, *, seed: int = 0) -> list[str]:
    """Single words that mean nothing, of exactly `tokens` tokens as far as there are any, else of the nearest number.

    One-token ones are rare entries without a vowel (`sks` is one): letters that came together, not words.
    """
    draw = random.Random(f"{seed}|{tokens}|word")
    found: dict[str, None] = {}
    if tokens <= 1:
        rare = [word for word in vocabulary.rare_entries() if len(word) > 2 and not set(word) & set("aeiouy")]
        found = dict.fromkeys(draw.sample(rare, min(count, len(rare))))
    return _filled(found, count, tokens, vocabulary, lambda: _word(draw, max(1, tokens)))


def made_up_names(vocabulary: Vocabulary, names: Sequence[str], count: int, *, seed: int = 0) -> list[str]:
    """Names of nobody on the list, as long in tokens and words as those on it.

    Where names have several words, the first of one goes with the last of another: words of the same kind, put
    together for nobody. Single words are made of syllables.
    """
    draw = random.Random(f"{seed}|names")
    taken = {name.casefold() for name in names}
    several = [name.split() for name in names if name.count(" ") == 1]
    if len({name[0] for name in several}) < 8 or len(several) * 3 < len(names):
        lengths = sorted(vocabulary.count(name) for name in names)
        return made_up_words(vocabulary, lengths[len(lengths) // 2], count, seed=seed)
    found: dict[str, None] = {}
    for _ in range(200 * count):
        if len(found) == count:
            break
        model = draw.choice(several)
        name = f"{model[0]} {draw.choice(several)[-1]}"
        alike = vocabulary.count(name) == vocabulary.count(" ".join(model))
        if alike and name.casefold() not in taken:
            found[name] = None
    return list(found)


def _filled(
    found: dict[str, None], count: int, tokens: int, vocabulary: Vocabulary, make: Callable[[], str]
) -> list[str]:
    """Adds made words until there are `count`: those of the wanted length first, then the nearest."""
    others: dict[str, int] = {}
    for _ in range(400 * count):
        if len(found) >= count:
            break
        word = make()
        length = vocabulary.count(word)
        if length == 1:
            continue  # a word of the vocabulary: it may mean something
        if length == tokens:
            found[word] = None
        else:
            others[word] = length
    nearest = sorted(others, key=lambda word: abs(others[word] - tokens))
    return [*found, *(word for word in nearest if word not in found)][:count]


def _word(draw: random.Random, tokens: int) -> str:
    syllables = max(1, min(30, round(tokens * draw.uniform(0.4, 0.9))))
    parts = [draw.choice(_ONSETS) + draw.choice(_NUCLEI) + draw.choice(_CODAS) for _ in range(syllables)]
    return "".join(parts)
