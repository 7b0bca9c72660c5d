"""Prompts as encodings, of as many chunks as their text fills."""

from __future__ import annotations

from typing import Any

import torch

from engine.base.encode import encode_texts, token_counts
from engine.draw.sampling import Prompt

MAX_TOKENS = 225


@torch.no_grad()
def encode_prompt(tokenizers: Any, encoders: Any, text: str) -> Prompt:
    """One prompt, up to 225 tokens; empty chunks are left off, as A1111 does: they would dilute the text."""
    hidden, pooled = encode_texts(tokenizers, encoders, [text], MAX_TOKENS)
    chunks = max(1, -(-max(token_counts(tokenizers, text)) // 75))
    return Prompt(hidden[:, : chunks * 77], pooled)
