"""The two vocabularies of a base, and how each cuts a text into tokens; without transformers, in milliseconds.

Light. What it answers equals `Base.tokenizers()`, whose byte-pair rules these are (CLIP's).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.base.configs import clip_merges, embedded_base_folder
from engine.base.find import cached_snapshot, resolve_base
from engine.base.folder import read_json
from engine.base.header import read_header
from engine.base.recognise import recognise, stored_configs
from engine.errors import BaseModelError, shown

if TYPE_CHECKING:
    from tokenizers import Tokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
_LETTERS = 512  # the 256 byte characters and the same at a word's end stand before the first merge
# CLIP's merges stand in the order in which they were learnt, most frequent first. Words of everyday speech lie below
# 20,000 of its 49,408 entries; `ohwx` is 47,993, `sks` 48,136, `man` 786. Of another vocabulary no such bound is known.
_CLIP_SIZE, _COMMON_BELOW = 49_408, 20_000
_FOLDERS = ("tokenizer", "tokenizer_2")
_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"  # CLIP's own cut
)


@dataclass(frozen=True)
class Token:
    """One entry of a vocabulary: its text (as it would be read) and its number."""

    text: str
    id: int
    ends_word: bool


class Vocabulary:
    """One encoder's entries; `size` counts them all."""

    def __init__(self, entries: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> None:
        self.entries = entries
        self.size = len(entries)
        self.common_below = _COMMON_BELOW if self.size == _CLIP_SIZE else None
        self._backend = _backend(entries, merges)

    def tokens(self, text: str) -> list[Token]:
        """The text cut into tokens, start and end left out."""
        found = self._backend.encode(text, add_special_tokens=False)
        return [
            Token(self._read(piece), number, piece.endswith("</w>"))
            for piece, number in zip(found.tokens, found.ids, strict=True)
        ]

    def count(self, text: str) -> int:
        """How many tokens the text takes."""
        return len(self._backend.encode(text, add_special_tokens=False).ids)

    def rare_entries(self, share: float = 0.1) -> list[str]:
        """Whole-word entries of the last `share` of the merges, in small letters a-z only, most frequent first."""
        least = _LETTERS + round((1 - share) * (self.size - _LETTERS))
        words = [
            (number, entry.removesuffix("</w>"))
            for entry, number in self.entries.items()
            if number >= least and entry.endswith("</w>")
        ]
        return [word for _, word in sorted(words) if word.isascii() and word.isalpha() and word.islower()]

    def _read(self, piece: str) -> str:
        try:
            raw = bytes(_bytes_by_character()[character] for character in piece.removesuffix("</w>"))
        except KeyError:
            return piece
        return raw.decode("utf-8", "replace")


def vocabularies(model: str) -> tuple[Vocabulary, Vocabulary]:
    """Both vocabularies of a base named as in a plan; SDXL's own for a hub model that is not on this machine.

    Raises BaseModelError where the base is named but cannot be read.
    """
    source = resolve_base(model)
    if source.kind == "embedded":
        path = embedded_base_folder()
    else:
        path = cached_snapshot(source.repo) if source.repo is not None else source.path
    if path is None:
        return _clip(), _clip()
    if path.is_dir():
        folders = [path / name for name in _FOLDERS]
        if not all(folder.is_dir() for folder in folders):
            return _clip(), _clip()  # as some fine-tunes: SDXL's own
        first = _from_folder(folders[0])
        second = first if _content(folders[0]) == _content(folders[1]) else _from_folder(folders[1])
        return first, second
    recognise(path)
    merges = (stored_configs(path, read_header(path)) or {}).get("merges")
    own = _clip() if merges is None else _from_merges(list(merges))
    return own, own


@functools.cache
def _clip() -> Vocabulary:
    return _from_merges(clip_merges())


def _from_merges(merges: Sequence[str]) -> Vocabulary:
    """As `engine.base.tokenizer.build_tokenizers` numbers them."""
    characters = list(_bytes_by_character())
    tokens = [*characters, *(f"{character}</w>" for character in characters)]
    tokens += [merge.replace(" ", "") for merge in merges]
    entries = {token: number for number, token in enumerate([*tokens, START, END])}
    return Vocabulary(entries, [_pair(merge) for merge in merges])


def _from_folder(folder: Path) -> Vocabulary:
    path = folder / "tokenizer.json"
    if path.is_file():
        model = read_json(path).get("model")
        if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
            raise BaseModelError(f"{shown(path)} is damaged (no vocabulary); download the model folder again.")
        merges = [_pair(merge) if isinstance(merge, str) else (merge[0], merge[1]) for merge in model["merges"]]
        return Vocabulary(model["vocab"], merges)
    entries = read_json(folder / "vocab.json")
    try:
        lines = (folder / "merges.txt").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BaseModelError(
            f"{shown(folder / 'merges.txt')} cannot be read; download the model folder again."
        ) from error
    return Vocabulary(entries, [_pair(line) for line in lines if line.count(" ") == 1 and line[0] != "#"])


def _content(folder: Path) -> bytes:
    for name in ("tokenizer.json", "vocab.json"):
        if (folder / name).is_file():
            return (folder / name).read_bytes()
    return b""


def _pair(merge: str) -> tuple[str, str]:
    first, _, second = merge.partition(" ")
    return first, second


def _backend(entries: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> Tokenizer:
    """The same steps that transformers' CLIPTokenizer takes, in the same library underneath."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    made = Tokenizer(
        models.BPE(vocab=dict(entries), merges=list(merges), end_of_word_suffix="</w>", unk_token=END)
    )
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    made.normalizer = normalizers.Sequence([normalizers.NFC(), spaces, normalizers.Lowercase()])  # type: ignore
    made.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment]
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return made


@functools.cache
def _bytes_by_character() -> dict[str, int]:
    """CLIP's printable stand-ins for bytes (GPT-2's byte-level alphabet), in the order of the vocabulary."""
    ranges = ((ord("!"), ord("~")), (ord("¡"), ord("¬")), (ord("®"), ord("ÿ")))
    printable = [byte for first, last in ranges for byte in range(first, last + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}
