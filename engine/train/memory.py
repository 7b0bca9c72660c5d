"""Making the plan fit the card: a ladder of cheaper ways to do the same step, tried on the largest bucket."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass

import torch

from engine.errors import LorasmithError

# Kept free while the dry step runs: buckets of other shapes and the allocator's fragments want a little more.
HEADROOM = 0.95


@dataclass(frozen=True)
class Rung:
    """One way to do a step: the result is the same on every rung, only memory and time differ."""

    checkpointing: bool
    micro_batch: int

    def __str__(self) -> str:
        recompute = "with" if self.checkpointing else "without"
        pictures = "picture" if self.micro_batch == 1 else "pictures"
        return f"{self.micro_batch} {pictures} at a time, {recompute} gradient checkpointing"


def ladder(batch_size: int) -> tuple[Rung, ...]:
    """From the fastest to the smallest.

    Halving the micro-batch once comes before gradient checkpointing (which recomputes the forward, about 40 %
    more arithmetic); further halving comes after it, since many tiny passes leave a fast card idle.
    """
    halves = [batch_size]
    while halves[-1] > 1:
        halves.append((halves[-1] + 1) // 2)
    plain = [Rung(False, size) for size in halves[:2]]
    return tuple(plain + [Rung(True, size) for size in halves])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device (or, on a CPU, the computer) has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # Near the limit CUDA and its libraries fail in words of their own before the allocator does.
    words = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def fit_to_memory(rungs: tuple[Rung, ...], start: int, try_rung: Callable[[Rung], None]) -> int:
    """The index of the first rung from `start` on which a dry step succeeds.

    Raises LorasmithError with what is left to do where even the last one does not fit.
    """
    for index in range(start, len(rungs)):
        if fits(lambda rung=rungs[index]: try_rung(rung)):
            return index
    raise LorasmithError(
        "The training does not fit in memory even one picture at a time with gradient checkpointing: "
        "lower pictures.resolution (768 or 512), lower network.rank, or free memory held by other programs."
    )


def fits(attempt: Callable[[], None]) -> bool:
    """Whether an attempt ends without running out of memory; other errors pass on."""
    try:
        attempt()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    else:
        return True
    # Outside the except block: until here the traceback held on to the attempt's tensors.
    release()
    return False


def release() -> None:
    """Gives freed tensors back to the device, so that the next attempt starts from what is really free."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def apply_limit(device: torch.device, limit_gb: float | str, share: float = 1.0) -> None:
    """Makes a share of the stated limit (decimal gigabytes; "auto": the whole card) the allocator's own.

    Passing it then raises like a full card does. Nothing to do on a CPU.
    """
    if device.type != "cuda":
        return
    # A process that is alone has the device "cuda" without a number, which the allocator's limit does not take.
    index = device.index if device.index is not None else torch.cuda.current_device()
    allowed = 1.0
    if limit_gb != "auto":
        allowed = min(1.0, float(limit_gb) * 1e9 / torch.cuda.get_device_properties(index).total_memory)
    torch.cuda.set_per_process_memory_fraction(allowed * share, index)
