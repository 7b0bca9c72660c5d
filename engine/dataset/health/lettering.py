"""Lettering in single pictures: a watermark, a date or a caption laid over one, and print that was photographed.

Needs the text reader's weights on this machine (engine.vision.lettering). What it reads is kept with the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.dataset.health import limits
from engine.dataset.health.figures import Finding
from engine.dataset.health.judge import Fault, share_level, some_names
from engine.errors import shown

_LETTERS = 3  # letters or digits of a line at least: shorter ones are read into twigs and buttons
_RIM = 0.14  # share of a side: what stands level this near an edge is a caption, a date or a mark
_LEVEL = 1.5  # degrees: what was photographed is hardly ever this level
_SAID = 30  # letters of a line that a sentence repeats
_WIDE = 0.5  # of the picture's width: level lettering this wide is laid over it, wherever it stands


@dataclass(frozen=True)
class Lettering:
    """A line that could be read: its text, its middle (shares of the sides), and whether it seems laid over."""

    text: str
    x: float
    y: float
    laid_over: bool

    @property
    def place(self) -> str:
        down = "top" if self.y < 1 / 3 else "bottom" if self.y > 2 / 3 else ""
        across = "left" if self.x < 1 / 3 else "right" if self.x > 2 / 3 else ""
        where = " ".join(part for part in (down, across) if part)
        return f"at the {where}" if where else "in the middle"


def lettering_of(lines: Sequence[dict[str, Any]]) -> tuple[Lettering, ...]:
    """What of a picture's lines (`engine.vision.lettering.Line` as plain objects) counts as lettering."""
    return tuple(
        Lettering(one["text"].strip(), one["x"], one["y"], _laid_over(one))
        for one in lines
        if one["sure"] >= limits.LETTERING_SURE.amber and sum(letter.isalnum() for letter in one["text"]) >= _LETTERS
    )


def _laid_over(line: dict[str, Any]) -> bool:
    near_rim = min(line["y"], 1 - line["y"]) < _RIM
    return abs(line["slope"]) <= _LEVEL and (near_rim or line["width"] >= _WIDE)


def lettering_faults(found: Sequence[Sequence[Lettering]]) -> list[list[Fault]]:
    """What is to be said against each picture, in order: only what seems laid over it."""
    return [
        [Fault("lettering", "amber", "lettering", _quoted(over[0].text))]
        if (over := [one for one in lines if one.laid_over]) else []
        for lines in found
    ]  # fmt: skip


def lettering_findings(names: Sequence[str], found: Sequence[Sequence[Lettering]], reader: str) -> list[Finding]:
    """Lettering laid over pictures is a fault; other lettering is said, since only a person knows whose it is."""
    over = {name: one for name, lines in zip(names, found, strict=True) for one in lines if one.laid_over}
    rest = {name: lines[0] for name, lines in zip(names, found, strict=True) if lines and name not in over}
    limit = limits.LETTERING_SURE
    bound = f"read with {limit.amber:.0%} confidence"
    findings = []
    if over:
        share = share_level(len(over) / len(names), limits.OVERLAY_SHARE) if len(over) > 1 else "amber"
        findings.append(Finding(
            "lettering", share or "amber",
            f"{_number(len(over), len(names))} lettering laid over {'it' if len(over) == 1 else 'them'} "
            f"({_examples(over)}): the LoRA will draw it. Cut it off or paint it out.",
            f"{len(over)} of {len(names)}", bound, reader, tuple(over),
        ))  # fmt: skip
    if rest:
        findings.append(Finding(
            "print", "note",
            f"{_number(len(rest), len(names))} lettering in {'it' if len(rest) == 1 else 'them'} ({_examples(rest)}): "
            "print on the subject is learnt with it, as it should be; if it was laid over the picture, the LoRA will "
            "draw it too: paint it out.",
            f"{len(rest)} of {len(names)}", bound, reader, tuple(rest),
        ))  # fmt: skip
    return findings


def _quoted(text: str) -> str:
    more = "..." if len(text) > _SAID else ""
    return f'"{shown(text[:_SAID])}{more}"'


def _number(few: int, total: int) -> str:
    return f"{few:,} of {total:,} pictures {'has' if few == 1 else 'have'}"


def _examples(lines: dict[str, Lettering]) -> str:
    return some_names([f"{name}: {_quoted(one.text)} {one.place}" for name, one in lines.items()])
