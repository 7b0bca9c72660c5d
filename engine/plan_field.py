"""A field of the plan in words and bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["basic", "advanced"]


@dataclass(frozen=True)
class PlanField:
    """One field of the plan in words and bounds; `key` is "section.name", as in the plan file."""

    key: str
    short: str  # a few words, the comment in a plan file; empty where the name says it all
    meaning: str  # one sentence
    level: Level = "advanced"
    higher: str = ""  # what a higher value does; empty where there is no higher
    lower: str = ""
    advice: str = ""  # the recommendation
    unit: str = ""
    low: float | None = None
    high: float | None = None
    above_low: bool = False  # low itself is not allowed
    choices: tuple[tuple[str, str], ...] = ()  # (value as written, what it does)
    pattern: str = ""  # a text must match it whole
    form: str = ""  # what the pattern asks for, in words
    known_as: tuple[str, ...] = ()  # names in other trainers, for suggestions


BASIC: Level = "basic"
