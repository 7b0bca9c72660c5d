"""Bucket shapes against a brute-force enumeration; fits and size conditioning against hand-computed cases."""

from __future__ import annotations

import math
import random

import pytest

from engine.dataset.buckets import BucketRules, bucket_shapes, conditioning, fit
from engine.errors import DatasetError

SDXL = BucketRules(1024, 64, 512, 2048)


def enumerated(rules: BucketRules) -> set[tuple[int, int]]:
    """Every shape within the bounds and the area that cannot grow by a step on at least one side."""
    sides = [side for side in range(rules.step, rules.max_side + 1, rules.step) if side >= rules.min_side]
    area = rules.resolution**2
    fits = {(w, h) for w in sides for h in sides if w * h <= area}
    return {(w, h) for w, h in fits if (w + rules.step, h) not in fits or (w, h + rules.step) not in fits}


@pytest.mark.parametrize(("rules", "count"), [
    # The counts that existing trainers have for these bounds at 1024 x 1024.
    (BucketRules(1024, 64, 256, 2048), 41),
    (BucketRules(1024, 64, 256, 1024), 25),
    (BucketRules(1024, 64, 512, 2048), 33),
    (BucketRules(1024, 64, 640, 1536), 17),
    (BucketRules(768, 64, 384, 1536), None),
    (BucketRules(1024, 32, 500, 2000), None),
    (BucketRules(64, 8, 32, 128), None),
])  # fmt: skip
def test_shapes_are_all_the_maximal_ones(rules: BucketRules, count: int | None) -> None:
    shapes = bucket_shapes(rules)
    assert set(shapes) == enumerated(rules) and len(set(shapes)) == len(shapes)
    assert count is None or len(shapes) == count
    assert {(h, w) for w, h in shapes} == set(shapes)


def test_a_picture_at_three_to_four_is_not_squared() -> None:
    placed = fit(3000, 4000, SDXL)
    assert placed.bucket == (896, 1152)
    # 4000 x 896/3000 = 1194.67 -> 1195 rows, of which 1152 are kept, 21 cut above and 22 below.
    assert placed.resized == (896, 1195) and placed.crop == (0, 21)
    assert placed.loss == pytest.approx(43 / 1195) and placed.scale == pytest.approx(896 / 3000)


def test_conditioning_of_a_forced_square() -> None:
    placed = fit(3000, 4000, BucketRules(1024, 64, 512, 2048, enabled=False))
    assert placed.bucket == (1024, 1024) and placed.resized == (1024, 1365)
    assert placed.loss == pytest.approx(1 - 1024 / 1365)
    size = conditioning(placed, (4000, 3000))
    assert size.time_ids == (4000, 3000, 170, 0, 1024, 1024)


def test_conditioning_of_a_landscape_and_its_mirror() -> None:
    placed = fit(4000, 3000, BucketRules(1024, 64, 512, 2048, enabled=False))
    assert placed.resized == (1365, 1024) and placed.crop == (170, 0)
    assert conditioning(placed, (3000, 4000)).time_ids == (3000, 4000, 0, 170, 1024, 1024)
    # 341 columns are cut, 170 left and 171 right; mirrored, the 171 are on the left.
    assert conditioning(placed, (3000, 4000), flipped=True).time_ids == (3000, 4000, 0, 171, 1024, 1024)


def test_an_exact_picture_loses_nothing() -> None:
    placed = fit(1024, 1024, SDXL)
    assert (placed.resized, placed.crop, placed.loss, placed.scale) == ((1024, 1024), (0, 0), 0, 1)


@pytest.mark.parametrize(("size", "bucket"), [
    ((855, 855), (832, 832)),  # no square of 1024 without enlarging
    ((1030, 1020), (960, 960)),  # a hair short of the bucket: its own shape, not a cut of 60 rows
    ((600, 900), (576, 896)),
    ((512, 512), (512, 512)),
    ((700, 3000), (512, 2048)),
])  # fmt: skip
def test_small_pictures_are_not_enlarged(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    placed = fit(*size, SDXL)
    assert placed.bucket == bucket and placed.scale <= 1
    enlarged = fit(*size, BucketRules(1024, 64, 512, 2048, upscale=True))
    assert enlarged.bucket in bucket_shapes(SDXL)


def test_too_small_a_picture_is_named_with_its_size() -> None:
    with pytest.raises(DatasetError, match="300 x 900 pixels is smaller than the smallest bucket side of 512"):
        fit(300, 900, SDXL)
    assert fit(300, 900, BucketRules(1024, 64, 512, 2048, upscale=True)).scale > 1


def test_bounds_without_a_shape_are_named() -> None:
    with pytest.raises(DatasetError, match="no bucket has sides"):
        bucket_shapes(BucketRules(512, 64, 1024, 2048))


def test_any_picture_covers_its_bucket_and_mirrors_alike() -> None:
    chance = random.Random(3)
    for _ in range(600):
        width, height = chance.randint(512, 6000), chance.randint(512, 6000)
        rules = BucketRules(chance.choice([512, 768, 1024]), chance.choice([8, 32, 64]), 256, 2048)
        placed = fit(width, height, rules)
        (bw, bh), (rw, rh), (left, top) = placed.bucket, placed.resized, placed.crop
        assert bw % rules.step == bh % rules.step == 0 and bw * bh <= rules.resolution**2
        assert rw >= bw and rh >= bh and (rw == bw or rh == bh)
        assert 0 <= rw - bw - 2 * left <= 1 and 0 <= rh - bh - 2 * top <= 1
        assert placed.scale <= 1 and bw <= width and bh <= height
        assert abs(rw - width * placed.scale) <= 1 and abs(rh - height * placed.scale) <= 1
        assert placed.loss == pytest.approx(1 - bw * bh / (rw * rh))
        turned = fit(height, width, rules)
        assert turned.bucket[0] * turned.bucket[1] == bw * bh
        # No bucket that the picture covers is nearer to its shape.
        aspect = math.log(width / height)
        nearest = min(abs(math.log(w / h) - aspect) for w, h in bucket_shapes(rules) if w <= width and h <= height) \
            if any(w <= width and h <= height for w, h in bucket_shapes(rules)) else math.inf  # fmt: skip
        assert abs(math.log(bw / bh) - aspect) <= nearest + 1e-8
