"""What a photograph shows, in ImageNet's thousand words: the captioner that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from engine.vision.lite0 import load_lite0, run_lite0
from engine.vision.models import ModelSource, Report, find_model


class Labeller:
    """EfficientNet-Lite0 with its classes by name."""

    def __init__(self, source: ModelSource) -> None:
        self.name = source.name
        self.licence = source.licence
        self._network = load_lite0(source.file("efficientnet-lite0-57934424.pth"))

    def label(self, images: Sequence[Image.Image], top: int = 5) -> list[list[tuple[str, float]]]:
        """Of each picture the likeliest labels with their probabilities (0..1), best first."""
        logits = run_lite0(self._network, images, logits=True)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True)) if len(logits) else logits
        shares = powers / powers.sum(axis=1, keepdims=True)
        return [_named(row)[:top] for row in shares]


def open_labeller(spec: str | Path | ModelSource, report: Report | None = None) -> Labeller:
    """The labeller that a name or a folder means; LorasmithError where it is not on this machine."""
    source = spec if isinstance(spec, ModelSource) else find_model(spec, "labels")
    if not source.here:
        from engine.vision.fetch import fetch_model

        source = fetch_model(source, report)
    return Labeller(source)


def _named(shares: np.ndarray) -> list[tuple[str, float]]:
    """Names with their shares, best first; the two pairs of classes that share a name are one."""
    named: dict[str, float] = {}
    for name, share in zip(label_names(), shares, strict=True):
        named[name] = named.get(name, 0.0) + float(share)
    return sorted(named.items(), key=lambda item: -item[1])


@cache
def label_names() -> tuple[str, ...]:
    """ImageNet's 1,000 classes in the network's order, one plain name each."""
    text = (files("presets") / "vision" / "imagenet.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return tuple(line.strip() for line in lines)
