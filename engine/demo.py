"""The demo: a training of the real kind, small enough for two processor cores and three minutes.

Light: it names a plan and copies pictures; the engine trains it, and compares its epochs, like any other.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from engine.errors import DatasetError, shown
from engine.plan import (
    BaseChoice,
    Length,
    Machine,
    Network,
    Optimizer,
    Output,
    PictureFolder,
    Pictures,
    Plan,
    Samples,
    Subject,
)

TRIGGER, CLASS_WORD = "ohwx", "animal"
PICTURES = "pictures"  # the folder inside the run that the plan names
_ENDINGS = (".png", ".webp", ".jpg", ".txt")


def demo_plan() -> Plan:
    """Ten epochs on the embedded base; its pictures lie in `pictures` beside the plan (see `copy_pictures`).

    The sample prompts show in turn: the subject, the subject in a style, the class word, and another object. The
    rate is ten times SDXL's because the base is small; the class word is lost on the way, so that it is seen.
    """
    words = f"{TRIGGER} {CLASS_WORD}"
    return Plan(
        subject=Subject("animal", TRIGGER, CLASS_WORD),
        pictures=Pictures(folders=(PictureFolder(PICTURES, 8),)),
        base=BaseChoice(model="demo"),
        network=Network(rank=8),
        optimizer=Optimizer(learning_rate=1e-3),
        length=Length(epochs=10, batch_size=2),
        samples=Samples(
            prompts=(
                f"an {words} on a blue ground",
                f"an {words} in the snow, pencil sketch",
                f"an {CLASS_WORD} in the grass",
                "a lion on a pink checked ground",
            ),
            steps=16,
            cfg=4.5,
        ),
        machine=Machine(seed=1),
        output=Output(name="demo"),
    )


def demo_prompt() -> str:
    """What to draw with the demo's LoRA."""
    return f"an {TRIGGER} {CLASS_WORD} in the snow"


def copy_pictures(run: Path) -> Path:
    """Puts the demo's pictures and captions into the run's folder, where they stay whatever is installed later.

    DatasetError where this installation has none or the disk cannot take them.
    """
    found = list(_pictures(files("presets") / "demo" / "subject"))
    if not any(not item.name.endswith(".txt") for item in found):
        raise DatasetError("the demo's pictures are not in this installation: install lorasmith again")
    target = run / PICTURES
    try:
        target.mkdir(mode=0o700, exist_ok=True)
        for item in found:
            with item.open("rb") as source, (target / item.name).open("wb") as copy:
                shutil.copyfileobj(source, copy)
    except OSError as error:
        raise DatasetError(
            f"the demo's pictures cannot be written to {shown(target)} ({error.strerror}): make room, or give --out"
        ) from error
    return target


def _pictures(folder: Traversable) -> Iterator[Traversable]:
    if folder.is_dir():
        yield from (item for item in folder.iterdir() if item.name.lower().endswith(_ENDINGS))
