"""Weights weighed by their factors against whole updates; losses read out of a run's record."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.errors import LorasmithError
from engine.runs.events import Event
from engine.select.presignals import distance, drawing_order, held_out_losses, inner, movements, read_update, to_draw

LINEAR, CONV = "lora_unet_input_blocks_4_1_proj_in", "lora_unet_input_blocks_1_0_in_layers_2"


def tensors(rng, rank, alpha=3.0):
    made = {}
    for name, out, inside in ((LINEAR, 30, (50,)), (CONV, 8, (6, 3, 3))):
        ones = (1,) * (len(inside) - 1)
        made[f"{name}.lora_down.weight"] = rng.normal(size=(rank, *inside)).astype(np.float32)
        made[f"{name}.lora_up.weight"] = rng.normal(size=(out, rank, *ones)).astype(np.float32)
        made[f"{name}.alpha"] = np.array(alpha, np.float32)
    return made


def dense(made):
    parts = []
    for name in (LINEAR, CONV):
        down, up = (made[f"{name}.lora_{role}.weight"].astype(float) for role in ("down", "up"))
        scale = float(made[f"{name}.alpha"]) / len(down)
        parts.append((scale * up.reshape(len(up), -1) @ down.reshape(len(down), -1)).ravel())
    return np.concatenate(parts)


def test_distances_are_those_of_the_whole_updates(tmp_path):
    rng = np.random.default_rng(0)
    one, two = tensors(rng, 4), tensors(rng, 7, alpha=1.5)
    save_file(one, tmp_path / "1.safetensors")
    save_file(two, tmp_path / "2.safetensors")
    a, b = read_update(tmp_path / "1.safetensors"), read_update(tmp_path / "2.safetensors")
    assert inner(a, b) == pytest.approx(dense(one) @ dense(two), rel=1e-6)
    assert distance(a, b) == pytest.approx(np.linalg.norm(dense(one) - dense(two)), rel=1e-6)
    assert distance(a, a) == pytest.approx(0, abs=1e-5)


def test_twins_are_measured_from_the_last_that_is_drawn(tmp_path):
    rng = np.random.default_rng(1)
    first, step = tensors(rng, 4), tensors(rng, 4)
    share = 0.03 * np.linalg.norm(dense(first)) / np.linalg.norm(dense(step))
    files = {}
    for epoch in range(1, 5):
        # Rank 8: the first's factors beside a step that grows, so that each update is first + epoch * small step.
        made = {key: first[key] for key in first if key.endswith("alpha")}
        for name in (LINEAR, CONV):
            grown = step[f"{name}.lora_up.weight"] * np.float32(share * (epoch - 1))
            down = np.concatenate([first[f"{name}.lora_down.weight"], step[f"{name}.lora_down.weight"]])
            made[f"{name}.lora_down.weight"] = down
            made[f"{name}.lora_up.weight"] = np.concatenate([first[f"{name}.lora_up.weight"], grown], axis=1)
            made[f"{name}.alpha"] = np.array(6.0, np.float32)
        files[epoch] = tmp_path / f"{epoch}.safetensors"
        save_file({key: np.ascontiguousarray(value) for key, value in made.items()}, files[epoch])
    found = movements(files)
    assert math.isnan(found[0].change) and found[0].twin_of is None
    assert found[1].change == pytest.approx(0.03, abs=0.002) and found[1].twin_of == 1
    assert found[2].change == pytest.approx(0.06, abs=0.004) and found[2].twin_of is None  # each step alone is small
    assert found[3].twin_of == 3
    assert to_draw(found) == [1, 3, 4] and to_draw(found, always=[2]) == [1, 2, 3, 4]


def test_a_copy_under_another_name_is_a_twin_wherever_it_stands(tmp_path):
    rng = np.random.default_rng(3)
    one, two = tensors(rng, 4), tensors(rng, 4)
    files = {}
    for number, made in enumerate((one, two, one, tensors(rng, 2), two), 1):
        files[number] = tmp_path / f"{number}.safetensors"
        save_file(made, files[number], metadata={"name": str(number)})
    found = movements(files)
    assert [entry.twin_of for entry in found] == [None, None, 1, None, 2]
    assert found[2].change == 0 and to_draw(found) == [1, 2, 4, 5], "the last is drawn all the same"


def test_one_lora_in_two_layouts_is_the_same(tmp_path):
    made = {k: v for k, v in tensors(np.random.default_rng(2), 4, alpha=4.0).items() if k.startswith(LINEAR)}
    save_file(made, tmp_path / "kohya.safetensors")
    path = "unet.down_blocks.1.attentions.0.proj_in"
    other = {
        f"{path}.lora_{letter}.weight": made[f"{LINEAR}.lora_{role}.weight"]
        for letter, role in (("A", "down"), ("B", "up"))
    }
    save_file(other, tmp_path / "diffusers.safetensors")
    a, b = (read_update(tmp_path / f"{name}.safetensors") for name in ("kohya", "diffusers"))
    assert distance(a, b) == pytest.approx(0, abs=1e-4)


def test_files_that_differ_in_the_alpha_stated_beside_them_are_no_twins(tmp_path):
    rng = np.random.default_rng(4)
    path = "unet.down_blocks.1.attentions.0.proj_in"
    factors = {
        f"{path}.lora_A.weight": rng.normal(size=(8, 50)).astype(np.float32),
        f"{path}.lora_B.weight": rng.normal(size=(30, 8)).astype(np.float32),
    }
    files = {}
    for number, alpha in enumerate((8, 1, 8), 1):
        files[number] = tmp_path / f"{number}.safetensors"
        said = {"lora_adapter_metadata": json.dumps({"unet.r": 8, "unet.lora_alpha": alpha})}
        save_file(factors, files[number], metadata=said)
    found = movements(files)
    assert found[0].norm == pytest.approx(8 * found[1].norm) == pytest.approx(found[2].norm)
    assert [one.twin_of for one in found] == [None, None, 1]


def test_broken_files_are_named(tmp_path):
    made = tensors(np.random.default_rng(3), 4)
    made[f"{LINEAR}.lora_up.weight"][0] = np.nan
    save_file(made, tmp_path / "nan.safetensors")
    with pytest.raises(LorasmithError, match=r"nan\.safetensors are not finite"):
        movements({1: tmp_path / "nan.safetensors"})
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "none.safetensors")
    with pytest.raises(LorasmithError, match="holds no LoRA"):
        read_update(tmp_path / "none.safetensors")
    made[f"{LINEAR}.lora_up.weight"] = np.zeros((30, 3), np.float32)
    save_file(made, tmp_path / "odd.safetensors")
    with pytest.raises(LorasmithError, match="do not fit each other"):
        read_update(tmp_path / "odd.safetensors")


def test_losses_are_ratios_to_the_base_and_repeats_are_dropped():
    events = [
        _event(1, "started", from_step=1),
        _event(1, "validation", step=10, epoch=1, loss=0.18, base=0.2),
        _event(1, "validation", step=20, epoch=2, loss="nan", base=0.2),
        _event(1, "validation", step=30, epoch=3, loss=0.9, base=0.2),
        _event(2, "started", from_step=21),
        _event(2, "validation", step=30, epoch=3, loss=0.24, base=0.2),
    ]
    found = held_out_losses(events)
    assert [(loss.checkpoint, round(loss.log_ratio, 4)) for loss in found] == [(1, -0.1054), (3, 0.1823)]


def test_the_order_begins_at_the_lowest_loss_or_at_the_usual_place():
    seen = ((1, 0.9), (5, 0.5))
    losses = held_out_losses([_event(1, "validation", step=e, epoch=e, loss=loss, base=1) for e, loss in seen])
    assert drawing_order(range(1, 11), losses)[:3] == [5, 6, 4]
    assert drawing_order(range(1, 11), [])[:2] == [4, 5]
    assert sorted(drawing_order(range(1, 11), losses)) == list(range(1, 11)) and drawing_order([], []) == []


def _event(attempt, name, **fields):
    return Event(name, 0.0, 0.0, attempt, fields)
