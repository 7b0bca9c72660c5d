"""diffusers' own SDXL pipeline around the parts of one of our bases: the independent judge of drawing and loading."""

from __future__ import annotations

import torch
from diffusers import StableDiffusionXLPipeline

from engine.base.load import Base


def sdxl_pipeline(base: Base) -> StableDiffusionXLPipeline:
    """The stock pipeline in fp32, silent."""
    encoders, tokenizers = base.load_text_encoders(torch.float32), base.tokenizers()
    pipe = StableDiffusionXLPipeline(
        vae=base.load_vae(torch.float32), text_encoder=encoders[0], text_encoder_2=encoders[1],
        tokenizer=tokenizers[0], tokenizer_2=tokenizers[1], unet=base.load_unet(torch.float32),
        scheduler=base.scheduler(), add_watermarker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe
