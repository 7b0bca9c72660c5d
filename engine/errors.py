"""Errors a person can act on, and how outside text is shown to them."""

from __future__ import annotations

import os
import unicodedata


class LorasmithError(Exception):
    """One sentence that says what went wrong, where, and what to do; commands print it and exit with 1."""


class PlanError(LorasmithError):
    """A plan that cannot be run as it stands: names the key, its value, what is allowed."""


class DatasetError(LorasmithError):
    """Pictures or captions that cannot be used: names the file."""


class BaseModelError(LorasmithError):
    """A base model that is missing, of another architecture, truncated or unsafe: names the file."""


class RunError(LorasmithError):
    """A run folder that cannot do what was asked of it: names the run."""


def shown(text: object) -> str:
    """Text from outside (file names, captions) made safe to print.

    Control characters, terminal escapes and undecodable bytes become visible `\\x1b`-style marks, so that a
    hostile file name cannot move the cursor or recolour the terminal.
    """
    raw = os.fspath(text) if isinstance(text, os.PathLike) else str(text)
    return "".join(_visible(char) for char in raw)


def _visible(char: str) -> str:
    # Cc control, Cf format (bidi overrides), Cs lone surrogates (undecodable bytes), Zl/Zp line separators.
    if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        code = ord(char)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return char
