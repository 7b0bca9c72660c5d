"""What a person is told, and confirms, before faces in their pictures are looked at. Light."""

from __future__ import annotations

import time

from engine.errors import LorasmithError
from engine.lookalike.settings import LookalikeJob

EXPLANATION = (
    "The look-alike search has your own base model draw the names of a list and compares the faces it draws with "
    "those in your pictures. It looks for a word that the model already draws alike each time. It identifies nobody, "
    "and a match says nothing about the person who bears the name.",
    "All of it happens on this computer and stays here. The drawings are kept for the next search; the numbers "
    "computed from your pictures lie in the run's folder until `lorasmith words --forget` deletes them.",
    "Using a real person's name or looks can need their consent, above all in advertising, in endorsements and for "
    "anything intimate, for which this search must not be used. Realistic pictures that you publish may have to be "
    "marked as made by AI. You answer for both.",
)
QUESTION = "Do these pictures show you, or someone who has agreed to this, and is that person an adult?"
CONFIRMED = "the pictures show me or someone who agreed, and that person is an adult"


def confirmed(how: str) -> str:
    """The record of a confirmation, for the job: what was confirmed, when, and how it was said."""
    return f"{CONFIRMED} ({how}, {time.strftime('%Y-%m-%d %H:%M:%S %z')})"


def require_permission(job: LookalikeJob) -> None:
    """Refuses to look at faces without it, whoever made the job. Raises LorasmithError."""
    if job.by_face and not job.permission.startswith(CONFIRMED):
        raise LorasmithError(
            "The look-alike search looks at faces and needs a confirmation that the pictures show you, or someone who "
            "agreed, and an adult: start it with `lorasmith words PLAN --lookalike`, which asks for it."
        )
