"""The download of a base as a job: its count, its stop, what is here already."""

from __future__ import annotations

from pathlib import Path

import pytest

import engine.base.hub as hub
from engine.base import download_job
from engine.errors import BaseModelError
from engine.runs.control import request
from engine.runs.events import EventReader
from engine.runs.folder import RunFolder, create_run
from engine.runs.job import FAILED, OK, STOPPED, run_job
from engine.runs.summary import read_summary

REPO = "someone/tiny-sdxl"


@pytest.fixture
def run() -> RunFolder:
    return create_run("download-tiny-sdxl", download_job.job_text(REPO), kind=download_job.KIND)


def done(run: RunFolder) -> int:
    return run_job(run, download_job.run, verb=download_job.KIND)


def test_it_counts_megabytes_and_says_where_they_lie(run, monkeypatch):
    def fetch(repo, report):
        for arrived in (0, 3_400_000_000, 6_900_000_000):
            report(arrived, 6_900_000_000)
        return Path("/models") / repo

    monkeypatch.setattr(hub, "download_base", fetch)
    assert done(run) == OK
    events = EventReader(run.events).poll()
    counts = [(event.get("done"), event.get("total")) for event in events if event.get("name") == download_job.STAGE]
    assert counts[0] == (0, 6900) and counts[-1] == (6900, 6900)
    assert [event.get("path") for event in events if event.name == "downloaded"] == [f"/models/{REPO}"]


def test_it_stops_when_asked_and_keeps_what_arrived_to_the_hub(run, monkeypatch):
    def fetch(repo, report):
        request(run, "stop")
        for arrived in range(10_000):
            report(arrived * 1_000_000, 10**10)
        raise AssertionError("it was not stopped")

    monkeypatch.setattr(hub, "download_base", fetch)
    monkeypatch.setattr("engine.runs.job._LOOK_SECONDS", 0.0)
    assert done(run) == STOPPED
    assert read_summary(run).status == "stopped"


def test_what_goes_wrong_is_the_hubs_own_sentence(run, monkeypatch):
    def fetch(repo, report):
        raise BaseModelError("the hub cannot be reached: check the network")

    monkeypatch.setattr(hub, "download_base", fetch)
    assert done(run) == FAILED
    assert read_summary(run).reason == "the hub cannot be reached: check the network"


def test_a_job_that_names_nothing_is_one_sentence(monkeypatch):
    run = create_run("download-x", 'kind = "download"\n', kind="download")
    assert done(run) == FAILED
    assert "names no model" in (read_summary(run).reason or "")
