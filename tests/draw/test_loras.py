"""LoRAs swapped in place, against diffusers' own loading, peft's DoRA and weights merged by hand."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from planted_loras import planted_lora
from sdxl_pipelines import sdxl_pipeline
from torch import nn

from engine.base.load import open_base
from engine.draw.loras import LoraSlot, changes_text, in_one_journey
from engine.errors import LorasmithError
from engine.lora.file import apply_lora, load_lora
from engine.plan import Network

NETWORKS = {
    "transformer": Network(rank=4),
    "locon": Network(targets="locon", rank=8, conv_rank=2, conv_alpha=1),
    "text": Network(rank=2, alpha=3, train_text_encoders=True),
    "dora": Network(targets="locon", rank=4, conv_rank=2, dora=True),
}


@pytest.fixture(scope="module")
def base(tiny_base):
    return open_base(tiny_base)


@pytest.fixture(scope="module")
def files(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("loras")
    return {
        name: load_lora(planted_lora(base, folder / f"{name}.safetensors", network, seed=number))
        for number, (name, network) in enumerate(NETWORKS.items())
    }


@pytest.fixture
def models(base):
    return base.load_unet(torch.float32), base.load_text_encoders(torch.float32)


@torch.no_grad()
def outputs(unet, encoders) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    config = unet.config
    sizes = torch.tensor([[64.0, 64, 0, 0, 64, 64]]).repeat(2, 1)
    pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    dtype, device = unet.dtype, unet.device

    def noise(*shape):
        return torch.randn(*shape, generator=draw).to(device, dtype)

    drawn = unet(
        noise(2, 4, 16, 16), torch.tensor([50, 700], device=device),
        encoder_hidden_states=noise(2, 7, config.cross_attention_dim),
        added_cond_kwargs={"text_embeds": noise(2, pooled), "time_ids": sizes.to(device, dtype)},
    ).sample  # fmt: skip
    ids = torch.arange(7, device=device)[None]
    return [drawn, *(encoder(ids, output_hidden_states=True).hidden_states[-2] for encoder in encoders)]


def same(ones, others):
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))


def near(ones, others, atol=2e-5):
    return all(torch.allclose(one, other, atol=atol) for one, other in zip(ones, others, strict=True))


@pytest.mark.parametrize("name", ["transformer", "locon", "text"])
@pytest.mark.parametrize("weight", [1.0, 0.4])
def test_draws_what_diffusers_draws_with_the_same_file(base, models, files, name, weight):
    pipeline = sdxl_pipeline(base)
    pipeline.load_lora_weights(files[name].path, adapter_name="one")
    pipeline.set_adapters(["one"], [weight])
    expected = outputs(pipeline.unet, (pipeline.text_encoder, pipeline.text_encoder_2))
    (worn,) = LoraSlot(*models).wear([(files[name], weight)])
    assert (worn.matched, worn.unmatched, worn.text) == (len(files[name].modules), (), name == "text")
    assert near(outputs(*models), expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_weight_0_and_nothing_worn_are_the_base_bit_for_bit(models, files, name):
    untouched = outputs(*models)
    slot = LoraSlot(*models)
    kinds = [type(module) for model in (models[0], *models[1]) for module in model.modules()]
    for nothing in ([(files[name], 0.0)], []):
        slot.wear([(files[name], 1.0)])
        assert not torch.allclose(outputs(*models)[0], untouched[0], atol=1e-3)
        slot.wear(nothing)
        assert same(outputs(*models), untouched)
    assert [type(module) for model in (models[0], *models[1]) for module in model.modules()] == kinds


def test_several_at_once_are_diffusers_several(base, models, files):
    pipeline = sdxl_pipeline(base)
    worn = {"transformer": 0.7, "locon": -0.5, "text": 1.2}
    for name in worn:
        pipeline.load_lora_weights(files[name].path, adapter_name=name)
    pipeline.set_adapters(list(worn), list(worn.values()))
    LoraSlot(*models).wear([(files[name], weight) for name, weight in worn.items()])
    assert near(outputs(*models), outputs(pipeline.unet, (pipeline.text_encoder, pipeline.text_encoder_2)), 1e-4)


def test_one_after_another_is_as_each_alone_whatever_the_ranks(base, models, files):
    slot = LoraSlot(*models)
    for name in ("locon", "transformer", "dora", "text", "locon"):
        slot.wear([(files[name], 0.8)])
        fresh = base.load_unet(torch.float32), base.load_text_encoders(torch.float32)
        apply_lora(files[name], *fresh, weight=0.8)
        assert near(outputs(*models), outputs(*fresh)), name


def test_a_dora_beside_a_lora_is_their_merged_weights(base, models, files):
    dora, lora = (files["dora"], 0.6), (files["locon"], 0.9)
    fresh = base.load_unet(torch.float32), base.load_text_encoders(torch.float32)
    slot = LoraSlot(*models)
    before = {path: module for path, module in fresh[0].named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}
    deltas: dict[str, torch.Tensor] = {}
    for file, weight in (dora, lora):
        for name, factors in file.modules.items():
            path = slot._known[name][1]
            own = before[path].weight
            update = (factors.up.flatten(1) @ factors.down.flatten(1)) * factors.scale
            if factors.magnitude is not None:
                whole = own.flatten(1) + update
                update = whole * (factors.magnitude / whole.norm(dim=1))[:, None] - own.flatten(1)
            deltas[path] = deltas.get(path, 0) + weight * update.view_as(own)
    for path, delta in deltas.items():
        before[path].weight.data += delta
    slot.wear([lora, dora])
    assert near(outputs(*models)[:1], outputs(*fresh)[:1], 1e-4)


def test_what_is_worn_moves_and_changes_type_with_the_model(models, files):
    slot = LoraSlot(*models)
    slot.wear([(files["locon"], 1.0), (files["dora"], 1.0)])
    single = outputs(*models)
    for model in (models[0], *models[1]):
        model.to(torch.float64)
    assert near([one.float() for one in outputs(*models)], single, 1e-4)


def test_prompts_are_to_be_encoded_anew_exactly_when_a_text_encoder_changes(models, files):
    slot = LoraSlot(*models)
    keys = []
    for loras in ([], [("locon", 1.0)], [("text", 1.0)], [("text", 0.5)], [("text", 0.0)]):
        slot.wear([(files[name], weight) for name, weight in loras])
        keys.append(slot.text_key)
    assert keys[0] == keys[1] == keys[4] == () and len(set(keys)) == 3
    assert [name for name, file in files.items() if changes_text(file)] == ["text"]


def test_a_file_of_which_nothing_fits_is_refused_and_changes_nothing(models, files, tmp_path):
    pair = {"lora_down.weight": torch.ones(2, 8), "lora_up.weight": torch.ones(8, 2)}
    path = tmp_path / "elsewhere.safetensors"
    safetensors.torch.save_file({f"lora_unet_double_blocks_0.{key}": t for key, t in pair.items()}, path)
    slot = LoraSlot(*models)
    slot.wear([(files["locon"], 1.0)])
    before = outputs(*models)
    for weight in (1.0, 0.0):
        with pytest.raises(LorasmithError, match="Nothing of elsewhere.safetensors fits this base: none of its 1"):
            slot.wear([(files["transformer"], 1.0), (load_lora(path), weight)])
    safetensors.torch.save_file({f"lora_unet_middle_block_1_proj_in.{key}": t for key, t in pair.items()}, path)
    with pytest.raises(LorasmithError, match="trained on a base of this shape"):
        slot.wear([(load_lora(path), 1.0)])
    assert same(outputs(*models), before)


def test_a_part_that_fits_nowhere_is_named(models, files):
    file = files["transformer"]
    strange = replace(file, modules=file.modules | {"lora_unet_elsewhere": next(iter(file.modules.values()))})
    (worn,) = LoraSlot(*models).wear([(strange, 1.0)])
    assert worn.unmatched == ("lora_unet_elsewhere",) and worn.matched == len(file.modules)


def test_weights_that_are_not_finite_are_refused_and_leave_the_base(models, files):
    untouched = outputs(*models)
    file = files["transformer"]
    name, factors = next(iter(file.modules.items()))
    broken = replace(factors, up=torch.full_like(factors.up, float("nan")))
    slot = LoraSlot(*models)
    with pytest.raises(LorasmithError, match="transformer.safetensors are not finite"):
        slot.wear([(files["locon"], 1.0), (replace(file, modules=file.modules | {name: broken}), 1.0)])
    assert same(outputs(*models), untouched)


def test_on_the_way_to_a_card_every_tensor_keeps_its_numbers_and_begins_aligned(files):
    tensors = [tensor for factors in files["locon"].modules.values() for tensor in (factors.down, factors.up)]
    tensors[::3] = [tensor.half() for tensor in tensors[::3]]  # files of mixed types exist
    tensors.append(torch.arange(5.0))
    stored, cast = in_one_journey(tensors, torch.device("cpu"), torch.bfloat16)
    for tensor, there, turned in zip(tensors, stored.tensors, cast.tensors, strict=True):
        assert torch.equal(there, tensor.flatten()) and torch.equal(turned, tensor.flatten().bfloat16())
        assert there.storage_offset() % 16 == turned.storage_offset() % 16 == 0
    assert all(torch.isfinite(whole).all() for whole in (*stored.wholes, *cast.wholes))


def test_a_swap_is_quick(models, files):
    slot = LoraSlot(*models)
    seconds = []
    for name in ("locon", "transformer") * 10:
        start = time.perf_counter()
        slot.wear([(files[name], 1.0)])
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.05
