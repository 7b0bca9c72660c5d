"""From scanned pictures to what a training does with each: fitted, held out or trained, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from engine.dataset.buckets import BucketRules, Fit, Shape, fit
from engine.dataset.scan import Picture, Problem
from engine.dataset.schedule import held_out, with_repeats
from engine.errors import DatasetError, shown
from engine.plan import Kind


@dataclass(frozen=True)
class Placed:
    """A picture with its bucket; a training picture's repeats are filled in."""

    picture: Picture
    fit: Fit

    @property
    def bucket(self) -> Shape:
        return self.fit.bucket


@dataclass(frozen=True)
class Arrangement:
    """Every picture in exactly one of four places; `repeats_sentence` explains "auto" repeats where there are any."""

    train: tuple[Placed, ...]
    held_out: tuple[Placed, ...]
    classes: tuple[Placed, ...]
    left_out: tuple[Problem, ...]
    repeats_sentence: str | None


def arrange(
    pictures: Sequence[Picture],
    rules: BucketRules,
    *,
    kind: Kind,
    epochs: int,
    hold_out: int | Literal["auto"] = "auto",
    seed: int = 0,
) -> Arrangement:
    """Places every picture. Only those that a bucket can hold count for "auto" repeats and the held-out share.

    Raises DatasetError where holding out leaves nothing to train.
    """
    placed: list[Placed] = []
    left_out: list[Problem] = []
    for picture in pictures:
        try:
            placed.append(Placed(picture, fit(picture.width, picture.height, rules)))
        except DatasetError as error:
            left_out.append(Problem(picture.path, f"{shown(picture.name)}: {error}", "error"))
    apart = {picture.digest for picture in held_out([one.picture for one in placed], hold_out, seed)}
    subject = [one for one in placed if one.picture.role == "train"]
    train = [one for one in subject if one.picture.digest not in apart]
    filled, sentence = with_repeats([one.picture for one in train], kind, epochs)
    return Arrangement(
        train=tuple(Placed(picture, one.fit) for picture, one in zip(filled, train, strict=True)),
        held_out=tuple(one for one in subject if one.picture.digest in apart),
        classes=tuple(one for one in placed if one.picture.role == "class"),
        left_out=tuple(left_out),
        repeats_sentence=sentence,
    )
