"""A micro SDXL built from a seed: the same classes and the same loading path, small enough for any CPU.

It draws nothing anyone would recognise (its weights are random); it exists so that the whole way from
pictures to a LoRA file can be walked without a download or a GPU.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from engine.base.configs import clip_merges, sdxl_configs
from engine.base.tokenizer import build_tokenizers

NATIVE_RESOLUTION = 64
_VERSION = 1  # raised when the shape changes, so that an older one in the cache is not taken for it
_MERGES = 512
_FIRST_WIDTH, _SECOND_WIDTH = 32, 48


def tiny_base_folder(cache: Path, seed: int = 0) -> Path:
    """The tiny base of this seed in `cache`, built the first time it is asked for (about a second)."""
    folder = cache / f"tiny-base-v{_VERSION}-seed{seed}"
    if not (folder / "model_index.json").is_file():
        make_tiny_base(folder, seed)
    return folder


def make_tiny_base(folder: Path, seed: int = 0) -> Path:
    """Builds a micro SDXL (1.2 M parameters, native 64 px) and saves it as a diffusers folder.

    UNet2DConditionModel with text_time conditioning and SDXL's block order, two CLIP text encoders of
    different width (the second with ten layers, which diffusers' single-file loader looks for), an AutoencoderKL of
    factor 4, tokenizers with CLIP's first 512 merges. The same seed gives the same weights.
    """
    folder = Path(folder)
    tokenizers = build_tokenizers(clip_merges()[:_MERGES])
    vocabulary, end = len(tokenizers[0]), tokenizers[0].eos_token_id
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = _vae()
        pipeline = StableDiffusionXLPipeline(
            vae=vae,
            text_encoder=CLIPTextModel(_text_config(_FIRST_WIDTH, 2, vocabulary, end)),
            text_encoder_2=CLIPTextModelWithProjection(_text_config(_SECOND_WIDTH, 10, vocabulary, end)),
            tokenizer=tokenizers[0],
            tokenizer_2=tokenizers[1],
            unet=_unet(NATIVE_RESOLUTION // 4),
            scheduler=EulerDiscreteScheduler.from_config(sdxl_configs()["scheduler"]),
            add_watermarker=False,
        )
    beside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        pipeline.save_pretrained(beside)
        _put(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _put(beside: Path, folder: Path) -> None:
    try:
        beside.replace(folder)
    except OSError:
        # Another process was faster: its folder holds the same weights.
        if not (folder / "model_index.json").is_file():
            raise


def _unet(sample_size: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=sample_size,
        block_out_channels=(16, 32, 32),
        norm_num_groups=8,
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(1, 2, 2),
        cross_attention_dim=_FIRST_WIDTH + _SECOND_WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + _SECOND_WIDTH,
        use_linear_projection=True,
    )


def _text_config(width: int, layers: int, vocabulary: int, end: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 16,
        max_position_embeddings=77,
        projection_dim=_SECOND_WIDTH,
        bos_token_id=end - 1,
        eos_token_id=end,
        pad_token_id=end,
    )


def _vae() -> AutoencoderKL:
    vae = AutoencoderKL(
        sample_size=NATIVE_RESOLUTION,
        block_out_channels=(8, 16, 16),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
    )
    # A trained VAE is all but certain of its latents (small deviation) and they have about unit spread once
    # scaled, which the noise schedule relies on; random weights are made to look so.
    last = vae.quant_conv
    assert last is not None and last.bias is not None
    with torch.no_grad():
        last.weight[4:].zero_()
        last.bias[4:].fill_(-10)
        latents = vae.encode(torch.rand(8, 3, NATIVE_RESOLUTION, NATIVE_RESOLUTION) * 2 - 1).latent_dist.mean
    vae.register_to_config(scaling_factor=round(float(1 / latents.std()), 4))
    return vae
