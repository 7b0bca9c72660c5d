"""How many CPU threads a base is worth, and how many pieces of its work fit beside each other."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from threading import Event
from typing import TypeVar

import torch

TINY_MODEL_BYTES = 100_000_000
_MOST_AT_ONCE = 4  # Python's own share of each piece takes turns: two draw 1.8 times as fast as one
_LOOK = 0.05  # seconds between two calls of `between`

Item = TypeVar("Item")
Result = TypeVar("Result")


class Halted(Exception):
    """Raised in a piece of work by its brake: the others are not wanted any more."""


def use_threads(base_bytes: int) -> None:
    """One CPU thread for a base as small as the embedded one, unless the person has set OMP_NUM_THREADS.

    Its operations are too short to share: on a busy machine two threads wait for each other, and a step takes 5
    to 30 times as long. Whole batches do not wait for each other (`in_order`).
    """
    if base_bytes < TINY_MODEL_BYTES and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def fit_at_once(base_bytes: int, device: torch.device) -> int:
    """How many batches of a base are worth working on at a time: of a tiny one, on a CPU, as many as there are cores.

    One where the person has set OMP_NUM_THREADS: that is how one says how much of the machine may be taken.
    """
    if device.type != "cpu" or base_bytes >= TINY_MODEL_BYTES or "OMP_NUM_THREADS" in os.environ:
        return 1
    return min(_MOST_AT_ONCE, len(os.sched_getaffinity(0)))


def in_order(
    work: Callable[[Item, Callable[[], None]], Result], items: Iterable[Item], at_once: int,
    between: Callable[[], None],
) -> Generator[Result, None, None]:  # fmt: skip
    """`work(item, brake)` for every item, so many at a time, each on a thread; the results in the items' order.

    No more is begun than `at_once` items beyond those whose results were taken. The work calls its brake as often as it
    can be stopped. `between` is called on the caller's thread, before each result and again and again while it waits.
    What `between` or a piece of work in its turn raises, or closing the generator, stops the others and waits for them.
    """
    stopped, left, begun = Event(), iter(items), deque[Future[Result]]()

    def brake() -> None:
        if stopped.is_set():
            raise Halted

    with ThreadPoolExecutor(at_once, "in-order") as pool:
        try:
            while True:
                begun.extend(pool.submit(work, item, brake) for item in islice(left, at_once - len(begun)))
                if not begun:
                    return
                between()
                while not begun[0].done():
                    wait([begun[0]], timeout=_LOOK)
                    between()
                yield begun.popleft().result()
        finally:
            stopped.set()
            for one in begun:
                one.cancel()
            begun.clear()  # an error would hold on to their tensors, and they to the error
