"""Folders of small pictures with captions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

MakePictures = Callable[..., Path]


@pytest.fixture
def pictures(tmp_path: Path) -> MakePictures:
    """Makes a folder of small pictures; a caption of None leaves the picture without one."""

    def make(captions: dict[str, str | bytes | None], name: str = "pictures") -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for at, (picture, caption) in enumerate(captions.items()):
            path = folder / picture
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40 + at % 50, 32), (at % 256, 90, 200)).save(path)
            if caption is not None:
                data = caption.encode() if isinstance(caption, str) else caption
                path.with_suffix(".txt").write_bytes(data)
        return folder

    return make
