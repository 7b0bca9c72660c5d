"""A base of SDXL's real shape, from one file, without a network: recognised, trained for two steps, exported."""

from __future__ import annotations

import json
import resource
import shutil
import socket
from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel
from training_runs import events, new_run, train

from engine.base.configs import sdxl_configs
from engine.base.original_layout import write_random_sdxl
from engine.base.recognise import recognise
from engine.plan import BaseChoice, Length, Network
from engine.sizes import lora_size


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_steps_on_a_real_shape_single_file(small_plan, tmp_path):
    if shutil.disk_usage(tmp_path).free < 12e9:
        pytest.skip("needs 12 GB of disk for the file")
    file = tmp_path / "real-shape.safetensors"
    write_random_sdxl(file)
    assert recognise(file).kind == "single-file" and recognise(file).native_resolution == 1024

    plan = replace(
        small_plan,
        base=BaseChoice(model=str(file)),
        network=Network(),
        pictures=replace(small_plan.pictures, resolution=256, upscale=True),
        length=Length(steps=2),
        samples=replace(small_plan.samples, prompts=()),
    )
    folder = new_run(plan)

    def no_network() -> None:
        def refuse(*_args, **_kwargs):
            raise AssertionError("the network was asked")

        socket.socket.connect = refuse  # type: ignore[method-assign]

    assert train(folder, no_network) == 0, events(folder)[-1]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    assert peak < 12, f"peak memory {peak:.1f} GiB"
    facts, step = events(folder, "plan")[0], events(folder, "step")[-1]
    assert facts.get("modules") == 722 and facts.get("precision") == "bfloat16" and facts.get("resolution") == 256
    assert step.get("step") == 2 and step.number("loss") > 0
    checkpoint = events(folder, "checkpoint")[-1]
    assert checkpoint.get("verified") == "722/722 modules, difference 0"

    path = folder.path / checkpoint.get("file")
    configs = sdxl_configs()
    parts = (configs["unet"], configs["text_encoder"], configs["text_encoder_2"])
    predicted = lora_size(*parts, plan.network, "bf16").file_bytes
    assert abs(path.stat().st_size - predicted) < 0.01 * predicted
    with path.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(configs["unet"])
    wide = unet.get_submodule("mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj")
    name = "lora_unet_middle_block_1_transformer_blocks_0_ff_net_0_proj"
    assert header[f"{name}.lora_down.weight"]["shape"] == [32, wide.in_features]
    assert header[f"{name}.lora_up.weight"]["shape"] == [wide.out_features, 32]
