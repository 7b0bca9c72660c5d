"""`lorasmith draw` as a person meets it: LoRAs with weights, the two passes, what the PNG says, every refusal."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import safetensors.torch
import torch
from PIL import Image
from planted_loras import planted_lora

from engine.base.load import open_base
from engine.draw import __main__ as command
from engine.draw import artist, picture
from engine.draw.__main__ import lora_and_weight
from engine.draw.order import HiresFix
from engine.draw.picture import draw_picture, evaluations
from engine.draw.request import PictureRequest
from engine.errors import LorasmithError
from engine.plan import Network


@pytest.fixture(scope="module")
def loras(tiny_base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("loras")
    base = open_base(tiny_base)
    one = planted_lora(base, folder / "one.safetensors", Network(rank=2))
    return one, planted_lora(base, folder / "two:1.safetensors", Network(rank=4, train_text_encoders=True), seed=1)


@pytest.fixture
def request_(tiny_base, tmp_path):
    return PictureRequest("a red apple", tmp_path / "apple.png", str(tiny_base), seed=5, steps=3, force=True)


def pixels(path):
    with Image.open(path) as opened:
        return numpy.asarray(opened), opened.text["parameters"]


def test_several_loras_with_their_weights_are_worn_and_told(request_, loras):
    draw_picture(request_)
    plain, _ = pixels(request_.to)
    said: list[str] = []
    draw_picture(replace(request_, loras=((loras[0], 0.8), (loras[1], -0.5))), said=said.append)
    worn, text = pixels(request_.to)
    assert text.startswith("a red apple <lora:one:0.8> <lora:two:1:-0.5>\nSteps: 3, Sampler: Euler")
    assert [sentence.split(" of ", 1)[1].endswith("matched.") for sentence in said] == [True, True]
    assert numpy.abs(worn.astype(int) - plain).max() > 8
    draw_picture(replace(request_, loras=((loras[0], 0.0), (loras[1], 0.0))))
    assert numpy.array_equal(pixels(request_.to)[0], plain)


def test_the_high_res_fix_keeps_the_first_pass_beside_it(request_, loras):
    draw_picture(replace(request_, loras=((loras[1], 1.0),)))
    alone, text = pixels(request_.to)
    said: list[str] = []
    fix = HiresFix(scale=2, steps=2, denoise=0.5, upscaler="latent")
    paths = draw_picture(replace(request_, loras=((loras[1], 1.0),), hires=fix), said=said.append)
    assert [path.name for path in paths] == ["apple.png", "apple-first-pass.png"]
    first, final = pixels(paths[1]), pixels(paths[0])
    assert numpy.array_equal(first[0], alone) and first[1] == text
    assert final[0].shape == (128, 128, 3)
    assert final[1] == text + ", Denoising strength: 0.5, Hires upscale: 2, Hires steps: 2, Hires upscaler: Latent"
    assert said[-1] == "The high-res pass made 2 steps from 64x64 to 128x128."


@pytest.mark.parametrize(("sampler", "hires"), [("Euler a", None), ("heun", None), ("DPM2 a", HiresFix(steps=2))])
def test_the_steps_are_counted_before_they_are_made(request_, sampler, hires):
    asked = replace(request_, sampler=sampler, hires=hires)
    polled: list[int] = []
    draw_picture(asked, between_steps=lambda: polled.append(1))
    assert len(polled) == evaluations(asked)


def test_any_seed_is_another_each_time_and_is_told(request_):
    said: list[str] = []
    draw_picture(replace(request_, seed=-1), said=said.append)
    assert f"Seed: {said[0].removeprefix('The seed is ').rstrip('.')}," in pixels(request_.to)[1]


@pytest.mark.parametrize(
    ("said", "path", "weight"),
    [
        ("fox.safetensors", "fox.safetensors", 1.0), ("fox.safetensors:0.8", "fox.safetensors", 0.8),
        ("a:b/fox:1.safetensors:-.5", "a:b/fox:1.safetensors", -0.5), ("a:b/fox", "a:b/fox", 1.0),
    ],
)  # fmt: skip
def test_the_weight_stands_behind_the_last_colon(said, path, weight):
    assert (str(lora_and_weight(said)[0]), lora_and_weight(said)[1]) == (path, weight)


def test_a_path_that_exists_as_it_is_written_has_no_weight_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fox:2").mkdir()
    assert lora_and_weight("fox:2")[1] == 1.0 and lora_and_weight("fox:2:0.5")[1] == 0.5


def test_what_is_wrong_with_a_request_is_one_sentence_before_anything_is_loaded(request_, tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "open_base", None)
    wrong = {
        "'moon' is no sampler": {"sampler": "moon"},
        "0 steps cannot be made": {"steps": 0},
        "--steps 100,000,000 is out of range, 1 to 1,000": {"steps": 10**8},
        "size 100000x64 is too large: take sides of at most 4,096": {"size": (100000, 64)},
        "guidance of nan": {"cfg": float("nan")},
        "-2 is no seed": {"seed": -2},
        "denoise of 2": {"hires": HiresFix(denoise=2)},
        "does not end in .png": {"to": tmp_path / "x.jpg"},
        "is too long for a file": {"to": tmp_path / f"{'x' * 245}.png", "hires": HiresFix()},
        "no folder .*nowhere": {"to": tmp_path / "nowhere" / "x.png"},
        "No file can be written in /proc": {"to": Path("/proc/x.png")},
        "no LoRA at .*gone.safetensors": {"loras": ((tmp_path / "gone.safetensors", 1.0),)},
        "x has the weight nan": {"loras": ((tmp_path / "x", float("nan")),)},
        "x has the weight 101": {"loras": ((tmp_path / "x", 101.0),)},
    }
    for sentence, change in wrong.items():
        with pytest.raises(LorasmithError, match=sentence):
            draw_picture(replace(request_, **change))


def test_a_lora_of_another_kind_of_model_is_refused_and_nothing_is_written(request_, tmp_path):
    path = tmp_path / "flux.safetensors"
    pair = {"lora_down.weight": torch.ones(2, 8), "lora_up.weight": torch.ones(8, 2)}
    safetensors.torch.save_file({f"lora_unet_double_blocks_0.{key}": t for key, t in pair.items()}, path)
    with pytest.raises(LorasmithError, match="Nothing of flux.safetensors fits this base"):
        draw_picture(replace(request_, loras=((path, 1.0),)))
    assert not request_.to.exists()


@pytest.mark.parametrize("role", ["alpha", "lora_down.weight"])
def test_a_lora_whose_numbers_are_not_finite_is_refused(request_, loras, tmp_path, role):
    path = tmp_path / "wild.safetensors"
    tensors = safetensors.torch.load_file(loras[0])
    key = next(key for key in tensors if key.endswith(role))
    safetensors.torch.save_file({**tensors, key: torch.full_like(tensors[key], float("nan"))}, path)
    with pytest.raises(LorasmithError, match="wild.safetensors (is|are) not finite: use another checkpoint"):
        draw_picture(replace(request_, loras=((path, 1.0),)))
    assert not request_.to.exists()


def test_black_and_unfinite_pictures_are_said(request_, loras, monkeypatch):
    black = numpy.zeros((64, 64, 3), dtype=numpy.uint8)
    with monkeypatch.context() as patch:
        patch.setattr(picture, "decode_order", lambda *_: black)
        with pytest.raises(LorasmithError, match="seed 5, came out black from edge to edge"):
            draw_picture(request_)
    real = artist.draw_latents
    monkeypatch.setattr(artist, "draw_latents", lambda *given, **options: real(*given, **options) * float("nan"))
    with pytest.raises(LorasmithError, match="draws no finite picture for 'a red apple', seed 5"):
        draw_picture(request_)
    with pytest.raises(LorasmithError, match="not finite with one.safetensors at 9: lower the weight"):
        draw_picture(replace(request_, loras=((loras[0], 9.0),)))
    assert not request_.to.exists()


def test_nothing_that_is_there_is_overwritten_unless_that_is_said(request_):
    mine = request_.to.with_name("apple-first-pass.png")
    mine.write_text("mine")
    careful = replace(request_, force=False)
    with pytest.raises(LorasmithError, match=r"apple-first-pass\.png exists: choose another name, or add --force"):
        draw_picture(replace(careful, hires=HiresFix()))
    assert mine.read_text() == "mine" and not request_.to.exists()
    draw_picture(careful)
    with pytest.raises(LorasmithError, match=r"apple\.png exists: choose another name, or add --force"):
        draw_picture(careful)
    draw_picture(request_)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [([], "apple.png exists: choose another name"), (["--force", "--scheduler", "Eul"], "Eul"),
     (["--force", "--steps", "0"], "0 steps cannot be made"), (["--force", "--lora", "x:200"], "x has the weight 200")],
)  # fmt: skip
def test_a_slip_is_told_before_torch_is_loaded(tmp_path, more, sentence):
    there = tmp_path / "apple.png"
    there.write_text("mine")
    code = "import sys; sys.modules['torch'] = None; from engine.draw.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-P", "-c", code, "a red apple", "--to", str(there), *more]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 1 and sentence in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert there.read_text() == "mine"


def test_ctrl_c_is_one_sentence_and_leaves_no_picture(request_, monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(picture, "decode_order", interrupted)
    monkeypatch.setattr("sys.argv", ["draw", "--to", str(request_.to), "--base", request_.base, "--steps", "1", "fox"])
    assert command.main() == 130
    assert capsys.readouterr().err == "Stopped; no picture is written.\n" and not request_.to.exists()


def test_a_stray_byte_in_a_prompt_is_said(request_):
    with pytest.raises(LorasmithError, match=r"'fox \\udcff' holds bytes that are not UTF-8 text"):
        draw_picture(replace(request_, prompt=os.fsdecode(b"fox \xff")))


def test_a_size_that_is_none_is_told_before_anything_is_loaded(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["draw", "x", "--to", "x.png", "--base", "nowhere", "--size", "64by48"])
    assert command.main() == 1
    assert capsys.readouterr().err == "--size: '64by48' is no size: write it as 832x1216.\n"


def test_a_full_disk_is_one_sentence(request_, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(picture, "save_png", full)
    asked = ["draw", "x", "--to", str(request_.to), "--base", request_.base, "--steps", "1", "--size", "64x48",
             "--scheduler", "dpmpp_2m_karras"]  # fmt: skip
    monkeypatch.setattr("sys.argv", asked)
    assert command.main() == 1
    assert capsys.readouterr().err == (
        f"{request_.to} could not be written (No space left on device): choose another place.\n"
    )


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("home/cache/base.json", "home/cache/base.json could not be reached .*or name another with LORASMITH_HOME"),
        ("elsewhere/lora", "elsewhere/lora could not be reached .*: check that place"),
        (".apple.12ab.png", "apple.png could not be written .*: choose another place"),
    ],
)
def test_the_place_that_failed_is_the_one_that_is_named(request_, tmp_path, monkeypatch, capsys, place, sentence):
    def closed(*_, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path / place))

    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(picture, "draw_picture", closed)
    monkeypatch.setattr("sys.argv", ["draw", "x", "--to", str(request_.to)])
    assert command.main() == 1
    said = capsys.readouterr().err
    assert re.search(sentence, said) and ("apple.png" in said) == place.startswith(".")
