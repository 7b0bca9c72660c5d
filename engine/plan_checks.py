"""What is wrong, unwise or worth knowing in a plan, before anything is loaded.

Errors would stop or spoil the training; warnings name a likely mistake and say why; notes tell what follows
from a choice. Pictures and captions themselves are the dataset's business.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from engine.errors import BaseModelError, shown
from engine.plan import Plan
from engine.plan_data_checks import (
    captions_findings,
    pictures_findings,
    regularization_findings,
    sizes_findings,
    subject_findings,
)
from engine.plan_fields import FIELDS
from engine.plan_finding import DEMO_NATIVE, SDXL_NATIVE, Finding, error, note, warning
from engine.plan_training_checks import (
    length_findings,
    loss_findings,
    memory_findings,
    network_findings,
    optimizer_findings,
    rates_findings,
    samples_findings,
)
from engine.plan_values import FOLDER_TYPES, problem, rate_text, value_of


def check_plan(plan: Plan, *, native_resolution: int | None = None, vram_gb: float | None = None) -> list[Finding]:
    """Everything there is to say about a plan, errors first; an empty list is a plan without remarks.

    `native_resolution` is the base's own side in pixels where it is known (SDXL's 1024 is assumed), `vram_gb`
    the card's memory. Reads the disk only to see whether named folders and models are there.
    """
    from engine.base.find import DEMO

    if native_resolution is None and plan.base.model == DEMO:
        native_resolution = DEMO_NATIVE
    values = list(_bad_values(plan))
    if values:
        return values  # what follows calculates with the values
    parts = (
        subject_findings(plan),
        pictures_findings(plan),
        sizes_findings(plan, native_resolution),
        regularization_findings(plan),
        captions_findings(plan),
        _base(plan),
        network_findings(plan),
        rates_findings(plan, native_resolution or SDXL_NATIVE),
        optimizer_findings(plan),
        length_findings(plan),
        loss_findings(plan),
        samples_findings(plan),
        memory_findings(plan, native_resolution or SDXL_NATIVE, vram_gb),
    )
    order = ("error", "warning", "note")
    return sorted(itertools.chain(*parts), key=lambda finding: order.index(finding.severity))


def errors_in(findings: list[Finding]) -> list[str]:
    """The sentences that must be put right before training."""
    return [finding.sentence for finding in findings if finding.severity == "error"]


def _bad_values(plan: Plan) -> Iterator[Finding]:
    for key in FIELDS:
        if key.count(".") != 1:
            continue
        if key not in FOLDER_TYPES:
            if sentence := problem(key, value_of(plan, key)):
                yield error(key, sentence)
            continue
        for folder in value_of(plan, key):
            for entry in fields(folder):
                name = f"{key}.{entry.name}"
                if sentence := problem(name, getattr(folder, entry.name)):
                    yield error(name, sentence)


def _base(plan: Plan) -> Iterator[Finding]:
    from engine.base.find import resolve_base

    base = plan.base
    if base.model.endswith((".ckpt", ".pt", ".pth", ".bin")):
        yield error(
            "base.model",
            f"base.model {shown(base.model)} is a pickle, which can run code when opened; convert it to .safetensors.",
        )
    else:
        try:
            resolve_base(base.model)
        except BaseModelError as trouble:
            yield error("base.model", f"base.model: {trouble}")
    if base.vae and base.vae.startswith((".", "/", "~")) and not Path(base.vae).expanduser().exists():
        yield error("base.vae", f"base.vae {shown(base.vae)} does not exist; correct the path or leave it empty.")
    if base.zero_terminal_snr is True and base.prediction == "epsilon":
        yield error(
            "base.zero_terminal_snr",
            "base.zero_terminal_snr is true with prediction = epsilon: from pure noise the noise says nothing about "
            "the picture, so nothing can be drawn; take v_prediction, or false.",
        )
    elif base.zero_terminal_snr is True and base.prediction == "auto":
        yield note(
            "base.zero_terminal_snr",
            "base.zero_terminal_snr is stated and prediction is read from the base: they fit only if that says "
            "v-prediction.",
        )
    if base.prediction == "v_prediction" and plan.loss.noise_offset > 0:
        yield warning(
            "loss.noise_offset",
            f"loss.noise_offset is {rate_text(plan.loss.noise_offset)} with v-prediction: such a base already draws "
            "very dark and very bright pictures, and the offset shifts its colours; take 0.",
        )
