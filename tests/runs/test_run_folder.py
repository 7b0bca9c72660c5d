from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from engine.errors import RunError
from engine.runs.folder import create_run, find_run, home, list_runs

HOSTILE = ["", ".", "..", "../up", "a/b", ".hidden", "-rf", "a b", "x\x1b[2Jy", "nul\0", "<lora:x:1>", "a" * 81]


def test_a_run_is_made_with_its_plan_for_its_owner_only() -> None:
    run = create_run("bear", "# mine\n")

    assert run.path == home() / "runs" / "bear"
    assert run.plan.read_text() == "# mine\n" and not run.job.exists()
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700
    assert all(part.is_dir() for part in (run.control, run.cache, run.checkpoints, run.samples, run.state))


def test_a_job_other_than_training_has_a_job_file(tmp_path: Path) -> None:
    run = create_run("words", 'kind = "caption"\n', kind="caption", parent=tmp_path / "elsewhere")

    assert run.path == tmp_path / "elsewhere" / "words"
    assert run.job.read_text() == 'kind = "caption"\n' and not run.plan.exists()
    assert run.kind == "caption"


def test_a_taken_name_is_counted_up_or_refused() -> None:
    names = [create_run("bear", "").name for _ in range(3)]

    assert names == ["bear", "bear-2", "bear-3"]
    with pytest.raises(RunError, match="choose another name"):
        create_run("bear", "", exact=True)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_without_reaching_the_terminal(name: str) -> None:
    with pytest.raises(RunError) as caught:
        create_run(name, "")

    assert "letters, digits" in str(caught.value)
    assert str(caught.value).isprintable()
    assert list_runs() == []
    with pytest.raises(RunError) as unfound:
        find_run(name)
    assert str(unfound.value).isprintable()


def test_names_of_other_scripts_are_welcome() -> None:
    assert create_run("медведь_v2.1-日本", "").path.is_dir()


def test_a_run_is_found_by_name_or_path_and_the_error_names_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bear = create_run("bear", "")
    other = create_run("other", "", parent=tmp_path)
    monkeypatch.chdir(tmp_path)

    assert find_run("bear") == find_run(bear.path) == find_run(f"{bear.path}/") == bear
    assert find_run(other.path) == find_run("other") == find_run("./other") == other
    with pytest.raises(RunError, match=r"no run 'beer'.*are bear"):
        find_run("beer")


def test_runs_are_listed_newest_first_and_other_things_are_not() -> None:
    for age, name in enumerate(["old", "middle", "new"]):
        os.utime(create_run(name, "").plan, (1000 + age, 1000 + age))
    (home() / "runs" / "notes").mkdir()
    (home() / "runs" / "readme.txt").write_text("")

    assert [run.name for run in list_runs()] == ["new", "middle", "old"]


def test_without_any_run_the_list_is_empty() -> None:
    assert list_runs() == []


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LORASMITH_HOME")
    monkeypatch.setenv("HOME", "/somewhere")

    assert home() == Path("/somewhere/lorasmith")
