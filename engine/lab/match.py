"""How well one object is drawn, by laying its true drawing over a picture: no network, nothing learnt.

The painter knows the drawing that a LoRA was to learn, so the truth about a picture can be had from its pixels. The
judge (`engine.lab.judge`) was trained to name objects and is generous to a clumsy one: of drawings with a known share
spoiled, this tells the less spoiled one more surely (`python -m engine.lab.damage`).

Its limits: it is a template. A drawing that is turned by ten degrees or mirrored loses as much as one that is spoiled
(.91 and .96 of a fox), and a patch of the right colour has most of it (.82), so its figures mean something between the
base's and those of true pictures only.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from engine.lab.scenes import Style
from engine.lab.sprites import drawn

_SIDES = range(24, 53, 3)  # pixels of the drawing in a picture of 64: the painter's own are 27 to 47
_STEP = 2  # pixels between the places that are tried first; then those about the best
_ABOUT = 2


def match(picture: Image.Image, name: str, style: Style = Style.FLAT) -> float:
    """1 less the mean difference of colour (0 to 1) inside the drawing's outline, at the size and place that fit best.

    The picture is of the base's native size. 1 is the drawing itself; what is outside its outline does not count.
    Sizes are tried in steps and refined about the best: on soft pictures, such as the base draws, that is within .01 of
    trying all; on sharp ones it may be .05 less.
    """
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
    best = max((_fit(pixels, name, style, side, _STEP) for side in _SIDES), key=lambda found: found[0])
    _, side, top, left = best
    near = range(max(_SIDES[0], side - _ABOUT), min(_SIDES[-1], side + _ABOUT) + 1)
    window = pixels[max(0, top - _ABOUT) :, max(0, left - _ABOUT) :]
    finer = [_fit(window[: one + 2 * _ABOUT + 1, : one + 2 * _ABOUT + 1], name, style, one, 1) for one in near]
    return max(best[0], *(found[0] for found in finer))


def _fit(pixels: np.ndarray, name: str, style: Style, side: int, step: int) -> tuple[float, int, int, int]:
    """The best match of the drawing at this size: (match, side, top, left)."""
    if min(pixels.shape[:2]) < side:
        return -1.0, side, 0, 0
    drawing = np.asarray(drawn(name, style, side), dtype=np.float32) / 255
    inside = drawing[..., 3] / drawing[..., 3].sum()
    windows = sliding_window_view(pixels, (*drawing.shape[:2], 3))[::step, ::step, 0]
    differs = (np.abs(windows - drawing[..., :3]).mean(axis=-1) * inside).sum(axis=(-1, -2))
    top, left = np.unravel_index(int(differs.argmin()), differs.shape)
    return 1 - float(differs[top, left]), side, int(top) * step, int(left) * step
