"""Prior prediction: the class prompt is held to the untouched base, at the same noise, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from training_runs import events, new_run, train

from engine.base.load import open_base
from engine.estimate import Card, estimate_plan
from engine.plan import Captions, Length, Machine, Network, Optimizer, Regularization
from engine.plan_checks import check_plan
from engine.runs.job import Job
from engine.train.batches import Place
from engine.train.memory import Rung
from engine.train.prepare import prepare
from engine.train.recipe import start_accelerator

PRIOR = Regularization(prior_prediction=True)


@pytest.fixture
def plan(small_plan):
    """Captions that change with the class word alone, at a rate at which a few steps show."""
    return replace(
        small_plan,
        optimizer=Optimizer(learning_rate=5e-3),
        samples=replace(small_plan.samples, prompts=()),
        output=replace(small_plan.output, name="disc", precision="fp32"),
        regularization=PRIOR,
    )


def prepared(plan, name="run"):
    return prepare(Job(new_run(plan, name), None), plan, start_accelerator())


def weights(folder):
    return {path.name: load_file(path) for path in sorted(folder.checkpoints.glob("*-0000??.safetensors"))}


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(tensor, other[name][key]) for name in one for key, tensor in one[name].items()
    )


def place_of(micro):
    return [Place(0, index) for index in range(len(micro))]


def test_the_target_is_what_a_fresh_base_answers_to_the_class_prompt(plan, tiny_base):
    """Text encoders train as well: the base's answer is to its own encoders' text, not to the adapted ones'."""
    trainer = (run := prepared(replace(plan, network=Network(rank=4, train_text_encoders=True)))).trainer
    micro = run.schedule.group(0)[0]
    for step in range(2):
        trainer.set_rates(step, 10, 1.0)
        trainer.step(step, [micro])
    batch = trainer.batches.build(micro, place_of(micro))
    part, rows = trainer.batches.prior(batch, micro, place_of(micro))
    assert rows == list(range(len(micro)))
    assert part.texts == tuple(text.replace("ohwx disc", "disc") for text in batch.texts) != batch.texts

    base = open_base(tiny_base)
    unet, encoders = base.load_unet(torch.float32), base.load_text_encoders(torch.float32)
    from engine.base.encode import encode_texts

    with torch.no_grad():
        hidden, pooled = encode_texts(base.tokenizers(), encoders, list(part.texts))
        noisy = base.train_scheduler().add_noise(batch.latents, batch.noise, batch.timesteps)
        wanted = unet(noisy, batch.timesteps, encoder_hidden_states=hidden,
                      added_cond_kwargs={"text_embeds": pooled, "time_ids": batch.time_ids})[0]  # fmt: skip
        expected = (trainer.predicted(part) - wanted).square().mean(dim=(1, 2, 3))
    losses = trainer.prior_losses(part)
    assert losses.requires_grad and (losses > 1e-6).all()
    assert torch.allclose(losses, expected, rtol=1e-3), (losses, expected)


def test_before_anything_is_learnt_there_is_nothing_to_hold_back(plan):
    run = prepared(plan)
    micro = run.schedule.group(0)[0]
    batch = run.trainer.batches.build(micro, place_of(micro))
    part, _ = run.trainer.batches.prior(batch, micro, place_of(micro))
    assert run.trainer.prior_losses(part).abs().max() == 0


def test_the_record_says_what_holding_the_class_cost(plan):
    """Nothing at the first step, when nothing is learnt yet; the plain training's record has no such figure."""
    run = prepared(plan)
    results = []
    for step in range(3):
        run.trainer.set_rates(step, 10, 1.0)
        results.append(run.trainer.step(step, run.schedule.group(step)))
    assert results[0].prior == 0 and all(result.prior > 0 for result in results[1:])
    held, free = new_run(plan, "held"), new_run(replace(plan, regularization=Regularization()), "free")
    for folder in (held, free):
        train(folder)
    assert all(event.number("prior") is not None for event in events(held, "step"))
    assert all(event.get("prior") is None for event in events(free, "step"))


def test_the_class_prompt_drifts_less_and_weight_zero_is_no_prior_at_all(plan):
    def after_four_steps(regularization, name):
        run = prepared(replace(plan, regularization=regularization), name)
        for step in range(4):
            run.trainer.set_rates(step, 4, 1.0)
            run.trainer.step(step, run.schedule.group(step))
        return run

    def drift(run):
        micro = run.schedule.group(0)[0]
        batch = run.trainer.batches.build(micro, place_of(micro))
        with torch.no_grad():
            return run.trainer.prior_losses(run.trainer.batches.prior(batch, micro, place_of(micro))[0]).mean().item()

    plain = after_four_steps(Regularization(), "plain")
    idle = after_four_steps(replace(PRIOR, weight=0.0), "idle")
    held = after_four_steps(replace(PRIOR, weight=10.0), "held")
    assert drift(held) < 0.8 * drift(idle)
    weights = plain.trainer.adapter.state()
    assert all(torch.equal(tensor, weights[key]) for key, tensor in idle.trainer.adapter.state().items())


def test_small_micro_batches_with_checkpointing_give_the_same_gradient(plan):
    held = replace(PRIOR, ratio=0.6, weight=5.0)
    run = prepared(replace(plan, regularization=held, length=Length(epochs=2, batch_size=4)))
    trainer = run.trainer
    trainer.set_rates(0, 8, 1.0)
    trainer.step(0, run.schedule.group(0))
    norms = []
    for rung in (Rung(False, 4), Rung(True, 1)):
        trainer.use_rung(rung)
        kept = {key: tensor.clone() for key, tensor in trainer.adapter.state().items()}
        norms.append(trainer.step(3, run.schedule.group(1)).grad_norm.item())
        trainer.adapter.load_state(kept)
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


@pytest.mark.parametrize("network", [
    Network(rank=4, dropout=0.1, train_text_encoders=True), Network(rank=4, dora=True),
], ids=["text-encoders", "dora"])  # fmt: skip
def test_a_stopped_run_goes_on_bit_for_bit(plan, network):
    plan = replace(
        plan, network=network, regularization=replace(PRIOR, ratio=0.7),
        captions=Captions(shuffle=True, dropout=0.2), length=Length(epochs=2, batch_size=2, gradient_accumulation=2),
    )  # fmt: skip
    whole = new_run(plan, "whole")
    assert train(whole) == 0
    broken = new_run(plan, "broken")

    def stop_at_two():
        import os
        import signal

        from engine.train.trainer import Trainer

        real = Trainer.step

        def step(self, at, groups):
            if at == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return real(self, at, groups)

        Trainer.step = step

    assert train(broken, stop_at_two) == 4
    assert train(broken) == 0
    assert same(weights(broken), weights(whole))
    assert events(whole, "plan")[0].get("prior_prediction") is True


def test_the_share_is_drawn_by_place_and_not_by_process(plan):
    run = prepared(replace(plan, regularization=replace(PRIOR, ratio=0.5)))
    example = run.examples.train[0]
    batches = run.trainer.batches

    def rows(places):
        group = [example] * len(places)
        return {places[row] for row in batches.prior(batches.build(group, places), group, places)[1]}

    places = [Place(step, position) for step in range(50) for position in range(4)]
    chosen = rows(places)
    assert 70 <= len(chosen) <= 130
    assert rows(places[0::2]) | rows(places[1::2]) == chosen


def test_captions_without_the_trigger_are_named(plan, painted):
    plan = replace(plan, subject=replace(plan.subject, instance_prompt="zwx"), length=Length(epochs=1, batch_size=2))
    folder = new_run(plan)
    assert train(folder) == 0
    assert any("5 of 5 captions lack the trigger 'zwx'" in e.get("text") for e in events(folder, "warning"))


@pytest.mark.parametrize(("subject", "key"), [
    ({"class_prompt": ""}, "subject.class_prompt"),
    ({"instance_prompt": "Disc"}, "regularization.prior_prediction"),
])  # fmt: skip
def test_a_prior_that_cannot_work_is_an_error(plan, subject, key):
    found = check_plan(replace(plan, subject=replace(plan.subject, **subject)))
    assert key in {finding.key for finding in found if finding.severity == "error"}


def test_time_counts_the_longer_step_and_memory_stays(plan):
    card = Card("NVIDIA GeForce RTX 4090", 24 * 2**30, 0, "570")
    large = replace(plan.pictures, upscale=True)
    sdxl = replace(plan, base=replace(plan.base, model="sdxl-1.0"), machine=Machine(), pictures=large)
    plain = estimate_plan(replace(sdxl, regularization=Regularization()), card)
    whole = estimate_plan(sdxl, card)
    half = estimate_plan(replace(sdxl, regularization=replace(PRIOR, ratio=0.5)), card)
    assert 2.1 < whole.seconds / plain.seconds < 2.7
    assert half.seconds - plain.seconds == pytest.approx((whole.seconds - plain.seconds) / 2)
    assert whole.fast == plain.fast and whole.report.steps == plain.report.steps
    assert "prior prediction" in whole.seconds_source
