"""A caption with the class in the trigger's place: what the base is asked for where the subject must not come."""

from __future__ import annotations

import re

from engine.articles import article


def without_trigger(caption: str, trigger: str, class_prompt: str) -> str | None:
    """"an ohwx dog at sea" as "a dog at sea"; None where the trigger does not stand in the caption.

    The article follows the new word. A trigger not followed by the class is replaced all the same.
    """
    trigger, class_prompt = " ".join(trigger.split()), " ".join(class_prompt.split())
    if not holds_trigger(caption, trigger):
        return None
    after = rf"(?:\s+{re.escape(class_prompt)})?" if class_prompt else ""
    words = rf"(?<!\w){re.escape(trigger)}{after}(?!\w)"
    fitting = article(class_prompt)

    def replaced(found: re.Match[str]) -> str:
        before = found["article"]
        if not before:
            return class_prompt
        return f"{fitting.capitalize() if before[0].isupper() else fitting} {class_prompt}"

    line = " ".join(caption.split())
    return re.sub(rf"(?:\b(?P<article>an?)\s+)?{words}", replaced, line, flags=re.IGNORECASE)


def prior_text(caption: str, trigger: str, class_prompt: str) -> str | None:
    """The text that prior prediction asks the base for in place of a trained caption.

    A caption without the trigger would be held to the base and trained on a picture at once, and each undo the
    other: the class prompt alone stands in for it. None where that is the trained caption itself.
    """
    found = without_trigger(caption, trigger, class_prompt)
    if found is not None:
        return found
    class_prompt = " ".join(class_prompt.split())
    return class_prompt if class_prompt.casefold() != " ".join(caption.split()).casefold() else None


def holds_trigger(caption: str, trigger: str) -> bool:
    """Whether the trigger stands in a caption as words of its own."""
    pattern = rf"(?<!\w){re.escape(' '.join(trigger.split()))}(?!\w)"
    return bool(trigger.strip()) and re.search(pattern, " ".join(caption.split()), re.IGNORECASE) is not None
