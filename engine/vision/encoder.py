"""Pictures as vectors whose cosine says how alike they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from engine.errors import LorasmithError, shown
from engine.vision.models import ModelSource, Report, find_model
from engine.vision.pixels import in_batches, unit

_BATCH = 32


class Encoder(Protocol):
    """A network that embeds pictures; `size` is the width of a vector, `licence` one sentence to show."""

    name: str
    licence: str
    size: int

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        """float32 [n, size], rows of length 1; RGB pictures of any size, seen whole or by the model's own crop."""
        ...


def open_encoder(spec: str | Path | ModelSource, report: Report | None = None) -> Encoder:
    """The encoder that a name, hub name or folder means (see `engine.vision.models.find_model`); fetched if need be.

    Takes what embeds ("dinov2", "efficientnet-lite0", "demo", ...) and what finds copies ("sscd"). `report(done,
    total)` is told the bytes of a download. Raises LorasmithError where there is no such model or it cannot be read.
    """
    source = spec if isinstance(spec, ModelSource) else _find(spec)
    if not source.here:
        from engine.vision.fetch import fetch_model

        source = fetch_model(source, report)
    if source.loader == "lite0":
        return Lite0Encoder(source)
    if source.loader == "demo":
        return DemoEncoder(source)
    if source.loader == "sscd":
        from engine.vision.copies import Sscd

        return Sscd(source)
    return TransformersEncoder(source)


def _find(spec: str | Path) -> ModelSource:
    try:
        return find_model(spec, "copies")
    except LorasmithError:
        return find_model(spec, "embedding")


class Lite0Encoder:
    """EfficientNet-Lite0's pooled features: what a picture shows."""

    def __init__(self, source: ModelSource) -> None:
        from engine.vision.lite0 import FEATURES, load_lite0

        self.name = source.name
        self.licence = source.licence
        self.size = FEATURES
        self._network = load_lite0(source.file("efficientnet-lite0-57934424.pth"))

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        from engine.vision.lite0 import run_lite0

        return unit(run_lite0(self._network, images, logits=False))


class DemoEncoder:
    """The small base's own encoder: good for the demo's painted scenes and for nothing else."""

    def __init__(self, source: ModelSource) -> None:
        from engine.lab.encoder import load_encoder

        self.name = source.name
        self.licence = source.licence
        self._encoder = load_encoder(source.file("encoder.safetensors"))
        self.size = self._encoder.seen.out_features

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        if not images:
            return np.zeros((0, self.size), np.float32)
        return unit(self._encoder.pictures(images).numpy())


class TransformersEncoder:
    """DINOv2, SigLIP 2, CLIP and their like through transformers' Auto classes, 16 bits on CUDA."""

    def __init__(self, source: ModelSource) -> None:
        from transformers import AutoImageProcessor, AutoModel

        self.name = source.name
        self.licence = source.licence
        folder = source.file("config.json").parent
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._dtype = torch.float16 if self._device == "cuda" else torch.float32
        try:
            self._processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
            model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=self._dtype)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise LorasmithError(
                f"{shown(folder)} is no picture encoder that transformers can load ({shown(reason)}); name another."
            ) from error
        self._model = model.to(self._device).eval()
        self.size = self._batch([Image.new("RGB", (64, 64))]).shape[1]

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        return unit(in_batches(images, _BATCH, self._batch, self.size))

    @torch.inference_mode()
    def _batch(self, images: Sequence[Image.Image]) -> np.ndarray:
        inputs = self._processor(images=[image.convert("RGB") for image in images], return_tensors="pt")
        pixels = inputs["pixel_values"].to(self._device, self._dtype)
        seen = (
            self._model.get_image_features(pixel_values=pixels)  # models of pictures and texts
            if hasattr(self._model, "get_image_features")
            else self._model(pixel_values=pixels)
        )
        if not isinstance(seen, torch.Tensor):
            pooled = getattr(seen, "pooler_output", None)
            seen = pooled if pooled is not None else seen.last_hidden_state[:, 0]
        return seen.float().cpu().numpy()
