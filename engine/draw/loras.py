"""LoRA files worn by a base while drawing, and swapped in place: no module is made anew, none stays behind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.errors import LorasmithError, shown
from engine.lora import names
from engine.lora.file import Factors, LoraFile, check_shape, known_names
from engine.lora.keys import part_of

if TYPE_CHECKING:
    from engine.lora.names import Part

_ALIGNED = 16  # elements: each tensor in the shared buffer begins where matrix kernels read fastest


@dataclass(frozen=True)
class Worn:
    """How one file met the model: its modules, those that the model has no place for, and whether text changes."""

    name: str
    weight: float
    modules: int
    unmatched: tuple[str, ...]
    text: bool

    @property
    def matched(self) -> int:
        return self.modules - len(self.unmatched)


class LoraSlot:
    """The place for LoRAs on a UNet and its text encoders; the models may move between devices meanwhile.

    A worn module computes its base and adds each LoRA's update, in the base's own type; a module that no worn LoRA
    touches, and every module at weight 0 or with nothing worn, is the untouched base's own code: bit for bit.
    Needs models without adapters of peft's; for drawing only, no gradients reach the LoRAs.
    """

    def __init__(self, unet: nn.Module, text_encoders: Sequence[nn.Module] = ()) -> None:
        models: dict[Part, nn.Module] = {"unet": unet}
        models |= dict(zip(names.PARTS[1:], text_encoders, strict=False))
        self._known = known_names(models)
        self._worn: list[nn.Module] = []
        self._sound: WeakSet[LoraFile] = WeakSet()  # files whose weights have been found finite
        self.text_key: tuple[tuple[str, float], ...] = ()
        """The worn files (path, weight) that change a text encoder: encode prompts anew whenever this changes."""

    def wear(self, loras: Sequence[tuple[LoraFile, float]]) -> tuple[Worn, ...]:
        """Takes off what was worn and puts on these files at their weights; `[]` is the untouched base.

        Several add up. Raises LorasmithError, with everything as it was, for a file of which nothing fits this base
        or something has another shape; and, with the base untouched, for weights that are not finite.
        """
        met = [self._met(file) for file, _ in loras]
        self._take_off()
        worn = []
        for (file, weight), modules in zip(loras, met, strict=True):
            text = any(part_of(name) != "unet" for name in modules)
            if weight:
                try:
                    self._put_on(file, float(weight), modules)
                except BaseException:
                    self._take_off()
                    raise
                if text:
                    self.text_key += ((str(file.path), float(weight)),)
            unmatched = tuple(name for name in file.modules if name not in modules)
            worn.append(Worn(file.path.stem, float(weight), len(file.modules), unmatched, text))
        return tuple(worn)

    def check(self, file: LoraFile) -> None:
        """LorasmithError for a file of which nothing fits this base, or something has another shape."""
        self._met(file)

    def _met(self, file: LoraFile) -> dict[str, nn.Module]:
        modules = {name: self._known[name][2] for name in file.modules if name in self._known}
        if not modules:
            first = next(iter(file.modules))
            raise LorasmithError(
                f"Nothing of {shown(file.path.name)} fits this base: none of its {len(file.modules)} modules (first: "
                f"{shown(first)}) has a place in it; use a LoRA that was trained on SDXL."
            )
        for name, module in modules.items():
            check_shape(file, name, module)
        return modules

    def _take_off(self) -> None:
        for module in self._worn:
            object.__setattr__(module, "__class__", _PLAIN[type(module)])
            del vars(module)["updates"], vars(module)["shift"]
        self._worn = []
        self.text_key = ()

    @torch.no_grad()
    def _put_on(self, file: LoraFile, weight: float, modules: Mapping[str, nn.Module]) -> None:
        places: dict[tuple[torch.device, torch.dtype], list[str]] = defaultdict(list)
        for name, module in modules.items():
            places[module.weight.device, module.weight.dtype].append(name)  # type: ignore[union-attr,index]
        for (device, dtype), own in places.items():
            tensors = [t for name in own for t in (file.modules[name].down, file.modules[name].up)]
            stored, cast = _carried(tensors, device, dtype)
            if file not in self._sound and not all(map(_finite, cast.wholes)):
                raise LorasmithError(
                    f"The weights of {shown(file.path.name)} are not finite: use another checkpoint of this LoRA."
                )
            for index, name in enumerate(own):
                module = modules[name]
                self._make_worn(module)
                at = slice(2 * index, 2 * index + 2)
                _add(module, file.modules[name], stored.tensors[at], cast.tensors[at], weight)
        self._sound.add(file)

    def _make_worn(self, module: nn.Module) -> None:
        if type(module) in _PLAIN:
            return
        worn = next((worn for worn, plain in _PLAIN.items() if plain is type(module)), None)
        if worn is None:
            raise TypeError(f"cannot put a LoRA on a {type(module).__name__}")
        # Past torch's own __setattr__, which asks of each value whether it is a parameter: most of a swap's time.
        object.__setattr__(module, "__class__", worn)
        vars(module).update(updates=(), shift=None)
        self._worn.append(module)


def changes_text(file: LoraFile) -> bool:
    """Whether a file holds anything for a text encoder, so that prompts must be encoded with it."""
    return any(part_of(name) in ("te1", "te2") for name in file.modules)


class _Worn:
    """What a worn linear and convolution share; mixed into torch's own classes and taken out again.

    `updates` holds (down, up, scale) of each LoRA. `shift`, [out], is what DoRAs add of the base's own output (their
    magnitudes over the norms, less 1); None without any.
    """

    updates: tuple[tuple[Tensor, Tensor, float], ...]
    shift: Tensor | None

    def _apply(self, fn, recurse=True):  # `.to(...)` of a model carries plain attributes along only here
        super()._apply(fn, recurse)  # type: ignore[misc]
        self.updates = tuple((fn(down), fn(up), scale) for down, up, scale in self.updates)
        self.shift = None if self.shift is None else fn(self.shift)
        return self


class _WornLinear(_Worn, nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        out = functional.linear(flat, self.weight, self.bias)
        if self.shift is not None:
            own = out if self.bias is None else out - self.bias
            out = torch.addcmul(out, own, self.shift)
        for down, up, scale in self.updates:
            out.addmm_(flat @ down.t(), up.t(), alpha=scale)
        return out.view(*x.shape[:-1], out.shape[-1])


class _WornConv2d(_Worn, nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        if self.shift is not None:
            own = out if self.bias is None else out - self.bias.view(-1, 1, 1)
            out = torch.addcmul(out, own, self.shift.view(-1, 1, 1))
        for down, up, _ in self.updates:  # the scale is in `up`: it would cost a pass over all pixels
            low = functional.conv2d(x, down, None, self.stride, self.padding, self.dilation, self.groups)
            out = out + functional.conv2d(low, up)
        return out


_PLAIN: Mapping[type, type] = {_WornLinear: nn.Linear, _WornConv2d: nn.Conv2d}


def _add(
    module: nn.Module, factors: Factors, stored: Sequence[Tensor], cast: Sequence[Tensor], weight: float
) -> None:
    """Gives a worn module one more update, from its factors as stored in the file and in the base's type."""
    base: Tensor = module.weight  # type: ignore[assignment]
    conv = base.dim() == 4
    rank = factors.rank
    down = cast[0].reshape(rank, *base.shape[1:])
    scale = factors.scale * weight
    up = cast[1].reshape(base.shape[0], rank)
    if factors.magnitude is not None:
        # DoRA puts out magnitude / norm times (base + update): as an update of its own and a share of the base.
        wide = stored[1].float().reshape(base.shape[0], rank)
        update = wide @ stored[0].float().reshape(rank, -1)
        norm = (base.detach().float().flatten(1) + factors.scale * update).norm(dim=1)
        gain = factors.magnitude.to(base.device, torch.float32) / norm
        up, scale = (wide * (gain * scale)[:, None]).to(base.dtype), 1.0
        shift = weight * (gain - 1)
        before = module.shift
        vars(module)["shift"] = shift.to(base.dtype) if before is None else before + shift.to(base.dtype)  # type: ignore[operator]
    elif conv:
        up = (stored[1].float().reshape(base.shape[0], rank) * scale).to(base.dtype)
    if conv:
        up = up.reshape(base.shape[0], rank, 1, 1)
    vars(module)["updates"] = (*module.updates, (down, up, scale))  # type: ignore[misc]


def _finite(tensor: Tensor) -> bool:
    # A sum is a tenth of the work of looking at each number; it may overflow, so only a finite one is believed.
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())


@dataclass(frozen=True, eq=False)
class _Carried:
    tensors: list[Tensor]
    wholes: list[Tensor]  # the buffers that the tensors are views of


def _carried(tensors: Sequence[Tensor], device: torch.device, dtype: torch.dtype) -> tuple[_Carried, _Carried]:
    """Tensors on the device, as they are stored and in `dtype`; on a card in one dimension."""
    if device.type != "cpu":
        return in_one_journey(tensors, device, dtype)
    cast = [tensor.to(dtype) for tensor in tensors]
    return _Carried(list(tensors), list(tensors)), _Carried(cast, cast)


def in_one_journey(tensors: Sequence[Tensor], device: torch.device, dtype: torch.dtype) -> tuple[_Carried, _Carried]:
    """The tensors side by side in one that travels at once: a LoRA has some 1,500 small ones.

    It travels out of memory that a card reads by itself, which torch keeps for the next.
    """
    groups: dict[torch.dtype, list[int]] = defaultdict(list)
    for index, tensor in enumerate(tensors):
        groups[tensor.dtype].append(index)
    stored, cast = _Carried(list(tensors), []), _Carried(list(tensors), [])
    for own, indices in groups.items():
        rows = [tensors[index].reshape(-1) for index in indices]
        padded = [part for row in rows for part in (row, row.new_zeros(-row.numel() % _ALIGNED))]
        sizes = [part.numel() for part in padded]
        flat = torch.empty(sum(sizes), dtype=own, pin_memory=device.type == "cuda")
        there = torch.cat(padded, out=flat).to(device, non_blocking=True)
        for carried, whole in ((stored, there), (cast, there.to(dtype))):
            carried.wholes.append(whole)
            for index, part in zip(indices, whole.split(sizes)[::2], strict=True):
                carried.tensors[index] = part
    return stored, cast
