"""A run's samples as one picture, a row a prompt and a column an epoch: `python -m engine.lab.strip RUN FILE.png`."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from engine.files import atomic_path
from engine.runs.folder import RunFolder, find_run

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE, GAP, LINE = 96, 4, 14


def epoch_strip(run: RunFolder, side: int = SIDE) -> Image:
    """The samples at the end of each epoch (and before the first), with the prompts above their rows.

    Raises ValueError for a run without samples.
    """
    from PIL import Image, ImageDraw

    columns: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(run.samples.glob("epoch-*.png")):
        columns["-".join(path.stem.split("-")[:-1])].append(path)
    if not columns:
        raise ValueError(f"{run.name} has no samples")
    epochs = [columns[name] for name in sorted(columns)]
    rows = min(len(files) for files in epochs)
    size = (len(epochs) * (side + GAP) - GAP, LINE + rows * (LINE + side + GAP))
    strip = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(strip)
    for at, files in enumerate(epochs):
        left = at * (side + GAP)
        pen.text((left, 0), f"epoch {at}" if at else "the base", fill="#444444")
        for row, path in enumerate(files[:rows]):
            top = LINE + row * (LINE + side + GAP)
            with Image.open(path) as picture:
                if at == 0:
                    pen.text((0, top), picture.info.get("parameters", "").split("\n")[0], fill="#000000")
                strip.paste(picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS), (left, top + LINE))
    return strip


def main() -> None:
    """Writes the strip of a run, given by name or path."""
    run, target = find_run(sys.argv[1]), Path(sys.argv[2])
    with atomic_path(target) as beside:
        epoch_strip(run).quantize(256).save(beside, optimize=True)


if __name__ == "__main__":
    main()
