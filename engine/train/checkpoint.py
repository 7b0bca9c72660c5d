"""What a run writes at the end of an epoch: the LoRA file, verified; the validation loss; the sample pictures."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from engine.base.encode import NonFiniteLatent
from engine.errors import shown
from engine.lora.file import save_lora
from engine.lora.metadata import FileFacts, metadata
from engine.lora.verify import verify
from engine.runs.job import Job, Stopped
from engine.train.memory import fits
from engine.train.prepare import Prepared
from engine.train.record import bucket_info, dataset_folders, tag_frequency
from engine.train.state import Progress


@dataclass
class CheckpointWriter:
    """Writes a run's results; only the first of several processes does."""

    job: Job
    run: Prepared
    started: float  # seconds since 1970

    def checkpoint(self, step: int, epoch: int, *, midway: bool = False) -> None:
        """Writes the LoRA as it stands, reads it back and records what was compared."""
        folder = self.job.folder.checkpoints
        folder.mkdir(parents=True, exist_ok=True)
        ending = f"step{step:08d}" if midway else f"{epoch:06d}"
        path = folder / f"{self.run.plan.output.name}-{ending}.safetensors"
        adapter = self.run.trainer.adapter
        save_lora(adapter, path, self.run.plan.output.precision, metadata(self.run.plan, self._facts(step, epoch)))
        result = verify(path, adapter)
        self.job.event(
            "checkpoint",
            step=step,
            epoch=epoch,
            file=f"{folder.name}/{path.name}",
            size=path.stat().st_size,
            verified=result.message,
        )

    def validate(self, progress: Progress, epoch: int) -> None:
        """The validation loss of the held-out pictures, beside the untouched base's on the same noise."""
        held_out = self.run.examples.held_out
        if not held_out:
            return
        trainer = self.run.trainer
        if progress.base_validation is None:
            progress.base_validation = trainer.validation_loss(held_out, base=True)
        loss = trainer.validation_loss(held_out)
        self.job.event("validation", step=progress.step, epoch=epoch, loss=loss, base=progress.base_validation)

    def sample(self, step: int, epoch: int) -> None:
        """Draws the sample prompts. A sample that does not fit in memory is told and does not end the training."""
        sampler = self.run.sampler
        if sampler is None:
            return
        folder = self.job.folder.samples
        folder.mkdir(parents=True, exist_ok=True)
        trainer, files = self.run.trainer, []

        def draw() -> None:
            with trainer.evaluating():
                if trainer.encoders is not None:
                    sampler.encode(trainer.tokenizers, trainer.encoders)
                files.extend(sampler.draw(trainer.unet, folder, f"epoch-{epoch:04d}-step-{step:08d}", self._between))

        try:
            if not fits(draw):
                self.job.warn("A sample picture did not fit in memory and was left out; the training goes on.")
        except NonFiniteLatent:
            self.job.warn("A sample picture came out as no finite numbers and was left out; the training goes on.")
        except Stopped:
            self.job.warn("The samples were cut short because the run was asked to stop.")
        if not files:
            return
        self.job.event("sample", step=step, epoch=epoch, files=[f"{folder.name}/{name}" for name in files])

    def _between(self, done: int, total: int) -> None:
        self.job.stage("drawing samples", done, total)
        if self.run.trainer.world == 1 and self.job.stop_asked():
            raise Stopped

    def _facts(self, step: int, epoch: int) -> FileFacts:
        run = self.run
        return FileFacts(
            base_name=run.base.name,
            base_hash=run.base.hash,
            vae_name=run.base.vae_name or "",
            v_prediction=run.resolved.prediction == "v_prediction",
            zero_terminal_snr=run.resolved.zero_terminal_snr,
            resolution=run.resolved.resolution,
            optimizer=run.resolved.optimizer,
            precision=str(run.resolved.base_dtype).removeprefix("torch."),
            tag_frequency=tag_frequency(run.examples.train),
            bucket_info=bucket_info(run.examples.train),
            dataset_dirs=dataset_folders(run.examples),
            train_images=len(run.schedule.train),
            class_images=run.schedule.need,
            processes=run.trainer.world,
            held_out_images=len(run.examples.held_out),
            batches_per_epoch=run.schedule.steps.micro_per_epoch,
            epoch=epoch,
            epochs_total=run.schedule.epochs,
            step=step,
            steps_total=run.schedule.steps.total,
            started=self.started,
            finished=time.time(),
            session=self.job.folder.name,
        )


def output_name(plan, run_name: str) -> str:
    """The files' common name: the plan's, or the run's, in letters any file system and program takes."""
    name = re.sub(r"[^\w.-]+", "_", plan.output.name or run_name, flags=re.ASCII).strip("._")
    return shown(name or "lora")
