"""`lorasmith caption` and `captions` as a person types them: what they print where something is odd."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.base.hub import RemoteFile
from engine.caption import journal, plan
from engine.caption.journal import operations, undo
from engine.caption.plan import CaptionPlan, caption_toml, running_on
from engine.caption.search import phrase_frequencies
from engine.caption.store import read_captions
from engine.caption.weights import _wanted
from engine.runs.folder import create_run
from tui.cli import main


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, its line breaks taken out."""
    both = capsys.readouterr()
    return " ".join((both.out + both.err).split())


def test_why_there_is_no_caption_is_said_in_the_list(pictures, capsys):
    folder = pictures({"a.jpg": "a dog", "b.jpg": None, "c.jpg": b"\x00\x01", "d.jpg": b"  \n"})
    (folder / "b.txt").mkdir()
    (folder / "e.jpg").write_bytes((folder / "a.jpg").read_bytes())
    assert main(["captions", str(folder)]) == 0
    listed = said(capsys)
    assert "a.jpg: a dog" in listed and "e.jpg: (no caption)" in listed
    assert "b.jpg: (b.txt is a folder where a caption should be: remove or rename it)" in listed
    assert "c.jpg: (c.txt holds binary data, not a caption" in listed and "d.jpg: (d.txt is empty" in listed


def test_any_problem_includes_a_wrong_encoding(pictures, capsys):
    folder = pictures({"a.jpg": "Hündin im Garten".encode("cp1252"), "b.jpg": "a dog", "c.jpg": "a cat"})
    assert main(["captions", str(folder), "--problem", "any"]) == 0
    assert said(capsys) == ("a.jpg was read, but: a.txt is not UTF-8 and was read as Windows-1252: check it and save "
                            "it as UTF-8.")  # fmt: skip
    main(["captions", str(folder), "--problem", "encoding"])
    assert "a.jpg was read" in said(capsys)


def test_an_edit_that_the_disk_refuses_leaves_nothing_to_undo(pictures, monkeypatch, capsys):
    folder = pictures({"a.jpg": "a dog", "b.jpg": "a dog"})
    edit = ["captions", str(folder), "--replace", "dog", "cat", "--yes"]

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(journal, "put", full)
        assert main(edit) == 1
    assert "No space left on device" in said(capsys) and operations(folder) == []
    assert main(edit) == 0 and "2 captions written; `lorasmith captions" in said(capsys)
    assert undo(folder).restored == 2


def test_an_edit_that_wrote_nothing_offers_no_undo(pictures, monkeypatch, capsys):
    folder = pictures({"a.jpg": "a dog"})
    found = read_captions(folder)
    (folder / "a.txt").write_text("my own words")  # by somebody else, meanwhile
    monkeypatch.setattr("tui.commands.caption.read_captions", lambda folder: found)
    assert main(["captions", str(folder), "--replace", "dog", "cat", "--yes"]) == 1
    told = said(capsys)
    assert "changed by somebody else" in told and "0 captions written." in told and "undo" not in told


def test_one_caption_changed_since_stays_in_the_singular(pictures, capsys):
    folder = pictures({"a.jpg": "a dog", "b.jpg": "a dog"})
    main(["captions", str(folder), "--replace", "dog", "cat", "--yes"])
    (folder / "b.txt").write_text("my own words")
    capsys.readouterr()
    assert main(["captions", str(folder), "--undo"]) == 0
    assert "1 caption was changed since, and stays as it is: b.txt. What it said before is in" in said(capsys)


def test_a_second_job_on_a_folder_follows_the_first_or_is_refused_at_once(pictures, monkeypatch, capsys):
    folder = pictures({"a.jpg": None})
    asked = CaptionPlan(str(folder), captioner="scenes", subject="animal")
    run = create_run("captions-pictures", caption_toml(asked), kind="caption")
    assert running_on(folder) is None
    monkeypatch.setattr(plan, "lock_holder", lambda one: one == run or None)
    monkeypatch.setattr("tui.commands.caption.follow", lambda one, interrupts: print(f"following {one.name}") or 0)
    assert running_on(folder) == run
    with monkeypatch.context() as ended:
        ended.setattr(plan, "read_summary", lambda _: SimpleNamespace(status="finished"))
        assert running_on(folder) is None, "its process is about to end"
    words = ["caption", str(folder), "--captioner", "scenes", "--kind"]
    assert main([*words, "animal"]) == 0 and "is at it. following captions-pictures" in said(capsys)
    assert main([*words, "style"]) == 1
    assert "is captioning these pictures at this moment in another way: `lorasmith watch" in said(capsys)


def test_a_finished_job_that_is_no_training_has_no_checkpoints_to_speak_of(pictures, capsys, monkeypatch):
    run = create_run("captions-pictures", caption_toml(CaptionPlan(str(pictures({"a.jpg": "a dog"})))), kind="caption")
    monkeypatch.setattr("tui.commands.control.read_summary", lambda _: type("S", (), dict(status="finished",
                        alive=False)))  # fmt: skip
    assert main(["resume", run.name]) == 1
    assert said(capsys) == "captions-pictures has finished, so there is nothing to resume."


def test_a_word_is_not_hidden_behind_its_article():
    found = {one.text: one.count for one in phrase_frequencies(
        ["a bear on a rug", "a bear in the snow", "a bear, red hat", "the bear on a rug"]
    )}  # fmt: skip
    assert found["bear"] == 4 and found["bear on a rug"] == 2 and "rug" not in found


def test_one_copy_of_the_weights_is_fetched():
    names = ("config.json", "model.safetensors", "model.fp16.safetensors", "model-00001-of-00002.safetensors",
             "model-00002-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json")  # fmt: skip
    files = {name: RemoteFile(name, 1, None) for name in names}
    assert [one.name for one in _wanted("some/model", files)] == ["tokenizer.json", "model.safetensors", "config.json"]
    del files["model.safetensors"]
    assert {one.name for one in _wanted("some/model", files)} == {*names} - {"model.safetensors",
                                                                          "model.fp16.safetensors"}  # fmt: skip
