"""Class prompts to suggest, by kind, and what each choice brings. Light."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files

from engine.errors import PlanError
from engine.plan import Kind


@dataclass(frozen=True)
class Choice:
    """A word that may be chosen, and its effect in one sentence."""

    word: str
    effect: str


INSTANCE_CHOICES: tuple[Choice, ...] = (
    Choice(
        "a rare word",
        "the base draws nothing of its own for it, so all of the likeness comes from your pictures",
    ),
    Choice(
        "a name or word that the base draws alike each time",
        "training begins near the goal and gets there sooner, but what else the base ties to the word (clothes, "
        "places, styles) comes along",
    ),
    Choice(
        "a word with another meaning",
        "the base's own meaning has to be unlearnt first and shows through at low weights; choose another",
    ),
)


def class_choices(kind: Kind) -> tuple[Choice, ...]:
    """The suggestions for what is trained, the usual one first, from presets/classes.toml. Raises PlanError."""
    path = files("presets") / "classes.toml"
    try:
        entries = tomllib.loads(path.read_text("utf-8"))[kind]
        return tuple(Choice(str(entry["word"]), str(entry["effect"])) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlanError(f"{path} has no readable class prompts for {kind} ({error}); restore it.") from error
