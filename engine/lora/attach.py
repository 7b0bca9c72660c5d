"""Attaching an adapter to a UNet and its text encoders through peft, and holding on to its weights."""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn

from engine.errors import LorasmithError, shown
from engine.lora import names
from engine.lora.layers import ADAPTER, Controls, lighten
from engine.lora.names import Part
from engine.lora.targets import Target, text_encoder_targets, unet_targets
from engine.plan import Network


@dataclass(frozen=True)
class Shape:
    """What one module's update looks like: its rank, and what the product of its factors is multiplied by."""

    rank: int
    scale: float


@dataclass(frozen=True, eq=False)
class AdaptedModule:
    """One adapted module: `name` as in the file, `path` as in the model."""

    name: str
    part: Part
    path: str
    layer: LoraLayer

    @property
    def kind(self) -> Literal["linear", "conv"]:
        return "linear" if self.down.dim() == 2 else "conv"

    @property
    def down(self) -> nn.Parameter:
        """The first factor: [rank, in] or [rank, in, k, k], an fp32 master."""
        return self.layer.lora_A[ADAPTER].weight  # type: ignore[return-value]

    @property
    def up(self) -> nn.Parameter:
        """The second factor: [out, rank] or [out, rank, 1, 1], an fp32 master."""
        return self.layer.lora_B[ADAPTER].weight  # type: ignore[return-value]

    @property
    def magnitude(self) -> nn.Parameter | None:
        """DoRA's magnitudes, one for each output (peft's shape: [out] or [1, out, 1, 1]); None otherwise."""
        if ADAPTER not in self.layer.lora_magnitude_vector:
            return None
        return self.layer.lora_magnitude_vector[ADAPTER].weight  # type: ignore[return-value]

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    @property
    def scale(self) -> float:
        return float(self.layer.scaling[ADAPTER])

    @property
    def alpha(self) -> float:
        """The alpha for which alpha / rank is the true scale, rsLoRA's included: what a file states."""
        return self.scale * self.rank

    def weights(self) -> dict[str, nn.Parameter]:
        found = {"down": self.down, "up": self.up}
        if self.magnitude is not None:
            found["magnitude"] = self.magnitude
        return found


class Adapter:
    """An adapter in place: its modules by their name in the file, its weights, and the switches for drawing.

    Weights are fp32 masters whatever the base's type; forward and backward run in the base's type.
    """

    def __init__(
        self,
        models: Mapping[Part, nn.Module],
        modules: Mapping[str, AdaptedModule],
        controls: Controls,
        unmatched: tuple[str, ...] = (),
    ) -> None:
        self.models = dict(models)
        self.modules = dict(modules)
        self.unmatched = unmatched  # names in a drawn LoRA file that the model has no module for
        self._controls = controls

    def parameters_unet(self) -> list[nn.Parameter]:
        return self._parameters("unet")

    def parameters_te1(self) -> list[nn.Parameter]:
        return self._parameters("te1")

    def parameters_te2(self) -> list[nn.Parameter]:
        return self._parameters("te2")

    def _parameters(self, part: Part) -> list[nn.Parameter]:
        return [weight for m in self.modules.values() if m.part == part for weight in m.weights().values()]

    def state(self) -> dict[str, Tensor]:
        """The masters, by `<name>.down`, `.up` and, for DoRA, `.magnitude`: live tensors, clone them to keep them."""
        return {
            f"{module.name}.{key}": weight.detach()
            for module in self.modules.values()
            for key, weight in module.weights().items()
        }

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Puts masters back in place; raises LorasmithError unless names and shapes are exactly those of `state()`."""
        own = self.state()
        missing, extra = own.keys() - state.keys(), state.keys() - own.keys()
        if missing or extra:
            raise LorasmithError(
                f"The saved adapter does not fit this plan's network: {len(missing)} tensors are missing and "
                f"{len(extra)} are not expected (first: {shown(min(missing | extra))}); "
                "resume with the plan the run was started with."
            )
        for key, target in own.items():
            if state[key].shape != target.shape:
                raise LorasmithError(
                    f"The saved adapter does not fit this plan's network: {shown(key)} is "
                    f"{list(state[key].shape)}, expected {list(target.shape)}; "
                    "resume with the plan the run was started with."
                )
        for key, target in own.items():
            target.copy_(state[key])

    @torch.no_grad()
    def norms(self) -> Tensor:
        """The Frobenius norm of each module's scaled update, [modules], in the order of `modules`; no host sync.

        Worked out from the two rank x rank Gram matrices, without forming the update.
        """
        return torch.stack([_update_norm(module) for module in self.modules.values()])

    @torch.no_grad()
    def scale_weight_norms(self, max_norm: float) -> None:
        """Shrinks both factors of every module whose update is longer than `max_norm` until it is that long."""
        for module in self.modules.values():
            share = (max_norm / _update_norm(module).clamp_min(1e-12)).clamp_max(1.0).sqrt()
            module.down.mul_(share)
            module.up.mul_(share)

    def set_multiplier(self, multiplier: float) -> None:
        """How strongly the adapter acts in drawing: 1 as trained, 0 the untouched base exactly."""
        self._controls.multiplier = float(multiplier)

    def seed_dropout(self, seeds: Sequence[int] | None) -> None:
        """One seed for each picture of the next micro-batch, so that dropout depends on nothing else.

        Without seeds (None) dropout draws from torch's default generator. Only matters when the plan has dropout.
        """
        self._controls.dropout_seeds = None if seeds is None else tuple(int(seed) for seed in seeds)

    @contextlib.contextmanager
    def disabled(self) -> Iterator[None]:
        """The untouched base for the length of a `with`: base validation, prior prediction."""
        before = self._controls.multiplier
        self._controls.multiplier = 0.0
        try:
            yield
        finally:
            self._controls.multiplier = before

    def remove(self) -> None:
        """Takes the adapter out again: the models hold their own layers as before."""
        for module in self.modules.values():
            parent, _, leaf = module.path.rpartition(".")
            setattr(self.models[module.part].get_submodule(parent), leaf, module.layer.get_base_layer())
        for model in self.models.values():
            if hasattr(model, "peft_config"):
                del model.peft_config


def attach(
    unet: nn.Module, text_encoders: Sequence[nn.Module], network: Network, *, seed: int
) -> Adapter:
    """Freezes the base and puts a new adapter of the plan's shape on it.

    Down factors are drawn as peft and kohya draw them (uniform within 1/sqrt(inputs)), each from `seed` and its own
    name, so the start does not depend on the order of modules or the device; up factors are zero, so the adapted
    model starts as the base. `text_encoders` are used (and needed) only when the plan trains them.
    """
    chosen: dict[Part, list[Target]] = {"unet": unet_targets(unet, network.targets)}
    models: dict[Part, nn.Module] = {"unet": unet}
    if network.train_text_encoders:
        if len(text_encoders) != 2:
            raise ValueError(f"the plan trains the text encoders: two are needed, {len(text_encoders)} were given")
        for part, encoder in zip(names.PARTS[1:], text_encoders, strict=True):
            chosen[part], models[part] = text_encoder_targets(encoder), encoder
    for encoder in text_encoders:
        encoder.requires_grad_(False)
    shapes: dict[Part, dict[str, Shape]] = {
        part: {t.path: Shape(t.rank(network), t.scale(network)) for t in targets}
        for part, targets in chosen.items()
    }
    adapter = put_on(models, shapes, dora=network.dora, dropout=network.dropout)
    _draw_start(adapter, seed)
    return adapter


def put_on(
    models: Mapping[Part, nn.Module],
    shapes: Mapping[Part, Mapping[str, Shape]],
    *,
    dora: bool = False,
    dropout: float = 0.0,
) -> Adapter:
    """Injects adapters of the given shapes (module path -> shape); the factors are zeros until they are filled."""
    controls = Controls()
    layers = names.layers_per_block(models["unet"].config) if "unet" in models else 0  # type: ignore[arg-type]
    modules: dict[str, AdaptedModule] = {}
    for part, model in models.items():
        if not shapes[part]:
            continue
        if any(isinstance(module, LoraLayer) for module in model.modules()):
            raise ValueError(f"the {part} already carries an adapter: remove it first")
        model.requires_grad_(False)
        # peft's own start values are thrown away: made on the meta device, or (DoRA needs real ones) without
        # moving the random numbers that the rest of the program draws.
        with torch.random.fork_rng(devices=[]):
            inject_adapter_in_model(
                _peft_config(shapes[part], dora, dropout), model, ADAPTER, low_cpu_mem_usage=not dora
            )
        for path in shapes[part]:
            layer: LoraLayer = model.get_submodule(path)  # type: ignore[assignment]
            _make_masters(layer)
            lighten(layer, controls, len(modules), dropout)
            name = _name(part, path, layers)
            modules[name] = AdaptedModule(name, part, path, layer)
    return Adapter(models, modules, controls)


def _name(part: Part, path: str, layers: int) -> str:
    try:
        return names.module_name(part, path, layers)
    except KeyError:  # outside the blocks (conv_in, time_embedding): only in LoRAs of other programs
        return names.PREFIX[part] + path.replace(".", "_")


def _peft_config(shapes: Mapping[str, Shape], dora: bool, dropout: float) -> LoraConfig:
    # One pattern for each group of equal shapes: peft tries every pattern on every module.
    groups: dict[Shape, list[str]] = {}
    for path, shape in shapes.items():
        groups.setdefault(shape, []).append(path)
    usual = Counter(shapes.values()).most_common(1)[0][0]
    others = {f"(?:{'|'.join(map(re.escape, paths))})": s for s, paths in groups.items() if s != usual}
    return LoraConfig(
        r=usual.rank,
        lora_alpha=usual.scale * usual.rank,  # type: ignore[arg-type]  # peft divides it by r; a float is fine
        target_modules=list(shapes),
        rank_pattern={pattern: shape.rank for pattern, shape in others.items()},
        alpha_pattern={pattern: shape.scale * shape.rank for pattern, shape in others.items()},
        lora_dropout=dropout,
        use_dora=dora,
        bias="none",
    )


def _make_masters(layer: LoraLayer) -> None:
    """Replaces what peft has made (on the meta device, or in the base's 16 bits) by fp32 zeros."""
    base: Tensor = layer.get_base_layer().weight  # type: ignore[assignment]
    for holder in (layer.lora_A[ADAPTER], layer.lora_B[ADAPTER]):
        zeros = torch.zeros(holder.weight.shape, dtype=torch.float32, device=base.device)  # type: ignore[arg-type]
        holder.weight = nn.Parameter(zeros)
    if ADAPTER in layer.lora_magnitude_vector:
        holder = layer.lora_magnitude_vector[ADAPTER]
        # Worked out anew in fp32: peft takes the norm in the base's type.
        norm = base.detach().float().flatten(1).norm(dim=1)
        holder.weight = nn.Parameter(norm.view(holder.weight.shape))  # type: ignore[arg-type]


@torch.no_grad()
def _draw_start(adapter: Adapter, seed: int) -> None:
    for module in adapter.modules.values():
        down = module.down
        bound = 1 / math.sqrt(down[0].numel())
        digest = hashlib.sha256(f"{seed}/{module.name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        if down.device.type != "meta":
            down.copy_(torch.empty(down.shape).uniform_(-bound, bound, generator=generator))


def _update_norm(module: AdaptedModule) -> Tensor:
    down, up = module.down.flatten(1), module.up.flatten(1)
    # |up down|^2 = sum of (up^T up) * (down down^T); rounding can leave a tiny negative number.
    return ((up.t() @ up) * (down @ down.t())).sum().clamp_min(0).sqrt() * abs(module.scale)
