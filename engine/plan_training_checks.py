"""What a plan says of its training: network, rates, length, loss, memory. See plan_checks."""

from __future__ import annotations

import math
from collections.abc import Iterator

from engine.errors import shown
from engine.plan import Plan, effective_rate, learning_rate, text_encoder_rates
from engine.plan_finding import SDXL_SIDES, Finding, error, note, warning
from engine.plan_values import rate_text

# Rates within which each optimizer is usually run. AdamW's is the usual one; Lion's is a third to a tenth of
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


def network_findings(plan: Plan) -> Iterator[Finding]:
    network = plan.network
    if network.rank > NARROWEST_LAYER:
        yield warning(
            "network.rank",
            f"network.rank is {network.rank}, more than the {NARROWEST_LAYER} channels of the narrowest layers: beyond "
            "that it adds size but nothing it could learn; 32 is usual.",
        )
    elif network.rank > 128:
        yield warning(
            "network.rank",
            f"network.rank is {network.rank}: the file grows to {network.rank // 32} times that of rank 32 and holds "
            "the pictures' accidents as well as their subject; 16 to 64 is usual.",
        )
    if network.dora:
        yield warning(
            "network.dora",
            "network.dora is experimental: ComfyUI reads such a file, A1111 in new versions only, InvokeAI and "
            "diffusers leave a part of it out; it takes about 8 GB more while training.",
        )
    if network.rslora and network.alpha == "rank":
        yield note(
            "network.rslora",
            f"network.rslora with alpha = rank multiplies the update by sqrt({network.rank}) = "
            f"{math.sqrt(network.rank):.1f}: {_effective(plan)}.",
        )
    if network.targets != "locon":
        for name in ("conv_rank", "conv_alpha"):
            if getattr(network, name) != "rank":
                yield note(f"network.{name}", f"network.{name} has no effect unless network.targets is locon.")
    if network.train_text_encoders:
        yield note(
            "network.train_text_encoders",
            "network.train_text_encoders keeps both text encoders on the card and encodes every caption anew in each "
            "step: slower, about 2 GB more, and sooner overtrained.",
        )
    for name in ("text_encoder_learning_rate", "text_encoder_2_learning_rate"):
        if not network.train_text_encoders and getattr(plan.optimizer, name) != "auto":
            yield note(
                f"optimizer.{name}",
                f"optimizer.{name} has no effect while network.train_text_encoders is off.",
            )


def _effective(plan: Plan) -> str:
    return f"the effective rate is {rate_text(float(f'{effective_rate(plan):.2g}'))}"


def rates_findings(plan: Plan, native_resolution: int) -> Iterator[Finding]:
    # The usual rates are SDXL's; a base too small to be SDXL (the embedded one) learns at ten times as much.
    of_sdxl = native_resolution >= SDXL_SIDES[0]
    key, name, rate = "optimizer.learning_rate", plan.optimizer.name, learning_rate(plan)
    low, high = USUAL_RATES[name]
    if name == "prodigy":
        if rate != 1:
            yield warning(
                key,
                f"{key} is {rate_text(rate)}, but Prodigy finds the rate itself and multiplies it by this; take 1.",
            )
    elif of_sdxl and not low <= rate <= high:
        yield warning(
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
                yield warning(
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
        return f"with an effective rate of {figure} pictures break, or are learnt by heart, before an epoch ends"
    return f"alpha and rank bring the effective rate to {figure}, which is usual, but it is easily mistaken"


def _alpha_trap(plan: Plan, low: float, high: float) -> Iterator[Finding]:
    """Rank and alpha change the rate as well: kohya's alpha 1 at rank 32 trains 32 times more slowly."""
    effective, network = effective_rate(plan), plan.network
    if low / 4 <= effective <= high * 4:
        return
    slow = effective < low / 4
    factor = low / effective if slow else effective / high
    yield warning(
        "network.alpha",
        f"network.alpha {rate_text(network.alpha_value)} at rank {network.rank} makes the effective rate "
        f"{rate_text(float(f'{effective:.2g}'))}, {factor:.3g} times {'below' if slow else 'above'} the usual; "
        'set alpha = "rank" so that the learning rate means what it says.',
    )


def optimizer_findings(plan: Plan) -> Iterator[Finding]:
    optimizer = plan.optimizer
    if optimizer.scheduler != "restarts" and optimizer.restarts != 3:
        yield note("optimizer.restarts", "optimizer.restarts has no effect unless optimizer.scheduler is restarts.")
    if optimizer.scheduler in ("cosine", "linear"):
        yield note(
            "optimizer.scheduler",
            f"optimizer.scheduler {optimizer.scheduler} lets the rate fall to zero, so the last epochs hardly differ; "
            "constant leaves more to choose from.",
        )
    if 0 < plan.length.steps <= optimizer.warmup_steps:
        yield error(
            "optimizer.warmup_steps",
            f"optimizer.warmup_steps is {optimizer.warmup_steps}, but the run ends after {plan.length.steps} steps "
            "and would never reach its rate; lower it.",
        )


def length_findings(plan: Plan) -> Iterator[Finding]:
    length = plan.length
    if length.steps:
        yield note(
            "length.steps",
            f"length.steps ends the run after {length.steps} steps, whatever length.epochs says.",
        )
    elif length.save_every_epochs > length.epochs:
        yield warning(
            "length.save_every_epochs",
            f"length.save_every_epochs is {length.save_every_epochs}, more than the {length.epochs} epochs: only the "
            "last state would be kept, with nothing to choose from; take 1.",
        )
    elif length.epochs // length.save_every_epochs < 3:
        yield note("length.save_every_epochs", "fewer than three checkpoints leave little to choose from.")
    if plan.subject.kind == "style" and length.batch_size * length.gradient_accumulation == 1:
        yield note("length.batch_size", "length.batch_size is 1; a style is learnt more evenly with 4.")


def loss_findings(plan: Plan) -> Iterator[Finding]:
    loss = plan.loss
    if loss.noise_offset > 0 and loss.multires_noise_iterations > 0:
        yield warning(
            "loss.multires_noise_iterations",
            "loss.noise_offset and loss.multires_noise_iterations both shift brightness, and together too far; "
            "use one of them.",
        )
    if loss.noise_offset > 0.15:
        yield warning(
            "loss.noise_offset",
            f"loss.noise_offset is {rate_text(loss.noise_offset)}: above 0.1 colours and contrast are visibly shifted; "
            "0.03 to 0.05 is usual where it is on.",
        )
    if loss.multires_noise_iterations > 0 and loss.multires_noise_discount == 0:
        yield note(
            "loss.multires_noise_discount",
            "loss.multires_noise_iterations has no effect with a discount of 0.",
        )
    if 0 < loss.min_snr_gamma < 1:
        yield warning(
            "loss.min_snr_gamma",
            f"loss.min_snr_gamma is {rate_text(loss.min_snr_gamma)}: below 1 nearly all of the loss is weighted away; "
            "5 is usual where it is on, 0 is off.",
        )


def samples_findings(plan: Plan) -> Iterator[Finding]:
    trigger = plan.subject.instance_prompt.strip().lower()
    prompts = plan.samples.prompts
    if trigger and prompts and not any(trigger in prompt.lower() for prompt in prompts):
        yield note(
            "samples.prompts",
            f"none of samples.prompts holds the trigger {shown(plan.subject.instance_prompt)}.",
        )


def memory_findings(plan: Plan, native: int, vram_gb: float | None) -> Iterator[Finding]:
    limit = plan.machine.memory_limit_gb
    if vram_gb is None or native < SDXL_SIDES[0]:
        return
    if limit != "auto" and float(limit) > vram_gb:
        yield warning(
            "machine.memory_limit_gb",
            f"machine.memory_limit_gb is {rate_text(float(limit))}, but the card has {vram_gb:.0f} GB.",
        )
    have = vram_gb if limit == "auto" else min(vram_gb, float(limit))
    side = native if plan.pictures.resolution == "auto" else int(plan.pictures.resolution)
    need = _least_vram_gb(plan, side)
    if need > have:
        yield warning(
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
