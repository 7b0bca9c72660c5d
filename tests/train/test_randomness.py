"""Draws depend on (seed, step, position) and nothing else."""

from __future__ import annotations

import torch

from engine.train.randomness import derived_seed, noise, timestep


def test_a_draw_is_the_same_whatever_was_drawn_before():
    first = noise((4, 8, 8), seed=3, step=17, position=2)
    torch.randn(1000)
    noise((4, 8, 8), seed=3, step=16, position=2)
    assert torch.equal(first, noise((4, 8, 8), seed=3, step=17, position=2))


def test_every_part_of_the_place_matters():
    places = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    pictures = [noise((4, 8, 8), seed, step, position) for seed, step, position in places]
    for index, one in enumerate(pictures):
        assert all(not torch.equal(one, other) for other in pictures[index + 1 :])
    assert derived_seed(0, "noise", 1, 2) != derived_seed(0, "noise", 12) != derived_seed(0, "flip", 1, 2)


def test_noise_is_standard_normal_and_timesteps_uniform():
    values = torch.stack([noise((4, 16, 16), 0, step, 0) for step in range(64)])
    assert abs(values.mean().item()) < 0.01 and abs(values.std().item() - 1) < 0.01
    steps = torch.tensor([timestep(0, step, position) for step in range(500) for position in range(4)]).float()
    assert steps.min() >= 0 and steps.max() <= 999
    counts = torch.histc(steps, bins=10, min=0, max=1000)
    # 2,000 draws over ten bins: 200 +- 13 each; five standard deviations.
    assert (counts - 200).abs().max() < 67


def test_noise_offset_moves_whole_channels():
    plain = noise((4, 32, 32), 0, 0, 0)
    offset = noise((4, 32, 32), 0, 0, 0, offset=0.1)
    shift = offset - plain
    assert torch.allclose(shift, shift[:, :1, :1].expand_as(shift), atol=1e-6) and shift.abs().max() > 0.001


def test_multires_noise_has_unit_variance_and_longer_waves():
    fine = noise((4, 32, 32), 0, 5, 0)
    coarse = noise((4, 32, 32), 0, 5, 0, multires_iterations=6, multires_discount=0.8)
    assert abs(coarse.std().item() - 1) < 1e-5
    pooled = [torch.nn.functional.avg_pool2d(x, 8).std().item() for x in (fine, coarse)]
    assert pooled[1] > 2 * pooled[0]
