"""Quality as a veto: whether a checkpoint's pictures are burnt, blown out, flat or noisy against the base's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.select.cells import Grid
from engine.select.families import NOVEL

STATISTICS = ("saturation", "clipping", "contrast", "detail")
LIMIT = 3.0  # standard deviations of the base's pictures
# The least spread taken for the base: twelve near-equal pictures must not make a small change a large one.
_LEAST_SPREAD = np.array([0.02, 0.01, 0.02, 0.25])


@dataclass(frozen=True, eq=False)
class Quality:
    """z of each statistic, [points, 4]: the mean change of a picture, in standard deviations of the base's pictures.

    What lies between the base and the photographs is no change: a smooth subject makes smooth pictures.
    """

    z: np.ndarray

    def veto(self, point: int) -> str | None:
        """The statistic that rules this point out, as a person would say it; None where none does."""
        worst = int(np.abs(self.z[point]).argmax())
        if not abs(self.z[point, worst]) > LIMIT:
            return None
        more, less = _WORDS[STATISTICS[worst]]
        return more if self.z[point, worst] > 0 else less


_WORDS = {
    "saturation": ("its colours are burnt", "its colours are washed out"),
    "clipping": ("large areas are pure black or white", "its darks and lights are gone"),
    "contrast": ("its contrast is far too hard", "its pictures are flat"),
    "detail": ("its pictures are noisy or over-sharp", "its pictures are blurred"),
}


def pixel_statistics(pixels: np.ndarray) -> np.ndarray:
    """The four statistics of one picture, uint8 [h, w, 3]: float [4] in the order of `STATISTICS`.

    Mean HSV saturation, share of pixels at pure black or white, standard deviation of luma, log of the energy of its
    Laplacian. A picture of one colour throughout (a filter's black) is nan: nothing was drawn.
    """
    values = np.asarray(pixels, dtype=np.float32) / 255
    brightest, darkest = values.max(axis=-1), values.min(axis=-1)
    if brightest.max() - darkest.min() < 2 / 255:
        return np.full(len(STATISTICS), np.nan)
    saturation = (brightest - darkest) / np.maximum(brightest, 1e-6)
    clipped = (brightest <= 2 / 255) | (darkest >= 253 / 255)
    luma = values @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * luma[1:-1, 1:-1]
    energy = np.log(float((laplacian**2).mean()) + 1e-8) if laplacian.size else np.log(1e-8)
    return np.array([saturation.mean(), clipped.mean(), luma.std(), energy], dtype=float)


def quality(pixels: np.ndarray, grid: Grid, real: np.ndarray | None = None) -> Quality:
    """Every point's statistics against the base's, on the prompts that are neither class words nor captions.

    real: [photographs, 4], what the photographs themselves have; None where there are none.
    """
    slots = grid.slots_of(NOVEL)
    slots = slots if len(slots) else np.arange(len(grid.slots))
    values = pixels[grid.rows[:, slots]]
    whole = np.isfinite(values).all(axis=(0, 2))
    if not whole.any():
        return Quality(np.zeros((len(grid.points), len(STATISTICS))))
    values = values[:, whole]
    spread = np.maximum(values[0].std(axis=0, ddof=1) if values.shape[1] > 1 else 0.0, _LEAST_SPREAD)
    z = (values - values[:1]).mean(axis=1) / spread
    if real is None or not np.isfinite(real).all(axis=1).any():
        return Quality(z)
    towards = (np.nanmean(real, axis=0) - values[0].mean(axis=0)) / spread
    return Quality(z - np.clip(z, np.minimum(towards, 0), np.maximum(towards, 0)))


def blank_share(pixels: np.ndarray, grid: Grid) -> np.ndarray:
    """The share of each point's pictures that are one colour throughout: [points]."""
    return np.isnan(pixels[grid.rows]).all(axis=2).mean(axis=1)
