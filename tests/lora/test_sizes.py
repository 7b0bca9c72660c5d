"""The predicted file size against real modules and real files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from engine.lora.attach import attach
from engine.lora.file import save_lora
from engine.lora.metadata import FileFacts, metadata
from engine.lora.targets import text_encoder_targets, unet_targets
from engine.lora.verify import verify
from engine.plan import Network, Plan
from engine.sizes import lora_size, text_encoder_weights, unet_weights

NETWORKS = {
    "transformer": Network(),
    "attention": Network(targets="attention", rank=16),
    "locon": Network(targets="locon", rank=32, conv_rank=8),
    "locon, equal rank": Network(targets="locon"),
    "text encoders": Network(train_text_encoders=True, rank=4),
    "dora": Network(targets="locon", dora=True, rank=8),
}


def _config(model) -> dict:
    return dict(model.config) if isinstance(model.config, dict) else model.config.to_dict()


def _size(models, network, precision, **more):
    return lora_size(_config(models.unet), _config(models.te1), _config(models.te2), network, precision, **more)


@pytest.mark.parametrize("targets", ["transformer", "attention", "locon"])
def test_every_weight_has_the_shape_that_the_real_unet_has(sdxl_shape, targets):
    real = {t.path: tuple(t.module.weight.shape) for t in unet_targets(sdxl_shape.unet, targets)}
    config = dict(sdxl_shape.unet.config)
    assert {w.path: w.shape for w in unet_weights(config, Network(targets=targets))} == real


@pytest.mark.parametrize("which", ["te1", "te2"])
def test_every_text_encoder_weight_has_its_real_shape(sdxl_shape, which):
    encoder = getattr(sdxl_shape, which)
    real = {
        t.path.removeprefix("text_model."): tuple(t.module.weight.shape) for t in text_encoder_targets(encoder)
    }
    assert {w.path: w.shape for w in text_encoder_weights(encoder.config.to_dict())} == real


@pytest.mark.parametrize(
    ("network", "precision", "megabytes"),
    [  # computed independently from the parameter counts that the formats' documentation states
        (Network(), "fp16", 170.2),
        (Network(), "bf16", 170.2),
        (Network(rank=256), "fp32", 2723.7),
        (Network(targets="attention"), "fp16", 92.9),
        (Network(targets="locon"), "fp16", 196.8),
        (Network(train_text_encoders=True), "fp16", 228.0),
        (Network(targets="locon", train_text_encoders=True, rank=128), "fp16", 1018.2),
    ],
)
def test_sdxl_files_have_the_known_sizes(sdxl_shape, network, precision, megabytes):
    assert _size(sdxl_shape, network, precision).file_bytes / 1e6 == pytest.approx(megabytes, rel=0.01)


@pytest.mark.parametrize(
    ("name", "precision"), [*((name, "bf16") for name in NETWORKS), ("locon", "fp32"), ("dora", "fp32")]
)
def test_a_written_file_has_the_predicted_size(tiny, tmp_path: Path, name, precision):
    models = tiny()
    adapter = attach(models.unet, models.text_encoders, NETWORKS[name], seed=0)
    save_lora(adapter, tmp_path / "a.safetensors", precision, {"ss_output_name": "thing"})
    written = (tmp_path / "a.safetensors").read_bytes()
    header = json.loads(written[8 : 8 + int.from_bytes(written[:8], "little")])
    about_metadata = len(json.dumps(header["__metadata__"])) + len('"__metadata__":,')
    size = _size(models, NETWORKS[name], precision, metadata_bytes=about_metadata)
    assert size.file_bytes == pytest.approx(len(written), abs=16)  # the header is padded to a multiple of 8
    assert size.modules == len(adapter.modules)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network", [Network(), Network(targets="locon", train_text_encoders=True, rank=8)], ids=["722", "everything"]
)
def test_a_file_of_sdxls_real_shape(sdxl_shape, tmp_path: Path, network):
    adapter = attach(sdxl_shape.unet, sdxl_shape.text_encoders, network, seed=0)
    for module in adapter.modules.values():
        for holder in (module.layer.lora_A, module.layer.lora_B):
            holder.to_empty(device="cpu")
        with torch.no_grad():
            module.down.normal_()
            module.up.normal_()
    path = tmp_path / "a.safetensors"
    save_lora(adapter, path, "bf16", metadata(Plan(network=network), FileFacts("sdxl-1.0")))
    shown = verify(path, adapter)
    adapter.remove()
    size = _size(sdxl_shape, network, "bf16")
    assert path.stat().st_size == pytest.approx(size.file_bytes, rel=0.01)
    assert shown.message == f"{size.modules}/{size.modules} modules, difference 0"


def test_other_depths_widths_and_blocks(tiny):
    models = tiny(
        layers_per_block=1,
        block_out_channels=(8, 12, 16),
        attention_head_dim=(1, 2, 2),
        transformer_layers_per_block=(1, 3, 1),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    )
    network = Network(targets="locon", rank=3, conv_rank=2)
    size = _size(models, network, "fp32")
    adapter = attach(models.unet, (), network, seed=0)
    assert size.modules_unet == len(adapter.modules)
    assert size.parameters == sum(p.numel() for p in adapter.parameters_unet())
