"""What a step may not do: wait for the device, or cost more than the bare loop by more than a few hundredths."""

from __future__ import annotations

import pytest
import torch
from training_runs import forked

from engine.bench.small import host_syncs, paint_pictures, small_training, step_ratio


def in_child(function) -> None:
    assert forked(lambda: function() or 0) == 0


@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_step_waits_for_the_device(tmp_path, optimizer, precision):
    def count() -> None:
        pictures = paint_pictures(tmp_path / "pictures", 6, (128, 96))
        prepared = small_training(tmp_path, pictures, optimizer=optimizer, precision=precision)
        assert type(prepared.trainer.optimizer).__name__.lower() == optimizer
        figure = host_syncs(prepared.trainer, list(prepared.schedule.groups(0)))
        assert figure.value == 0, figure

    in_child(count)


def test_a_step_that_waits_is_counted(tmp_path):
    def count() -> None:
        prepared = small_training(tmp_path, paint_pictures(tmp_path / "pictures", 6, (128, 96)))
        real = prepared.trainer.step

        def waiting(number, group):
            torch.ones(4).sum().item()
            torch.arange(4)[torch.ones(4, dtype=torch.bool)]
            return real(number, group)

        prepared.trainer.step = waiting
        figure = host_syncs(prepared.trainer, list(prepared.schedule.groups(0))[:3])
        assert figure.value == 2 * 3, figure

    in_child(count)


def test_the_engines_step_costs_what_a_bare_step_costs(tmp_path):
    def compare() -> None:
        prepared = small_training(tmp_path, paint_pictures(tmp_path / "pictures", 6, (128, 96)))
        group = next(iter(prepared.schedule.groups(0)))
        # The goal is 1.05; on a machine that is busy with other things single turns stray by a fifth.
        figures = []
        while len(figures) < 3 and not (figures and figures[-1].value <= 1.05):
            figures.append(step_ratio(prepared.trainer, group))
        assert figures[-1].value <= 1.05, figures

    in_child(compare)
