"""Files: what another program's loader makes of them, and what this one reads back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.lora.layer import LoraLayer
from safetensors import safe_open

from engine.errors import LorasmithError
from engine.lora.attach import attach
from engine.lora.file import DTYPE, apply_lora, load_lora, save_lora
from engine.lora.verify import verify
from engine.plan import Network

NETWORKS = {
    "transformer": Network(rank=4),
    "attention": Network(targets="attention", rank=4),
    "locon": Network(targets="locon", rank=4, conv_rank=2, conv_alpha=1),
    "rslora": Network(rank=4, alpha=3, rslora=True),
    "alpha 1": Network(rank=4, alpha=1),
    "text encoders": Network(targets="locon", rank=4, alpha=3, train_text_encoders=True),
}


def _pipeline(models) -> StableDiffusionXLPipeline:
    vae = AutoencoderKL(
        block_out_channels=(4,), down_block_types=("DownEncoderBlock2D",), up_block_types=("UpDecoderBlock2D",),
        norm_num_groups=2, latent_channels=4,
    )  # fmt: skip
    return StableDiffusionXLPipeline(
        vae, models.te1, models.te2, None, None, models.unet, EulerDiscreteScheduler(), add_watermarker=False
    )


def _outputs(models, inputs) -> list[torch.Tensor]:
    ids = torch.arange(7)[None]
    with torch.no_grad():
        return [models.unet(**inputs).sample] + [
            encoder(ids, output_hidden_states=True).hidden_states[-2] for encoder in models.text_encoders
        ]


@pytest.fixture
def trained(tiny, randomize):
    """A tiny model with an adapter that has visible weights."""

    def make(network: Network, dtype: torch.dtype = torch.float32):
        models = tiny(dtype)
        adapter = attach(models.unet, models.text_encoders, network, seed=0)
        randomize(adapter)
        return models, adapter

    return make


@pytest.mark.parametrize(
    ("name", "precision"), [*((name, "fp32") for name in NETWORKS), ("locon", "fp16"), ("text encoders", "bf16")]
)
def test_diffusers_draws_the_same_from_the_file(trained, tiny, unet_inputs, tmp_path, name, precision):
    models, adapter = trained(NETWORKS[name])
    path = tmp_path / "thing.safetensors"
    save_lora(adapter, path, precision, {"ss_output_name": "thing"})
    fresh = tiny()
    base = _outputs(fresh, unet_inputs())
    _pipeline(fresh).load_lora_weights(path)
    drawn = _outputs(fresh, unet_inputs())
    # What a 16-bit file can hold of the trained weights is their rounding: the drawing must be that one's.
    adapter.load_state({key: t.to(DTYPE[precision]).float() for key, t in adapter.state().items()})
    expected = _outputs(models, unet_inputs())
    assert not torch.allclose(expected[0], base[0], atol=1e-2)
    assert torch.equal(expected[1], base[1]) == (name != "text encoders")
    for ours, theirs in zip(expected, drawn, strict=True):
        assert torch.allclose(ours, theirs, atol=5e-6)
    loaded = [m for model in (fresh.unet, *fresh.text_encoders) for m in model.modules() if isinstance(m, LoraLayer)]
    assert len(loaded) == len(adapter.modules)


def test_a_16_bit_file_of_a_usual_lora_draws_nearly_the_trained_picture(tiny, unet_inputs, randomize, tmp_path):
    models = tiny()
    adapter = attach(models.unet, (), Network(rank=4), seed=0)
    randomize(adapter, size=0.02)
    save_lora(adapter, tmp_path / "a.safetensors", "fp16", {})
    fresh = tiny()
    _pipeline(fresh).load_lora_weights(tmp_path / "a.safetensors")
    with torch.no_grad():
        assert torch.allclose(
            models.unet(**unet_inputs()).sample, fresh.unet(**unet_inputs()).sample, atol=3e-5
        )


@pytest.mark.parametrize(
    ("name", "precision"), zip(NETWORKS, ("fp16", "bf16", "fp32", "fp16", "bf16", "fp16"), strict=True)
)
def test_verification_of_each_network(trained, tmp_path, name, precision):
    _, adapter = trained(NETWORKS[name])
    save_lora(adapter, tmp_path / "a.safetensors", precision, {})
    shown = verify(tmp_path / "a.safetensors", adapter)
    count = len(adapter.modules)
    assert shown.message == f"{count}/{count} modules, difference 0"
    assert set(shown.matched.values()) == {count} and len(shown.matched) == 5


@pytest.mark.parametrize("layers", [1, 3])
def test_bases_with_other_layer_counts_round_trip(tiny, unet_inputs, randomize, tmp_path, layers):
    models = tiny(layers_per_block=layers)
    adapter = attach(models.unet, (), NETWORKS["locon"], seed=0)
    randomize(adapter)
    path = tmp_path / "a.safetensors"
    save_lora(adapter, path, "fp32", {})
    assert verify(path, adapter).modules == len(adapter.modules)
    fresh = tiny(layers_per_block=layers)
    applied = apply_lora(load_lora(path), fresh.unet)
    assert not applied.unmatched
    with torch.no_grad():
        assert torch.equal(fresh.unet(**unet_inputs()).sample, models.unet(**unet_inputs()).sample)


@pytest.mark.parametrize("name", [*NETWORKS, "dora"])
def test_applying_a_file_draws_what_was_trained(trained, tiny, unet_inputs, tmp_path, name):
    network = NETWORKS.get(name, Network(targets="locon", rank=4, conv_rank=2, dora=True))
    models, adapter = trained(network)
    path = tmp_path / "a.safetensors"
    save_lora(adapter, path, "fp32", {"ss_output_name": "thing"})
    fresh = tiny()
    base = _outputs(fresh, unet_inputs())
    file = load_lora(path)
    assert file.metadata["ss_output_name"] == "thing"
    assert file.ranks == ((4, 2) if network.conv_rank == 2 else (4,))
    applied = apply_lora(file, fresh.unet, fresh.text_encoders)
    assert applied.modules.keys() == adapter.modules.keys() and applied.unmatched == ()
    for ours, theirs in zip(_outputs(models, unet_inputs()), _outputs(fresh, unet_inputs()), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
    applied.set_multiplier(0)
    assert all(torch.equal(a, b) for a, b in zip(_outputs(fresh, unet_inputs()), base, strict=True))


def test_dora_through_pefts_own_loader(trained, tiny, unet_inputs, tmp_path):
    models, adapter = trained(Network(rank=4, alpha=2, dora=True))
    path = tmp_path / "a.safetensors"
    save_lora(adapter, path, "fp32", {})
    tensors = safetensors.torch.load_file(path)
    fresh = tiny()
    paths = {m.name: m.path for m in adapter.modules.values()}
    config = LoraConfig(r=4, lora_alpha=2, use_dora=True, target_modules=list(paths.values()))
    inject_adapter_in_model(config, fresh.unet, "default")
    state = {}
    for name, place in paths.items():
        state[f"{place}.lora_A.weight"] = tensors[f"{name}.lora_down.weight"]
        state[f"{place}.lora_B.weight"] = tensors[f"{name}.lora_up.weight"]
        state[f"{place}.lora_magnitude_vector"] = tensors[f"{name}.dora_scale"].flatten()
    set_peft_model_state_dict(fresh.unet, state)
    with torch.no_grad():
        assert torch.allclose(
            fresh.unet(**unet_inputs()).sample, models.unet(**unet_inputs()).sample, atol=1e-6
        )
    message = verify(path, adapter).message
    assert "722" not in message and "ignored by diffusers" in message
    assert tensors[f"{next(iter(paths))}.dora_scale"].dim() == 2


def test_formats_of_other_programs_are_read(trained, tiny, unet_inputs, tmp_path):
    models, adapter = trained(Network(rank=4))
    expected = models.unet(**unet_inputs()).sample
    weights = {m.path: (m.down.detach(), m.up.detach()) for m in adapter.modules.values()}
    formats = {
        "kohya, diffusers blocks": {
            f"lora_unet_{path.replace('.', '_')}.lora_{role}.weight": w
            for path, pair in weights.items()
            for role, w in zip(("down", "up"), pair, strict=True)
        },
        "diffusers": {
            f"unet.{path}.lora_{role}.weight": w
            for path, pair in weights.items()
            for role, w in zip("AB", pair, strict=True)
        },
        "diffusers, processors": {
            f"unet.{_processor(path)}.{role}.weight": w
            for path, pair in weights.items()
            for role, w in zip(("down", "up"), pair, strict=True)
        },
        "peft": {
            f"base_model.model.{path}.lora_{role}.weight": w
            for path, pair in weights.items()
            for role, w in zip("AB", pair, strict=True)
        },
    }
    for number, (name, tensors) in enumerate(formats.items()):
        path = tmp_path / f"{number}.safetensors"
        safetensors.torch.save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path)
        fresh = tiny()
        applied = apply_lora(load_lora(path), fresh.unet)
        assert not applied.unmatched, name
        assert torch.allclose(fresh.unet(**unet_inputs()).sample, expected, atol=1e-6), name


def _processor(path: str) -> str:
    if ".attn" not in path:
        return f"{path}.lora"
    head, _, leaf = path.replace(".to_out.0", ".to_out").rpartition(".")
    return f"{head}.processor.{leaf}_lora"


def test_a_peft_folder_states_its_alpha_in_its_configuration(trained, tmp_path):
    _, adapter = trained(Network(targets="attention", rank=4))
    tensors = {f"base_model.model.{m.path}.lora_A.weight": m.down.detach() for m in adapter.modules.values()}
    tensors |= {f"base_model.model.{m.path}.lora_B.weight": m.up.detach() for m in adapter.modules.values()}
    safetensors.torch.save_file(tensors, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 6, "use_rslora": True}))
    factors = next(iter(load_lora(tmp_path).modules.values()))
    assert factors.scale == pytest.approx(3.0)


def test_the_file_holds_what_its_format_says(trained, tmp_path):
    _, adapter = trained(NETWORKS["locon"])
    path = tmp_path / "a.safetensors"
    save_lora(adapter, path, "bf16", {"ss_output_name": "a", "modelspec.title": "a"})
    with safe_open(path, framework="pt") as file:
        keys, metadata = list(file.keys()), file.metadata()
        conv = file.get_tensor("lora_unet_input_blocks_1_0_in_layers_2.lora_down.weight")
        alpha = file.get_tensor("lora_unet_input_blocks_1_0_in_layers_2.alpha")
    assert len(keys) == 3 * len(adapter.modules)
    assert all(key.startswith(("lora_unet_", "lora_te1_", "lora_te2_")) for key in keys)
    assert conv.shape == (2, 8, 3, 3) and conv.dtype == torch.bfloat16
    assert alpha.shape == () and float(alpha) == 1.0
    assert len(metadata["sshs_model_hash"]) == 64 and len(metadata["sshs_legacy_hash"]) == 8
    body = path.read_bytes()
    weights = body[8 + int.from_bytes(body[:8], "little") :]
    assert hashlib.sha256(weights).hexdigest() == metadata["sshs_model_hash"]


def test_nothing_is_written_for_weights_that_do_not_fit(trained, tmp_path):
    _, adapter = trained(Network(rank=4))
    module = next(iter(adapter.modules.values()))
    path = tmp_path / "a.safetensors"
    with torch.no_grad():
        module.up[0, 0] = 1e6
    with pytest.raises(LorasmithError, match="too large for fp16.*bf16"):
        save_lora(adapter, path, "fp16", {})
    save_lora(adapter, path, "bf16", {})
    with torch.no_grad():
        module.up[0, 0] = float("nan")
    with pytest.raises(LorasmithError, match="not finite"):
        save_lora(adapter, path, "bf16", {})
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_verification_notices_a_changed_file(trained, tmp_path):
    _, adapter = trained(Network(rank=4))
    path = tmp_path / "a.safetensors"
    save_lora(adapter, path, "fp16", {})
    good = safetensors.torch.load_file(path)
    name = next(iter(adapter.modules))

    def check(tensors, what):
        safetensors.torch.save_file(tensors, path)
        with pytest.raises(LorasmithError, match=what):
            verify(path, adapter)

    check({**good, f"{name}.lora_up.weight": good[f"{name}.lora_up.weight"] + 1}, "differ")
    check({**good, f"{name}.alpha": torch.tensor(8.0)}, "scale of 2|differ")
    check({key: t for key, t in good.items() if not key.startswith(name)}, "missing")
    check({**good, "optimizer": torch.zeros(1)}, "tensors instead of")
    Path(path).write_bytes(path.read_bytes()[:1000])
    with pytest.raises(LorasmithError, match="read back"):
        verify(path, adapter)


def test_files_that_are_no_lora_of_this_model(trained, tiny, tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(LorasmithError, match="no LoRA at"):
        load_lora(path)
    path.write_bytes(b"nothing of the sort")
    with pytest.raises(LorasmithError, match="not a whole safetensors"):
        load_lora(path)
    safetensors.torch.save_file({"lora_unet_x.hada_w1_a": torch.zeros(1)}, path)
    with pytest.raises(LorasmithError, match="related method"):
        load_lora(path)
    safetensors.torch.save_file({"model.weight": torch.zeros(1)}, path)
    with pytest.raises(LorasmithError, match="holds no LoRA"):
        load_lora(path)
    with pytest.raises(LorasmithError, match="pickle"):
        load_lora(tmp_path / "x.pt")
    pair = {"lora_down.weight": torch.zeros(2, 8), "lora_up.weight": torch.zeros(8, 2)}
    safetensors.torch.save_file({f"lora_unet_elsewhere.{k}": t for k, t in pair.items()}, path)
    with pytest.raises(LorasmithError, match="None of the 1 modules"):
        apply_lora(load_lora(path), tiny().unet)
    safetensors.torch.save_file({f"lora_unet_middle_block_1_proj_in.{k}": t for k, t in pair.items()}, path)
    with pytest.raises(LorasmithError, match="trained on a base of this shape"):
        apply_lora(load_lora(path), tiny().unet)


def test_text_encoder_modules_are_reported_when_there_is_no_text_encoder(trained, tiny, tmp_path):
    _, adapter = trained(NETWORKS["text encoders"])
    path = tmp_path / "a.safetensors"
    save_lora(adapter, path, "fp32", {})
    applied = apply_lora(load_lora(path), tiny().unet)
    assert len(applied.unmatched) == 30 and all(name.startswith("lora_te") for name in applied.unmatched)
