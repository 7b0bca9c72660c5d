"""A run's steps: which pictures each consists of, over all epochs, as a function of (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.dataset.schedule import Steps, class_need, class_slice, classes_used, count_steps, epoch_batches
from engine.plan import Plan
from engine.train.examples import Example, Examples


@dataclass(frozen=True)
class Schedule:
    """The run's items and its step arithmetic. `batch` is the global one, over all processes."""

    train: tuple[Example, ...]  # every picture as often as an epoch shows it
    pool: tuple[Example, ...]  # class pictures, of which each epoch takes `need`
    need: int
    batch: int
    accumulation: int
    seed: int
    steps: Steps

    @classmethod
    def of(cls, plan: Plan, examples: Examples, processes: int) -> Schedule:
        """The schedule of a plan on `processes` processes, which together do the batch of each."""
        train = tuple(e for e in examples.train for _ in range(e.picture.repeats or 1))
        need = class_need(len(train), plan.regularization.ratio) if examples.classes else 0
        length = plan.length
        batch = length.batch_size * processes
        steps = count_steps(
            [e.bucket for e in train],
            [e.bucket for e in examples.classes],
            class_need=need,
            batch=batch,
            accumulation=length.gradient_accumulation,
            epochs=length.epochs,
            steps=length.steps,
        )
        return cls(train, examples.classes, need, batch, length.gradient_accumulation, plan.machine.seed, steps)

    @property
    def epochs(self) -> int:
        return len(self.steps.each)

    def groups(self, epoch: int) -> Iterator[list[list[Example]]]:
        """The micro-batches of each step of an epoch, over all processes."""
        items = list(self.train) + class_slice(self.pool, self.need, self.seed, epoch)
        micro = [list(batch.items) for batch in epoch_batches(items, self.batch, self.seed, epoch)]
        for start in range(0, len(micro), self.accumulation):
            yield micro[start : start + self.accumulation]

    def group(self, step: int) -> list[list[Example]]:
        """The micro-batches of one step, counted from 0 over the whole run."""
        epoch, index = self.steps.place(step)
        return next(group for at, group in enumerate(self.groups(epoch)) if at == index)

    def met(self, examples: Examples) -> tuple[Example, ...]:
        """The pictures this run meets at all: what is worth caching."""
        classes = classes_used(self.pool, self.need, self.seed, self.epochs)
        return (*examples.train, *classes, *examples.held_out)
