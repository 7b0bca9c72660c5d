"""What a file says about itself, as the programs read it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import safetensors.torch
import torch

from engine.lora.metadata import FileFacts, metadata, weight_hashes
from engine.plan import Length, Network, Output, Plan, Subject

PLAN = Plan(
    subject=Subject(kind="person", instance_prompt="ohwx", class_prompt="woman"),
    network=Network(targets="locon", rank=16, alpha=8, conv_rank=4),
    output=Output(name="jane"),
)
FACTS = FileFacts(
    base_name="/home/someone/models/juggernaut.safetensors",
    base_hash="ab" * 32,
    tag_frequency={"/home/someone/12_ohwx woman": {"ohwx woman": 9}, "/elsewhere/12_ohwx woman": {"smiling": 2}},
    bucket_info={"buckets": {"0": {"resolution": [1024, 1024], "count": 9}}, "mean_img_ar_error": 0.01},
    dataset_dirs={"C:\\data\\12_ohwx woman": {"n_repeats": 12, "img_count": 9}},
    epoch=3,
    epochs_total=10,
    step=324,
    steps_total=1080,
    started=1_700_000_000.0,
    finished=1_700_003_600.0,
)


def test_every_value_is_a_string_and_no_path_is_told():
    values = metadata(PLAN, FACTS)
    assert all(isinstance(value, str) for value in values.values())
    assert not any("/home" in value or "elsewhere/" in value or "C:" in value for value in values.values())
    assert values["ss_sd_model_name"] == "juggernaut.safetensors"


def test_what_the_programs_sort_and_show_by():
    values = metadata(PLAN, FACTS)
    assert values["ss_base_model_version"] == "sdxl_base_v1-0"
    assert values["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert values["ss_network_module"] == "networks.lora"
    assert (values["ss_network_dim"], values["ss_network_alpha"]) == ("16", "8.0")
    assert json.loads(values["ss_network_args"]) == {"conv_dim": "4", "conv_alpha": "4.0"}
    assert json.loads(values["ss_tag_frequency"]) == {
        "12_ohwx woman": {"ohwx woman": 9},
        "12_ohwx woman (2)": {"smiling": 2},
    }
    assert json.loads(values["ss_dataset_dirs"]) == {"12_ohwx woman": {"n_repeats": 12, "img_count": 9}}
    assert json.loads(values["ss_bucket_info"])["buckets"]["0"]["count"] == 9
    assert (values["ss_epoch"], values["ss_steps"], values["ss_num_epochs"]) == ("3", "324", "10")
    assert values["modelspec.trigger_phrase"] == "ohwx woman"
    assert values["modelspec.resolution"] == "1024x1024"
    assert values["modelspec.date"] == "2023-11-14T23:13:20"


def test_v_prediction_and_dora_are_marked():
    assert metadata(PLAN, FACTS)["modelspec.prediction_type"] == "epsilon"
    assert "modelspec.usage_hint" not in metadata(PLAN, FACTS)
    turned = replace(PLAN, network=replace(PLAN.network, dora=True, rslora=True))
    values = metadata(turned, replace(FACTS, v_prediction=True, zero_terminal_snr=True))
    assert values["modelspec.prediction_type"] == "v" and values["ss_zero_terminal_snr"] == "True"
    assert "experimental" in values["modelspec.usage_hint"]
    assert json.loads(values["ss_network_args"])["dora_wd"] == "True"


def test_hashes_are_kohyas():
    data = safetensors.torch.save({"a": torch.arange(600_000, dtype=torch.float32)}, metadata={"ss_x": "1"})
    hashes = weight_hashes(data)
    start = 8 + int.from_bytes(data[:8], "little")
    assert hashes["sshs_model_hash"] == hashlib.sha256(data[start:]).hexdigest()
    assert hashes["sshs_legacy_hash"] == hashlib.sha256(data[0x100000 : 0x100000 + 0x10000]).hexdigest()[:8]


def test_the_total_batch_counts_accumulation_and_processes():
    plan = Plan(length=Length(batch_size=2, gradient_accumulation=3))
    values = metadata(plan, FileFacts(base_name="x", processes=4))
    assert (values["ss_batch_size_per_device"], values["ss_total_batch_size"]) == ("2", "24")
