"""Encoders of pictures and texts, their patches, and masks: against transformers' own classes in tiny."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_sights import tiny_sight

from engine.errors import LorasmithError
from engine.vision.encoder import DualEncoder, open_encoder
from engine.vision.masks import Masker, open_masker
from engine.vision.models import find_model

TEXTS = ["A dog in the snow", "a cat on a blue ground, pencil sketch"]


@pytest.fixture
def noise() -> list[Image.Image]:
    return [Image.effect_noise((50 + 9 * at, 40), 80).convert("RGB") for at in range(3)]


@pytest.mark.parametrize("kind", ["siglip2", "clip"])
def test_texts_are_what_the_class_itself_gives(kind: str, tmp_path: Path):
    from transformers import AutoModel, AutoTokenizer

    folder = tiny_sight(kind, tmp_path / kind)
    encoder = open_encoder(folder)
    assert isinstance(encoder, DualEncoder) and find_model(folder, "following").loader == "dual"
    rows = encoder.texts(TEXTS)
    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        if kind == "siglip2":  # in small letters, filled up to the longest, nothing masked
            said = tokenizer([text.lower() for text in TEXTS], padding="max_length", max_length=16, return_tensors="pt")
            wanted = model.text_model(input_ids=said["input_ids"]).pooler_output
        else:
            said = tokenizer(TEXTS, padding=True, return_tensors="pt")
            wanted = model.text_projection(model.text_model(**said).pooler_output)
    np.testing.assert_allclose(rows, (wanted / wanted.norm(dim=1, keepdim=True)).numpy(), atol=1e-5)
    assert encoder.sharpness == pytest.approx(float(model.logit_scale.detach().exp()))
    assert encoder.texts([]).shape == (0, encoder.size)


def test_a_text_that_is_too_long_is_cut_off(tmp_path: Path):
    encoder = open_encoder(tiny_sight("clip", tmp_path / "clip"))
    assert encoder.texts(["a dog in the snow " * 20]).shape == (1, 24)


@pytest.mark.parametrize("kind", ["dinov2", "siglip2", "clip"])
def test_one_look_gives_vector_and_patches(kind: str, tmp_path: Path, noise: list[Image.Image]):
    from transformers import AutoImageProcessor, AutoModel

    folder = tiny_sight(kind, tmp_path / kind)
    encoder = open_encoder(folder)
    vectors, patches = encoder.embed_patches(noise)
    np.testing.assert_allclose(vectors, encoder.embed(noise), atol=1e-6)
    model, processor = AutoModel.from_pretrained(folder), AutoImageProcessor.from_pretrained(folder)
    with torch.inference_mode():
        pixels = processor(images=noise[:1], return_tensors="pt")["pixel_values"]
        wanted = getattr(model, "vision_model", model)(pixel_values=pixels).last_hidden_state[0]
    wanted = wanted if kind == "siglip2" else wanted[1:]  # the others begin with a class token
    assert patches.shape == (3, *wanted.shape) and patches.dtype == np.float16
    np.testing.assert_allclose(patches[0], (wanted / wanted.norm(dim=1, keepdim=True)).numpy(), atol=2e-3)


def test_a_mask_is_shared_out_among_the_patches_it_covers(tmp_path: Path):
    encoder = open_encoder(tiny_sight("siglip2", tmp_path / "siglip2"))
    left = Image.new("L", (64, 64))
    left.paste(255, (0, 0, 32, 64))
    corner = Image.new("L", (64, 64))
    corner.paste(255, (48, 48, 64, 64))
    shares = encoder.patch_shares([left, corner])
    np.testing.assert_allclose(shares, [[1, 0, 1, 0], [0, 0, 0, 0.25]], atol=0.05)


def test_the_masker_finds_a_place_for_a_word(tmp_path: Path, noise: list[Image.Image], monkeypatch: pytest.MonkeyPatch):
    folder = tiny_sight("clipseg", tmp_path / "clipseg")
    assert find_model(folder, "masks").loader == "clipseg"
    masker = open_masker(folder)
    logits = torch.full((1, 32, 32), -5.0)
    logits[:, 8:24, 8:16] = 3.0

    def seen(**inputs):
        return type("Output", (), {"logits": logits.expand(len(inputs["pixel_values"]), -1, -1)})

    real = masker._model
    assert real(**_inputs(masker, noise[:1])).logits.reshape(-1).shape == (32 * 32,), "the real class gives a square"
    monkeypatch.setattr(masker, "_model", _Stand(seen, real.config))
    masks = masker.masks(noise, "a dog")
    assert [mask.size for mask in masks] == [image.size for image in noise]
    inside = np.asarray(masks[0].resize((32, 32))) > 127
    assert inside[16, 12] and not inside[16, 24] and 0.08 < inside.mean() < 0.18
    logits.fill_(-5.0)
    assert masker.masks(noise[:1], "a dog") == [None], "nothing is likely to be a dog"
    logits.fill_(3.0)
    assert masker.masks(noise[:1], "a dog") == [None], "everywhere is nowhere"


class _Stand:
    def __init__(self, answer, config) -> None:
        self.answer, self.config = answer, config

    def to(self, device: str) -> None: ...

    def __call__(self, **inputs):
        return self.answer(**inputs)


def _inputs(masker: Masker, images: list[Image.Image]) -> dict[str, torch.Tensor]:
    pixels = masker._processor(images=images, return_tensors="pt")["pixel_values"]
    words = masker._tokenizer(["a dog"] * len(images), return_tensors="pt")
    return {"pixel_values": pixels, "input_ids": words["input_ids"], "attention_mask": words["attention_mask"]}


def test_the_demo_encoder_matches_texts_with_scenes():
    from engine.lab.paint import paint
    from engine.lab.scenes import Ground, Scene, Style

    encoder = open_encoder("demo")
    scenes = [Scene("dog", Ground("snow")), Scene("cat", Ground("plain", "blue"), Style.SKETCH)]
    alike = encoder.embed([paint(scene) for scene in scenes]) @ encoder.texts(TEXTS).T
    assert alike[0, 0] > alike[0, 1] + 0.3 and alike[1, 1] > alike[1, 0] + 0.3
    assert 10 < encoder.sharpness <= 50


@pytest.mark.parametrize("kind", ["dinov2", "siglip2"])
def test_what_lacks_words_or_eyes_is_said(kind: str, tmp_path: Path):
    folder = tiny_sight(kind, tmp_path / kind)
    if kind == "dinov2":
        with pytest.raises(LorasmithError, match="no encoder of pictures and texts"):
            find_model(folder, "following")
        return
    for path in folder.glob("*token*"):
        path.unlink()
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(LorasmithError, match="lacks the words of its texts"):
        open_encoder(folder).texts(TEXTS)
