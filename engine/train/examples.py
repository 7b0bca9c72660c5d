"""The pictures of a run as the training loop sees them: fitted to buckets, with their texts and weights."""

from __future__ import annotations

from dataclasses import dataclass

from engine.dataset.buckets import BucketRules, Fit, SizeConditioning, conditioning, fit
from engine.dataset.captions import CaptionRules, compose, variants
from engine.dataset.scan import Picture
from engine.errors import DatasetError, shown
from engine.plan import Plan

# Shuffled captions are cached as this many orders each: enough that none is learnt by heart, few enough to cache.
SHUFFLED_VARIANTS = 16


@dataclass(frozen=True)
class Example:
    """One picture ready to train: how it is cut, the texts it may appear with, its weight in the loss."""

    picture: Picture
    fit: Fit
    size: SizeConditioning
    flipped_size: SizeConditioning
    texts: tuple[str, ...]  # the caption's variants; one of them is taken each step
    weight: float

    @property
    def bucket(self) -> tuple[int, int]:
        return self.fit.bucket


@dataclass(frozen=True)
class Examples:
    """The run's pictures by what they are for. `left_out` says of each unusable picture why."""

    train: tuple[Example, ...]
    classes: tuple[Example, ...]
    held_out: tuple[Example, ...]
    left_out: tuple[str, ...]

    @property
    def all(self) -> tuple[Example, ...]:
        return self.train + self.classes + self.held_out


def build_examples(
    plan: Plan,
    pictures: tuple[Picture, ...],
    rules: BucketRules,
    caption_rules: CaptionRules,
    chosen: tuple[Picture, ...],
) -> Examples:
    """Fits every picture and writes the text it is trained with; pictures no bucket can hold are named, not lost.

    `chosen` are the pictures held out of training for the validation loss.
    """
    kept: list[Example] = []
    left_out: list[str] = []
    for picture in pictures:
        try:
            placed = fit(picture.width, picture.height, rules)
        except DatasetError as error:
            left_out.append(f"{shown(picture.name)}: {error}")
            continue
        original = (picture.height, picture.width)
        kept.append(
            Example(
                picture=picture,
                fit=placed,
                size=conditioning(placed, original),
                flipped_size=conditioning(placed, original, flipped=True),
                texts=_texts(plan, picture, caption_rules),
                weight=plan.regularization.weight if picture.role == "class" else 1.0,
            )
        )
    apart = {picture.path for picture in chosen}
    return Examples(
        train=tuple(e for e in kept if e.picture.role == "train" and e.picture.path not in apart),
        classes=tuple(e for e in kept if e.picture.role == "class"),
        held_out=tuple(e for e in kept if e.picture.path in apart),
        left_out=tuple(left_out),
    )


def _texts(plan: Plan, picture: Picture, rules: CaptionRules) -> tuple[str, ...]:
    subject = plan.subject
    text = compose(picture.caption, rules, subject.instance_prompt, subject.class_prompt, picture.role)
    if not rules.shuffle:
        return (text,)
    return variants(text, rules, plan.machine.seed, SHUFFLED_VARIANTS)
