"""The judge and the encoder read true scenes they never saw, and the base draws what it is told."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from engine.lab.encoder import Encoder, load_encoder
from engine.lab.judge import Judge, load_judge
from engine.lab.objects import TRAINED
from engine.lab.paint import paint
from engine.lab.proof import Subject, Verdict, proof_scenes, shares, table
from engine.lab.scenes import Ground, Scene, prompt, sample_scene

READERS = Path(__file__).parents[2] / "presets" / "base" / "readers"


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge(READERS / "judge.safetensors")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(READERS / "encoder.safetensors")


def test_the_judge_reads_true_scenes_it_never_saw(judge: Judge):
    scenes = proof_scenes(300)
    readings = judge.read([paint(scene) for scene in scenes])
    right = shares([Verdict(scene, reading) for scene, reading in zip(scenes, readings, strict=True)])
    assert right["object"] > 0.95 and right["ground"] > 0.97, right
    assert right["style"] > 0.97 and right["count"] > 0.97, right


def test_the_judge_reads_large_and_oblong_pictures_alike(judge: Judge):
    scene = Scene("panda", Ground("striped", "green"))
    for size in (64, 500, (80, 48), (900, 540)):
        (reading,) = judge.read([paint(scene, size)])
        assert (reading.object, reading.ground, reading.count) == ("panda", scene.ground, 1), size


def test_the_table_counts_what_came_out_right():
    scenes = [Scene("cat", Ground("snow")), Scene("cat", Ground("plain", "red"))]
    judge_of_cats = Judge()
    readings = judge_of_cats.read([paint(scene) for scene in scenes])
    verdicts = [Verdict(scene, reading) for scene, reading in zip(scenes, readings, strict=True)]
    right = sum(reading.ground == scene.ground for scene, reading in zip(scenes, readings, strict=True))
    assert shares(verdicts)["ground"] == right / 2
    assert table(verdicts).splitlines()[2].startswith("| all | 2 |")


def test_a_held_out_subject_is_near_itself_on_any_ground_and_far_from_others(judge: Judge):
    fox = Subject(judge, "fox")
    rng = random.Random(5)
    own = [paint(Scene("fox", sample_scene(rng).ground, seed=900 + seed)) for seed in range(12)]
    others = [paint(sample_scene(rng, held_out=None)) for _ in range(24)]
    assert float(fox.nearness(own).min()) > 0.6
    assert float(fox.nearness(others).median()) < 0.3


def test_the_encoder_matches_pictures_with_their_words(encoder: Encoder):
    rng = random.Random(6)
    scenes = [
        Scene(thing.name, sample_scene(rng).ground, sample_scene(rng).style, seed=seed)
        for seed, thing in enumerate(TRAINED)
    ]
    pictures, texts = [paint(scene) for scene in scenes], [prompt(scene) for scene in scenes]
    alike = encoder.pictures(pictures) @ encoder.texts(texts).T
    found = (alike.argmax(dim=1) == torch.arange(len(scenes))).float().mean()
    assert float(found) > 0.85
