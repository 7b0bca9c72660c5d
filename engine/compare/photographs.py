"""The subject's photographs beside a comparison, small enough to look at and to put into a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.compare.sources import Photograph
from engine.dataset.picture import open_rgb
from engine.errors import DatasetError
from engine.files import atomic_path

SIDE = 512
_MOST = 24  # enough to see what the subject is like


def place_photographs(photographs: Sequence[Photograph], folder: Path) -> tuple[str, ...]:
    """Writes up to 24 of them as WebP into `photographs/`, afresh; gives their files, relative to the folder.

    One that cannot be read is passed over: whoever measures it says so. OSError (disk full) passes on.
    """
    there = folder / "photographs"
    there.mkdir(exist_ok=True)
    names: list[str] = []
    for one in photographs[:_MOST]:
        try:
            picture = open_rgb(one.path)
        except DatasetError:
            continue
        name = f"photographs/{len(names) + 1:02d}.webp"
        picture.thumbnail((SIDE, SIDE))
        with atomic_path(folder / name) as beside:
            picture.save(beside, quality=85)
        names.append(name)
    for path in there.glob("*.webp"):
        if f"photographs/{path.name}" not in names:
            path.unlink()
    return tuple(names)
