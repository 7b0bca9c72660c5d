"""What a file or folder is, told from its header and its configurations."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.base.recognise import recognise
from engine.errors import BaseModelError

UNET = "model.diffusion_model."
CONV_IN = f"{UNET}input_blocks.0.0.weight"
ATTENTION = f"{UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"

# The telling keys of real files. diffusers' own detection is asked about each in the test below.
OTHERS: dict[str, tuple[dict[str, tuple[int, ...]], str]] = {
    "sd15": (
        {
            CONV_IN: (320, 4, 3, 3),
            ATTENTION: (640, 768),
            f"{UNET}output_blocks.11.0.skip_connection.weight": (320, 640, 1, 1),
            "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": (77, 768),
            "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
        },
        "Stable Diffusion 1.5",
    ),
    "sd2": (
        {
            CONV_IN: (320, 4, 3, 3),
            ATTENTION: (640, 1024),
            f"{UNET}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024),
            "cond_stage_model.model.token_embedding.weight": (49408, 1024),
        },
        "Stable Diffusion 2",
    ),
    "sd3": (
        {
            f"{UNET}joint_blocks.0.context_block.adaLN_modulation.1.bias": (9216,),
            f"{UNET}pos_embed": (1, 36864, 1536),
            "text_encoders.clip_l.transformer.text_model.embeddings.position_embedding.weight": (77, 768),
        },
        "Stable Diffusion 3",
    ),
    "flux": (
        {
            "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
            "guidance_in.in_layer.bias": (3072,),
            "img_in.weight": (3072, 64),
        },
        "Flux",
    ),
    "flux-checkpoint": (
        {
            f"{UNET}double_blocks.0.img_attn.norm.key_norm.scale": (128,),
            f"{UNET}img_in.weight": (3072, 64),
            "vae.decoder.conv_in.weight": (512, 16, 3, 3),
        },
        "Flux",
    ),
    "refiner": (
        {
            CONV_IN: (384, 4, 3, 3),
            ATTENTION: (768, 1280),
            "conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias": (1280,),
        },
        "SDXL refiner",
    ),
    "lora-kohya": (
        {
            "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_k.lora_down.weight": (32, 640),
            "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_k.lora_up.weight": (640, 32),
            "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_k.alpha": (),
        },
        "LoRA",
    ),
    "lora-peft": (
        {"unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k.lora_A.weight": (32, 640)},
        "LoRA",
    ),
    "loha": ({"lora_unet_input_blocks_4_1_proj_in.hada_w1_a": (640, 8)}, "LoRA"),
    "vae": (
        {"encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3)},
        "VAE alone",
    ),
    "text-encoder": ({"text_model.embeddings.token_embedding.weight": (49408, 768)}, "text encoder alone"),
    "unet-diffusers": (
        {"time_embedding.linear_1.weight": (1280, 320), "conv_in.weight": (320, 4, 3, 3)},
        "UNet",
    ),
    "controlnet": ({"control_model.time_embed.0.weight": (1280, 320)}, "ControlNet"),
    "embedding": ({"clip_l": (4, 768), "clip_g": (4, 1280)}, "embedding"),
    "unknown": ({"hello.weight": (4, 4)}, "no model of a known architecture"),
}


def refusal(path: Path) -> str:
    with pytest.raises(BaseModelError) as caught:
        recognise(path)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".") and len(sentence) < 400
    return sentence


@pytest.mark.parametrize("name", OTHERS)
def test_another_architecture_is_named(name: str, tmp_path: Path, header_file: Callable[..., Path]) -> None:
    shapes, called = OTHERS[name]
    assert called in refusal(header_file(tmp_path / f"{name}.safetensors", shapes))


@pytest.mark.parametrize(
    ("name", "diffusers_name"),
    [("sd15", "v1"), ("sd2", "v2"), ("sd3", "sd3"), ("flux", "flux-dev"), ("refiner", "xl_refiner")],
)
def test_diffusers_agrees_on_the_crafted_headers(name: str, diffusers_name: str) -> None:
    import torch
    from diffusers.loaders.single_file_utils import infer_diffusers_model_type

    shapes = OTHERS[name][0]
    assert infer_diffusers_model_type(
        {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    ) in {
        diffusers_name,
        "sd35_medium",
    }


def test_real_sdxl_header(tmp_path: Path, header_file: Callable[..., Path], sdxl_shapes: dict) -> None:
    import torch
    from diffusers.loaders.single_file_utils import infer_diffusers_model_type

    path = header_file(tmp_path / "sd_xl_base_1.0.safetensors", sdxl_shapes)
    assert len(sdxl_shapes) == 2515
    meta = {key: torch.empty(shape, device="meta") for key, shape in sdxl_shapes.items()}
    assert infer_diffusers_model_type(meta) == "xl_base"
    known = recognise(path)
    assert (known.kind, known.prediction, known.zero_terminal_snr) == ("single-file", None, False)
    assert known.native_resolution == 1024 and known.has_vae
    assert known.size_bytes == path.stat().st_size > 6.9e9


@pytest.mark.parametrize(
    ("markers", "metadata", "expected"),
    [
        (["v_pred"], {}, ("v_prediction", False)),
        (["v_pred", "ztsnr"], {}, ("v_prediction", True)),
        ([], {"modelspec.prediction_type": "v"}, ("v_prediction", False)),
        ([], {"modelspec.prediction_type": "epsilon"}, ("epsilon", False)),
        ([], {"ss_v_parameterization": "True", "ss_zero_terminal_snr": "True"}, ("v_prediction", True)),
        ([], {"ss_v_parameterization": "False"}, ("epsilon", False)),
    ],
)
def test_prediction_markers(
    markers: list[str],
    metadata: dict,
    expected: tuple,
    tmp_path: Path,
    header_file: Callable,
    sdxl_shapes: dict,
) -> None:
    shapes = {**sdxl_shapes, **{marker: (0,) for marker in markers}}
    known = recognise(header_file(tmp_path / "v.safetensors", shapes, metadata))
    assert (known.prediction, known.zero_terminal_snr) == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({CONV_IN: (320, 9, 3, 3)}, "SDXL inpainting"),
        ({CONV_IN: (320, 8, 3, 3)}, "8 channels"),
        ({"edm_mean": (4,), "edm_std": (4,)}, "Playground"),
        ({"edm_vpred.sigma_max": ()}, "CosXL"),
        ({f"{UNET}middle_block.1.transformer_blocks.9.attn2.to_k.weight": None}, "SSD-1B"),
        ({"conditioner.embedders.1.model.ln_final.weight": None}, "without its second text encoder"),
        ({f"{UNET}input_blocks.4.1.proj_in.weight.absmax": (4,)}, "quantised"),
    ],
)
def test_sdxl_variants_are_named(
    change: dict, said: str, tmp_path: Path, header_file: Callable, sdxl_shapes: dict
) -> None:
    shapes = {key: shape for key, shape in {**sdxl_shapes, **change}.items() if shape is not None}
    assert said in refusal(header_file(tmp_path / "variant.safetensors", shapes))


@pytest.mark.parametrize("missing", [1, 1_000, 3_000_000_000])
def test_truncated_data_is_named(
    missing: int, tmp_path: Path, header_file: Callable, sdxl_shapes: dict
) -> None:
    sentence = refusal(header_file(tmp_path / "cut.safetensors", sdxl_shapes, cut=missing))
    assert "truncated" in sentence and "cut.safetensors" in sentence


@pytest.mark.parametrize("kept", [1, 7, 8, 9, 200, 100_000])
def test_truncated_header_is_named(
    kept: int, tmp_path: Path, header_file: Callable, sdxl_shapes: dict
) -> None:
    path = header_file(tmp_path / "cut.safetensors", sdxl_shapes)
    with path.open("rb+") as file:
        file.truncate(kept)
    assert "truncated" in refusal(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"PK\x03\x04" + bytes(200), "pickle"),
        (b"\x80\x02}q\x00" + bytes(200), "pickle"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 6938040682\n", "git-lfs pointer"),
        (b"<!DOCTYPE html><html>log in</html>", "web page"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{not json at all", "damaged header"),
        (b"nothing that anyone knows" * 9, "not a safetensors file"),
    ],
)
def test_files_that_only_bear_the_name(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert said in refusal(path)


@pytest.mark.parametrize("length", [0x3C20, 0x0280, 0x033C])
def test_a_headers_length_may_look_like_anything(length: int, tmp_path: Path) -> None:
    """15,392 bytes of header begin as " <" does, 640 as a pickle does."""
    from engine.base.header import read_header

    path = tmp_path / "sound.safetensors"
    text = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(length)
    path.write_bytes(length.to_bytes(8, "little") + text + bytes(4))
    assert read_header(path).tensors["a"].shape == (1,)


@pytest.mark.parametrize("ending", [".ckpt", ".pt", ".pth", ".bin"])
def test_pickles_are_refused_with_the_way_out(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    path.write_bytes(b"PK\x03\x04")
    sentence = refusal(path)
    assert "pickle" in sentence and "weights_only=True" in sentence


def test_a_hostile_name_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "evil\x1b[31m.safetensors"
    path.write_bytes(b"")
    assert "\x1b" not in refusal(path)


def test_diffusers_folder(tiny_folder: Path) -> None:
    known = recognise(tiny_folder)
    assert (known.kind, known.prediction, known.native_resolution) == ("diffusers", "epsilon", 64)


def test_folder_of_v_prediction(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "v")
    edit(
        folder / "scheduler" / "scheduler_config.json",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
    )
    assert (recognise(folder).prediction, recognise(folder).zero_terminal_snr) == ("v_prediction", True)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("unet/diffusion_pytorch_model.safetensors", "lacks the weights of its unet"),
        ("text_encoder_2/model.safetensors", "lacks the weights of its text_encoder_2"),
        ("vae/config.json", "is missing"),
        ("model_index.json", "without a model"),
    ],
)
def test_folder_with_a_missing_file(file: str, said: str, tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "copy")
    (folder / file).unlink()
    assert said in refusal(folder)


def test_folder_with_a_truncated_file(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "copy")
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    sentence = refusal(folder)
    assert "truncated" in sentence and "vae" in sentence


def test_folder_with_pickles_only(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "copy")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    assert "pickle" in refusal(folder)


def test_sharded_folder_and_its_faults(tiny_folder: Path, tmp_path: Path) -> None:
    from diffusers import UNet2DConditionModel

    folder = shutil.copytree(tiny_folder, tmp_path / "copy")
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    shutil.rmtree(folder / "unet")
    unet.save_pretrained(folder / "unet", max_shard_size="1MB")
    shards = sorted((folder / "unet").glob("*.safetensors"))
    assert len(shards) > 2 and recognise(folder).kind == "diffusers"
    whole = shards[1].read_bytes()
    shards[1].write_bytes(whole[: len(whole) // 2])
    assert "truncated" in refusal(folder)
    shards[1].unlink()
    assert "is missing" in refusal(folder) and shards[1].name in refusal(folder)
    shutil.copy(shards[0], shards[1])
    assert "lacks" in refusal(folder)


@pytest.mark.parametrize(
    ("index", "unet", "said"),
    [
        ({"_class_name": "StableDiffusionPipeline"}, {"cross_attention_dim": 768}, "Stable Diffusion 1.5"),
        ({"_class_name": "StableDiffusionPipeline"}, {"cross_attention_dim": 1024}, "Stable Diffusion 2"),
        ({"_class_name": "StableDiffusion3Pipeline"}, {}, "Stable Diffusion 3"),
        ({"_class_name": "FluxPipeline"}, {}, "Flux"),
        ({"_class_name": "PixArtSigmaPipeline"}, {}, "PixArtSigmaPipeline"),
        ({"_class_name": "StableDiffusionXLInpaintPipeline"}, {"in_channels": 9}, "SDXL inpainting"),
        ({"_class_name": "StableDiffusionXLImg2ImgPipeline", "text_encoder": [None, None]}, {}, "refiner"),
    ],
)
def test_folders_of_other_architectures(
    index: dict, unet: dict, said: str, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "copy")
    edit(folder / "model_index.json", **index)
    edit(folder / "unet" / "config.json", **unet)
    assert said in refusal(folder)


def test_folders_that_are_no_model(tiny_folder: Path, tmp_path: Path) -> None:
    assert "without a model" in refusal(tmp_path)
    assert "one part of a diffusers model" in refusal(tiny_folder / "unet")
    (tmp_path / "a.safetensors").touch()
    assert "a.safetensors" in refusal(tmp_path)
    assert "does not exist" in refusal(tmp_path / "nowhere.safetensors")


def test_light_modules_import_nothing_heavy() -> None:
    code = (
        "import sys, engine.base.find, engine.base.recognise, engine.base.layout;"
        "heavy = {'torch', 'numpy', 'diffusers', 'transformers', 'safetensors', 'huggingface_hub', 'PIL'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
