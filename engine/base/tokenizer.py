"""SDXL's two tokenizers, built from the merges that travel with lorasmith or read from a model folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import CLIPTokenizer

from engine.base.configs import clip_merges

START, END = "<|startoftext|>", "<|endoftext|>"
MAX_LENGTH = 77  # start + 75 tokens + end; without it transformers takes 1e30


def build_tokenizers(merges: Sequence[str] | None = None) -> tuple[CLIPTokenizer, CLIPTokenizer]:
    """Both tokenizers of SDXL: one vocabulary, padded with the end token (first) and with "!" (second).

    The vocabulary is the 256 byte characters, the same at a word's end, one token a merge, start and end:
    49,408 with CLIP's own merges. Fewer merges make the smaller vocabulary of a tiny base.
    """
    merges = clip_merges() if merges is None else merges
    characters = _byte_characters()
    tokens = [*characters, *(f"{char}</w>" for char in characters)]
    tokens += [merge.replace(" ", "") for merge in merges]
    vocabulary = {token: number for number, token in enumerate([*tokens, START, END])}
    pairs = [tuple(merge.split(" ")) for merge in merges]
    first, second = (
        CLIPTokenizer(vocab=vocabulary, merges=pairs, pad_token=pad, model_max_length=MAX_LENGTH)
        for pad in (END, "!")
    )
    return first, second


def read_tokenizers(folder: Path) -> tuple[CLIPTokenizer, CLIPTokenizer]:
    """The tokenizers of a diffusers folder; SDXL's own where it has none, as some fine-tunes."""
    own = build_tokenizers() if not all((folder / name).is_dir() for name in _FOLDERS) else None
    if own is not None:
        return own
    first, second = (
        CLIPTokenizer.from_pretrained(str(folder / name), model_max_length=MAX_LENGTH, local_files_only=True)
        for name in _FOLDERS
    )
    return first, second


_FOLDERS = ("tokenizer", "tokenizer_2")


def _byte_characters() -> list[str]:
    """The 256 printable characters that stand for bytes, in CLIP's order (GPT-2's byte-level alphabet)."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + position) for position in range(len(others))]
