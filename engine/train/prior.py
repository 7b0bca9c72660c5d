"""Prior prediction: the caption with the class in the trigger's place, and which pictures of a step are held to it.

At the same noise, the base's own answer to that caption is the adapter's target: what the class word draws stays
what it was, without any class picture (OneTrainer's PRIOR_PREDICTION, ai-toolkit's and kohya's differential output
preservation).
"""

from __future__ import annotations

import re

from engine.train.randomness import derived_seed


def prior_text(caption: str, trigger: str, class_prompt: str) -> str | None:
    """A trained caption as the base is asked for it: "an ohwx dog at sea" becomes "a dog at sea".

    A caption without the trigger would be held to the base and trained on a picture at once, and each undo the
    other: the class prompt alone stands in for it. None where that is the trained caption itself.
    """
    trigger, class_prompt = " ".join(trigger.split()), " ".join(class_prompt.split())
    if not holds_trigger(caption, trigger):
        return class_prompt if class_prompt.casefold() != caption.strip().casefold() else None
    words = rf"{re.escape(trigger)}(?:\s+{re.escape(class_prompt)})?"
    article = "an" if class_prompt[:1].lower() in "aeiou" else "a"

    def replaced(found: re.Match[str]) -> str:
        before = found["article"]
        if not before:
            return class_prompt
        return f"{article.capitalize() if before[0].isupper() else article} {class_prompt}"

    return re.sub(rf"(?:\b(?P<article>an?)\s+)?(?<!\w){words}(?!\w)", replaced, caption, flags=re.IGNORECASE)


def holds_trigger(caption: str, trigger: str) -> bool:
    """Whether the trigger stands in a caption as words of its own."""
    trigger = " ".join(trigger.split())
    pattern = rf"(?<!\w){re.escape(trigger)}(?!\w)"
    return bool(trigger) and re.search(pattern, " ".join(caption.split()), re.IGNORECASE) is not None


def has_prior(seed: int, step: int, position: int, share: float) -> bool:
    """Whether the picture at this place of the run is held to the base; `share` is the plan's ratio."""
    return derived_seed(seed, "prior", step, position) / 2**63 < share
