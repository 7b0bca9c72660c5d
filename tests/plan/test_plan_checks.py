"""What the checks say about a plan, as a person would meet it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from engine.plan import ClassFolder, Network, PictureFolder, Plan
from engine.plan_checks import check_plan, errors_in
from engine.plan_file import with_changes
from engine.plan_finding import Finding


@pytest.fixture
def good(tmp_path: Path) -> Plan:
    """A plan without a remark."""
    (tmp_path / "pics").mkdir()
    return with_changes(
        Plan(),
        {
            "pictures.folders": (PictureFolder(str(tmp_path / "pics")),),
            "subject.instance_prompt": "ohwx",
            "subject.class_prompt": "woman",
        },
    )


def found(plan: Plan, changes: dict[str, Any], key: str, **facts: Any) -> Finding:
    """The one finding about `key` after the changes."""
    about = [finding for finding in check_plan(with_changes(plan, changes), **facts) if finding.key == key]
    assert len(about) == 1, about
    return about[0]


def test_a_good_plan_is_met_with_silence(good: Plan) -> None:
    assert check_plan(good, native_resolution=1024, vram_gb=24) == []


@pytest.mark.parametrize(
    ("changes", "severity", "key", "said"),
    [
        ({"pictures.folders": ()}, "error", "pictures.folders", "is empty"),
        ({"pictures.folders": (PictureFolder("/no/where"),)}, "error", "pictures.folders.path", "does not exist"),
        ({"pictures.folders": (PictureFolder(__file__),)}, "error", "pictures.folders.path", "is a file"),
        ({"pictures.resolution": 255}, "error", "pictures.resolution", "256 to 2048"),
        ({"pictures.resolution": 512}, "warning", "pictures.resolution", "poorly below 768"),
        ({"pictures.resolution": 700}, "warning", "pictures.resolution", "768"),
        ({"pictures.resolution": 2048}, "warning", "pictures.resolution", "4.0 times"),
        ({"pictures.bucketing": False}, "warning", "pictures.bucketing", "cut to a square"),
        ({"pictures.bucket_step": 12}, "error", "pictures.bucket_step", "multiple of 8"),
        ({"pictures.bucket_step": 16}, "warning", "pictures.bucket_step", "multiples of 32"),
        ({"pictures.min_side": 1088}, "error", "pictures.min_side", "larger than the resolution 1024"),
        ({"pictures.max_side": 512}, "error", "pictures.max_side", "smaller than the resolution"),
        ({"regularization.folders": (ClassFolder("/no/a"),)}, "error", "regularization.folders.path", "/no/a does not"),
        ({"regularization.ratio": 2}, "note", "regularization.ratio", "no effect"),
        ({"subject.instance_prompt": " "}, "warning", "subject.instance_prompt", "is empty"),
        ({"subject.instance_prompt": "Woman"}, "warning", "subject.instance_prompt", "class itself"),
        ({"subject.instance_prompt": "ohwx woman"}, "note", "subject.instance_prompt", "trigger alone"),
        ({"subject.class_prompt": ""}, "note", "subject.class_prompt", "is empty"),
        ({"captions.shuffle": True, "captions.keep_tokens": 0}, "warning", "captions.keep_tokens", "wanders"),
        ({"captions.keep_tokens": 3}, "note", "captions.keep_tokens", "no effect"),
        ({"captions.dropout": 0.5}, "warning", "captions.dropout", "0.5"),
        ({"base.model": "/no/where.safetensors"}, "error", "base.model", "no file or folder here"),
        ({"base.model": "model.ckpt"}, "error", "base.model", "pickle"),
        ({"base.vae": "/no/vae.safetensors"}, "error", "base.vae", "does not exist"),
        (
            {"base.zero_terminal_snr": True, "base.prediction": "epsilon"},
            "error", "base.zero_terminal_snr", "v_prediction",
        ),
        ({"base.prediction": "v_prediction", "loss.noise_offset": 0.05}, "warning", "loss.noise_offset", "take 0"),
        ({"network.rank": 256}, "warning", "network.rank", "8 times"),
        ({"network.dora": True}, "warning", "network.dora", "experimental"),
        ({"network.rslora": True}, "note", "network.rslora", "sqrt(32) = 5.7"),
        ({"network.conv_rank": 8}, "note", "network.conv_rank", "locon"),
        ({"network.train_text_encoders": True}, "note", "network.train_text_encoders", "every caption anew"),
        ({"optimizer.text_encoder_learning_rate": 1e-5}, "note", "optimizer.text_encoder_learning_rate", "no effect"),
        (
            {"network.train_text_encoders": True, "optimizer.text_encoder_learning_rate": 2e-4},
            "warning", "optimizer.text_encoder_learning_rate", "above the UNet's 1e-4",
        ),
        ({"optimizer.learning_rate": 5e-5}, "warning", "optimizer.learning_rate", "little is learnt"),
        ({"optimizer.learning_rate": 5e-4}, "warning", "optimizer.learning_rate", "pictures break"),
        ({"optimizer.name": "prodigy", "optimizer.learning_rate": 0.1}, "warning", "optimizer.learning_rate", "take 1"),
        ({"network.alpha": 1}, "warning", "network.alpha", "32 times below"),
        ({"optimizer.restarts": 5}, "note", "optimizer.restarts", "no effect"),
        ({"optimizer.scheduler": "cosine"}, "note", "optimizer.scheduler", "constant"),
        ({"length.save_every_epochs": 20}, "warning", "length.save_every_epochs", "only the last"),
        ({"subject.kind": "style"}, "note", "length.batch_size", "4"),
        ({"loss.noise_offset": 0.05, "loss.multires_noise_iterations": 6}, "warning", "loss.multires_noise_iterations",
         "use one"),
        ({"loss.min_snr_gamma": 0.5}, "warning", "loss.min_snr_gamma", "5 is usual"),
        ({"samples.prompts": ("a dog",)}, "note", "samples.prompts", "ohwx"),
    ],
)  # fmt: skip
def test_it_is_said(good: Plan, changes: dict[str, Any], severity: str, key: str, said: str) -> None:
    finding = found(good, changes, key)
    assert finding.severity == severity
    assert said in finding.sentence
    assert "\n" not in finding.sentence


def test_the_usual_choices_bring_no_warning(good: Plan) -> None:
    for changes in (
        {"pictures.resolution": 768},
        {"optimizer.learning_rate": 3e-4},
        {"network.alpha": 16},
        {"optimizer.name": "prodigy"},
        {"optimizer.name": "lion8bit"},
        {"network.rank": 128},
        {"network.targets": "locon", "network.conv_rank": 8},
    ):
        assert not [
            finding for finding in check_plan(with_changes(good, changes)) if finding.severity != "note"
        ], changes


def test_one_folder_as_pictures_and_class_pictures_is_an_error(good: Plan) -> None:
    same = (ClassFolder(good.pictures.folders[0].path),)
    assert found(good, {"regularization.folders": same}, "regularization.folders.path").severity == "error"
    twice = (*good.pictures.folders, *good.pictures.folders)
    assert "twice" in found(good, {"pictures.folders": twice}, "pictures.folders").sentence


def test_values_that_no_file_may_hold_are_errors_in_a_plan_made_by_hand(good: Plan) -> None:
    plan = dataclasses.replace(good, network=Network(rank=0, alpha=0.0))
    assert {finding.key for finding in check_plan(plan)} == {"network.rank", "network.alpha"}
    assert len(errors_in(check_plan(plan))) == 2


def test_a_small_card_is_told_what_to_lower_and_a_tiny_base_is_left_alone(good: Plan) -> None:
    assert "resolution" in found(good, {}, "network.rank", vram_gb=6).sentence
    assert check_plan(good, vram_gb=8) == []
    small = with_changes(good, {"pictures.resolution": 96})
    assert check_plan(small, native_resolution=128, vram_gb=1) == []
    assert check_plan(with_changes(small, {"base.model": "demo"})) == []
    # Nor are SDXL's usual rates held against the demo's own.
    assert check_plan(with_changes(small, {"base.model": "demo", "optimizer.learning_rate": 1e-3})) == []
    assert check_plan(with_changes(small, {"optimizer.learning_rate": 1e-3})) != []


def test_errors_come_first(good: Plan) -> None:
    plan = with_changes(good, {"subject.class_prompt": "", "network.dora": True, "base.model": "x.ckpt"})
    assert [finding.severity for finding in check_plan(plan)] == ["error", "warning", "note"]


def test_an_escape_code_in_a_path_is_shown_not_sent(good: Plan) -> None:
    plan = dataclasses.replace(
        good, pictures=dataclasses.replace(good.pictures, folders=(PictureFolder("/no/\x1b[2Jhere"),))
    )
    assert all("\x1b" not in finding.sentence for finding in check_plan(plan))
