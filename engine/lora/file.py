"""LoRA files: writing kohya's format, reading kohya's, diffusers' and peft's, and putting any of them on a model."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from engine.errors import LorasmithError, shown
from engine.files import atomic_path
from engine.lora import names
from engine.lora.alphas import StatedAlphas, stated_alphas
from engine.lora.damage import fit, misfit, no_number, strange_type
from engine.lora.keys import method_of, role_of
from engine.lora.metadata import weight_hashes
from engine.lora.names import Part
from engine.lora.weights import lora_file
from engine.plan import FilePrecision

if TYPE_CHECKING:  # peft and diffusers take seconds to load, and only putting a LoRA on a model needs them
    from engine.lora.attach import AdaptedModule, Adapter, Shape

DTYPE: dict[FilePrecision, torch.dtype] = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
}
_WEIGHTS = {*DTYPE.values(), torch.float64, torch.float8_e4m3fn, torch.float8_e5m2}  # the types of a LoRA's weights


@dataclass(frozen=True, eq=False)
class Factors:
    """One module's update in a file; alpha is a plain number, magnitude is DoRA's [out] or None."""

    down: Tensor
    up: Tensor
    alpha: float
    magnitude: Tensor | None = None

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


@dataclass(frozen=True, eq=False)
class LoraFile:
    """A LoRA as read: its modules under the names that the file gives them."""

    path: Path
    modules: dict[str, Factors]
    metadata: dict[str, str]
    halves: tuple[str, ...] = ()  # modules that have one of their two factors, which are none

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks in use, largest first."""
        return tuple(sorted({factors.rank for factors in self.modules.values()}, reverse=True))

    @property
    def left_out(self) -> str:
        """What a person is told of modules that have one of their two factors; empty where there is none."""
        if not self.halves:
            return ""
        more = f", and so are {len(self.halves) - 1} more" if self.halves[1:] else ""
        module = f"{shown(self.halves[0])} of {shown(self.path.name)}"
        return f"{module} has only one of its two factors and is left out{more}."

    @cached_property
    def dora(self) -> bool:
        return any(factors.magnitude is not None for factors in self.modules.values())


def save_lora(adapter: Adapter, path: Path, precision: FilePrecision, metadata: Mapping[str, str]) -> None:
    """Writes the adapter in kohya's format with SGM names, whole or not at all.

    Keys: `<name>.lora_down.weight`, `.lora_up.weight`, `.alpha`, for DoRA `.dora_scale`; under `lora_unet_`,
    `lora_te1_` and `lora_te2_` only, because InvokeAI refuses a file with any other key. alpha is fp32 in every
    precision, so that alpha / rank is the trained scale exactly (rsLoRA's is alpha * sqrt(rank)).
    Raises LorasmithError for weights that are not finite or do not fit into fp16.
    """
    tensors: dict[str, Tensor] = {}
    for module in adapter.modules.values():
        tensors |= file_tensors(module, DTYPE[precision])
    _refuse_non_finite(tensors, adapter, precision)
    write_tensors(path, tensors, metadata)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes a LoRA's tensors and metadata with kohya's two hashes, whole or not at all."""
    kohya = {key: value for key, value in metadata.items() if key.startswith("ss_")}
    data = memoryview(safetensors.torch.save(dict(tensors), metadata=kohya))
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8:start]))
    header["__metadata__"] = {**metadata, **weight_hashes(data)}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the weights start on a multiple of 8
    with atomic_path(path) as beside, beside.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        file.write(data[start:])


def file_tensors(module: AdaptedModule, dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors that a file holds for one module, rounded to `dtype`, on the CPU."""
    made = {
        "lora_down.weight": _rounded(module.down, dtype),
        "lora_up.weight": _rounded(module.up, dtype),
        "alpha": torch.tensor(module.alpha, dtype=torch.float32),
    }
    if module.magnitude is not None:
        # One magnitude for each output, in the weight's own number of dimensions: [out, 1] or [out, 1, 1, 1],
        # the shape by which LyCORIS and ComfyUI tell that the norm runs over the inputs.
        ones = (1,) * (module.down.dim() - 1)
        made["dora_scale"] = _rounded(module.magnitude.reshape(-1, *ones), dtype)
    return {f"{module.name}.{key}": tensor for key, tensor in made.items()}


def load_lora(path: Path) -> LoraFile:
    """Reads a LoRA of any of the common formats; the weights stay in the file's own type, on the CPU.

    kohya's (SGM or diffusers block names), diffusers' (`unet.`, `text_encoder.`), peft's (a folder or file with
    `base_model.model.`). An alpha that is nowhere means scale 1, as in every program. Raises LorasmithError for a
    file that is no safetensors file, that is another method (LoHa, LoKr ...), that holds no LoRA, that is damaged
    (factors that do not fit each other, an alpha that is no number), whose weights are of a type that no LoRA has, or
    whose alphas or magnitudes are not finite.
    """
    file = lora_file(path)
    tensors, metadata = _read(file)
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, role = role_of(key)
        if role:
            found.setdefault(name, {})[role] = tensor
    whole = {name: parts for name, parts in found.items() if {"down", "up"} <= parts.keys()}
    if not whole:
        raise LorasmithError(_no_lora(file, tensors))
    stated = stated_alphas(file, metadata)
    modules = {name: _factors(file, name, parts, stated) for name, parts in whole.items()}
    _refuse_wild_scales(file, modules)
    return LoraFile(file, modules, metadata, tuple(name for name in found if name not in whole))


def apply_lora(
    file: LoraFile, unet: nn.Module, text_encoders: Sequence[nn.Module] = (), weight: float = 1.0
) -> Adapter:
    """Puts a LoRA file on a model for drawing, at `weight`; every module may have a rank of its own.

    `.unmatched` of the result lists the file's names that the model has no module for (with no text encoders
    given, theirs too). Raises LorasmithError when nothing matches or a matched tensor has the wrong shape.
    """
    from engine.lora.attach import Shape, put_on

    models: dict[Part, nn.Module] = {"unet": unet}
    models |= dict(zip(names.PARTS[1:], text_encoders, strict=False))
    known = known_names(models)
    matched = {name: known[name] for name in file.modules if name in known}
    unmatched = tuple(name for name in file.modules if name not in known)
    if not matched:
        raise LorasmithError(
            f"None of the {len(file.modules)} modules of {shown(file.path.name)} belongs to this model "
            f"(first: {shown(unmatched[0])}); use a LoRA that was trained on SDXL."
        )
    for name, (_, _, module) in matched.items():
        check_shape(file, name, module)
    shapes: dict[Part, dict[str, Shape]] = {part: {} for part in models}
    for name, (part, path, _) in matched.items():
        shapes[part][path] = Shape(file.modules[name].rank, file.modules[name].scale)
    adapter = put_on(models, shapes, dora=file.dora)
    _fill(adapter, {matched[name][:2]: file.modules[name] for name in matched})
    adapter.unmatched = unmatched
    adapter.set_multiplier(weight)
    for model in models.values():
        model.requires_grad_(False)
    return adapter


def _rounded(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.detach().to(dtype).cpu().contiguous()


def _refuse_non_finite(tensors: Mapping[str, Tensor], adapter: Adapter, precision: FilePrecision) -> None:
    bad = next((key for key, tensor in tensors.items() if not torch.isfinite(tensor).all()), None)
    if bad is None:
        return
    module = adapter.modules[bad.partition(".")[0]]
    if all(torch.isfinite(weight).all() for weight in module.weights().values()):
        raise LorasmithError(
            f"The weights of {bad} are too large for {precision} (65,504 at most): "
            'write this LoRA with [output] precision = "bf16" or "fp32".'
        )
    raise LorasmithError(
        f"The weights of {bad} are not finite, so nothing was written: "
        "go back to an earlier checkpoint and train on with a lower learning rate."
    )


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if file.suffix.lower() in {".pt", ".ckpt", ".bin", ".pth"}:
        raise LorasmithError(
            f"{shown(file)} is a pickle, which can run code when opened; use the .safetensors file of this LoRA."
        )
    try:
        with safe_open(file, framework="pt") as opened:
            return {key: opened.get_tensor(key) for key in opened.keys()}, dict(opened.metadata() or {})  # noqa: SIM118
    except FileNotFoundError:
        raise LorasmithError(f"There is no LoRA at {shown(file)}; check the path.") from None
    except SafetensorError as error:
        raise LorasmithError(
            f"{shown(file)} is not a whole safetensors file ({shown(error)}); copy or download it again."
        ) from None


def _refuse_wild_scales(file: Path, modules: Mapping[str, Factors]) -> None:
    """LorasmithError for an alpha or magnitudes that are not finite: they would spoil every number they touch."""
    for name, factors in modules.items():
        magnitude = factors.magnitude
        if math.isfinite(factors.alpha) and (magnitude is None or bool(torch.isfinite(magnitude.float()).all())):
            continue
        what = "DoRA magnitudes" if math.isfinite(factors.alpha) else "alpha"
        raise LorasmithError(
            f"The {what} of {shown(name)} in {shown(file.name)} {'is' if what == 'alpha' else 'are'} not finite: use "
            "another checkpoint of this LoRA."
        )


def _factors(file: Path, name: str, parts: Mapping[str, Tensor], stated: StatedAlphas) -> Factors:
    strange = next((part.dtype for role, part in parts.items() if role != "alpha" and part.dtype not in _WEIGHTS), None)
    if strange is not None:
        raise strange_type(file, name, str(strange).removeprefix("torch."))
    down, up, mid = parts["down"], parts["up"], parts.get("mid")
    if not fit(down.shape, up.shape, None if mid is None else mid.shape):
        raise misfit(file, name, [factor.shape for factor in (down, mid, up) if factor is not None])
    if mid is not None:
        # LoCon's three factors as two: its 1 x 1 down factor goes into the k x k core, which changes no product.
        down = torch.einsum("rskl,si->rikl", mid.float(), down.float().flatten(1))
    alpha = _alpha(file, name, parts.get("alpha"), stated.of(name, len(down)), len(down))
    magnitude = parts.get("magnitude")
    if magnitude is not None and magnitude.dim() == 2 and magnitude.shape[0] == 1 < magnitude.shape[1]:
        raise LorasmithError(
            f"The DoRA magnitudes of {shown(name)} run over the inputs, not the outputs, which is not supported; "
            "use the plain LoRA of this training."
        )
    return Factors(down, up, alpha, None if magnitude is None else magnitude.flatten())


def _alpha(file: Path, name: str, own: Tensor | None, stated: float | None, rank: int) -> float:
    """The alpha that acts: the module's own, the one stated beside the weights, or the rank."""
    if own is None:
        return float(rank) if stated is None else stated
    if own.numel() != 1 or (own.is_floating_point() and own.dtype not in _WEIGHTS) or own.is_complex():
        raise no_number(file, name)
    return float(own)


def _no_lora(file: Path, tensors: Mapping[str, Tensor]) -> str:
    other = method_of(tensors)
    if other:
        return (
            f"{shown(file)} is not a LoRA but a related method ({other[0]}: it holds {shown(other[1])}); "
            "use a LoRA or LoCon file."
        )
    return f"{shown(file)} holds no LoRA ({len(tensors)} tensors of other names); choose a LoRA file."


def known_names(models: Mapping[Part, nn.Module]) -> dict[str, tuple[Part, str, nn.Module]]:
    """Every name that some format gives a module of these models: which model, the path in it, the module."""
    from engine.lora.targets import adaptable

    layers = names.layers_per_block(models["unet"].config)  # type: ignore[arg-type]
    dotted: dict[Part, str] = {"unet": "unet.", "te1": "text_encoder.", "te2": "text_encoder_2."}
    known: dict[str, tuple[Part, str, nn.Module]] = {}
    for part, model in models.items():
        for target in adaptable(model):
            entry = (part, target.path, target.module)
            known[dotted[part] + target.path.removeprefix("text_model.")] = entry
            # What lies outside the blocks (conv_in, time_embedding) has no SGM name here, only its own.
            with contextlib.suppress(KeyError):
                known[names.module_name(part, target.path, layers)] = entry
            if part == "unet":
                known[names.PREFIX[part] + target.path.replace(".", "_")] = entry
    return known


def check_shape(file: LoraFile, name: str, module: nn.Module) -> None:
    """Raises LorasmithError where a module's factors do not fit the model's own weight."""
    factors = file.modules[name]
    weight: Tensor = module.weight  # type: ignore[assignment]
    fits = (
        factors.down[0].numel() == weight[0].numel()
        and factors.up.shape[0] == weight.shape[0]
        and factors.up.flatten(1).shape[1] == factors.rank
        and (factors.magnitude.numel() == weight.shape[0] if factors.magnitude is not None else not file.dora)
    )
    if not fits:
        raise LorasmithError(
            f"{shown(name)} in {shown(file.path.name)} has factors {list(factors.down.shape)} and "
            f"{list(factors.up.shape)} for a weight of {list(weight.shape)}"
            f"{' (or DoRA magnitudes that do not fit it)' if file.dora else ''}; "
            "use a LoRA that was trained on a base of this shape."
        )


@torch.no_grad()
def _fill(adapter: Adapter, factors: Mapping[tuple[Part, str], Factors]) -> None:
    for module in adapter.modules.values():
        source = factors[(module.part, module.path)]
        module.down.copy_(source.down.reshape(module.down.shape))
        module.up.copy_(source.up.reshape(module.up.shape))
        if module.magnitude is not None and source.magnitude is not None:
            module.magnitude.copy_(source.magnitude.reshape(module.magnitude.shape))
        elif module.magnitude is None:
            # Nothing is trained here, so no masters: the base's own type saves casting at every step of a drawing.
            base: Tensor = module.layer.get_base_layer().weight  # type: ignore[assignment]
            module.down.data, module.up.data = module.down.data.to(base.dtype), module.up.data.to(base.dtype)
