"""The model never waits long for pictures: what the job does beside it is done by other threads."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from PIL import Image
from tiny_captioners import tiny_blip

from engine.caption import job as caption_job
from engine.caption.generative import Blip
from engine.caption.opening import open_captioner
from engine.caption.plan import CaptionPlan, caption_toml
from engine.runs.events import EventLog
from engine.runs.folder import create_run
from engine.runs.job import Job

PICTURE_SECONDS = 0.08  # what a card of middling speed takes for one
BATCH, PICTURES = 8, 32


def test_the_models_own_thread_does_hardly_anything_else(tmp_path: Path) -> None:
    """A real processor at BLIP's own 384 pixels and pictures of 1 MP; the model itself works elsewhere, as on a GPU.

    Processor time is measured, not the clock: a busy machine says nothing of a server with cores to spare. What the
    model's thread does between two batches keeps a GPU waiting, what the others do does not while there is a core.
    """
    folder = tmp_path / "pictures"
    folder.mkdir()
    coarse = np.random.default_rng(0).integers(0, 255, (PICTURES, 24, 32, 3), dtype=np.uint8)
    for at in range(PICTURES):
        Image.fromarray(coarse[at]).resize((1184, 888), Image.Resampling.BICUBIC).save(folder / f"{at}.jpg", quality=90)
    model = open_captioner(CaptionPlan("", captioner=str(tiny_blip(tmp_path / "blip"))), lambda *_: None)
    assert isinstance(model, Blip)
    model._loaded.processor.image_processor.size = {"height": 384, "width": 384}
    bare = 0.0

    class Elsewhere(Blip):
        def __init__(self) -> None:
            super().__init__(model._loaded)
            self.batch = BATCH

        def write(self, prepared: dict) -> list[str]:
            nonlocal bare
            assert prepared["pixel_values"].shape[1:] == (3, 384, 384)
            begun = time.monotonic()
            time.sleep(PICTURE_SECONDS * len(prepared["pixel_values"]))
            bare += time.monotonic() - begun
            return ["a dog"] * len(prepared["pixel_values"])

    run = create_run("pace", caption_toml(CaptionPlan(str(folder))), kind="caption")
    own, everyone = time.thread_time(), time.process_time()
    caption_job.run(Job(run, EventLog(run, 1)), lambda plan: Elsewhere())
    own, everyone = time.thread_time() - own, time.process_time() - everyone
    others = everyone - own
    print(f"model {bare:.2f} s; its thread {own:.3f} s beside it ({own / bare:.1%}); others {others:.2f} s")
    assert len(list(folder.glob("*.txt"))) == PICTURES
    assert own < 0.1 * bare
    assert others < 2 * bare, "so two cores keep such a card busy"
