"""Names in files against the ones other trainers have written for SDXL, and their inverse."""

from __future__ import annotations

import pytest

from engine.lora import names

KNOWN = {  # as found in SDXL LoRAs made by kohya's scripts
    "down_blocks.1.attentions.0.proj_in": "lora_unet_input_blocks_4_1_proj_in",
    "down_blocks.2.attentions.1.transformer_blocks.9.attn1.to_out.0": (
        "lora_unet_input_blocks_8_1_transformer_blocks_9_attn1_to_out_0"
    ),
    "mid_block.attentions.0.transformer_blocks.3.ff.net.0.proj": (
        "lora_unet_middle_block_1_transformer_blocks_3_ff_net_0_proj"
    ),
    "up_blocks.0.attentions.2.transformer_blocks.0.ff.net.2": (
        "lora_unet_output_blocks_2_1_transformer_blocks_0_ff_net_2"
    ),
    "up_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k": (
        "lora_unet_output_blocks_3_1_transformer_blocks_1_attn2_to_k"
    ),
    "down_blocks.0.downsamplers.0.conv": "lora_unet_input_blocks_3_0_op",
    "up_blocks.0.upsamplers.0.conv": "lora_unet_output_blocks_2_2_conv",
    "up_blocks.1.upsamplers.0.conv": "lora_unet_output_blocks_5_2_conv",
    "down_blocks.1.resnets.0.conv_shortcut": "lora_unet_input_blocks_4_0_skip_connection",
    "mid_block.resnets.1.conv2": "lora_unet_middle_block_2_out_layers_3",
    "up_blocks.2.resnets.2.time_emb_proj": "lora_unet_output_blocks_8_0_emb_layers_1",
}


@pytest.mark.parametrize(("path", "name"), KNOWN.items())
def test_sdxl_names(path, name):
    assert names.unet_name(path, 2) == name
    assert names.module_path(name, 2) == ("unet", path)


@pytest.mark.parametrize("path", KNOWN)
@pytest.mark.parametrize("layers", [1, 3])
def test_other_layer_counts_come_back(path, layers):
    if "attentions.2" in path or "resnets.2" in path:
        path = path.replace("s.2.t", "s.0.t")
    assert names.module_path(names.unet_name(path, layers), layers) == ("unet", path)


def test_text_encoders_always_get_text_model():
    expected = "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"
    assert names.text_encoder_name("te1", "encoder.layers.0.self_attn.q_proj") == expected
    assert names.text_encoder_name("te1", "text_model.encoder.layers.0.self_attn.q_proj") == expected
    assert names.module_path("lora_te2_text_model_encoder_layers_31_mlp_fc1", 2) == (
        "te2",
        "encoder.layers.31.mlp.fc1",
    )


def test_diffusers_block_names_are_read_too():
    assert names.module_path("lora_unet_down_blocks_1_attentions_0_proj_in", 2) == (
        "unet",
        "down_blocks.1.attentions.0.proj_in",
    )
    assert names.module_path("lora_unet_up_blocks_0_upsamplers_0_conv", 2)[1] == "up_blocks.0.upsamplers.0.conv"


@pytest.mark.parametrize("name", ["lora_unet_nonsense", "transformer.blocks.0", "lora_te1_text_projection"])
def test_a_name_of_another_shape_is_a_key_error(name):
    with pytest.raises(KeyError):
        names.module_path(name, 2)


def test_one_count_of_layers_is_asked_of_a_configuration():
    assert names.layers_per_block({"layers_per_block": [2, 2, 2]}) == 2
    with pytest.raises(ValueError, match="same count"):
        names.layers_per_block({"layers_per_block": [2, 1]})
