"""A remark on a plan, and the sizes that remarks are measured by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]

SDXL_SIDES = (256, 2048)
SDXL_NATIVE = 1024
DEMO_NATIVE, DEMO_STEP = 64, 16  # the embedded base is small: SDXL's sizes say nothing about it


@dataclass(frozen=True)
class Finding:
    """One sentence about one key of the plan."""

    severity: Severity
    key: str
    sentence: str


def error(key: str, sentence: str) -> Finding:
    return Finding("error", key, sentence)


def warning(key: str, sentence: str) -> Finding:
    return Finding("warning", key, sentence)


def note(key: str, sentence: str) -> Finding:
    return Finding("note", key, sentence)
