"""Plain text for people: 80 columns, safe to print, figures in the units they think in."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

WIDTH = 80
GIB = 2**30  # a card's memory is sold in these: 24 GB on the box are 24 GiB
_KEPT_SPACE = "\0"  # what `shown` lets through nowhere


def say(
    text: str = "", *, indent: int = 0, hang: int | None = None, raw: bool = False, file: TextIO | None = None
) -> None:
    """Prints text wrapped to 80 columns; a single word (a path) longer than that stays in one piece.

    `indent` stands before the first line, `hang` (the same unless given) before those that follow. `raw` text is
    printed as it is: what will be copied (a command), what is aligned already (a table).
    """
    file = file or sys.stdout
    lines = [" " * indent + line for line in text.split("\n")] if raw else wrapped(text, indent=indent, hang=hang)
    print("\n".join(lines), file=file, flush=True)


def wrapped(text: str, *, indent: int = 0, hang: int | None = None) -> list[str]:
    """The lines `say` prints; a line break in the text stays one, a `command` is never broken (it is copied)."""
    lines: list[str] = []
    text = re.sub(r"`[^`\n]+`", lambda quoted: quoted[0].replace(" ", _KEPT_SPACE), text)
    later = " " * (indent if hang is None else hang)
    for part in text.split("\n") or [""]:
        first = " " * indent if not lines else later
        lines += textwrap.wrap(
            part, WIDTH, initial_indent=first, subsequent_indent=later,
            break_long_words=False, break_on_hyphens=False,
        ) or [""]  # fmt: skip
    return [line.replace(_KEPT_SPACE, " ") for line in lines]


def say_json(value: object) -> None:
    """Prints one JSON object on one line, as a program reads it."""
    print(json.dumps(plain(value), allow_nan=False), flush=True)


def plain(value: Any) -> Any:
    """Dataclasses as objects, paths as text, nan and infinity as words: what JSON can say."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    return value


def table(rows: Sequence[Sequence[str]], *, indent: int = 0, right: frozenset[int] = frozenset()) -> list[str]:
    """Rows as lines with aligned columns; `right` names the columns that are set to the right."""
    if not rows:
        return []
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((" " * indent + "  ".join(cells)).rstrip())
    return lines


def duration(seconds: float) -> str:
    """A time span as people say it: 45 s, 12 min, 1 h 20 min, 2 d 3 h."""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if round(seconds) < 100:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def clock(moment: float) -> str:
    """A moment as the wall clock shows it, with the day where that is not today."""
    then = time.localtime(moment)
    if then[:3] == time.localtime()[:3]:
        return time.strftime("%H:%M", then)
    return time.strftime("%a %d %b %H:%M", then)


def size(number: float) -> str:
    """Bytes in decimal units, as file managers and shops count: 170.2 MB, 6.9 GB."""
    for unit, bytes_ in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= bytes_:
            return f"{number / bytes_:.1f} {unit}"
    return f"{number:.0f} bytes"


def pace(rate: float, unit: str = "step") -> str:
    """Steps a second, or seconds a step where one takes longer than a second."""
    return f"{rate:.2f} {unit}s/s" if rate >= 1 else f"{1 / rate:.1f} s/{unit}"


def count(number: int, word: str, many: str | None = None) -> str:
    """'1 picture', '3 pictures'; thousands are set apart."""
    return f"{number:,} {word if number == 1 else many or word + 's'}"


def home_path(path: Path) -> str:
    """A path as a person would type it: `~` for their home folder; safe to print, quoted where it must be."""
    import shlex

    from engine.errors import shown

    text = os.fspath(path)
    home = os.path.expanduser("~")  # noqa: PTH111 - a user without a home folder stays "~" instead of raising
    if text.startswith(home + os.sep):
        rest = text[len(home) + 1 :]
        return "~/" + shown(shlex.quote(rest))
    return shown(shlex.quote(text))


def typed_path(text: str) -> Path:
    """The absolute path that a person typed; LorasmithError for a `~name` of nobody here."""
    from engine.errors import LorasmithError, shown

    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise LorasmithError(
            f"{shown(text)} begins with the home folder of nobody here: write the whole path."
        ) from None
