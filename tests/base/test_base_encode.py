"""Text and pictures into SDXL's conditioning and latents, compared with the stock pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from engine.base.encode import (
    NonFiniteLatent,
    decode,
    encode_picture,
    encode_texts,
    token_chunks,
    token_counts,
)
from engine.base.load import Base, open_base
from engine.base.tokenizer import build_tokenizers

TEXTS = ["a photo of a cat", "", "a red house, a dog and a ball " * 12]


@pytest.fixture(scope="module")
def base(tiny_folder: Path) -> Base:
    return open_base(tiny_folder)


def test_token_ids_of_clip() -> None:
    first, second = build_tokenizers()
    ids = [49406, 320, 1125, 539, 320, 2368, 49407]
    assert len(first) == len(second) == 49408
    assert token_chunks(first, "a photo of a cat", 75) == [ids + [49407] * 70]
    assert token_chunks(second, "a photo of a cat", 75) == [ids + [0] * 70]
    assert second.convert_ids_to_tokens([0]) == ["!"]
    assert token_counts((first, second), "a photo of a cat") == (5, 5)
    # Beyond ASCII and longer than one chunk: nothing is lost or warned about.
    assert token_counts((first, second), "naïve café, 東京 " * 30)[0] > 225


def test_chunks_of_75() -> None:
    first, second = build_tokenizers()
    words = "cat " * 80
    cat = 2368
    expected = [[49406, *[cat] * 75, 49407], [49406, *[cat] * 5, 49407, *[49407] * 70]]
    assert token_chunks(first, words, 150) == expected
    assert token_chunks(second, words, 225) == [
        [49406, *[cat] * 75, 49407],
        [49406, *[cat] * 5, 49407, *[0] * 70],
        [49406, 49407, *[0] * 75],
    ]
    assert token_chunks(first, words, 75) == expected[:1]
    with pytest.raises(ValueError, match="75, 150 and 225"):
        token_chunks(first, words, 100)


def test_equals_the_pipelines_prompt_encoding(base: Base, tiny_folder: Path) -> None:
    pipe = StableDiffusionXLPipeline.from_pretrained(tiny_folder)
    with torch.no_grad():
        hidden, pooled = encode_texts(base.tokenizers(), base.load_text_encoders(torch.float32), TEXTS)
        expected, _, expected_pooled, _ = pipe.encode_prompt(
            TEXTS, device="cpu", do_classifier_free_guidance=False
        )
    assert hidden.shape == (3, 77, 80) and pooled.shape == (3, 48)
    assert torch.equal(hidden, expected) and torch.equal(pooled, expected_pooled)


@pytest.mark.parametrize(("max_tokens", "chunks"), [(150, 2), (225, 3)])
def test_long_texts_are_chunks_side_by_side(max_tokens: int, chunks: int, base: Base) -> None:
    tokenizers, encoders = base.tokenizers(), base.load_text_encoders(torch.float32)
    with torch.no_grad():
        hidden, pooled = encode_texts(tokenizers, encoders, TEXTS, max_tokens)
        first, first_pooled = encode_texts(tokenizers, encoders, TEXTS)
        # The last text's second chunk, put together by hand and encoded alone.
        states = []
        for tokenizer, encoder in zip(tokenizers, encoders, strict=True):
            ids = tokenizer(TEXTS[2], add_special_tokens=False).input_ids[75:150]
            row = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
            row += [tokenizer.pad_token_id] * (77 - len(row))
            states.append(encoder(torch.tensor([row]), output_hidden_states=True).hidden_states[-2])
    assert hidden.shape == (3, 77 * chunks, 80)
    assert torch.allclose(hidden[:, :77], first, atol=1e-6) and torch.allclose(
        pooled, first_pooled, atol=1e-6
    )
    assert torch.allclose(hidden[2:, 77:154], torch.cat(states, -1), atol=1e-6)
    assert not torch.allclose(hidden[2, 77:154], hidden[0, 77:154])


def test_dtype_is_kept_and_gradients_flow(base: Base) -> None:
    encoders = base.load_text_encoders(torch.bfloat16)
    hidden, pooled = encode_texts(base.tokenizers(), encoders, TEXTS)
    assert hidden.dtype == pooled.dtype == torch.bfloat16 and not hidden.requires_grad
    for encoder in encoders:
        encoder.requires_grad_(True)
    hidden, pooled = encode_texts(base.tokenizers(), encoders, TEXTS, 150)
    (hidden.float().sum() + pooled.float().sum()).backward()
    for encoder in encoders:
        first_layer = next(tensor for name, tensor in encoder.named_parameters() if "layers.0" in name)
        assert first_layer.grad is not None and first_layer.grad.abs().sum() > 0


def test_picture_to_latent_and_back(base: Base) -> None:
    vae = base.load_vae(torch.float32)
    pixels = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        mean, std = encode_picture(vae, pixels)
        posterior = vae.encode(pixels).latent_dist
    assert mean.shape == std.shape == (2, 4, 16, 24) and mean.dtype == torch.float32
    factor = vae.config.scaling_factor
    assert torch.equal(mean, posterior.mean * factor) and torch.equal(std, posterior.std * factor)
    pictures = decode(vae, mean)
    assert pictures.shape == (2, 64, 96, 3) and pictures.dtype == np.uint8
    expected = (vae.decode(mean / factor).sample / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).detach().numpy()
    assert np.array_equal(pictures, (expected * 255).round().astype(np.uint8))
    bf16 = encode_picture(base.load_vae(torch.bfloat16), pixels)[0]
    assert bf16.dtype == torch.float32 and (bf16 - mean).abs().max() < 0.1


def test_a_latent_that_is_not_finite_is_an_error(base: Base) -> None:
    vae = base.load_vae(torch.float32)
    with pytest.raises(NonFiniteLatent):
        encode_picture(vae, torch.full((1, 3, 64, 64), float("nan")))
    with pytest.raises(NonFiniteLatent):
        decode(vae, torch.full((1, 4, 16, 16), float("inf")))
