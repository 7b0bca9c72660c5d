"""From a list of examples to the tensors of one step, every random draw derived from its place in the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from engine.dataset.captions import variant_index
from engine.train.cache import Cache, latent_key, text_name
from engine.train.examples import Example
from engine.train.randomness import derived_seed, generator, has_prior, noise, timestep
from engine.train.resolve import Resolved


@dataclass(frozen=True)
class Batch:
    """One forward pass. All tensors are on the training device.

    latents, noise (n, c, h, w) fp32; timesteps (n,); time_ids (n, 6) in SDXL's order; weights (n,) fp32.
    hidden (n, tokens, width) and pooled (n, width), or None with `texts` where the text encoders train.
    """

    latents: torch.Tensor
    noise: torch.Tensor
    timesteps: torch.Tensor
    time_ids: torch.Tensor
    weights: torch.Tensor
    hidden: torch.Tensor | None
    pooled: torch.Tensor | None
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """A picture's place in the run: the step and its position in that step's global batch."""

    step: int
    position: int


class Batches:
    """Builds batches out of the cache; holds no state of its own."""

    def __init__(self, plan, resolved: Resolved, cache: Cache, device: torch.device, *, vae_id: str,
                 encoders_id: str) -> None:
        self._plan = plan
        self._resolved = resolved
        self._cache = cache
        self._device = device
        self._vae_id = vae_id
        self._encoders_id = encoders_id
        self._seed = plan.machine.seed

    def build(self, examples: Sequence[Example], places: Sequence[Place]) -> Batch:
        """The tensors of these examples at these places of the run."""
        plan, loss = self._plan, self._plan.loss
        flips = [self._flipped(place) for place in places]
        texts = tuple(self.text(example, place) for example, place in zip(examples, places, strict=True))
        latents, noises = [], []
        for example, place, flipped in zip(examples, places, flips, strict=True):
            key = latent_key(example, flipped, plan.pictures.background, self._vae_id)
            entry = self._cache.get(key.name)
            draw = generator(self._seed, "posterior", place.step, place.position)
            latent = entry["mean"] + entry["std"] * torch.randn(entry["mean"].shape, generator=draw)
            latents.append(latent)
            noises.append(
                noise(tuple(latent.shape), self._seed, place.step, place.position, offset=loss.noise_offset,
                      multires_iterations=loss.multires_noise_iterations,
                      multires_discount=loss.multires_noise_discount)
            )  # fmt: skip
        steps = [timestep(self._seed, place.step, place.position) for place in places]
        hidden, pooled = self.encodings(texts)
        return Batch(
            latents=self._to_device(torch.stack(latents)),
            noise=self._to_device(torch.stack(noises)),
            timesteps=self._to_device(torch.tensor(steps)),
            time_ids=self._to_device(time_ids(examples, flips)),
            weights=self._to_device(torch.tensor([example.weight for example in examples])),
            hidden=hidden,
            pooled=pooled,
            texts=texts,
        )

    def fixed(self, examples: Sequence[Example], at: int, label: str) -> Batch:
        """A batch whose noise depends on the pictures' order and `label` alone: for the validation loss."""
        latents, noises = [], []
        for index, example in enumerate(examples):
            key = latent_key(example, False, self._plan.pictures.background, self._vae_id)
            latent = self._cache.get(key.name)["mean"]
            latents.append(latent)
            noises.append(torch.randn(latent.shape, generator=generator(self._seed, label, at, index)))
        texts = tuple(example.texts[0] for example in examples)
        hidden, pooled = self.encodings(texts)
        return Batch(
            latents=self._to_device(torch.stack(latents)),
            noise=self._to_device(torch.stack(noises)),
            timesteps=self._to_device(torch.full((len(examples),), at)),
            time_ids=self._to_device(time_ids(examples, [False] * len(examples))),
            weights=self._to_device(torch.ones(len(examples))),
            hidden=hidden,
            pooled=pooled,
            texts=texts,
        )

    def text(self, example: Example, place: Place) -> str:
        """The text of this picture at this place: a variant, or nothing where caption dropout strikes."""
        dropout = self._plan.captions.dropout
        if dropout and derived_seed(self._seed, "dropout", place.step, place.position) / 2**63 < dropout:
            return ""
        return example.texts[self._variant(example, place)]

    def prior(self, batch: Batch, examples: Sequence[Example], places: Sequence[Place]) -> tuple[Batch, list[int]]:
        """The part of a batch that prior prediction takes, with the class in the trigger's place, and its rows.

        Latents, noise, timesteps and sizes are the batch's own; caption dropout does not strike. No rows: no part.
        """
        share = self._plan.regularization.ratio
        rows, texts = [], []
        for row, (example, place) in enumerate(zip(examples, places, strict=True)):
            text = example.prior_texts[self._variant(example, place)] if example.prior_texts else None
            if text is not None and has_prior(self._seed, place.step, place.position, share):
                rows.append(row)
                texts.append(text)
        if not rows:
            return batch, rows
        hidden, pooled = self.encodings(texts)
        return replace(picked(batch, rows), hidden=hidden, pooled=pooled, texts=tuple(texts)), rows

    def _variant(self, example: Example, place: Place) -> int:
        return variant_index(self._seed, place.step, place.position, len(example.texts))

    def encodings(self, texts: Sequence[str]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Cached encodings on the device in the base's type, or (None, None) where the text encoders train."""
        if self._plan.network.train_text_encoders:
            return None, None
        names = [text_name(text, self._plan.captions.max_tokens, self._encoders_id) for text in texts]
        entries = [self._cache.get(name) for name in names]
        dtype = self._resolved.base_dtype
        hidden = self._to_device(torch.stack([entry["hidden"] for entry in entries]).to(dtype))
        pooled = self._to_device(torch.stack([entry["pooled"] for entry in entries]).to(dtype))
        return hidden, pooled

    def _flipped(self, place: Place) -> bool:
        return self._plan.pictures.flip and derived_seed(self._seed, "flip", place.step, place.position) % 2 == 1

    def _to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        if self._device.type != "cuda":
            return tensor.to(self._device)
        # From pinned memory the copy runs beside the computation; the host does not wait.
        return tensor.pin_memory().to(self._device, non_blocking=True)


def picked(batch: Batch, rows: Sequence[int]) -> Batch:
    """Some rows of a batch, without their texts' encodings."""
    whole = list(rows) == list(range(len(batch.texts)))

    def part(tensor: torch.Tensor) -> torch.Tensor:
        return tensor if whole else torch.stack([tensor[row] for row in rows])  # indexing by a list would sync

    return Batch(
        latents=part(batch.latents), noise=part(batch.noise), timesteps=part(batch.timesteps),
        time_ids=part(batch.time_ids), weights=part(batch.weights), hidden=None, pooled=None, texts=(),
    )  # fmt: skip


def time_ids(examples: Sequence[Example], flips: Sequence[bool]) -> torch.Tensor:
    """SDXL's size conditioning (n, 6): original height, width, crop top, left, target height, width."""
    sizes = [
        example.flipped_size if flipped else example.size
        for example, flipped in zip(examples, flips, strict=True)
    ]
    return torch.tensor([[*size.original, *size.crop, *size.target] for size in sizes], dtype=torch.float32)
