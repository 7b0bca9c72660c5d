"""Turns a plan's "auto" values into the values this run uses, with a sentence for each that a person might question."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.dataset.buckets import BucketRules, bucket_rules
from engine.dataset.captions import CaptionRules
from engine.plan import Plan, learning_rate, text_encoder_rates


@dataclass(frozen=True)
class Resolved:
    """What the run uses where the plan says "auto"; `notes` are for the record."""

    rules: BucketRules
    captions: CaptionRules
    optimizer: str
    rate: float
    text_encoder_rates: tuple[float, float]
    base_dtype: torch.dtype
    loss_scaling: bool
    prediction: str
    zero_terminal_snr: bool
    notes: tuple[str, ...]

    @property
    def resolution(self) -> int:
        return self.rules.resolution


def resolve(
    plan: Plan,
    device: torch.device,
    *,
    native_resolution: int,
    native_step: int,
    base_prediction: str,
    base_zero_snr: bool,
    small_model: bool,
) -> Resolved:
    """Reads the device and the base's own facts; changes nothing."""
    notes: list[str] = []
    optimizer = _optimizer(plan, device, notes)
    base_dtype, loss_scaling = _precision(plan, device, small_model, notes)
    prediction = base_prediction if plan.base.prediction == "auto" else plan.base.prediction
    zero_snr = base_zero_snr if plan.base.zero_terminal_snr == "auto" else bool(plan.base.zero_terminal_snr)
    return Resolved(
        rules=bucket_rules(plan.pictures, native_resolution, native_step),
        captions=caption_rules(plan),
        optimizer=optimizer,
        rate=learning_rate(plan, optimizer),
        text_encoder_rates=text_encoder_rates(plan, optimizer),
        base_dtype=base_dtype,
        loss_scaling=loss_scaling,
        prediction=prediction,
        zero_terminal_snr=zero_snr,
        notes=tuple(notes),
    )


def caption_rules(plan: Plan) -> CaptionRules:
    """The plan's caption options as the dataset's own type."""
    captions = plan.captions
    return CaptionRules(
        extension=captions.extension,
        prefix=captions.prefix,
        shuffle=captions.shuffle,
        keep_tokens=captions.keep_tokens,
        dropout=captions.dropout,
    )


def _optimizer(plan: Plan, device: torch.device, notes: list[str]) -> str:
    name = plan.optimizer.name
    if name == "auto":
        return "adamw8bit" if device.type == "cuda" else "adamw"
    if name in {"adamw8bit", "lion8bit"} and device.type != "cuda":
        notes.append(f"{name} needs CUDA, which is not here: training with AdamW instead.")
        return "adamw"
    return name


def _precision(
    plan: Plan, device: torch.device, small_model: bool, notes: list[str]
) -> tuple[torch.dtype, bool]:
    wanted = plan.machine.precision
    native_bf16 = device.type != "cuda" or torch.cuda.get_device_capability(device)[0] >= 8
    if wanted == "auto":
        if device.type == "cuda":
            wanted = "bf16" if native_bf16 else "fp16"
            if wanted == "fp16":
                notes.append("This card has no native bf16: training on an fp16 base with loss scaling.")
        else:
            wanted = "fp32" if small_model else "bf16"
    elif wanted == "bf16" and not native_bf16:
        notes.append("This card only emulates bf16, which is slow: precision fp16 would be faster.")
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[wanted]
    return dtype, wanted == "fp16"
