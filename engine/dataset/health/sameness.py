"""What several pictures of a set share besides the subject: their background, and marks laid over them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.dataset.health.limits import GROUND_ALIKE

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_RIM = 0.14  # of the short side: what is taken for background, left, right and above
_SIDE = 96  # short side at which colours are counted
_ROUGH = 1.1  # of the logarithm: three times as rough is another ground
_ONE_TONE = 1.5  # of a and b, where the lightness is the same: below it a picture has no colours, or one
_PLAIN_ROUGH, _PLAIN_SPREAD = 1.5, 10.0  # roughness, and deviation of L, below which a rim is a wall or a backdrop
# Bins of L, a and b, wide enough that a cloud over the sun does not make another ground.
_BINS = ((0, 100, 6), (-80, 80, 12), (-80, 80, 12))
# Where marks are looked for: (across, down), each from 0 (left, above) to 1, and in the middle.
_PLACES = {
    "lower right": (1.0, 1.0), "lower left": (0.0, 1.0), "upper right": (1.0, 0.0), "upper left": (0.0, 0.0),
    "middle": (0.5, 0.5), "lower edge": (0.5, 1.0), "upper edge": (0.5, 0.0),
}  # fmt: skip
_MARK_AT = 256  # short side of the picture that marks are looked for in
_MARK = (150, 56)  # (width, height) of the part that is looked at
_MARK_ALIKE = 0.3  # correlation of the edges there, from which two pictures carry the same mark
_MARK_ALONE = 0.15  # what the rest of the two pictures may agree in at most
MARK_LEAST = 3  # pictures that must carry it: two may agree by chance


def ground_of(thumbnail: Image.Image) -> np.ndarray:
    """The colours of a picture's rim (left, right and above; the subject often stands on its lower edge).

    Shares over 6 x 12 x 12 bins of CIE L*a*b*, blurred into their neighbours, [864], of length 1.
    """
    return shares_of(_rim_of(thumbnail))


def _rim_of(thumbnail: Image.Image) -> np.ndarray:
    """The rim's pixels, [n, 3], sRGB of 0..255."""
    import numpy as np

    scale = _SIDE / min(thumbnail.size)
    size = tuple(max(_SIDE, round(length * scale)) for length in thumbnail.size)
    pixels = np.asarray(thumbnail.resize((size[0], size[1])), dtype=np.float32)
    rim = round(_SIDE * _RIM)
    parts = (pixels[:rim], pixels[rim : 3 * len(pixels) // 4, :rim], pixels[rim : 3 * len(pixels) // 4, -rim:])
    return np.concatenate([part.reshape(-1, 3) for part in parts])


def shares_of(rgb: np.ndarray) -> np.ndarray:
    """What share of these pixels (sRGB of 0..255, [n, 3]) has which colour, as `ground_of` gives it."""
    import numpy as np

    lab = _lab(rgb)
    shares, _ = np.histogramdd(lab, bins=[count for _, _, count in _BINS], range=[(a, b) for a, b, _ in _BINS])
    for axis in range(3):
        shares = _blurred(shares, axis)
    flat = shares.ravel().astype(np.float32)
    return flat / max(float(np.linalg.norm(flat)), 1e-6)


def roughness_of(thumbnail: Image.Image) -> float:
    """The mean step from pixel to pixel in the rim above: a wall is smooth, grass is not."""
    import numpy as np

    grey = _grey_at(thumbnail, _SIDE)
    rim = round(_SIDE * _RIM)
    return float(np.abs(np.diff(grey[:rim], axis=1)).mean())


def colours_alike(rows: np.ndarray) -> list[int]:
    """The indices of the largest group of `shares_of` rows that agree with its middle one."""
    import numpy as np

    near = rows @ rows.T >= GROUND_ALIKE.amber
    return np.flatnonzero(near[int(near.sum(axis=1).argmax())]).tolist()


def one_ground(thumbnails: Sequence[Image.Image]) -> list[int]:
    """The indices of the largest group of pictures whose backgrounds agree with its middle one.

    In colour, and roughly in how smooth they are. Of a picture in black and white or one tone only a plain ground can
    be told: greys alone make a beach, a street and a lawn alike.
    """
    import numpy as np

    if not thumbnails:
        return []
    rows = np.stack([ground_of(one) for one in thumbnails])
    rough = np.log(np.array([roughness_of(one) for one in thumbnails]) + 0.5)
    near = (rows @ rows.T >= GROUND_ALIKE.amber) & (np.abs(rough[:, None] - rough[None]) < _ROUGH)
    told = np.array([not one_tone(one) or _is_plain(one) for one in thumbnails])
    near &= told[:, None] & told[None]
    return np.flatnonzero(near[int(near.sum(axis=1).argmax())]).tolist()


def one_tone(thumbnail: Image.Image) -> bool:
    """Whether a picture is black and white, or toned (sepia): what is equally light has the same colour."""
    import numpy as np

    lab = _lab(np.asarray(thumbnail.resize((_SIDE, _SIDE)), dtype=np.float32).reshape(-1, 3))
    shade = np.clip(lab[:, 0] // 5, 0, 19).astype(int)
    counts = np.maximum(np.bincount(shade, minlength=20), 1)
    for colour in (lab[:, 1], lab[:, 2]):
        usual = np.bincount(shade, colour, 20) / counts
        if float((colour - usual[shade]).std()) > _ONE_TONE:
            return False
    return True


def _is_plain(thumbnail: Image.Image) -> bool:
    return roughness_of(thumbnail) < _PLAIN_ROUGH and float(_lab(_rim_of(thumbnail))[:, 0].std()) < _PLAIN_SPREAD


def marks(thumbnails: Sequence[Image.Image]) -> dict[str, list[int]]:
    """Which pictures carry the same mark (a watermark, a logo, a date) at which place.

    A mark stands at one place however the pictures differ: its edges agree there and the rest of the pictures does not.
    What stands elsewhere in each picture, or in one or two only, cannot be seen this way.
    """
    import numpy as np

    if len(thumbnails) < MARK_LEAST:
        return {}
    greys = [_grey_at(one, _MARK_AT).astype(np.uint8) for one in thumbnails]
    # The steps of all pictures at all places would be a large memory: they are worked out when they are looked at.
    alike = {
        name: _agreement([_steps(_part(grey, *place)) for grey in greys]) for name, place in _PLACES.items()
    }
    found: dict[str, list[int]] = {}
    for name, place in _PLACES.items():
        # Two frames from one tripod agree everywhere; that is told as one background, not as a mark.
        others = np.stack([alike[other] for other in _PLACES if not _overlap(name, other)])
        pair = (alike[name] >= _MARK_ALIKE) & (np.median(others, axis=0) <= _MARK_ALONE)
        np.fill_diagonal(pair, False)
        middle = int(pair.sum(axis=1).argmax())
        near = np.flatnonzero(pair[middle]).tolist()
        first = _steps(_part(greys[middle], *place))
        members = [at for at in near if _is_mark(first, _steps(_part(greys[at], *place)))]
        if len(members) + 1 >= MARK_LEAST:
            found[name] = sorted([middle, *members])
    return found


def opened(thumbnail: bytes) -> Image.Image:
    """A thumbnail as `engine.dataset.health.measure` made it."""
    from PIL import Image as pillow

    return pillow.open(io.BytesIO(thumbnail)).convert("RGB")


def _lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB of 0..255, [n, 3], as CIE L*a*b* of the D65 white."""
    import numpy as np

    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ matrix.T / np.array([0.9505, 1.0, 1.089])
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def _blurred(shares: np.ndarray, axis: int) -> np.ndarray:
    import numpy as np

    padded = np.pad(shares, [(1, 1) if at == axis else (0, 0) for at in range(3)])
    length = shares.shape[axis]
    before, after = (np.take(padded, range(start, start + length), axis=axis) for start in (0, 2))
    return 0.25 * before + 0.5 * shares + 0.25 * after


def _grey_at(image: Image.Image, side: int) -> np.ndarray:
    import numpy as np

    scale = side / min(image.size)
    width, height = (round(length * scale) for length in image.size)
    return np.asarray(image.convert("L").resize((width, height)), dtype=np.float32)


def _part(grey: np.ndarray, across: float, down: float) -> np.ndarray:
    height, width = grey.shape
    left, top = round((width - _MARK[0]) * across), round((height - _MARK[1]) * down)
    return grey[top : top + _MARK[1], left : left + _MARK[0]]


def _steps(part: np.ndarray) -> np.ndarray:
    """Steps across and down, [2, height, width]; strong ones are held back so that no single edge decides."""
    import numpy as np

    grey = part.astype(np.float32)
    steps = np.stack([grey[1:, 1:] - grey[1:, :-1], grey[1:, 1:] - grey[:-1, 1:]])
    return np.clip(steps, -24, 24)


def _agreement(fields: Sequence[np.ndarray]) -> np.ndarray:
    """The cosine of every two pictures' steps, [n, n]."""
    import numpy as np

    rows = np.stack([field.ravel() for field in fields]).astype(np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-3)
    return rows @ rows.T


def _is_mark(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether what two parts share looks like writing or a sign: edges both ways, and all of it inside the part.

    The line of a floor or the stripes of a wall, which also stand at one place, run out of it.
    """
    import numpy as np

    shared = (one * other > 0) & (np.minimum(np.abs(one), np.abs(other)) > 5)
    strength = (np.minimum(np.abs(one), np.abs(other)) * shared).sum(axis=(1, 2))
    both_ways = strength.min() >= 0.2 * strength.sum()
    any_way = shared.any(axis=0)
    rim = any_way.copy()
    rim[2:-2, 2:-2] = False
    return bool(both_ways and any_way.sum() >= 40 and rim.sum() <= 0.05 * any_way.sum())


def _overlap(one: str, other: str) -> bool:
    """Whether the parts at two places may share pixels in a square picture."""
    (x, y), (u, v) = _PLACES[one], _PLACES[other]
    return abs(x - u) < 0.6 and abs(y - v) < 0.2
