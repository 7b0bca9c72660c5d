"""What a training would do with these pictures, worked out before anything is trained."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from engine.dataset.arrange import Arrangement, Placed, arrange
from engine.dataset.buckets import BucketRules, Fit, Shape
from engine.dataset.kohya_folder import KohyaName
from engine.dataset.scan import Dataset, Picture, Problem
from engine.dataset.schedule import Steps, class_need, class_slice, count_steps
from engine.errors import DatasetError, shown
from engine.plan import Kind

__all__ = ["BucketLine", "CaptionCount", "CheckReport", "PictureLine", "check_dataset"]

# Without captions, what every picture shows besides the subject is learnt as part of it; these suffer most.
NEED_CAPTIONS: tuple[Kind, ...] = ("style", "concept", "object")
# Buckets hold 90 to 100 % of the resolution's area; a bucket well below trains at a visibly lower resolution.
SMALL_AREA = 0.8


@dataclass(frozen=True)
class PictureLine:
    """One picture and what becomes of it. Sizes are (width, height) in pixels, `loss` is the share cut away."""

    picture: Picture
    fit: Fit
    held_out: bool
    area: float  # of the bucket, as a share of the resolution's own area

    @property
    def bucket(self) -> Shape:
        return self.fit.bucket

    @property
    def upscaled(self) -> bool:
        return self.fit.scale > 1

    @property
    def small(self) -> bool:
        return self.area < SMALL_AREA


@dataclass(frozen=True)
class BucketLine:
    """One bucket in the first epoch. `short` is the size of its last batch where that is not full, else 0."""

    bucket: Shape
    pictures: int
    items: int
    class_items: int
    batches: int
    short: int


@dataclass(frozen=True)
class CaptionCount:
    """Captions of the training pictures (held-out ones included)."""

    found: int
    missing: int
    class_found: int
    class_missing: int


@dataclass(frozen=True)
class CheckReport:
    """Everything `lorasmith check` shows; `warnings` are sentences about the set as a whole."""

    rules: BucketRules
    kind: Kind
    batch: int
    accumulation: int
    epochs: int
    lines: tuple[PictureLine, ...]
    buckets: tuple[BucketLine, ...]
    steps: Steps
    class_pool: int
    class_need: int
    repeats_sentence: str | None
    captions: CaptionCount
    kohya: tuple[KohyaName, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    hold_out_problem: str | None = None  # also the first of the warnings

    @property
    def trainable(self) -> bool:
        """Whether there is anything to train with."""
        return bool(self.buckets)


def check_dataset(
    dataset: Dataset,
    rules: BucketRules,
    batch: int = 1,
    accumulation: int = 1,
    epochs: int = 10,
    *,
    kind: Kind = "person",
    ratio: float = 1.0,
    hold_out: int | Literal["auto"] = "auto",
    steps: int = 0,
    seed: int = 0,
) -> CheckReport:
    """Fits, counts and batches the pictures exactly as a training with these settings does."""
    hold_out_problem = None
    try:
        placed = arrange(dataset.pictures, rules, kind=kind, epochs=epochs, hold_out=hold_out, seed=seed)
    except DatasetError as error:
        hold_out_problem = str(error)
        placed = arrange(dataset.pictures, rules, kind=kind, epochs=epochs, hold_out=0, seed=seed)
    lines = _lines(dataset, placed, rules)
    items = [one for one in placed.train for _ in range(one.picture.repeats or 1)]
    need = class_need(len(items), ratio) if placed.classes else 0
    length = count_steps(
        [item.bucket for item in items],
        [one.bucket for one in placed.classes],
        class_need=need,
        batch=batch,
        accumulation=accumulation,
        epochs=epochs,
        steps=steps,
    )
    captions = _captions(lines)
    warnings = [hold_out_problem] if hold_out_problem else []
    warnings += _warnings(lines, captions, kind, need * len(length.each), rules)
    return CheckReport(
        rules=rules,
        kind=kind,
        batch=batch,
        accumulation=accumulation,
        epochs=epochs,
        lines=tuple(lines),
        buckets=_bucket_lines(placed.train, items, class_slice(placed.classes, need, seed, 0), batch),
        steps=length,
        class_pool=len(placed.classes),
        class_need=need,
        repeats_sentence=placed.repeats_sentence,
        captions=captions,
        kohya=dataset.kohya,
        problems=(*dataset.problems, *placed.left_out),
        warnings=tuple(warnings),
        hold_out_problem=hold_out_problem,
    )


def _lines(dataset: Dataset, placed: Arrangement, rules: BucketRules) -> list[PictureLine]:
    """Every placed picture in the order it was scanned."""
    area = rules.resolution**2
    lines = [
        PictureLine(one.picture, one.fit, held, one.bucket[0] * one.bucket[1] / area)
        for group, held in ((placed.train, False), (placed.held_out, True), (placed.classes, False))
        for one in group
    ]
    order = {picture.path: index for index, picture in enumerate(dataset.pictures)}
    return sorted(lines, key=lambda line: order[line.picture.path])


def _captions(lines: Sequence[PictureLine]) -> CaptionCount:
    count = Counter((line.picture.role, line.picture.caption is not None) for line in lines)
    return CaptionCount(
        found=count["train", True],
        missing=count["train", False],
        class_found=count["class", True],
        class_missing=count["class", False],
    )


def _bucket_lines(
    train: Sequence[Placed], items: Sequence[Placed], class_items: Sequence[Placed], batch: int
) -> tuple[BucketLine, ...]:
    pictures = Counter(line.bucket for line in train)
    own, classes = Counter(item.bucket for item in items), Counter(item.bucket for item in class_items)
    return tuple(
        BucketLine(
            bucket=bucket,
            pictures=pictures[bucket],
            items=own[bucket],
            class_items=classes[bucket],
            batches=math.ceil((own[bucket] + classes[bucket]) / batch),
            short=(own[bucket] + classes[bucket]) % batch,
        )
        for bucket in sorted(own.keys() | classes.keys(), key=lambda shape: shape[0] / shape[1])
    )


def _warnings(
    lines: Sequence[PictureLine], captions: CaptionCount, kind: Kind, class_uses: int, rules: BucketRules
) -> list[str]:
    """Sentences about the set as a whole, the gravest first."""
    said: list[str] = []
    if captions.missing and kind in NEED_CAPTIONS:
        said.append(
            f"{_count(captions.missing, 'picture has', 'pictures have')} no caption, which matters for "
            f"{'an' if kind == 'object' else 'a'} {kind}: all that they show becomes part of it. "
            "Write a .txt beside each that says what is seen."
        )
    small = [line for line in lines if line.small and line.picture.role == "train"]
    if small:
        said.append(
            f"{_count(len(small), 'picture trains', 'pictures train')} well below the resolution of "
            f"{rules.resolution} x {rules.resolution}, because of too few pixels or narrow bucket bounds: "
            f"{_some_names(small)}."
        )
    upscaled = [line for line in lines if line.upscaled and line.picture.role == "train"]
    if upscaled:
        said.append(
            f"{_count(len(upscaled), 'picture is', 'pictures are')} enlarged to the bucket, up to "
            f"{max(line.fit.scale for line in upscaled):.2f} times, and will look soft: {_some_names(upscaled)}."
        )
    pool = sum(line.picture.role == "class" for line in lines)
    if pool and class_uses < pool:
        said.append(f"The training meets {class_uses:,} of the {pool:,} class pictures; the others are not needed.")
    if pool and class_uses > pool:
        said.append(
            f"The {pool:,} class pictures are each met about {class_uses / pool:.1f} times; more of them would help."
        )
    return said


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _some_names(lines: Sequence[PictureLine]) -> str:
    names = [shown(line.picture.name) for line in lines[:3]]
    more = len(lines) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
