"""Muon: momentum whose updates are made orthogonal, here for convolutions too (Jordan et al. 2024)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch

_A, _B, _C = 3.4445, -4.7750, 2.0315  # the published coefficients of the quintic Newton-Schulz step


def orthogonal(matrices: torch.Tensor, rounds: int = 5) -> torch.Tensor:
    """For each matrix of [n, rows, columns] one near it with all singular values near one, in bfloat16."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum with orthogonal updates, scaled so that `lr` means what it means for AdamW.

    For weights of two or more dimensions (a convolution counts as [out, in x kernel]); leave biases, norms
    and embeddings to AdamW. The update's root mean square is 0.2 x lr, as in Moonshot's variant (arXiv
    2502.16982).
    """

    def __init__(self, weights: Iterable[torch.nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Updates every weight that has a gradient; weights of one shape go through together."""
        for group in self.param_groups:
            alike = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    alike[weight.flatten(1).shape].append(weight)
            for shape, weights in alike.items():
                pushes = orthogonal(
                    torch.stack([self._push(weight, group["momentum"]) for weight in weights])
                )
                scale = 0.2 * max(shape) ** 0.5
                for weight, push in zip(weights, pushes, strict=True):
                    weight.sub_(push.reshape(weight.shape), alpha=group["lr"] * scale)

    def _push(self, weight: torch.nn.Parameter, momentum: float) -> torch.Tensor:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        average = state["momentum"].lerp_(weight.grad, 1 - momentum)
        return weight.grad.lerp(average, momentum).flatten(1)
