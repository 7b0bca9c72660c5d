"""The table of everything: its lines, its filter, what is said of a value, and how one is set; no screen."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from engine.plan import Plan
from engine.plan_fields import FIELDS
from engine.plan_values import value_of
from tui.draft import Draft
from tui.steps.recipe import RECIPE_KEYS, REPEATS, changed_keys, recipe_of
from tui.steps.values import allowed_here, choices_of, shown_value, typed_value, value_text

_LENGTHS = {REPEATS, "length.epochs", "length.steps"}
TABLE_KEYS = (REPEATS, *RECIPE_KEYS)


@dataclass(frozen=True)
class TableRow:
    """A line of the table; a heading has no key. `trouble` is why what was typed is no value."""

    key: str
    label: str
    value: str = ""
    short: str = ""
    changed: bool = False
    trouble: str = ""


def value_in(plan: Plan, key: str) -> Any:
    """The plan's value; the repeats are the first folder's, as the table sets those of all."""
    if key == REPEATS:
        return plan.pictures.folders[0].repeats if plan.pictures.folders else "auto"
    return value_of(plan, key)


def text_in(draft: Draft, key: str) -> str:
    """The value as it is typed, or what was typed and is none."""
    return draft.typed[key] if key in draft.typed else value_text(key, value_in(draft.plan, key))


def with_value(draft: Draft, key: str, value: Any) -> Draft:
    """The draft with a good value; one that the dial would set is the person's own from then on."""
    if key == REPEATS:
        folders = tuple(replace(one, repeats=value) for one in draft.plan.pictures.folders)
        draft = draft.with_plan({"pictures.folders": folders}).without_typed(REPEATS)
    else:
        draft = draft.with_plan({key: value})
    return replace(draft, strength="") if key in _LENGTHS else draft


def with_text(draft: Draft, key: str, text: str) -> tuple[Draft, str]:
    """The draft with what was typed: taken over where it is a value, else kept with the sentence that says why."""
    value, trouble = typed_value(key, text)
    if trouble:
        return draft.with_typed(key, text), trouble
    if value == value_in(draft.plan, key):
        return draft.without_typed(key), ""
    return with_value(draft, key, value), ""


def reset(draft: Draft, key: str) -> Draft:
    """The recipe's value again."""
    if key == REPEATS:
        return with_value(draft, key, "auto")
    return with_value(draft, key, value_of(recipe_of(draft.plan, draft.vram_gb), key))


def stepped(draft: Draft, key: str, by: int) -> Draft | None:
    """The next of a value's few choices; None where it is one that is typed."""
    words = [word for word, _ in choices_of(key)]
    if not words:
        return None
    now = value_text(key, value_in(draft.plan, key))
    at = words.index(now) if now in words else 0
    return with_text(draft, key, words[(at + by) % len(words)])[0]


def own_keys(draft: Draft) -> list[str]:
    """What is the person's own in the table: changed from the recipe, or not yet a value."""
    keys = {*changed_keys(draft), *(key for key in draft.typed if key in TABLE_KEYS)}
    if value_in(draft.plan, REPEATS) != "auto":
        keys.add(REPEATS)
    if draft.strength:
        keys -= _LENGTHS
    return [key for key in TABLE_KEYS if key in keys]


def table_rows(draft: Draft, wanted: str = "") -> list[TableRow]:
    """The lines that a filter leaves, section by section; every word of it must be found."""
    own = set(own_keys(draft))
    rows: list[TableRow] = []
    section = ""
    for key in TABLE_KEYS:
        if not _matches(key, wanted, key in own):
            continue
        if key.partition(".")[0] != section:
            section = key.partition(".")[0]
            rows.append(TableRow("", section))
        trouble = typed_value(key, draft.typed[key])[1] if key in draft.typed else ""
        value = draft.typed[key] if trouble else shown_value(key, value_in(draft.plan, key))
        rows.append(TableRow(key, key.rpartition(".")[2], value, _short(key), key in own, trouble))
    return rows


def _short(key: str) -> str:
    return FIELDS[key].short or FIELDS[key].meaning


def _matches(key: str, wanted: str, changed: bool) -> bool:
    entry = FIELDS[key]
    told = " ".join((key, entry.short, entry.meaning, *entry.known_as, "changed" if changed else "")).lower()
    return all(re.search(rf"(?:^|[\W_]){re.escape(word)}", told) for word in wanted.lower().split())


def about(key: str) -> list[tuple[str, str]]:
    """What is said of a value: (a word, its sentence)."""
    entry = FIELDS[key]
    lines = [("", entry.meaning)]
    if choices := [f"{word}: {means}" for word, means in choices_of(key) if means]:
        lines.append(("choices", "; ".join(choices) + "."))
    else:
        lines.append(("allowed", allowed_here(key) + "."))
    lines += [("higher", entry.higher), ("lower", entry.lower), ("advice", entry.advice)]
    return [(word, said) for word, said in lines if said]
