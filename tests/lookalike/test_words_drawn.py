"""What the demo's base really draws, measured: the words it knows lie above made-up ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.lookalike import bank_job, words_job
from engine.lookalike.bank import Bank, bank_root
from engine.lookalike.results import WordResult, read_match_result, read_word_result
from engine.lookalike.settings import LookalikeJob, job_toml
from engine.plan import BaseChoice
from engine.runs.control import request
from engine.runs.folder import RunFolder, create_run
from engine.runs.job import OK, STOPPED, run_job
from tests.support.painted_words import photographs
from tests.support.training_runs import events, forked

pytestmark = pytest.mark.slow
WORD = LookalikeJob(
    "words", BaseChoice("demo"), "object", "vehicle", ("rocket",), pictures=4, made_up=6, class_pictures=4, steps=8
)
SEARCH = LookalikeJob(
    "bank", BaseChoice("demo"), "object", "thing", ("apple", "rocket", "skull", "car", "ohwx"), pictures=4, made_up=6,
    class_pictures=102, finalists=3, final_pictures=8, steps=6,
)  # fmt: skip


@pytest.fixture(scope="module")
def bank_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


@pytest.fixture(autouse=True)
def one_bank(bank_home: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this file's tests draw into one bank."""
    monkeypatch.setenv("LORASMITH_HOME", str(bank_home))


def work(job: LookalikeJob) -> RunFolder:
    run = create_run("job", job_toml(job), kind=job.kind)
    verb = {"words": words_job.run, "bank": bank_job.run}[job.kind]
    assert forked(lambda: run_job(run, verb, verb=job.kind)) == OK, events(run, "finished")[-1].get("reason")
    return run


def result_of(word: str) -> WordResult:
    return read_word_result(work(replace(WORD, words=(word,))))


def test_known_objects_are_ranked_above_made_up_words_and_meaningless_triggers():
    known, meaningless = [result_of(word) for word in ("rocket", "car")], [result_of(word) for word in ("ohwx", "sks")]
    made_up = [one.own or 0.0 for one in known[0].made_up]
    assert len(made_up) == 6
    for one in known:
        assert one.verdict != "rare" and (one.whole.own or 0.0) > max(made_up)
    for one in meaningless:
        assert one.verdict == "rare" and (one.whole.own or 0.0) < min(found.whole.own or 0.0 for found in known)


def test_the_planted_match_is_found_and_none_where_none_is_planted(tmp_path: Path):
    planted = read_match_result(work(replace(SEARCH, photographs=(str(photographs(tmp_path / "a", "rocket")),))))
    assert planted.useful and planted.matches[0].word == "rocket"
    drawn = len(list(bank_root().glob("*/drawn/*/*.webp")))
    none = read_match_result(work(replace(SEARCH, photographs=(str(photographs(tmp_path / "b", "frog")),))))
    assert not none.useful and "rare word" in none.sentence
    assert len(list(bank_root().glob("*/drawn/*/*.webp"))) < drawn + 30, "the bank is drawn once"


def test_a_stop_keeps_what_was_drawn_and_a_second_start_goes_on():
    run = create_run("stopped", job_toml(replace(WORD, words=("guitar",))), kind="words")

    def attempt() -> int:
        keep = Bank.keep_picture

        def keeps_and_stops(self, word, number, picture):
            request(run, "stop")
            return keep(self, word, number, picture)

        Bank.keep_picture = keeps_and_stops  # type: ignore[method-assign]
        return run_job(run, words_job.run, verb="words")

    assert forked(attempt) == STOPPED
    kept = len(list(bank_root().glob("*/drawn/guitar-*/*.webp")))
    assert kept >= 8 and not (run.path / "result.json").exists(), "the batch at hand is finished"
    assert forked(lambda: run_job(run, words_job.run, verb="words")) == OK
    assert read_word_result(run).whole.own is not None and (run.path / "samples" / "sheet.png").is_file()
