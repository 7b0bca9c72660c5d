"""Values of the plan as a person types and reads them in one line."""

from __future__ import annotations

from typing import Any

from engine.errors import shown
from engine.plan_fields import FIELDS
from engine.plan_values import allowed_words, problem, rate_text, value_types

BETWEEN = " | "  # sample prompts in one line

_YES, _NO = {"on", "true", "yes", "1"}, {"off", "false", "no", "0"}


def value_text(key: str, value: Any) -> str:
    """A value as it is typed: numbers as people write rates, on and off, several texts between bars."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return rate_text(value)
    if isinstance(value, tuple):
        return BETWEEN.join(value)
    return str(value)


def typed_value(key: str, text: str) -> tuple[Any, str]:
    """The value that a text means, and "" or the one sentence why it is none (then the value means nothing)."""
    allowed = value_types()[key]
    plain = text.strip()
    value: Any = text
    if plain in map(str, allowed.words):
        value = next(word for word in allowed.words if str(word) == plain)
    elif bool in allowed.types:
        value = True if plain.lower() in _YES else False if plain.lower() in _NO else plain
    elif tuple in allowed.types:
        value = tuple(part.strip() for part in text.split(BETWEEN.strip()) if part.strip())
    elif {int, float} & allowed.types:
        value = _number(plain, whole=float not in allowed.types)
    elif str not in allowed.types:
        value = plain
    if problem(key, value) is None:
        return value, ""
    name = key.rpartition(".")[2]
    return value, f"{name} cannot be {shown(text.strip()) or 'empty'}: it is {allowed_here(key)}."


def allowed_here(key: str) -> str:
    """What a key allows, in the words it is typed with here."""
    return allowed_words(key).replace("true or false", "on or off")


def _number(text: str, *, whole: bool) -> Any:
    """The number a text means, with a comma for a point too; the text itself where it means none."""
    dotted = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
    try:
        value = float(dotted.replace(" ", ""))
    except ValueError:
        return text
    return int(value) if whole and value.is_integer() else value


def choices_of(key: str) -> tuple[tuple[str, str], ...]:
    """The few values a key can have, each with what it does; none where it is typed."""
    if FIELDS[key].choices:
        return FIELDS[key].choices
    allowed = value_types()[key]
    if bool in allowed.types:
        words = tuple((str(word), "") for word in allowed.words)
        return (*words, ("on", ""), ("off", ""))
    return ()


def shown_value(key: str, value: Any) -> str:
    """A value in a table's cell, safe to draw."""
    text = shown(value_text(key, value))
    if isinstance(value, tuple):
        return f"{len(value)}: {text}" if value else "none"
    return text or "empty"
