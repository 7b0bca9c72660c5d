"""The perceptual hash: 64 bits that a picture keeps when it is scaled, saved again or slightly retouched."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

SIDE, KEPT = 32, 8


def perceptual_hash(image: Image.Image) -> tuple[int, int]:
    """pHash of a picture and of its mirror image, 64 bits each.

    The picture in grey at 32 x 32 is taken through a two-dimensional DCT-II; of its 8 x 8 lowest frequencies each
    gives one bit: above their median or not, row by row, the first the highest (Zauner 2010; as the `imagehash`
    package defines `phash`). Mirroring changes the sign of every odd column, so the second costs no second DCT.
    """
    import numpy as np
    from PIL import Image as pillow

    grey = image.convert("L")
    side = grey.resize((SIDE, SIDE), pillow.Resampling.LANCZOS, reducing_gap=3.0)
    basis = _basis()
    low = (basis @ np.asarray(side, dtype=np.float64) @ basis.T)[:KEPT, :KEPT]
    mirrored = low * np.where(np.arange(KEPT) % 2, -1, 1)
    return _bits(low), _bits(mirrored)


def distance(one: int, other: int) -> int:
    """In how many of the 64 bits two hashes differ."""
    return (one ^ other).bit_count()


@functools.cache
def _basis() -> np.ndarray:
    """The rows of an unscaled DCT-II of 32 points, as scipy.fftpack gives it: 2 cos(pi k (2n + 1) / 64)."""
    import numpy as np

    k, n = np.mgrid[0:SIDE, 0:SIDE]
    return 2 * np.cos(np.pi * k * (2 * n + 1) / (2 * SIDE))


def _bits(low: np.ndarray) -> int:
    import numpy as np

    return int("".join("1" if above else "0" for above in (low > np.median(low)).ravel()), 2)
