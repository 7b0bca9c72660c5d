"""Makes presets/sprites/ again from the two openly licensed emoji packages.

    python -m engine.lab.make_sprites NOTO_FOLDER FLUENT_FOLDER TARGET

NOTO_FOLDER is the unpacked npm package `@iconify-json/noto` (1.2.9), FLUENT_FOLDER `@lobehub/fluent-emoji-3d`
(1.1.0). Needs the program `rsvg-convert` (librsvg) for the vectors.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

from engine.lab.objects import OBJECTS, Object

SIDE = 96
"""Longest side of a sprite in pixels: twice what a big object measures in a 64-pixel scene."""


def svg_of(noto_folder: Path, thing: Object) -> str:
    """The object's vector drawing as an SVG document."""
    icons = json.loads((noto_folder / "icons.json").read_text(encoding="utf-8"))
    name = thing.noto
    while name in icons.get("aliases", {}):
        name = icons["aliases"][name]["parent"]
    side = icons["width"]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" '
    links = 'xmlns:xlink="http://www.w3.org/1999/xlink">'
    return head + links + icons["icons"][name]["body"] + "</svg>"


def render(svg: str, side: int) -> Image.Image:
    """The drawing as an RGBA picture of `side` x `side`, rendered from the vectors."""
    command = ["rsvg-convert", "-w", str(side), "-h", str(side), "-f", "png"]
    png = subprocess.run(command, input=svg.encode(), stdout=subprocess.PIPE, check=True).stdout
    return Image.open(io.BytesIO(png)).convert("RGBA")


def fluent(fluent_folder: Path, thing: Object) -> Image.Image:
    """The object in Fluent's 3D hand, 256 px; some files carry the emoji variation selector in their name."""
    for stem in (thing.code, f"{thing.code}-fe0f"):
        path = fluent_folder / "assets" / f"{stem}.webp"
        if path.exists():
            return Image.open(path).convert("RGBA")
    raise FileNotFoundError(f"no Fluent picture of {thing.name} ({thing.code})")


def trimmed(picture: Image.Image, side: int) -> Image.Image:
    """Cut to what is opaque, squared by transparent margins and scaled: all objects fill their frame."""
    box = picture.getchannel("A").point([255 if level > 24 else 0 for level in range(256)]).getbbox()
    cut = picture.crop(box)
    longest = max(cut.size)
    square = Image.new("RGBA", (longest, longest))
    square.paste(cut, ((longest - cut.width) // 2, (longest - cut.height) // 2))
    return square.resize((side, side), Image.Resampling.LANCZOS)


def main(noto_folder: Path, fluent_folder: Path, target: Path) -> None:
    """Writes one WebP an object and hand."""
    for thing in OBJECTS.values():
        hands = {"noto": render(svg_of(noto_folder, thing), 4 * SIDE), "fluent": fluent(fluent_folder, thing)}
        for hand, picture in hands.items():
            path = target / hand / f"{thing.key}.webp"
            path.parent.mkdir(parents=True, exist_ok=True)
            trimmed(picture, SIDE).save(path, quality=90, alpha_quality=90, method=6)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
