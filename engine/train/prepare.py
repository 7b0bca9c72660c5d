"""From a plan to a trainer that is ready to step: one heavy thing in memory at a time, everything else cached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.base.chosen import open_chosen
from engine.base.load import Base
from engine.dataset.arrange import Arrangement, arrange
from engine.dataset.class_text import holds_trigger
from engine.dataset.scan import Dataset, Folder, Problem, scan
from engine.errors import DatasetError, PlanError, shown
from engine.lora.attach import attach
from engine.plan import Plan
from engine.plan_checks import check_plan
from engine.runs.job import Job
from engine.train.batches import Batches
from engine.train.cache import Cache, LatentKey, cache_latents, cache_texts, latent_key, text_name
from engine.train.examples import Example, Examples, build_examples
from engine.train.memory import release
from engine.train.optimizer import RateGroup, build_optimizer
from engine.train.record import keep_manifest
from engine.train.resolve import Resolved, resolve
from engine.train.samples import Sampler
from engine.train.schedule import Schedule
from engine.train.trainer import Trainer

SMALL_MODEL_BYTES = 1_000_000_000  # below it a CPU trains in fp32; above it the base alone would be 10 GB


@dataclass
class Prepared:
    """Everything the loop needs."""

    plan: Plan
    base: Base
    resolved: Resolved
    examples: Examples
    schedule: Schedule
    trainer: Trainer
    sampler: Sampler | None
    facts: dict[str, object]  # what the record says of the run: sizes, counts, rates


def prepare(job: Job, plan: Plan, accelerator: Any) -> Prepared:
    """Scans, caches and loads in the order that keeps the peak of memory at the largest single part."""
    device = accelerator.device
    # The first process downloads, unpacks, hashes and caches; the others then find everything there.
    with accelerator.main_process_first():
        base, resolved = _open(job, plan, device)
        arranged, examples = _examples(job, plan, resolved)
        if accelerator.is_main_process:
            for text in keep_manifest(job.folder.state / "pictures.json", examples):
                job.warn(text)
        schedule = Schedule.of(plan, examples, accelerator.num_processes)
        cache = Cache(job.folder.cache)
        met = schedule.met(examples)
        sampler = Sampler(plan, base=base, size=resolved.resolution, device=device) if plan.samples.prompts else None
        encoders_id = f"{base.hash}:{resolved.base_dtype}"
        vae_id = base.vae_hash
        tokenizers, encoders = base.tokenizers(), None
        if not plan.network.train_text_encoders:
            _cache_all_texts(job, plan, base, resolved, cache, met, tokenizers, encoders_id, sampler, device)
        _cache_all_latents(job, plan, base, cache, met, vae_id, device)
    release()

    if sampler is not None:
        sampler.vae = base.load_vae(torch.float32, "cpu")
    if plan.network.train_text_encoders:
        job.stage("loading the text encoders")
        encoders = base.load_text_encoders(resolved.base_dtype, device)
        if sampler is not None:
            sampler.encode(tokenizers, encoders)
    job.stage("loading the UNet")
    unet = base.load_unet(resolved.base_dtype, device)
    adapter = attach(unet, encoders or (), plan.network, seed=plan.machine.seed)
    groups = _groups(resolved, adapter)
    optimizer = build_optimizer(resolved.optimizer, groups, plan.optimizer)
    batches = Batches(plan, resolved, cache, device, vae_id=vae_id, encoders_id=encoders_id)
    trainer = Trainer(
        plan, resolved, unet=unet, adapter=adapter, groups=groups, optimizer=optimizer, batches=batches,
        alphas_cumprod=base.train_scheduler().alphas_cumprod, device=device,
        tokenizers=tokenizers, encoders=encoders, accelerator=accelerator,
    )  # fmt: skip
    facts = _facts(plan, base, resolved, examples, schedule, arranged.repeats_sentence, adapter)
    facts["processes"] = accelerator.num_processes
    return Prepared(plan, base, resolved, examples, schedule, trainer, sampler, facts)


def _open(job: Job, plan: Plan, device: torch.device) -> tuple[Base, Resolved]:
    """The base without its weights, and the plan's open values settled by it; refuses a plan that cannot be run."""
    base = open_chosen(plan.base, job)
    for finding in check_plan(plan, native_resolution=base.native_resolution):
        if finding.severity == "error":
            raise PlanError(finding.sentence)
        if finding.severity == "warning":
            job.warn(finding.sentence)
    if not base.prediction_known and plan.base.prediction == "auto":
        job.warn(
            "Nothing in the base says whether it predicts epsilon or v; epsilon is assumed. "
            "If samples come out as noise, set base.prediction."
        )
    resolved = resolve(
        plan, device,
        native_resolution=base.native_resolution, native_step=base.bucket_step,
        base_prediction=base.prediction_type, base_zero_snr=base.zero_terminal_snr,
        small_model=base.known.size_bytes < SMALL_MODEL_BYTES,
    )  # fmt: skip
    for note in resolved.notes:
        job.warn(note)
    return base, resolved


def _examples(job: Job, plan: Plan, resolved: Resolved) -> tuple[Arrangement, Examples]:
    dataset = _scan(job, plan, resolved)
    arranged = arrange(
        dataset.pictures, resolved.rules, kind=plan.subject.kind, epochs=plan.length.epochs,
        hold_out=plan.pictures.hold_out, seed=plan.machine.seed,
    )  # fmt: skip
    examples = build_examples(plan, arranged, resolved.captions)
    _check_examples(job, plan, [*dataset.problems, *arranged.left_out], examples)
    return arranged, examples


def _scan(job: Job, plan: Plan, resolved: Resolved) -> Dataset:
    folders = [
        Folder(Path(f.path), None if f.repeats == "auto" else int(f.repeats), "train")
        for f in plan.pictures.folders
    ] + [Folder(Path(f.path), 1, "class") for f in plan.regularization.folders]
    return scan(
        folders,
        resolved.captions,
        report=job.progress("reading the pictures"),
        unpack_to=job.folder.cache / "unpacked",
        leave_out=plan.pictures.leave_out,
    )


def _check_examples(job: Job, plan: Plan, problems: list[Problem], examples: Examples) -> None:
    """Says what was found wanting; stops where nothing is left to train on."""
    for problem in problems:
        job.warn(problem.sentence)
    if not examples.train:
        where = ", ".join(shown(folder.path) for folder in plan.pictures.folders) or "the plan"
        raise DatasetError(f"No usable training picture in {where}: `lorasmith check` names each problem.")
    if plan.regularization.folders and not examples.classes:
        raise DatasetError(
            "The plan's regularization folders hold no usable picture: "
            "add class pictures, or take regularization.folders out of the plan."
        )
    _say_prior(job, plan, examples)
    missing = sum(example.picture.caption is None for example in examples.train)
    if missing and plan.subject.kind in {"style", "concept", "object"}:
        job.warn(
            f"{missing} of {len(examples.train)} pictures have no caption and train as "
            f'"{shown(examples.train[0].texts[0])}": the {plan.subject.kind} then takes in everything else they show. '
            "Write captions."
        )


def _say_prior(job: Job, plan: Plan, examples: Examples) -> None:
    """Names the captions that prior prediction cannot turn into the class's own."""
    if not plan.regularization.prior_prediction:
        return
    trigger = plan.subject.instance_prompt
    without = sum(not holds_trigger(example.texts[0], trigger) for example in examples.train)
    if without:
        job.warn(
            f"{without} of {len(examples.train)} captions lack the trigger {shown(trigger)!r}, so for these prior "
            f"prediction keeps {shown(plan.subject.class_prompt)!r} alone, without what else they say: "
            "put the trigger into the captions."
        )


def _cache_all_texts(job, plan, base, resolved, cache, met, tokenizers, encoders_id, sampler, device) -> None:
    """Encodes every text the run can meet and the sample prompts; the encoders are loaded only if one is missing."""
    texts = [text for example in met for text in (*example.texts, *example.prior_texts) if text is not None]
    if plan.captions.dropout:
        texts.append("")
    missing = any(text_name(text, plan.captions.max_tokens, encoders_id) not in cache for text in texts)
    if not missing and sampler is None:
        return
    job.stage("loading the text encoders")
    encoders = base.load_text_encoders(resolved.base_dtype, device)
    cache_texts(cache, texts, tokenizers, encoders, plan.captions.max_tokens, encoders_id,
                job.progress("encoding captions"))  # fmt: skip
    if sampler is not None:
        sampler.encode(tokenizers, encoders)
    del encoders
    release()


def _cache_all_latents(job, plan, base, cache, met, vae_id, device) -> None:
    """Encodes every picture the run can meet; the VAE is loaded only if one is missing."""
    keys: dict[LatentKey, Example] = {}
    for example in met:
        for flipped in (False, True) if plan.pictures.flip else (False,):
            keys[latent_key(example, flipped, plan.pictures.background, vae_id)] = example
    if all(key.name in cache for key in keys):
        return
    job.stage("loading the VAE")
    vae = base.load_vae(torch.float32, device)
    cache_latents(cache, keys, vae, device, job.progress("encoding pictures"))


def _groups(resolved: Resolved, adapter: Any) -> list[RateGroup]:
    rates = (resolved.rate, *resolved.text_encoder_rates)
    parts = (adapter.parameters_unet(), adapter.parameters_te1(), adapter.parameters_te2())
    return [RateGroup(list(part), rate) for part, rate in zip(parts, rates, strict=True) if part]


def _facts(plan, base, resolved, examples, schedule, why_repeats, adapter) -> dict[str, object]:
    return {
        "base": base.name,
        "base_hash": base.short_hash,
        "resolution": resolved.resolution,
        "bucket_step": resolved.rules.step,
        "optimizer": resolved.optimizer,
        "learning_rate": resolved.rate,
        "effective_rate": resolved.rate * plan.network.scale(),
        "precision": str(resolved.base_dtype).removeprefix("torch."),
        "prediction": resolved.prediction,
        "zero_terminal_snr": resolved.zero_terminal_snr,
        "pictures": len(examples.train),
        "class_pictures": len(examples.classes),
        "held_out": len(examples.held_out),
        "prior_prediction": plan.regularization.prior_prediction,
        "modules": len(adapter.modules),
        "steps_per_epoch": schedule.steps.per_epoch,
        "steps": schedule.steps.total,
        "epochs": schedule.epochs,
        "notes": [*resolved.notes, *([why_repeats] if why_repeats else [])],
    }
