"""Both jobs from start to result, with painted scenes in place of a base's drawings."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import LorasmithError
from engine.files import atomic_path
from engine.lookalike import bank_job, words_job
from engine.lookalike.bank import bank_root
from engine.lookalike.consent import confirmed
from engine.lookalike.results import read_match_result, read_word_result
from engine.lookalike.settings import LookalikeJob, job_toml
from engine.lookalike.subject import FILE, forget_subjects
from engine.plan import BaseChoice
from engine.runs.folder import RunFolder, create_run
from engine.runs.job import FAILED, OK, STOPPED, run_job
from tests.support.painted_words import photographs, plain, use_painter
from tests.support.training_runs import events, forked

WORD = LookalikeJob("words", BaseChoice("demo"), "object", "vehicle", ("car",), made_up=8, class_pictures=8)
NAMES = ("cat", "apple", "guitar", "rocket", "skull", "bus", "wuzzle")
SEARCH = LookalikeJob(
    "bank", BaseChoice("demo"), "object", "thing", NAMES, pictures=4, made_up=8, class_pictures=102, finalists=3,
    encoder="demo",
)  # fmt: skip


@pytest.fixture(scope="module")
def shared_bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def filled_bank(shared_bank: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose bank the tests that use it fill once: later searches draw nothing anew."""
    monkeypatch.setenv("LORASMITH_HOME", str(shared_bank))
    return shared_bank


def work(job: LookalikeJob, before: Callable[[], None] = use_painter, run: RunFolder | None = None):
    run = create_run("job", job_toml(job), kind=job.kind) if run is None else run
    verb = {"words": words_job.run, "bank": bank_job.run}[job.kind]

    def attempt() -> int:
        before()
        return run_job(run, verb, verb=job.kind)

    return run, forked(attempt)


def why(run: RunFolder) -> str:
    return str(events(run, "finished")[-1].get("reason"))


def test_a_word_with_a_picture_of_its_own_is_known_with_its_pictures_and_sheet(filled_bank: Path):
    run, code = work(WORD)
    assert code == OK, why(run)
    result = read_word_result(run)
    assert result.verdict == "known" and "Known" in result.sentence
    assert all((run.path / name).is_file() for name in (*result.pictures, result.sheet))
    assert len(result.pictures) == 8
    assert max(one.own for one in result.made_up if one.own) < (result.whole.own or 0)


def test_without_a_reader_the_eight_pictures_are_drawn_all_the_same():
    def offline() -> None:
        use_painter()
        words_job.picture_reader = no_network  # type: ignore[assignment]

    run, code = work(WORD, offline)
    assert code == FAILED and "no network here; the word could not be measured" in why(run)
    assert len(list(run.samples.glob("*.webp"))) == 8 and (run.samples / "sheet.png").is_file()


def no_network(*_: object) -> None:
    raise LorasmithError("There is no network here.")


@pytest.mark.parametrize(("word", "verdict"), [("ohwx", "rare"), ("apple", "taken")])
def test_a_meaningless_word_is_rare_and_one_of_another_class_is_taken(filled_bank: Path, word: str, verdict: str):
    run, code = work(replace(WORD, words=(word,)))
    assert code == OK, why(run)
    assert read_word_result(run).verdict == verdict


def test_a_second_word_draws_only_its_own_pictures(filled_bank: Path, tmp_path: Path):
    second = tmp_path / "second"
    work(WORD)
    run, code = work(replace(WORD, words=("bus",)), lambda: use_painter(counted=second))
    assert code == OK, why(run)
    assert int(second.read_text()) == 12


def test_the_planted_look_alike_is_found(filled_bank: Path, tmp_path: Path):
    job = replace(SEARCH, photographs=(str(photographs(tmp_path / "mine", "rocket")),))
    run, code = work(job)
    assert code == OK, why(run)
    result = read_match_result(run)
    assert result.useful and result.matches[0].word == "rocket"
    assert result.names == len(NAMES) and result.finalists == 3
    assert all(Path(path).is_file() for path in result.matches[0].pictures)
    assert (run.path / str(result.sheet)).is_file()


def test_where_none_is_planted_the_answer_is_to_take_a_rare_word(filled_bank: Path, tmp_path: Path):
    job = replace(SEARCH, photographs=(str(photographs(tmp_path / "mine", "umbrella")),))
    run, code = work(job)
    assert code == OK, why(run)
    result = read_match_result(run)
    assert not result.useful and "rare word" in result.sentence


def test_a_bank_that_was_stopped_goes_on_where_it_was(tmp_path: Path):
    counted = tmp_path / "counted"
    job = replace(SEARCH, class_pictures=12, made_up=3, photographs=(str(photographs(tmp_path / "mine", "rocket")),))
    run, code = work(job, lambda: use_painter(stop_after=30))
    assert code == STOPPED and len(list(bank_root().glob("*/drawn/*/*.webp"))) == 30
    run, code = work(job, lambda: use_painter(counted=counted), run)
    assert code == OK and int(counted.read_text()) == 3 * 8 + 3 * 12, "of the last stage, all; before it, the rest"
    assert len(list(bank_root().glob("*/drawn/*/*.webp"))) == 12 + 4 * len(NAMES) + 3 * 8 + 3 * 12


def test_a_full_disk_ends_it_in_a_sentence_and_keeps_what_was_drawn(tmp_path: Path):
    import errno

    def full() -> None:
        use_painter(stop_after=None)
        from engine.lookalike.bank import Bank

        keep, kept = Bank.keep_picture, []

        def fills(self, word, number, picture):
            kept.append(word)
            if len(kept) > 20:
                raise OSError(errno.ENOSPC, "No space left on device", "0001.webp")
            return keep(self, word, number, picture)

        Bank.keep_picture = fills  # type: ignore[method-assign]

    job = replace(SEARCH, photographs=(str(photographs(tmp_path / "mine", "rocket")),))
    run, code = work(job, full)
    assert code == FAILED and "disk is full" in why(run)
    assert len(list(bank_root().glob("*/drawn/*/*.webp"))) == 20


def test_faces_are_not_looked_at_without_permission(tmp_path: Path):
    mine = str(photographs(tmp_path / "mine", "clown"))
    run, code = work(replace(SEARCH, subject="person", photographs=(mine,)))
    assert code == FAILED and "confirmation" in why(run)
    assert not bank_root().exists() and not (run.path / FILE).exists()


class NoFaces:
    name, licence, same = "no faces", "", 0.5

    def read(self, picture):
        return None


def test_pictures_without_a_face_end_it_before_anything_is_drawn(tmp_path: Path):
    def blind() -> None:
        use_painter()
        bank_job.face_reader = lambda spec, report=None: NoFaces()  # type: ignore[assignment]

    job = replace(SEARCH, subject="person", photographs=(str(plain(tmp_path / "mine")),), permission=confirmed("test"))
    run, code = work(job, blind)
    assert code == FAILED and "No face was found in any of the 2 pictures" in why(run)
    assert not bank_root().exists()


def test_a_picture_that_cannot_be_read_is_left_out_and_told(filled_bank: Path, tmp_path: Path):
    mine = photographs(tmp_path / "mine", "rocket")
    whole = (mine / "0.png").read_bytes()
    (mine / "0.png").write_bytes(whole[: len(whole) // 2])
    run, code = work(replace(SEARCH, photographs=(str(mine),)))
    assert code == OK, why(run)
    result = read_match_result(run)
    assert (result.photographs, result.faces_found) == (5, 4)
    assert "0.png" in str(events(run, "warning")[0].get("text"))


def test_the_subject_s_vectors_are_kept_until_forgotten(filled_bank: Path, tmp_path: Path):
    run, _ = work(replace(SEARCH, photographs=(str(photographs(tmp_path / "mine", "rocket")),)))
    with np.load(run.path / FILE) as stored:
        assert sum(name.startswith("v-") for name in stored.files) == 5
    assert run.path.stat().st_mode & 0o077 == 0, "for the owner's eyes only"
    with atomic_path(run.path / FILE) as beside:
        shutil.copyfile(run.path / FILE, beside)
        killed = beside.with_name(f"{beside.stem[:-1]}.npz")
        shutil.copyfile(beside, killed)  # what a kill in the middle of writing leaves
    assert len(list(run.path.rglob("*.npz"))) == 2
    assert forget_subjects() >= 1
    assert not list(run.path.rglob("*.npz")) and forget_subjects(run.name) == 0
    assert read_match_result(run).matches, "what was found stays"


def test_dlib_reads_the_photographs_through_the_same_door(offline_models: Path, tmp_path: Path):
    pytest.importorskip("dlib")
    mine = str(plain(tmp_path / "mine"))
    job = replace(
        SEARCH, subject="person", photographs=(mine,), permission=confirmed("test"), faces=str(offline_models / "dlib")
    )
    run, code = work(job)
    assert code == FAILED and "No face was found" in why(run)
