"""The programs' naming rules: at SDXL's real shape every module lands where it was trained."""

from __future__ import annotations

import pytest

from engine.lora import names
from engine.lora.readers import READERS, match_all
from engine.lora.targets import text_encoder_targets, unet_targets

SUFFIXES = ("lora_down.weight", "lora_up.weight", "alpha")


def _modules(models, targets="locon") -> dict[str, str]:
    """name in the file -> module, for the whole of SDXL."""
    found = {names.unet_name(t.path, 2): f"unet.{t.path}" for t in unet_targets(models.unet, targets)}
    for part, model, encoder in (("te1", "text_encoder", models.te1), ("te2", "text_encoder_2", models.te2)):
        for target in text_encoder_targets(encoder):
            path = target.path.removeprefix("text_model.")
            found[names.text_encoder_name(part, path)] = f"{model}.{path}"
    return found


def _keys(file_names) -> list[str]:
    return [f"{name}.{suffix}" for name in file_names for suffix in SUFFIXES]


@pytest.mark.parametrize(("targets", "count"), [("transformer", 722), ("attention", 560), ("locon", 788)])
def test_every_program_finds_every_module(sdxl_shape, targets, count):
    expected = _modules(sdxl_shape, targets)
    results = match_all(_keys(expected), expected.values())
    assert tuple(results) == READERS
    for program, result in results.items():
        assert result.matched == expected, program
        assert not result.unmatched and not result.refused
        assert len(result.matched) == count + 72 + 192


def test_text_encoder_1_without_text_model_is_lost(sdxl_shape):
    expected = _modules(sdxl_shape)
    wrong = {name.replace("lora_te1_text_model_", "lora_te1_"): module for name, module in expected.items()}
    for program, result in match_all(_keys(wrong), expected.values()).items():
        # diffusers looks for the layer behind `text_model_`; the others keep a table of whole names.
        assert len(result.matched) == 788 + 192, program
        if program == "Forge":
            assert "216 tensors" in result.refused  # 72 modules of three tensors, where 12 are tolerated


def test_diffusers_block_names_lose_an_upsampler_in_a1111(sdxl_shape):
    expected = _modules(sdxl_shape)
    wrong = {
        f"lora_unet_{module.removeprefix('unet.').replace('.', '_')}": module
        for module in expected.values()
        if module.startswith("unet.")
    }
    results = match_all(_keys(wrong), expected.values())
    assert results["A1111"].unmatched == ("lora_unet_up_blocks_0_upsamplers_0_conv",)
    assert results["ComfyUI"].matched == wrong and results["diffusers"].matched == wrong
    assert results["InvokeAI"].matched == wrong


def test_mixed_block_names_and_strange_keys_are_refused(sdxl_shape):
    expected = _modules(sdxl_shape)
    mixed = _keys(expected) + ["lora_unet_down_blocks_1_attentions_0_proj_in.lora_down.weight"]
    results = match_all(mixed, expected.values())
    assert "block names" in results["InvokeAI"].refused
    assert len(results["diffusers"].matched) == 1 + 72 + 192  # the original names are dropped
    strange = match_all([*_keys(expected), "step"], expected.values())
    assert "step" in strange["InvokeAI"].refused and "step" in strange["diffusers"].refused
    assert not strange["ComfyUI"].refused and strange["ComfyUI"].unmatched == ("step",)


def test_doras_magnitudes_are_ignored_by_diffusers_only(sdxl_shape):
    expected = _modules(sdxl_shape, "attention")
    keys = _keys(expected) + [f"{name}.dora_scale" for name in expected]
    ignoring = {program for program, result in match_all(keys, expected.values()).items() if result.ignored}
    assert ignoring == {"diffusers"}
