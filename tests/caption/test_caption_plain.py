"""Captioners that need no network: labels on photographs, and the lab's encoder on the demo's own scenes."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.caption.opening import open_captioner
from engine.caption.plain import Labels
from engine.caption.plan import CaptionPlan


class Said:
    """A labeller that is told what it sees."""

    def __init__(self, *labels: tuple[str, float]) -> None:
        self.labels = list(labels)

    def label(self, images, top=5):
        return [self.labels] * len(images)


def sentence(image: Image.Image, *labels: tuple[str, float], subject: str = "object", class_word: str = "") -> str:
    return Labels(Said(*labels), subject, class_word).caption([image])[0]  # type: ignore[arg-type]


def halves(above: tuple[int, int, int], below: tuple[int, int, int]) -> Image.Image:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:60], pixels[60:] = above, below
    return Image.fromarray(pixels)


def test_a_label_and_what_is_around_it_make_a_sentence():
    grass = Image.new("RGB", (80, 60), (60, 160, 50))
    assert sentence(grass, ("teddy bear", 0.8)) == "a teddy bear against a green background"
    brick = halves((200, 40, 40), (128, 128, 128))
    assert sentence(brick, ("apron", 0.5)) == "an apron on a grey ground with red behind it"
    assert sentence(Image.new("RGB", (80, 60), (9, 9, 9)), ("teapot", 0.2)) == (
        "something like a teapot against a black background in dim light")  # fmt: skip
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    assert sentence(noise, ("knot", 0.05)).startswith("something")
    assert sentence(noise, ("knot", 0.05), class_word="vase").startswith("a vase")


def test_an_animal_is_named_by_its_kind_not_its_breed():
    grass = Image.new("RGB", (80, 60), (60, 160, 50))
    breeds = (("Pembroke Welsh Corgi", 0.2), ("Cardigan Welsh Corgi", 0.19), ("tennis ball", 0.25))
    assert sentence(grass, *breeds, subject="animal") == "a dog against a green background"
    assert sentence(grass, *breeds) == "something like a tennis ball against a green background"


def test_the_labs_encoder_names_the_demos_scenes():
    folder = Path(str(files("presets") / "demo" / "style"))
    captioner = open_captioner(CaptionPlan("", captioner="scenes"), lambda *_: None)
    right = things = 0
    paths = sorted(folder.glob("*.webp"))
    for path in paths:
        truth = path.with_suffix(".txt").read_text().split(", zwv style")[0]
        said = captioner.caption([Image.open(path).convert("RGB")])[0]
        right += truth.split(" on ")[-1].split(" in ")[-1] in said
        things += f" {path.stem.split('-')[0]} " in f" {said} "
    assert things >= len(paths) // 2 and right >= len(paths) // 2, (things, right, len(paths))


@pytest.mark.parametrize("name", ["bear_plushie"])
def test_real_labels_on_real_photographs(offline_models, shared_data, name):
    from engine.dataset.picture import open_rgb

    captioner = open_captioner(CaptionPlan("", captioner=str(offline_models / "efficientnet-lite0")), lambda *_: None)
    paths = sorted((shared_data / "dreambooth" / name).glob("*.jpg"))
    said = captioner.caption([open_rgb(path) for path in paths])
    assert len(said) == 5 and all("teddy bear" in text for text in said), said
    # The fourth lies in the grass, the third on a road, as a person sees.
    assert "green" in said[3] and "grey" in said[2]
