"""The adapted layers: peft's own, with a lighter forward.

peft's modules, attributes and state-dict layout stay as they are, so merging, fusing and saving through peft keep
working. Only `forward` differs: the input is not cast to the adapter's fp32 (which kept a second, doubled copy of
every input until the backward pass: 10.2 GB against 6.8 at 1024 x 1024), the factors are cast to the input's type
instead, and the whole layer is one autograd node with hand-written gradients.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Conv2d as PeftConv2d
from peft.tuners.lora.layer import Linear as PeftLinear
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn
from torch.nn import functional

ADAPTER = "lorasmith"  # peft's name for the adapter inside each layer


class Controls:
    """What all layers of one adapter share: how strongly it acts, and the seeds of its dropout.

    `multiplier` scales the update (0: the untouched base, exactly). `dropout_seeds` holds one seed for each
    picture of the micro-batch; without it dropout draws from torch's default generator.
    """

    def __init__(self) -> None:
        self.multiplier = 1.0
        self.dropout_seeds: tuple[int, ...] | None = None


class _LoraLinear(torch.autograd.Function):
    """x W^T + bias + scale * ((x A^T) * keep) B^T as one node; saves x, the rank-r projection and 16-bit factors."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        down: Tensor,
        up: Tensor,
        scale: float,
        keep: Tensor | None,
    ) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        a, b = down.to(x.dtype), up.to(x.dtype)
        out = functional.linear(flat, weight, bias)
        projected = flat @ a.t()
        if keep is not None:
            projected *= keep
        out.addmm_(projected, b.t(), alpha=scale)
        ctx.save_for_backward(flat, weight, a, b, projected, keep)
        ctx.scale, ctx.shape, ctx.master = scale, x.shape, down.dtype
        return out.view(*x.shape[:-1], out.shape[-1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        flat, weight, a, b, projected, keep = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1])
        grad_up = (grad.t() @ projected).to(ctx.master).mul_(ctx.scale)
        grad_projected = (grad @ b).mul_(ctx.scale)
        if keep is not None:
            grad_projected *= keep
        grad_down = (grad_projected.t() @ flat).to(ctx.master)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grad @ weight).addmm_(grad_projected, a).view(ctx.shape)
        return grad_x, None, None, grad_down, grad_up, None, None


class _Adapted:
    """What the linear and the convolution have in common; mixed into peft's layer classes."""

    controls: Controls
    number: int  # position in the adapter, which sets this layer's dropout apart from the others'
    drop: float

    @property
    def _idle(self) -> bool:
        """Whether the base alone is to answer: switched off, at multiplier 0, or already merged into it."""
        return self._disable_adapters or not self.controls.multiplier or bool(self.merged_adapters)  # type: ignore[attr-defined]

    def _keep(self, shape: torch.Size | tuple[int, ...], like: Tensor) -> Tensor | None:
        """The dropout mask of the rank-r projection, scaled to keep the mean; None where nothing is dropped."""
        if not (self.drop and self.training):  # type: ignore[attr-defined]
            return None
        return _mask(self.controls, self.number, self.drop, shape, like)


class _SeededDropout(nn.Module):
    """Stands in for the dropout that peft's DoRA applies to a layer's input; its own draws from a running generator."""

    def __init__(self, controls: Controls, number: int, drop: float) -> None:
        super().__init__()
        self.controls, self.number, self.drop = controls, number, drop

    def forward(self, x: Tensor) -> Tensor:
        return x * _mask(self.controls, self.number, self.drop, x.shape, x) if self.training else x


class LoraLinear(_Adapted, PeftLinear):
    """A linear layer with its low-rank update, computed in the base's own type."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        base: nn.Linear = self._modules["base_layer"]  # type: ignore[assignment]
        if self._idle:
            return base(x)
        down: Tensor = self._modules["lora_A"]._modules[ADAPTER]._parameters["weight"]  # type: ignore[union-attr,assignment]
        up: Tensor = self._modules["lora_B"]._modules[ADAPTER]._parameters["weight"]  # type: ignore[union-attr,assignment]
        scale = self.scaling[ADAPTER] * self.controls.multiplier
        keep = self._keep((*x.shape[:-1], down.shape[0]), x) if self.drop else None
        if torch.is_autocast_enabled(x.device.type) or torch.compiler.is_compiling():
            # Autocast chooses types by operation and the compiler fuses by itself: give both plain operations.
            projected = functional.linear(x, down.to(x.dtype))
            projected = projected if keep is None else projected * keep
            return base(x) + functional.linear(projected, up.to(projected.dtype)) * scale
        if keep is not None:
            keep = keep.view(-1, down.shape[0])
        return _LoraLinear.apply(x, base.weight, base.bias, down, up, scale, keep)  # type: ignore[no-any-return]


class LoraConv2d(_Adapted, PeftConv2d):
    """A convolution with its low-rank update: a k x k convolution to rank channels, then a 1 x 1 one."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        base: nn.Conv2d = self._modules["base_layer"]  # type: ignore[assignment]
        out = base(x)
        if self._idle:
            return out
        down: Tensor = self._modules["lora_A"]._modules[ADAPTER]._parameters["weight"]  # type: ignore[union-attr,assignment]
        up: Tensor = self._modules["lora_B"]._modules[ADAPTER]._parameters["weight"]  # type: ignore[union-attr,assignment]
        projected = functional.conv2d(
            x, down.to(x.dtype), None, base.stride, base.padding, base.dilation, base.groups
        )
        keep = self._keep(projected.shape, projected)
        if keep is not None:
            projected = projected * keep
        # The scale goes into the small factor: scaling the update itself would cost a pass over all pixels.
        wider = up.to(torch.promote_types(up.dtype, projected.dtype))
        scaled = (wider * (self.scaling[ADAPTER] * self.controls.multiplier)).to(projected.dtype)
        return out + functional.conv2d(projected, scaled)


class _AdaptedDora(_Adapted):
    """DoRA keeps peft's own forward; a multiplier goes between the base's and the adapter's output, as elsewhere."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        base: nn.Module = self._modules["base_layer"]  # type: ignore[attr-defined]
        if self._idle:
            return base(x)
        full = super().forward(x, *args, **kwargs)  # type: ignore[misc]
        multiplier = self.controls.multiplier
        return full if multiplier == 1.0 else torch.lerp(base(x), full, multiplier)


class DoraLinear(_AdaptedDora, PeftLinear):
    """A linear layer with DoRA's magnitude and direction."""


class DoraConv2d(_AdaptedDora, PeftConv2d):
    """A convolution with DoRA's magnitude and direction."""


def lighten(layer: LoraLayer, controls: Controls, number: int, drop: float) -> None:
    """Gives a layer that peft has injected the forward of this module; its weights and attributes stay.

    Raises TypeError for a base layer that is not a plain linear or 2-D convolution.
    """
    base = layer.get_base_layer()
    dora = ADAPTER in layer.lora_variant
    if type(layer) is PeftLinear and type(base) is nn.Linear:
        layer.__class__ = DoraLinear if dora else LoraLinear
    elif type(layer) is PeftConv2d and type(base) is nn.Conv2d:
        layer.__class__ = DoraConv2d if dora else LoraConv2d
    else:
        raise TypeError(f"cannot adapt a {type(base).__name__} (peft made it a {type(layer).__name__})")
    layer.controls, layer.number, layer.drop = controls, number, drop  # type: ignore[attr-defined]
    if dora and drop:
        layer.lora_dropout[ADAPTER] = _SeededDropout(controls, number, drop)


def _mask(controls: Controls, number: int, drop: float, shape: torch.Size | tuple[int, ...], like: Tensor) -> Tensor:
    """What dropout multiplies a tensor of this shape by: 0, or 1 / (1 - drop)."""
    seeds = controls.dropout_seeds
    if seeds is None:
        drawn = torch.rand(shape, device=like.device)
    else:
        # Stateless: the mask depends on the picture's seed and the layer, so it does not change with the number of
        # processes, with resuming, or when a checkpointed block is computed a second time.
        generator = torch.Generator(device=like.device)
        each = (shape[0] // len(seeds), *shape[1:])
        drawn = torch.cat(
            [
                torch.rand(each, generator=generator.manual_seed(_mixed(seed, number)), device=like.device)
                for seed in seeds
            ]
        )
    return (drawn >= drop).to(like.dtype).div_(1 - drop)


def _mixed(seed: int, number: int) -> int:
    # One round of splitmix64: neighbouring seeds and layers must not give related masks.
    value = (seed * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 30)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (value ^ (value >> 31)) & 0x7FFFFFFFFFFFFFFF
