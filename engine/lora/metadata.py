"""What a LoRA file says about itself: kohya's `ss_*` keys and Stability's `modelspec.*` ones, all strings.

A1111, Forge, ComfyUI and InvokeAI read these to file the LoRA under SDXL and to show its trigger words. No absolute
path is ever written: a person shares this file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePath

from engine import __version__
from engine.plan import Network, Plan, learning_rate, text_encoder_rates

ARCHITECTURE = "stable-diffusion-xl-v1-base/lora"
BASE_VERSION = "sdxl_base_v1-0"
_IMPLEMENTATION = "https://github.com/Stability-AI/generative-models"


@dataclass(frozen=True)
class FileFacts:
    """What is known of a training beyond its plan when a file is written."""

    base_name: str  # file or folder name, or hub name; a path is cut to its last part
    base_hash: str = ""  # sha256 of the base's file
    base_legacy_hash: str = ""  # A1111's old 8-digit hash
    vae_name: str = ""
    v_prediction: bool = False
    zero_terminal_snr: bool = False
    resolution: int = 1024
    optimizer: str = ""  # the one in use, "auto" resolved
    precision: str = ""
    # folder -> caption part -> count
    tag_frequency: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    # kohya's layout: {"buckets": {"0": {"resolution": [w, h], "count": n}, ...}, "mean_img_ar_error": e}
    bucket_info: Mapping[str, object] = field(default_factory=dict)
    # folder -> {"n_repeats": r, "img_count": n}
    dataset_dirs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    train_images: int = 0
    class_images: int = 0
    held_out_images: int = 0
    batches_per_epoch: int = 0
    processes: int = 1
    epoch: int = 0
    epochs_total: int = 0
    step: int = 0
    steps_total: int = 0
    started: float = 0.0  # seconds since 1970
    finished: float = 0.0
    session: str = ""


def metadata(plan: Plan, facts: FileFacts) -> dict[str, str]:
    """All metadata of one checkpoint, without the two hashes of the weights (`save_lora` adds those)."""
    values: dict[str, object] = {
        **_run(plan, facts),
        **_recipe(plan, facts),
        **_dataset(plan, facts),
        **_model(plan, facts),
        **_modelspec(plan, facts),
    }
    return {key: _text(value) for key, value in values.items()}


def network_args(network: Network) -> dict[str, str]:
    """kohya's `ss_network_args`: what the plain rank and alpha do not say."""
    args: dict[str, str] = {}
    if network.targets == "locon":
        args |= {"conv_dim": str(network.conv_rank_value), "conv_alpha": _text(network.conv_alpha_value)}
    if network.rslora:
        args["rs_lora"] = "True"
    if network.dora:
        args["dora_wd"] = "True"
    return args


def weight_hashes(serialized: bytes | memoryview) -> dict[str, str]:
    """kohya's two hashes, of a safetensors file holding the weights and the `ss_*` metadata.

    `sshs_model_hash`: sha256 of all that follows the header. `sshs_legacy_hash`: the first 8 digits of the sha256 of
    64 KB at offset 1 MB, header included.
    """
    view = memoryview(serialized)
    start = 8 + int.from_bytes(view[:8], "little")
    return {
        "sshs_model_hash": hashlib.sha256(view[start:]).hexdigest(),
        "sshs_legacy_hash": hashlib.sha256(view[0x100000:0x110000]).hexdigest()[:8],
    }


def _run(plan: Plan, facts: FileFacts) -> dict[str, object]:
    return {
        "ss_session_id": facts.session,
        "ss_output_name": plan.output.name,
        "ss_training_comment": f"lorasmith {__version__}",
        "ss_training_started_at": facts.started,
        "ss_training_finished_at": facts.finished,
        "ss_epoch": facts.epoch,
        "ss_num_epochs": facts.epochs_total,
        "ss_steps": facts.step,
        "ss_max_train_steps": facts.steps_total,
        "ss_num_batches_per_epoch": facts.batches_per_epoch,
    }


def _recipe(plan: Plan, facts: FileFacts) -> dict[str, object]:
    network, loss, optimizer = plan.network, plan.loss, plan.optimizer
    first, second = text_encoder_rates(plan, facts.optimizer or None)
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": network.rank,
        "ss_network_alpha": network.alpha_value,
        "ss_network_dropout": network.dropout or None,
        "ss_network_args": network_args(network),
        "ss_learning_rate": learning_rate(plan, facts.optimizer or None),
        "ss_unet_lr": learning_rate(plan, facts.optimizer or None),
        "ss_text_encoder_lr": [first, second] if network.train_text_encoders else None,
        "ss_optimizer": facts.optimizer or optimizer.name,
        "ss_lr_scheduler": optimizer.scheduler,
        "ss_lr_warmup_steps": optimizer.warmup_steps,
        "ss_max_grad_norm": optimizer.gradient_clipping,
        "ss_gradient_accumulation_steps": plan.length.gradient_accumulation,
        "ss_mixed_precision": facts.precision or plan.machine.precision,
        "ss_min_snr_gamma": loss.min_snr_gamma or None,
        "ss_noise_offset": loss.noise_offset or None,
        "ss_multires_noise_iterations": loss.multires_noise_iterations or None,
        "ss_multires_noise_discount": loss.multires_noise_discount,
        "ss_scale_weight_norms": loss.scale_weight_norms or None,
        "ss_prior_loss_weight": plan.regularization.weight,
        "ss_seed": plan.machine.seed,
        "ss_max_token_length": plan.captions.max_tokens,
        "ss_caption_dropout_rate": plan.captions.dropout,
    }


def _dataset(plan: Plan, facts: FileFacts) -> dict[str, object]:
    return {
        "ss_num_train_images": facts.train_images,
        "ss_num_reg_images": facts.class_images,
        "ss_num_validation_images": facts.held_out_images,
        "ss_batch_size_per_device": plan.length.batch_size,
        "ss_total_batch_size": plan.length.batch_size * plan.length.gradient_accumulation * facts.processes,
        "ss_resolution": f"({facts.resolution}, {facts.resolution})",
        "ss_enable_bucket": plan.pictures.bucketing,
        "ss_bucket_no_upscale": not plan.pictures.upscale,
        "ss_flip_aug": plan.pictures.flip,
        "ss_shuffle_caption": plan.captions.shuffle,
        "ss_keep_tokens": plan.captions.keep_tokens,
        "ss_tag_frequency": _by_base_name(facts.tag_frequency),
        "ss_bucket_info": facts.bucket_info,
        "ss_dataset_dirs": _by_base_name(facts.dataset_dirs),
    }


def _model(plan: Plan, facts: FileFacts) -> dict[str, object]:
    return {
        "ss_v2": False,
        "ss_base_model_version": BASE_VERSION,
        "ss_sd_model_name": _last_part(facts.base_name),
        "ss_new_sd_model_hash": facts.base_hash or None,
        "ss_sd_model_hash": facts.base_legacy_hash or None,
        "ss_vae_name": _last_part(facts.vae_name) if facts.vae_name else None,
        "ss_zero_terminal_snr": facts.zero_terminal_snr,
    }


def _modelspec(plan: Plan, facts: FileFacts) -> dict[str, object]:
    trigger = " ".join(filter(None, (plan.subject.instance_prompt, plan.subject.class_prompt)))
    date = datetime.fromtimestamp(facts.finished, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    spec: dict[str, object] = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": ARCHITECTURE,
        "modelspec.implementation": _IMPLEMENTATION,
        "modelspec.title": plan.output.name,
        "modelspec.date": date,
        "modelspec.resolution": f"{facts.resolution}x{facts.resolution}",
        "modelspec.prediction_type": "v" if facts.v_prediction else "epsilon",
        "modelspec.trigger_phrase": trigger,
    }
    if plan.network.dora:
        spec["modelspec.usage_hint"] = (
            "DoRA, experimental: diffusers ignores its magnitudes, and programs disagree on their norm."
        )
    return spec


def _by_base_name(by_folder: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """The same counts under folder names only; two folders of one name are told apart by a number."""
    named: dict[str, dict[str, int]] = {}
    for folder, counts in by_folder.items():
        base, name, number = _last_part(folder), _last_part(folder), 2
        while name in named:
            name, number = f"{base} ({number})", number + 1
        named[name] = dict(counts)
    return named


def _last_part(path: str) -> str:
    # Windows paths too: a plan may have been written there.
    return PurePath(path.replace("\\", "/")).name or path


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (Mapping, Sequence)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"{value:.1f}"
    return str(value)  # None, True, 1e-04 as Python writes them: what kohya's readers expect
