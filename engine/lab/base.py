"""The small base's networks: SDXL's own classes at a size a laptop can train and draw with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from engine.lab.tokens import END, START, new_tokenizers

PICTURE = 64
"""Native side of a picture in pixels."""

FACTOR = 4
"""Pixels a latent position, each way."""

SHAPES: tuple[tuple[int, int], ...] = ((64, 64), (80, 48), (48, 80))
"""Widths and heights in pixels it is trained at."""

_WIDTHS = (64, 96)
"""Widths of the two text encoders; both penultimate layers side by side are the UNet's context."""


def new_vae(seed: int) -> AutoencoderKL:
    """An untrained autoencoder: 4 latent channels at a quarter of the picture's sides, no attention."""
    torch.manual_seed(seed)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=PICTURE,
        force_upcast=False,
    )


def _text_config(width: int, layers: int, inner: int, act: str, tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=inner,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        max_position_embeddings=tokenizer.model_max_length,
        hidden_act=act,
        bos_token_id=tokenizer.convert_tokens_to_ids(START),
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        pad_token_id=tokenizer.pad_token_id,
    )


def _lively(model: nn.Module) -> None:
    """Larger embeddings than CLIP's: the penultimate layer is not normalised, and the UNet must hear the
    words.
    """
    embeddings = model.get_submodule(
        "text_model.embeddings" if hasattr(model, "text_model") else "embeddings"
    )
    nn.init.normal_(embeddings.token_embedding.weight, std=0.7)
    nn.init.normal_(embeddings.position_embedding.weight, std=0.15)


def new_text_encoders(
    seed: int, tokenizers: tuple[CLIPTokenizer, CLIPTokenizer]
) -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    """Two untrained text encoders; the second has ten thin layers, as single-file loaders know SDXL by its
    tenth.
    """
    torch.manual_seed(seed)
    first = CLIPTextModel(_text_config(_WIDTHS[0], 3, 4 * _WIDTHS[0], "quick_gelu", tokenizers[0]))
    second = CLIPTextModelWithProjection(_text_config(_WIDTHS[1], 10, _WIDTHS[1], "gelu", tokenizers[1]))
    for encoder in (first, second):
        _lively(encoder)
    return first, second


def new_unet(seed: int) -> UNet2DConditionModel:
    """An untrained UNet of SDXL's plan: no attention at full size, text attention on the two lower levels."""
    torch.manual_seed(seed)
    sizes = 32
    return UNet2DConditionModel(
        sample_size=PICTURE // FACTOR,
        block_out_channels=(128, 128, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=1,
        attention_head_dim=(4, 4, 4),
        norm_num_groups=16,
        cross_attention_dim=sum(_WIDTHS),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=sizes,
        projection_class_embeddings_input_dim=6 * sizes + _WIDTHS[1],
    )


def new_scheduler() -> EulerDiscreteScheduler:
    """SDXL's noise schedule."""
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        timestep_spacing="leading",
        interpolation_type="linear",
    )


@dataclass(frozen=True)
class Networks:
    """What is trained together: the UNet and both text encoders, with the tokenizers they are tied to."""

    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    text_encoder_2: CLIPTextModelWithProjection
    tokenizers: tuple[CLIPTokenizer, CLIPTokenizer]

    @classmethod
    def new(cls, seed: int) -> Networks:
        tokenizers = new_tokenizers()
        first, second = new_text_encoders(seed, tokenizers)
        return cls(new_unet(seed), first, second, tokenizers)

    @property
    def trained(self) -> dict[str, nn.Module]:
        return {"unet": self.unet, "text_encoder": self.text_encoder, "text_encoder_2": self.text_encoder_2}

    def encode(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Context [n, 77, 160] (both penultimate layers) and pooled text [n, 96], as SDXL's pipeline makes
        them.
        """
        hidden = []
        pooled = torch.empty(0)
        for tokenizer, encoder in zip(self.tokenizers, (self.text_encoder, self.text_encoder_2), strict=True):
            ids = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
            out = encoder(ids, output_hidden_states=True)
            hidden.append(out.hidden_states[-2])
            pooled = out[0]
        return torch.cat(hidden, dim=-1), pooled

    def pipeline(self, vae: AutoencoderKL) -> StableDiffusionXLPipeline:
        """The stock SDXL pipeline over these networks."""
        return StableDiffusionXLPipeline(
            vae=vae,
            text_encoder=self.text_encoder,
            text_encoder_2=self.text_encoder_2,
            tokenizer=self.tokenizers[0],
            tokenizer_2=self.tokenizers[1],
            unet=self.unet,
            scheduler=new_scheduler(),
            add_watermarker=False,
        )
