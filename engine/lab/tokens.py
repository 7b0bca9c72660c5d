"""The small base's vocabulary: byte-level BPE over the painter's captions, in the form CLIP's tokenizers
take.
"""

from __future__ import annotations

import functools
import json
import random

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from engine.lab.objects import OBJECTS
from engine.lab.scenes import TRIGGERS, Style, caption, sample_scene

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77
"""Tokens a caption is padded to, as in SDXL."""

SIZE = 1000
"""Entries of the vocabulary: 256 bytes, the same ending a word, the merges, start and end."""


def _corpus() -> list[str]:
    rng = random.Random(0)
    lines = [caption(sample_scene(rng), rng) for _ in range(20_000)]
    # The held-out words too, so that each is one (untrained) token rather than pieces of trained ones.
    words = [*OBJECTS, *(thing.plural for thing in OBJECTS.values()), *Style, *TRIGGERS]
    extra = "a photo of a picture with and in front of under over near "
    extra += "brown black grey golden style background the"
    return lines + [str(word) for word in words] * 40 + extra.split() * 40


@functools.cache
def merges() -> list[tuple[str, str]]:
    """The BPE merges learnt from the captions; the same each time, and over a second of work."""
    model = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    model.normalizer = normalizers.Lowercase()
    model.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.ByteLevel(False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE, end_of_word_suffix="</w>", initial_alphabet=_alphabet(), show_progress=False
    )
    model.train_from_iterator(_corpus(), trainer)

    learnt = json.loads(model.to_str())["model"]["merges"]
    return [(first, second) for first, second in learnt][: SIZE - 2 - 512]


def _alphabet() -> list[str]:
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def new_tokenizers() -> tuple[CLIPTokenizer, CLIPTokenizer]:
    """Both tokenizers; as in SDXL the first pads with the end token, the second with "!" (entry 0)."""
    learnt = merges()
    alphabet = ["!", *(letter for letter in _alphabet() if letter != "!")]
    entries = [*alphabet, *(f"{letter}</w>" for letter in alphabet), *(a + b for a, b in learnt), START, END]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    return tuple(  # type: ignore[return-value]
        CLIPTokenizer(
            vocab=vocabulary,
            merges=learnt,
            unk_token=END,
            bos_token=START,
            eos_token=END,
            pad_token=pad,
            model_max_length=LENGTH,
        )
        for pad in (END, "!")
    )
