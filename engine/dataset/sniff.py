"""What a file is by its first bytes: for files that are not the picture their name promises."""

from __future__ import annotations

HEAD_BYTES = 512

_BRANDS_HEIF = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"})

# What cannot be trained on, by the bytes it starts with, in the words a person would use.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive"),
    (b"%PDF", "a PDF document"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"8BPS", "a Photoshop file"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"ID3", "a sound file"),
    (b"OggS", "a sound file"),
)
_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)


def picture_kind(head: bytes) -> str | None:
    """The picture format the first bytes announce ("JPEG", "PNG", "HEIF" ...), or None."""
    for start, name in _PICTURES:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in {b"avif", b"avis"} or (brand in {b"mif1", b"msf1"} and b"avif" in head[16:64]):
            return "AVIF"
        if brand in _BRANDS_HEIF:
            return "HEIF"
    return None


def other_kind(head: bytes) -> str | None:
    """What a file that is no readable picture holds ("a web page", "a video", "text"), or None if unknown."""
    for start, name in _OTHERS:
        if head.startswith(start):
            return name
    if head[4:8] == b"ftyp":
        return "a video"
    if head[:4] == b"RIFF":
        return "a video" if head[8:12] == b"AVI " else "a sound file"
    lowered = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in lowered:
        return "an SVG drawing"
    if lowered.startswith((b"<!doctype html", b"<html", b"<head")):
        return "a web page"
    if head and not head.strip(b"\x00"):
        return "nothing but zero bytes"
    if head and all(byte >= 32 or byte in b"\t\r\n\f\x1b" for byte in head) and _is_text(head):
        return "text"
    return None


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 4  # a character cut in two at the end of what was read
    return True
