"""The pictures of a run as the training loop sees them: fitted to buckets, with their texts and weights."""

from __future__ import annotations

from dataclasses import dataclass

from engine.dataset.arrange import Arrangement, Placed
from engine.dataset.buckets import Fit, SizeConditioning, conditioning
from engine.dataset.captions import CaptionRules, compose, variants
from engine.dataset.class_text import prior_text
from engine.dataset.scan import Picture
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
    prior_texts: tuple[str | None, ...]  # prior prediction's text for each of them; empty where there is none
    weight: float

    @property
    def bucket(self) -> tuple[int, int]:
        return self.fit.bucket


@dataclass(frozen=True)
class Examples:
    """The run's pictures by what they are for."""

    train: tuple[Example, ...]
    classes: tuple[Example, ...]
    held_out: tuple[Example, ...]

    @property
    def all(self) -> tuple[Example, ...]:
        return self.train + self.classes + self.held_out


def build_examples(plan: Plan, arranged: Arrangement, caption_rules: CaptionRules) -> Examples:
    """Gives every arranged picture its size conditioning and the texts it is trained with."""

    def example(placed: Placed) -> Example:
        picture = placed.picture
        original = (picture.height, picture.width)
        texts = _texts(plan, picture, caption_rules)
        return Example(
            picture=picture,
            fit=placed.fit,
            size=conditioning(placed.fit, original),
            flipped_size=conditioning(placed.fit, original, flipped=True),
            texts=texts,
            prior_texts=_prior_texts(plan, picture, texts),
            weight=plan.regularization.weight if picture.role == "class" else 1.0,
        )

    return Examples(
        train=tuple(example(placed) for placed in arranged.train),
        classes=tuple(example(placed) for placed in arranged.classes),
        held_out=tuple(example(placed) for placed in arranged.held_out),
    )


def _prior_texts(plan: Plan, picture: Picture, texts: tuple[str, ...]) -> tuple[str | None, ...]:
    if not plan.regularization.prior_prediction or picture.role == "class":
        return ()
    subject = plan.subject
    return tuple(prior_text(text, subject.instance_prompt, subject.class_prompt) for text in texts)


def _texts(plan: Plan, picture: Picture, rules: CaptionRules) -> tuple[str, ...]:
    subject = plan.subject
    text = compose(picture.caption, rules, subject.instance_prompt, subject.class_prompt, picture.role)
    if not rules.shuffle:
        return (text,)
    return variants(text, rules, plan.machine.seed, SHUFFLED_VARIANTS)
