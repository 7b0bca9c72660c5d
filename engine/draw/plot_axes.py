"""The axes of an X/Y/Z plot as people write them: `epoch: 1-10`, `weight: 0.4-1.0 [4]`, `prompt: "a cat, sleeping"`.

Light. Ranges, counts and the quoting of commas read as in A1111's script of that name.
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import permutations
from typing import Literal

from engine.draw.order import MOST_STEPS, MOST_WEIGHT, size_of
from engine.draw.samplers import SAMPLERS, sampler_key
from engine.errors import LorasmithError, shown

AxisKind = Literal["epoch", "weight", "prompt", "replace", "order", "seed", "cfg", "steps", "sampler", "size"]
Value = int | float | str | tuple[int, int] | tuple[str, ...]

WORDS: dict[str, AxisKind] = {
    "epoch": "epoch", "epochs": "epoch", "checkpoint": "epoch", "checkpoints": "epoch", "lora": "epoch",
    "weight": "weight", "weights": "weight", "strength": "weight",
    "prompt": "prompt", "prompts": "prompt",
    "replace": "replace", "search-replace": "replace", "s/r": "replace", "prompt s/r": "replace",
    "order": "order", "prompt order": "order",
    "seed": "seed", "seeds": "seed",
    "cfg": "cfg", "cfg scale": "cfg", "guidance": "cfg",
    "steps": "steps",
    "sampler": "sampler", "samplers": "sampler", "scheduler": "sampler",
    "size": "size", "sizes": "size", "resolution": "size",
}  # fmt: skip
"""What an axis may be called."""

KINDS: tuple[AxisKind, ...] = tuple(dict.fromkeys(WORDS.values()))

MOST_VALUES = 400
_MOST_ORDERED = 5  # parts of a prompt put into every order: 120 of them
_SEEDS = 2**32  # the seeds that every program takes
_NOTHING = "\0"  # stands for a replacement that is written as nothing: ""
_EMPTY_QUOTES = re.compile(r'(?:(?<=,)|^)(\s*)""(?=\s*(?:,|$))')
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_RANGE = re.compile(
    rf"({_NUMBER})\s*-\s*({_NUMBER})\s*(?:\(\s*({_NUMBER})\s*\)|\[\s*(\d+)\s*\])?", re.ASCII
)  # fmt: skip
_LIMITS: dict[AxisKind, tuple[float, float]] = {
    "weight": (-MOST_WEIGHT, MOST_WEIGHT), "cfg": (0, 100), "steps": (1, MOST_STEPS), "seed": (-1, _SEEDS - 1),
    "epoch": (0, 10**8),
}  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """One axis. Its values: int for seed and steps, float for weight and cfg, (width, height) for size, a tuple of
    prompt parts for order, else text; of `replace` the first is what is searched for. For `epoch` they are epoch
    numbers and names as written, until `engine.draw.plot_sources.chosen` has made them checkpoints' names. `place` is
    x (columns), y (rows) or z (sub-grids)."""

    kind: AxisKind
    values: tuple[Value, ...]
    place: str = "x"


def parse_axis(text: str, place: str = "x") -> Axis:
    """Reads `KIND: VALUES`; `place` (x, y or z) is named in what is raised.

    Numbers may be ranges: `1-5`, `1-5 (+2)` a step apart, `1-10 [5]` as many, evenly, both ends included. Texts are
    separated by commas, with quotes around one that holds commas, or stand one on a line. A seed of -1 is drawn at
    random, once. Raises LorasmithError in one sentence.
    """
    name, colon, said = text.partition(":")
    kind = WORDS.get(" ".join(name.casefold().split()))
    if kind is None:
        raise LorasmithError(
            f"--{place} {shown(text)!r} begins with no kind of axis: write one of {', '.join(KINDS)}, a colon and the "
            "values, such as 'weight: 0.4-1.0 [4]'."
        )
    where = f"--{place} {kind}"
    pieces = _pieces(said, where)
    if _NOTHING in pieces:
        if kind != "replace" or pieces[0] == _NOTHING:
            raise LorasmithError(f'{where}: "" is no value of it: only what replaces may be nothing.')
        pieces = ["" if piece == _NOTHING else piece for piece in pieces]
    if not pieces:
        if kind == "epoch" and not colon:
            return Axis(kind, ("all",), place)
        raise LorasmithError(f"{where} names no values: write them behind the colon, such as '{_EXAMPLES[kind]}'.")
    values = list(dict.fromkeys(_READERS[kind](pieces, where)))
    if len(values) > MOST_VALUES:
        raise LorasmithError(f"{where} has {len(values):,} values, and {MOST_VALUES} at most are drawn: name fewer.")
    return Axis(kind, tuple(values), place)


def label(kind: AxisKind, value: Value) -> str:
    """What stands beside a column or row of this value."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) if kind == "order" else "x".join(map(str, value))
    if kind == "sampler":
        return SAMPLERS[str(value)].name
    said = number_text(value) if isinstance(value, int | float) else value
    if kind == "steps":
        return f"{said} step" if value == 1 else f"{said} steps"
    before = {"weight": "weight ", "seed": "seed ", "cfg": "CFG "}.get(kind, "")
    return f"{before}{said}" or "(left out)"


def number_text(number: float) -> str:
    """A number of an axis as people write it: 0.3, not 0.30000000000000004."""
    return str(number) if isinstance(number, int) else f"{round(number, 8):g}"


def searched(prompt: str, search: str, value: str) -> str:
    """Prompt S/R: every occurrence replaced."""
    return prompt.replace(search, value)


def reordered(prompt: str, parts: Sequence[str]) -> str:
    """Prompt order: the parts, wherever they stand in the prompt, stand there in this order instead."""
    found = sorted(parts, key=prompt.find)
    rest, done = prompt, ""
    for old, new in zip(found, parts, strict=True):
        before, _, rest = rest.partition(old)
        done += before + new
    return done + rest


def _pieces(said: str, where: str) -> list[str]:
    lines = [line.strip() for line in said.strip().splitlines()]
    if len(lines) > 1:
        return [line for line in lines if line]
    lines = [_EMPTY_QUOTES.sub(_NOTHING, line) for line in lines]
    try:
        rows = list(csv.reader(lines, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise LorasmithError(
            f"{where}: the values cannot be told apart ({error}): put double quotes around a value with commas, and "
            "two of them for one inside it."
        ) from None
    return [piece.strip() for row in rows for piece in row if piece.strip()]


def _numbers(pieces: Sequence[str], where: str, kind: AxisKind, whole: bool) -> list[Decimal]:
    numbers: list[Decimal] = []
    for piece in pieces:
        text = piece.replace("\N{EN DASH}", "-")
        found = _RANGE.fullmatch(text)
        if found is not None:
            numbers += (several := _range(found, piece, where, whole))
        elif re.fullmatch(_NUMBER, text, re.ASCII):
            numbers += (several := [Decimal(text)])
        else:
            raise LorasmithError(
                f"{where}: {shown(piece)!r} is neither a number nor a range such as '{_EXAMPLES[kind]}'."
            )
        if whole and any(number != int(number) for number in several):
            raise LorasmithError(f"{where}: {shown(piece)} is no whole number: write one.")
    low, high = _LIMITS[kind]
    for number in numbers:
        if not low <= number <= high:
            raise LorasmithError(f"{where}: {number} is out of range, {low:,} to {high:,}: correct that value.")
    return numbers


def _range(found: re.Match[str], piece: str, where: str, whole: bool) -> list[Decimal]:
    """The numbers of `1-5`, `1-5 (+2)` or `1-10 [5]`; whole numbers of an even division are cut, as A1111 does."""
    start, end = Decimal(found[1]), Decimal(found[2])
    if found[4] is not None:
        count = int(found[4])
        if not 1 <= count <= MOST_VALUES:
            raise LorasmithError(f"{where}: [{shown(found[4])}] is no number of values, 1 to {MOST_VALUES}.")
        gap = (end - start) / (count - 1) if count > 1 else Decimal(0)
        numbers = [round(start + gap * index, 8) for index in range(count)]
        return [Decimal(int(number)) for number in numbers] if whole else numbers
    if found[3] is None and (start != int(start) or end != int(end)):
        raise LorasmithError(
            f"{where}: {shown(piece)} does not say which numbers between: write {found[1]}-{found[2]} [4] for four of "
            f"them, or {found[1]}-{found[2]} (+0.2) for one every 0.2."
        )
    step = Decimal(found[3]) if found[3] is not None else Decimal(1 if end >= start else -1)
    if step == 0 or (end - start) / step < 0:
        raise LorasmithError(f"{where}: steps of {shown(found[3])} never lead from {found[1]} to {found[2]}.")
    count = int((end - start) / step) + 1
    if count > MOST_VALUES:
        raise LorasmithError(f"{where}: {shown(piece)} are {count:,} values, and {MOST_VALUES} at most are drawn.")
    return [start + step * index for index in range(count)]


def _epochs(pieces: Sequence[str], where: str) -> list[Value]:
    values: list[Value] = []
    for piece in pieces:
        text = piece.replace("\N{EN DASH}", "-")
        if _RANGE.fullmatch(text) or re.fullmatch(r"\d+", text, re.ASCII):
            values += [int(number) for number in _numbers([piece], where, "epoch", whole=True)]
        else:
            values.append(piece)
    return values


def _seeds(pieces: Sequence[str], where: str) -> list[Value]:
    return [seed_of(int(number)) for number in _numbers(pieces, where, "seed", whole=True)]


def seed_of(number: int) -> int:
    """The seed itself, or for -1 one drawn at random."""
    return random.randrange(_SEEDS) if number == -1 else number


def _replacing(pieces: Sequence[str], where: str) -> list[Value]:
    if len(pieces) < 2:
        raise LorasmithError(
            f"{where} has nothing to put in: write what is searched for, then its replacements, such as "
            f"'{_EXAMPLES['replace']}'."
        )
    return list(pieces)


def _orders(pieces: Sequence[str], where: str) -> list[Value]:
    parts = list(dict.fromkeys(pieces))
    if not 2 <= len(parts) <= _MOST_ORDERED:
        raise LorasmithError(f"{where} has {len(parts)} parts of a prompt to put in order: name 2 to {_MOST_ORDERED}.")
    return list(permutations(parts))


def _sizes(pieces: Sequence[str], where: str) -> list[Value]:
    return [size_of(piece, where) for piece in pieces]


_EXAMPLES: dict[AxisKind, str] = {
    "epoch": "epoch: 1-10", "weight": "weight: 0.4-1.0 [4]", "prompt": 'prompt: "a cat, sleeping", a dog',
    "replace": "replace: photo, watercolour, pencil drawing", "order": "order: red hat, beard",
    "seed": "seed: 1-4", "cfg": "cfg: 3-9 (+2)", "steps": "steps: 10-30 (+10)",
    "sampler": "sampler: Euler, Euler a", "size": "size: 1024x1024, 832x1216",
}  # fmt: skip

_READERS: dict[AxisKind, Callable[[Sequence[str], str], list[Value]]] = {
    "epoch": _epochs,
    "weight": lambda pieces, where: [float(n) for n in _numbers(pieces, where, "weight", whole=False)],
    "prompt": lambda pieces, where: list(pieces),
    "replace": _replacing,
    "order": _orders,
    "seed": _seeds,
    "cfg": lambda pieces, where: [float(n) for n in _numbers(pieces, where, "cfg", whole=False)],
    "steps": lambda pieces, where: [int(n) for n in _numbers(pieces, where, "steps", whole=True)],
    "sampler": lambda pieces, where: [sampler_key(piece) for piece in pieces],
    "size": _sizes,
}
