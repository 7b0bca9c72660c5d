"""`lorasmith choose`: the LoRA under its name, its tensors untouched, its metadata as other programs read them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import comparison
import pytest
import safetensors.torch
import torch
from comparison import BEST
from PIL import Image

from engine.compare.export import choose
from engine.compare.report import read_report, write_report
from engine.compare.restate import restate
from engine.errors import LorasmithError
from engine.runs.folder import RunFolder
from tui.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def made():
    return comparison.half_way()


def tensors(path: Path) -> dict:
    return safetensors.torch.load_file(path)


def metadata(path: Path) -> dict[str, str]:
    with safetensors.safe_open(path, "pt") as opened:
        return opened.metadata()


def checkpoint(made, epoch: int) -> Path:
    return made.training.checkpoints / f"{made.training.name}-{epoch:06d}.safetensors"


def uncompared(made) -> RunFolder:
    """The training alone: its comparison is gone."""
    import shutil

    shutil.rmtree(made.run.path)
    return made.training


def test_the_comparisons_choice_is_taken_with_all_that_belongs_to_it(made, own_home):
    done = choose("fox")
    assert done.file == own_home / "loras" / "fox.safetensors"
    assert (done.checkpoint, done.weight, done.by_hand) == (BEST, 1.0, False)
    names = {path.name for path in done.file.parent.iterdir()}
    assert names == {"fox.safetensors", "fox.png", "fox.json", "fox.md", "fox.samples.jpg", "fox.html"}
    assert {path.name for path in done.beside.values()} == names - {"fox.safetensors"}


def test_every_tensor_is_the_checkpoints_own_to_the_bit(made):
    done = choose("fox")
    before, after = tensors(checkpoint(made, BEST)), tensors(done.file)
    assert before.keys() == after.keys()
    for key, tensor in before.items():
        assert tensor.dtype == after[key].dtype
        assert torch.equal(tensor.flatten().view(torch.uint8), after[key].flatten().view(torch.uint8))


def test_metadata_keep_what_they_said_and_gain_words_weight_and_thumbnail(made):
    before = metadata(checkpoint(made, BEST))
    after = metadata(choose("fox", weight=0.8, name="Our fox").file)
    kept = {key: value for key, value in before.items() if key not in {"ss_output_name", "modelspec.usage_hint"}}
    assert kept.items() <= after.items()
    assert after["modelspec.title"] == after["ss_output_name"] == "Our fox"
    assert after["modelspec.trigger_phrase"] == "ohwx animal"
    assert '"ohwx animal"' in after["modelspec.usage_hint"] and "0.8" in after["modelspec.usage_hint"]
    assert "AI-generated" in after["modelspec.usage_hint"]
    kind, _, data = after["modelspec.thumbnail"].partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert picture.format == "JPEG" and max(picture.size) == 256


def test_a_hint_of_the_files_own_stays(made, tmp_path):
    old = checkpoint(made, BEST)
    restate(old, tmp_path / "hinted.safetensors", {"modelspec.usage_hint": "DoRA, experimental."})
    (tmp_path / "hinted.safetensors").replace(old)
    hint = metadata(choose("fox").file)["modelspec.usage_hint"]
    assert hint.endswith("DoRA, experimental.") and "Recommended weight" in hint


@pytest.mark.parametrize("ranks", [4, 700])  # the second is larger than the megabyte that the old hash looks behind
def test_hashes_are_what_kohya_computes(tmp_path, ranks):
    """kohya: save the tensors with the ss_ metadata alone, then sha256 behind the header, and of 64 KB at 1 MB."""
    source, to = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    weights = {
        "lora_unet_x.lora_down.weight": torch.randn(ranks, 640),
        "lora_unet_x.lora_up.weight": torch.randn(640, ranks),
        "lora_unet_x.alpha": torch.tensor(4.0),
    }
    about = {"ss_network_dim": "4", "ss_tag_frequency": json.dumps({"1_füchse": {'a "fox"\n\\': 3}}), "other": "x"}
    safetensors.torch.save_file(weights, source, about)
    said = restate(source, to, {"ss_output_name": "Füchse", "modelspec.title": "Füchse"})
    own = {key: value for key, value in said.items() if key.startswith("ss_")}
    saved = safetensors.torch.save(weights, own)
    behind = 8 + int.from_bytes(saved[:8], "little")
    assert said["sshs_model_hash"] == hashlib.sha256(saved[behind:]).hexdigest()
    assert said["sshs_legacy_hash"] == hashlib.sha256(saved[0x100000:0x110000]).hexdigest()[:8]
    assert metadata(to) == said
    assert all(torch.equal(tensor, tensors(to)[name]) for name, tensor in weights.items())


def test_inspect_finds_nothing_odd(made):
    from engine.lora.inspect import inspect_lora

    report = inspect_lora(choose("fox").file)
    assert report.odd == () and report.trigger == "ohwx animal" and report.base == "SDXL"


def test_the_preview_is_the_picture_itself_with_its_parameters(made):
    done = choose("fox")
    pictures = [made.folder / row.file for row in made.report.pictures if row.checkpoint == BEST]
    assert done.beside["preview"].read_bytes() in [path.read_bytes() for path in pictures]


def test_a1111_reads_words_and_weight_beside_the_file(made):
    said = json.loads(choose("fox", weight=0.8).beside["words and weight"].read_text("utf-8"))
    assert said["activation text"] == "ohwx animal"
    assert said["preferred weight"] == 0.8
    assert said["sd version"] == "SDXL"


def test_the_card_tells_use_reasons_licence_and_origin(made):
    done = choose("fox")
    card = done.beside["card"].read_text("utf-8")
    assert "<lora:fox:1>" in card and "ohwx animal" in card
    for program in ("A1111", "Forge", "ComfyUI", "InvokeAI", "diffusers"):
        assert program in card
    assert made.report.words[0].text in card
    assert "AI-generated" in card and "Apache-2.0" in card and "high-res fix" in card
    assert hashlib.sha256(done.file.read_bytes()).hexdigest() in card
    for link in re.findall(r"\]\(([^)]*)\)", card):
        assert (done.file.parent / link).is_file()


def test_an_epoch_by_hand_says_so_and_what_was_recommended(made):
    done = choose("fox", epoch=5)
    card = done.beside["card"].read_text("utf-8")
    assert done.by_hand and "chosen by hand; the comparison recommends epoch 4" in card
    assert torch.equal(*(next(iter(tensors(path).values())) for path in (done.file, checkpoint(made, 5))))


def test_the_comparison_remembers_what_was_chosen(made):
    before = made.report
    done = choose("fox", weight=0.8)
    report = made.report
    assert report.chosen is not None
    assert (report.chosen.checkpoint, report.chosen.weight, report.chosen.file) == (BEST, 0.8, str(done.file))
    assert replace(report, chosen=None) == before


def test_a_training_without_a_comparison_is_chosen_from_directly(made, own_home):
    run = uncompared(made)
    run.samples.mkdir(exist_ok=True)
    from PIL.PngImagePlugin import PngInfo

    about = PngInfo()
    about.add_text("parameters", "photo of ohwx animal\nSteps: 8")
    Image.new("RGB", (64, 64), "orange").save(run.samples / "epoch-0004-step-00000160-01.png", pnginfo=about)
    done = choose("fox", epoch=4)
    assert {path.name for path in done.file.parent.iterdir()} == {
        "fox.safetensors", "fox.png", "fox.json", "fox.md", "fox.samples.jpg",
    }  # fmt: skip
    card = done.beside["card"].read_text("utf-8")
    assert "photo of ohwx animal" in card and "was not compared" in card
    with pytest.raises(LorasmithError, match="has not been compared.*--epoch N; there are 1 to 10"):
        choose("fox")
    with pytest.raises(LorasmithError, match="no checkpoint of epoch 11: there are 1 to 10"):
        choose("fox", epoch=11)


def test_alone_it_is_the_file_at_the_place_that_is_named(made, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SSH_CONNECTION", "203.0.113.5 50000 2001:db8::7 22")
    folder = tmp_path / "mine"
    folder.mkdir()
    place = folder / "my fox.safetensors"
    assert main(["choose", "fox", "--epoch", "5", "--to", str(place), "--alone"]) == 0
    assert list(folder.iterdir()) == [place] and tensors(place).keys() == tensors(checkpoint(made, 5)).keys()
    assert metadata(place)["modelspec.trigger_phrase"] == "ohwx animal"
    said = capsys.readouterr().out
    assert re.search(r"To fetch it, type.*\n  scp '\w+@\[2001:db8::7\]:\S*/my fox\.safetensors' \.", said)
    assert main(["choose", "fox", "--to", str(place), "--alone"]) == 1
    assert "exists" in capsys.readouterr().err and list(folder.iterdir()) == [place]


@pytest.mark.parametrize("options", [[], ["--alone"]])
def test_another_epoch_than_the_recommended_is_always_remarked(made, tmp_path, capsys, options):
    assert main(["choose", "fox", "--epoch", "5", "--to", str(tmp_path), *options]) == 0
    assert "The comparison recommends another, epoch 4" in " ".join(capsys.readouterr().out.split())
    assert main(["choose", "fox", "--epoch", "4", "--to", str(tmp_path), "--force", *options]) == 0
    assert "recommends another" not in capsys.readouterr().out


def test_an_epoch_that_is_not_there_names_those_that_are(made):
    run = uncompared(made)
    for number in range(3, 10):
        checkpoint(made, number).unlink()
    (run.checkpoints / f"{run.name}-step00000030.safetensors").touch()  # saved on request, of no epoch
    with pytest.raises(LorasmithError, match=r"no checkpoint of epoch 3: there are 1, 2, 10"):
        choose("fox", epoch=3)
    for number in (1, 2, 10):
        checkpoint(made, number).unlink()
    with pytest.raises(LorasmithError, match="has no checkpoint yet"):
        choose("fox", epoch=1)


def test_files_from_elsewhere_keep_their_names():
    comparison.from_elsewhere()
    done = choose("loras-compare")
    assert done.name == "fox-middle" and done.called == "fox-middle"


def test_without_pictures_the_lora_is_written_all_the_same(made):
    report = made.report
    write_report(made.folder, replace(report, pictures=()))
    done = choose("fox", epoch=4)
    assert "preview" not in done.beside and "modelspec.thumbnail" not in metadata(done.file)
    assert done.notes == (
        "The comparison was not finished when this was chosen.", "There is no picture of it, so it has no preview.",
    )  # fmt: skip
    assert "![" not in done.beside["card"].read_text("utf-8")


def test_nothing_is_overwritten_without_a_word(made):
    first = choose("fox")
    before = {path: path.read_bytes() for path in first.file.parent.iterdir()}
    with pytest.raises(LorasmithError, match=r"fox\.safetensors exists: .*--name.*--force"):
        choose("fox", epoch=5)
    assert {path: path.read_bytes() for path in first.file.parent.iterdir()} == before
    first.file.unlink()  # a card alone is a person's file, too
    with pytest.raises(LorasmithError, match=r"fox\.png exists"):
        choose("fox", epoch=5)
    assert choose("fox", epoch=5, force=True).checkpoint == 5


def test_the_checkpoint_itself_is_never_the_target(made):
    with pytest.raises(LorasmithError, match="is the checkpoint itself"):
        choose("fox", to=checkpoint(made, BEST), force=True)


def test_a_full_disk_leaves_nothing_and_says_so(made, tiny_disk):
    with pytest.raises(LorasmithError, match=r"No space left on device.*nothing was changed"):
        choose("fox", to=tiny_disk)
    assert list(tiny_disk.iterdir()) == []
    assert made.report.chosen is None


def test_a_damaged_checkpoint_is_refused(made):
    path = checkpoint(made, BEST)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LorasmithError, match="truncated|bytes"):
        choose("fox")
    path.unlink()
    with pytest.raises(LorasmithError, match="is gone"):
        choose("fox")


def test_a_damaged_or_newer_report_is_told_and_the_run_can_still_be_chosen_from(made):
    report = made.folder / "report.json"
    whole = json.loads(report.read_text("utf-8"))
    for text, said in ((json.dumps(whole | {"version": 9}), "newer lorasmith"), ("{", "cannot be read")):
        report.write_text(text)
        with pytest.raises(LorasmithError, match=said):
            choose("fox")
        with pytest.raises(LorasmithError, match=said):
            choose("fox-compare", epoch=4)
        done = choose("fox", epoch=4, force=True)
        assert any(said in note for note in done.notes)


def test_what_could_not_be_drawn_with_is_no_ones_lora_unless_that_is_said(made, own_home):
    report = read_report(made.run.compare)
    rows = tuple(replace(row, problem="fox-000002 is all zeros and changes nothing.") if row.checkpoint == 2 else row
                 for row in report.checkpoints)  # fmt: skip
    write_report(made.run.compare, replace(report, checkpoints=rows))
    with pytest.raises(LorasmithError, match="not made your LoRA: fox-000002 is all zeros .* add --force"):
        choose("fox", 2)
    assert not list((own_home / "loras").glob("*"))
    assert any("may not be usable" in note for note in choose("fox", 2, force=True).notes)


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a:b", "a\x1b[31m", " a", "x" * 200, "-o"])
def test_names_that_programs_would_read_as_something_else_are_refused(made, name):
    with pytest.raises(LorasmithError, match="(cannot be a LoRA's name|too long).* --name"):
        choose("fox", name=name)


def test_a_file_from_elsewhere_with_an_impossible_name_can_be_given_another(tmp_path):
    made = comparison.from_elsewhere()
    odd = tmp_path / 'r4 "x".safetensors'
    odd.write_bytes(Path(made.report.checkpoint(2).file).read_bytes())
    rows = tuple(replace(row, file=str(odd)) if row.checkpoint == 2 else row for row in made.report.checkpoints)
    write_report(made.folder, replace(made.report, checkpoints=rows))
    with pytest.raises(LorasmithError, match="give another with --name"):
        choose(made.run.name, epoch=2)
    assert choose(made.run.name, epoch=2, name="r4 x").file.name == "r4 x.safetensors"


def test_the_command_prints_where_it_is_and_how_to_fetch_it(made, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.2 50000 10.0.0.1 2222")
    assert main(["choose", "fox", "--to", str(tmp_path), "--name", "my fox"]) == 0
    said = capsys.readouterr().out
    assert "Epoch 4, the comparison's choice, is your LoRA" in said
    assert "Trigger words: ohwx animal. Use it at weight 1." in said
    assert re.search(r"scp -P 2222 '\w+@10\.0\.0\.1:\S*/my fox\.\*' \.", said)
    assert main(["choose", "fox", "--epoch", "6", "--json", "--to", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["checkpoint"] == 6 and Path(told["file"]).is_file() and Path(told["beside"]["page"]).is_file()
    for wrong, sentence in (
        (["nowhere"], "there is no run 'nowhere'"),
        (["fox", "--epoch", "99"], "has no checkpoint 99: there are 1 to 10"),
        (["fox", "--weight", "3"], "--weight 3 is no weight"),
        (["fox", "--to", str(tmp_path / "none")], "There is no folder"),
    ):
        assert main(["choose", *wrong]) == 1
        assert sentence in " ".join(capsys.readouterr().err.split())


def test_it_loads_neither_torch_nor_safetensors(made, tmp_path):
    code = (
        "import sys\nfrom engine.compare.__main__ import main\n"
        f"assert main(['choose', {str(made.folder)!r}, '--to', {str(tmp_path)!r}]) == 0\n"
        "assert not {'torch', 'safetensors', 'textual'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "fox.safetensors")
