"""Adapter weights side by side in one tensor, so that an update costs a handful of operations and not thousands.

SDXL's adapter has 1,444 small tensors. Clipping, masking and stepping each of them costs tens of milliseconds of
Python a step, more than the rest of the host's work; over one flat tensor the same arithmetic costs microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


class FlatWeights:
    """The weights of one rate group as views of one fp32 tensor, their gradients as views of another.

    Autograd adds into a gradient that is already there, so the views stay; `zero()` replaces zero_grad.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        first = parameters[0]
        sizes = [parameter.numel() for parameter in parameters]
        self.weights = torch.nn.Parameter(torch.empty(sum(sizes), dtype=torch.float32, device=first.device))
        self.gradients = torch.zeros_like(self.weights)
        self.weights.grad = self.gradients
        for parameter, weight, gradient in zip(
            parameters, self.weights.data.split(sizes), self.gradients.split(sizes), strict=True
        ):
            weight.copy_(parameter.data.flatten())
            parameter.data = weight.view_as(parameter)
            parameter.grad = gradient.view_as(parameter)

    def zero(self) -> None:
        self.gradients.zero_()
