"""Recipes that travel with lorasmith: one for each kind of subject, and what changes on a smaller card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from engine.errors import PlanError, shown
from engine.plan import KINDS, Kind, PictureFolder, Plan
from engine.plan_file import plan_from_text, update_text, with_changes
from engine.plan_values import value_of

# A driver keeps some of the memory for itself: an "8 GB" card has 7.6 to 8.0 GB to give.
_NAMED_SIZE_SHARE = 0.9


@dataclass(frozen=True)
class Card:
    """What a card of `vram_gb` fits, and what a recipe changes for it."""

    vram_gb: float
    fits: str  # a sentence without a full stop
    changes: tuple[tuple[str, Any], ...]  # replace "auto"
    at_most: tuple[tuple[str, float], ...]  # lower what is larger


def preset_text(kind: Kind) -> str:
    """The recipe's file as it stands, comments and all. Raises PlanError for an unknown kind."""
    if kind not in KINDS:
        raise PlanError(
            f"kind is {shown(repr(kind))}, but must be one of {', '.join(KINDS)}; choose what is trained."
        )
    return (files("presets") / f"{kind}.toml").read_text(encoding="utf-8")


def load_preset(kind: Kind, vram_gb: float | None = None) -> Plan:
    """The recipe for a kind, fitted to a card's memory where that is known; the pictures are still to be named."""
    plan = plan_from_text(preset_text(kind), f"presets/{kind}.toml")
    plan = with_changes(plan, {"pictures.folders": ()})
    return with_changes(plan, memory_changes(plan, vram_gb))


@cache
def cards() -> tuple[Card, ...]:
    """The entries of presets/memory.toml, smallest first."""
    import tomllib

    tables = tomllib.loads((files("presets") / "memory.toml").read_text(encoding="utf-8"))["card"]
    found = [
        Card(
            float(table["vram_gb"]),
            table["fits"],
            tuple(table.get("changes", {}).items()),
            tuple(table.get("at_most", {}).items()),
        )
        for table in tables
    ]
    return tuple(sorted(found, key=lambda card: card.vram_gb))


def card_for(vram_gb: float) -> Card:
    """The largest entry that a card of this memory satisfies; the smallest for any card below."""
    fitting = [card for card in cards() if card.vram_gb * _NAMED_SIZE_SHARE <= vram_gb]
    return fitting[-1] if fitting else cards()[0]


def memory_changes(plan: Plan, vram_gb: float | None) -> dict[str, Any]:
    """The values a plan changes to fit a card; empty where nothing has to, or the memory is unknown."""
    if vram_gb is None:
        return {}
    card = card_for(vram_gb)
    changes = {key: value for key, value in card.changes if value_of(plan, key) == "auto"}
    return changes | {key: most for key, most in card.at_most if value_of(plan, key) > most}


def new_plan(
    kind: Kind,
    images: str | Path,
    *,
    instance_prompt: str | None = None,
    class_prompt: str | None = None,
    base: str | None = None,
    name: str | None = None,
    vram_gb: float | None = None,
) -> Plan:
    """A recipe with the pictures named; what is not stated is read from a kohya folder name or stays the recipe's."""
    changes = _new_values(kind, images, instance_prompt, class_prompt, base, name, vram_gb)
    return with_changes(load_preset(kind), changes)


def new_plan_text(
    kind: Kind,
    images: str | Path,
    *,
    instance_prompt: str | None = None,
    class_prompt: str | None = None,
    base: str | None = None,
    name: str | None = None,
    vram_gb: float | None = None,
) -> str:
    """The same plan as a file: the recipe's text with the values filled in and its comments kept."""
    changes = _new_values(kind, images, instance_prompt, class_prompt, base, name, vram_gb)
    body = preset_text(kind).partition("\n\n")[2]
    head = (
        f"# A plan for training: {kind}, made from presets/{kind}.toml. Change what you like, then look and train:\n"
        "#   lorasmith estimate THIS_FILE && lorasmith train THIS_FILE\n\n"
    )
    return update_text(head + body, changes)


def _new_values(
    kind: Kind,
    images: str | Path,
    instance_prompt: str | None,
    class_prompt: str | None,
    base: str | None,
    name: str | None,
    vram_gb: float | None,
) -> dict[str, Any]:
    """Only the values that differ from the recipe's."""
    recipe = plan_from_text(preset_text(kind), f"presets/{kind}.toml")
    folder = Path(images).expanduser().absolute()
    named = dict(_words_of(folder))
    trigger = (
        instance_prompt
        if instance_prompt is not None
        else named.get("trigger", recipe.subject.instance_prompt)
    )
    class_words = (
        class_prompt if class_prompt is not None else named.get("class", recipe.subject.class_prompt)
    )
    changes: dict[str, Any] = {
        "pictures.folders": (PictureFolder(str(folder)),),
        "subject.instance_prompt": trigger,
        "subject.class_prompt": class_words,
        "samples.prompts": tuple(_prompts(recipe, trigger, class_words)),
        "base.model": base,
        "output.name": name,
    }
    changes = {key: value for key, value in changes.items() if value is not None}
    changes |= memory_changes(recipe, vram_gb)
    return {key: value for key, value in changes.items() if value != value_of(recipe, key)}


def _words_of(folder: Path) -> Iterator[tuple[str, str]]:
    """Trigger and class out of a folder's name, if it is one of kohya's ("12_ohwx woman") or holds one such folder."""
    from engine.dataset.kohya_folder import kohya_root, parse_kohya_name

    names = [folder.name]
    try:
        root = kohya_root(folder)
        if root is not None:
            names += [entry.name for entry in sorted(root.train.iterdir()) if entry.is_dir()]
    except OSError:
        pass  # an unreadable folder is named by the dataset's check
    parsed = {words for words in map(parse_kohya_name, names) if words is not None}
    triggers = {words[1] for words in parsed}
    classes = {words[2] for words in parsed}
    if len(triggers) == 1 and all(triggers):
        yield "trigger", triggers.pop()
    if len(classes) == 1 and all(classes):
        yield "class", classes.pop()


def _prompts(recipe: Plan, trigger: str, class_words: str) -> Iterator[str]:
    """The recipe's sample prompts with its example words replaced by the given ones."""
    subject = recipe.subject
    for prompt in recipe.samples.prompts:
        example = f"{subject.instance_prompt} {subject.class_prompt}"
        yield prompt.replace(example, f"{trigger} {class_words}".strip()).replace(
            subject.instance_prompt, trigger
        )
