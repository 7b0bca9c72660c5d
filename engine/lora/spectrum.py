"""A module's update by its singular values, worked out on the two small factors and never on the whole update."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.lora.file import Factors


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The update of one module, left @ diag(values) @ right, without its scale; values fall.

    left: [out, r], right: [r, in x k x k], float64. `shape` is what the down factor has behind its rank.
    """

    left: Tensor
    values: Tensor
    right: Tensor
    shape: tuple[int, ...]

    def kept(self, rank: int) -> float:
        """The share of the update's Frobenius norm in the first `rank` directions; 1 for an update of zeros."""
        whole = float(self.values.square().sum())
        return float(self.values[:rank].square().sum() / whole) ** 0.5 if whole else 1.0

    def rank_for(self, keep: float) -> int:
        """The smallest rank that keeps this share of the norm, at least 1 (kohya's `sv_fro`)."""
        squares = self.values.square().cumsum(0)
        if not float(squares[-1]):
            return 1
        return min(int(torch.searchsorted(squares, keep**2 * squares[-1])) + 1, len(self.values))

    def factors(self, rank: int) -> tuple[Tensor, Tensor]:
        """down [rank, ...] and up [out, rank, ...] of the best update of this rank, each with half of the size.

        Halves, because one factor with all of it may leave fp16's range.
        """
        half = self.values[:rank].sqrt()
        down = (half[:, None] * self.right[:rank]).reshape(rank, *self.shape)
        up = self.left[:, :rank] * half
        return down, up.reshape(*up.shape, *(1,) * (len(self.shape) - 1))


@torch.no_grad()
def spectrum(down: Tensor, up: Tensor) -> Spectrum:
    """The singular values of up @ down. QR of both factors leaves a rank x rank matrix for the SVD."""
    rank = down.shape[0]
    flat = down.double().reshape(rank, -1)
    q_up, r_up = torch.linalg.qr(up.double().reshape(-1, rank))
    q_down, r_down = torch.linalg.qr(flat.t())
    left, values, right = torch.linalg.svd(r_up @ r_down.t(), full_matrices=False)
    return Spectrum(q_up @ left, values, right @ q_down.t(), tuple(down.shape[1:]))


@torch.no_grad()
def update_inner(a: Factors, b: Factors) -> float:
    """The inner product of two modules' updates, scales included, by rank x rank products alone."""
    ups = a.up.double().reshape(-1, a.rank).t() @ b.up.double().reshape(-1, b.rank)
    downs = a.down.double().reshape(a.rank, -1) @ b.down.double().reshape(b.rank, -1).t()
    return float((ups * downs).sum()) * a.scale * b.scale
