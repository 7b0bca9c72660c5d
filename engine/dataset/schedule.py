"""The step arithmetic: what an epoch consists of, in which order, and how many steps that makes.

Everything that shows or runs steps takes them from here. All is a function of (seed, epoch): nothing runs along.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, Protocol, TypeVar

from engine.articles import with_article
from engine.dataset.buckets import Shape
from engine.dataset.chance import draw, order
from engine.dataset.scan import Picture
from engine.errors import DatasetError
from engine.plan import Kind

HOLD_OUT_FROM = 20  # pictures; below it every one is needed for training
HOLD_OUT_SHARE = 10  # one in ten


class Bucketed(Protocol):
    """Anything that trains in a bucket: a fitted picture, a training example."""

    @property
    def bucket(self) -> Shape: ...


Item = TypeVar("Item", bound=Bucketed)


@dataclass(frozen=True)
class Steps:
    """How long a run is. A step is one update of the weights, a micro-step one batch through the model.

    `per_epoch` and `micro_per_epoch` are the first epoch's; `each` has the steps of every epoch, which differ by
    a few where class pictures of several shapes take turns. `total` is their sum.
    """

    per_epoch: int
    total: int
    micro_per_epoch: int
    each: tuple[int, ...]

    def place(self, step: int) -> tuple[int, int]:
        """(epoch, step within it) of a step, all counted from 0; the end of the run is (number of epochs, 0)."""
        for epoch, count in enumerate(self.each):
            if step < count:
                return epoch, step
            step -= count
        return len(self.each), step


@dataclass(frozen=True)
class Batch(Generic[Item]):
    """Pictures of one bucket that go through the model together; fewer than `full` where the bucket ran short.

    `positions` are the items' places in the whole batch, which stay theirs when it is shared among processes.
    """

    bucket: Shape
    items: tuple[Item, ...]
    positions: tuple[int, ...]
    full: int

    @property
    def size(self) -> int:
        return len(self.items)


def count_steps(
    train: Sequence[Shape] | Mapping[Shape, int],
    pool: Sequence[Shape] = (),
    *,
    class_need: int = 0,
    batch: int,
    accumulation: int = 1,
    epochs: int = 1,
    steps: int = 0,
) -> Steps:
    """Steps = sum over epochs of ceil(sum over buckets of ceil(items / batch) / accumulation).

    `train` has the bucket of every training item (picture x repeats, held-out ones excluded), or their number by
    bucket; `pool` the bucket of every class picture, of which each epoch takes `class_need`. `steps` other than
    0 sets the total instead of `epochs`.
    """
    counts = Counter(dict(train) if isinstance(train, Mapping) else train)
    turns = _turns(pool)
    if not counts:
        return Steps(0, 0, 0, ())
    each: list[int] = []
    first_micro = total = 0
    while total < steps if steps else len(each) < epochs:
        micro = _micro_steps(counts + Counter(_slice_shapes(turns, class_need, len(each))), batch)
        first_micro = first_micro or micro
        each.append(math.ceil(micro / accumulation))
        total += each[-1]
    per_epoch = each[0] if each else 0
    if steps:  # the last epoch ends where the steps do
        each[-1] -= total - steps
        total = steps
    return Steps(per_epoch, total, first_micro, tuple(each))


def class_need(train_items: int, ratio: float) -> int:
    """Class pictures an epoch takes, from the number of training items (pictures x repeats) and the plan's ratio."""
    return math.floor(train_items * ratio + 0.5)


def class_slice(pool: Sequence[Item], need: int, seed: int, epoch: int) -> list[Item]:
    """The class pictures of one epoch: all of the pool take their turn before any comes again, in a new order.

    The shapes are spread evenly over the pool's turns, the same way for every seed, so that epochs differ in
    length as little as they can; the seed decides which picture of a shape it is.
    """
    by_bucket: dict[Shape, list[Item]] = defaultdict(list)
    for item in pool:
        by_bucket[item.bucket].append(item)
    turns = _turns([item.bucket for item in pool])
    chosen: list[Item] = []
    orders: dict[tuple[Shape, int], list[int]] = {}
    for turn in range(epoch * need, (epoch + 1) * need) if turns else ():
        cycle, at = divmod(turn, len(turns))
        bucket, rank = turns[at]
        if (bucket, cycle) not in orders:
            orders[bucket, cycle] = order(len(by_bucket[bucket]), seed, "class", cycle, *bucket)
        chosen.append(by_bucket[bucket][orders[bucket, cycle][rank]])
    return chosen


def classes_used(pool: Sequence[Item], need: int, seed: int, epochs: int) -> list[Item]:
    """The class pictures that a run of so many epochs meets at all, in the pool's order: what is worth caching."""
    if need * epochs >= len(pool):
        return list(pool)
    met = {id(item) for epoch in range(epochs) for item in class_slice(pool, need, seed, epoch)}
    return [item for item in pool if id(item) in met]


def epoch_batches(items: Sequence[Item], batch: int, seed: int, epoch: int) -> list[Batch[Item]]:
    """One epoch's batches: shuffled within buckets, the batches shuffled over buckets.

    `items` has every picture as often as the epoch shows it. A bucket's remainder keeps its short batch.
    """
    by_bucket: dict[Shape, list[Item]] = defaultdict(list)
    for item in items:
        by_bucket[item.bucket].append(item)
    batches: list[Batch[Item]] = []
    for bucket in sorted(by_bucket):
        held = by_bucket[bucket]
        shuffled = [held[at] for at in order(len(held), seed, "items", epoch, *bucket)]
        for start in range(0, len(shuffled), batch):
            part = tuple(shuffled[start : start + batch])
            batches.append(Batch(bucket, part, tuple(range(len(part))), batch))
    return [batches[at] for at in order(len(batches), seed, "batches", epoch)]


def shard(batch: Batch[Item], rank: int, world: int) -> Batch[Item]:
    """One process's share of a global batch; may be empty. Together the shares are the batch, position by position."""
    return replace(batch, items=batch.items[rank::world], positions=batch.positions[rank::world])


def picture_steps_wanted(kind: Kind) -> tuple[int, int, int]:
    """(least, wanted, most) picture-steps of a whole training: a style has more to see than a subject."""
    return (3000, 4000, 6000) if kind == "style" else (1500, 2000, 3000)


def auto_repeats(n_pictures: int, kind: Kind, epochs: int = 10) -> tuple[int, str]:
    """How often an epoch shows each picture so that the whole comes to a sound length, and why in one sentence."""
    if n_pictures < 1:
        return 1, "No pictures to repeat."
    least, wanted, most = picture_steps_wanted(kind)
    repeats = max(1, round(wanted / (n_pictures * epochs)))
    if n_pictures * repeats * epochs < least:
        repeats += 1
    total = n_pictures * repeats * epochs
    what = with_article(kind)
    sum_ = (
        f"{repeats} repeat{'s' * (repeats != 1)}: {n_pictures:,} picture{'s' * (n_pictures != 1)} x {repeats} x "
        f"{epochs} epoch{'s' * (epochs != 1)} = {total:,} picture-steps"
    )
    if total > most:
        return repeats, f"{sum_}, more than the {least:,} to {most:,} that suit {what}: fewer epochs will do."
    sentence = f"{sum_}, within the {least:,} to {most:,} that suit {what}"
    if epochs < 5:
        return repeats, f"{sentence}."
    first, last = math.ceil(epochs * 0.3), math.floor(epochs * 0.6)
    return repeats, f"{sentence}; the best checkpoint is then usually among epochs {first} to {last}."


def with_repeats(
    pictures: Sequence[Picture], kind: Kind, epochs: int, held_out: Sequence[Picture] = ()
) -> tuple[tuple[Picture, ...], str | None]:
    """The pictures with "auto" repeats filled in, and the sentence that explains them (None if all were stated)."""
    kept = set(held_out)
    unset = [picture for picture in pictures if picture.repeats is None and picture not in kept]
    repeats, sentence = auto_repeats(len(unset), kind, epochs)
    filled = tuple(
        picture if picture.repeats is not None else replace(picture, repeats=repeats) for picture in pictures
    )
    return filled, sentence if unset else None


def held_out(pictures: Sequence[Picture], count: int | Literal["auto"] = "auto", seed: int = 0) -> tuple[Picture, ...]:
    """The training pictures kept for the validation loss, chosen by their content: the same in any folder order.

    "auto" takes one in ten, at least 2, from HOLD_OUT_FROM pictures on. Copies of a held-out picture are held out
    with it. Class pictures never are. Raises DatasetError where nothing would be left to train.
    """
    train = [picture for picture in pictures if picture.role == "train"]
    if count == "auto":
        count = max(2, round(len(train) / HOLD_OUT_SHARE)) if len(train) >= HOLD_OUT_FROM else 0
    if count <= 0:
        return ()
    digests = sorted({picture.digest for picture in train}, key=lambda digest: draw(seed, "held out", digest))
    if count >= len(digests):
        raise DatasetError(
            f"pictures.hold_out = {count} leaves nothing to train of {len(digests)} different pictures: lower it."
        )
    chosen = set(digests[:count])
    return tuple(picture for picture in train if picture.digest in chosen)


def _turns(pool: Sequence[Shape]) -> list[tuple[Shape, int]]:
    """One round through the pool as (bucket, n-th picture of it), each bucket spread evenly over the round."""
    counts = Counter(pool)
    spread = ((rank + 0.5) / count for count in counts.values() for rank in range(count))
    names = ((bucket, rank) for bucket, count in counts.items() for rank in range(count))
    return [name for _, name in sorted(zip(spread, names, strict=True))]


def _slice_shapes(turns: list[tuple[Shape, int]], need: int, epoch: int) -> list[Shape]:
    return [turns[turn % len(turns)][0] for turn in range(epoch * need, (epoch + 1) * need)] if turns else []


def _micro_steps(counts: Mapping[Shape, int], batch: int) -> int:
    return sum(math.ceil(count / batch) for count in counts.values())
