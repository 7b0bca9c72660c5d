"""The small base's picture-text encoder: contrastive, trained on true scenes only.

It may serve the selector on this base, as CLIP would on SDXL. It has read every object and style by name, those held
out of the base's training among them, as CLIP knows a fox that a LoRA has yet to learn; it never saw a picture of the
base. The judge (`engine.lab.judge`) is kept apart from it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from engine.lab.judge import FEATURES, body, pixels_of, reader_batch, train_reader
from engine.lab.plan import ReaderSettings
from engine.lab.progress import Report, Stop
from engine.lab.scenes import caption
from engine.lab.tokens import LENGTH, new_tokenizers

_WIDTH = 96


class Encoder(nn.Module):
    """Pictures and texts as unit vectors of one space; call `pictures` and `texts`."""

    def __init__(self) -> None:
        super().__init__()
        self.tokenizer = new_tokenizers()[0]
        self.body = body()
        self.seen = nn.Linear(FEATURES, _WIDTH)
        self.words = nn.Embedding(len(self.tokenizer), _WIDTH)
        self.places = nn.Parameter(0.02 * torch.randn(LENGTH, _WIDTH))
        layer = nn.TransformerEncoderLayer(
            _WIDTH, 4, 2 * _WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        self.text = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.said = nn.Linear(_WIDTH, _WIDTH)
        self.sharpness = nn.Parameter(torch.tensor(2.5))

    def embed_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        return F.normalize(self.seen(self.body(pixels)), dim=-1)

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        padding = tokens.attention_mask == 0
        hidden = self.words(tokens.input_ids) + self.places[: tokens.input_ids.shape[1]]
        hidden = self.text(hidden, src_key_padding_mask=padding).masked_fill(padding[:, :, None], 0)
        return F.normalize(self.said(hidden.sum(dim=1) / (~padding).sum(dim=1, keepdim=True)), dim=-1)

    @torch.inference_mode()
    def pictures(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """Unit vectors [n, 96]; pictures of any sizes."""
        return torch.cat([self.embed_pixels(pixels_of([picture])) for picture in pictures])

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors [n, 96]."""
        return self.embed_texts(texts)


def train_encoder(state_path: Path, settings: ReaderSettings, report: Report, stop: Stop) -> Encoder:
    """Trains (or goes on from `state_path`): each picture is to match its own caption best, and the other way
    round.
    """
    torch.manual_seed(settings.seed)
    encoder = Encoder()

    def loss_at(step: int) -> torch.Tensor:
        scenes, pixels = reader_batch(settings, step)
        rng = random.Random(scenes[0].seed)
        texts = [caption(scene, rng) for scene in scenes]
        alike = (
            encoder.embed_pixels(pixels)
            @ encoder.embed_texts(texts).T
            * encoder.sharpness.exp().clamp(max=50)
        )
        # Two scenes may share a caption ("a dog"): both count as right.
        same = torch.tensor([[float(a == b) for b in texts] for a in texts])
        truth = same / same.sum(dim=1, keepdim=True)
        return (F.cross_entropy(alike, truth) + F.cross_entropy(alike.T, truth)) / 2

    train_reader(encoder, loss_at, state_path, settings, report, stop)
    return encoder.eval()


def load_encoder(path: Path) -> Encoder:
    """The encoder from its weights."""
    encoder = Encoder()
    encoder.load_state_dict({name: weight.float() for name, weight in load_file(path).items()})
    return encoder.eval()
