"""One picture's figures and its thumbnail, out of one decode that also proves the file whole."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.dataset.health.figures import Measures
from engine.dataset.health.hashing import perceptual_hash
from engine.dataset.health.limits import SHARPNESS_SURE
from engine.dataset.picture import Small, open_small

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

VERSION = 2  # of the figures below: a change of how they are measured makes the kept ones unknown
DECODED = 1024  # short side that a JPEG is decoded to at least: an SDXL bucket's
SHARP_AT = 512  # short side that sharpness is measured at, since the Laplacian depends on the scale
THUMB = 256  # short side of the thumbnail that pictures are compared by
LONGEST_THUMB = 1024
_TILES = 4
_WINDOW = 7  # pixels that a contour may be spread over
_FLAT = 0.7  # share of pixels that are as their neighbours, in a picture of flat colours
_CONTOUR, _CONTOURS = 8, 0.005  # shades between two sides of a contour; share of the picture that lies near one
_FULL_WHITE = 254
_STRAY = 0.02  # share of a row that may differ
_SAME_COLOUR = 12  # of 255: what a JPEG makes of one colour
# The luminance table of the JPEG standard's annex K at quality 50; its sum is what qualities are told by.
_ANNEX_K_SUM = 3679


@dataclass(frozen=True)
class Measured:
    """The figures, and a JPEG of the picture at a short side of 256 by which the set is compared."""

    measures: Measures
    thumbnail: bytes


def measure(path: Path, background: tuple[int, int, int], name: str) -> Measured:
    """Measures a picture file; DatasetError with one sentence where it is damaged, cut off or gone."""
    import numpy as np

    small = open_small(path, DECODED, background, name)
    grey_image = small.image.convert("L")
    grey = np.asarray(grey_image)
    at_512 = _scaled(grey_image, SHARP_AT)
    sharpness = tile_sharpness(at_512)
    shades = np.array(grey_image.histogram()) / grey.size
    rising = np.cumsum(shades)
    side, share = border(np.asarray(small.image)) if _plain_rim(small.image) else ("", 0.0)
    first, mirrored = perceptual_hash(grey_image)
    figures = Measures(
        sharpness=round(sharpness, 1),
        crisp=round(crispness(at_512), 3) if sharpness < SHARPNESS_SURE else 0.0,
        detail=_detail(grey_image, sharpness),
        dark=round(int(np.searchsorted(rising, 0.99)) / 255, 3),
        light=round(int(np.searchsorted(rising, 0.05)) / 255, 3),
        clipped=round(_clipped(grey), 4) if shades[_FULL_WHITE:].any() else 0.0,
        # Two neighbouring shades: a flat picture that was saved as a JPEG has not one value exactly.
        blank=round(float((shades[:-2] + shades[1:-1] + shades[2:]).max()), 4),
        border=round(share, 4),
        border_sides=side,
        jpeg_quality=jpeg_quality(small.luma_table),
        blocks=_blocks(grey, small),
        phash=first,
        phash_mirrored=mirrored,
    )
    return Measured(figures, _thumbnail(small.image))


def tile_sharpness(image: Image.Image) -> float:
    """Variance of the Laplacian (4 neighbours, as cv2.Laplacian with ksize 1) in the sharpest of 4 x 4 tiles.

    Of the sharpest tile, since a soft background is no fault (Pech-Pacheco et al. 2000 for the measure).
    """
    import cv2
    import numpy as np

    grey = np.asarray(image)
    if min(grey.shape) < 2 * _TILES:
        return 0.0
    edges = cv2.Laplacian(grey, cv2.CV_16S)[1:-1, 1:-1]
    tiles = (tile for row in np.array_split(edges, _TILES) for tile in np.array_split(row, _TILES, axis=1))
    return max(float(cv2.meanStdDev(tile)[1][0, 0]) ** 2 for tile in tiles)


def crispness(image: Image.Image) -> float:
    """Where flat colours meet: the largest step between two pixels as a share of the step in all, its median.

    The Laplacian takes pale contours for soft ones; this does not see how high they are. 0 where the picture is not
    flat (most neighbours differ), since grain would pass for contours, and where there are hardly any contours.
    """
    import cv2
    import numpy as np

    grey = np.asarray(image)
    if min(grey.shape) < 4 * _WINDOW:
        return 0.0
    across, down = cv2.absdiff(grey[1:, 1:], grey[1:, :-1]), cv2.absdiff(grey[1:, 1:], grey[:-1, 1:])
    steps = cv2.max(across, down)
    if (steps <= 1).mean() < _FLAT:
        return 0.0
    window = np.ones((_WINDOW, _WINDOW), np.uint8)
    whole = cv2.subtract(cv2.dilate(grey, window), cv2.erode(grey, window))[1:, 1:]
    contours = whole >= _CONTOUR
    if contours.mean() < _CONTOURS:
        return 0.0
    return float(np.median(cv2.dilate(steps, window)[contours] / whole[contours]))


def jpeg_quality(luma_table: tuple[int, ...] | None) -> int | None:
    """The quality (1 to 100) whose standard table weighs as much as this one; None without a table.

    The Independent JPEG Group's scale: the standard's table times 50 / quality below 50, times 2 - quality / 50 above.
    """
    if luma_table is None:
        return None
    scale = sum(luma_table) / _ANNEX_K_SUM
    return round(min(100.0, max(1.0, 50 / scale if scale > 1 else 100 - 50 * scale)))


def _plain_rim(image: Image.Image) -> bool:
    """Whether two opposite outermost rows are of one colour each: else there is no border to look for."""
    import numpy as np

    width, height = image.size

    def plain(box: tuple[int, int, int, int]) -> bool:
        row = np.asarray(image.crop(box)).reshape(1, -1, 3)
        return _differing(row, np.median(row[0], axis=0).astype(np.int16))[0] <= _STRAY

    above, below = (0, 0, width, 1), (0, height - 1, width, height)
    left, right = (0, 0, 1, height), (width - 1, 0, width, height)
    return (plain(above) and plain(below)) or (plain(left) and plain(right))


def border(pixels: np.ndarray) -> tuple[str, float]:
    """Bars or a frame of one colour at opposite sides: which sides, and what share of the picture they take.

    A plain ground behind the subject is no border: a bar ends at a straight line where most of the row changes.
    `pixels` is [height, width, 3] in 8 bits.
    """
    height, width = pixels.shape[:2]
    bars = {}
    for side, strip in (
        ("above", pixels),
        ("below", pixels[::-1]),
        ("left", pixels.swapaxes(0, 1)),
        ("right", pixels[:, ::-1].swapaxes(0, 1)),
    ):
        bars[side] = _bar(strip)
    found = [pair for pair in (("above", "below"), ("left", "right")) if all(bars[side] for side in pair)]
    share = 1.0
    for pair in found:
        thick = sum(bars[side] for side in pair)
        share *= 1 - thick / (height if pair[0] == "above" else width)
    names = "all round" if len(found) == 2 else " and ".join(found[0]) if found else ""
    return names, 1 - share


def _bar(rows: np.ndarray) -> int:
    """How many of the first rows are one colour and end at a straight line; 0 where there is no such bar."""
    import numpy as np

    length = len(rows)
    colour = np.median(rows[0], axis=0).astype(np.int16)

    if _differing(rows[:1], colour)[0] > _STRAY:
        return 0
    other = _differing(rows[: length // 2], colour)
    over = np.flatnonzero(other > _STRAY)
    if not len(over):
        return 0
    end = int(over[0])
    if end < max(2, length // 200) or other[end : end + 4].max() <= 0.6:  # an edge may be blurred over a few rows
        return 0
    # Painted stripes end as straight, but at another plain colour; behind a bar a picture begins.
    behind = rows[min(end + 6, length - 1), ::4].astype(np.int16)
    plain = np.abs(behind - np.median(behind, axis=0)).max(axis=1) <= _SAME_COLOUR
    return 0 if plain.mean() > 0.9 else end


def _differing(rows: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """What share of each row is of another colour; every fourth pixel of a row will do."""
    import numpy as np

    return (np.abs(rows[:, ::4].astype(np.int16) - colour) > _SAME_COLOUR).any(axis=2).mean(axis=1)


def _scaled(grey: Image.Image, side: int) -> Image.Image:
    """The picture at this short side; a smaller one stays as it is."""
    from PIL import Image as pillow

    scale = side / min(grey.size)
    if scale >= 1:
        return grey
    width, height = (max(1, round(length * scale)) for length in grey.size)
    return grey.resize((width, height), pillow.Resampling.BOX)


def _detail(grey: Image.Image, at_512: float) -> float | None:
    """How much of the sharpness is left at 1024: near 1 in a sharp photograph, below 0.2 in one enlarged from 512."""
    if min(grey.size) < 1000 or at_512 <= 0:
        return None
    return round(tile_sharpness(_scaled(grey, DECODED)) / at_512, 3)


def _clipped(grey: np.ndarray) -> float:
    """Share of fully white pixels; 0 where they are the plain ground: three of the four sides, but not the middle."""
    white = grey >= _FULL_WHITE
    share = float(white.mean())
    if share == 0:
        return 0.0
    rim = max(1, min(grey.shape) // 50)
    sides = (white[:rim], white[-rim:], white[:, :rim], white[:, -rim:])
    height, width = white.shape
    middle = white[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4]
    ground = sum(float(side.mean()) > 0.6 for side in sides) >= 3 and float(middle.mean()) < 0.6
    return 0.0 if ground else share


def _blocks(grey: np.ndarray, small: Small) -> float | None:
    """How much larger steps are over JPEG's 8-pixel edges than between them, the smaller of across and down.

    1 is none. Only in a picture decoded at its own size: shrunk by half, the blocks are as good as gone.
    """
    import cv2
    import numpy as np

    if small.shrunk > 1 or min(grey.shape) < 64:
        return None
    found = []
    for axis, (one, other) in enumerate(((grey[1:], grey[:-1]), (grey[:, 1:], grey[:, :-1]))):
        sums = cv2.reduce(cv2.absdiff(one, other), 1 - axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
        steps = sums.ravel() / grey.shape[1 - axis]
        by_place = steps[: len(steps) // 8 * 8].reshape(-1, 8).mean(axis=0)
        within = float(np.median(by_place[:7]))
        if within < 0.05:
            return None  # flat colours: no steps to compare with
        found.append(float(by_place[7]) / within)
    return round(min(found), 2)


def _thumbnail(image: Image.Image) -> bytes:
    from PIL import Image as pillow

    scale = min(1.0, THUMB / min(image.size), LONGEST_THUMB / max(image.size))
    width, height = (max(1, round(length * scale)) for length in image.size)
    held = io.BytesIO()
    image.resize((width, height), pillow.Resampling.BOX).save(held, "JPEG", quality=90)
    return held.getvalue()
