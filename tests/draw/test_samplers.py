"""Samplers by name; each draws a known distribution from its exact denoiser, whatever the base predicts."""

from __future__ import annotations

from types import SimpleNamespace

import numpy
import pytest
import torch

from engine.base.load import open_base
from engine.draw.order import SAMPLERS as TITLES
from engine.draw.order import Order, parameters
from engine.draw.samplers import SAMPLERS, sampler_key
from engine.draw.sampling import Begun, Drawing, Prompt, draw_latents, schedule_length, starting_noise, step_generator
from engine.errors import LorasmithError

MEAN, SPREAD = 0.7, 0.5
PROMPT = Prompt(torch.zeros(1, 1, 1), torch.zeros(1, 1))


class ExactUNet(torch.nn.Module):
    """What a perfect model of pixels drawn from N(MEAN, SPREAD) predicts, worked out from the timestep alone."""

    def __init__(self, base):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.config = SimpleNamespace(in_channels=4)
        self.prediction, self.asked, self.inputs = base.prediction_type, [], []
        signal = base.train_scheduler().alphas_cumprod.double().clamp_min(2**-24).numpy()
        self.logs = numpy.log(numpy.sqrt((1 - signal) / signal))

    def forward(self, x, step, **_):
        self.asked.append(float(step))
        self.inputs.append(x)
        sigma = numpy.exp(numpy.interp(float(step), range(len(self.logs)), self.logs))
        signal = 1 / (1 + sigma**2)
        shrunk = signal**0.5 * SPREAD**2 / (signal * SPREAD**2 + 1 - signal)
        picture = MEAN + shrunk * (x - signal**0.5 * MEAN)
        noise = (x - signal**0.5 * picture) / (1 - signal) ** 0.5
        return (noise if self.prediction == "epsilon" else signal**0.5 * noise - (1 - signal) ** 0.5 * picture,)


def drawn(base, key, steps, begun=None, seed=3):
    unet = ExactUNet(base)
    latents = draw_latents(
        unet, base.scheduler(key), [PROMPT], PROMPT, [Drawing((256, 256), steps, 1.0, seed)], vae_scale=8, begun=begun
    )
    return latents, unet


@pytest.mark.parametrize("key", SAMPLERS)
@pytest.mark.parametrize(("prediction", "zero"), [("epsilon", False), ("v_prediction", False), ("v_prediction", True)])
def test_every_sampler_draws_the_distribution_its_model_knows(tiny_base, key, prediction, zero):
    base = open_base(tiny_base, prediction_type=prediction, zero_terminal_snr=zero)
    latents, unet = drawn(base, key, 50)
    assert len(unet.asked) == SAMPLERS[key].evaluations(50)
    # The flow's own answer: noise of the first level, moved and shrunk. Fresh noise leaves only the distribution.
    assert float(latents.mean()) == pytest.approx(MEAN, abs=0.06)
    assert float(latents.std()) == pytest.approx(SPREAD, abs=0.06)
    start = starting_noise(Drawing((256, 256), 50, 1.0, 3), 4, 8)
    follows = float(torch.corrcoef(torch.stack([start.flatten(), latents.float().flatten()]))[0, 1])
    fresh = SAMPLERS[key].solver in ("Euler a", "DPM2 a", "DPM++ 2M SDE", "DPM++ SDE")
    assert follows < 0.7 if fresh else follows > 0.999


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("DPM++ 2M Karras", "dpmpp_2m_karras"), ("dpmpp_2m_karras", "dpmpp_2m_karras"), ("euler_a", "euler_a"),
        ("Euler Ancestral", "euler_a"), ("EULER A", "euler_a"), ("k_euler_ancestral", "euler_a"), ("euler", "euler"),
        ("dpm++ 2m sde karras", "dpmpp_2m_sde_karras"), ("DPM++ 2M", "dpmpp_2m"), ("uni-pc", "unipc"),
        ("DDIM", "ddim"), ("DPM++ 2M Uniform", "dpmpp_2m"), ("sample_dpmpp_2m", "dpmpp_2m"), ("dpm2 a", "dpm2_a"),
    ],
)  # fmt: skip
def test_names_are_read_as_people_write_them(said, key):
    assert sampler_key(said) == key


def test_every_title_is_read_back_and_a_wrong_one_answers_with_all():
    assert {sampler_key(title): key for key, title in TITLES.items()} == {key: key for key in SAMPLERS}
    with pytest.raises(LorasmithError, match=r"'moon' is no sampler.*Euler a.*DPM\+\+ 2M SDE Karras.*Heun"):
        sampler_key("moon")


def test_the_png_says_solver_and_schedule_as_a1111_reads_them():
    said = parameters(Order("x", (64, 64), 1, sampler="dpmpp_2m_sde_karras"), base_name="a, b", base_hash="0" * 64)
    assert 'Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 5' in said and said.endswith('Model: "a, b"')


def karras(count):
    sigmas = levels(numpy.arange(1000))
    low, high = sigmas[0] ** (1 / 7), sigmas[-1] ** (1 / 7)
    return (high + numpy.linspace(0, 1, count) * (low - high)) ** 7


def levels(timesteps):
    betas = numpy.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    signal = numpy.cumprod(1 - betas)
    return numpy.sqrt((1 - signal) / signal)[timesteps]


@pytest.mark.parametrize("steps", [1, 2, 7, 12, 15, 20, 30])
@pytest.mark.parametrize("denoise", [0.05, 0.3, 0.4, 0.5, 0.7, 0.75, 1.0])
def test_a_second_pass_makes_exactly_its_steps_from_the_level_a1111_begins_at(tiny_base, steps, denoise):
    base = open_base(tiny_base)
    picture = torch.full((1, 4, 32, 32), 0.3)
    noise = starting_noise(Drawing((256, 256), steps, 1.0, 3), 4, 8)
    length = int(steps / min(denoise, 0.999))  # the rule, as A1111 has it
    assert schedule_length(steps, denoise) == length
    spaced = (numpy.arange(length) * (1000 // length) + 1)[::-1][length - steps :]
    _, unet = drawn(base, "euler", steps, Begun(picture, denoise))
    assert unet.asked == list(spaced)
    sigma = levels(spaced[0])
    assert torch.allclose(unet.inputs[0].float(), (picture + sigma * noise) / (sigma**2 + 1) ** 0.5, atol=1e-4)
    _, unet = drawn(base, "dpmpp_2m_karras", steps, Begun(picture, denoise))
    assert len(unet.asked) == steps
    sigma = karras(length)[length - steps] if length > 1 else karras(1)[0]
    assert torch.allclose(unet.inputs[0].float(), (picture + sigma * noise) / (sigma**2 + 1) ** 0.5, atol=1e-3)


@pytest.mark.parametrize("key", SAMPLERS)
def test_every_sampler_goes_on_from_a_picture(tiny_base, key):
    base = open_base(tiny_base)
    draw = torch.Generator().manual_seed(0)
    picture = MEAN + SPREAD * torch.randn((1, 4, 32, 32), generator=draw)
    latents, unet = drawn(base, key, 20, Begun(picture, 0.4))
    assert len(unet.asked) == SAMPLERS[key].evaluations(20)
    # Noised and denoised, pixels of the distribution stay of it, and at 0.4 they are still like themselves.
    assert float(latents.mean()) == pytest.approx(MEAN, abs=0.04)
    assert float(latents.std()) == pytest.approx(SPREAD, abs=0.06)
    likeness = float(torch.corrcoef(torch.stack([picture.flatten(), latents.float().flatten()]))[0, 1])
    assert 0.05 < likeness < 0.95


def test_dpmpp_sde_is_its_published_step(tiny_base):
    base = open_base(tiny_base)
    latents, unet = drawn(base, "dpmpp_sde_karras", 6)
    sigmas = [*numpy.exp(numpy.interp(unet.asked[::2], range(1000), unet.logs)), 0.0]
    fresh = step_generator(3)
    start = starting_noise(Drawing((256, 256), 6, 1.0, 3), 4, 8).double()
    x = start * base_sigma(base)

    def picture(x, sigma):
        signal = 1 / (1 + sigma**2)
        shrunk = signal**0.5 * SPREAD**2 / (signal * SPREAD**2 + 1 - signal)
        return MEAN + shrunk * (signal**0.5 * x - signal**0.5 * MEAN)

    def stepped(x, denoised, sigma, to, noise):
        up = min(to, (to**2 * (sigma**2 - to**2) / sigma**2) ** 0.5)
        time, below = -numpy.log(sigma), -numpy.log((to**2 - up**2) ** 0.5)
        return numpy.exp(time - below) * x - numpy.expm1(time - below) * denoised + up * noise

    for sigma, following in zip(sigmas[:-1], sigmas[1:], strict=True):
        denoised = picture(x, sigma)
        if not following:
            x = denoised
            continue
        middle = (sigma * following) ** 0.5
        half, rest = (torch.randn(x.shape, generator=fresh).double() for _ in range(2))
        there = stepped(x, denoised, sigma, middle, half)
        whole = ((sigma - middle) ** 0.5 * half + (middle - following) ** 0.5 * rest) / (sigma - following) ** 0.5
        x = stepped(x, picture(there, middle), sigma, following, whole)
    assert torch.allclose(latents.double(), x, atol=0.02), (latents - x).abs().max()


def base_sigma(base):
    scheduler = base.scheduler("dpmpp_sde_karras")
    scheduler.set_timesteps(6)
    return float(scheduler.init_noise_sigma)


def test_neighbouring_seeds_share_no_noise(tiny_base):
    base = open_base(tiny_base)
    pictures = [drawn(base, "euler_a", 8, seed=seed)[0].flatten() for seed in range(6)]
    related = torch.corrcoef(torch.stack(pictures).float()) - torch.eye(6)
    assert float(related.abs().max()) < 0.06  # 4096 independent pixels: four standard errors
