"""The sampling loop against diffusers' own SDXL pipeline, and what a drawn PNG says of itself."""

from __future__ import annotations

import subprocess
import sys

import numpy
import pytest
import torch
from PIL import Image
from sdxl_pipelines import sdxl_pipeline

from engine.base.encode import decode, encode_texts
from engine.base.load import open_base
from engine.draw.sampling import Drawing, Prompt, draw_latents, starting_noise
from engine.runs.launch import engine_environment


@pytest.fixture
def base(tiny_base):
    return open_base(tiny_base)


@pytest.fixture
def pipeline(base):
    return sdxl_pipeline(base)


def encoded(pipe, texts):
    tokenizers, encoders = (pipe.tokenizer, pipe.tokenizer_2), (pipe.text_encoder, pipe.text_encoder_2)
    with torch.no_grad():
        return [Prompt(*encode_texts(tokenizers, encoders, [text], 75)) for text in texts]


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "ddim"])
def test_draws_what_the_sdxl_pipeline_draws(base, pipeline, sampler):
    pipeline.scheduler = base.scheduler(sampler)
    drawings = [Drawing((64, 48), 5, 4.0, seed) for seed in (7, 8)]
    prompt, negative = encoded(pipeline, ["a red apple", "blurred"])
    latents = draw_latents(
        pipeline.unet, base.scheduler(sampler), [prompt, prompt], negative, drawings, vae_scale=base.vae_scale
    )
    channels = pipeline.unet.config.in_channels
    theirs = pipeline(
        "a red apple", negative_prompt="blurred", width=64, height=48, num_inference_steps=5, guidance_scale=4.0,
        latents=torch.cat([starting_noise(d, channels, base.vae_scale) for d in drawings]),
        num_images_per_prompt=2, output_type="latent", original_size=(48, 64), target_size=(48, 64),
    ).images  # fmt: skip
    assert torch.allclose(latents, theirs, atol=2e-4), (latents - theirs).abs().max()


def test_a_seed_draws_the_same_picture_in_any_batch(base, pipeline):
    prompts = encoded(pipeline, ["a red apple", "a blue car", ""])
    drawings = [Drawing((64, 64), 4, 5.0, 3), Drawing((64, 64), 4, 5.0, 4)]
    together = draw_latents(
        pipeline.unet, base.scheduler("euler_a"), prompts[:2], prompts[2], drawings, vae_scale=base.vae_scale
    )
    alone = draw_latents(
        pipeline.unet, base.scheduler("euler_a"), prompts[1:2], prompts[2], drawings[1:], vae_scale=base.vae_scale
    )
    assert torch.allclose(together[1:], alone, atol=1e-4)
    assert decode(pipeline.vae, alone).shape == (1, 64, 64, 3)


@pytest.mark.parametrize("chunks", [(1, 2), (2, 1), (3, 2)])
def test_prompt_and_negative_may_differ_in_length(base, pipeline, chunks):
    prompt, negative = encoded(pipeline, ["a red apple", "blurred"])
    longer = [
        Prompt(text.hidden.repeat(1, count, 1), text.pooled)
        for text, count in zip((prompt, negative), chunks, strict=True)
    ]
    drawings = [Drawing((64, 64), 3, 5.0, 1)]

    def drawn(positive, without):
        return draw_latents(
            pipeline.unet, base.scheduler(), [positive], without, drawings, vae_scale=base.vae_scale
        )

    # Attention over equal rows repeated is attention over them once, so the lengths must not matter.
    assert torch.allclose(drawn(*longer), drawn(prompt, negative), atol=1e-4)


def test_the_command_takes_a_long_negative_prompt(tiny_base, tmp_path):
    to = tmp_path / "x.png"
    command = [sys.executable, "-P", "-m", "engine.draw", "x", "--to", str(to),
               "--base", str(tiny_base), "--steps", "1",
               "--negative", "bad hands, " * 40]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=engine_environment({}))
    assert done.returncode == 0, done.stderr
    assert to.is_file()


def test_the_command_writes_a_png_that_says_how_it_was_made(tiny_base, tmp_path):
    to = tmp_path / "apple.png"
    command = [sys.executable, "-P", "-m", "engine.draw", "a red apple", "--to", str(to),
               "--base", str(tiny_base), "--steps", "2", "--seed", "9"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=engine_environment({}))
    assert done.returncode == 0, done.stderr
    with Image.open(to) as picture:
        assert numpy.asarray(picture).shape == (64, 64, 3)
        assert picture.text["parameters"].startswith(
            "a red apple\nSteps: 2, Sampler: Euler, Schedule type: Automatic, CFG scale: 5, Seed: 9"
        )


def test_a_size_the_base_cannot_draw_is_refused(tiny_base, tmp_path):
    command = [sys.executable, "-P", "-m", "engine.draw", "x", "--to", str(tmp_path / "x.png"),
               "--base", str(tiny_base), "--size", "65x64"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=engine_environment({}))
    assert done.returncode == 1 and "multiples of" in done.stderr and "Traceback" not in done.stderr
