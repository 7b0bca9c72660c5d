"""The job that makes the small base from nothing: `python -P -m engine lab RUN`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL

from engine.files import atomic_path, write_atomic
from engine.lab.base import Networks
from engine.lab.encoder import train_encoder
from engine.lab.export import export_base
from engine.lab.judge import save_reader, train_judge
from engine.lab.latents import load_latents
from engine.lab.perceptual import train_perceptual
from engine.lab.plan import BaseSettings, LabPlan, read_lab_plan
from engine.lab.progress import Report, Stop
from engine.lab.proof import judge_scenes, proof_scenes, table
from engine.lab.sheet import draw, held_out_scenes, prompts_of, sheet
from engine.lab.train_base import Training, train_base
from engine.lab.train_vae import sample_pictures, scaled, signal_to_noise, train_vae
from engine.runs.job import Job, Stopped

Made = TypeVar("Made")

_LOOK_SECONDS = 600
"""Seconds between two contact sheets."""


@dataclass
class _Part:
    """One training within the job: tells the run's record where it stands, and hears what is asked of it."""

    job: Job
    before: int
    steps: int
    total: int
    reached: int = 0
    looked: float = 0.0
    wants_sample: bool = False
    interrupted: bool = False

    def report(self, event: str, **fields: Any) -> None:
        """Passes an event on, its step counted over all of the job's trainings."""
        if event == "stage":
            self.job.stage(fields["name"], fields.get("done"), fields.get("total"))
        elif event == "state":
            self.job.event("state", step=self.before + fields["step"])
        elif event == "step":
            self.reached = fields["step"]
            self.job.event("step", step=self.before + self.reached, steps=self.total, loss=fields["loss"])

    def stop(self) -> bool:
        """True when the loop is to save and come back: to end, or only to save or to draw a sheet."""
        wanted = self.job.poll()
        self.wants_sample |= wanted.sample or time.monotonic() - self.looked > _LOOK_SECONDS
        self.interrupted = wanted.stop is not None or wanted.save or self.wants_sample
        return self.interrupted


def _train(
    part: _Part, training: Callable[[Report, Stop], Made], look: Callable[[Made], None] | None = None
) -> Made:
    """Runs one training to its end; a request to save or to sample ends its loop, which then goes on."""
    while True:
        part.looked, part.wants_sample, part.interrupted = time.monotonic(), False, False
        made = training(part.report, part.stop)
        if part.job.stop is not None:
            raise Stopped
        if not part.interrupted:
            part.reached = part.steps  # a part that an earlier start finished reports no step
        part.job.event("state", step=part.before + part.reached)
        if look is not None and (part.wants_sample or not part.interrupted):
            look(made)
        if not part.interrupted:
            return made


def run(job: Job) -> None:
    """Trains autoencoder, base, judge and encoders as the run's job.toml says; the results lie in `base/`.

    `base/` becomes a diffusers folder; `judge.safetensors`, `encoder.safetensors` and `perceptual.safetensors` lie in
    the run folder with `proof.md`, the judge's table on prompts of combinations never trained on.
    """
    torch.set_num_threads(1)  # sums come out the same whatever the machine, and two threads gain little
    plan = read_lab_plan(job.folder.job)
    state, before = job.folder.state, 0

    def part(steps: int) -> _Part:
        nonlocal before
        made = _Part(job, before, steps, plan.steps)
        before += steps
        return made

    autoencoder = part(plan.autoencoder.steps)
    vae = _train(autoencoder, lambda say, stop: train_vae(state / "vae.pt", plan.autoencoder, say, stop))
    vae = _train(
        part(plan.decoder.steps),
        lambda say, stop: train_vae(state / "decoder.pt", plan.decoder, say, stop, start_from=vae),
    )
    scaled(vae)
    training = _train_base(job, plan, vae, part(plan.base.steps), part(plan.release))
    judge = _train(
        part(plan.judge.steps), lambda say, stop: train_judge(state / "judge.pt", plan.judge, say, stop)
    )
    encoder = _train(
        part(plan.encoder.steps),
        lambda say, stop: train_encoder(state / "encoder.pt", plan.encoder, say, stop),
    )
    perceptual = _train(
        part(plan.perceptual.steps),
        lambda say, stop: train_perceptual(state / "perceptual.pt", plan.perceptual, say, stop),
    )
    save_reader(judge, job.folder.path / "judge.safetensors")
    save_reader(encoder, job.folder.path / "encoder.safetensors")
    save_reader(perceptual, job.folder.path / "perceptual.safetensors")
    size = export_base(training.averaged, vae, job.folder.path / "base")
    job.stage("read pictures", 0, plan.proof)
    pipeline = training.averaged.pipeline(vae)
    verdicts = judge_scenes(lambda prompts: draw(pipeline, prompts), judge, proof_scenes(plan.proof))
    decibels = signal_to_noise(vae, sample_pictures(256, seed=999))
    head = f"Base of {size:,} bytes, step {training.step}; autoencoder {decibels:.1f} dB.\n\n"
    write_atomic(job.folder.path / "proof.md", head + table(verdicts) + "\n")


def _train_base(job: Job, plan: LabPlan, vae: AutoencoderKL, flat: _Part, release: _Part) -> Training:
    """The flat part of the base's training, then its decay in a copy: the flat part can go on later."""
    flat_state, release_state = job.folder.state / "base.pt", job.folder.state / "release.pt"
    counts, seed = plan.scenes.counts, plan.scenes.seed
    asked = lambda: job.poll().stop is not None  # noqa: E731
    sets = load_latents(job.folder.cache / "latents", vae, counts, seed, flat.report, asked)

    def train(path: Path, settings: BaseSettings) -> Callable[[Report, Stop], Training]:
        return lambda say, stop: train_base(path, settings, sets, say, stop)

    training = _train(
        flat, train(flat_state, plan.base), lambda made: _look(flat, made.averaged, vae, plan.sheet)
    )
    if not plan.release:
        return training
    if not release_state.exists():
        with atomic_path(release_state) as beside:
            shutil.copyfile(flat_state, beside)
    falling = replace(plan.base, steps=plan.base.steps + plan.release, decay=plan.release)
    release.before -= plan.base.steps  # its own count goes on from the flat part's
    release.steps += plan.base.steps
    return _train(
        release, train(release_state, falling), lambda made: _look(release, made.averaged, vae, plan.sheet)
    )


def _look(part: _Part, networks: Networks, vae: AutoencoderKL, count: int) -> None:
    """A contact sheet of combinations never trained on, as the run's sample."""
    prompts = prompts_of(held_out_scenes(count))
    path = part.job.folder.samples / f"sheet-{part.before + part.reached:06d}.png"
    path.parent.mkdir(exist_ok=True)
    with atomic_path(path) as beside:
        sheet(draw(networks.pipeline(vae), prompts), prompts).save(beside)
    part.job.event("sample", step=part.before + part.reached, files=[f"samples/{path.name}"])
