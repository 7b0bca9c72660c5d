"""Aspect-ratio buckets: no picture is squared, each is trained in the shape nearest to its own."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from engine.errors import DatasetError
from engine.plan import Pictures

Shape = tuple[int, int]  # (width, height) in pixels


@dataclass(frozen=True)
class BucketRules:
    """What shapes pictures may be trained in; all in pixels.

    `resolution` is the side of the square whose area no bucket exceeds; `step` divides every side.
    """

    resolution: int
    step: int
    min_side: int
    max_side: int
    enabled: bool = True  # off: every picture is cut to one square, and the loss is reported like any other
    upscale: bool = False


@dataclass(frozen=True)
class Fit:
    """How one picture becomes its bucket: scaled by `scale` to `resized`, then cut at `crop`.

    `bucket` and `resized` are (width, height); `crop` is (left, top) measured in the resized picture;
    `loss` is the share of the picture's area that the cut takes away, 0 to 1.
    """

    bucket: Shape
    resized: Shape
    crop: tuple[int, int]
    loss: float
    scale: float


@dataclass(frozen=True)
class SizeConditioning:
    """SDXL's size conditioning, in the order of its six numbers: (height, width), (top, left), (height, width).

    `original` is the file's own size after EXIF orientation, `crop` the true offset in the resized picture,
    `target` the bucket (Podell et al. 2023, section 2.2).
    """

    original: tuple[int, int]
    crop: tuple[int, int]
    target: tuple[int, int]

    @property
    def time_ids(self) -> tuple[int, int, int, int, int, int]:
        return (*self.original, *self.crop, *self.target)


def bucket_rules(pictures: Pictures, native_resolution: int = 1024, native_step: int = 64) -> BucketRules:
    """The plan's bucket settings with "auto" filled in from the base: sides from a quarter to twice its own.

    SDXL accepts 256 to 2048 pixels a side; a picture smaller than 512 then still trains at its own size.
    """
    resolution = native_resolution if pictures.resolution == "auto" else int(pictures.resolution)
    step = native_step if pictures.bucket_step == "auto" else int(pictures.bucket_step)
    shortest = max(step, resolution // 4 // step * step)
    return BucketRules(
        resolution=resolution,
        step=step,
        min_side=shortest if pictures.min_side == "auto" else int(pictures.min_side),
        max_side=resolution * 2 if pictures.max_side == "auto" else int(pictures.max_side),
        enabled=pictures.bucketing,
        upscale=pictures.upscale,
    )


@functools.cache
def bucket_shapes(rules: BucketRules) -> tuple[Shape, ...]:
    """All bucket shapes, narrowest first: for each width the largest height that keeps the area, and the reverse.

    Raises DatasetError where the bounds leave no shape.
    """
    if not rules.enabled:
        side = _down(min(rules.resolution, rules.max_side), rules.step)
        if side < max(rules.min_side, 1):
            raise _no_shape(rules)
        return ((side, side),)
    shapes = _maximal_shapes(rules, rules.max_side, rules.max_side)
    if not shapes:
        raise _no_shape(rules)
    return shapes


def fit(width: int, height: int, rules: BucketRules) -> Fit:
    """The bucket of a picture of this size (upright), nearest in the logarithm of the aspect ratio.

    The picture is scaled to cover its bucket and the overhang is cut evenly on both sides. Unless `rules.upscale`,
    a picture that does not cover its bucket gets the largest shape of its own proportions that it does cover.
    Raises DatasetError for a picture with a side below the smallest bucket side.
    """
    bucket = _nearest(width, height, bucket_shapes(rules))
    if not rules.upscale and (bucket[0] > width or bucket[1] > height):
        bucket = _nearest(width, height, _own_shapes(width, height, rules))
    return _covering(width, height, bucket)


def conditioning(placed: Fit, original: tuple[int, int], flipped: bool = False) -> SizeConditioning:
    """The size conditioning of a fitted picture; `original` is (height, width) of the file after orientation.

    A mirrored picture is cut out of the mirrored whole, so its left offset is counted from the other side.
    """
    left, top = placed.crop
    if flipped:
        left = placed.resized[0] - placed.bucket[0] - left
    return SizeConditioning(original, (top, left), (placed.bucket[1], placed.bucket[0]))


def _maximal_shapes(rules: BucketRules, max_width: int, max_height: int) -> tuple[Shape, ...]:
    area, step = rules.resolution**2, rules.step
    smallest = _smallest_side(rules)
    found: set[Shape] = set()
    for width in range(smallest, max_width + 1, step):
        height = _down(min(max_height, area // width), step)
        if height >= smallest:
            found.add((width, height))
    for height in range(smallest, max_height + 1, step):
        width = _down(min(max_width, area // height), step)
        if width >= smallest:
            found.add((width, height))
    return tuple(sorted(found, key=lambda shape: (shape[0] / shape[1], shape)))


@functools.lru_cache(maxsize=4096)
def _own_shapes(width: int, height: int, rules: BucketRules) -> tuple[Shape, ...]:
    """The shapes a small picture covers as it is: the same rule, bounded by its own size."""
    if not rules.enabled:
        side = _down(min(width, height, rules.resolution, rules.max_side), rules.step)
        shapes: tuple[Shape, ...] = ((side, side),) if side >= _smallest_side(rules) else ()
    else:
        shapes = _maximal_shapes(rules, min(width, rules.max_side), min(height, rules.max_side))
    if not shapes:
        raise DatasetError(
            f"{width} x {height} pixels is smaller than the smallest bucket side of {_smallest_side(rules)}: "
            "find a larger copy, leave it out, lower pictures.min_side, or set pictures.upscale = true."
        )
    return shapes


def _nearest(width: int, height: int, shapes: tuple[Shape, ...]) -> Shape:
    aspect = math.log(width / height)
    # Of shapes equally near, the larger one; rounding makes mirrored pictures choose mirrored buckets.
    return min(
        shapes, key=lambda shape: (round(abs(math.log(shape[0] / shape[1]) - aspect), 9), -shape[0] * shape[1], shape)
    )


def _covering(width: int, height: int, bucket: Shape) -> Fit:
    across, down = bucket
    if across * height >= down * width:
        resized = (across, max(down, _rounded(height * across, width)))
        scale = across / width
    else:
        resized = (max(across, _rounded(width * down, height)), down)
        scale = down / height
    crop = ((resized[0] - across) // 2, (resized[1] - down) // 2)
    return Fit(bucket, resized, crop, 1 - across * down / (resized[0] * resized[1]), scale)


def _smallest_side(rules: BucketRules) -> int:
    return max(1, -(-rules.min_side // rules.step)) * rules.step


def _down(side: int, step: int) -> int:
    return side // step * step


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _no_shape(rules: BucketRules) -> DatasetError:
    return DatasetError(
        f"no bucket has sides of {rules.min_side} to {rules.max_side} in steps of {rules.step} within "
        f"{rules.resolution} x {rules.resolution} pixels: widen pictures.min_side or pictures.max_side."
    )
