"""The untouched base's drawings, kept on disk by content so that no project draws the same picture twice. Light."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.draw.order import Order, drawing_key
from engine.files import atomic_path


def default_store() -> Path:
    """Where drawings are kept unless another place is named."""
    from engine.runs.folder import home

    return home() / "drawings"


class DrawingStore:
    """PNGs under `root/<model>/<two letters>/<key>.png`; a file is whole or not there.

    `model` identifies the base's weights and VAE (see `model_id`). Files are read-only: other folders hold hard
    links to them, and an edit in place would change every project's copy.
    """

    def __init__(self, model: str, root: Path | None = None) -> None:
        self.model = model
        self.root = default_store() if root is None else Path(root)

    def path(self, order: Order) -> Path:
        """Where this order's drawing lies, or would."""
        key = drawing_key(order, self.model)
        return self.root / self.model[:16] / key[:2] / f"{key}.png"

    def has(self, order: Order) -> bool:
        return self.path(order).is_file()

    def put(self, order: Order, save: Callable[[Path], None]) -> Path:
        """Keeps a drawing; `save` writes the PNG to the path it is given. OSError (disk full) passes on."""
        path = self.path(order)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as beside:
            save(beside)
            beside.chmod(0o444)
        return path

    def place(self, order: Order, target: Path) -> None:
        """Puts a kept drawing into another folder: a hard link, or a copy where the file system has none."""
        if target.exists():
            return
        try:
            os.link(self.path(order), target)
        except OSError:
            with atomic_path(target) as beside:
                shutil.copyfile(self.path(order), beside)


def model_id(base: Any, dtype: object) -> str:
    """What identifies the model of a drawing: the base's weights and VAE, how it is read, and its precision."""
    parts = [base.hash]
    if base.vae_hash != base.hash:
        parts.append(base.vae_hash[:16])
    parts.append(f"{base.prediction_type}{'-zsnr' if base.zero_terminal_snr else ''}")
    return "-".join([*parts, str(dtype).removeprefix("torch.")])
