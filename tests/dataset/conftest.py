"""Pictures for the dataset's tests."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Photograph = Callable[..., Path]


@pytest.fixture(scope="session")
def photograph() -> Photograph:
    """`photograph(path, size=(96, 64))` writes smooth noise, different for every path, in the format of its ending."""

    def write(path: Path, size: tuple[int, int] = (96, 64)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        chance = np.random.default_rng(zlib.crc32(os.fsencode(path)))
        small = Image.fromarray(chance.integers(0, 255, (8, 8, 3), dtype=np.uint8))
        small.resize(size, Image.Resampling.BICUBIC).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def backgrounds() -> Path:
    """Debian's mate-backgrounds: photographs up to 17.9 megapixels, and transparent pictures."""
    folder = Path("/usr/share/backgrounds/mate")
    if not folder.is_dir():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs Debian's package mate-backgrounds")
    return folder
