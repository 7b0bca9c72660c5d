"""What is wrong, unwise or worth knowing in a plan, before anything is loaded.

Errors would stop or spoil the training; warnings name a likely mistake and say why; notes tell what follows
from a choice. Pictures and captions themselves are the dataset's business.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from engine.errors import BaseModelError, shown
from engine.plan import Plan, effective_rate, learning_rate, text_encoder_rates
from engine.plan_fields import FIELDS
from engine.plan_values import FOLDER_TYPES, problem, rate_text, value_of

Severity = Literal["error", "warning", "note"]

SDXL_SIDES = (256, 2048)
SDXL_NATIVE = 1024
DEMO_NATIVE, DEMO_STEP = 64, 16  # the embedded base is small: SDXL's sizes say nothing about it
# Rates within which each optimizer is usually run. AdamW's is the guide's; Lion's is a third to a tenth of
# it.
USUAL_RATES: dict[str, tuple[float, float]] = {
    "auto": (1e-4, 3e-4),
    "adamw8bit": (1e-4, 3e-4),
    "adamw": (1e-4, 3e-4),
    "adafactor": (1e-4, 3e-4),
    "lion8bit": (1e-5, 1e-4),
    "prodigy": (1.0, 1.0),
}
NARROWEST_LAYER = 320  # channels of SDXL's first and last blocks


@dataclass(frozen=True)
class Finding:
    """One sentence about one key of the plan."""

    severity: Severity
    key: str
    sentence: str


def check_plan(
    plan: Plan, *, native_resolution: int | None = None, vram_gb: float | None = None
) -> list[Finding]:
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
        _subject(plan),
        _pictures(plan),
        _sizes(plan, native_resolution),
        _regularization(plan),
        _captions(plan),
        _base(plan),
        _network(plan),
        _rates(plan, native_resolution or SDXL_NATIVE),
        _optimizer(plan),
        _length(plan),
        _loss(plan),
        _samples(plan),
        _memory(plan, native_resolution or SDXL_NATIVE, vram_gb),
    )
    order = ("error", "warning", "note")
    return sorted(itertools.chain(*parts), key=lambda finding: order.index(finding.severity))


def errors_in(findings: list[Finding]) -> list[str]:
    """The sentences that must be put right before training."""
    return [finding.sentence for finding in findings if finding.severity == "error"]


def _error(key: str, sentence: str) -> Finding:
    return Finding("error", key, sentence)


def _warning(key: str, sentence: str) -> Finding:
    return Finding("warning", key, sentence)


def _note(key: str, sentence: str) -> Finding:
    return Finding("note", key, sentence)


def _bad_values(plan: Plan) -> Iterator[Finding]:
    for key in FIELDS:
        if key.count(".") != 1:
            continue
        if key not in FOLDER_TYPES:
            if sentence := problem(key, value_of(plan, key)):
                yield _error(key, sentence)
            continue
        for folder in value_of(plan, key):
            for entry in fields(folder):
                name = f"{key}.{entry.name}"
                if sentence := problem(name, getattr(folder, entry.name)):
                    yield _error(name, sentence)


def _subject(plan: Plan) -> Iterator[Finding]:
    key, subject = "subject.instance_prompt", plan.subject
    trigger, class_words = subject.instance_prompt.strip(), subject.class_prompt.strip()
    if not trigger:
        yield _warning(
            key,
            f"{key} is empty, so nothing but the captions can call what is trained; write a rare word, or name "
            'the picture folder as kohya does ("12_ohwx woman").',
        )
    elif trigger.lower() == class_words.lower():
        yield _warning(
            key,
            f"{key} is the class itself ({shown(trigger)}), so every such thing would be redrawn; take a rare word.",
        )
    elif class_words and f" {class_words.lower()} " in f" {trigger.lower()} ":
        yield _note(
            key,
            f'{key} "{shown(trigger)}" contains the class prompt, which is added to it where a caption is missing; '
            "the trigger alone is enough.",
        )
    if trigger and not class_words:
        yield _note(
            "subject.class_prompt",
            "subject.class_prompt is empty, so pictures without a caption are trained on the trigger alone; an "
            'everyday word such as "woman" lets the base help.',
        )


def _pictures(plan: Plan) -> Iterator[Finding]:
    key, pictures = "pictures.folders", plan.pictures
    if not pictures.folders:
        yield _error(key, f'{key} is empty; add [[{key}]] with path = "the folder of your pictures".')
    for folder in pictures.folders:
        yield from _missing(f"{key}.path", folder.path)
    if len({_real(folder.path) for folder in pictures.folders}) < len(pictures.folders):
        yield _error(key, f"{key} names one folder twice; name it once and raise its repeats instead.")
    if not pictures.bucketing:
        yield _warning(
            "pictures.bucketing",
            "pictures.bucketing is off, so every picture is cut to a square and loses what lies outside; "
            "set it to true unless all are square.",
        )


def _missing(key: str, path: str) -> Iterator[Finding]:
    name, place = shown(path), Path(path).expanduser()
    try:
        is_there, is_folder = place.exists(), place.is_dir()
    except OSError as error:
        yield _error(key, f"{key} {name} cannot be looked at ({error.strerror}); check its permissions.")
        return
    if not is_there:
        yield _error(
            key, f"{key} {name} does not exist; correct the path (relative ones start at the plan's folder)."
        )
    elif not is_folder and place.suffix.lower() != ".zip":
        yield _error(key, f"{key} {name} is a file; name the folder it lies in, or a .zip of pictures.")


def _real(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _sizes(plan: Plan, native: int | None) -> Iterator[Finding]:
    pictures, resolution = plan.pictures, plan.pictures.resolution
    is_sdxl = native is None or native >= SDXL_SIDES[0]
    side = (native or SDXL_NATIVE) if resolution == "auto" else int(resolution)
    if resolution != "auto" and is_sdxl:
        yield from _resolution(int(resolution), native or SDXL_NATIVE)
    step = pictures.bucket_step
    if step != "auto" and int(step) % 8:
        yield _error(
            "pictures.bucket_step",
            f"pictures.bucket_step is {step}, but the VAE works in blocks of 8 pixels; take a multiple of 8, best 64.",
        )
    elif step != "auto" and int(step) % 32 and is_sdxl:
        yield _warning(
            "pictures.bucket_step",
            f"pictures.bucket_step is {step}, but SDXL's UNet halves its picture twice and wants multiples of 32; "
            "take 64 or 32.",
        )
    if step != "auto" and side % int(step) and not int(step) % 8:
        yield _note(
            "pictures.resolution",
            f"pictures.resolution {side} is not a multiple of bucket_step {step}: the square bucket is "
            f"{side // int(step) * int(step)} pixels wide.",
        )
    if pictures.min_side != "auto" and int(pictures.min_side) > side:
        yield _error(
            "pictures.min_side",
            f"pictures.min_side is {pictures.min_side}, larger than the resolution {side}: no shape has so long a "
            "shortest side; lower it or set it to auto.",
        )
    if pictures.max_side != "auto" and int(pictures.max_side) < side:
        yield _error(
            "pictures.max_side",
            f"pictures.max_side is {pictures.max_side}, smaller than the resolution {side}: every picture would be "
            "trained smaller than asked; raise it or set it to auto.",
        )


def _resolution(resolution: int, native: int) -> Iterator[Finding]:
    key, (lowest, highest) = "pictures.resolution", SDXL_SIDES
    if not lowest <= resolution <= highest:
        yield _error(
            key, f"{key} is {resolution}, but SDXL accepts {lowest} to {highest}; take 1024, 768 or 512."
        )
    elif resolution < 768:
        yield _warning(
            key,
            f"{key} is {resolution}: SDXL draws faces and texture poorly below 768, and the LoRA learns that; "
            + (
                "it saves memory, 768 does too."
                if resolution == 512
                else "to save memory take 768, or 512 at the least."
            ),
        )
    elif resolution > native * 1.25:
        yield _warning(
            key,
            f"{key} is {resolution}, but the base was trained at {native}: it costs "
            f"{(resolution / native) ** 2:.1f} times the memory and time and rarely helps; take {native}.",
        )


def _regularization(plan: Plan) -> Iterator[Finding]:
    key, part = "regularization.folders", plan.regularization
    training = {_real(folder.path) for folder in plan.pictures.folders}
    for folder in part.folders:
        yield from _missing(f"{key}.path", folder.path)
        if _real(folder.path) in training:
            yield _error(
                f"{key}.path",
                f"{shown(folder.path)} is named as training pictures and as class pictures; class pictures must be "
                "of others.",
            )
    if part.folders and not plan.subject.class_prompt.strip():
        yield _warning(
            "subject.class_prompt",
            "subject.class_prompt is empty, so class pictures without captions are trained on no text; write what "
            'they show, such as "woman".',
        )
    used = bool(part.folders) or part.prior_prediction
    if used and (part.ratio == 0 or part.weight == 0):
        name = "ratio" if part.ratio == 0 else "weight"
        what = "class pictures have" if part.folders else "prior prediction has"
        yield _warning(f"regularization.{name}", f"regularization.{name} is 0, so the {what} no effect.")
    for name in ("ratio", "weight"):
        if not used and getattr(part, name) != 1:
            yield _note(
                f"regularization.{name}",
                f"regularization.{name} has no effect without [[regularization.folders]] or prior_prediction.",
            )
    if part.prior_prediction:
        yield from _prior_prediction(plan)


def _prior_prediction(plan: Plan) -> Iterator[Finding]:
    from engine.estimate import PRIOR_COST

    key, part, subject = "regularization.prior_prediction", plan.regularization, plan.subject
    if not subject.class_prompt.strip():
        yield _error(
            "subject.class_prompt",
            f"{key} is true, but subject.class_prompt is empty, so there is no word to keep; write what the "
            'subject is, such as "woman".',
        )
    elif subject.instance_prompt.strip().lower() == subject.class_prompt.strip().lower():
        yield _error(
            key,
            f"{key} holds the class prompt to the base while the same words are trained as the trigger, which undoes "
            "each other; take a rare word as subject.instance_prompt.",
        )
    cost = 1 + min(1.0, part.ratio) * PRIOR_COST
    yield _note(
        key, f"{key} asks base and adapter once more in each step, which takes about {cost:.1f} times as long."
    )
    if part.folders:
        yield _note(key, f"{key} and class pictures do the same work; one of them is enough, and quicker.")
    if part.ratio > 1:
        yield _warning(
            "regularization.ratio",
            f"regularization.ratio is {rate_text(part.ratio)}, but a picture has one prior prediction a step: more "
            "than 1 is 1; raise regularization.weight instead.",
        )


def _captions(plan: Plan) -> Iterator[Finding]:
    captions = plan.captions
    if captions.shuffle and captions.keep_tokens == 0:
        yield _warning(
            "captions.keep_tokens",
            "captions.keep_tokens is 0 while captions are shuffled, so the trigger wanders about; take 1.",
        )
    if not captions.shuffle and captions.keep_tokens > 1:
        yield _note(
            "captions.keep_tokens", "captions.keep_tokens has no effect while captions.shuffle is off."
        )
    if captions.dropout > 0.3:
        yield _warning(
            "captions.dropout",
            f"captions.dropout is {rate_text(captions.dropout)}: so often without a caption, the look sinks into "
            "everything the base draws and the trigger learns little; 0 to 0.1 is usual.",
        )


def _base(plan: Plan) -> Iterator[Finding]:
    from engine.base.find import resolve_base

    base = plan.base
    if base.model.endswith((".ckpt", ".pt", ".pth", ".bin")):
        yield _error(
            "base.model",
            f"base.model {shown(base.model)} is a pickle, which can run code when opened; convert it to .safetensors.",
        )
    else:
        try:
            resolve_base(base.model)
        except BaseModelError as error:
            yield _error("base.model", f"base.model: {error}")
    if base.vae and base.vae.startswith((".", "/", "~")) and not Path(base.vae).expanduser().exists():
        yield _error(
            "base.vae", f"base.vae {shown(base.vae)} does not exist; correct the path or leave it empty."
        )
    if base.zero_terminal_snr is True and base.prediction == "epsilon":
        yield _error(
            "base.zero_terminal_snr",
            "base.zero_terminal_snr is true with prediction = epsilon: from pure noise the noise says nothing about "
            "the picture, so nothing can be drawn; take v_prediction, or false.",
        )
    elif base.zero_terminal_snr is True and base.prediction == "auto":
        yield _note(
            "base.zero_terminal_snr",
            "base.zero_terminal_snr is stated and prediction is read from the base: they fit only if that says "
            "v-prediction.",
        )
    if base.prediction == "v_prediction" and plan.loss.noise_offset > 0:
        yield _warning(
            "loss.noise_offset",
            f"loss.noise_offset is {rate_text(plan.loss.noise_offset)} with v-prediction: such a base already draws "
            "very dark and very bright pictures, and the offset shifts its colours; take 0.",
        )


def _network(plan: Plan) -> Iterator[Finding]:
    network = plan.network
    if network.rank > NARROWEST_LAYER:
        yield _warning(
            "network.rank",
            f"network.rank is {network.rank}, more than the {NARROWEST_LAYER} channels of the narrowest layers: beyond "
            "that it adds size but nothing it could learn; 32 is usual.",
        )
    elif network.rank > 128:
        yield _warning(
            "network.rank",
            f"network.rank is {network.rank}: the file grows to {network.rank // 32} times that of rank 32 and holds "
            "the pictures' accidents as well as their subject; 16 to 64 is usual.",
        )
    if network.dora:
        yield _warning(
            "network.dora",
            "network.dora is experimental: ComfyUI reads such a file, A1111 in new versions only, InvokeAI and "
            "diffusers leave a part of it out; it takes about 8 GB more while training.",
        )
    if network.rslora and network.alpha == "rank":
        yield _note(
            "network.rslora",
            f"network.rslora with alpha = rank multiplies the update by sqrt({network.rank}) = "
            f"{math.sqrt(network.rank):.1f}: {_effective(plan)}.",
        )
    if network.targets != "locon":
        for name in ("conv_rank", "conv_alpha"):
            if getattr(network, name) != "rank":
                yield _note(
                    f"network.{name}", f"network.{name} has no effect unless network.targets is locon."
                )
    if network.train_text_encoders:
        yield _note(
            "network.train_text_encoders",
            "network.train_text_encoders keeps both text encoders on the card and encodes every caption anew in each "
            "step: slower, about 2 GB more, and sooner overtrained.",
        )
    for name in ("text_encoder_learning_rate", "text_encoder_2_learning_rate"):
        if not network.train_text_encoders and getattr(plan.optimizer, name) != "auto":
            yield _note(
                f"optimizer.{name}",
                f"optimizer.{name} has no effect while network.train_text_encoders is off.",
            )


def _effective(plan: Plan) -> str:
    return f"the effective rate is {rate_text(float(f'{effective_rate(plan):.2g}'))}"


def _rates(plan: Plan, native_resolution: int) -> Iterator[Finding]:
    # The usual rates are SDXL's; a base too small to be SDXL (the embedded one) learns at ten times as much.
    of_sdxl = native_resolution >= SDXL_SIDES[0]
    key, name, rate = "optimizer.learning_rate", plan.optimizer.name, learning_rate(plan)
    low, high = USUAL_RATES[name]
    if name == "prodigy":
        if rate != 1:
            yield _warning(
                key,
                f"{key} is {rate_text(rate)}, but Prodigy finds the rate itself and multiplies it by this; take 1.",
            )
    elif of_sdxl and not low <= rate <= high:
        yield _warning(
            key,
            f"{key} is {rate_text(rate)}; {rate_text(low)} to {rate_text(high)} is usual for "
            f"{'AdamW' if name == 'auto' else name}: {_why_unusual(plan, low, high)}.",
        )
    if of_sdxl:
        yield from _alpha_trap(plan, low, high)
    if plan.network.train_text_encoders:
        names = ("text_encoder_learning_rate", "text_encoder_2_learning_rate")
        for field_name, encoder_rate in zip(names, text_encoder_rates(plan), strict=True):
            if encoder_rate > rate:
                yield _warning(
                    f"optimizer.{field_name}",
                    f"optimizer.{field_name} is {rate_text(encoder_rate)}, above the UNet's {rate_text(rate)}: text "
                    "encoders overtrain sooner; half the UNet's or less is usual.",
                )


def _why_unusual(plan: Plan, low: float, high: float) -> str:
    effective = effective_rate(plan)
    figure = rate_text(float(f"{effective:.2g}"))
    if effective < low:
        return f"with an effective rate of {figure} little is learnt in the usual ten epochs"
    if effective > high:
        return (
            f"with an effective rate of {figure} pictures break, or are learnt by heart, before an epoch ends"
        )
    return f"alpha and rank bring the effective rate to {figure}, which is usual, but it is easily mistaken"


def _alpha_trap(plan: Plan, low: float, high: float) -> Iterator[Finding]:
    """Rank and alpha change the rate as well: kohya's alpha 1 at rank 32 trains 32 times more slowly."""
    effective, network = effective_rate(plan), plan.network
    if low / 4 <= effective <= high * 4:
        return
    slow = effective < low / 4
    factor = low / effective if slow else effective / high
    yield _warning(
        "network.alpha",
        f"network.alpha {rate_text(network.alpha_value)} at rank {network.rank} makes the effective rate "
        f"{rate_text(float(f'{effective:.2g}'))}, {factor:.3g} times {'below' if slow else 'above'} the usual; "
        'set alpha = "rank" so that the learning rate means what it says.',
    )


def _optimizer(plan: Plan) -> Iterator[Finding]:
    optimizer = plan.optimizer
    if optimizer.scheduler != "restarts" and optimizer.restarts != 3:
        yield _note(
            "optimizer.restarts", "optimizer.restarts has no effect unless optimizer.scheduler is restarts."
        )
    if optimizer.scheduler in ("cosine", "linear"):
        yield _note(
            "optimizer.scheduler",
            f"optimizer.scheduler {optimizer.scheduler} lets the rate fall to zero, so the last epochs hardly differ; "
            "constant leaves more to choose from.",
        )
    if 0 < plan.length.steps <= optimizer.warmup_steps:
        yield _error(
            "optimizer.warmup_steps",
            f"optimizer.warmup_steps is {optimizer.warmup_steps}, but the run ends after {plan.length.steps} steps "
            "and would never reach its rate; lower it.",
        )


def _length(plan: Plan) -> Iterator[Finding]:
    length = plan.length
    if length.steps:
        yield _note(
            "length.steps",
            f"length.steps ends the run after {length.steps} steps, whatever length.epochs says.",
        )
    elif length.save_every_epochs > length.epochs:
        yield _warning(
            "length.save_every_epochs",
            f"length.save_every_epochs is {length.save_every_epochs}, more than the {length.epochs} epochs: only the "
            "last state would be kept, with nothing to choose from; take 1.",
        )
    elif length.epochs // length.save_every_epochs < 3:
        yield _note("length.save_every_epochs", "fewer than three checkpoints leave little to choose from.")
    if plan.subject.kind == "style" and length.batch_size * length.gradient_accumulation == 1:
        yield _note("length.batch_size", "length.batch_size is 1; a style is learnt more evenly with 4.")


def _loss(plan: Plan) -> Iterator[Finding]:
    loss = plan.loss
    if loss.noise_offset > 0 and loss.multires_noise_iterations > 0:
        yield _warning(
            "loss.multires_noise_iterations",
            "loss.noise_offset and loss.multires_noise_iterations both shift brightness, and together too far; "
            "use one of them.",
        )
    if loss.noise_offset > 0.15:
        yield _warning(
            "loss.noise_offset",
            f"loss.noise_offset is {rate_text(loss.noise_offset)}: above 0.1 colours and contrast are visibly shifted; "
            "0.03 to 0.05 is usual where it is on.",
        )
    if loss.multires_noise_iterations > 0 and loss.multires_noise_discount == 0:
        yield _note(
            "loss.multires_noise_discount",
            "loss.multires_noise_iterations has no effect with a discount of 0.",
        )
    if 0 < loss.min_snr_gamma < 1:
        yield _warning(
            "loss.min_snr_gamma",
            f"loss.min_snr_gamma is {rate_text(loss.min_snr_gamma)}: below 1 nearly all of the loss is weighted away; "
            "5 is usual where it is on, 0 is off.",
        )


def _samples(plan: Plan) -> Iterator[Finding]:
    trigger = plan.subject.instance_prompt.strip().lower()
    prompts = plan.samples.prompts
    if trigger and prompts and not any(trigger in prompt.lower() for prompt in prompts):
        yield _note(
            "samples.prompts",
            f"none of samples.prompts holds the trigger {shown(plan.subject.instance_prompt)}.",
        )


def _memory(plan: Plan, native: int, vram_gb: float | None) -> Iterator[Finding]:
    limit = plan.machine.memory_limit_gb
    if vram_gb is None or native < SDXL_SIDES[0]:
        return
    if limit != "auto" and float(limit) > vram_gb:
        yield _warning(
            "machine.memory_limit_gb",
            f"machine.memory_limit_gb is {rate_text(float(limit))}, but the card has {vram_gb:.0f} GB.",
        )
    have = vram_gb if limit == "auto" else min(vram_gb, float(limit))
    side = native if plan.pictures.resolution == "auto" else int(plan.pictures.resolution)
    need = _least_vram_gb(plan, side)
    if need > have:
        yield _warning(
            "network.rank",
            f"about {need:.1f} GB are needed even one picture at a time, and {have:.1f} GB are there; lower "
            "pictures.resolution to 768 or network.rank to 16, and leave the text encoders untrained.",
        )


def _least_vram_gb(plan: Plan, side: int) -> float:
    """An estimate for one picture at a time with gradient checkpointing; the dry step at the start measures."""
    from engine.base.configs import sdxl_configs
    from engine.estimate import memory_of
    from engine.sizes import lora_size

    configs = sdxl_configs()
    models = (configs["unet"], configs["text_encoder"], configs["text_encoder_2"])
    size = lora_size(*models, plan.network, plan.output.precision)
    return memory_of(plan, size, side, micro_batch=1, checkpointing=True).total / 1e9
