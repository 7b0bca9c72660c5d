"""How many CPU threads a base is worth, and how many pieces of its work fit beside each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

import torch

TINY_MODEL_BYTES = 100_000_000
_MOST_AT_ONCE = 4  # Python's own share of each piece takes turns: more gain little
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
    """How many batches of a base are worth working on at a time: on a CPU, of a tiny base, one for each free core."""
    if device.type != "cpu" or base_bytes >= TINY_MODEL_BYTES:
        return 1
    return max(1, min(_MOST_AT_ONCE, len(os.sched_getaffinity(0)) // torch.get_num_threads()))


def in_order(
    work: Callable[[Item, Callable[[], None]], Result], items: Sequence[Item], at_once: int,
    between: Callable[[], None],
) -> Generator[Result, None, None]:  # fmt: skip
    """`work(item, brake)` for every item, so many at a time, each on a thread; the results in the items' order.

    The work calls its brake as often as it can be stopped. `between` is called again and again on the caller's thread
    while it waits. What `between` or any of the work raises stops the others and passes on.
    """
    stopped = Event()

    def brake() -> None:
        if stopped.is_set():
            raise Halted

    with ThreadPoolExecutor(at_once) as pool:
        begun = [pool.submit(work, item, brake) for item in items]
        try:
            for one in begun:
                while not one.done():
                    between()
                    wait([one], timeout=_LOOK)
                yield one.result()
        finally:
            stopped.set()
            for one in begun:
                one.cancel()
