"""kohya's GUI presets become plans, and every key of the file is accounted for."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from engine.errors import PlanError
from engine.kohya_preset import KohyaImport, import_kohya, kohya_from_text, report_lines
from engine.plan import Plan
from engine.plan_file import plan_from_text, write_plan
from engine.plan_values import value_of

BASIS = {
    "LoRA_type": "Standard",
    "sdxl": True,
    "optimizer": "AdamW8bit",
    "network_dim": 16,
    "network_alpha": 8,
}


def imported(**settings: Any) -> KohyaImport:
    return kohya_from_text(json.dumps(BASIS | settings))


def plan_of(**settings: Any) -> Plan:
    return imported(**settings).plan


def reason(result: KohyaImport, key: str) -> str:
    return next(one.reason for one in result.left if one.key == key)


def assert_accounted(result: KohyaImport, values: dict[str, Any]) -> None:
    """Each key, or each part of it, is in exactly one of the two lists, and a file can hold the plan."""
    accounts = [(one.key, one.part) for one in (*result.taken, *result.left)]
    assert len(accounts) == len(set(accounts))
    assert {key for key, _ in accounts} == set(values)
    assert plan_from_text(write_plan(result.plan)) == result.plan
    for one in result.taken:
        assert one.becomes
    for one in result.left:
        assert one.reason
    lines = report_lines(result)
    assert max(map(len, lines)) <= 80
    text = " ".join(lines)
    assert all(key in text for key in values if key.isidentifier() and len(key) < 60)


@pytest.mark.parametrize(
    "name",
    [
        "SDXL - LoRA AI_characters standard v1.1",
        "SDXL - LoRA adafactor v1.0",
        "SDXL - LoRA by malcolmrey training v1.0",
        "SDXL - LoRA kudou-reira prodigy v4.0",
    ],
)
def test_every_key_of_a_real_preset_is_accounted_for(shared_data: Path, name: str) -> None:
    path = shared_data / "kohya_presets" / f"{name}.json"
    values = json.loads(path.read_text())
    result = import_kohya(path)
    assert len(values) > 90
    assert_accounted(result, values)


def expect(plan: Plan, **values: Any) -> None:
    for key, value in values.items():
        assert value_of(plan, key.replace("__", ".")) == value, key


def test_the_standard_preset_becomes_what_its_author_ran(shared_data: Path) -> None:
    result = import_kohya(shared_data / "kohya_presets" / "SDXL - LoRA AI_characters standard v1.1.json")
    expect(
        result.plan,
        network__rank=32, network__alpha=32.0, network__train_text_encoders=True, optimizer__name="adamw",
        optimizer__learning_rate=3e-5, optimizer__text_encoder_learning_rate=3e-5, length__epochs=50,
        length__batch_size=3, captions__dropout=0.05, loss__min_snr_gamma=5.0, machine__precision="fp16",
        pictures__upscale=True, pictures__min_side=256, pictures__max_side=2048, output__precision="fp16",
    )  # fmt: skip
    assert not [one for one in result.left if one.matters]


def test_the_adafactor_preset_loses_its_rate_and_the_ending_that_would_hide_captions(
    shared_data: Path,
) -> None:
    result = import_kohya(shared_data / "kohya_presets" / "SDXL - LoRA adafactor v1.0.json")
    expect(
        result.plan, optimizer__name="adafactor", optimizer__learning_rate="auto", captions__extension=".txt"
    )
    expect(result.plan, loss__noise_offset=0.0357, loss__scale_weight_norms=1.0, optimizer__weight_decay=0.0)
    assert {one.key for one in result.left if one.matters} == {
        "adaptive_noise_scale",
        "caption_extension",
        "unet_lr",
    }


def test_the_malcolmrey_preset_keeps_its_odd_alpha(shared_data: Path) -> None:
    plan = import_kohya(shared_data / "kohya_presets" / "SDXL - LoRA by malcolmrey training v1.0.json").plan
    expect(plan, network__rank=32, network__alpha=13.0, length__epochs=16, length__save_every_epochs=2)
    assert plan.network.scale() == 13 / 32
    assert (
        plan.network.targets == "transformer"
    )  # its conv_dim 32 belongs to a kind of adapter it does not choose


def test_the_prodigy_preset_is_read_down_to_its_arguments(shared_data: Path) -> None:
    result = import_kohya(shared_data / "kohya_presets" / "SDXL - LoRA kudou-reira prodigy v4.0.json")
    expect(
        result.plan,
        optimizer__name="prodigy", optimizer__learning_rate=1.0, optimizer__weight_decay=0.45,
        optimizer__scheduler="constant", network__train_text_encoders=False, captions__max_tokens=225,
        captions__shuffle=True, captions__keep_tokens=2, machine__seed=1337, length__epochs=30,
        pictures__upscale=False, pictures__min_side="auto",
    )  # fmt: skip
    assert {(one.key, one.part) for one in result.left if one.matters} == {
        ("optimizer_args", "d_coef=2"),
        ("lr_scheduler", ""),
        ("additional_parameters", "--lr_scheduler_type=CosineAnnealingLR"),
        ("additional_parameters", "--lr_scheduler_args=T_max=30"),
    }


@pytest.mark.parametrize(
    ("settings", "key", "value"),
    [
        ({"unet_lr": "0.0002", "learning_rate": 1e-4}, "optimizer.learning_rate", 2e-4),
        ({"unet_lr": 0, "learning_rate": "1e-4"}, "optimizer.learning_rate", 1e-4),
        ({"unet_lr": "", "learning_rate": 1e-4}, "optimizer.learning_rate", 1e-4),
        ({"unet_lr": 1e-4, "text_encoder_lr": 0}, "network.train_text_encoders", False),
        ({"unet_lr": 1e-4, "text_encoder_lr": "5e-5"}, "optimizer.text_encoder_2_learning_rate", 5e-5),
        ({"unet_lr": 1e-4, "text_encoder_lr": "5e-5"}, "network.train_text_encoders", True),
        ({"unet_lr": 0, "text_encoder_lr": 0, "learning_rate": 1e-4}, "network.train_text_encoders", True),
        ({"text_encoder_lr": 1e-4, "unet_lr": 1e-4, "additional_parameters": "--network_train_unet_only"},
         "network.train_text_encoders", False),
        ({"additional_parameters": "--max_grad_norm=0"}, "optimizer.gradient_clipping", 0.0),
        ({"additional_parameters": "--zero_terminal_snr", "v_parameterization": True}, "base.zero_terminal_snr", True),
        ({"v_parameterization": "true"}, "base.prediction", "v_prediction"),
        ({"optimizer": "Adafactor", "unet_lr": 9e-4, "optimizer_args": "scale_parameter=False relative_step=False"},
         "optimizer.learning_rate", 9e-4),
        ({"optimizer": "Adafactor", "unet_lr": 1, "optimizer_args": ""}, "optimizer.learning_rate", "auto"),
        ({"optimizer": "Prodigy", "unet_lr": 1.0}, "optimizer.weight_decay", 0.0),
        ({"optimizer": "Prodigy", "optimizer_args": '"weight_decay=0.1" "betas=1,2"'}, "optimizer.weight_decay", 0.1),
        ({"optimizer": "DAdaptAdam", "unet_lr": 1.0}, "optimizer.name", "prodigy"),
        ({"optimizer": "PagedAdamW8bit"}, "optimizer.name", "adamw8bit"),
        ({"optimizer": "SGDNesterov", "unet_lr": 1.0}, "optimizer.learning_rate", "auto"),
        ({"lr_scheduler": "cosine_with_restarts", "lr_scheduler_num_cycles": "3"}, "optimizer.restarts", 3),
        ({"lr_scheduler": "cosine_with_restarts"}, "optimizer.restarts", 1),
        ({"lr_scheduler": "polynomial", "lr_scheduler_power": ""}, "optimizer.scheduler", "linear"),
        ({"lr_scheduler": "cosine", "lr_warmup": 10, "max_train_steps": "1600"}, "optimizer.warmup_steps", 160),
        ({"lr_scheduler": "cosine", "lr_warmup_steps": 50, "lr_warmup": 10}, "optimizer.warmup_steps", 50),
        ({"max_train_steps": "320", "epoch": 160}, "length.steps", 320),
        ({"max_train_steps": "320", "max_train_epochs": "16", "epoch": 1}, "length.epochs", 16),
        ({"max_train_steps": "320", "max_train_epochs": "16"}, "length.steps", 0),
        ({"max_train_epochs": "", "max_train_steps": None, "epoch": 30}, "length.epochs", 30),
        ({"LoRA_type": "LyCORIS/LoCon", "conv_dim": 8, "conv_alpha": "4"}, "network.targets", "locon"),
        ({"LoRA_type": "Kohya LoCon", "conv_dim": 8, "conv_alpha": "4"}, "network.conv_alpha", 4.0),
        ({"LoRA_type": "LyCORIS/LoCon", "conv_dim": 8, "LyCORIS_preset": "attn-only"}, "network.targets", "attention"),
        ({"LoRA_type": "LyCORIS/LoCon", "conv_dim": 8, "dora_wd": True}, "network.dora", True),
        ({"LoRA_type": "LyCORIS/LoKr", "network_dim": 100000, "unet_lr": 1e-3}, "network.rank", 32),
        ({"network_dim": "128", "network_alpha": "1"}, "network.alpha", 1.0),
        ({"max_resolution": "768,1024"}, "pictures.resolution", 887),  # sqrt(768 * 1024) = 886.8
        ({"max_resolution": "512,512", "sdxl": False}, "pictures.resolution", "auto"),
        ({"max_resolution": "1024"}, "pictures.resolution", 1024),
        ({"bucket_reso_steps": 1}, "pictures.bucket_step", "auto"),
        ({"max_token_length": "225"}, "captions.max_tokens", 225),
        ({"caption_extension": ".none-use-foldername"}, "captions.extension", ".txt"),
        ({"caption_extension": ".caption"}, "captions.extension", ".caption"),
        ({"gradient_accumulation_steps": 4.0}, "length.gradient_accumulation", 4),
        ({"noise_offset_type": "Multires", "multires_noise_iterations": 8, "noise_offset": 0.05},
         "loss.noise_offset", 0.0),
        ({"noise_offset_type": "Multires", "multires_noise_iterations": 8, "multires_noise_discount": 0.2},
         "loss.multires_noise_discount", 0.2),
        ({"mixed_precision": "no", "save_precision": "float"}, "output.precision", "fp32"),
        ({"seed": 0}, "machine.seed", 0),
        ({"save_every_n_epochs": 0}, "length.save_every_epochs", 1),
        ({"sample_prompts": "a cat --w 832 --n bad\n# not this\na dog"}, "samples.prompts", ("a cat", "a dog")),
        ({"pretrained_model_name_or_path": "stabilityai/stable-diffusion-xl-base-1.0"}, "base.model",
         "stabilityai/stable-diffusion-xl-base-1.0"),
        ({"pretrained_model_name_or_path": "D:/models/x.safetensors"}, "base.model", "sdxl-1.0"),
        ({"output_name": "my/lora"}, "output.name", ""),
    ],
)  # fmt: skip
def test_settings_mean_what_they_mean_to_kohya(settings: dict[str, Any], key: str, value: Any) -> None:
    result = imported(**settings)
    assert value_of(result.plan, key) == value
    assert_accounted(result, BASIS | settings)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"LoRA_type": "LyCORIS/LoHa"}, "LoRA_type"),
        ({"LoRA_type": "LyCORIS/LoHa"}, "network_dim"),
        ({"optimizer": "pytorch_optimizer.CAME"}, "optimizer"),
        ({"random_crop": True}, "random_crop"),
        ({"ip_noise_gamma": "0.1"}, "ip_noise_gamma"),
        ({"caption_dropout_every_n_epochs": 2}, "caption_dropout_every_n_epochs"),
        ({"min_timestep": 100}, "min_timestep"),
        ({"max_timestep": 900}, "max_timestep"),
        ({"loss_type": "huber", "huber_c": 0.2}, "huber_c"),
        ({"network_weights": "old.safetensors"}, "network_weights"),
        ({"loraplus_lr_ratio": 16}, "loraplus_lr_ratio"),
        ({"block_dims": "4,4,4"}, "block_dims"),
        ({"lr_scheduler": "cosine", "lr_warmup": "10"}, "lr_warmup"),
        ({"optimizer_args": "betas=0.9,0.99"}, "optimizer_args"),
        ({"additional_parameters": "--noise_offset_random_strength"}, "additional_parameters"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"network_dim": "many"}, "network_dim"),
        ({"network_alpha": 0}, "network_alpha"),
        ({"train_batch_size": 2.5}, "train_batch_size"),
        ({"a_key_of_next_year": 3}, "a_key_of_next_year"),
        ({"v2": True}, "v2"),
        ({"num_processes": 2}, "num_processes"),
    ],
)
def test_what_changes_the_training_is_said_loudly(settings: dict[str, Any], key: str) -> None:
    result = imported(**settings)
    assert [one.key for one in result.left if one.matters and one.key == key] == [key]
    assert_accounted(result, BASIS | settings)
    assert "so that training differs" in "\n".join(report_lines(result))


@pytest.mark.parametrize(
    "settings",
    [
        {"min_timestep": 0, "max_timestep": 1000, "loss_type": "l2", "huber_c": 0.1, "huber_schedule": "snr"},
        {"cache_latents": True, "gradient_checkpointing": True, "xformers": "xformers", "clip_skip": "1"},
        {"stop_text_encoder_training": 10, "stop_text_encoder_training_pct": 0},
        {"color_aug": "false", "random_crop": "None", "ip_noise_gamma": "0", "block_dims": ""},
        {"optimizer": "Prodigy", "optimizer_args": "decouple=True d_coef=1.0 safeguard_warmup=True"},
        {"flux1_cache_text_encoder_outputs": True, "t5xxl_max_token_length": 512, "ae": "ae.sft"},
        {"adaptive_noise_scale": 0.005, "noise_offset_type": "Multires"},
        {"lr_scheduler": "constant", "lr_warmup": 10},
    ],
)
def test_what_changes_nothing_is_said_quietly(settings: dict[str, Any]) -> None:
    result = imported(**settings)
    assert not [one for one in result.left if one.matters]
    assert_accounted(result, BASIS | settings)


def test_a_secret_is_not_repeated() -> None:
    result = imported(wandb_api_key="hunter2", huggingface_token="hunter2")
    assert "hunter2" not in repr(result) and "hunter2" not in "\n".join(report_lines(result))


def test_a_hostile_preset_cannot_reach_the_terminal_or_the_plan() -> None:
    settings = {
        "a\x1b[2J": "b\x1b[2J",
        "output_name": "x\x1b[2J",
        "optimizer": "\x1b]0;x\x07",
        "caption_extension": "../x",
    }
    result = imported(**settings)
    assert_accounted(result, BASIS | settings)
    assert not any("\x1b" in line or "\x07" in line for line in report_lines(result))
    assert result.plan.output.name == "" and result.plan.captions.extension == ".txt"


def test_any_value_in_any_key_is_accounted_for(shared_data: Path) -> None:
    dice = random.Random(4)
    odd = [
        "", "None", None, "true", "false", True, False, 0, 1, -1, 1e-4, "0.0001", 1e300, 10**400, [], [1, "a=b"],
        {}, {"a": 1}, "a=b c=d", "--x=1 --y 2 z", "'unclosed", "1024,1024", "x,y", float("inf"), float("nan"), "é\n",
    ]  # fmt: skip
    texts = [path.read_text() for path in sorted((shared_data / "kohya_presets").glob("*.json"))]
    for _ in range(60):
        values = json.loads(dice.choice(texts))
        for key in dice.sample(sorted(values), 25):
            values[key] = dice.choice(odd)
        values |= {"sdxl": True, "network_dim": 8, "learning_rate": 1e-4}
        result = kohya_from_text(json.dumps(values))
        assert_accounted(result, values)


def test_a_key_that_stands_twice_is_told() -> None:
    text = '{"network_dim": 8, "network_dim": 16, "learning_rate": 1e-4, "optimizer": "AdamW", "sdxl": true}'
    result = kohya_from_text(text)
    assert result.plan.network.rank == 16
    assert "more than once" in result.notes[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not json", "is not JSON"),
        ("[1, 2]", "no preset of kohya's GUI"),
        ('{"a": 1}', "no preset of kohya's GUI"),
        ("[" * 200000, "JSON"),
        ('{"learning_rate": ' + "1" * 5000 + "}", "JSON"),
        (json.dumps(BASIS | {"flux1_checkbox": True}), "a preset for Flux"),
        (json.dumps(BASIS | {"LoRA_type": "Flux1"}), "a preset for Flux"),
        (json.dumps(BASIS | {"sd3_checkbox": "true"}), "Stable Diffusion 3"),
    ],
)
def test_a_file_that_is_no_preset_gets_one_sentence(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "preset.json"
    path.write_text(content)
    with pytest.raises(PlanError, match=said) as caught:
        import_kohya(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_missing_or_unreadable_preset_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="There is no file"):
        import_kohya(tmp_path / "none.json")
    with pytest.raises(PlanError, match="cannot be read"):
        import_kohya(tmp_path)
    (tmp_path / "latin.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(PlanError, match="not UTF-8"):
        import_kohya(tmp_path / "latin.json")


def test_a_preset_for_another_model_family_is_noted() -> None:
    assert "not marked as one for SDXL" in imported(sdxl=False).notes[0]
    assert "not marked" not in " ".join(imported().notes)
