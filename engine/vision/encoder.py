"""Pictures as vectors whose cosine says how alike they are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from engine.errors import LorasmithError, shown
from engine.vision.models import ModelSource, Report, find_model
from engine.vision.pixels import in_batches, unit

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BATCH = 32
_PATCH_BATCH = 8


class Encoder(Protocol):
    """A network that embeds pictures; `size` is the width of a vector, `licence` one sentence to show."""

    name: str
    licence: str
    size: int

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        """float32 [n, size], rows of length 1; RGB pictures of any size, seen whole or by the model's own crop."""
        ...


class PatchEncoder(Encoder, Protocol):
    """An encoder that also sees what each place of a picture shows."""

    def embed_patches(self, images: Sequence[Image.Image]) -> tuple[np.ndarray, Sequence[np.ndarray]]:
        """`embed`'s rows, and of the same look for each picture [patches, width], rows of length 1."""
        ...


class PictureTextEncoder(Encoder, Protocol):
    """An encoder that puts texts among the pictures; `sharpness` is what its training multiplied cosines by."""

    sharpness: float

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, size], rows of length 1; what is too long for the model is cut off."""
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
    if source.loader == "perceptual":
        return PerceptualEncoder(source)
    if source.loader == "sscd":
        from engine.vision.copies import Sscd

        return Sscd(source)
    return DualEncoder(source) if source.loader == "dual" else TransformersEncoder(source)


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
        self.sharpness = float(self._encoder.sharpness.detach().exp().clamp(max=50))  # the bound of its training

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        if not images:
            return np.zeros((0, self.size), np.float32)
        return unit(self._encoder.pictures(images).numpy())

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        return unit(self._encoder.texts(texts).numpy()) if texts else np.zeros((0, self.size), np.float32)


class PerceptualEncoder:
    """How much of a subject's drawing is in a picture, patch by patch, on the small base; good for nothing else.

    A picture's one vector is the mean of its patches by their weights; nothing was trained on it.
    """

    def __init__(self, source: ModelSource) -> None:
        from engine.lab.perceptual import WIDTH, load_perceptual

        self.name = source.name
        self.licence = source.licence
        file = source.file("perceptual.safetensors")
        try:
            self._encoder = load_perceptual(file)
        except (OSError, ValueError, RuntimeError) as error:  # damaged, or of an older lorasmith
            raise LorasmithError(
                f"{shown(file)} is no perceptual encoder of this lorasmith: install it anew."
            ) from error
        self.size = WIDTH

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        return self.embed_patches(images)[0]

    def embed_patches(self, images: Sequence[Image.Image]) -> tuple[np.ndarray, list[np.ndarray]]:
        seen = self._encoder.patches(images)
        whole = np.array([weights @ patches for patches, weights in seen], np.float32).reshape(-1, self.size)
        return unit(whole), [patches for patches, _ in seen]

    def patch_weights(self, images: Sequence[Image.Image]) -> list[np.ndarray]:
        """Of each picture [patches]: how much each belongs to the subject; they add up to 1."""
        return [weights for _, weights in self._encoder.patches(images)]


class TransformersEncoder:
    """DINOv2, SigLIP 2, CLIP and their like through transformers' Auto classes, 16 bits on CUDA.

    It lies in the computer's memory until it is used and goes back there with `rest`, so that it can share a card
    with the model that draws.
    """

    def __init__(self, source: ModelSource) -> None:
        from transformers import AutoImageProcessor, AutoModel

        self.name = source.name
        self.licence = source.licence
        self._folder = source.file("config.json").parent
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._dtype = torch.float16 if self._device == "cuda" else torch.float32
        try:
            self._processor = AutoImageProcessor.from_pretrained(self._folder, local_files_only=True)
            model = AutoModel.from_pretrained(
                self._folder, local_files_only=True, use_safetensors=True, dtype=self._dtype
            )
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise LorasmithError(
                f"{shown(self._folder)} is no picture encoder that transformers can load ({shown(reason)}); name "
                "another."
            ) from error
        self._model = model.eval()
        self._patch_count = 0
        self.size = _pooled(self._seen([Image.new("RGB", (64, 64))])).shape[1]

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        return unit(in_batches(images, _BATCH, lambda some: _pooled(self._seen(some)), self.size))

    def embed_patches(self, images: Sequence[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
        """`embed`'s rows, and of the same look float16 [n, patches, width], rows of length 1: what each place of a
        picture shows, from left to right and down. Up to 2 MB a picture: for a few at a time.
        """

        def work(some: Sequence[Image.Image]) -> np.ndarray:
            seen = self._seen(some)
            patches = seen.last_hidden_state[:, -self._patch_count :]  # before them: a class token, registers
            return np.concatenate([_pooled(seen), patches.flatten(1).float().cpu().numpy()], axis=1)

        rows = in_batches(images, _PATCH_BATCH, work, self.size)
        patches = rows[:, self.size :].reshape(len(rows), self._patch_count, -1) if len(rows) else np.zeros((0, 0, 0))
        return unit(rows[:, : self.size]), unit(patches).astype(np.float16)

    def patch_shares(self, masks: Sequence[Image.Image]) -> np.ndarray:
        """[n, patches]: how much of each of `embed_patches` a mask (white where something is) covers."""
        shares = []
        for mask in masks:
            seen = self._processor(images=mask.convert("RGB"), do_normalize=False, return_tensors="pt")
            pixels = seen["pixel_values"][:, :1].float().clamp(0, 1)
            shares.append(F.avg_pool2d(pixels, self._patch_side).flatten().numpy())
        return np.stack(shares) if shares else np.zeros((0, 0), np.float32)

    def rest(self) -> None:
        """Leaves the card; the next use comes back to it."""
        if self._device == "cuda":
            self._model.to("cpu")
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _seen(self, images: Sequence[Image.Image]) -> Any:
        inputs = self._processor(images=[image.convert("RGB") for image in images], return_tensors="pt")
        self._model.to(self._device)
        pixels = inputs["pixel_values"].to(self._device, self._dtype)
        self._patch_count = (pixels.shape[2] // self._patch_side) * (pixels.shape[3] // self._patch_side)
        if hasattr(self._model, "get_image_features"):  # models of pictures and texts
            return self._model.get_image_features(pixel_values=pixels)
        return self._model(pixel_values=pixels)

    @property
    def _patch_side(self) -> int:
        config = self._model.config
        return int(getattr(config, "vision_config", config).patch_size)


class DualEncoder(TransformersEncoder):
    """SigLIP 2, CLIP and their like with their texts (see `PictureTextEncoder`)."""

    def __init__(self, source: ModelSource) -> None:
        super().__init__(source)
        self.sharpness = float(self._model.logit_scale.detach().float().exp())

    @cached_property
    def _tokenizer(self) -> PreTrainedTokenizerBase:
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(self._folder, local_files_only=True)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise LorasmithError(
                f"{shown(self._folder)} lacks the words of its texts ({shown(reason)}); name another encoder."
            ) from error

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> np.ndarray:
        if not texts:
            return np.zeros((0, self.size), np.float32)
        self._model.to(self._device)
        longest = self._model.config.text_config.max_position_embeddings
        # SigLIP was trained on texts in small letters, filled up to the longest, and without a mask of what is filled.
        siglip = str(self._model.config.model_type).startswith("siglip")
        tokens = self._tokenizer(
            [text.lower() if siglip else text for text in texts], padding="max_length" if siglip else True,
            max_length=longest, truncation=True, return_tensors="pt",
        ).to(self._device)  # fmt: skip
        mask = None if siglip else tokens["attention_mask"]
        return unit(_pooled(self._model.get_text_features(input_ids=tokens["input_ids"], attention_mask=mask)))


def _pooled(seen: Any) -> np.ndarray:
    """The one vector of each picture or text in what a model of transformers gives."""
    if not isinstance(seen, torch.Tensor):
        pooled = getattr(seen, "pooler_output", None)
        seen = pooled if pooled is not None else seen.last_hidden_state[:, 0]
    return seen.float().cpu().numpy()
