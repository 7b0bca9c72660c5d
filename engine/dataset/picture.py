"""One picture file: what its header says, and its pixels as plain upright sRGB."""

from __future__ import annotations

import functools
import io
import math
import re
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from engine.dataset.sniff import HEAD_BYTES, other_kind, picture_kind
from engine.errors import DatasetError, shown

if TYPE_CHECKING:
    from PIL import Image

    from engine.dataset.buckets import Fit

# The formats a training picture may have, and the endings each goes by.
SUFFIXES_OF: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "MPO": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif", ".avifs"),
    "HEIF": (".heic", ".heif", ".hif"),
    "GIF": (".gif",),
}
PICTURE_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES_OF.values() for suffix in suffixes)

# More is a stitched panorama or a decompression bomb; the largest phone pictures in daily use have 108 megapixels.
MAX_PIXELS = 120_000_000

_ORIENTATION = 0x0112
# What Pillow's decoders raise on damaged data: each plugin has its own idea, so they are all named here.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError,
           RuntimeError, OverflowError, MemoryError)  # fmt: skip


@dataclass(frozen=True)
class Probe:
    """What a picture's header says. `width` and `height` are in pixels, after EXIF orientation."""

    width: int
    height: int
    format: str  # as the content says: "JPEG", "MPO", "PNG" ...
    mode: str  # Pillow's name of the pixel layout
    frames: int
    notes: tuple[str, ...]


def probe(path: str | Path, name: str | None = None) -> Probe:
    """Reads a picture's header only. `name` is what errors call the file (default: its path).

    Raises DatasetError with one sentence for a file that is empty, unreadable, not a picture or above MAX_PIXELS.
    A picture under another format's ending is accepted with a note.
    """
    called = shown(path if name is None else name)
    with _opened(path, called) as image:
        width, height = _upright_size(image)
        frames = int(getattr(image, "n_frames", 1))
        return Probe(width, height, str(image.format), image.mode, frames, _notes(image, Path(path).suffix, frames))


def open_rgb(
    source: str | Path | bytes, background: tuple[int, int, int] = (255, 255, 255), name: str | None = None
) -> Image.Image:
    """The whole picture, decoded, upright, as 8-bit sRGB with transparency flattened onto `background`.

    Embedded colour profiles (CMYK, Display P3, Adobe RGB) are converted to sRGB; 16 bits a channel are scaled to 8.
    Raises DatasetError naming the file (or `name`) where `probe` would, and for damaged or cut-off data.
    """
    from engine.dataset.colours import to_rgb

    called = shown(name if name is not None else "picture data" if isinstance(source, bytes) else source)
    with _opened(source, called) as image:
        turn = _transposition(image)
        image.load()
        return to_rgb(image if turn is None else image.transpose(turn), background)


def verify(path: str | Path, name: str | None = None) -> None:
    """Decodes every byte once, as cheaply as the format allows; raises DatasetError for cut-off or damaged data."""
    called = shown(path if name is None else name)
    with _opened(path, called) as image:
        if image.format in {"JPEG", "MPO"}:
            # At an eighth of the size the entropy coding is still read to its end, the costly rest is not done.
            image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()


@dataclass(frozen=True)
class Small:
    """A picture decoded no larger than it was needed: upright 8-bit RGB, `shrunk` times smaller than the file's pixels.

    `luma_table` are a JPEG's 64 luminance quantisation steps, by which its quality is known; None for other formats.
    """

    image: Image.Image
    shrunk: int
    luma_table: tuple[int, ...] | None


def open_small(
    source: str | Path | bytes,
    side: int,
    background: tuple[int, int, int] = (255, 255, 255),
    name: str | None = None,
) -> Small:
    """Decodes every byte, as `verify` does, and gives what was decoded: a JPEG shrunk 1, 2, 4 or 8 times.

    The short side of what comes back is at least `side`, where the picture has that many pixels. A colour profile is
    applied only where the colours would be wrong without it (CMYK): what is measured here does not depend on it.
    """
    from engine.dataset.colours import to_rgb

    called = shown(name if name is not None else "picture data" if isinstance(source, bytes) else source)
    with _opened(source, called) as image:
        turn = _transposition(image)
        width, tables = image.width, getattr(image, "quantization", None) or {}
        if image.format in {"JPEG", "MPO"}:
            by = max(1.0, min(image.size) / side)
            image.draft(None, (math.ceil(image.width / by), math.ceil(image.height / by)))
        image.load()
        if image.mode == "RGB":
            image.info.pop("icc_profile", None)
        upright = image if turn is None else image.transpose(turn)
        # Nothing to convert: not copied either.
        rgb = upright if upright.mode == "RGB" and not upright.has_transparency_data else to_rgb(upright, background)
        luma = tuple(tables[0]) if image.format in {"JPEG", "MPO"} and 0 in tables else None
        return Small(rgb, max(1, round(width / image.width)), luma)


def cut(image: Image.Image, fit: Fit) -> Image.Image:
    """The picture resized and cropped to its bucket as `engine.dataset.buckets.fit` decided."""
    from PIL import Image as pillow

    if image.size != fit.resized:
        image = image.resize(fit.resized, pillow.Resampling.LANCZOS)
    left, top = fit.crop
    return image.crop((left, top, left + fit.bucket[0], top + fit.bucket[1]))


@contextmanager
def _opened(source: str | Path | bytes, called: str) -> Iterator[Image.Image]:
    """The picture with its header read; what goes wrong inside, too, becomes one sentence."""
    try:
        stream = io.BytesIO(source) if isinstance(source, bytes) else _file(source, called)
    except FileNotFoundError as error:
        raise DatasetError(f"{called} does not exist any more: put it back, or leave it out.") from error
    except OSError as error:
        raise DatasetError(
            f"{called} cannot be read ({_reason(error)}): give this user the right to read it, or leave it out."
        ) from error
    with stream:
        head = stream.read(HEAD_BYTES)
        stream.seek(0)
        if not head:
            raise DatasetError(f"{called} is empty (0 bytes): copy it again from its source, or delete it.")
        try:
            with _decoder(stream, head, called) as image:
                _check_size(image.width * image.height, called, f"{image.width} x {image.height}")
                if image.mode in {"I", "F"}:
                    raise DatasetError(
                        f"{called} has 32 bits a channel without saying what is white: "
                        "save it with 8 or 16 bits a channel."
                    )
                yield image
        except _pillow().DecompressionBombError as error:
            found = re.search(r"\((\d+) pixels\)", str(error))
            _check_size(int(found[1]) if found else MAX_PIXELS + 1, called, "")
        except _BROKEN as error:
            raise DatasetError(
                f"{called} is damaged or cut off ({_reason(error)}): copy it again from its source, or leave it out."
            ) from error


def _file(path: str | Path, called: str) -> BinaryIO:
    # Asked first: opening a pipe that is named like a picture would wait for ever.
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise DatasetError(f"{called} is not a regular file: leave it out.")
    return Path(path).open("rb")


def _decoder(stream: BinaryIO, head: bytes, called: str) -> Image.Image:
    pillow = _pillow()
    kind = picture_kind(head)
    # Only the formats named above are tried: Pillow's other plugins start programs or read rarely tested formats.
    formats = [name for name in SUFFIXES_OF if name not in {"MPO", "HEIF"}]
    if kind == "HEIF":
        _register_heif()
        formats = ["HEIF"]
    try:
        return pillow.open(stream, formats=formats)
    except pillow.UnidentifiedImageError:
        pass
    if kind:
        raise DatasetError(f"{called} starts as a {kind} picture but its header is damaged or cut off: "
                           "copy it again from its source, or leave it out.")  # fmt: skip
    holds = other_kind(head)
    raise DatasetError(
        f"{called} is not a picture but {holds}: remove it, or export it as JPEG or PNG."
        if holds
        else f"{called} is not a picture in any format known here: export it as JPEG or PNG, or remove it."
    )


def _check_size(pixels: int, called: str, sides: str) -> None:
    if pixels > MAX_PIXELS:
        size = f"{pixels / 1e6:,.0f} megapixels" + (f" ({sides})" if sides else "")
        raise DatasetError(
            f"{called} has {size}, more than the {MAX_PIXELS / 1e6:.0f} that are read: "
            "scale it down to 4 to 20 megapixels; training needs no more."
        )


def _reason(error: BaseException) -> str:
    return shown(getattr(error, "strerror", None) or str(error) or type(error).__name__)


@functools.cache
def _pillow():
    from PIL import Image

    # The size is checked against MAX_PIXELS here, with a sentence; Pillow's own warning would only be noise.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    return Image


@functools.cache
def _register_heif() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()


def _upright_size(image: Image.Image) -> tuple[int, int]:
    return (image.height, image.width) if _orientation(image) >= 5 else (image.width, image.height)


def _transposition(image: Image.Image) -> Image.Transpose | None:
    from PIL.Image import Transpose

    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(_orientation(image))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation still to be applied, 1 to 8; read without decoding any pixel."""
    if image.format == "TIFF":
        return 1  # Pillow turns TIFFs itself when it loads them, and gives their size after turning
    if image.format == "PNG" and "exif" not in image.info:
        # PngImageFile.getexif would decode the whole picture to find a block written after the pixels.
        late = _exif_after_pixels(image.fp)  # type: ignore[attr-defined]
        if late:
            image.info["exif"] = late
        exif = _pillow().Image.getexif(image)
    else:
        exif = image.getexif()
    value = exif.get(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _exif_after_pixels(stream: BinaryIO) -> bytes | None:
    """A PNG's eXIf block behind its pixels (ExifTool writes it there), found by hopping from block to block."""
    place = stream.tell()
    try:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return b"Exif\x00\x00" + stream.read(min(length, 1 << 20))
            if kind == b"IEND":
                return None
            stream.seek(length + 4, io.SEEK_CUR)
        return None
    finally:
        stream.seek(place)


def _notes(image: Image.Image, suffix: str, frames: int) -> tuple[str, ...]:
    notes = []
    form = str(image.format)
    if suffix.lower() in PICTURE_SUFFIXES and suffix.lower() not in SUFFIXES_OF[form]:
        notes.append(f"a {form} picture under the ending {shown(suffix)}; read as {form}")
    # An MPO's or HEIF's further frames are depth maps and second views of the same moment: nothing to say.
    if frames > 1 and form not in {"MPO", "HEIF"}:
        what = "pages" if form == "TIFF" else "frames"
        notes.append(f"has {frames} {what}; only the first is used")
    if image.mode == "CMYK":
        notes.append(
            "CMYK; converted to RGB" + (" through its colour profile" if image.info.get("icc_profile") else "")
        )
    if image.mode.startswith("I"):
        notes.append("16-bit grey; scaled to 8 bits")
    if image.has_transparency_data:
        notes.append("transparent; flattened onto the plan's background colour")
    return tuple(notes)
