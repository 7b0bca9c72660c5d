"""Which way of keeping the class word to take: none, a folder, drawn pictures or prior prediction, and why. Light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.dataset.check import CheckReport
from engine.draw.class_plan import needed
from engine.estimate import PRIOR_COST, drawing_seconds
from engine.plan import Plan

Way = Literal["none", "folder", "drawn", "prior"]


@dataclass(frozen=True)
class WayCost:
    """What one way takes. `epoch` is how many times as long an epoch is as without; `seconds` is drawing beforehand,
    None where the card's speed is not known; `sentence` says what it does."""

    way: Way
    pictures: int
    epoch: float
    seconds: float | None
    sentence: str


@dataclass(frozen=True)
class ClassAdvice:
    """The way to take, a sentence why, and all four with their costs in the order to show them."""

    way: Way
    sentence: str
    ways: tuple[WayCost, ...]


def class_advice(plan: Plan, report: CheckReport, card_name: str | None = None) -> ClassAdvice:
    """What to do about the class word in this plan; answers in milliseconds.

    `report` is `engine.estimate.plan_report` of the plan without its class folders, `card_name` the driver's name of
    the card. Raises what `engine.draw.class_plan.needed` raises.
    """
    need = needed(plan, report)
    items = sum(line.items for line in report.buckets)
    ratio = plan.regularization.ratio
    # An epoch takes so many class items whether or not the pictures are all different.
    with_pictures = 1 + ratio
    with_prior = 1 + min(1.0, ratio) * PRIOR_COST
    seconds = drawing_seconds(need.pictures, report.rules.resolution, card_name)
    word = plan.subject.class_prompt.strip() or "the class"
    ways = (
        WayCost("none", 0, 1.0, None, f'Quickest; but soon "{word}" without the trigger is drawn as yours, too.'),
        WayCost(
            "prior", 0, with_prior, None,
            f'No pictures: in each step "{word}" is held to what the base predicts at the same noise.',
        ),
        WayCost(
            "drawn", need.pictures, with_pictures, seconds,
            f'The base draws {need.pictures:,} pictures of "{word}" as it knows it; they train beside yours.',
        ),
        WayCost(
            "folder", need.pictures, with_pictures, None,
            f'{need.pictures:,} photographs of any "{word}" but yours, as good as yours: your own or a ready-made set.',
        ),
    )  # fmt: skip
    way, why = _choice(plan, items)
    return ClassAdvice(way, why, ways)


def _choice(plan: Plan, items: int) -> tuple[Way, str]:
    subject = plan.subject
    if subject.kind == "style":
        return "none", (
            "None: a style has no class word to lose; captions that say what is seen keep it apart from the content."
        )
    if subject.kind == "concept":
        return "none", (
            "None: a concept is meant to change what its words draw; add prior prediction if it spreads too far."
        )
    if not subject.class_prompt.strip():
        return "none", "None for now: subject.class_prompt is empty, so there is no word to keep; write one."
    if plan.regularization.folders:
        return "folder", (
            "The folder your plan names: pictures you have chosen teach the class as you want it drawn."
        )
    word = subject.class_prompt.strip()
    return "prior", (
        f'Prior prediction: without it every "{word}" turns into yours within a few epochs. It needs no pictures, '
        f"yours is learnt as well with it, and a step takes about {1 + PRIOR_COST:.1f} times as long."
    )
