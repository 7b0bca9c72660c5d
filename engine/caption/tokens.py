"""How long a caption is to SDXL: its tokens, counted without loading a model.

Both text encoders of SDXL split text alike (their tokenizers differ in padding only), so one count is both. CLIP's
byte-pair rule is spelt out here because building a tokenizer of a library takes half a second, and a screen waits.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence

import regex

from engine.base.configs import clip_merges

LIMIT = 75  # of 77, one each for start and end

_WORDS = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+")
_PIECE = 120  # bytes; no word of a language is longer, and merging takes the square of it


def count_tokens(texts: Sequence[str]) -> list[int]:
    """Tokens of each text, start and end not counted; exact but for unbroken runs of more than 120 bytes."""
    return [sum(map(_tokens_of, _WORDS.findall(unicodedata.normalize("NFC", text).lower()))) for text in texts]


@functools.lru_cache(maxsize=20_000)
def _tokens_of(word: str) -> int:
    data = word.encode("utf-8", "replace")
    pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)]
    return sum(_merged(piece, last=piece is pieces[-1]) for piece in pieces)


def _merged(data: bytes, *, last: bool) -> int:
    """How many tokens are left when the most frequent neighbours have been merged, pair by pair."""
    ranks, letters = _merges()
    parts = [letters[byte] for byte in data]
    if last:
        parts[-1] += "</w>"
    while len(parts) > 1:
        pairs = [ranks.get(f"{left} {right}", len(ranks)) for left, right in zip(parts, parts[1:], strict=False)]
        best = min(pairs)
        if best == len(ranks):
            break
        merged, at = [], 0
        while at < len(parts):
            if at < len(pairs) and pairs[at] == best:
                merged.append(parts[at] + parts[at + 1])
                at += 2
            else:
                merged.append(parts[at])
                at += 1
        parts = merged
    return len(parts)


@functools.cache
def _merges() -> tuple[dict[str, int], list[str]]:
    """Every merge's rank, and the printable character that stands for each byte (GPT-2's alphabet)."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    letters = [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]
    return {merge: rank for rank, merge in enumerate(clip_merges())}, letters
