"""Every format is written with known colours and read back; damaged files give one sentence."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms, ImageOps

from engine.dataset.buckets import BucketRules, fit
from engine.dataset.picture import MAX_PIXELS, PICTURE_SUFFIXES, cut, open_rgb, probe, verify
from engine.errors import DatasetError

pillow_heif.register_heif_opener()

ORANGE, TEAL = (230, 120, 20), (20, 130, 120)
LOSSLESS = {".png": {}, ".bmp": {}, ".tif": {}, ".tiff": {"compression": "tiff_lzw"}, ".webp": {"lossless": True}}
LOSSY = {".jpg": {"quality": 95}, ".jpeg": {"quality": 95}, ".avif": {"quality": 95}, ".heic": {"quality": 95},
         ".heif": {"quality": 95}}  # fmt: skip


def halves(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Orange on the left, teal on the right."""
    image = Image.new("RGB", size, TEAL)
    image.paste(ORANGE, (0, 0, size[0] // 2, size[1]))
    return image


def colours(image: Image.Image) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The colours in the middle of the left and the right half."""
    pixels = np.asarray(image)
    row = pixels.shape[0] // 2
    left, right = pixels[row, image.width // 4], pixels[row, 3 * image.width // 4]
    return tuple(int(v) for v in left), tuple(int(v) for v in right)


def near(found: tuple[int, ...], wanted: tuple[int, ...], within: int) -> bool:
    return all(abs(a - b) <= within for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(("suffix", "options", "within"), [
    *((suffix, options, 0) for suffix, options in LOSSLESS.items()),
    *((suffix, options, 8) for suffix, options in LOSSY.items()),
])  # fmt: skip
def test_every_format_is_read_with_its_colours(tmp_path: Path, suffix: str, options: dict, within: int) -> None:
    path = tmp_path / f"picture{suffix}"
    halves().save(path, **options)
    found = probe(path)
    assert (found.width, found.height, found.frames, found.notes) == (64, 48, 1, ())
    verify(path)
    image = open_rgb(path)
    assert image.mode == "RGB" and image.size == (64, 48)
    left, right = colours(image)
    assert near(left, ORANGE, within) and near(right, TEAL, within)
    assert image.tobytes() == open_rgb(path.read_bytes()).tobytes()


def test_every_suffix_written_above_is_known() -> None:
    assert set(LOSSLESS) | set(LOSSY) <= PICTURE_SUFFIXES


def test_the_phone_pictures_of_the_reference_set_are_mpo(shared_data: Path) -> None:
    path = shared_data / "dreambooth" / "bear_plushie" / "00.jpg"
    found = probe(path)
    assert (found.width, found.height, found.format, found.notes) == (2048, 2048, "MPO", ())
    with Image.open(path) as reference:
        assert open_rgb(path).tobytes() == ImageOps.exif_transpose(reference).convert("RGB").tobytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif", ".heic"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_as_pillow_does(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"turned{suffix}"
    # Four quarters, so that no two orientations look alike.
    image = Image.new("RGB", (64, 32), (250, 10, 10))
    image.paste((10, 250, 10), (32, 0, 64, 16))
    image.paste((10, 10, 250), (0, 16, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == ".webp" else {"quality": 95}
    # As bytes: given as an object, pillow-heif leaves the pixels' own turn out of the file.
    image.save(path, exif=exif.tobytes(), **({} if suffix in {".png", ".tif"} else options))

    plain = Image.Exif()
    plain[0x0112] = orientation
    holder = io.BytesIO()
    image.save(holder, "JPEG", quality=100, subsampling=0, exif=plain)
    wanted = ImageOps.exif_transpose(Image.open(holder)).convert("RGB")

    found, upright = probe(path), open_rgb(path)
    assert (found.width, found.height) == wanted.size == upright.size
    difference = np.abs(np.asarray(upright).astype(int) - np.asarray(wanted).astype(int))
    assert np.median(difference) <= 8 and difference.mean() < 12
    assert upright.getexif().get(0x0112, 1) == 1


def test_orientation_written_after_a_pngs_pixels_is_found(tmp_path: Path) -> None:
    plain = io.BytesIO()
    halves().save(plain, "PNG")
    data = plain.getvalue()
    exif = Image.Exif()
    exif[0x0112] = 6
    body = exif.tobytes().removeprefix(b"Exif\x00\x00")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    path = tmp_path / "late.png"
    path.write_bytes(data[:-12] + chunk + data[-12:])
    assert (probe(path).width, probe(path).height) == (48, 64) == open_rgb(path).size


def test_sixteen_bit_grey_keeps_its_whole_range(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 512).round().astype(np.uint16).reshape(1, 512).repeat(4, axis=0)
    for suffix in (".png", ".tif"):
        path = tmp_path / f"ramp{suffix}"
        Image.fromarray(ramp).save(path)
        read = np.asarray(open_rgb(path))[0, :, 0]
        assert np.abs(read.astype(float) - ramp[0] / 257).max() <= 0.51
        assert "16-bit" in probe(path).notes[0]


def test_sixteen_bit_colour_keeps_its_whole_range(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(">u2")
    rows = np.stack([ramp, ramp[::-1], np.full_like(ramp, 32768)], axis=-1)
    raw = b"".join(b"\x00" + rows.astype(">u2").tobytes() for _ in range(2))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 256, 2, 16, 2, 0, 0, 0)
    path = tmp_path / "deep.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw))
                     + chunk(b"IEND", b""))  # fmt: skip
    read = np.asarray(open_rgb(path))[0].astype(float)
    assert np.abs(read - rows.astype(float) / 257).max() <= 1


def test_one_exact_sixteen_bit_grey_may_be_transparent(tmp_path: Path) -> None:
    values = np.array([[0, 1000, 1001, 65535]], dtype=np.uint16)
    path = tmp_path / "keyed.png"
    Image.fromarray(values).save(path, transparency=1000)
    row = np.asarray(open_rgb(path, (200, 0, 0)))[0]
    assert row.tolist() == [[0, 0, 0], [200, 0, 0], [4, 4, 4], [255, 255, 255]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "RGB", "L"])
def test_transparency_is_flattened_onto_the_background(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "clear.png"
    if mode == "RGBA":
        image = halves().convert("RGBA")
        image.putalpha(Image.composite(Image.new("L", image.size, 255), Image.new("L", image.size, 0), left_mask()))
        image.save(path)
    elif mode in {"LA", "PA"}:
        grey = Image.new("L", (64, 48), 40).convert("LA")
        grey.putalpha(left_mask())
        (grey if mode == "LA" else grey.convert("RGBA").quantize()).save(path)
    elif mode == "P":
        image = Image.new("P", (64, 48), 1)
        image.putpalette([*ORANGE, *TEAL])
        image.paste(0, (0, 0, 32, 48))
        image.save(path, transparency=1)
    else:
        image = halves().convert(mode)
        image.save(path, transparency=image.getpixel((60, 10)))
    left, right = colours(open_rgb(path, background=(1, 2, 3)))
    assert right == (1, 2, 3)
    assert left == ((40, 40, 40) if mode in {"LA", "PA"} else colours(halves().convert("L").convert("RGB"))[0]
                    if mode == "L" else ORANGE)  # fmt: skip
    assert any("transparent" in note for note in probe(path).notes)


def left_mask() -> Image.Image:
    mask = Image.new("L", (64, 48), 0)
    mask.paste(255, (0, 0, 32, 48))
    return mask


def test_half_transparency_mixes(tmp_path: Path) -> None:
    path = tmp_path / "half.webp"
    Image.new("RGBA", (8, 8), (200, 100, 0, 128)).save(path, lossless=True)
    assert near(open_rgb(path, (0, 0, 0)).getpixel((4, 4)), (100, 50, 0), 1)
    assert near(open_rgb(path).getpixel((4, 4)), (228, 178, 127), 1)


def test_black_and_white_and_palette(tmp_path: Path) -> None:
    Image.new("1", (8, 8), 1).save(tmp_path / "one.png")
    assert open_rgb(tmp_path / "one.png").getpixel((3, 3)) == (255, 255, 255)
    halves().quantize(16).save(tmp_path / "palette.png")
    assert colours(open_rgb(tmp_path / "palette.png")) == (ORANGE, TEAL)


def test_cmyk_without_a_profile(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "print.tif")
    assert open_rgb(tmp_path / "print.tif").getpixel((8, 8)) == (255, 0, 0)
    Image.new("CMYK", (16, 16), (255, 0, 255, 0)).save(tmp_path / "print.jpg", quality=100)
    assert near(open_rgb(tmp_path / "print.jpg").getpixel((8, 8)), (0, 255, 0), 4)
    assert "CMYK" in probe(tmp_path / "print.jpg").notes[0]
    verify(tmp_path / "print.jpg")


def cmyk_profile() -> bytes:
    """A minimal ICC profile of inks: a two-point table from CMYK to Lab, in which full cyan is Lab (75, -30, -40)."""
    nodes = bytearray()
    for corner in range(16):
        cyan, magenta, yellow, black = (corner >> 3 & 1, corner >> 2 & 1, corner >> 1 & 1, corner & 1)
        lab = (0, 0, 0) if black else (100 - 25 * (cyan + magenta + yellow), 40 * magenta - 30 * cyan,
                                       60 * yellow - 40 * cyan)  # fmt: skip
        nodes += bytes([round(lab[0] * 255 / 100), lab[1] + 128, lab[2] + 128])
    one = 65536
    table = (b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, one)
             + bytes(range(256)) * 4 + nodes + bytes(range(256)) * 3)  # fmt: skip
    white = struct.pack(">3i", 63190, 65536, 54061)
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"inks\0" + b"\0" * 78,
            b"wtpt": b"XYZ \0\0\0\0" + white, b"cprt": b"text\0\0\0\0none\0", b"A2B0": table}  # fmt: skip
    directory, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        data += b"\0" * (-len(data) % 4)
        directory += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s6H4s28x", 128 + len(directory) + len(body), b"lcms", 0x02400000, b"prtr", b"CMYK",
                         b"Lab ", 2026, 1, 1, 0, 0, 0, b"acsp") + white  # fmt: skip
    return header.ljust(128, b"\0") + directory + body


@pytest.mark.parametrize(("name", "options"), [("print.tif", {}), ("print.jpg", {"quality": 100})])
def test_cmyk_with_a_profile_takes_the_inks_own_colours(tmp_path: Path, name: str, options: dict) -> None:
    image = Image.new("CMYK", (16, 16), (0, 0, 255, 0))
    image.save(tmp_path / name, icc_profile=cmyk_profile(), **options)
    # Full yellow is Lab (75, 0, 60) by D50 in this profile; by the textbook formulas that is this sRGB.
    fy, fx, fz = (75 + 16) / 116, (75 + 16) / 116, (75 + 16) / 116 - 60 / 200
    d50 = np.array([0.9642 * fx**3, fy**3, 0.8249 * (fz**3 if fz > 6 / 29 else 3 * (6 / 29) ** 2 * (fz - 4 / 29))])
    srgb = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    linear = np.clip(np.linalg.solve(srgb, d50), 0, 1)
    wanted = 255 * np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    assert near(open_rgb(tmp_path / name).getpixel((8, 8)), tuple(round(v) for v in wanted), 4)
    assert probe(tmp_path / name).notes == ("CMYK; converted to RGB through its colour profile",)
    assert near(image.convert("RGB").getpixel((8, 8)), (255, 255, 0), 0), "what ignoring the profile would give"


def wide_gamut_profile() -> bytes:
    """A matrix profile with Adobe RGB's primaries and sRGB's white, built from an sRGB profile's bytes."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    primaries = {b"rXYZ": (0.60974, 0.31111, 0.01947), b"gXYZ": (0.20528, 0.62567, 0.06087),
                 b"bXYZ": (0.14919, 0.06322, 0.74457)}  # fmt: skip
    for index in range(struct.unpack_from(">I", data, 128)[0]):
        tag, offset, length = struct.unpack_from(">4sII", data, 132 + 12 * index)
        if tag in primaries:
            struct.pack_into(">3i", data, offset + 8, *(round(v * 65536) for v in primaries[tag]))
        if tag == b"desc":
            named = data[offset : offset + length].replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))
            data[offset : offset + length] = named
    return bytes(data)


def test_a_wide_gamut_profile_is_converted_and_an_unusable_one_ignored(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    colour = (140, 170, 120)
    image = Image.new("RGB", (16, 16), colour)
    image.save(path, icc_profile=wide_gamut_profile())
    found = open_rgb(path)
    # The same green in Adobe RGB's primaries is more saturated in sRGB: worked out with the two 3 x 3 matrices.
    adobe = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
    srgb = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    linear = np.array([((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour])
    mapped = np.clip(np.linalg.solve(srgb, adobe @ linear), 0, 1)
    wanted = 255 * (1.055 * mapped ** (1 / 2.4) - 0.055)
    assert near(found.getpixel((8, 8)), tuple(round(v) for v in wanted), 2)
    assert found.getpixel((8, 8)) != colour
    assert "icc_profile" not in found.info
    image.save(path, icc_profile=b"no profile at all")
    assert open_rgb(path).getpixel((8, 8)) == colour


def test_the_first_frame_of_an_animation_is_used_and_said(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in (ORANGE, TEAL, (0, 0, 0))]
    for name, options in (("a.gif", {}), ("a.webp", {"lossless": True}), ("a.png", {}), ("a.tif", {})):
        path = tmp_path / name
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
        found = probe(path)
        assert found.frames == 3 and any("only the first is used" in note for note in found.notes)
        assert near(open_rgb(path).getpixel((5, 5)), ORANGE, 4)


def test_a_picture_under_another_ending_is_read_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "really.jpg"
    halves().save(path, "PNG")
    found = probe(path)
    assert found.format == "PNG" and found.notes == ("a PNG picture under the ending .jpg; read as PNG",)
    assert colours(open_rgb(path)) == (ORANGE, TEAL)


@pytest.mark.parametrize(("content", "words"), [
    (b"", "is empty (0 bytes)"),
    (b"<!DOCTYPE html><html><body>403</body></html>", "not a picture but a web page"),
    (b"PK\x03\x04" + b"\x00" * 60, "not a picture but a zip archive"),
    (b"\x00\x00\x00\x18ftypisom" + b"\x00" * 60, "not a picture but a video"),
    (b"just some words\n", "not a picture but text"),
    (b"\x00" * 4096, "nothing but zero bytes"),
    (b"<?xml version='1.0'?><svg xmlns='x'/>", "an SVG drawing"),
    (b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR", "damaged or cut off"),
    (b"\xff\xd8\xff\xe0\x00", "damaged or cut off"),
    (bytes(range(256)), "not a picture in any format known here"),
])  # fmt: skip
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "file.jpg"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="file.jpg") as raised:
        probe(path, "file.jpg")
    assert words in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".avif", ".heic", ".gif"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_cut_off_pictures_are_named(tmp_path: Path, suffix: str, kept: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8))
    path = tmp_path / f"cut{suffix}"
    noise.save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DatasetError, match="cut.*(damaged or cut off|cut off)"):
        probe(path)
        verify(path)
    with pytest.raises(DatasetError, match="cut"):
        open_rgb(path)


def test_a_picture_that_has_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="gone.png does not exist"):
        open_rgb(tmp_path / "gone.png")
    with pytest.raises(DatasetError, match="not a regular file"):
        open_rgb(tmp_path)


def bmp_header(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24,
                                                                    0, 0, 0, 0, 0, 0)  # fmt: skip


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("size", "said"), [((20_000, 10_000), "200 megapixels"), ((14_000, 10_000), "140 megapixels")])
def test_huge_pictures_are_refused_with_the_limit(tmp_path: Path, size: tuple[int, int], said: str) -> None:
    path = tmp_path / "huge.bmp"
    path.write_bytes(bmp_header(*size))
    with pytest.raises(DatasetError) as raised:
        probe(path)
    assert said in str(raised.value) and f"{MAX_PIXELS // 10**6}" in str(raised.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_large_phone_picture_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "phone.bmp"
    path.write_bytes(bmp_header(12_000, 9_000))
    assert probe(path).width == 12_000


def test_samples_without_a_stated_white_are_refused(tmp_path: Path) -> None:
    Image.new("F", (8, 8), 0.5).save(tmp_path / "float.tif")
    with pytest.raises(DatasetError, match="32 bits a channel"):
        probe(tmp_path / "float.tif")


def test_a_picture_is_cut_as_its_fit_says() -> None:
    rules = BucketRules(64, 16, 16, 128)
    image = Image.new("RGB", (300, 200), TEAL)
    placed = fit(300, 200, rules)
    assert cut(image, placed).size == placed.bucket
    image.paste((255, 255, 255), (0, 0, 8, 200))  # a strip thinner than what is cut away on the left
    assert placed.crop[0] >= 0
    left, right = colours(cut(halves((300, 200)), placed))
    assert near(left, ORANGE, 2) and near(right, TEAL, 2)
