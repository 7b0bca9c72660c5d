"""One picture's figures, each against another program's answer or a hand-made picture."""

from __future__ import annotations

import io
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from engine.dataset.health.hashing import distance, perceptual_hash
from engine.dataset.health.measure import border, jpeg_quality, measure, tile_sharpness
from engine.dataset.picture import open_small
from engine.errors import DatasetError

WHITE = (255, 255, 255)


@pytest.fixture(scope="module")
def bear(shared_data: Path) -> Image.Image:
    """A sharp photograph of 1024 x 1024."""
    with Image.open(shared_data / "dreambooth" / "bear_plushie" / "04.jpg") as image:
        return image.convert("RGB").resize((1024, 1024), Image.Resampling.LANCZOS)


def figures(image: Image.Image, path: Path, **options: object):
    image.save(path, **options)
    return measure(path, WHITE, path.name).measures


def test_sharpness_is_the_variance_of_opencvs_laplacian(bear: Image.Image) -> None:
    grey = bear.convert("L").resize((512, 512), Image.Resampling.BOX)
    edges = cv2.Laplacian(np.asarray(grey, dtype=np.float32), cv2.CV_32F, ksize=1)[1:-1, 1:-1]
    tiles = [tile for row in np.array_split(edges, 4) for tile in np.array_split(row, 4, axis=1)]
    assert tile_sharpness(grey) == pytest.approx(max(float(tile.var()) for tile in tiles), rel=1e-4)


def test_a_soft_background_is_no_blur(bear: Image.Image, tmp_path: Path) -> None:
    soft = bear.filter(ImageFilter.GaussianBlur(12))
    face = (400, 300, 700, 600)
    soft_ground = soft.copy()
    soft_ground.paste(bear.crop(face), face[:2])
    sharp = figures(bear, tmp_path / "a.png").sharpness
    assert figures(soft, tmp_path / "b.png").sharpness < 40 < 0.1 * sharp
    assert figures(soft_ground, tmp_path / "c.png").sharpness > 20 * 40


def test_the_hash_is_the_published_one(bear: Image.Image) -> None:
    small = bear.convert("L").resize((32, 32), Image.Resampling.LANCZOS, reducing_gap=3.0)
    # OpenCV's DCT is the orthonormal one; in imagehash's (scipy's default) the first row and column weigh more.
    low = cv2.dct(np.asarray(small, dtype=np.float64))[:8, :8]
    low[0] *= math.sqrt(2)
    low[:, 0] *= math.sqrt(2)
    bits = (low > np.median(low)).ravel()
    assert perceptual_hash(bear)[0] == int("".join("01"[bit] for bit in bits.astype(int)), 2)


def test_the_hash_knows_a_picture_again(bear: Image.Image, shared_data: Path) -> None:
    own, mirrored = perceptual_hash(bear)
    saved = io.BytesIO()
    bear.save(saved, "JPEG", quality=60)
    assert distance(own, perceptual_hash(Image.open(saved))[0]) <= 4
    assert distance(mirrored, perceptual_hash(ImageOps.mirror(bear))[0]) <= 2
    with Image.open(shared_data / "dreambooth" / "dog6" / "00.jpg") as other:
        assert distance(own, perceptual_hash(other)[0]) > 16


@pytest.mark.parametrize("quality", [20, 50, 75, 95])
def test_a_jpegs_quality_is_what_it_was_saved_with(bear: Image.Image, quality: int) -> None:
    saved = io.BytesIO()
    bear.resize((256, 256)).save(saved, "JPEG", quality=quality)
    assert jpeg_quality(open_small(saved.getvalue(), 256).luma_table) == pytest.approx(quality, abs=1)


def test_light_is_measured_as_pillow_counts_it(bear: Image.Image, tmp_path: Path) -> None:
    for name, gain in (("dark", 0.08), ("plain", 1.0), ("bright", 4.0)):
        image = bear.point(lambda value, gain=gain: min(255, value * gain))
        found = figures(image, tmp_path / f"{name}.png")
        shades = np.cumsum(image.convert("L").histogram()) / (1024 * 1024)
        assert found.dark == pytest.approx(np.searchsorted(shades, 0.99) / 255, abs=0.002)
        assert found.light == pytest.approx(np.searchsorted(shades, 0.05) / 255, abs=0.002)
        assert found.clipped == pytest.approx(1 - shades[253], abs=1e-4)
    assert found.clipped > 0.3


def test_a_white_ground_is_not_overexposed(bear: Image.Image, tmp_path: Path) -> None:
    studio = Image.new("RGB", (1024, 1024), "white")
    studio.paste(bear.resize((500, 500)), (260, 400))
    found = figures(studio, tmp_path / "studio.png")
    assert found.clipped == 0 and found.border == 0 and found.blank < 0.9


@pytest.mark.parametrize(
    ("box", "sides", "share"),
    [
        ((0, 128, 1024, 896), "above and below", 0.25),
        ((64, 0, 960, 1024), "left and right", 0.125),
        ((51, 51, 973, 973), "all round", 1 - (922 / 1024) ** 2),
    ],
)
def test_bars_and_frames_are_found(bear: Image.Image, box: tuple[int, int, int, int], sides: str, share: float) -> None:
    framed = Image.new("RGB", bear.size, (12, 12, 14))
    framed.paste(bear.crop(box), box[:2])
    saved = io.BytesIO()
    framed.save(saved, "JPEG", quality=85)
    said, found = border(np.asarray(Image.open(saved)))
    assert said == sides and found == pytest.approx(share, abs=0.02)


def test_plain_grounds_stripes_and_skies_are_no_bars(bear: Image.Image) -> None:
    striped = Image.new("RGB", (1024, 1024), (200, 40, 40))
    sky = Image.new("RGB", (1024, 1024), (90, 160, 240))
    draw = ImageDraw.Draw(striped)
    for left in range(128, 1024, 256):
        draw.rectangle((left, 0, left + 127, 1024), fill=(240, 240, 240))
    sky.paste(bear.crop((0, 500, 1024, 1024)), (0, 500))
    for image in (bear, striped, sky):
        assert border(np.asarray(image)) == ("", 0)


def test_a_picture_enlarged_from_half_its_size_is_told(bear: Image.Image, tmp_path: Path) -> None:
    small = bear.resize((512, 512), Image.Resampling.LANCZOS)
    enlarged = figures(small.resize((1024, 1024), Image.Resampling.BICUBIC), tmp_path / "big.png")
    assert enlarged.detail < 0.19 < 0.5 < figures(bear, tmp_path / "sharp.png").detail


def test_blocks_that_were_saved_again_are_seen(shared_data: Path, tmp_path: Path) -> None:
    with Image.open(shared_data / "dreambooth" / "dog6" / "00.jpg") as image:
        dog = image.convert("RGB")
    dog.save(tmp_path / "bad.jpg", quality=20)
    with Image.open(tmp_path / "bad.jpg") as image:
        again = figures(image, tmp_path / "again.png")
    assert again.blocks > 2.3 > figures(dog, tmp_path / "good.png").blocks
    assert again.jpeg_quality is None


def test_one_small_decode_still_proves_the_file_whole(shared_data: Path, tmp_path: Path) -> None:
    data = (shared_data / "dreambooth" / "bear_plushie" / "00.jpg").read_bytes()
    whole = open_small(data, 256)
    assert whole.shrunk == 8 and whole.image.size == (256, 256)
    assert open_small(data, 1024).shrunk == 2
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(DatasetError, match="half.jpg is damaged or cut off"):
        measure(tmp_path / "cut.jpg", WHITE, "half.jpg")


def test_a_turned_picture_is_measured_upright(bear: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    lying = bear.crop((0, 0, 1024, 600)).transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "turned.jpg", quality=95, exif=exif)
    upright = bear.crop((0, 0, 1024, 600))
    upright.save(tmp_path / "upright.jpg", quality=95)
    found = [measure(tmp_path / f"{name}.jpg", WHITE, name).measures.phash for name in ("turned", "upright")]
    assert distance(*found) <= 2
