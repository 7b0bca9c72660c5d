"""Text to SDXL's conditioning, pictures to latents and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from engine.errors import LorasmithError, shown

if TYPE_CHECKING:
    import numpy as np
    from diffusers import AutoencoderKL
    from transformers import CLIPTokenizer

CHUNK = 75  # tokens between a start and an end token


class NonFiniteLatent(ArithmeticError):
    """A VAE gave NaN or infinity (most often SDXL's own in fp16); the caller knows which picture it was."""


def token_counts(tokenizers: Sequence[CLIPTokenizer], text: str) -> tuple[int, int]:
    """Tokens of a text for each of the two encoders, start and end left out."""
    first, second = (len(_token_ids(tokenizer, text)) for tokenizer in tokenizers)
    return first, second


def token_chunks(tokenizer: CLIPTokenizer, text: str, max_tokens: int) -> list[list[int]]:
    """The token ids of a text as `max_tokens` / 75 chunks of 77: start, up to 75 tokens, end, padding.

    Tokens beyond `max_tokens` are cut; a text with fewer leaves empty chunks behind it, so that every text of
    a batch has the same length. The rule is A1111's, ComfyUI's and kohya's.
    """
    if max_tokens not in (75, 150, 225):
        raise ValueError(f"max_tokens is {max_tokens}; 75, 150 and 225 are possible")
    ids = _token_ids(tokenizer, text)
    start, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    chunks = []
    for first in range(0, max_tokens, CHUNK):
        inside = ids[first : min(first + CHUNK, max_tokens)]
        chunks.append([start, *inside, end, *[pad] * (CHUNK - len(inside))])
    return chunks


def encode_texts(
    tokenizers: Sequence[CLIPTokenizer],
    text_encoders: Sequence[torch.nn.Module],
    texts: Sequence[str],
    max_tokens: int = CHUNK,
) -> tuple[torch.Tensor, torch.Tensor]:
    """SDXL's conditioning of `texts` (N of them), in the encoders' dtype and on their device.

    Returns (hidden [N, 77 x chunks, C], pooled [N, D]): both encoders' penultimate hidden states side by
    side, chunks one after the other (as A1111, Forge and ComfyUI feed them to the UNet; kohya drops the inner
    start and end tokens), and the second encoder's projected output of the first chunk. With 75 tokens this equals
    StableDiffusionXLPipeline.encode_prompt. Gradients flow where the encoders' parameters ask for them.
    """
    chunks = max_tokens // CHUNK
    states = []
    pooled: torch.Tensor | None = None
    for tokenizer, encoder in zip(tokenizers, text_encoders, strict=True):
        rows = [chunk for text in texts for chunk in token_chunks(tokenizer, text, max_tokens)]
        ids = _to_device(torch.tensor(rows), next(encoder.parameters()).device)
        output: Any = encoder(ids, output_hidden_states=True)
        hidden = output.hidden_states[-2]
        states.append(hidden.reshape(len(texts), chunks * hidden.shape[1], hidden.shape[2]))
        pooled = output[0]  # after the loop: the second encoder's, [N x chunks, D]
    assert pooled is not None
    return torch.cat(states, dim=-1), pooled[::chunks]


def encode_picture(vae: AutoencoderKL, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of the scaled latents of pictures [N, 3, H, W] in -1..1, in fp32.

    A latent, as the UNet takes it, is mean + std x noise. The VAE computes in its own dtype. Raises NonFiniteLatent.
    """
    posterior = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist
    mean = posterior.mean.float() * vae.config.scaling_factor
    std = posterior.std.float() * vae.config.scaling_factor
    if not (torch.isfinite(mean).all() and torch.isfinite(std).all()):
        raise NonFiniteLatent("the VAE's latents are not finite")
    return mean, std


def decode(vae: AutoencoderKL, latents: torch.Tensor) -> np.ndarray:
    """Pictures [N, H, W, 3] in 0..255 (uint8) from scaled latents [N, 4, h, w]. Raises NonFiniteLatent."""
    with torch.no_grad():
        unscaled = latents.to(vae.device, torch.float32) / vae.config.scaling_factor
        pixels = vae.decode(unscaled.to(vae.dtype)).sample.float()
    if not torch.isfinite(pixels).all():
        raise NonFiniteLatent("the VAE's picture is not finite")
    pixels = (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    return (pixels * 255).round().to("cpu", torch.uint8).numpy()


def _to_device(ids: torch.Tensor, device: torch.device) -> torch.Tensor:
    # A plain copy would have the host wait for all that the card still has to do.
    return ids.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else ids.to(device)


def _token_ids(tokenizer: CLIPTokenizer, text: str) -> list[int]:
    try:
        text.encode()
    except UnicodeEncodeError as error:  # an argument's stray byte
        raise LorasmithError(f"'{shown(text[:80])}' holds bytes that are not UTF-8 text: write it anew.") from error
    # verbose=False: the length beyond 77 is dealt with here, transformers need not warn of it.
    return list(tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids)
