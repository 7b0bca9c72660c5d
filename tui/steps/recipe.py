"""The recipe a draft starts from, what the person changed in it, and the one main dial.

The recipe follows the kind, the base, the card and the words; what a person has set themselves stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.articles import with_article
from engine.base.find import DEMO
from engine.dataset.schedule import auto_repeats, picture_steps_wanted
from engine.demo import demo_plan
from engine.plan import Kind, PictureFolder, Plan
from engine.plan_fields import FIELDS
from engine.plan_file import with_changes
from engine.plan_values import FOLDER_TYPES, value_of
from engine.presets import card_for, new_plan
from tui.draft import Draft

REPEATS = "pictures.folders.repeats"
STRENGTHS = ("light", "normal", "strong")
_EPOCHS = 10
_SHARE = {"light": 0.75, "normal": 1.0, "strong": 1.5}
_NEAR = 0.15  # of the length aimed at; beyond it the number of epochs gives way
# What says which pictures, base and words, and so is no part of a recipe.
_OWN = {
    "subject.kind", "subject.instance_prompt", "subject.class_prompt", "pictures.folders", "pictures.leave_out",
    "regularization.folders", "regularization.prior_prediction", "base.model", "output.name",
}  # fmt: skip
RECIPE_KEYS = tuple(key for key in FIELDS if key.count(".") == 1 and key not in _OWN)
_OF_DEMO = ("network.rank", "optimizer.learning_rate", "length.batch_size", "samples.steps", "samples.cfg")


def recipe_of(plan: Plan, vram_gb: float | None) -> Plan:
    """The recipe for a plan's kind, base and words on a card of this memory (None: unknown)."""
    demo = plan.base.model == DEMO
    subject = plan.subject
    recipe = new_plan(
        subject.kind, Path("/"), instance_prompt=subject.instance_prompt, class_prompt=subject.class_prompt,
        base=plan.base.model, vram_gb=None if demo else vram_gb,
    )  # fmt: skip
    if demo:
        # SDXL's figures say nothing about the small base.
        small = demo_plan()
        recipe = with_changes(recipe, {key: value_of(small, key) for key in _OF_DEMO})
        recipe = with_changes(recipe, {"samples.prompts": demo_prompts(subject.instance_prompt, subject.class_prompt)})
    return recipe


def demo_prompts(trigger: str, class_words: str) -> tuple[str, ...]:
    """Prompts in the words that the small base was trained on."""
    words = f"{trigger} {class_words}".strip() or "thing"
    return (
        f"{with_article(words)} on a blue ground",
        f"{with_article(words)} in the snow, pencil sketch",
        f"{with_article(class_words or 'thing')} in the grass",
    )




def new_draft(kind: Kind = "person", vram_gb: float | None = None) -> Draft:
    """A draft with the recipe of a kind, nothing else filled in."""
    words = new_plan(kind, Path("/")).subject
    plan = replace(Plan(), subject=words)
    return Draft(plan=_with_recipe(plan, recipe_of(plan, vram_gb)), vram_gb=vram_gb)


def _with_recipe(plan: Plan, recipe: Plan) -> Plan:
    return with_changes(plan, {key: value_of(recipe, key) for key in RECIPE_KEYS})


def moved(draft: Draft, changes: Mapping[str, Any], *, vram_gb: float | None = None) -> Draft:
    """The draft with another kind, base, words or card: values still at the old recipe follow to the new one."""
    before = recipe_of(draft.plan, draft.vram_gb)
    kind = changes.get("subject.kind", draft.plan.subject.kind)
    if kind != draft.plan.subject.kind:
        changes = {**_class_word(draft.plan, kind), **changes}
    memory = draft.vram_gb if vram_gb is None else vram_gb
    now = replace(draft.with_plan(changes), vram_gb=memory)
    after = recipe_of(now.plan, memory)
    follow = {
        key: value_of(after, key)
        for key in RECIPE_KEYS
        if key not in changes and value_of(draft.plan, key) == value_of(before, key)
    }
    return replace(now, plan=with_changes(now.plan, follow))


def _class_word(plan: Plan, kind: Kind) -> dict[str, str]:
    """The new kind's everyday word, where the old kind's still stands."""
    usual, new = (new_plan(one, Path("/")).subject.class_prompt for one in (plan.subject.kind, kind))
    return {"subject.class_prompt": new} if plan.subject.class_prompt == usual else {}


def changed_keys(draft: Draft) -> list[str]:
    """The keys whose values are the person's own, not the recipe's, in the recipe's order."""
    recipe = recipe_of(draft.plan, draft.vram_gb)
    return [key for key in RECIPE_KEYS if value_of(draft.plan, key) != value_of(recipe, key)]


def pictures_trained(draft: Draft) -> int:
    """How many pictures are trained, as far as they have been looked at."""
    return draft.looks.outlook.trained if draft.looks.outlook is not None else 0


# The dial.


@dataclass(frozen=True)
class Turn:
    """What a place of the dial sets: how often an epoch takes each picture, and how many epochs there are."""

    repeats: int | str
    epochs: int
    picture_steps: int


def turn(kind: Kind, strength: str, pictures: int) -> Turn:
    """The dial's setting for so many pictures: three quarters, all or half as much again of the usual length.

    For a subject these are the 1,500, 2,000 and 3,000 picture-steps that are usual; the repeats give way
    first, so that there are ten checkpoints to choose from, and the epochs where repeats are too coarse.
    """
    usual, _ = auto_repeats(pictures, kind, _EPOCHS)
    length = pictures * usual * _EPOCHS
    if strength == "normal":
        return Turn("auto", _EPOCHS, length)
    aim = length * _SHARE[strength]
    repeats = max(1, int(aim / (pictures * _EPOCHS) + 0.49))
    if abs(pictures * repeats * _EPOCHS - aim) <= _NEAR * aim:
        return Turn(repeats, _EPOCHS, pictures * repeats * _EPOCHS)
    repeats = max(1, int(aim / (pictures * _EPOCHS)))
    epochs = max(1, round(aim / (pictures * repeats)))
    return Turn(repeats, epochs, pictures * repeats * epochs)


def turned(draft: Draft, strength: str, pictures: int) -> Draft:
    """The draft with the dial at this place, for the number of pictures that are trained."""
    draft = replace(draft, strength=strength)
    if not pictures or strength not in STRENGTHS:
        return draft
    found = turn(draft.plan.subject.kind, strength, pictures)
    folders = tuple(PictureFolder(one.path, found.repeats) for one in draft.plan.pictures.folders)  # type: ignore[arg-type]
    return draft.with_plan({"pictures.folders": folders, "length.epochs": found.epochs, "length.steps": 0})


def followed(draft: Draft, pictures: int) -> Draft:
    """The draft with the dial's figures brought up to the number of pictures, unless they are the person's own."""
    return turned(draft, draft.strength, pictures) if draft.strength in {"light", "strong"} else draft


def turn_words(kind: Kind, strength: str, pictures: int) -> str:
    """One sentence on what a place of the dial does."""
    least, wanted, most = picture_steps_wanted(kind)
    means = {
        "light": f"three quarters of the usual length ({least:,} is the least that suits): for what is plain, or "
        "nearly known to the base",
        "normal": f"the usual length, about {wanted:,}: take this unless you know better",
        "strong": f"half as long again ({most:,} is the most that suits): for what normal did not reach; its last "
        "epochs overtrain",
    }
    if strength not in means:
        return "Repeats, epochs or steps are your own figures; left or right takes the dial's again."
    if not pictures:
        return f"{means[strength][:1].upper()}{means[strength][1:]}."
    found = turn(kind, strength, pictures)
    sum_ = f"{pictures:,} pictures x {found.picture_steps // (pictures * found.epochs)} x {found.epochs} epochs"
    return f"{sum_} = {found.picture_steps:,} picture-steps, {means[strength]}."


def recipe_words(draft: Draft) -> str:
    """One sentence on which recipe this is and what the card changed in it."""
    kind = draft.plan.subject.kind
    if draft.plan.base.model == DEMO:
        return f"{kind}, with the demo base's own rank and rate"
    if draft.vram_gb is None:
        return f"{kind}, for a card of 12 GB or more: no card is seen here"
    card = card_for(draft.vram_gb)
    return f"{kind}, on a card of {draft.vram_gb:.0f} GB: {card.fits}"


# Recipes as files.


def without_subject(plan: Plan) -> Plan:
    """What of a plan is a recipe: everything but pictures, words, names and base."""
    return with_changes(Plan(), {key: value_of(plan, key) for key in RECIPE_KEYS if key != "samples.prompts"})


def with_recipe_of(draft: Draft, other: Plan) -> Draft:
    """The draft with another plan's recipe; its pictures, words, base and prompts stay. A dial's length does not."""
    changes = {
        key: value_of(other, key)
        for key in RECIPE_KEYS
        if key not in FOLDER_TYPES and (key != "samples.prompts" or other.samples.prompts)
    }
    taken = draft.with_plan(changes)
    repeats = {one.repeats for one in other.pictures.folders}
    if len(repeats) == 1:
        folders = tuple(replace(one, repeats=next(iter(repeats))) for one in draft.plan.pictures.folders)
        taken = taken.with_plan({"pictures.folders": folders})
    same = (taken.plan.length, taken.plan.pictures.folders) == (draft.plan.length, draft.plan.pictures.folders)
    return taken if same else replace(taken, strength="")
