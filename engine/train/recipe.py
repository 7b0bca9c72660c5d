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
from engine.train.memory import HEADROOM, Rung, apply_limit, fit_to_memory, ladder, release
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
    progress = load_state(job.folder.state, trainer.adapter, trainer.optimizer)
    resumed = progress is not None
    progress = progress or Progress()
    progress.rung, memory = _fit(job, prepared, progress.rung)
    trainer.use_rung(ladder(plan.length.batch_size)[progress.rung])
    if trainer.resolved.loss_scaling:
        trainer.loss_scale.fill_(progress.loss_scale)
    job.event("plan", from_step=progress.step + 1, resumed=resumed, memory=memory, **prepared.facts)

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


def _fit(job: Job, prepared: Prepared, start: int) -> tuple[int, str]:
    """The first rung of the memory ladder on which a step on the largest bucket and a sample fit.

    Measured on CUDA only; a CPU swaps long before it refuses, so there the plan is taken as it is.
    """
    trainer = prepared.trainer
    rungs = ladder(prepared.plan.length.batch_size)
    if trainer.device.type != "cuda":
        return start, str(rungs[start])
    job.stage("trying a step on the largest bucket")
    largest = largest_micro_batch(prepared)
    limit = trainer.plan.machine.memory_limit_gb
    total = torch.cuda.get_device_properties(trainer.device).total_memory
    allowed = float(limit) * 1e9 / total if limit != "auto" else 1.0
    torch.cuda.set_per_process_memory_fraction(min(1.0, allowed) * HEADROOM, trainer.device)

    def attempt(rung: Rung) -> None:
        torch.cuda.reset_peak_memory_stats(trainer.device)
        trainer.use_rung(rung)
        trainer.dry_step(largest)
        if prepared.sampler is not None:
            prepared.sampler.try_one(trainer)

    chosen = fit_to_memory(rungs, start, attempt)
    peak = torch.cuda.max_memory_allocated(trainer.device)
    torch.cuda.set_per_process_memory_fraction(min(1.0, allowed), trainer.device)
    release()
    return chosen, f"{rungs[chosen]}: a step on the largest bucket peaks at {peak / 1e9:.1f} GB"


def largest_micro_batch(prepared: Prepared) -> list:
    """The step's micro-batch with the most pixels in the first epoch: if it fits, all do."""
    micro_batches = [micro for group in prepared.schedule.groups(0) for micro in group]
    return max(micro_batches, key=lambda micro: len(micro) * micro[0].bucket[0] * micro[0].bucket[1])
