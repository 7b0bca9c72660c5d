"""Checks single values of the plan: types from `engine.plan`, bounds and words from `engine.plan_fields`."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import math
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.errors import shown
from engine.plan import ClassFolder, PictureFolder, Plan
from engine.plan_field import PlanField
from engine.plan_fields import FIELDS

FOLDER_TYPES: dict[str, type] = {"pictures.folders": PictureFolder, "regularization.folders": ClassFolder}


@dataclass(frozen=True)
class ValueType:
    """What a field's annotation allows: any of `types`, or one of `words` (texts or numbers) literally."""

    types: frozenset[type]
    words: tuple[str | int, ...]


@functools.cache
def value_types() -> dict[str, ValueType]:
    """The allowed types of every key of the plan, read from the annotations of `engine.plan`."""
    found: dict[str, ValueType] = {}
    for section in dataclasses.fields(Plan):
        holder = _section_class(section.name)
        found |= _types_of(section.name, holder)
    for key, holder in FOLDER_TYPES.items():
        found |= _types_of(key, holder)
    return found


def sections() -> dict[str, type]:
    """The plan's sections and their dataclasses, in the order in which they are written."""
    return {section.name: _section_class(section.name) for section in dataclasses.fields(Plan)}


@functools.cache
def _section_class(name: str) -> type:
    return typing.get_type_hints(Plan)[name]


def _types_of(prefix: str, holder: type) -> dict[str, ValueType]:
    hints = typing.get_type_hints(holder)
    return {f"{prefix}.{entry.name}": _value_type(hints[entry.name]) for entry in dataclasses.fields(holder)}


def _value_type(hint: Any) -> ValueType:
    kinds: set[type] = set()
    words: list[str | int] = []
    for part in _members(hint):
        if typing.get_origin(part) is typing.Literal:
            words += [word for word in typing.get_args(part) if word not in words]
        else:
            kinds.add(typing.get_origin(part) or part)
    return ValueType(frozenset(kinds), tuple(words))


def _members(hint: Any) -> Iterator[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for part in typing.get_args(hint):
            yield from _members(part)
    else:
        yield hint


def default_of(key: str) -> Any:
    """The value a key has in a plan that does not state it; a folder's path has none (None)."""
    prefix, _, name = key.rpartition(".")
    holder = FOLDER_TYPES.get(prefix) or _section_class(prefix)
    entry = next(entry for entry in dataclasses.fields(holder) if entry.name == name)
    return None if entry.default is dataclasses.MISSING else entry.default


def value_of(plan: Plan, key: str) -> Any:
    """The plan's value under "section.name"."""
    section, name = key.split(".")
    return getattr(getattr(plan, section), name)


def normal(key: str, value: Any) -> Any:
    """The value in the form the plan keeps: 32 in a float's place becomes 32.0, a list becomes a tuple."""
    kinds = value_types()[key].types
    if float in kinds and type(value) is int:
        return float(value)
    if tuple in kinds and isinstance(value, list):
        return tuple(value)
    return value


def problem(key: str, value: Any) -> str | None:
    """One sentence naming key, value, what is allowed and what to do; None for a good value."""
    entry, allowed, given = FIELDS[key], value_types()[key], value
    value = normal(key, value)
    if type(value) in (str, int) and value in allowed.words:
        return None
    if type(value) not in allowed.types:
        return _sentence(key, given, _type_hint(value, allowed))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return None if _in_range(entry, value) else _sentence(key, given, "")
    if isinstance(value, bool):
        return None
    texts = value if isinstance(value, tuple) else (value,)
    fits = all(isinstance(text, str) and _text_fits(entry, text) for text in texts)
    return None if fits else _sentence(key, given, "")


def _in_range(entry: PlanField, value: float) -> bool:
    if not math.isfinite(value):
        return False
    if entry.low is not None and (value < entry.low or (entry.above_low and value == entry.low)):
        return False
    return entry.high is None or value <= entry.high


def _text_fits(entry: PlanField, text: str) -> bool:
    if _holds_control(text) or any("\ud800" <= char <= "\udfff" for char in text):
        return False  # half a character pair: cannot be written as UTF-8
    if entry.key.endswith("folders.path") and not text.strip():
        return False
    return not entry.pattern or re.fullmatch(entry.pattern, text) is not None


def _holds_control(text: str) -> bool:
    return any(ord(char) < 32 or ord(char) == 127 for char in text)


def _type_hint(value: Any, allowed: ValueType) -> str:
    """What a person most likely meant, for the commonest slips."""
    numbers = {int, float} & allowed.types or any(isinstance(word, int) for word in allowed.words)
    if isinstance(value, str) and numbers and _is_number(value):
        return "write the number without quotes"
    if isinstance(value, str) and bool in allowed.types and value.lower() in ("true", "false", "yes", "no"):
        return f"write {'true' if value.lower() in ('true', 'yes') else 'false'} without quotes"
    if isinstance(value, bool):
        return "true and false are not numbers" if numbers else ""
    if isinstance(value, float) and value.is_integer() and int in allowed.types:
        return f"write {int(value)}"
    if isinstance(value, str) and (near := difflib.get_close_matches(value, map(str, allowed.words), 1, 0.6)):
        return f'did you mean "{near[0]}"?'
    return ""


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _sentence(key: str, value: Any, hint: str) -> str:
    advice = FIELDS[key].advice.rstrip(".")
    advice = f"recommended: {advice}" if advice else ""
    todo = hint or advice or "correct it"
    end = "" if todo.endswith("?") else "."
    return f"{key} is {value_shown(value)}, but must be {allowed_words(key)}; {todo}{end}"


def value_shown(value: Any) -> str:
    """A value as it would stand in a plan file, cut at 60 characters, safe to print."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return shown(json.dumps(_cut(value), ensure_ascii=False))
    if isinstance(value, float):
        return f"{rate_text(value)}.0" if value.is_integer() and abs(value) < 1e15 else rate_text(value)
    if isinstance(value, (list, tuple)):
        return shown(_cut("[" + ", ".join(value_shown(one) for one in value) + "]"))
    if isinstance(value, dict):
        return "a table"
    return shown(_cut(str(value)))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def rate_text(value: float) -> str:
    """A number as people write rates: 1e-4, 0.05, 1; exact (reading it back gives the same float)."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    text = repr(value)
    if abs(value) < 0.001 and "e" not in text:
        digits = text.lstrip("-").replace("0.", "", 1).lstrip("0")
        exponent = len(text.lstrip("-").removeprefix("0.")) - len(digits) + 1
        text = f"{'-' if value < 0 else ''}{digits[0]}{'.' + digits[1:] if digits[1:] else ''}e-{exponent}"
    return re.sub(r"e([+-])0(\d)$", r"e\g<1>\2", text)


def allowed_words(key: str) -> str:
    """What a key allows, in words: 'a whole number from 1 to 1024, or "auto"'."""
    entry, allowed = FIELDS[key], value_types()[key]
    parts: list[str] = []
    if bool in allowed.types:
        parts.append("true or false")
    if int in allowed.types or float in allowed.types:
        parts.append(("a number" if float in allowed.types else "a whole number") + _range_words(entry))
    if str in allowed.types:
        parts.append(entry.form or "a text in one line")
    if tuple in allowed.types:
        parts.append(
            "a list of tables with a path" if key in FOLDER_TYPES else "a list of texts, each in one line"
        )
    parts += [f'"{word}"' if isinstance(word, str) else str(word) for word in allowed.words]
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " or " + parts[-1]


def _range_words(entry: PlanField) -> str:
    unit = f" {entry.unit}" if entry.unit else ""
    if entry.low is None or entry.high is None:
        return ""
    if entry.high >= 2**53:
        return f" from {rate_text(entry.low)} to 2^63"
    if entry.above_low:
        return f" above {rate_text(entry.low)} and up to {rate_text(entry.high)}{unit}"
    return f" from {rate_text(entry.low)} to {rate_text(entry.high)}{unit}"


def nearest_key(unknown: str) -> str | None:
    """The known key that a misspelt, misplaced or foreign one most likely means ("network.rnak", "lr")."""
    name = unknown.rpartition(".")[2].lower().replace("-", "_")
    for key, entry in FIELDS.items():
        if name == key.rpartition(".")[2] or name in entry.known_as:
            return key
    near = difflib.get_close_matches(unknown.lower(), FIELDS, 1, 0.75)
    if near:
        return near[0]
    names = {key.rpartition(".")[2]: key for key in reversed(FIELDS)}
    found = difflib.get_close_matches(name, names, 1, 0.75)
    return names[found[0]] if found else None
