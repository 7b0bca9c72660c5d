"""The trainings of the laboratory learn, and go on after a stop as if there had been none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import RunError
from engine.lab.base import SHAPES, new_scheduler, new_vae
from engine.lab.latents import LatentSet, load_latents, scenes_of
from engine.lab.muon import orthogonal
from engine.lab.plan import BaseSettings, VaeSettings
from engine.lab.train_base import (
    batch_loss,
    draw_batch,
    rate_factor,
    timestep_weights,
    train_base,
)
from engine.lab.train_vae import train_vae

QUICK = BaseSettings(steps=4, batch=2, warmup=2, text_steps=3)


class Events(list):
    """Keeps what a training reports."""

    def __call__(self, event: str, **fields: object) -> None:
        self.append((event, fields))


def never() -> bool:
    return False


def after(steps: int):
    """A stop that comes true once it has been asked `steps` times."""
    asked = iter(range(steps))
    return lambda: next(asked, None) is None


@pytest.fixture(scope="module")
def sets() -> list[LatentSet]:
    noise = np.random.default_rng(0)
    return [
        LatentSet(
            width, height, scenes_of(1, width, height, 8), noise.random((8, 4, height // 4, width // 4))
        )
        for width, height in SHAPES
    ]


def test_a_stopped_training_goes_on_bit_by_bit(tmp_path: Path, sets: list[LatentSet]):
    whole = train_base(tmp_path / "whole.pt", QUICK, sets, Events(), never)
    train_base(tmp_path / "parts.pt", QUICK, sets, Events(), after(2))
    parts = train_base(tmp_path / "parts.pt", QUICK, sets, Events(), never)
    assert parts.step == whole.step == QUICK.steps
    for one, other in ((whole.networks, parts.networks), (whole.averaged, parts.averaged)):
        for name, model in one.trained.items():
            for key, weight in model.state_dict().items():
                assert torch.equal(weight, other.trained[name].state_dict()[key]), (name, key)


def test_a_state_of_other_settings_is_refused_by_name(tmp_path: Path, sets: list[LatentSet]):
    train_base(tmp_path / "state.pt", replace(QUICK, steps=1), sets, Events(), never)
    with pytest.raises(RunError, match=r"state\.pt was trained under other settings"):
        train_base(tmp_path / "state.pt", replace(QUICK, seed=8), sets, Events(), never)


def test_training_lowers_the_loss_and_freezes_the_text_in_time(tmp_path: Path, sets: list[LatentSet]):
    settings = replace(QUICK, steps=12, batch=4, text_steps=1, warmup=1)
    kept = new_scheduler().alphas_cumprod
    seen = draw_batch(sets, settings, timestep_weights(), 999)
    early = train_base(tmp_path / "state.pt", settings, sets, Events(), after(1))
    words = [weight.clone() for weight in early.networks.text_encoder.parameters()]
    with torch.no_grad():
        before = batch_loss(early.networks, seen, kept, False)
    late = train_base(tmp_path / "state.pt", settings, sets, Events(), never)
    with torch.no_grad():
        assert batch_loss(late.networks, seen, kept, False) < 0.8 * before
    assert all(torch.equal(a, b) for a, b in zip(words, late.networks.text_encoder.parameters(), strict=True))


def test_a_batch_depends_on_seed_and_step_only(sets: list[LatentSet]):
    density = timestep_weights()
    first, again, next_one = (draw_batch(sets, QUICK, density, step) for step in (5, 5, 6))
    assert first.captions == again.captions and torch.equal(first.noise, again.noise)
    assert first.captions != next_one.captions


def test_timesteps_are_drawn_as_min_snr_weighs_them_and_more_where_the_ground_is_decided():
    density = timestep_weights()
    kept = new_scheduler().alphas_cumprod
    snr = kept / (1 - kept)
    assert float(density.sum()) == pytest.approx(1, abs=1e-5)
    # signal-to-noise 20 weighs a quarter of 5 (beside the uniform tenth), and 1/16 four times 1
    at = [int((snr - wanted).abs().argmin()) for wanted in (20, 5, 1, 1 / 16)]
    weights = [float(density[step]) - 0.1 / 1000 for step in at]
    assert weights[0] / weights[1] == pytest.approx(0.25, rel=0.03)
    assert weights[3] / weights[2] == pytest.approx(4, rel=0.03)


def test_the_rate_warms_up_stays_and_decays_only_at_the_end():
    settings = BaseSettings(steps=1000, decay=100, warmup=10)
    assert [rate_factor(step, settings) for step in (0, 9, 500, 899)] == [0.1, 1, 1, 1]
    assert rate_factor(925, settings) == pytest.approx(0.5)
    assert 0 < rate_factor(999, settings) < 0.01


def test_orthogonal_keeps_directions_and_levels_singular_values():
    matrix = torch.randn(2, 24, 60, generator=torch.Generator().manual_seed(1))
    levelled = orthogonal(matrix).float()
    values = torch.linalg.svdvals(levelled)
    assert float(values.min()) > 0.5 and float(values.max()) < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.nn.functional.cosine_similarity((u @ v).flatten(1), levelled.flatten(1)).min() > 0.95


def test_the_autoencoder_learns_and_goes_on_bit_by_bit(tmp_path: Path):
    settings = VaeSettings(steps=80, batch=4, crop=16, warmup=2)
    events = Events()
    whole = train_vae(tmp_path / "whole.pt", settings, events, never)
    train_vae(tmp_path / "parts.pt", settings, Events(), after(9))
    parts = train_vae(tmp_path / "parts.pt", settings, Events(), never)
    for key, weight in whole.state_dict().items():
        assert torch.equal(weight, parts.state_dict()[key]), key
    losses = [fields["loss"] for event, fields in events if event == "step"]
    assert losses[-1] < 0.8 * losses[0]


def test_latents_are_encoded_once_and_kept(tmp_path: Path):
    vae = new_vae(3).eval()
    first = load_latents(tmp_path, vae, (5, 2, 1), 9, Events(), never)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = load_latents(tmp_path, vae, (5, 2, 1), 9, Events(), never)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} and len(files) == 3
    assert [part.latents.shape for part in first] == [(5, 4, 16, 16), (2, 4, 12, 20), (1, 4, 20, 12)]
    assert all(np.array_equal(a.latents, b.latents) for a, b in zip(first, again, strict=True))
