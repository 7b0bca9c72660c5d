"""Turns a preset of kohya's GUI into a plan and accounts for every key of the file.

A key is either taken (with what it became) or left (with the reason); where a key holds several settings
(`optimizer_args`, `additional_parameters`), each is accounted for.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import PlanError, shown
from engine.kohya_keys import OTHER_MODEL_SWITCHES
from engine.kohya_reading import Left, Reading, Taken, as_boolean
from engine.kohya_rules import account
from engine.plan import Plan
from engine.plan_file import with_changes
from engine.plan_values import value_shown

_LARGEST_FILE = 4 * 2**20
# Any three of these make a JSON file a preset.
_MARKS = frozenset(
    {
        "LoRA_type", "network_dim", "network_alpha", "learning_rate", "optimizer", "train_batch_size", "unet_lr",
        "lr_scheduler", "max_resolution", "mixed_precision", "save_precision", "text_encoder_lr", "epoch",
    }
)  # fmt: skip


@dataclass(frozen=True)
class KohyaImport:
    """The plan, and what became of every key of the file; each key is in `taken` or in `left`."""

    plan: Plan
    taken: tuple[Taken, ...]
    left: tuple[Left, ...]
    notes: tuple[str, ...]


def import_kohya(path: str | Path) -> KohyaImport:
    """Reads a preset (.json) of kohya's GUI.

    Raises PlanError for a file that is missing, no JSON, no such preset, or a preset for another kind of model.
    """
    path = Path(path).expanduser()
    name = shown(path)
    try:
        if path.is_file() and path.stat().st_size > _LARGEST_FILE:
            raise PlanError(
                f"{name} is larger than 4 MB and cannot be a preset; name a preset (.json) of kohya's GUI."
            )
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise PlanError(f"There is no file {name}; name a preset (.json) of kohya's GUI.") from None
    except UnicodeDecodeError:
        raise PlanError(f"{name} is not UTF-8 text; name a preset (.json) of kohya's GUI.") from None
    except OSError as error:
        raise PlanError(
            f"{name} cannot be read: {error.strerror}; name a preset (.json) of kohya's GUI."
        ) from None
    return kohya_from_text(text, path)


def kohya_from_text(text: str, where: object = "the preset") -> KohyaImport:
    """As `import_kohya`, from the preset's text; `where` names it in errors."""
    repeated: list[str] = []

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                repeated.append(key)
            found[key] = value
        return found

    try:
        values = json.loads(text, object_pairs_hook=table)
    except json.JSONDecodeError as error:
        raise PlanError(
            f"{shown(where)} is not JSON (line {error.lineno}: {error.msg}); name a preset (.json) of kohya's GUI."
        ) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, a thousand brackets
        raise PlanError(
            f"{shown(where)} cannot be read as JSON; name a preset (.json) of kohya's GUI."
        ) from None
    if not isinstance(values, dict) or len(_MARKS & set(values)) < 3:
        raise PlanError(
            f"{shown(where)} is JSON, but no preset of kohya's GUI; name one, or write a plan (.toml)."
        )
    _refuse_other_models(values, where)
    reading = Reading(values)
    for key, value in values.items():
        account(reading, key, value)
    plan = _plan_of(reading)
    return KohyaImport(
        plan, tuple(reading.taken), tuple(reading.left), tuple(_notes(reading, plan, repeated))
    )


def _refuse_other_models(values: dict[str, Any], where: object) -> None:
    for switch, model in OTHER_MODEL_SWITCHES.items():
        kind = str(values.get("LoRA_type")).lower().replace(" ", "")
        if as_boolean(values.get(switch)) or kind.startswith(switch.split("_")[0].rstrip("1")):
            raise PlanError(
                f"{shown(where)} is a preset for {model}, and lorasmith trains SDXL; name an SDXL preset."
            )


def _plan_of(reading: Reading) -> Plan:
    """The plan of all that was taken; what stood on the command line is set last, as kohya does."""
    changes: dict[str, Any] = {}
    for one in sorted(reading.taken, key=lambda one: one.part.startswith("--")):
        changes |= dict(one.becomes)
    return with_changes(Plan(), changes)


def _notes(reading: Reading, plan: Plan, repeated: list[str]) -> Iterator[str]:
    for key in repeated:
        yield f"{shown(key)} stands in the file more than once; its last value counts, as in kohya."
    if as_boolean(reading.values.get("v2")) or as_boolean(reading.values.get("sdxl")) is not True:
        yield "The preset is not marked as one for SDXL: its sizes and rates may suit another model."
    if plan.network.train_text_encoders:
        yield "Both text encoders are trained, as kohya does unless told otherwise; SDXL learns well without."
    if not plan.pictures.folders or not plan.subject.instance_prompt:
        yield (
            "A preset does not say what is trained: fill in [subject] and [[pictures.folders]] before training."
        )


def report_lines(imported: KohyaImport, width: int = 80) -> list[str]:
    """The account of an import for the terminal, every key named once a setting, no line wider than `width`."""
    matters = [one for one in imported.left if one.matters]
    others = [one for one in imported.left if not one.matters]
    lines = [f"Taken: {_count(imported.taken)}"]
    for one in imported.taken:
        became = ", ".join(f"{key} = {value_shown(value)}" for key, value in one.becomes)
        remark = f" ({one.remark})" if one.remark else ""
        lines += _wrapped(f"{_setting(one)} -> {became}{shown(remark)}", width)
    if matters:
        lines += ["", f"Not taken, so that training differs from kohya's: {_count(matters)}"]
        for one in matters:
            lines += _wrapped(f"{_setting(one)}: {shown(one.reason)}", width)
    if others:
        lines += ["", f"Not taken, and nothing is lost: {_count(others)}"]
        by_reason: dict[str, list[str]] = {}
        for one in others:
            by_reason.setdefault(one.reason, []).append(_name(one))
        for reason, names in by_reason.items():
            lines += _wrapped(f"{', '.join(names)}: {shown(reason)}", width)
    for note in imported.notes:
        lines += ["", *_wrapped(note, width, indent="")]
    return lines


def _count(entries: Sequence[Taken | Left]) -> str:
    return f"{len(entries)} setting{'' if len(entries) == 1 else 's'}"


def _name(one: Taken | Left) -> str:
    return shown(f"{one.key} {one.part}" if one.part else one.key)


def _setting(one: Taken | Left) -> str:
    return _name(one) if one.part else f"{_name(one)} = {value_shown(one.value)}"


def _wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}    " if indent else "",
        break_on_hyphens=False,
    )
