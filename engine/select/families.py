"""The families that a comparison's prompts belong to, and which measure each of them feeds. Light."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from engine.plan import Kind


class Family(StrEnum):
    """What a prompt is there to find out; the value is how a prompt file names it."""

    IDENTITY = "identity"  # the subject and little else, near the training pictures
    CONTEXT = "context"  # the subject somewhere new
    ACTION = "action"  # doing, wearing or being used for something
    STYLE = "style"  # in a medium that is no photograph
    ATTRIBUTE = "attribute"  # with one property changed
    COMPOSITION = "composition"  # beside others
    CLASS = "class"  # the class word without the trigger
    UNRELATED = "unrelated"  # neither trigger nor class word
    RECALL = "recall"  # training captions word for word: what is known by heart


# DreamBooth's own failure: prompts near the training setting reproduce it. So identity prompts never count as
# flexibility, and recall prompts count as nothing at all.
LIKENESS = frozenset({Family.IDENTITY, Family.CONTEXT})
FOLLOWING = frozenset({Family.CONTEXT, Family.ACTION, Family.ATTRIBUTE, Family.COMPOSITION})
OBEYING = frozenset({Family.STYLE})
NOVEL = FOLLOWING | OBEYING  # where diversity and copying are measured
BLEEDING = frozenset({Family.CLASS})
DRIFTING = frozenset({Family.CLASS, Family.UNRELATED})
TRIGGERED = NOVEL | {Family.IDENTITY, Family.RECALL}

# Prompts that feed the same measures are exchangeable: the bootstrap draws among them.
STRATA: tuple[frozenset[Family], ...] = (
    frozenset({Family.IDENTITY}),
    frozenset({Family.CONTEXT}),
    FOLLOWING - LIKENESS,
    OBEYING,
    BLEEDING,
    DRIFTING - BLEEDING,
    frozenset({Family.RECALL}),
)

PARTS: Mapping[str, str] = MappingProxyType(
    {
        "prompt": "follows the prompt",
        "style": "takes on other styles",
        "diversity": "varies",
        "copying": "does not copy the training pictures",
        "bleed": "leaves the class word alone",
    }
)
"""The five parts of flexibility and how a person would say them."""

FLOOR = 5.0
"""What a part counts at least, of 100, so that two collapsed checkpoints can still be told apart."""


def part_weights(kind: Kind) -> dict[str, float]:
    """How much each part of flexibility counts. A style cannot be asked for another style: following stands in."""
    if kind == "style":
        return {"prompt": 0.60, "diversity": 0.15, "copying": 0.15, "bleed": 0.10}
    return {"prompt": 0.35, "style": 0.25, "diversity": 0.15, "copying": 0.15, "bleed": 0.10}
