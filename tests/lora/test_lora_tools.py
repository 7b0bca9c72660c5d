"""inspect, resize and merge against dense sums, dense singular values, and diffusers itself."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from engine.errors import LorasmithError
from engine.lora import rewrite
from engine.lora.file import load_lora
from engine.lora.inspect import inspect_lora
from engine.lora.keys import kohya_name
from engine.lora.merge import Source, merge
from engine.lora.resize import resize
from engine.lora.spectrum import spectrum

LINEAR = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
WIDE = "lora_unet_input_blocks_4_1_transformer_blocks_0_ff_net_2"
CONV = "lora_unet_input_blocks_1_0_in_layers_2"
TEXT = "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"
SHAPES = {LINEAR: (40, 2048), WIDE: (24, 60), CONV: (16, 12, 3, 3), TEXT: (20, 20)}


def tensors_of(seed: int, rank: int = 8, alpha: float = 4.0, names=SHAPES, dtype=torch.float32) -> dict:
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name in names:
        out, *inside = SHAPES[name]
        ones = (1,) * (len(inside) - 1)
        sizes = 2.0 ** -torch.arange(rank)  # falling, so that cutting means something
        made[f"{name}.lora_down.weight"] = torch.randn(rank, *inside, generator=generator) * 0.1
        up = torch.randn(out, rank, generator=generator) * sizes
        made[f"{name}.lora_up.weight"] = up.reshape(out, rank, *ones)
        made[f"{name}.alpha"] = torch.tensor(alpha)
    return {key: tensor.to(dtype).contiguous() for key, tensor in made.items()}


def saved(path: Path, tensors: dict, **metadata: str) -> Path:
    safetensors.torch.save_file(tensors, path, metadata=metadata or None)
    return path


def updates(path: Path) -> dict[str, torch.Tensor]:
    """Each module's whole update, dense, as [out, in x k x k]."""
    return {
        name: factors.scale * factors.up.double().flatten(1) @ factors.down.double().flatten(1)
        for name, factors in load_lora(path).modules.items()
    }


def test_spectrum_is_the_dense_one():
    tensors = tensors_of(1)
    for name in SHAPES:
        down, up = tensors[f"{name}.lora_down.weight"], tensors[f"{name}.lora_up.weight"]
        dense = up.double().flatten(1) @ down.double().flatten(1)
        found = spectrum(down, up)
        expected = torch.linalg.svdvals(dense)
        assert torch.allclose(found.values, expected[: len(found.values)], rtol=1e-9, atol=1e-12)
        assert torch.allclose(found.left * found.values @ found.right, dense, atol=1e-10)
        kept = expected.square().cumsum(0) / expected.square().sum()
        for share in (0.5, 0.9, 0.99, 1.0):
            assert found.rank_for(share) == int((kept < share**2 - 1e-12).sum()) + 1


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_resizing_gives_the_best_update_of_that_rank(tmp_path, rank):
    source = saved(tmp_path / "a.safetensors", tensors_of(1))
    done = resize(source, tmp_path / "b.safetensors", rank=rank)
    before, after = updates(source), updates(done.path)
    for name, dense in before.items():
        left, values, right = torch.linalg.svd(dense, full_matrices=False)
        best = left[:, :rank] * values[:rank] @ right[:rank]
        assert torch.allclose(after[name], best, atol=1e-6), name
        factors = load_lora(done.path).modules[name]
        assert factors.rank == rank and factors.scale == pytest.approx(0.5)
    for part, prefix in zip(done.parts, ("lora_unet_", "lora_te1_"), strict=True):
        names = [name for name in before if name.startswith(prefix)]
        wrong = sum((before[n] - after[n]).square().sum() for n in names)
        assert part.error == pytest.approx(float(wrong / sum(before[n].square().sum() for n in names)) ** 0.5)
        assert part.ranks == (rank, rank)


def test_keeping_a_share_takes_the_fewest_ranks_that_do(tmp_path):
    source = saved(tmp_path / "a.safetensors", tensors_of(1), ss_training_comment="mine", ss_seed="5")
    done = resize(source, tmp_path / "b.safetensors", keep=0.95)
    before, after = updates(source), load_lora(done.path)
    for name, dense in before.items():
        squares = torch.linalg.svdvals(dense).square()
        kept = (squares.cumsum(0) / squares.sum()).sqrt()
        rank = after.modules[name].rank
        assert kept[rank - 1] >= 0.95 and (rank == 1 or kept[rank - 2] < 0.95)
    assert after.metadata["ss_network_dim"] == "Dynamic" and after.metadata["ss_seed"] == "5"
    assert "from 8" in after.metadata["ss_training_comment"] and "mine" in after.metadata["ss_training_comment"]
    capped = resize(source, tmp_path / "c.safetensors", keep=0.999, rank=2)
    assert max(load_lora(capped.path).ranks) <= 2


def test_a_resized_fp16_file_stays_fp16_and_carries_its_hash(tmp_path):
    source = saved(tmp_path / "a.safetensors", tensors_of(1, dtype=torch.float16), ss_network_dim="8")
    done = resize(source, tmp_path / "b.safetensors", rank=4)
    with safe_open(done.path, framework="pt") as file:
        metadata = file.metadata()
        types = {file.get_tensor(key).dtype for key in file.keys() if not key.endswith("alpha")}  # noqa: SIM118
    body = done.path.read_bytes()
    weights = body[8 + int.from_bytes(body[:8], "little") :]
    assert metadata["sshs_model_hash"] == hashlib.sha256(weights).hexdigest()
    assert done.precision == "fp16" and types == {torch.float16}
    assert metadata["ss_network_dim"] == "4" and metadata["ss_network_alpha"] == "2"
    assert done.parts[0].error < 0.15


def test_dora_keeps_its_magnitudes(tmp_path):
    tensors = tensors_of(1, names=[WIDE])
    tensors[f"{WIDE}.dora_scale"] = torch.rand(24, 1)
    source = saved(tmp_path / "a.safetensors", tensors)
    done = resize(source, tmp_path / "b.safetensors", rank=3)
    assert torch.equal(load_lora(done.path).modules[WIDE].magnitude, tensors[f"{WIDE}.dora_scale"].flatten())
    with pytest.raises(LorasmithError, match="is a DoRA"):
        merge([Source(source), Source(done.path)], tmp_path / "c.safetensors")


def test_locons_three_factors_are_one_convolution(tmp_path):
    generator = torch.Generator().manual_seed(2)
    down, mid, up = (
        torch.randn(*shape, generator=generator) for shape in ((4, 12, 1, 1), (4, 4, 3, 3), (16, 4, 1, 1))
    )
    tensors = {f"{CONV}.lora_{role}.weight": t for role, t in (("down", down), ("mid", mid), ("up", up))}
    source = saved(tmp_path / "a.safetensors", {**tensors, f"{CONV}.alpha": torch.tensor(2.0)})
    x = torch.randn(1, 12, 7, 7, generator=generator)
    conv = torch.nn.functional.conv2d
    expected = 0.5 * conv(conv(conv(x, down), mid, padding=1), up)
    factors = load_lora(source).modules[CONV]
    assert torch.allclose(factors.scale * conv(conv(x, factors.down, padding=1), factors.up), expected, atol=1e-4)
    done = resize(source, tmp_path / "b.safetensors", rank=2)
    assert load_lora(done.path).modules[CONV].down.shape == (2, 12, 3, 3)
    assert inspect_lora(source).method == "LoCon"


def test_a_merge_is_the_sum(tmp_path):
    one = saved(tmp_path / "one.safetensors", tensors_of(1))
    two = saved(tmp_path / "two.safetensors", tensors_of(2, rank=5, alpha=3.0, names=[LINEAR, CONV]))
    three = saved(tmp_path / "three.safetensors", tensors_of(3, rank=2, alpha=1.0, names=[CONV, TEXT]))
    done = merge([Source(one), Source(two, 0.7), Source(three, -0.5)], tmp_path / "sum.safetensors")
    dense = [updates(path) for path in (one, two, three)]
    found = updates(done.path)
    assert found.keys() == SHAPES.keys()
    for name, update in found.items():
        wanted = sum(w * d[name] for w, d in zip((1, 0.7, -0.5), dense, strict=True) if name in d)
        assert torch.allclose(update, wanted, atol=1e-6), name
    assert load_lora(done.path).modules[CONV].rank == 15 and load_lora(done.path).modules[WIDE].rank == 8
    assert all(part.error < 1e-6 for part in done.parts)


def test_a_merge_of_equal_weight_loses_not_a_bit_of_16(tmp_path):
    one = saved(tmp_path / "one.safetensors", tensors_of(1, dtype=torch.bfloat16))
    two = saved(tmp_path / "two.safetensors", tensors_of(2, dtype=torch.bfloat16))
    done = merge([Source(one), Source(two)], tmp_path / "sum.safetensors")
    found, first, second = updates(done.path), updates(one), updates(two)
    assert done.precision == "bf16"
    assert all(torch.allclose(found[name], first[name] + second[name], rtol=0, atol=1e-13) for name in found)


def test_a_merge_can_be_cut(tmp_path):
    one, two = (saved(tmp_path / f"{seed}.safetensors", tensors_of(seed)) for seed in (1, 2))
    done = merge([Source(one), Source(two)], tmp_path / "sum.safetensors", rank=6)
    dense = updates(one)[LINEAR] + updates(two)[LINEAR]
    values = torch.linalg.svdvals(dense)
    left = (dense - updates(done.path)[LINEAR]).norm()
    assert float(left) == pytest.approx(float(values[6:].square().sum().sqrt()), rel=1e-4)


def test_merging_says_what_was_merged(tmp_path):
    words = [json.dumps({"10_thing": {"a cat": count}}) for count in (3, 4)]
    one = saved(
        tmp_path / "cat.safetensors", tensors_of(1),
        **{"modelspec.trigger_phrase": "ohwx cat", "ss_tag_frequency": words[0], "sshs_model_hash": "ab" * 32},
    )  # fmt: skip
    two = saved(tmp_path / "ink.safetensors", tensors_of(2), **{"ss_tag_frequency": words[1]})
    done = merge([Source(one), Source(two, 0.6)], tmp_path / "both.safetensors")
    report = inspect_lora(done.path)
    assert report.merged_from == ("cat", "ink") and report.trigger == "ohwx cat"
    assert dict(report.words)["a cat"] == 7 and "cat (1), ink (0.6)" in report.settings["comment"]
    assert json.loads(report.metadata["lorasmith.merged_from"])[0]["sshs_model_hash"] == "ab" * 32
    assert report.odd == () and report.base == "SDXL"


def test_loras_of_other_bases_and_methods_are_refused(tmp_path):
    one = saved(tmp_path / "one.safetensors", tensors_of(1))
    other = tensors_of(2, names=[LINEAR])
    other[f"{LINEAR}.lora_down.weight"] = torch.zeros(8, 768)
    two = saved(tmp_path / "two.safetensors", other)
    with pytest.raises(LorasmithError, match="merge LoRAs of one base"):
        merge([Source(one), Source(two)], tmp_path / "c.safetensors")
    loha = saved(tmp_path / "loha.safetensors", {f"{LINEAR}.hada_w1_a": torch.zeros(2, 2)})
    with pytest.raises(LorasmithError, match="LoHa"):
        resize(loha, tmp_path / "c.safetensors", rank=2)
    assert inspect_lora(loha).method == "LoHa"
    with pytest.raises(LorasmithError, match="adds nothing"):
        merge([Source(one), Source(two, 0)], tmp_path / "c.safetensors")
    assert not (tmp_path / "c.safetensors").exists()


def test_nothing_is_overwritten_unasked(tmp_path):
    source = saved(tmp_path / "a.safetensors", tensors_of(1))
    there = tmp_path / "b.safetensors"
    there.write_bytes(b"mine")
    with pytest.raises(LorasmithError, match="--force"):
        resize(source, there, rank=2)
    assert there.read_bytes() == b"mine"
    assert resize(source, there, rank=2, force=True).path == there
    with pytest.raises(LorasmithError, match="the file that is read"):
        resize(source, source, rank=2, force=True)
    with pytest.raises(LorasmithError, match="ending"):
        resize(source, tmp_path / "b", rank=2)
    with pytest.raises(LorasmithError, match="There is no folder"):
        resize(source, tmp_path / "no" / "b.safetensors", rank=2)
    with pytest.raises(LorasmithError, match="nothing to do"):
        resize(source, tmp_path / "c.safetensors", rank=8)


def test_a_file_that_reads_back_wrong_is_not_kept(tmp_path, monkeypatch):
    source = saved(tmp_path / "a.safetensors", tensors_of(1))
    write = rewrite.write_tensors

    def damaged(path, tensors, metadata):
        write(path, {key: t * 1.5 if key.endswith("up.weight") else t for key, t in tensors.items()}, metadata)

    monkeypatch.setattr(rewrite, "write_tensors", damaged)
    with pytest.raises(LorasmithError, match="differs by"):
        resize(source, tmp_path / "b.safetensors", rank=4)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_weights_that_are_not_finite_are_refused_and_shown(tmp_path):
    tensors = tensors_of(1)
    tensors[f"{CONV}.lora_up.weight"][0, 0] = float("nan")
    tensors[f"{WIDE}.lora_up.weight"].zero_()
    tensors["bundle_emb.thing.string_to_param.*"] = torch.zeros(2, 4)
    del tensors[f"{TEXT}.lora_up.weight"]
    source = saved(tmp_path / "a.safetensors", tensors, ss_network_dim="16", sshs_model_hash="0" * 64)
    with pytest.raises(LorasmithError, match="not finite"):
        resize(source, tmp_path / "b.safetensors", rank=2)
    odd = " ".join(inspect_lora(source).odd)
    for said in (
        "1 modules have weights that are not finite", "1 of 3 modules are all zero", "belong to no LoRA",
        "only one of their two factors", "says rank 16", "changed since",
    ):  # fmt: skip
        assert said in odd


def test_inspecting_names_ranks_base_and_precision(tmp_path):
    source = saved(tmp_path / "a.safetensors", tensors_of(1, dtype=torch.bfloat16), **{"ss_epoch": "4"})
    report = inspect_lora(source)
    unet, te1 = report.parts
    assert (report.method, report.base, report.layout) == ("LoCon", "SDXL", "kohya")
    assert (unet.part, unet.modules, unet.convolutions, unet.ranks) == ("unet", 3, 1, {8: 3})
    assert (te1.alphas, te1.scales) == ({4.0: 1}, (0.5, 0.5))
    assert report.precision == {"bf16": 12} and report.settings["epoch"] == "4"
    assert report.sha256 == hashlib.sha256(source.read_bytes()).hexdigest() and report.odd == ()
    old = tensors_of(1, names=[LINEAR])
    old[f"{LINEAR}.lora_down.weight"] = torch.ones(8, 768)
    report = inspect_lora(saved(tmp_path / "old.safetensors", old))
    assert report.base == "Stable Diffusion 1" and "not for SDXL" in report.odd[-1]


def test_names_that_count_another_bases_blocks_are_not_guessed_at(tmp_path):
    """diffusers' names say nothing of a base's depth, by which kohya's count."""
    name = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    small = {f"{name}.lora_A.weight": torch.randn(4, 64), f"{name}.lora_B.weight": torch.randn(8, 4)}
    source = saved(tmp_path / "small.safetensors", small)
    with pytest.raises(LorasmithError, match="another shape than SDXL"):
        resize(source, tmp_path / "b.safetensors", rank=2)
    with pytest.raises(LorasmithError, match="another shape than SDXL"):
        merge([Source(source, 1.0), Source(source, -1.0)], tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()


def test_a_folder_is_the_file_that_peft_or_diffusers_writes_into_it(tmp_path):
    with pytest.raises(LorasmithError, match="is a folder without adapter_model.safetensors or pytorch_lora_weights"):
        load_lora(tmp_path)
    saved(tmp_path / "pytorch_lora_weights.safetensors", tensors_of(1))
    assert load_lora(tmp_path).ranks == (8,) and inspect_lora(tmp_path).modules == len(SHAPES)
    saved(tmp_path / "adapter_model.safetensors", tensors_of(1, rank=4))
    assert load_lora(tmp_path).ranks == (4,)


def test_a_module_with_one_factor_is_counted_and_left_out(tmp_path):
    tensors = tensors_of(1)
    del tensors[f"{WIDE}.lora_up.weight"]
    file = load_lora(saved(tmp_path / "half.safetensors", tensors))
    assert file.halves == (WIDE,) and WIDE not in file.modules
    assert file.left_out == f"{WIDE} of half.safetensors has only one of its two factors and is left out."
    several = replace(file, halves=(WIDE, "another", "a third"))
    assert several.left_out.endswith("is left out, and so are 2 more.") and not replace(file, halves=()).left_out


def test_files_of_diffusers_and_peft_become_kohyas(tmp_path):
    tensors = tensors_of(1, names=[LINEAR])
    path = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    down, up = (tensors[f"{LINEAR}.lora_{role}.weight"] for role in ("down", "up"))
    for number, prefix in enumerate(("unet.", "base_model.model.")):
        renamed = {f"{prefix}{path}.lora_A.weight": down, f"{prefix}{path}.lora_B.weight": up}
        source = saved(tmp_path / f"{number}.safetensors", renamed)
        assert inspect_lora(source).layout == ("diffusers", "peft")[number]
        done = resize(source, tmp_path / f"{number}-r.safetensors", rank=4)
        assert list(load_lora(done.path).modules) == [LINEAR]
        assert load_lora(done.path).modules[LINEAR].scale == 1.0  # no alpha in the file


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (LINEAR, LINEAR),
        ("lora_unet_down_blocks_1_attentions_0_proj_in", "lora_unet_input_blocks_4_1_proj_in"),
        ("unet.up_blocks.0.upsamplers.0.conv", "lora_unet_output_blocks_2_2_conv"),
        ("text_encoder_2.encoder.layers.3.mlp.fc1", "lora_te2_text_model_encoder_layers_3_mlp_fc1"),
        ("unet.conv_in", "lora_unet_conv_in"),
    ],
)
def test_names_in_kohyas_spelling(given, name):
    assert kohya_name(given) == name


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.safetensors", b"", "empty"),
        ("a.safetensors", b"hello, this is not a LoRA at all, but some text", "a LoRA in .safetensors"),
        ("a.ckpt", b"\x80\x02", "pickle"),
        ("a.safetensors", b"\x10\x00\x00\x00\x00\x00\x00\x00{", "truncated"),
        ("a.safetensors", safetensors.torch.save({"model.weight": torch.zeros(3)}), "holds no LoRA"),
    ],
)
def test_rubbish_gets_one_sentence(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LorasmithError, match=says) as caught:
        inspect_lora(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_inspecting_needs_no_torch(tmp_path):
    import subprocess

    source = saved(tmp_path / "a.safetensors", tensors_of(1, names=[TEXT]))
    code = (
        "import sys; from pathlib import Path; from engine.lora.inspect import inspect_lora; "
        f"inspect_lora(Path({str(source)!r})); print(sorted({{'torch', 'peft', 'diffusers'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_light_reader_and_torch_read_the_same(tmp_path):
    from engine.lora.weights import open_weights

    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        source = saved(tmp_path / "a.safetensors", tensors_of(4, dtype=dtype))
        dense = updates(source)
        for name, up, down in open_weights(source).factors():
            assert np.allclose(up.astype(float) @ down, dense[name].numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("asked", "before", "after"),
    [
        (
            {"rank": 4}, {"conv_dim": "8", "conv_alpha": "4.0", "algo": "locon"},
            {"conv_dim": "4", "conv_alpha": "2", "algo": "locon"},
        ),
        ({"rank": 2}, {"conv_dim": "8", "rs_lora": "True", "block_dims": "8,8"}, {"conv_dim": "2"}),
        ({"keep": 0.9, "rank": 3}, {"dora_wd": "True"}, {"dora_wd": "True"}),
    ],
)  # fmt: skip
def test_a_resized_file_says_its_own_ranks_of_convolutions(tmp_path, asked, before, after):
    source = saved(tmp_path / "a.safetensors", tensors_of(1), ss_network_args=json.dumps(before))
    done = resize(source, tmp_path / "b.safetensors", **asked)
    assert json.loads(load_lora(done.path).metadata["ss_network_args"]) == after


def test_arguments_that_no_longer_hold_or_say_nothing(tmp_path):
    said = json.dumps({"conv_dim": "8", "conv_alpha": "1"})
    mixed = tensors_of(1) | tensors_of(2, rank=2, names=[CONV])
    second = CONV.replace("1_0_in_layers_2", "2_0_in_layers_2")
    mixed |= {key.replace(CONV, second): tensor for key, tensor in tensors_of(3, names=[CONV]).items()}
    for number, (tensors, before, after) in enumerate((
        (tensors_of(1, names=[LINEAR]), said, "{}"),
        (mixed, said, json.dumps({"conv_dim": "Dynamic", "conv_alpha": "Dynamic"})),
        (tensors_of(1), "None", "None"),
        (tensors_of(1), "[1]", "[1]"),
    )):  # fmt: skip
        source = saved(tmp_path / f"{number}.safetensors", tensors, ss_network_args=before)
        done = resize(source, tmp_path / f"{number}-r.safetensors", rank=4)
        assert load_lora(done.path).metadata["ss_network_args"] == after
