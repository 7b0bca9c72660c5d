"""Damaged files, alphas that stand beside the weights, and weights of 8 bits: every reader says or weighs the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from engine.errors import LorasmithError
from engine.lora.file import load_lora
from engine.lora.inspect import inspect_lora
from engine.lora.merge import Source, merge
from engine.lora.resize import resize
from engine.lora.weights import open_weights
from engine.select.presignals import movements, read_update

KOHYA = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
DIFFUSERS = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
CONV = "lora_unet_input_blocks_1_0_in_layers_2"
TEXT = "text_encoder.encoder.layers.0.self_attn.q_proj"
RANK = 8


def factors(name: str = KOHYA, seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    down, up = ("lora_down", "lora_up") if name.startswith("lora_") else ("lora_A", "lora_B")
    made = {f"{name}.{down}.weight": (RANK, 2048), f"{name}.{up}.weight": (40, RANK)}
    return {key: (torch.randn(*shape, generator=generator) * 0.1).to(dtype) for key, shape in made.items()}


def saved(path: Path, tensors: dict[str, torch.Tensor], **metadata: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    safetensors.torch.save_file(tensors, path, metadata=metadata or None)
    return path


def stating(path: Path, names=(DIFFUSERS,), **stated: object) -> Path:
    """A file of diffusers' with what it states of the UNet, or of a model named before a double underscore."""
    said = {("" if "__" in key else "unet.") + key.replace("__", "."): value for key, value in stated.items()}
    tensors = {key: tensor for name in names for key, tensor in factors(name).items()}
    return saved(path, tensors, lora_adapter_metadata=json.dumps(said))


def peft_folder(folder: Path, configuration: str | bytes) -> Path:
    path = saved(folder / "adapter_model.safetensors", factors(DIFFUSERS.replace("unet.", "base_model.model.")))
    data = configuration if isinstance(configuration, bytes) else configuration.encode()
    path.with_name("adapter_config.json").write_bytes(data)
    return folder


def with_header(path: Path, **changes: object) -> Path:
    """A sound file whose header says something else of its first factor."""
    data = saved(path, factors()).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header[f"{KOHYA}.lora_down.weight"] |= changes
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[start:])
    return path


def with_tensor(path: Path, role: str, tensor: torch.Tensor) -> Path:
    return saved(path, factors() | {f"{KOHYA}.{role}": tensor})


def core(path: Path, *, down=(4, 12, 1, 1), mid=(4, 4, 3, 3), up=(16, 4, 1, 1)) -> Path:
    shapes = {"down": down, "mid": mid, "up": up}
    return saved(path, {f"{CONV}.lora_{role}.weight": torch.ones(shape) for role, shape in shapes.items()})


READERS = {
    "drawing": load_lora,
    "inspect": inspect_lora,
    "resize": lambda path: resize(path, path.with_name("out.safetensors"), rank=2),
    "merge": lambda path: merge([Source(path), Source(path)], path.with_name("out.safetensors")),
    "comparing": lambda path: movements({1: path}),
}
DAMAGED = {
    "metadata that is no JSON": (lambda p: saved(p, factors(DIFFUSERS), lora_adapter_metadata="{no"), "is no JSON,"),
    "metadata that is a list": (lambda p: saved(p, factors(DIFFUSERS), lora_adapter_metadata="[1]"), "no JSON object"),
    "a deep nest": (lambda p: saved(p, factors(), lora_adapter_metadata="[" * 100_000), "is no JSON,"),
    "an alpha in words": (lambda p: stating(p, lora_alpha="much"), "states an alpha that is none"),
    "an alpha of nothing": (lambda p: stating(p, lora_alpha=None), "states an alpha that is none"),
    "patterns in a list": (lambda p: stating(p, lora_alpha=1, alpha_pattern=[1]), "states an alpha that is none"),
    "a broken pattern": (lambda p: stating(p, lora_alpha=1, alpha_pattern={"(": 1}), "states an alpha that is none"),
    "a configuration cut short": (lambda p: peft_folder(p.with_suffix(""), "{"), "adapter_config.json is no JSON,"),
    "a binary configuration": (lambda p: peft_folder(p.with_suffix(""), b"\xff\xfe{"), "is no text"),
    "a shape of other size": (lambda p: with_header(p, shape=[RANK, 2047]), "damaged header|not a whole"),
    "a type of other size": (lambda p: with_header(p, dtype="F16"), "damaged header|not a whole"),
    "an unknown type": (lambda p: with_header(p, dtype="F99"), "damaged header|not a whole"),
    "offsets that are none": (lambda p: with_header(p, data_offsets=["0", "65536"]), "damaged header|not a whole"),
    "two alphas": (lambda p: with_tensor(p, "alpha", torch.ones(2)), "alpha of .* is not one number"),
    "no alpha in it": (lambda p: with_tensor(p, "alpha", torch.ones(0)), "alpha of .* is not one number"),
    "a complex alpha": (lambda p: with_tensor(p, "alpha", torch.tensor(1j)), "alpha of .* is not one number"),
}
MISFITS = {
    "a scalar": lambda p: with_tensor(p, "lora_down.weight", torch.tensor(1.0)),
    "a vector": lambda p: with_tensor(p, "lora_up.weight", torch.ones(40)),
    "no rank": lambda p: saved(
        p, {f"{KOHYA}.lora_down.weight": torch.ones(0, 2048), f"{KOHYA}.lora_up.weight": torch.ones(40, 0)}
    ),
    "two ranks": lambda p: with_tensor(p, "lora_up.weight", torch.ones(40, 6)),
    "an up factor with a kernel": lambda p: with_tensor(p, "lora_up.weight", torch.ones(4, RANK, 3, 3)),
    "a core of another rank": lambda p: core(p, mid=(4, 5, 3, 3)),
    "a flat core": lambda p: core(p, mid=(4, 4)),
    "a core beside a wide factor": lambda p: core(p, down=(4, 12, 3, 3)),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("damage", DAMAGED)
def test_every_reader_says_what_is_damaged(tmp_path, damage, reader):
    make, says = DAMAGED[damage]
    path = make(tmp_path / "a.safetensors")
    with pytest.raises(LorasmithError, match=says) as caught:
        READERS[reader](path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("misfit", MISFITS)
def test_factors_that_make_no_update(tmp_path, misfit):
    path = MISFITS[misfit](tmp_path / "a.safetensors")
    assert "1 modules have factors that do not fit each other" in inspect_lora(path).odd[0]
    for reader in READERS.keys() - {"inspect"}:
        with pytest.raises(LorasmithError, match="do not fit each other"):
            READERS[reader](path)


@pytest.mark.parametrize("down", [(4, 12, 1, 1), (4, 12)])
def test_a_sound_core_is_read(tmp_path, down):
    path = core(tmp_path / "a.safetensors", down=down)
    assert inspect_lora(path).odd == () and load_lora(path).modules[CONV].down.shape == (4, 12, 3, 3)
    assert read_update(path)[CONV][1].shape == (4, 12 * 9)


@pytest.mark.parametrize("alpha", [torch.tensor(4.0), torch.tensor([[4.0]]), torch.tensor(4), torch.tensor(4).byte()])
def test_an_alpha_may_be_of_any_shape_and_type_that_hold_one_number(tmp_path, alpha):
    path = with_tensor(tmp_path / "a.safetensors", "alpha", alpha)
    assert load_lora(path).modules[KOHYA].alpha == open_weights(path).alpha(KOHYA, RANK) == 4
    assert inspect_lora(path).parts[0].alphas == {4.0: 1} and inspect_lora(path).odd == ()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_stated_alpha_that_is_not_finite(tmp_path, value):
    path = stating(tmp_path / "a.safetensors", lora_alpha=value)
    assert "scaled by numbers that are not finite" in inspect_lora(path).odd[0]
    for reader in READERS.keys() - {"inspect"}:
        with pytest.raises(LorasmithError, match="not finite"):
            READERS[reader](path)


def test_inspect_says_the_alpha_that_is_stated_beside_the_weights(tmp_path):
    report = inspect_lora(stating(tmp_path / "a.safetensors", lora_alpha=1, r=RANK))
    assert report.parts[0].alphas == {1.0: 1} and report.parts[0].scales == (0.125, 0.125) and report.odd == ()
    report = inspect_lora(peft_folder(tmp_path / "b", json.dumps({"lora_alpha": 2, "use_rslora": True})))
    assert report.parts[0].scales == pytest.approx((2 / 8**0.5, 2 / 8**0.5))
    own = factors(DIFFUSERS) | {f"{DIFFUSERS}.alpha": torch.tensor(4.0)}
    path = saved(tmp_path / "c.safetensors", own, lora_adapter_metadata=json.dumps({"unet.lora_alpha": 1}))
    assert inspect_lora(path).parts[0].alphas == {4.0: 1} == {load_lora(path).modules[DIFFUSERS].alpha: 1}


def test_patterns_count_as_in_peft(tmp_path):
    """The first that matches, with or without what the text encoders' own names begin with."""
    patterns = {"to_k": 3, "attn2.to_k": 5}
    path = stating(
        tmp_path / "a.safetensors", (DIFFUSERS, TEXT), lora_alpha=1, alpha_pattern=patterns,
        text_encoder__lora_alpha=2,
        text_encoder__alpha_pattern={"text_model.encoder.layers.0.self_attn.q_proj": 6},
    )  # fmt: skip
    alphas = {name: one.alpha for name, one in load_lora(path).modules.items()}
    weights = open_weights(path)
    assert alphas == {DIFFUSERS: 3, TEXT: 6} == {name: weights.alpha(name, RANK) for name in alphas}
    net = nn.ModuleDict({"attn2": nn.ModuleDict({"to_k": nn.Linear(4, 4)})})
    config = LoraConfig(r=RANK, lora_alpha=1, alpha_pattern=dict(patterns), target_modules=["to_k"])
    adapted = inject_adapter_in_model(config, net)
    assert adapted["attn2"]["to_k"].scaling["default"] == pytest.approx(3 / RANK)  # type: ignore[index]


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_fp8_is_weighed_as_torch_reads_it(tmp_path, dtype):
    codes = torch.arange(256, dtype=torch.uint8).view(dtype).reshape(2, 128)
    read = open_weights(saved(tmp_path / "codes.safetensors", {f"{KOHYA}.lora_down.weight": codes}))
    assert np.array_equal(read.array(f"{KOHYA}.lora_down.weight"), codes.float().numpy(), equal_nan=True)  # type: ignore[arg-type]
    small = saved(tmp_path / "a.safetensors", factors(dtype=dtype))
    wide = saved(tmp_path / "b.safetensors", {key: tensor.float() for key, tensor in factors(dtype=dtype).items()})
    weighed = movements({1: small, 2: wide})
    assert weighed[0].norm == weighed[1].norm > 0 and weighed[1].twin_of == 1
    made = [resize(path, path.with_name(f"{path.stem}-r.safetensors"), rank=3) for path in (small, wide)]
    assert load_lora(made[0].path).ranks == (3,) and made[0].parts[0].error == pytest.approx(made[1].parts[0].error)
    both = merge([Source(small), Source(wide, -1.0)], tmp_path / "none.safetensors")
    assert movements({1: both.path})[0].norm == pytest.approx(0, abs=1e-4)
    assert inspect_lora(small).odd == ()


def test_fp8_that_is_not_finite_is_refused(tmp_path):
    tensors = factors(dtype=torch.float8_e4m3fn)
    tensors[f"{KOHYA}.lora_up.weight"][0, 0] = float("nan")
    path = saved(tmp_path / "a.safetensors", tensors)
    assert "not finite" in inspect_lora(path).odd[0]
    for reader in ("resize", "merge", "comparing"):
        with pytest.raises(LorasmithError, match="not finite"):
            READERS[reader](path)


def test_whole_numbers_are_no_weights(tmp_path):
    tensors = {key: (tensor * 100).to(torch.int8) for key, tensor in factors().items()}
    path = saved(tmp_path / "a.safetensors", tensors)
    assert "1 modules have weights of a type that no LoRA has (i8; first:" in inspect_lora(path).odd[0]
    for reader in READERS.keys() - {"inspect"}:
        with pytest.raises(LorasmithError, match=r"are of a type that no LoRA has \(.*i.*8\): use this LoRA in fp16"):
            READERS[reader](path)


def test_metadata_that_is_null_is_none(tmp_path):
    data = saved(tmp_path / "a.safetensors", factors()).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    text = json.dumps({"__metadata__": None} | json.loads(data[8:start])).encode()
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data[start:])
    assert open_weights(tmp_path / "a.safetensors").header.metadata == {}
    assert len(load_lora(tmp_path / "a.safetensors").modules) == 1
