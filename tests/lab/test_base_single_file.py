"""The base that travels with lorasmith takes the single-file path too, and draws the same picture through it."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from engine.base.configs import embedded_base_folder
from engine.base.encode import decode
from engine.base.load import Base, open_base
from engine.base.original_layout import write_single_file
from engine.base.recognise import recognise
from engine.draw.prompts import encode_prompt
from engine.draw.sampling import Drawing, draw_latents


def drawn(base: Base):
    encoders, tokenizers = base.load_text_encoders(torch.float32), base.tokenizers()
    prompt, negative = (encode_prompt(tokenizers, encoders, text) for text in ("a lion in the snow", ""))
    drawing = Drawing((base.native_resolution, base.native_resolution), 4, 4.5, 7)
    latents = draw_latents(
        base.load_unet(torch.float32), base.scheduler(), [prompt], negative, [drawing], vae_scale=base.vae_scale
    )
    return decode(base.load_vae(torch.float32), latents)[0]


def test_the_embedded_base_as_a_single_file_draws_the_same_picture(tmp_path: Path):
    folder = embedded_base_folder()
    assert folder is not None
    base = open_base("demo")
    first, second = base.load_text_encoders(torch.float16)
    modules = {
        "unet": base.load_unet(torch.float16),
        "vae": base.load_vae(torch.float32),
        "text_encoder": first,
        "text_encoder_2": second,
    }
    merges = json.loads((folder / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))["model"]["merges"]
    path = tmp_path / "small-base.safetensors"
    write_single_file(modules, path, torch.float32, merges=[" ".join(pair) for pair in merges])

    assert recognise(path).kind == "single-file" and recognise(path).native_resolution == 64
    assert (drawn(open_base(path)) == drawn(base)).all()
