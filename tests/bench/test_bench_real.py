"""The measurement of SDXL's real shape, walked on a shape that any CPU can hold."""

from __future__ import annotations

import torch

from engine.base.load import open_base
from engine.bench.real import PEAK_TFLOPS, measure_one, random_trainer


def test_a_shape_is_trained_and_timed(tiny_base):
    config = dict(open_base(tiny_base).configs["unet"])
    row = measure_one(config, torch.device("cpu"), 2, True, resolution=64, rank=4)
    assert row.batch == 2 and row.checkpointing
    assert row.seconds_a_step and row.pictures_a_second
    assert abs(row.pictures_a_second * row.seconds_a_step - 2) < 0.02


def test_what_is_timed_moves_the_weights(tiny_base):
    config = dict(open_base(tiny_base).configs["unet"])
    trainer, examples = random_trainer(config, torch.device("cpu"), 1, resolution=64, rank=4)
    before = [weight.clone() for weight in trainer.adapter.parameters_unet()]
    result = trainer.step(0, [examples])
    assert not result.bad and result.grad_norm > 0
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.adapter.parameters_unet(), strict=True))


def test_a_slower_version_of_a_card_has_its_own_peak():
    def peak(card: str) -> float:
        return next(peak for name, peak in PEAK_TFLOPS.items() if name in card)

    assert peak("NVIDIA H100 PCIe") < peak("NVIDIA H100 80GB HBM3") == 989
