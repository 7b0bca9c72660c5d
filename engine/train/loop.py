"""The training loop: epochs of steps, what happens between them, and the ways a run can go on after trouble."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from engine.errors import LorasmithError, shown
from engine.runs.job import Job, Stopped, Wanted
from engine.train.checkpoint import CheckpointWriter
from engine.train.examples import Example
from engine.train.memory import is_out_of_memory, ladder, release
from engine.train.prepare import Prepared
from engine.train.state import Progress, load_state, save_state
from engine.train.trainer import Trainer
from engine.train.window import StepRead, Window

STATE_EVERY_SECONDS = 600.0
# A lone overflow is skipped and told; this many bad steps in a row mean that the run itself is lost.
BAD_STEPS_IN_A_ROW = 5
LOWER_RATE = 0.5
# With several processes the first one's wishes reach the others this often; between, none waits for another's host.
WISH_EVERY_STEPS = 8


class _Rewind(Exception):
    """Go on from the newest saved state."""


@dataclass
class Loop:
    """One attempt at a run."""

    job: Job
    run: Prepared
    progress: Progress
    writer: CheckpointWriter

    def __post_init__(self) -> None:
        self.window = Window()
        self.bad_in_a_row = 0
        self.trainer = self.run.trainer
        self.main = self.trainer.rank == 0
        self.last_state = time.monotonic()
        self.rate = 0.0

    @property
    def total(self) -> int:
        return self.run.schedule.steps.total

    def run_to_the_end(self) -> None:
        """Trains until the last step, whatever has to be repeated on the way; raises Stopped where asked to."""
        while True:
            try:
                self._epochs()
                return
            except _Rewind:
                pass
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if self.trainer.world > 1:
                    raise LorasmithError(
                        "Memory ran out on one of the processes, and the others cannot follow it back: resume after "
                        "freeing memory, or start with a smaller length.batch_size or machine.memory_limit_gb."
                    ) from error
                self._step_down(error)
            # Only here has the traceback let go of the failed step's tensors.
            self._restore()

    def _epochs(self) -> None:
        schedule = self.run.schedule
        while self.progress.step < self.total:
            epoch, done = schedule.steps.place(self.progress.step)
            left = schedule.steps.each[epoch]
            for index, micro_batches in enumerate(schedule.groups(epoch)):
                if done <= index < left:
                    self._obey(epoch)
                    self._step(self.progress.step, epoch, micro_batches)
            self._end_of_epoch(epoch)

    def _step(self, step: int, epoch: int, micro_batches: list[list[Example]]) -> None:
        self.rate = self.trainer.set_rates(step, self.total, self.progress.rate_factor)
        result = self.trainer.step(step, micro_batches)
        self.progress.step = step + 1
        self.window.add(step + 1, result)
        if self._log_is_due():
            self._log(epoch)

    def _log_is_due(self) -> bool:
        """By the clock; with several processes by the count, so that all read the same steps and act alike."""
        if self.trainer.world > 1:
            return self.progress.step % WISH_EVERY_STEPS == 0
        return self.window.due()

    def _log(self, epoch: int) -> None:
        """Reads the steps since the last log point, in one wait for the device, and writes them down."""
        reads = self.window.read()
        if not reads:
            return
        self._look_for_bad(reads)
        good = [read for read in reads if not read.bad]
        if good:
            self.job.event(
                "step",
                step=reads[-1].step,
                steps=self.total,
                epoch=epoch + 1,
                epochs=self.run.schedule.epochs,
                loss=sum(read.loss for read in good) / len(good),
                losses=[round(read.loss, 5) for read in reads],
                **self._prior(good),
                grad_norm=good[-1].grad_norm,
                lr=self.rate,
                images=reads[-1].step * self.pictures_a_step,
            )
        if self.bad_in_a_row >= BAD_STEPS_IN_A_ROW:
            self._lower_the_rate(reads[-1].step)

    def _prior(self, reads: list[StepRead]) -> dict[str, float]:
        """What holding the class prompt cost, where it is held: the record then says whether it is the larger part."""
        held = self.run.plan.regularization.prior_prediction
        return {"prior": sum(read.prior for read in reads) / len(reads)} if held else {}

    def _look_for_bad(self, reads: list[StepRead]) -> None:
        for read in reads:
            self.bad_in_a_row = self.bad_in_a_row + 1 if read.bad else 0
            if read.bad:
                names = ", ".join(shown(name) for name in self._pictures_of(read.step - 1))
                self.job.event(
                    "warning",
                    step=read.step,
                    text=f"Step {read.step} gave no finite gradient (loss {read.loss:g}) and changed nothing. "
                    f"Its pictures: {names}.",
                )

    def _pictures_of(self, step: int) -> list[str]:
        return [example.picture.name for micro in self.run.schedule.group(step) for example in micro][:8]

    def _lower_the_rate(self, step: int) -> None:
        """Back to the last good state once with half the rate; the second time the run ends with the reason."""
        if self.progress.rate_factor < 1.0:
            raise LorasmithError(
                f"The gradients stopped being finite again at step {step}, also at half the learning rate: "
                "lower optimizer.learning_rate, or look at the pictures named in the warnings. "
                "The checkpoints hold finite numbers; the later ones may already be spoilt."
            )
        self.job.event(
            "warning",
            step=step,
            text=f"{BAD_STEPS_IN_A_ROW} steps in a row gave no finite gradient: going back to the last saved state "
            f"and on at {LOWER_RATE:g} times the learning rate.",
        )
        raise _Rewind

    def _step_down(self, error: BaseException) -> None:
        rungs = ladder(self.run.plan.length.batch_size)
        if self.progress.rung + 1 >= len(rungs):
            raise LorasmithError(
                "Memory ran out although the training already goes one picture at a time with gradient "
                "checkpointing: free memory held by other programs, or lower pictures.resolution or network.rank."
            ) from error
        rung = rungs[self.progress.rung + 1]
        self.job.event("warning", text=f"Memory ran out at step {self.progress.step + 1}: going on with {rung}.")

    def _restore(self) -> None:
        """Goes back to the newest state, keeping what trouble has taught: the rung and the rate."""
        rung, factor, bad = self.progress.rung, self.progress.rate_factor, self.bad_in_a_row
        lowered = bad >= BAD_STEPS_IN_A_ROW
        self.window = Window()
        self.bad_in_a_row = 0
        self.trainer.clear_gradients()
        release()
        restored = load_state(self.job.folder.state, self.trainer.adapter, self.trainer.optimizer)
        assert restored is not None, "the loop saves a state before its first step"
        self.progress = restored
        self.progress.rate_factor = LOWER_RATE if lowered else factor
        self.progress.rung = rung if lowered else rung + 1
        self.trainer.use_rung(ladder(self.run.plan.length.batch_size)[self.progress.rung])
        self.trainer.loss_scale.fill_(self.progress.loss_scale)
        self.job.event("plan", from_step=self.progress.step + 1)
        self.save_state()

    def _obey(self, epoch: int) -> None:
        """Does what the person asked for since the last step."""
        if self.trainer.world > 1 and self.progress.step % WISH_EVERY_STEPS:
            return
        wanted = self.job.poll()
        if self.trainer.world > 1:
            wanted = shared_wish(self.trainer, wanted)
        if wanted.stop == "now":
            raise Stopped
        if wanted.stop == "save" or wanted.save:
            self._log(epoch)
            self._save_midway(epoch)
        if wanted.sample and self.main:
            self.writer.sample(self.progress.step, epoch + 1)
        if wanted.stop == "save":
            raise Stopped
        if time.monotonic() - self.last_state > STATE_EVERY_SECONDS:
            self.save_state()

    def _save_midway(self, epoch: int) -> None:
        self.job.stage("saving")
        if self.main and self.progress.step:
            self.writer.checkpoint(self.progress.step, epoch + 1, midway=True)
        self.save_state()

    def _end_of_epoch(self, epoch: int) -> None:
        self._log(epoch)
        done = epoch + 1
        last = self.progress.step >= self.total
        if self.main:
            self.writer.validate(self.progress, done)
            if last or done % self.run.plan.length.save_every_epochs == 0:
                self.writer.checkpoint(self.progress.step, done)
        self.save_state()
        if self.main and (last or done % self.run.plan.samples.every_epochs == 0):
            self.writer.sample(self.progress.step, done)
        self.trainer.accelerator.wait_for_everyone()

    def save_state(self) -> None:
        """Saves what resuming needs; every process holds the same weights, the first one writes them."""
        self.last_state = time.monotonic()
        if self.main:
            self.progress.loss_scale = float(self.trainer.loss_scale.item())
            save_state(self.job.folder.state, self.progress, self.trainer.adapter, self.trainer.optimizer)
            self.job.event("state", step=self.progress.step)

    @property
    def pictures_a_step(self) -> int:
        length = self.run.plan.length
        return length.batch_size * length.gradient_accumulation * self.trainer.world


def shared_wish(trainer: Trainer, wanted: Wanted) -> Wanted:
    """The first process's wish told to all, so that none goes on alone; one small message."""
    stops = (None, "save", "now")
    code = stops.index(wanted.stop) + 4 * wanted.save + 8 * wanted.sample
    message = torch.tensor([code if trainer.rank == 0 else 0], device=trainer.device)
    code = int(trainer.accelerator.reduce(message, "sum").item())
    return Wanted(stop=stops[code % 4], save=bool(code & 4), sample=bool(code & 8))
