"""Every captioner through the code a real one takes: the real classes, small and random, from a folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_captioners import tiny_blip, tiny_blip2, tiny_florence, tiny_qwen
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

from engine.caption import generative
from engine.caption.captioner import Captioner
from engine.caption.generative import Blip, Chat, Florence
from engine.caption.journal import CaptionError
from engine.caption.opening import open_captioner
from engine.caption.plan import CaptionPlan
from engine.errors import LorasmithError

ASKED = "Say what is seen."
LONGEST = 12


def pictures(*sizes: tuple[int, int]) -> list[Image.Image]:
    draw = np.random.default_rng(3)
    return [Image.fromarray(draw.integers(0, 255, (height, width, 3), dtype=np.uint8)) for width, height in sizes]


THREE = pictures((100, 60), (200, 150), (64, 64))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random models talk to the end; a few tokens say as much."""
    for kind in (Blip, Florence, Chat):
        monkeypatch.setattr(kind, "longest", LONGEST)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[Path], Path]], Path]:
    folder = tmp_path_factory.mktemp("captioners")

    def make(maker: Callable[[Path], Path]) -> Path:
        path = folder / maker.__name__
        return path if path.exists() else maker(path)

    return make


def opened(folder: Path, **plan: object) -> Captioner:
    return open_captioner(CaptionPlan(folder="", captioner=str(folder), **plan), lambda done, total: None)


def parts(folder: Path):
    """The model and its processor as transformers' own pages load them."""
    return AutoModelForImageTextToText.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)


@pytest.mark.parametrize("maker", [tiny_blip, tiny_blip2, tiny_florence, tiny_qwen])
def test_a_batch_says_what_each_picture_alone_would(made, maker):
    captioner = opened(made(maker))
    together = captioner.caption(THREE, ASKED)
    assert len(together) == 3 and all(isinstance(text, str) and text for text in together)
    assert together == [captioner.caption([image], ASKED)[0] for image in THREE]
    assert captioner.caption([], ASKED) == []


def test_blip_says_what_transformers_own_example_gives(made):
    captioner, (model, processor) = opened(made(tiny_blip)), parts(made(tiny_blip))
    for image in THREE:
        tokens = model.generate(**processor(images=image, return_tensors="pt"), max_new_tokens=LONGEST, num_beams=3)
        wanted = processor.decode([token for token in tokens[0].tolist() if token < len(processor.tokenizer)],
                                  skip_special_tokens=True)  # fmt: skip
        assert captioner.caption([image]) == [wanted.strip()]


def test_blip2_says_what_transformers_own_example_gives(made):
    captioner, (model, processor) = opened(made(tiny_blip2)), parts(made(tiny_blip2))
    for image in THREE:
        tokens = model.generate(**processor(images=image, return_tensors="pt"), max_new_tokens=LONGEST, num_beams=3)
        assert captioner.caption([image]) == [processor.batch_decode(tokens, skip_special_tokens=True)[0].strip()]


@pytest.mark.parametrize("task", ["<DETAILED_CAPTION>", "<CAPTION>"])
def test_florence_says_what_its_processor_makes_of_the_task(made, task):
    captioner, (model, processor) = opened(made(tiny_florence)), parts(made(tiny_florence))
    for image in THREE:
        inputs = processor(text=task, images=image, return_tensors="pt")
        tokens = model.generate(**inputs, max_new_tokens=LONGEST, num_beams=3, do_sample=False)
        raw = processor.batch_decode(tokens, skip_special_tokens=False)[0]
        wanted = processor.post_process_generation(raw, task=task, image_size=image.size)[task]
        said = captioner.caption([image], task if task == "<CAPTION>" else "an instruction it does not know")
        # A random model also says places and fill, which the real one keeps for other tasks.
        assert said == [re.sub(r"<(pad|loc_\d+)>", "", wanted).strip()]


def test_a_chat_models_answer_has_none_of_the_question(made):
    folder = made(tiny_qwen)
    captioner = opened(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    tokenizer, images = AutoTokenizer.from_pretrained(folder), AutoImageProcessor.from_pretrained(folder)
    for image in THREE:
        # By hand: the template's words, as many picture tokens as the merged patches, and only what comes behind.
        seen = images(images=[image], return_tensors="pt")
        count = int(seen["image_grid_thw"][0].prod()) // images.merge_size**2
        text = ("<|im_start|>user\n<|vision_start|>" + "<|image_pad|>" * count + "<|vision_end|>" + ASKED
                + "<|im_end|>\n<|im_start|>assistant\n")  # fmt: skip
        question = tokenizer(text, return_tensors="pt")
        kinds = (question["input_ids"] == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
        tokens = model.generate(**question, **seen, mm_token_type_ids=kinds, max_new_tokens=LONGEST, do_sample=False)
        wanted = tokenizer.decode(tokens[0, question["input_ids"].shape[1] :], skip_special_tokens=True)
        assert captioner.caption([image], ASKED) == [wanted.strip()]
    assert captioner.instructed and captioner.caption(THREE[:1], "Other words.") != captioner.caption(THREE[:1], ASKED)


def test_models_that_are_no_captioner_are_said_in_one_sentence(made, tmp_path, monkeypatch):
    def told(folder: Path | str) -> str:
        with pytest.raises(CaptionError) as caught:
            opened(folder)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no captioner 'no-such-name'" in told("no-such-name")
    (tmp_path / "empty").mkdir()
    assert "needs config.json and model.safetensors" in told(tmp_path / "empty")
    for name, config, wanted in (
        ("bert", {"model_type": "bert"}, "does not describe pictures"),
        ("own-code", {"model_type": "other", "auto_map": {}}, "author's own code, which is not run"),
        ("florence", {"model_type": "florence2", "auto_map": {}}, "florence-community/Florence-2-large"),
        ("broken", "{", "cannot be read"),
    ):
        folder = shutil.copytree(made(tiny_blip), tmp_path / name)
        (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
        assert wanted in told(folder)
    cut = shutil.copytree(made(tiny_blip), tmp_path / "cut")
    weights = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert "cannot be loaded as a captioner" in told(cut)
    mute = shutil.copytree(made(tiny_qwen), tmp_path / "mute")
    (mute / "chat_template.jinja").unlink()
    assert "has no chat template" in told(mute)
    monkeypatch.setattr(generative, "_free_memory", lambda: 1000)
    assert "GB are free in this machine's memory: take a smaller captioner" in told(made(tiny_blip))


def test_without_a_network_the_sentence_says_so(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(LorasmithError, match="nobody/nothing") as caught:
        opened("nobody/nothing")
    assert isinstance(caught.value, LorasmithError) and "\n" not in str(caught.value)
