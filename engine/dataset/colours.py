"""From any pixel layout and colour profile to 8-bit sRGB."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from PIL import ImageCms

# The colour space a profile must be for, by the layout of the pixels it comes with.
_SPACE_OF = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}


def to_rgb(image: Image.Image, background: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """A decoded picture as RGB: deep grey scaled, profile applied, transparency flattened onto `background`."""
    image = _eight_bits(image)
    alpha = None
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        alpha = rgba.getchannel("A")
        image = _without_profile_loss(rgba, image)
    rgb = _in_srgb(image)
    rgb.info = {}  # the profile is applied: saved again, it must not be applied twice
    if alpha is None:
        return rgb
    return Image.composite(rgb, Image.new("RGB", rgb.size, background), alpha)


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey to 8 bits: 65535 is white (Pillow's own conversion clips everything above 255)."""
    if not image.mode.startswith("I;16"):
        return image
    key = image.info.get("transparency")
    wide = image.convert("I")
    grey = wide.point(lambda value: value * (1 / 257) + 0.5).convert("L")
    grey.info = {name: value for name, value in image.info.items() if name != "transparency"}
    if not isinstance(key, int):
        return grey
    # A PNG may name one exact 16-bit grey as transparent.
    above = wide.point(lambda value: value * 1 - (key - 1)).convert("L").point(lambda value: 255 * (value == 1))
    result = grey.convert("LA")
    result.putalpha(above.point(lambda value: 255 - value))
    return result


def _without_profile_loss(rgba: Image.Image, original: Image.Image) -> Image.Image:
    """The colour part of a transparent picture, in grey where the file's profile is one for grey."""
    colour = rgba.convert("L" if original.mode in {"L", "LA", "La"} else "RGB")
    colour.info = dict(original.info)
    colour.info.pop("transparency", None)
    return colour


def _in_srgb(image: Image.Image) -> Image.Image:
    if image.mode in {"P", "PA", "1", "YCbCr", "HSV"}:
        profile = image.info.get("icc_profile")
        image = image.convert("L" if image.mode == "1" else "RGB")
        image.info["icc_profile"] = profile
    profile = _profile(image.info.get("icc_profile"), _SPACE_OF.get(image.mode))
    if profile is None:
        return image.convert("RGB")
    from PIL import ImageCms

    try:
        converted = ImageCms.profileToProfile(
            image, profile, _srgb(), renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
    except ImageCms.PyCMSError:
        # A profile that opens but cannot be used: every viewer falls back to the plain colours, and so does this.
        return image.convert("RGB")
    assert converted is not None
    return converted


def _profile(data: bytes | None, space: str | None) -> ImageCms.ImageCmsProfile | None:
    """The embedded profile where it can change anything: readable, for these pixels, and not sRGB itself."""
    if not data or space is None:
        return None
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        description = ImageCms.getProfileDescription(profile)
    except (ImageCms.PyCMSError, OSError):
        return None
    if profile.profile.xcolor_space != space or "srgb" in description.lower():
        return None
    return profile


@functools.cache
def _srgb() -> ImageCms.ImageCmsProfile:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
