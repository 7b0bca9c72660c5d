"""Random choices that depend on what they are for and on nothing else: no generator runs along.

Hashes instead of `random.Random`: the same on every platform and Python version, and cheap to jump into anywhere.
"""

from __future__ import annotations

import hashlib


def draw(*place: int | str) -> int:
    """A 64-bit number for one choice, e.g. `draw(seed, "variant", step, position)`."""
    text = ":".join(str(part) for part in place)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big")


def order(count: int, *place: int | str) -> list[int]:
    """0 .. count-1 shuffled, for one purpose."""
    return sorted(range(count), key=lambda index: (draw(*place, index), index))
