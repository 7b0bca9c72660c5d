"""estimate: exact where it can be, and never less for more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from recorded_run import RecordedRun

from engine.base.configs import sdxl_configs
from engine.estimate import Card, _seconds, estimate_plan, memory_of
from engine.plan import (
    BaseChoice,
    Length,
    Machine,
    Network,
    Optimizer,
    PictureFolder,
    Pictures,
    Plan,
    Regularization,
    Subject,
)
from engine.plan_file import write_plan
from engine.runs.events import EventReader
from engine.runs.folder import create_run
from engine.sizes import lora_size
from tui.cli import main
from tui.follow import Story

GB = 1e9


def memory(plan: Plan, side: int = 1024, batch: int = 1, checkpointing: bool = False) -> float:
    configs = sdxl_configs()
    lora = lora_size(configs["unet"], configs["text_encoder"], configs["text_encoder_2"], plan.network, "bf16")
    return memory_of(plan, lora, side, batch, checkpointing).total


def test_memory_agrees_with_what_was_counted_on_sdxls_shape():
    # 4.78 GiB of base + 6.31 GiB of activations + 85.1 M parameters x 16 bytes of AdamW + 0.7 GiB of CUDA.
    plan = Plan(optimizer=Optimizer(name="adamw"))
    assert memory(plan) == pytest.approx((4.78 + 6.31 + 85.1e6 * 16 / 2**30 + 0.7) * 2**30, rel=0.005)
    # Full checkpointing, attention at rank 8: published as 6.2 GiB in all.
    small = Plan(network=Network(targets="attention", rank=8), optimizer=Optimizer(name="adamw"))
    assert memory(small, checkpointing=True) == pytest.approx(6.2 * 2**30, rel=0.02)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_more_of_anything_never_needs_less_memory(checkpointing):
    plan = Plan()
    for ladder in (
        [memory(plan, side, 1, checkpointing) for side in (512, 768, 1024, 1536)],
        [memory(plan, 1024, batch, checkpointing) for batch in (1, 2, 4, 8)],
        [memory(replace(plan, network=Network(rank=rank)), 1024, 1, checkpointing) for rank in (4, 16, 32, 128)],
        [memory(replace(plan, network=Network(targets=t)), 1024, 1, checkpointing) for t in ("attention", "transformer",
                                                                                            "locon")],
        [memory(replace(plan, machine=Machine(precision=p)), 1024, 1, checkpointing) for p in ("bf16", "fp32")],
        [memory(replace(plan, network=Network(train_text_encoders=t)), 1024, 1, checkpointing) for t in (False, True)],
    ):  # fmt: skip
        assert ladder == sorted(ladder) and len(set(ladder)) == len(ladder)


def test_checkpointing_saves_memory():
    assert memory(Plan(), checkpointing=True) < memory(Plan()) - 5 * GB


def test_time_is_only_told_of_cards_that_something_is_known_of():
    known, source = _seconds(1000, 1024, Card("NVIDIA GeForce RTX 3090 Ti", 24 * 2**30, 0, "580"))
    assert known == pytest.approx(1120) and "published" in source
    assert _seconds(1000, 512, Card("NVIDIA GeForce RTX 3090", 24 * 2**30, 0, "580"))[0] == pytest.approx(1230 / 4)
    assert _seconds(1000, 1024, Card("Radeon", 1, 0, ""))[0] is None
    assert _seconds(1000, 1024, None) == (None, "no graphics card was found here")


def test_prior_prediction_and_several_cards_are_reckoned_with(photographs_folder: Path, capsys):
    path = photographs_folder / "plan.toml"
    pictures = Pictures(folders=(PictureFolder(str(photographs_folder), 4),))
    words, length = Subject("object", "ohwx", "toy"), Length(batch_size=2, epochs=1)
    plan = Plan(words, pictures, base=BaseChoice("demo"), length=length)
    path.write_text(write_plan(replace(plan, regularization=Regularization(prior_prediction=True))))
    assert main(["estimate", str(path), "--processes", "2"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "steps 4 in 1 epoch, 4 an epoch: 4 pictures in 1 bucket, batch 4 (2 on each of 2 GPUs)" in said
    assert "prior prediction makes steps about 2.4 times as long" in said
    card = Card("NVIDIA GeForce RTX 3090", 24 * 2**30, 0, "580")
    sdxl = replace(plan, base=BaseChoice("sdxl-1.0"))
    one, two = (estimate_plan(sdxl, card, processes=number) for number in (1, 2))
    assert (one.report.steps.total, two.report.steps.total) == (8, 4)
    assert one.seconds and two.seconds and two.seconds == pytest.approx(one.seconds / 2)


def test_a_warning_of_the_plan_is_told_once(capsys):
    run = create_run("job", 'kind = "bench"\n', kind="bench")
    recorded = RecordedRun(run)
    recorded.event("warning", text="told before")
    recorded.event("warning", text="told now")
    Story(run, False, frozenset({"told before"})).tell(EventReader(run.events).poll())
    said = capsys.readouterr().out
    assert "told now" in said and "told before" not in said


@pytest.fixture
def photographs_folder(tmp_path: Path) -> Path:
    for at in range(4):
        Image.effect_noise((1024, 1024), 60).convert("RGB").save(tmp_path / f"{at}.jpg")
        (tmp_path / f"{at}.txt").write_text(f"ohwx toy number {at}")
    return tmp_path
