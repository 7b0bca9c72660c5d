"""How many tokens SDXL's text encoders make of a caption, without loading any of their libraries' models."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
# How CLIP cuts a text before its merges: contractions, words, single digits, runs of other signs.
_CUT = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def count_tokens(texts: Sequence[str]) -> list[int]:
    """Tokens of each text by the tokenizer that makes more of it, start and end not counted.

    Both of SDXL's tokenizers have CLIP's vocabulary and merges. The second pads with "!", which is therefore a token
    by itself there wherever it stands, while the first joins "!!" into one.
    """
    if not texts:
        return []
    first = clip_tokenizer().encode_batch(list(texts), add_special_tokens=False)
    counts = [len(encoded.ids) for encoded in first]
    for at, text in enumerate(texts):
        if "!" in text:
            pieces = clip_tokenizer().encode_batch(text.split("!"), add_special_tokens=False)
            counts[at] = max(counts[at], sum(len(piece.ids) for piece in pieces) + text.count("!"))
    return counts


@functools.cache
def clip_tokenizer() -> Tokenizer:
    """CLIP's byte-level BPE of 49,408 tokens (Radford et al. 2021), built from the merges in presets/sdxl.

    The `tokenizers` library alone builds it in a tenth of a second; transformers, which the training uses, takes
    seconds to load. A test holds the two equal.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    from engine.base.configs import clip_merges

    merges = clip_merges()
    characters = _byte_characters()
    tokens = [*characters, *(f"{char}</w>" for char in characters)]
    tokens += [merge.replace(" ", "") for merge in merges]
    vocabulary = {token: number for number, token in enumerate([*tokens, START, END])}
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=pairs, end_of_word_suffix="</w>", unk_token=END, fuse_unk=False)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CUT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return tokenizer


def _byte_characters() -> list[str]:
    """The 256 printable characters that stand for bytes, in CLIP's order (GPT-2's byte-level alphabet)."""
    printable = [*range(33, 127), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + position) for position in range(len(others))]
