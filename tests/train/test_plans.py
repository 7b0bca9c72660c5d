"""Every kind of plan trains, stops, resumes, and its exported file works in diffusers' own SDXL pipeline."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image
from safetensors.torch import load_file
from sdxl_pipelines import sdxl_pipeline
from training_runs import events, new_run, train

from engine.base.load import open_base
from engine.plan import Captions, ClassFolder, Network, Optimizer, PictureFolder, Regularization

NETWORKS = {
    "plain": Network(rank=4, alpha=2.0),
    "attention": Network(targets="attention", rank=4),
    "locon": Network(targets="locon", rank=4, conv_rank=2, conv_alpha=1.0),
    "rslora": Network(rank=4, alpha=4.0, rslora=True),
    "text-encoders": Network(rank=4, train_text_encoders=True),
}


def stop_at(number: int):
    """Makes the child ask itself to stop before the step of this number, as `kill` by hand would."""
    from engine.train.trainer import Trainer

    real = Trainer.step

    def step(self, at, groups):
        if at == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, at, groups)

    Trainer.step = step


def trained_with_a_stop(plan, name):
    folder = new_run(plan, name)
    assert train(folder, lambda: stop_at(1)) == 4
    assert train(folder) == 0
    last = events(folder, "checkpoint")[-1]
    return folder, folder.path / last.get("file"), last.get("verified")


def draw(pipe: StableDiffusionXLPipeline) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return pipe(
        "ohwx disc on a green ground", num_inference_steps=2, generator=generator, output_type="latent",
        width=64, height=64,
    ).images  # fmt: skip


@pytest.fixture
def fast_plan(small_plan):
    """A rate at which a few steps already show."""
    return replace(
        small_plan, optimizer=Optimizer(learning_rate=5e-3), samples=replace(small_plan.samples, prompts=())
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_loads_in_the_sdxl_pipeline_and_changes_the_picture(fast_plan, tiny_base, name):
    plan = replace(fast_plan, network=NETWORKS[name])
    _, file, verified = trained_with_a_stop(plan, name)
    pipe = sdxl_pipeline(open_base(tiny_base))
    before = draw(pipe)
    pipe.load_lora_weights(str(file))
    adapted = [module for part in (pipe.unet, pipe.text_encoder, pipe.text_encoder_2)
               for module in part.modules() if hasattr(module, "lora_A") and len(module.lora_A)]  # fmt: skip
    modules = sum(key.endswith(".alpha") for key in load_file(file))
    assert len(adapted) == modules and verified == f"{modules}/{modules} modules, difference 0"
    assert (draw(pipe) - before).abs().max() > 1e-3
    pipe.unload_lora_weights()
    assert torch.equal(draw(pipe), before)


def test_dora_trains_and_is_the_same_through_our_own_reader(fast_plan, tiny_base):
    """diffusers drops DoRA's magnitudes from kohya files, so this one is read back through peft."""
    from engine.lora.file import apply_lora, load_lora

    plan = replace(fast_plan, network=Network(rank=4, dora=True))
    _, file, verified = trained_with_a_stop(plan, "dora")
    assert "DoRA is experimental" in verified
    pipe = sdxl_pipeline(open_base(tiny_base))
    before = draw(pipe)
    adapter = apply_lora(load_lora(file), pipe.unet)
    assert not adapter.unmatched and (draw(pipe) - before).abs().max() > 1e-3


@pytest.mark.parametrize("optimizer", ["adamw8bit", "lion8bit", "adafactor", "prodigy"])
def test_every_optimizer_trains_and_resumes(fast_plan, optimizer):
    rate = 1.0 if optimizer == "prodigy" else 1e-3
    folder, file, _ = trained_with_a_stop(
        replace(fast_plan, optimizer=Optimizer(name=optimizer, learning_rate=rate)), optimizer
    )
    assert all(tensor.isfinite().all() for tensor in load_file(file).values())
    used = events(folder, "plan")[0].get("optimizer")
    assert used == (optimizer if optimizer in {"adafactor", "prodigy"} else "adamw")
    if used == "adamw":
        assert any("needs CUDA" in e.get("text") for e in events(folder, "warning"))


def test_class_pictures_train_beside_the_subject(fast_plan, tmp_path):
    classes = tmp_path / "classes"
    classes.mkdir()
    for index in range(4):
        Image.new("RGB", (96, 96), (0, 60 * index, 200)).save(classes / f"class-{index}.png")
    (classes / "class-0.txt").write_text("a disc in the rain", encoding="utf-8")
    plan = replace(fast_plan, regularization=Regularization(folders=(ClassFolder(str(classes)),), ratio=0.5))
    folder, _, _ = trained_with_a_stop(plan, "classes")
    facts = events(folder, "plan")[0]
    # 5 pictures x 2 repeats in three shapes: 4 + 2 + 4 items in batches of 2; half as many class pictures.
    assert facts.get("pictures") == 5 and facts.get("class_pictures") == 4
    steps = facts.get("steps")
    assert steps == events(folder, "step")[-1].get("step") == events(folder, "step")[-1].get("steps")


def test_long_captions_and_unseen_words_train(fast_plan, tmp_path):
    Image.new("RGB", (100, 70), "green").save(tmp_path / "one.png")
    (tmp_path / "one.txt").write_text("ohwx " + "very long caption, " * 60, encoding="utf-8")
    plan = replace(
        fast_plan,
        pictures=replace(fast_plan.pictures, folders=(PictureFolder(str(tmp_path), 4),)),
        captions=Captions(max_tokens=225, shuffle=True, dropout=0.3),
    )
    folder, file, _ = trained_with_a_stop(plan, "long")
    losses = [loss for e in events(folder, "step") for loss in e.get("losses")]
    assert len(losses) == events(folder, "step")[-1].get("steps") and all(0 < loss < 10 for loss in losses)
    assert all(tensor.isfinite().all() for tensor in load_file(file).values())


@pytest.mark.parametrize("subject", ["bear_plushie"])
def test_real_photographs_train(fast_plan, shared_data, subject):
    folder = shared_data / "dreambooth" / subject
    plan = replace(fast_plan, pictures=replace(fast_plan.pictures, folders=(PictureFolder(str(folder), 1),)))
    run, _, verified = trained_with_a_stop(plan, subject)
    assert events(run, "plan")[0].get("pictures") == 5 and verified.endswith("difference 0")
