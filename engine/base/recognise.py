"""Says whether a file or folder is an SDXL base model, and if not, what it is instead.

Everything is read from names, shapes and configurations; no weights are loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.base.configs import sdxl_configs
from engine.base.folder import WEIGHT_STEMS, component_weights, folder_configs, read_json
from engine.base.header import Header, read_header
from engine.errors import BaseModelError, shown

Prediction = Literal["epsilon", "v_prediction"]
CONFIGS_KEY = "lorasmith.base"  # metadata of single files that lorasmith wrote in a shape other than SDXL's

_UNET = "model.diffusion_model."
_PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
# A key that only this architecture has -> what to call it. Taken from the key names ComfyUI's and diffusers'
# model detection use; prefixes (ending in a dot) match any key that begins so. The first match wins.
_OTHERS: tuple[tuple[str, str], ...] = (
    ("distilled_guidance_layer.", "a Chroma model"),
    ("double_stream_modulation_img.lin.weight", "a Flux.2 model"),
    ("double_blocks.0.img_attn.norm.key_norm.scale", "a Flux model"),
    ("double_blocks.0.img_attn.norm.key_norm.weight", "a Flux model"),
    ("joint_blocks.0.context_block.adaLN_modulation.1.bias", "a Stable Diffusion 3 model"),
    ("txt_in.individual_token_refiner.", "a HunyuanVideo model"),
    ("double_stream_blocks.0.", "a HiDream model"),
    ("patchify_proj.weight", "an LTX-Video model"),
    ("head.modulation", "a Wan model"),
    ("cap_embedder.0.weight", "a Lumina or Z-Image model"),
    ("double_layers.0.attn.w1q.weight", "an AuraFlow model"),
    ("txt_norm.weight", "a Qwen-Image model"),
    ("clip_txt_mapper.weight", "a Stable Cascade model"),
    ("down_blocks.1.0.channelwise.0.weight", "a Stable Cascade model"),
    ("control_model.", "a ControlNet"),
    ("controlnet_cond_embedding.", "a ControlNet"),
)
_LORA_MARKS = (
    ".lora_down.weight", ".lora_up.weight", ".lora_A.weight", ".lora_B.weight", ".lora.down.weight",
    ".lora.up.weight", ".hada_w1_a", ".lokr_w1", ".lokr_w1_a", ".lokr_w2", ".oft_blocks", ".oft_diag",
)  # fmt: skip
_TEXT_ENCODER_MARKS = (
    "text_model.", "transformer.resblocks.", "transformer.text_model.", "encoder.block.0.", "conditioner.",
    "cond_stage_model.", "embeddings.token_embedding.", "model.embed_tokens.",
)  # fmt: skip
_QUANTISED_MARKS = (".absmax", ".quant_map", ".scale_weight", ".weight_scale", ".comfy_quant")
_PIPELINES: Mapping[str, str] = {
    "StableDiffusion3Pipeline": "a Stable Diffusion 3 model",
    "FluxPipeline": "a Flux model",
    "Flux2Pipeline": "a Flux.2 model",
    "StableDiffusionXLInpaintPipeline": "an SDXL inpainting model",
    "StableDiffusionXLInstructPix2PixPipeline": "an SDXL picture-editing model (InstructPix2Pix)",
    "StableCascadePriorPipeline": "a Stable Cascade model",
    "StableCascadeDecoderPipeline": "a Stable Cascade model",
}


@dataclass(frozen=True)
class Recognised:
    """An SDXL base model, as far as its header or its configurations tell."""

    kind: Literal["single-file", "diffusers"]
    path: Path
    prediction: Prediction | None  # None: nothing says
    zero_terminal_snr: bool
    size_bytes: int
    native_resolution: int  # pixels a side
    has_vae: bool = True


def recognise(path: str | Path) -> Recognised:
    """Recognises an SDXL base; raises BaseModelError, one sentence that names what the path is instead."""
    path = Path(path)
    if path.is_dir():
        return _recognise_folder(path)
    if not path.exists():
        raise BaseModelError(f"{shown(path)} does not exist; check the path of the base model.")
    if path.suffix.lower() in _PICKLES:
        raise BaseModelError(
            f"{shown(path)} is a pickle, which can run programs when opened; take its .safetensors version, "
            "or convert it: torch.load(weights_only=True), then safetensors.torch.save_file on its state_dict."
        )
    if path.suffix.lower() == ".gguf":
        raise BaseModelError(f"{shown(path)} is a GGUF model, quantised for drawing; take its fp16 version.")
    header = read_header(path)
    what = _what_else(header)
    if what is not None:
        raise BaseModelError(f"{shown(path)} is {what}; give an SDXL base model.")
    prediction, zero_terminal = _prediction_of_file(header)
    configs = stored_configs(path, header) or sdxl_configs()
    return Recognised(
        kind="single-file",
        path=path,
        prediction=prediction,
        zero_terminal_snr=zero_terminal,
        size_bytes=header.size_bytes,
        native_resolution=native_resolution(configs),
        has_vae="first_stage_model.decoder.conv_in.weight" in header.tensors,
    )


def native_resolution(configs: Mapping[str, Mapping[str, Any]]) -> int:
    """Pixels a side that the UNet was made for: its sample size times the VAE's scale factor."""
    return int(configs["unet"].get("sample_size") or 128) * vae_scale(configs)


def bucket_step(configs: Mapping[str, Mapping[str, Any]], native_resolution: int) -> int:
    """Pixels between bucket sides: a sixteenth of the native side (64 for SDXL), or what the UNet needs."""
    halvings = len(configs["unet"]["block_out_channels"]) - 1
    return max(native_resolution // 16, vae_scale(configs) * 2**halvings)


def vae_scale(configs: Mapping[str, Mapping[str, Any]]) -> int:
    """Pixels a latent cell is wide (8 for SDXL)."""
    return 2 ** (len(configs["vae"]["block_out_channels"]) - 1)


def stored_configs(path: Path, header: Header) -> dict[str, Any] | None:
    """The configurations and tokenizer merges inside a single file of another shape than SDXL's, if any."""
    stored = header.metadata.get(CONFIGS_KEY)
    if not stored:
        return None
    try:
        return json.loads(stored)
    except ValueError as error:
        raise BaseModelError(
            f"{shown(path)} carries damaged configurations; write or copy it again."
        ) from error


def _what_else(header: Header) -> str | None:
    """What a file is if it is no SDXL base ("a LoRA"), or None."""
    names = header.tensors.keys()
    if not names:
        return "a safetensors file without tensors"
    if any(name.endswith(_LORA_MARKS) for name in names):
        return "a LoRA (or another adapter), not a whole model"
    for mark, what in _OTHERS:
        forms = (mark, _UNET + mark)
        if any(name.startswith(forms) if mark.endswith(".") else name in forms for name in names):
            return what
    if any(name.endswith(_QUANTISED_MARKS) for name in names):
        return "a quantised model, which cannot be trained on (take the fp16 version)"
    if f"{_UNET}input_blocks.0.0.weight" not in names:
        return _part_alone(header)
    return _other_unet(header)


def _part_alone(header: Header) -> str:
    names = header.tensors.keys()

    def any_begins(*prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in names)

    if any_begins("time_embedding.linear_1.", "input_blocks.0.0.", "down_blocks.0.resnets."):
        return "a UNet alone (give the whole model, with its text encoders)"
    if any_begins("encoder.conv_in.", "first_stage_model.", "decoder.conv_in.", "vae."):
        return "a VAE alone (name it as the plan's VAE, beside a base)"
    if any_begins(*_TEXT_ENCODER_MARKS):
        return "a text encoder alone"
    if "emb_params" in names or {"clip_l", "clip_g"} & names:
        return "a textual-inversion embedding"
    return "no model of a known architecture"


def _other_unet(header: Header) -> str | None:
    """Tells the UNets of the Stable Diffusion family apart by their context width and conditioning."""
    tensors = header.tensors
    if CONFIGS_KEY in header.metadata:
        return None
    channels = tensors[f"{_UNET}input_blocks.0.0.weight"].shape[1]
    attention = tensors.get(f"{_UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight")
    context = attention.shape[1] if attention else 0
    if any(name.startswith("cond_stage_model.model.") for name in tensors) or context == 1024:
        return "a Stable Diffusion 2 model"
    if any(name.startswith("cond_stage_model.") for name in tensors) or context == 768:
        return "a Stable Diffusion 1.5 model"
    if context == 1280:
        return "the SDXL refiner, which takes no LoRA in other programs"
    if context != 2048:
        return "no model of a known architecture"
    if channels == 9:
        return "an SDXL inpainting model (its UNet takes 9 channels)"
    if channels != 4:
        return f"an SDXL model whose UNet takes {channels} channels (made for editing pictures)"
    if "edm_mean" in tensors or "edm_vpred.sigma_max" in tensors:
        return "an EDM model of SDXL's shape (Playground v2.5, CosXL), which is trained in another way"
    if f"{_UNET}middle_block.1.transformer_blocks.9.attn2.to_k.weight" not in tensors:
        return "a pruned SDXL (SSD-1B, Vega), whose LoRAs do not fit SDXL"
    needed = {
        "its first text encoder": "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight",
        "its second text encoder": "conditioner.embedders.1.model.ln_final.weight",
    }
    for part, key in needed.items():
        if key not in tensors:
            return f"an SDXL model without {part} (give the full version of the checkpoint)"
    return None


def _prediction_of_file(header: Header) -> tuple[Prediction | None, bool]:
    """Prediction type and zero-terminal SNR from marker tensors, then from metadata.

    `v_pred` and `ztsnr` are the empty tensors ComfyUI and Forge look for; `modelspec.prediction_type` is
    "v" or "epsilon"; `ss_v_parameterization` and `ss_zero_terminal_snr` are kohya's.
    """
    metadata = {key: value.strip().lower() for key, value in header.metadata.items() if key != CONFIGS_KEY}
    zero_terminal = "ztsnr" in header.tensors or metadata.get("ss_zero_terminal_snr") == "true"
    if "v_pred" in header.tensors:
        return "v_prediction", zero_terminal
    stated = metadata.get("modelspec.prediction_type")
    if stated in {"v", "v_prediction", "v-prediction", "vpred", "v_pred"}:
        return "v_prediction", zero_terminal
    if stated in {"epsilon", "eps"}:
        return "epsilon", zero_terminal
    if metadata.get("ss_v_parameterization") in {"true", "false"}:
        said_v = metadata["ss_v_parameterization"] == "true"
        return ("v_prediction" if said_v else "epsilon"), zero_terminal
    return None, zero_terminal


def _recognise_folder(folder: Path) -> Recognised:
    _check_is_diffusers(folder)
    index = read_json(folder / "model_index.json")
    unet = read_json(folder / "unet" / "config.json") if (folder / "unet").is_dir() else {}
    what = _what_pipeline(index, unet)
    if what is not None:
        raise BaseModelError(f"{shown(folder)} is {what}; give an SDXL base model.")
    size = sum(component_weights(folder, component).size_bytes for component in WEIGHT_STEMS)
    configs = folder_configs(folder)
    scheduler = configs["scheduler"]
    if str(scheduler.get("_class_name", "")).startswith("EDM"):
        raise BaseModelError(
            f"{shown(folder)} is an EDM model of SDXL's shape (Playground v2.5), which is trained in another "
            "way; give an SDXL base model."
        )
    stated = scheduler.get("prediction_type", "epsilon" if scheduler else None)
    if stated not in {"epsilon", "v_prediction", None}:
        raise BaseModelError(
            f"{shown(folder)} predicts {shown(stated)!r}; lorasmith trains epsilon and v_prediction models."
        )
    return Recognised(
        kind="diffusers",
        path=folder,
        prediction=stated,
        zero_terminal_snr=bool(scheduler.get("rescale_betas_zero_snr", False)),
        size_bytes=size,
        native_resolution=native_resolution(configs),
    )


def _check_is_diffusers(folder: Path) -> None:
    if (folder / "model_index.json").is_file():
        return
    name = shown(folder)
    if (folder / "config.json").is_file():
        raise BaseModelError(f"{name} is one part of a diffusers model; give the folder above it.")
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    if files:
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        raise BaseModelError(
            f"{name} is a folder of single files ({shown(files[0])}{more}); give one of them."
        )
    raise BaseModelError(
        f"{name} is a folder without a model (no model_index.json); "
        "give a .safetensors file or a diffusers folder."
    )


def _what_pipeline(index: Mapping[str, Any], unet: Mapping[str, Any]) -> str | None:
    """What a diffusers folder is if it is no SDXL base, or None."""
    name = str(index.get("_class_name", ""))
    if name in _PIPELINES:
        return _PIPELINES[name]
    if not name.startswith("StableDiffusionXL"):
        width = {768: "1.5", 1024: "2"}.get(unet.get("cross_attention_dim", 0))
        if name.startswith("StableDiffusion") and width:
            return f"a Stable Diffusion {width} model"
        return f"a model of another architecture ({shown(name)})"
    if not (index.get("text_encoder") or [None])[0]:
        return "the SDXL refiner, which takes no LoRA in other programs"
    channels = unet.get("in_channels")
    if channels == 9:
        return "an SDXL inpainting model (its UNet takes 9 channels)"
    if channels != 4 or unet.get("addition_embed_type") != "text_time":
        return "a variant of SDXL that lorasmith cannot train (its UNet takes other inputs)"
    return None
