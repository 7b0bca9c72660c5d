"""export: a checkpoint copied whole, never over another file, with the command that fetches it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest


def lora_file(path: Path, content: bytes = b"\0" * 8) -> bytes:
    header = json.dumps({"lora_unet_x.alpha": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    data = struct.pack("<Q", len(header)) + header + content
    path.write_bytes(data)
    return data


@pytest.fixture
def trained(run):
    for epoch in (1, 2, 4):
        lora_file(run.checkpoints / f"bear-{epoch:06d}.safetensors", bytes([epoch] * 8))
    lora_file(run.checkpoints / "bear-step00000030.safetensors")
    return run


def test_an_epoch_is_copied_and_how_to_fetch_it_is_said(lorasmith, trained, tmp_path):
    target = tmp_path / "my bear.safetensors"
    login = {"SSH_CONNECTION": "203.0.113.5 50000 198.51.100.7 2222", "LOGNAME": "mara"}
    said = lorasmith("export", "bear", "--epoch", 2, "--to", target, **login)
    assert said.code == 0
    assert target.read_bytes() == (trained.checkpoints / "bear-000002.safetensors").read_bytes()
    lines = said.out.splitlines()
    assert lines[-1] == f"  scp -P 2222 'mara@198.51.100.7:{target}' ."
    assert "Trigger words: ohwx bear." in lines


def test_a_folder_takes_the_checkpoints_own_name(lorasmith, trained, tmp_path):
    assert lorasmith("export", "bear", "--epoch", 4, "--to", tmp_path).code == 0
    assert (tmp_path / "bear-000004.safetensors").is_file()


def test_an_existing_file_stays_unless_force_is_said(lorasmith, trained, tmp_path):
    target = tmp_path / "bear.safetensors"
    target.write_text("mine")
    said = lorasmith("export", "bear", "--epoch", 1, "--to", target)
    assert said.code == 1 and "add --force to overwrite it" in " ".join(said.err.split())
    assert target.read_text() == "mine"
    assert lorasmith("export", "bear", "--epoch", 1, "--to", target, "--force").code == 0
    assert target.read_bytes()[-1] == 1


def test_an_epoch_that_is_not_there_names_those_that_are(lorasmith, trained, tmp_path):
    said = lorasmith("export", "bear", "--epoch", 3, "--to", tmp_path)
    assert said.code == 1
    assert said.err == "the run bear has no checkpoint of epoch 3: there are 1 to 2 and 4\n"


@pytest.mark.parametrize(
    ("to", "sentence"),
    [("bear.pt", "does not end in .safetensors"), ("no/bear.safetensors", "there is no folder")],
)
def test_a_place_that_will_not_do_is_refused(lorasmith, trained, tmp_path, to, sentence):
    said = lorasmith("export", "bear", "--epoch", 1, "--to", tmp_path / to)
    assert said.code == 1 and sentence in " ".join(said.err.split())


def test_a_truncated_checkpoint_is_named_and_not_copied(lorasmith, trained, tmp_path):
    source = trained.checkpoints / "bear-000001.safetensors"
    source.write_bytes(source.read_bytes()[:-3])
    said = lorasmith("export", "bear", "--epoch", 1, "--to", tmp_path / "out.safetensors")
    assert said.code == 1 and "is truncated" in " ".join(said.err.split())
    assert not (tmp_path / "out.safetensors").exists()


def test_a_run_without_checkpoints_says_so(lorasmith, run, tmp_path):
    said = lorasmith("export", "bear", "--epoch", 1, "--to", tmp_path)
    assert said.code == 1 and "has no checkpoint yet" in said.err
