"""Training a LoRA, top to bottom: what `python -m engine train RUN` does."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import torch

from engine.plan_file import read_plan
from engine.runs.job import Job
from engine.train.checkpoint import CheckpointWriter, output_name
from engine.train.loop import Loop
from engine.train.memory import HEADROOM, Rung, apply_limit, fit_to_memory, fits, ladder, release
from engine.train.prepare import Prepared, prepare
from engine.train.state import Progress, load_state


def run(job: Job) -> None:
    """Trains the plan in the job's run folder from its newest saved state, or from the start."""
    job.stage("starting")
    accelerator = start_accelerator()
    plan = read_plan(job.folder.plan)
    plan = replace(plan, output=replace(plan.output, name=output_name(plan, job.folder.name)))
    apply_limit(accelerator.device, plan.machine.memory_limit_gb)

    prepared = prepare(job, plan, accelerator)
    trainer = prepared.trainer
    fitting = _fit(job, prepared)
    progress = load_state(job.folder.state, trainer.adapter, trainer.optimizer)
    resumed = progress is not None
    progress = progress or Progress()
    progress.rung = max(progress.rung, fitting)
    rung = ladder(plan.length.batch_size)[progress.rung]
    trainer.use_rung(rung)
    if trainer.resolved.loss_scaling:
        trainer.loss_scale.fill_(progress.loss_scale)
    job.event("plan", from_step=progress.step + 1, resumed=resumed, memory=str(rung), **prepared.facts)

    loop = Loop(job, prepared, progress, CheckpointWriter(job, prepared, time.time()))
    if not resumed:
        # From the very first step there is something to go back to.
        loop.save_state()
        if loop.main:
            loop.writer.sample(0, 0)
    loop.run_to_the_end()


def start_accelerator():
    """accelerate's view of this process: its device, its rank, and the way to add gradients up."""
    from accelerate import Accelerator
    from accelerate.utils import InitProcessGroupKwargs

    # A pause holds the other processes at their next collective, so the wait must outlast a night.
    waiting = InitProcessGroupKwargs(timeout=timedelta(days=7))
    return Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no", kwargs_handlers=[waiting])


def _fit(job: Job, prepared: Prepared) -> int:
    """The first rung of the memory ladder on which a step on the largest bucket fits, the same for all processes.

    Measured on CUDA only; a CPU swaps long before it refuses, so there the plan is taken as it is. Samples that do
    not fit beside the UNet are drawn in tiles, or left out: they are no reason to refuse the training.
    """
    trainer, limit = prepared.trainer, prepared.plan.machine.memory_limit_gb
    if trainer.device.type != "cuda":
        return 0
    job.stage("trying a step on the largest bucket")
    apply_limit(trainer.device, limit, HEADROOM)

    def attempt(rung: Rung) -> None:
        trainer.use_rung(rung)
        trainer.dry_step(largest_micro_batch(prepared, rung))

    torch.cuda.reset_peak_memory_stats(trainer.device)
    chosen = fit_to_memory(ladder(prepared.plan.length.batch_size), 0, attempt)
    prepared.facts["step_peak_gb"] = round(torch.cuda.max_memory_allocated(trainer.device) / 1e9, 2)
    if trainer.rank == 0:
        _fit_samples(job, prepared)
    apply_limit(trainer.device, limit)
    release()
    if trainer.world > 1:
        chosen = int(trainer.accelerator.gather(torch.tensor([chosen], device=trainer.device)).max())
    return chosen


def _fit_samples(job: Job, prepared: Prepared) -> None:
    sampler, trainer = prepared.sampler, prepared.trainer
    if sampler is None or fits(lambda: sampler.try_one(trainer)):
        return
    sampler.vae.enable_tiling()
    if not fits(lambda: sampler.try_one(trainer)):
        job.warn("Sample pictures do not fit beside the UNet on this card and are left out; the training goes on.")
        prepared.sampler = None


def largest_micro_batch(prepared: Prepared, rung: Rung) -> list:
    """The micro-batch of the first epoch whose passes take the most pixels: if it fits, the others do."""
    micro_batches = [micro for group in prepared.schedule.groups(0) for micro in group]

    def pixels(micro: list) -> int:
        width, height = micro[0].bucket
        return min(len(micro), rung.micro_batch) * width * height

    return max(micro_batches, key=pixels)
