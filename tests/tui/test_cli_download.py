"""A base model is fetched by its plain verb, as a job like any other."""

from __future__ import annotations

import pytest
from recorded_run import RecordedRun

from engine.base.download_job import KIND
from tui import cli
from tui.commands import download, train


@pytest.fixture
def begun(monkeypatch) -> list[tuple[str, str]]:
    """The engines that would have been started."""
    started: list[tuple[str, str]] = []

    def start(run, verb, *, processes=1, detach=False) -> int:
        started.append((run.name, verb))
        return 0

    monkeypatch.setattr(download, "begin_run", start)
    assert train.begin_run is not start
    return started


def test_a_known_name_begins_the_job(begun, capsys):
    assert cli.main(["download", "illustrious-xl", "--detach"]) == 0
    assert begun == [("download-Illustrious-xl-early-release-v0", KIND)]


def test_the_same_again_goes_on_with_what_was_broken_off(begun):
    for _ in range(2):
        assert cli.main(["download", "owner/model", "--detach"]) == 0
    assert begun == [("download-model", KIND)] * 2


def test_a_download_under_way_is_not_begun_twice(begun, capsys):
    run = RecordedRun(download.download_run("owner/model"))
    run.start()
    with run.alive():
        assert cli.main(["download", "owner/model", "--detach"]) == 0
    assert begun == [] and "being downloaded already, by download-model" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "said", "code"),
    [("demo", "demo is on this machine already", 0), ("no such base", "is no file or folder here and no hub name", 1)],
)
def test_what_needs_no_download_and_what_is_none_is_one_sentence(begun, capsys, model, said, code):
    assert cli.main(["download", model]) == code
    told = capsys.readouterr()
    assert said in " ".join((told.out + told.err).split()) and begun == []
