"""A LoRA at a weight that the comparison does not recommend, or did not draw: nothing is told of it that is not so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import comparison
import pytest
import safetensors
from comparison import BEST
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.compare.choice import nearest
from engine.compare.export import choose
from engine.draw.order import Order, parameters
from tui.cli import main


@pytest.fixture
def made():
    """Its recommended weight is 0.8 or 1; there are pictures and figures of 0.6, 0.8 and 1."""
    return comparison.finished()


def card_of(done) -> str:
    return done.beside["card"].read_text("utf-8")


def json_of(done) -> dict:
    return json.loads(done.beside["words and weight"].read_text("utf-8"))


def hint_of(path: Path) -> str:
    with safetensors.safe_open(path, "pt") as opened:
        return opened.metadata()["modelspec.usage_hint"]


def other_weight(made) -> float:
    """One that was measured and is not the recommended."""
    return 0.6 if made.report.weight[1] != 0.6 else 0.8


def weight_words(made) -> str:
    return next(words.text for words in made.report.words if words.text.startswith("Use it at weight "))


def test_what_the_comparison_recommends_is_argued_for(made):
    done = choose("fox")
    assert not done.by_hand and done.notes == () and "by hand" not in card_of(done)
    assert weight_words(made) in card_of(done) and "| measured | of 100 |" in card_of(done)
    assert choose("fox", weight=made.report.weight[1], name="same").by_hand is False


def test_a_measured_weight_by_hand_says_so_with_its_own_figures_and_pictures(made):
    best, weight = made.report.weight, other_weight(made)
    done = choose("fox", weight=weight)
    said = f"Weight {weight:g} was chosen by hand for epoch {BEST}; the comparison recommends weight {best[1]:g}."
    text = card_of(done)
    assert done.by_hand and done.recommended == "" and done.notes == (said,)
    assert said in text and weight_words(made) not in text and said == json_of(done)["description"]
    own, other = made.report.point((BEST, weight)), made.report.point(best)
    assert f"Its fidelity is {own.fidelity:.0f} (the recommended one's {other.fidelity:.0f})" in text
    assert f"| measured | of 100 |\n| --- | ---: |\n| fidelity (100: the photographs) | {own.fidelity:.0f} |" in text
    assert "What follows was measured at weight 1." in text and "shows it at weight" not in text
    assert "chosen by hand" in hint_of(done.file) and "Recommended weight" not in hint_of(done.file)


def test_a_weight_that_was_not_drawn_is_labelled_wherever_another_is_shown(made):
    done = choose("fox", weight=0.5)
    text, point = card_of(done), made.report.point((BEST, 0.6))
    assert "use it at weight **0.5**" in text and "<lora:fox:0.5>" in text
    assert f"| measured at weight 0.6 | of 100 |\n| --- | ---: |\n| fidelity (100: the photographs) | " \
           f"{point.fidelity:.0f} |" in text  # fmt: skip
    assert "At weight 0.6 its fidelity is" in text
    assert "*The picture shows it at weight 0.6.*" in text and "Drawn at weight 0.6 on demo" in text
    assert json_of(done)["notes"].startswith("The preview shows it at weight 0.6. ")
    assert "The thumbnail shows it at weight 0.6." in hint_of(done.file)
    assert done.notes[1:] == ("Nothing was drawn at weight 0.5: its pictures show it at weight 0.6.",)
    assert "Tried at weight 1: " in text.partition("high-res fix")[2]


def test_another_epoch_at_another_weight_is_labelled_too(made):
    done = choose("fox", epoch=5, weight=0.7)
    best = made.report.name_of(made.report.weight)
    assert f"Epoch 5 at weight 0.7 was chosen by hand; the comparison recommends {best}." in card_of(done)
    assert "At weight 1 its fidelity is" in card_of(done) and "| measured at weight 1 | of 100 |" in card_of(done)
    assert done.recommended == best


def test_the_command_says_that_the_weight_is_by_hand(made, capsys):
    weight = other_weight(made)
    assert main(["choose", "fox", "--weight", str(weight)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"Use it at weight {weight:g}." in said and "recommends another" not in said
    assert f"Weight {weight:g} was chosen by hand for epoch 4; the comparison recommends weight" in said


def test_a_weight_has_the_same_digits_everywhere(made):
    done = choose("fox", weight=0.123456789)
    assert done.weight == json_of(done)["preferred weight"] == made.report.chosen.weight == 0.123457
    assert ": 0.123457." in hint_of(done.file) and "0.123457**" in card_of(done) and "0.1234567" not in card_of(done)


@pytest.mark.parametrize(
    ("weights", "wanted", "found"),
    [((0.6, 0.8, 1.0), 0.8, 0.8), ((0.6, 0.8, 1.0), 0.7, 0.8), ((0.6, 0.8), 2.0, 0.8), ((0.8, 1.2), 1.0, 0.8),
     ((), 1.0, None)],
)  # fmt: skip
def test_the_nearest_weight(weights, wanted, found):
    assert nearest(weights, wanted) == nearest(reversed(weights), wanted) == found


def as_a1111_reads(text: str) -> tuple[str, list[tuple[str, str]], dict[str, str]]:
    """Prompt, networks and settings, by the expressions of A1111's own reader."""
    *lines, last = text.strip().split("\n")
    prompt = "\n".join(lines).partition("\nNegative prompt:")[0]
    found = dict(re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', last))
    networks = re.findall(r"<(\w+):([^>]+)>", prompt)
    return re.sub(r"<(\w+):([^>]+)>", "", prompt).strip(), networks, found


def written(path: Path) -> str:
    with Image.open(path) as picture:
        return picture.info["parameters"]


def with_parameters(path: Path, text: str) -> None:
    with Image.open(path) as picture:
        pixels = picture.convert("RGB")
    about = PngInfo()
    about.add_itxt("parameters", text)
    pixels.save(path, pnginfo=about)


def test_the_preview_calls_the_lora_by_its_name_at_the_weight_it_was_drawn_with(made):
    drawn = {row.name: row.drawn for row in made.report.prompts}
    for row in made.report.pictures:
        if row.checkpoint == BEST:
            order = Order(drawn[row.prompt], (64, 64), row.seed, "blurred, <lora:none:1>", 12, 4.5)
            tag = f"<lora:fox-{BEST:06d}:{row.weight:g}>"
            said = parameters(order, base_name="a, base", base_hash="c0ffee", lora=tag)
            with_parameters(made.folder / row.file, said)
    done = choose("fox", weight=0.5, name="Füchse 2")
    text = written(done.beside["preview"])
    prompt, networks, settings = as_a1111_reads(text)
    assert networks == [("lora", "Füchse 2:0.6")] and prompt in drawn.values()
    assert "Negative prompt: blurred, <lora:none:1>\n" in text
    assert settings["Steps"] == "12" and settings["Model"] == '"a, base"' and settings["Size"] == "64x64"
    pictures = [Image.open(made.folder / row.file) for row in made.report.pictures if row.weight == 0.6]
    assert Image.open(done.beside["preview"]).tobytes() in [picture.tobytes() for picture in pictures]


def test_the_preview_of_an_uncompared_training_gains_the_name(made):
    import shutil

    shutil.rmtree(made.run.path)
    run = made.training
    run.samples.mkdir(exist_ok=True)
    sample = run.samples / "epoch-0003-step-00000120-01.png"
    Image.new("RGB", (64, 64), "orange").save(sample)
    with_parameters(sample, "photo of ohwx animal, <lora:mine:1>\nSteps: 16, Sampler: Euler, CFG scale: 4.5, Seed: 42")
    done = choose("fox", epoch=3, weight=0.7, name="solo")
    prompt, networks, settings = as_a1111_reads(written(done.beside["preview"]))
    assert networks == [("lora", "mine:1"), ("lora", "solo:1")] and prompt == "photo of ohwx animal,"
    assert settings == {"Steps": "16", "Sampler": "Euler", "CFG scale": "4.5", "Seed": "42"}
    assert "Epoch 3 at weight 0.7 was chosen by hand; the training was not compared." in card_of(done)
    assert "Drawn at weight 1." in card_of(done) and "*The picture shows it at weight 1.*" in card_of(done)
