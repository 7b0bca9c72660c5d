"""The adapter on a model: where it sits, and that its forward and gradients are peft's own."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch.autograd.graph import saved_tensors_hooks

from engine.errors import LorasmithError
from engine.lora.attach import attach
from engine.lora.layers import _LoraLinear
from engine.lora.targets import unet_targets
from engine.plan import Network

LOCON = Network(targets="locon", rank=4, alpha=2, conv_rank=2, conv_alpha=3)


def _loss(unet, inputs):
    return unet(**inputs).sample.square().mean()


def _peft_twin(unet, adapter):
    """The same adapter carried by peft alone, without this project's forward."""
    shapes = {m.path: m for m in adapter.modules.values()}
    config = LoraConfig(
        r=4,
        target_modules=list(shapes),
        rank_pattern={path.replace(".", r"\."): m.rank for path, m in shapes.items()},
        alpha_pattern={path.replace(".", r"\."): m.alpha for path, m in shapes.items()},
    )
    twin = inject_adapter_in_model(config, unet, "plain")
    with torch.no_grad():
        for path, module in shapes.items():
            layer = twin.get_submodule(path)
            layer.lora_A["plain"].weight.copy_(module.down)
            layer.lora_B["plain"].weight.copy_(module.up)
    return twin


@pytest.mark.parametrize(("targets", "count"), [("transformer", 722), ("attention", 560), ("locon", 788)])
def test_sdxl_has_the_known_number_of_targets(sdxl_shape, targets, count):
    assert len(unet_targets(sdxl_shape.unet, targets)) == count


def test_every_target_gets_its_module(sdxl_shape):
    network = Network(targets="locon", train_text_encoders=True)
    adapter = attach(sdxl_shape.unet, sdxl_shape.text_encoders, network, seed=0)
    adapter.remove()
    parts = Counter(module.part for module in adapter.modules.values())
    assert parts == {"unet": 788, "te1": 72, "te2": 192}
    assert not any("text_projection" in name for name in adapter.modules)
    assert adapter.modules["lora_te2_text_model_encoder_layers_31_mlp_fc1"].up.shape == (5120, 32)


def test_convolutions_take_their_own_rank_and_one_by_one_ones_the_plain_rank(tiny):
    adapter = attach(tiny().unet, (), LOCON, seed=0)
    wide = adapter.modules["lora_unet_input_blocks_4_0_in_layers_2"]
    narrow = adapter.modules["lora_unet_input_blocks_4_0_skip_connection"]
    linear = adapter.modules["lora_unet_input_blocks_4_0_emb_layers_1"]
    assert (wide.kind, wide.rank, wide.scale) == ("conv", 2, pytest.approx(1.5))
    assert (narrow.kind, narrow.rank, narrow.scale) == ("conv", 4, pytest.approx(0.5))
    assert (linear.kind, linear.rank, linear.scale) == ("linear", 4, pytest.approx(0.5))
    assert tuple(wide.down.shape[2:]) == (3, 3) and tuple(wide.up.shape[2:]) == (1, 1)


def test_it_starts_as_the_base_and_freezes_it(tiny, unet_inputs):
    models = tiny()
    before = models.unet(**unet_inputs()).sample
    adapter = attach(models.unet, models.text_encoders, LOCON, seed=0)
    assert torch.allclose(models.unet(**unet_inputs()).sample, before, atol=1e-6)
    trained = {id(p) for p in adapter.parameters_unet()}
    assert all(p.requires_grad == (id(p) in trained) for p in models.unet.parameters())
    assert not any(p.requires_grad for encoder in models.text_encoders for p in encoder.parameters())


def test_the_start_depends_on_the_seed_alone(tiny):
    torch.manual_seed(5)
    first = attach(tiny().unet, (), Network(rank=4), seed=1).state()
    drawn = torch.rand(3)
    second = attach(tiny().unet, (), Network(rank=4), seed=1).state()
    other = attach(tiny().unet, (), Network(rank=4), seed=2).state()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first if key.endswith(".down"))
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))  # attaching does not move the program's own random numbers


@pytest.mark.parametrize("network", [Network(rank=4), LOCON, Network(rank=4, alpha=8, rslora=True)])
def test_output_and_gradients_are_pefts_own(tiny, unet_inputs, randomize, network):
    # In double precision, so that what is compared is the mathematics and not the order of the sums.
    models, inputs = tiny(torch.float64), unet_inputs(torch.float64)
    untouched = copy.deepcopy(models.unet)
    adapter = attach(models.unet, (), network, seed=0)
    randomize(adapter)
    twin = _peft_twin(untouched, adapter)
    assert torch.allclose(models.unet(**inputs).sample, twin(**inputs).sample, rtol=1e-12, atol=1e-12)
    ours, theirs = _loss(models.unet, inputs), _loss(twin, inputs)
    ours.backward()
    theirs.backward()
    for module in adapter.modules.values():
        layer = twin.get_submodule(module.path)
        for mine, its in ((module.down, layer.lora_A["plain"].weight), (module.up, layer.lora_B["plain"].weight)):
            largest = float(its.grad.abs().max())
            assert torch.allclose(mine.grad.double(), its.grad, rtol=1e-6, atol=1e-6 * largest)


def test_gradients_are_the_numerical_ones():
    generator = torch.Generator().manual_seed(0)

    def make(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, down, up = (make(2, 3, 5).requires_grad_(), make(2, 5).requires_grad_(), make(4, 2).requires_grad_())
    weight, bias, keep = make(4, 5), make(4), (make(6, 2) > 0).double() / 0.5
    for mask in (None, keep):
        assert torch.autograd.gradcheck(
            lambda x, down, up, mask=mask: _LoraLinear.apply(x, weight, bias, down, up, 0.7, mask), (x, down, up)
        )


def test_text_encoders_learn_too(tiny):
    models = tiny(torch.bfloat16)
    adapter = attach(models.unet, models.text_encoders, Network(rank=4, train_text_encoders=True), seed=0)
    ids = torch.arange(7)[None]
    for encoder, parameters in zip(
        models.text_encoders, (adapter.parameters_te1(), adapter.parameters_te2()), strict=True
    ):
        encoder(ids, output_hidden_states=True).hidden_states[-2].float().square().mean().backward()
        reached = [p for p in parameters if p.grad is not None]
        # The last layer lies behind the penultimate output that SDXL uses, so it gets no gradient.
        assert len(parameters) - len(reached) == 6 * 2
        assert all(p.grad.dtype == torch.float32 for p in reached)


def test_the_compiler_takes_the_layer_whole(tiny, randomize):
    models = tiny()
    adapter = attach(models.unet, (), Network(rank=4), seed=0)
    randomize(adapter)
    layer = adapter.modules["lora_unet_middle_block_1_proj_in"].layer
    x = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(x), layer(x), atol=1e-5)


def test_a_16_bit_base_keeps_fp32_masters_and_saves_no_fp32_inputs(tiny, unet_inputs):
    models = tiny(torch.bfloat16)
    base_saved = _saved_fp32(models.unet.requires_grad_(True), unet_inputs(torch.bfloat16))
    adapter = attach(models.unet, (), LOCON, seed=0)
    saved = _saved_fp32(models.unet, unet_inputs(torch.bfloat16))
    assert saved <= base_saved, "the adapted forward keeps fp32 activations that the plain one does not"
    _loss(models.unet, unet_inputs(torch.bfloat16)).backward()
    for parameter in adapter.parameters_unet():
        assert parameter.dtype == torch.float32 and parameter.grad.dtype == torch.float32
    assert any(p.grad.abs().max() > 0 for p in adapter.parameters_unet())
    assert all(p.dtype == torch.bfloat16 for p in models.unet.parameters() if not p.requires_grad)


def _saved_fp32(unet, inputs) -> int:
    """Elements of fp32 tensors kept for the backward pass, parameters aside."""
    own = {p.data_ptr() for p in unet.parameters()}
    sizes: list[int] = []

    def pack(tensor):
        if tensor.dtype == torch.float32 and tensor.data_ptr() not in own:
            sizes.append(tensor.numel())
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        unet(**inputs).sample.square().mean()  # the loss in bf16, so that it adds nothing in fp32
    return sum(sizes)


def test_multiplier_and_disabled(tiny, unet_inputs, randomize):
    models = tiny()
    inputs = unet_inputs()
    base = models.unet(**inputs).sample
    adapter = attach(models.unet, (), LOCON, seed=0)
    randomize(adapter)
    full = models.unet(**inputs).sample
    assert not torch.allclose(full, base, atol=1e-3)
    with adapter.disabled():
        assert torch.equal(models.unet(**inputs).sample, base)
    assert torch.equal(models.unet(**inputs).sample, full)
    adapter.set_multiplier(0)
    assert torch.equal(models.unet(**inputs).sample, base)
    adapter.set_multiplier(2)
    doubled = models.unet(**inputs).sample
    adapter.set_multiplier(1)
    with torch.no_grad():
        for module in adapter.modules.values():
            module.up.mul_(2)
    assert torch.allclose(models.unet(**inputs).sample, doubled, atol=1e-5)
    adapter.remove()
    assert torch.equal(models.unet(**inputs).sample, base)
    assert attach(models.unet, (), LOCON, seed=0).modules.keys() == adapter.modules.keys()


def test_gradient_checkpointing_changes_nothing(tiny, unet_inputs, randomize):
    grads = []
    for checkpointing in (False, True):
        models = tiny()
        adapter = attach(models.unet, (), Network(rank=4, dropout=0.5), seed=0)
        randomize(adapter)
        models.unet.train()
        if checkpointing:
            models.unet.enable_gradient_checkpointing()
        adapter.seed_dropout([7, 8])
        _loss(models.unet, unet_inputs()).backward()
        grads.append([p.grad for p in adapter.parameters_unet()])
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize("shape", [{"targets": "locon"}, {"dora": True}], ids=["locon", "dora"])
def test_dropout_belongs_to_the_picture_not_to_its_place_in_the_batch(tiny, unet_inputs, randomize, shape):
    models = tiny()
    adapter = attach(models.unet, (), Network(rank=4, dropout=0.5, **shape), seed=0)
    randomize(adapter)
    models.unet.train()
    inputs = unet_inputs()
    adapter.seed_dropout([7, 8])
    both = models.unet(**inputs).sample
    second = {k: v[1:] if torch.is_tensor(v) else {n: t[1:] for n, t in v.items()} for k, v in inputs.items()}
    adapter.seed_dropout([8])
    assert torch.allclose(models.unet(**second).sample, both[1:], atol=1e-5)
    adapter.seed_dropout([9])
    assert not torch.allclose(models.unet(**second).sample, both[1:], atol=1e-3)
    models.unet.eval()
    assert torch.equal(models.unet(**inputs).sample, models.unet(**inputs).sample)


def test_weight_norms(tiny, randomize):
    adapter = attach(tiny().unet, (), LOCON, seed=0)
    randomize(adapter)

    def updates():
        return [m.scale * (m.up.flatten(1) @ m.down.flatten(1)).detach() for m in adapter.modules.values()]

    before = updates()
    expected = torch.stack([update.norm() for update in before])
    assert torch.allclose(adapter.norms(), expected, rtol=1e-4)
    limit = float(expected.median())
    adapter.scale_weight_norms(limit)
    for old, new in zip(before, updates(), strict=True):
        share = min(1.0, limit / float(old.norm()))
        assert torch.allclose(new, old * share, atol=1e-5)


def test_state_comes_back_exactly_and_only_where_it_fits(tiny, randomize):
    network = Network(rank=4, train_text_encoders=True)
    models = tiny()
    adapter = attach(models.unet, models.text_encoders, network, seed=0)
    randomize(adapter)
    kept = {key: tensor.clone() for key, tensor in adapter.state().items()}
    models = tiny()
    again = attach(models.unet, models.text_encoders, network, seed=9)
    again.load_state(kept)
    assert all(torch.equal(tensor, kept[key]) for key, tensor in again.state().items())
    with pytest.raises(LorasmithError, match="does not fit"):
        attach(tiny().unet, (), Network(rank=4), seed=0).load_state(kept)
    with pytest.raises(LorasmithError, match="expected"):
        narrow = tiny()
        attach(narrow.unet, narrow.text_encoders, Network(rank=2, train_text_encoders=True), seed=0).load_state(kept)


def test_a_second_adapter_on_one_model_is_refused(tiny):
    models = tiny()
    attach(models.unet, (), Network(rank=2), seed=0)
    with pytest.raises(ValueError, match="already"):
        attach(models.unet, (), Network(rank=2), seed=0)


def test_dora_starts_as_the_base_and_is_pefts(tiny, unet_inputs):
    models = tiny()
    base = models.unet(**unet_inputs()).sample
    adapter = attach(models.unet, (), Network(targets="locon", rank=4, dora=True), seed=0)
    assert torch.allclose(models.unet(**unet_inputs()).sample, base, atol=1e-5)
    _loss(models.unet, unet_inputs()).backward()
    module = adapter.modules["lora_unet_middle_block_1_proj_in"]
    assert module.magnitude is not None and module.magnitude.grad is not None
    assert len(adapter.parameters_unet()) == 3 * len(adapter.modules)
