"""How many CPU threads a base is worth."""

from __future__ import annotations

import os

import torch

TINY_MODEL_BYTES = 100_000_000


def use_threads(base_bytes: int) -> None:
    """One CPU thread for a base as small as the embedded one, unless the person has set OMP_NUM_THREADS.

    Its operations are too short to share: on a busy machine two threads wait for each other, and a step takes 5
    to 30 times as long.
    """
    if base_bytes < TINY_MODEL_BYTES and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
