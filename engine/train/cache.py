"""Latents and text encodings on disk, keyed by content: a changed picture, crop, caption or encoder is a new entry.

An edited caption can therefore never train on its old encoding. Entries are written atomically one by one, so
an interrupted run goes on where it stopped caching.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from engine.base.encode import NonFiniteLatent, encode_picture, encode_texts
from engine.dataset.picture import open_rgb
from engine.errors import DatasetError, shown
from engine.files import atomic_path
from engine.train.examples import Example

# What is kept in memory between steps; 1,000 pictures at 1024 px with their texts take about 0.6 GB.
MEMORY_BUDGET = 4 * 2**30
TEXTS_A_PASS = 16


@dataclass(frozen=True)
class LatentKey:
    """Everything that decides a latent's value."""

    digest: str
    resized: tuple[int, int]
    crop: tuple[int, int]
    bucket: tuple[int, int]
    flipped: bool
    background: str
    vae: str

    @property
    def name(self) -> str:
        return _hashed("latent", repr(self))


def latent_key(example: Example, flipped: bool, background: str, vae: str) -> LatentKey:
    """The key of one picture as this run cuts it."""
    fit = example.fit
    return LatentKey(example.picture.digest, fit.resized, fit.crop, fit.bucket, flipped, background, vae)


def text_name(text: str, max_tokens: int, encoders: str) -> str:
    """The key of one text's encoding; `encoders` identifies the base's text encoders."""
    return _hashed("text", repr((text, max_tokens, encoders)))


def _hashed(kind: str, content: str) -> str:
    return f"{kind}-{hashlib.sha256(content.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"


class Cache:
    """A folder of small safetensors files with as much of it in memory as the budget allows."""

    def __init__(self, folder: Path, budget: int = MEMORY_BUDGET) -> None:
        self.folder = folder
        self._budget = budget
        self._memory: dict[str, dict[str, torch.Tensor]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._memory or self._path(name).is_file()

    def put(self, name: str, tensors: dict[str, torch.Tensor]) -> None:
        with atomic_path(self._path(name)) as beside:
            save_file({key: value.contiguous().cpu() for key, value in tensors.items()}, beside)

    def get(self, name: str) -> dict[str, torch.Tensor]:
        found = self._memory.get(name)
        if found is None:
            found = load_file(self._path(name))
            size = sum(tensor.nbytes for tensor in found.values())
            if size <= self._budget:
                self._budget -= size
                self._memory[name] = found
        return found

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"


def cache_texts(
    cache: Cache, texts: Iterable[str], tokenizers, encoders, max_tokens: int, encoders_id: str, report
) -> None:
    """Encodes what is missing; `report(done, total)` counts all texts, so a resumed run starts where it stopped."""
    wanted = list(dict.fromkeys(texts))
    missing = [text for text in wanted if text_name(text, max_tokens, encoders_id) not in cache]
    done = len(wanted) - len(missing)
    report(done, len(wanted))
    for start in range(0, len(missing), TEXTS_A_PASS):
        part = missing[start : start + TEXTS_A_PASS]
        with torch.no_grad():
            hidden, pooled = encode_texts(tokenizers, encoders, part, max_tokens)
        for index, text in enumerate(part):
            if not (hidden[index].isfinite().all() and pooled[index].isfinite().all()):
                raise DatasetError(
                    f"The text encoders give no finite numbers for the caption {shown(text[:80])!r}: "
                    "the base model's text encoders are damaged or overflow in this precision."
                )
            cache.put(text_name(text, max_tokens, encoders_id), {"hidden": hidden[index], "pooled": pooled[index]})
        done += len(part)
        report(done, len(wanted))


def cache_latents(cache: Cache, keys: dict[LatentKey, Example], vae, device: torch.device, report) -> None:
    """Encodes the missing pictures; the next one is decoded and resized while this one is encoded."""
    missing = [(key, example) for key, example in keys.items() if key.name not in cache]
    done = len(keys) - len(missing)
    report(done, len(keys))
    with ThreadPoolExecutor(max_workers=1) as ahead:
        pending = ahead.submit(_pixels, *missing[0]) if missing else None
        for index, (key, example) in enumerate(missing):
            pixels = pending.result()  # type: ignore[union-attr]
            if index + 1 < len(missing):
                pending = ahead.submit(_pixels, *missing[index + 1])
            try:
                with torch.no_grad():
                    mean, std = encode_picture(vae, pixels.to(device))
            except NonFiniteLatent as error:
                raise DatasetError(
                    f"{shown(example.picture.name)}: the VAE gives no finite latent for this picture; "
                    "use the base's own VAE in fp32 or bf16, or leave the picture out."
                ) from error
            cache.put(key.name, {"mean": mean[0], "std": std[0]})
            done += 1
            report(done, len(keys))


def _pixels(key: LatentKey, example: Example) -> torch.Tensor:
    """The picture as (1, 3, height, width) in -1..1, cut and mirrored as the key says."""
    import numpy
    from PIL import Image

    background = tuple(int(key.background.lstrip("#")[i : i + 2], 16) for i in (0, 2, 4))
    picture = open_rgb(example.picture.path, background)
    if picture.size != key.resized:
        picture = picture.resize(key.resized, Image.Resampling.LANCZOS)
    left, top = key.crop
    width, height = key.bucket
    picture = picture.crop((left, top, left + width, top + height))
    if key.flipped:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    values = torch.from_numpy(numpy.asarray(picture, dtype=numpy.float32).copy())
    return (values / 127.5 - 1).permute(2, 0, 1).unsqueeze(0)
