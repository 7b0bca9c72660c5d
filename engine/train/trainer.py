"""One optimizer step, start to end, without ever waiting for the device; and the validation loss."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engine.base.encode import encode_texts
from engine.plan import Plan
from engine.train.batches import Batch, Batches, Place
from engine.train.examples import Example
from engine.train.loss import add_noise, min_snr_weights, per_picture_loss, target
from engine.train.memory import Rung
from engine.train.optimizer import MaskedUpdate, RateGroup, rate_factor
from engine.train.randomness import derived_seed
from engine.train.resolve import Resolved

# Spread over the schedule; each sees the same noise every time, so epochs and base compare exactly.
VALIDATION_TIMESTEPS = (100, 300, 500, 700, 900)
GROW_SCALE_AFTER = 2000  # good steps, as torch's own GradScaler


@dataclass(frozen=True)
class StepResult:
    """What a step left on the device: mean loss, gradient norm before clipping, and whether it was refused.

    `prior` is what holding the class prompt to the base cost, over the same pictures; 0 without prior prediction.
    """

    loss: torch.Tensor
    prior: torch.Tensor
    grad_norm: torch.Tensor
    bad: torch.Tensor


class Trainer:
    """The models, the adapter and the optimizer of a run."""

    def __init__(self, plan: Plan, resolved: Resolved, *, unet: Any, adapter: Any, groups: Sequence[RateGroup],
                 optimizer: torch.optim.Optimizer, batches: Batches, alphas_cumprod: torch.Tensor, device: torch.device,
                 tokenizers: Any = None, encoders: Any = None, accelerator: Any = None) -> None:
        self.plan, self.resolved = plan, resolved
        self.unet, self.adapter = unet, adapter
        self.batches, self.device = batches, device
        self.tokenizers, self.encoders = tokenizers, encoders
        self.accelerator = accelerator
        self.alphas = alphas_cumprod.to(device)
        self.groups = list(groups)
        self.flat = [group.flat for group in groups]
        self.use_optimizer(optimizer)
        self.rung = Rung(False, plan.length.batch_size)
        self.loss_scale = torch.tensor(65536.0 if resolved.loss_scaling else 1.0, device=device)
        self._good_steps = torch.zeros((), device=device)
        self.set_mode(training=True)

    @property
    def rank(self) -> int:
        return self.accelerator.process_index if self.accelerator else 0

    @property
    def world(self) -> int:
        return self.accelerator.num_processes if self.accelerator else 1

    def set_mode(self, *, training: bool) -> None:
        """Dropout and gradient checkpointing act in training only, in the text encoders too where they train."""
        self.unet.train(training)
        for encoder in self.encoders or ():
            encoder.train(training)

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Everything as it will be used, for the length of a `with`."""
        self.set_mode(training=False)
        try:
            yield
        finally:
            self.set_mode(training=True)

    def use_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Steps with this optimizer from now on; it must be built over this trainer's groups."""
        self.optimizer = optimizer
        self.update = MaskedUpdate(optimizer)
        self.base_rates = [float(group["lr"]) for group in optimizer.param_groups]

    def use_rung(self, rung: Rung) -> None:
        """Does the steps from now on in this way; see `engine.train.memory`."""
        self.rung = rung
        switch = "enable_gradient_checkpointing" if rung.checkpointing else "disable_gradient_checkpointing"
        getattr(self.unet, switch)()
        if self.plan.network.train_text_encoders:
            for encoder in self.encoders:
                name = "gradient_checkpointing_enable" if rung.checkpointing else "gradient_checkpointing_disable"
                getattr(encoder, name)()

    def set_rates(self, step: int, total: int, factor: float) -> float:
        """Sets every group's rate for this step; returns the UNet's."""
        shape = rate_factor(self.plan.optimizer, step, total) * factor
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * shape
        return self.base_rates[0] * shape

    def step(self, step: int, micro_batches: Sequence[Sequence[Example]]) -> StepResult:
        """One update from the step's micro-batches (one each accumulation), this process's share of them.

        Every picture counts the same: its loss is divided by the full batch the plan asks for, so a batch that
        ran short pulls less, by exactly the pictures it lacks.
        """
        full = self.plan.length.batch_size * self.world * self.plan.length.gradient_accumulation
        losses = torch.zeros(2, device=self.device)  # of the pictures, of the prior
        pictures, position = 0, 0
        for micro in micro_batches:
            places = [Place(step, position + index) for index in range(len(micro))]
            position += len(micro)
            pictures += len(micro)
            mine = list(zip(micro, places, strict=True))[self.rank :: self.world]
            for start in range(0, len(mine), self.rung.micro_batch):
                part = mine[start : start + self.rung.micro_batch]
                shown, where = [example for example, _ in part], [place for _, place in part]
                self._seed_dropout("network dropout", where)
                batch = self.batches.build(shown, where)
                loss = self.picture_losses(batch)
                self._backward(loss * batch.weights, batch, full)
                losses[0] += loss.detach().sum()
                if self.plan.regularization.prior_prediction:
                    losses[1] += self._prior_step(batch, shown, where, full)
        return self._apply(losses, pictures)

    def _prior_step(self, batch: Batch, examples: Sequence[Example], places: Sequence[Place],
                    full: int) -> torch.Tensor | float:
        """Adds the gradient that holds the class prompt to the base, and gives the sum of its losses; after the
        batch's own backward pass, so that the activations of one pass are in memory at a time."""
        part, rows = self.batches.prior(batch, examples, places)
        if not rows:
            return 0.0
        self._seed_dropout("prior dropout", [places[row] for row in rows])
        losses = self.prior_losses(part)
        self._backward(losses * self.plan.regularization.weight, part, full)
        return losses.detach().sum()

    def _seed_dropout(self, label: str, places: Sequence[Place]) -> None:
        if self.plan.network.dropout:
            seed = self.plan.machine.seed
            self.adapter.seed_dropout([derived_seed(seed, label, place.step, place.position) for place in places])

    def _backward(self, losses: torch.Tensor, batch: Batch, full: int) -> None:
        """The gradients of a batch's weighted losses (n,), each divided by the step's full number of pictures."""
        if self.plan.loss.min_snr_gamma:
            losses = losses * min_snr_weights(
                batch.timesteps, self.alphas, self.plan.loss.min_snr_gamma, self.resolved.prediction
            )
        (losses.sum() / full * self.loss_scale).backward()

    def dry_step(self, micro: Sequence[Example]) -> None:
        """A whole step that changes nothing: allocates what a step allocates, the optimizer's state included.

        Comes before any state is loaded: the optimizer is left as new, also when memory runs out on the way.
        Each process tries for itself, so no gradients are exchanged.
        """
        groups = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        try:
            self._dry_step(micro)
        finally:
            self.clear_gradients()
            self.optimizer.state.clear()
            for group, before in zip(self.optimizer.param_groups, groups, strict=True):
                group.update(before)

    def _dry_step(self, micro: Sequence[Example]) -> None:
        places = [Place(0, index) for index in range(len(micro))]
        for start in range(0, len(micro), self.rung.micro_batch):
            part = slice(start, start + self.rung.micro_batch)
            self.picture_losses(self.batches.build(micro[part], places[part])).sum().backward()
        self.update.step(torch.ones((), dtype=torch.bool, device=self.device))

    def picture_losses(self, batch: Batch) -> torch.Tensor:
        """The loss of each picture of a batch, (n,), with gradients."""
        wanted = target(batch.latents, batch.noise, batch.timesteps, self.alphas, self.resolved.prediction)
        return per_picture_loss(self.predicted(batch), wanted)

    def prior_losses(self, batch: Batch) -> torch.Tensor:
        """How far the adapter's answer to each picture's text lies from the untouched base's, (n,), with gradients.

        Where the text encoders train, the base's answer is to its own encoders' text.
        """
        with torch.no_grad(), self.adapter.disabled():
            wanted = self.predicted(batch)
        return per_picture_loss(self.predicted(batch), wanted)

    def predicted(self, batch: Batch) -> torch.Tensor:
        """The UNet's answer to a batch, noise or velocity, shaped like the latents."""
        noisy = add_noise(batch.latents, batch.noise, batch.timesteps, self.alphas)
        hidden, pooled = batch.hidden, batch.pooled
        if hidden is None or pooled is None:
            hidden, pooled = encode_texts(
                self.tokenizers, self.encoders, list(batch.texts), self.plan.captions.max_tokens
            )
        dtype = self.resolved.base_dtype
        return self.unet(
            noisy.to(dtype),
            batch.timesteps,
            encoder_hidden_states=hidden.to(dtype),
            added_cond_kwargs={"text_embeds": pooled.to(dtype), "time_ids": batch.time_ids},
        )[0]

    @torch.no_grad()
    def validation_loss(self, examples: Sequence[Example], *, base: bool = False) -> float:
        """Mean loss of the held-out pictures at fixed noise and timesteps; of the untouched base where asked."""
        total, count = torch.zeros((), device=self.device), 0
        with self.evaluating(), self.adapter.disabled() if base else contextlib.nullcontext():
            for at in VALIDATION_TIMESTEPS:
                for index, example in enumerate(examples):
                    batch = self.batches.fixed([example], at, f"validation {index}")
                    total += self.picture_losses(batch).sum()
                    count += 1
        return (total / count).item()

    def _apply(self, losses: torch.Tensor, pictures: int) -> StepResult:
        gradients = self._reduced_gradients()
        if self.world > 1:
            losses = self.accelerator.reduce(losses, "sum")
        if self.resolved.loss_scaling:
            for gradient in gradients:
                gradient.div_(self.loss_scale)
        norm = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]).norm()
        if self.plan.optimizer.gradient_clipping:
            shrink = (self.plan.optimizer.gradient_clipping / (norm + 1e-6)).clamp_max(1.0)
            for gradient in gradients:
                gradient.mul_(shrink)
        loss, prior = losses / max(1, pictures)
        bad = ~(norm.isfinite() & loss.isfinite())
        self.update.step(bad)
        if self.plan.loss.scale_weight_norms:
            self.adapter.scale_weight_norms(self.plan.loss.scale_weight_norms)
        self.clear_gradients()
        if self.resolved.loss_scaling:
            bad = self._adjust_loss_scale(bad, loss)
        return StepResult(loss, prior, norm, bad)

    def _reduced_gradients(self) -> list[torch.Tensor]:
        """The flat gradient of every rate group; with several processes, their sum in one message a group."""
        gradients = [flat.gradients for flat in self.flat]
        if self.world > 1:
            for gradient in gradients:
                gradient.copy_(self.accelerator.reduce(gradient, "sum"))
        return gradients

    def clear_gradients(self) -> None:
        for flat in self.flat:
            flat.zero()

    def _adjust_loss_scale(self, bad: torch.Tensor, loss: torch.Tensor) -> torch.Tensor:
        """Halves the fp16 loss scale after an overflow, doubles it after a long good stretch, on the device.

        Returns what is worth reporting: an overflow that a smaller scale will cure is no fault of the run.
        """
        at_floor = self.loss_scale <= 1
        self._good_steps = torch.where(bad, 0, self._good_steps + 1)
        grow = self._good_steps >= GROW_SCALE_AFTER
        self._good_steps = torch.where(grow, 0, self._good_steps)
        scale = torch.where(bad, self.loss_scale / 2, torch.where(grow, self.loss_scale * 2, self.loss_scale))
        self.loss_scale = scale.clamp(1, 2.0**24)
        return ~loss.isfinite() | (bad & at_floor)
