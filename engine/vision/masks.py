"""Where in a photograph its subject is, asked for by a word: CLIPSeg."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from engine.errors import LorasmithError, shown
from engine.vision.models import ModelSource, Report, find_model
from engine.vision.pixels import in_batches

_BATCH = 8
_SEEN = 0.2  # the likeliest place must be at least so likely to hold what was asked for
_OF_BEST = 0.5  # of the likeliest place's figure: what lies above belongs to the subject
_AREA = (0.005, 0.95)  # a mask outside of these shares of the picture separates nothing


class Masker:
    """CLIPSeg, 16 bits on CUDA; it leaves the card with `rest`."""

    def __init__(self, source: ModelSource) -> None:
        from transformers import AutoImageProcessor, AutoTokenizer, CLIPSegForImageSegmentation

        self.name = source.name
        self.licence = source.licence
        folder = source.file("config.json").parent
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._dtype = torch.float16 if self._device == "cuda" else torch.float32
        try:
            self._processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = CLIPSegForImageSegmentation.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=self._dtype
            )
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise LorasmithError(
                f"{shown(folder)} is no CLIPSeg that transformers can load ({shown(reason)}); name another."
            ) from error
        self._model = model.eval()

    def masks(self, images: Sequence[Image.Image], what: str) -> list[Image.Image | None]:
        """Of each picture where `what` is (white; the picture's own size), or None where it is not to be told apart."""
        side = int(self._model.config.vision_config.image_size)  # type: ignore[arg-type]

        @torch.inference_mode()
        def batch(some: Sequence[Image.Image]) -> np.ndarray:
            self._model.to(self._device)
            seen = self._processor(images=[image.convert("RGB") for image in some], return_tensors="pt")
            words = self._tokenizer([what] * len(some), padding=True, truncation=True, return_tensors="pt")
            logits = self._model(
                pixel_values=seen["pixel_values"].to(self._device, self._dtype),
                input_ids=words["input_ids"].to(self._device),
                attention_mask=words["attention_mask"].to(self._device),
            ).logits
            return logits.float().sigmoid().reshape(len(some), -1).cpu().numpy()

        likely = in_batches(images, _BATCH, batch, side * side)
        return [_mask(row, image.size) for row, image in zip(likely, images, strict=True)]

    def rest(self) -> None:
        """Leaves the card; the next use comes back to it."""
        if self._device == "cuda":
            self._model.to("cpu")
            torch.cuda.empty_cache()


def open_masker(spec: str | Path | ModelSource, report: Report | None = None) -> Masker:
    """The masker that a name ("clipseg"), hub name or folder means; fetched if need be. Raises LorasmithError."""
    source = spec if isinstance(spec, ModelSource) else find_model(spec, "masks")
    if not source.here:
        from engine.vision.fetch import fetch_model

        source = fetch_model(source, report)
    return Masker(source)


def _mask(likely: np.ndarray, size: tuple[int, int]) -> Image.Image | None:
    side = round(len(likely) ** 0.5)
    inside = likely >= _OF_BEST * likely.max()
    if likely.max() < _SEEN or not _AREA[0] <= inside.mean() <= _AREA[1]:
        return None
    small = Image.fromarray((inside.reshape(side, side) * 255).astype(np.uint8))
    return small.resize(size, Image.Resampling.BILINEAR)
