"""A small plan on pictures painted here."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from engine.plan import BaseChoice, Length, Network, PictureFolder, Pictures, Plan, Samples, Subject

SHAPES = [(96, 96), (128, 80), (80, 128), (96, 96), (140, 90)]


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five captioned pictures of three shapes: a disc on grounds of different colours."""
    folder = tmp_path_factory.mktemp("painted")
    for index, (width, height) in enumerate(SHAPES):
        picture = Image.new("RGB", (width, height), (40 * index, 200 - 30 * index, 90))
        ImageDraw.Draw(picture).ellipse((20, 20, 70, 70), fill=(220, 40, 40 + 20 * index))
        picture.save(folder / f"disc-{index}.png")
        (folder / f"disc-{index}.txt").write_text(f"ohwx disc, ground {index}, painted", encoding="utf-8")
    return folder


@pytest.fixture
def small_plan(painted: Path, tiny_base: Path) -> Plan:
    """Two epochs of five steps on a tiny base."""
    return Plan(
        subject=Subject("concept", "ohwx", "disc"),
        pictures=Pictures(folders=(PictureFolder(str(painted), 2),)),
        base=BaseChoice(model=str(tiny_base)),
        network=Network(rank=4, alpha=2.0),
        length=Length(epochs=2, batch_size=2),
        samples=Samples(prompts=("ohwx disc on a green ground",), steps=2),
    )


@pytest.fixture
def wait_for():
    """Waits until a condition holds; fails with its description after a time that only a hang would take."""
    import time

    def wait(condition, description: str, seconds: float = 240.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                pytest.fail(f"waited {seconds:g} s in vain until {description}")
            time.sleep(0.1)

    return wait
