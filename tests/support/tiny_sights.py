"""Random networks of transformers' real classes of picture models, saved as the hub holds them."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch


def tiny_sight(kind: str, folder: Path) -> Path:
    """One of dinov2, siglip2, clip, clipseg; those that read texts with the words of the small base."""
    import transformers as t

    torch.manual_seed(1)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    folder.mkdir(parents=True, exist_ok=True)
    words = 0 if kind == "dinov2" else _words(folder)
    vision = {**small, "image_size": 32, "patch_size": 16}
    text = {**small, "vocab_size": words, "max_position_embeddings": 16, "eos_token_id": 1}
    if kind == "dinov2":
        hidden = {key: value for key, value in small.items() if key != "intermediate_size"}
        model = t.Dinov2Model(t.Dinov2Config(**hidden, image_size=28, patch_size=14))
        processor = t.BitImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    elif kind == "siglip2":
        model = t.SiglipModel(t.SiglipConfig(vision_config=vision, text_config=text))
        processor = t.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    elif kind == "clip":
        model = t.CLIPModel(t.CLIPConfig(vision_config=vision, text_config=text, projection_dim=24))
        processor = t.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    else:
        config = t.CLIPSegConfig(
            vision_config=vision, text_config=text, projection_dim=24, extract_layers=[0, 1], reduce_dim=8,
            decoder_num_attention_heads=2, decoder_intermediate_size=16,
        )  # fmt: skip
        model = t.CLIPSegForImageSegmentation(config)
        processor = t.ViTImageProcessorPil(size={"height": 32, "width": 32})
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    # The published configurations name the class without the ending.
    written = folder / "preprocessor_config.json"
    written.write_text(written.read_text().replace('ImageProcessorPil"', 'ImageProcessor"'))
    return folder


def _words(folder: Path) -> int:
    """Puts the small base's tokenizer into the folder; how many tokens it has."""
    from importlib.resources import files

    from transformers import AutoTokenizer

    shutil.copytree(Path(str(files("presets") / "base" / "tokenizer")), folder, dirs_exist_ok=True)
    return len(AutoTokenizer.from_pretrained(folder))
