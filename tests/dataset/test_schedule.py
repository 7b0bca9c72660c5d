"""The step arithmetic against a plain simulation of the loader; slices, shares and choices are deterministic."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from engine.dataset.arrange import arrange
from engine.dataset.buckets import BucketRules
from engine.dataset.scan import Picture
from engine.dataset.schedule import (
    auto_repeats,
    class_need,
    class_slice,
    classes_used,
    count_steps,
    epoch_batches,
    held_out,
    shard,
    with_repeats,
)
from engine.errors import DatasetError


@dataclass(frozen=True)
class Item:
    name: str
    bucket: tuple[int, int]


SHAPES = ((1024, 1024), (896, 1152), (1152, 896), (832, 1216))


def items(counts: dict[tuple[int, int], int], kind: str = "t") -> list[Item]:
    return [Item(f"{kind}{shape}{index}", shape) for shape, count in counts.items() for index in range(count)]


def picture(index: int, role: str = "train", repeats: int | None = None) -> Picture:
    return Picture(Path(f"{index}.png"), f"{index}.png", 1024, 1024, "PNG", f"{index:064x}", None, None, repeats, role)


def simulated(train: list[Item], pool: list[Item], need: int, batch: int, accumulation: int, epochs: int) -> list[int]:
    """Steps of each epoch, counted one by one as a loop would make them."""
    each = []
    for epoch in range(epochs):
        steps = waiting = 0
        for _ in epoch_batches([*train, *class_slice(pool, need, 7, epoch)], batch, 7, epoch):
            waiting += 1
            if waiting == accumulation:
                steps, waiting = steps + 1, 0
        each.append(steps + (waiting > 0))
    return each


def test_steps_are_what_the_loader_makes_of_any_set() -> None:
    chance = random.Random(1)
    for _ in range(80):
        train = items({shape: chance.randint(0, 30) for shape in SHAPES})
        if not train:
            continue
        pool = items({shape: chance.randint(0, 40) for shape in SHAPES[1:]}, "c") if chance.random() < 0.6 else []
        need = class_need(len(train), chance.choice([0.5, 1.0, 2.0])) if pool else 0
        batch, accumulation, epochs = chance.randint(1, 6), chance.randint(1, 4), chance.randint(1, 6)
        steps = count_steps([i.bucket for i in train], [i.bucket for i in pool], class_need=need, batch=batch,
                            accumulation=accumulation, epochs=epochs)  # fmt: skip
        each = simulated(train, pool, need, batch, accumulation, epochs)
        assert list(steps.each) == each and steps.total == sum(each) and steps.per_epoch == each[0]
        assert steps.micro_per_epoch == len(epoch_batches([*train, *class_slice(pool, need, 7, 0)], batch, 7, 0))


def test_steps_by_hand() -> None:
    # 10 pictures x 4 repeats = 40 in one bucket, 3 x 4 = 12 in another; batch 8: 5 + 2 batches; 2 to a step: 4.
    steps = count_steps({(1024, 1024): 40, (896, 1152): 12}, batch=8, accumulation=2, epochs=10)
    assert (steps.micro_per_epoch, steps.per_epoch, steps.total) == (7, 4, 40)
    # As many class pictures of the first shape double its 40 to 92: 12 + 2 batches, 7 steps.
    pool = [(1024, 1024)] * 200
    assert count_steps({(1024, 1024): 40, (896, 1152): 12}, pool, class_need=52, batch=8, accumulation=2,
                       epochs=10).total == 70  # fmt: skip


def test_a_stated_number_of_steps_ends_inside_an_epoch() -> None:
    steps = count_steps({(1024, 1024): 40}, batch=1, epochs=10, steps=100)
    assert steps.each == (40, 40, 20) and steps.total == 100 and steps.per_epoch == 40
    assert [steps.place(at) for at in (0, 39, 40, 99, 100)] == [(0, 0), (0, 39), (1, 0), (2, 19), (3, 0)]


def test_no_pictures_no_steps() -> None:
    assert count_steps([], batch=1, epochs=10).total == 0


def test_an_epoch_holds_every_item_once_in_batches_of_one_bucket() -> None:
    train = items({SHAPES[0]: 13, SHAPES[1]: 3})
    batches = epoch_batches(train, 4, seed=1, epoch=0)
    assert Counter(item for batch in batches for item in batch.items) == Counter(train)
    assert all({item.bucket for item in batch.items} == {batch.bucket} for batch in batches)
    assert sorted(batch.size for batch in batches) == [1, 3, 4, 4, 4] and {batch.full for batch in batches} == {4}
    assert batches == epoch_batches(train, 4, seed=1, epoch=0)
    others = [epoch_batches(train, 4, seed=s, epoch=e) for s, e in ((1, 1), (2, 0))]
    assert all(batches != other for other in others)
    firsts = {epoch_batches(train, 4, seed=1, epoch=e)[0].bucket for e in range(30)}
    assert firsts == {SHAPES[0], SHAPES[1]}, "batches are shuffled over buckets"


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_processes_share_a_batch_without_changing_it(world: int) -> None:
    for batch in epoch_batches(items({SHAPES[0]: 13}), 4, seed=1, epoch=0):
        shares = [shard(batch, rank, world) for rank in range(world)]
        placed = sorted(pair for share in shares for pair in zip(share.positions, share.items, strict=True))
        assert placed == list(enumerate(batch.items))
        assert max(s.size for s in shares) - min(s.size for s in shares) <= 1
        assert all(share.full == batch.full for share in shares)


def test_class_pictures_take_turns_until_all_are_used() -> None:
    pool = items({SHAPES[0]: 37, SHAPES[1]: 12, SHAPES[3]: 1}, "c")
    slices = [class_slice(pool, 20, seed=3, epoch=epoch) for epoch in range(10)]
    assert [len(s) for s in slices] == [20] * 10
    met = list(itertools.chain.from_iterable(slices))
    assert all(set(met[start : start + 50]) == set(pool) for start in (0, 50, 100, 150))
    assert met[:50] != met[50:100], "the next round has another order"
    assert slices[4] == class_slice(pool, 20, seed=3, epoch=4) != class_slice(pool, 20, seed=4, epoch=4)
    assert [i.bucket for i in slices[4]] == [i.bucket for i in class_slice(pool, 20, seed=4, epoch=4)]
    assert class_slice(pool, 0, 3, 0) == [] == class_slice([], 20, 3, 0)
    assert len(class_slice(pool, 120, 3, 0)) == 120, "a pool smaller than the need comes round again"


def test_only_the_class_pictures_a_run_meets_are_worth_caching() -> None:
    pool = items({SHAPES[0]: 300}, "c")
    used = classes_used(pool, 20, seed=3, epochs=5)
    assert len(used) == 100
    assert set(used) == {i for epoch in range(5) for i in class_slice(pool, 20, 3, epoch)}
    assert classes_used(pool, 100, 3, 5) == pool


def test_class_need_rounds_as_people_do() -> None:
    assert [class_need(n, r) for n, r in ((200, 1.0), (5, 0.5), (3, 0.5), (10, 0))] == [200, 3, 2, 0]


@pytest.mark.parametrize("kind", ["person", "style", "object"])
def test_auto_repeats_reach_the_wanted_length(kind: str) -> None:
    least, most = (3000, 6000) if kind == "style" else (1500, 3000)
    for pictures, epochs in itertools.product(range(1, most // 10 + 1), (5, 10)):
        repeats, sentence = auto_repeats(pictures, kind, epochs)
        assert least <= pictures * repeats * epochs <= most
        assert f"{pictures * repeats * epochs:,} picture-steps" in sentence and sentence.count(".") == 1
    assert auto_repeats(20, "person")[0] == 10
    assert "epochs 3 to 6" in auto_repeats(20, "person")[1]
    repeats, sentence = auto_repeats(2000, kind)
    assert repeats == 1 and "fewer epochs will do" in sentence


def test_repeats_that_are_stated_stay() -> None:
    pictures = [*(picture(i) for i in range(20)), picture(99, repeats=3), picture(50, "class", 1)]
    filled, sentence = with_repeats(pictures, "person", 10)
    assert [p.repeats for p in filled] == [10] * 20 + [3, 1] and sentence and "20 pictures x 10" in sentence
    assert with_repeats([picture(1, repeats=3)], "person", 10)[1] is None


def test_held_out_pictures() -> None:
    pictures = [picture(index) for index in range(40)]
    chosen = held_out(pictures, "auto", seed=1)
    assert len(chosen) == 4 and set(chosen) == set(held_out(list(reversed(pictures)), "auto", seed=1))
    assert set(chosen) != set(held_out(pictures, "auto", seed=2))
    assert held_out(pictures[:19]) == () and len(held_out(pictures[:20])) == 2
    assert len(held_out(pictures[:5], 1)) == 1 and held_out(pictures, 0) == ()
    classes = [picture(100 + index, "class") for index in range(100)]
    assert all(p.role == "train" for p in held_out([*pictures, *classes], 10))
    with pytest.raises(DatasetError, match="leaves nothing to train"):
        held_out(pictures[:5], 5)


def test_copies_of_a_held_out_picture_are_held_out_with_it() -> None:
    pictures = [picture(index) for index in range(25)]
    copies = [replace(p, path=Path(f"copy{p.name}"), name=f"copy{p.name}") for p in pictures]
    chosen = held_out([*pictures, *copies], 3)
    assert len(chosen) == 6 and len({p.digest for p in chosen}) == 3


def test_every_picture_is_arranged_in_exactly_one_place() -> None:
    tiny = [replace(picture(200 + index), width=100) for index in range(15)]
    classes = [picture(300 + index, "class", 1) for index in range(4)]
    pictures = [*(picture(index) for index in range(20)), *tiny, *classes]
    found = arrange(pictures, BucketRules(1024, 64, 512, 2048), kind="person", epochs=10)
    # Those that fit no bucket count neither for the held-out tenth (2 of 20, not of 35) nor for the repeats.
    sizes = [len(group) for group in (found.train, found.held_out, found.classes, found.left_out)]
    assert sizes == [18, 2, 4, 15]
    assert {one.picture.repeats for one in found.train} == {11} and "18 pictures x 11" in found.repeats_sentence
    placed = {one.picture.path for group in (found.train, found.held_out, found.classes) for one in group}
    assert placed | {problem.path for problem in found.left_out} == {one.path for one in pictures}


def test_one_picture_is_said_in_the_singular() -> None:
    _, sentence = auto_repeats(1, "person")
    assert sentence.startswith("200 repeats: 1 picture x 200 x 10 epochs = 2,000 picture-steps")
