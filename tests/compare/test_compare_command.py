"""`lorasmith compare` as a person types it: what is there is told at once, options, LoRAs from elsewhere, bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import comparison
import pytest
from painted_pictures import painted_folder

from engine.compare.find import comparison_of, find_comparison, same_files
from engine.compare.report import read_report
from engine.compare.settings import CompareJob, job_text, read_compare_job
from engine.compare.sources import epoch_files, files_in, files_job, numbered, open_source, run_job_of
from engine.errors import LorasmithError, PlanError
from engine.plan import BaseChoice
from engine.plan_file import write_plan
from tui.cli import main
from tui.commands.compare import demo_comparison


@pytest.fixture
def no_engine(monkeypatch):
    """Any engine that would be started fails the test; what was asked for is kept."""
    started = []
    monkeypatch.setattr("tui.commands.compare.begin_run", lambda run, verb, detach=False: started.append(run) or 0)
    return started


def said(capsys) -> str:
    return capsys.readouterr().out


def test_a_finished_comparison_is_told_at_once(no_engine, capsys):
    made = comparison.finished()
    assert main(["compare", made.run.name, "--plain"]) == 0
    out = said(capsys)
    assert max(map(len, out.splitlines())) <= 80 and not no_engine
    assert "Epoch 4 is clearly the best balance" in out
    rows = {line.split()[-1] if line.startswith(">") else line[:12].strip(): line for line in out.splitlines()}
    assert any(line.startswith(">  epoch 4") and "93%" in line for line in out.splitlines())
    assert "L the last" in out and "P the most photographic" in out and rows
    assert "[4]" in out, "the choice on the chart"
    assert "high-res fix" in out and "lorasmith choose fox-compare" in out
    assert "Measured: likeness" in out


def test_the_demo_tells_what_its_comparison_costs_and_begins_it(own_home, monkeypatch, capsys):
    made = comparison.finished()
    shutil.rmtree(made.run.path)
    begun = []
    monkeypatch.setattr("tui.commands.compare.begin_run", lambda run, verb: begun.append(run.name) or 3)
    assert demo_comparison(made.training) == 3 and begun == ["fox-compare"]
    assert "10 checkpoints and the untouched base: " in " ".join(said(capsys).split())


def test_files_from_elsewhere_stand_on_the_chart_by_their_numbers(no_engine, capsys):
    made = comparison.from_elsewhere()
    assert main(["compare", made.run.name, "--plain"]) == 0
    out = said(capsys)
    assert ">  2 fox-middle" in out and "[2]" in out and "takes another by its number" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80


def test_a_program_gets_the_report(no_engine, capsys):
    made = comparison.finished()
    assert main(["compare", made.run.name, "--json"]) == 0
    assert json.loads(said(capsys)) == json.loads((made.folder / "report.json").read_text())


def test_what_cannot_be_told_is_not_a_number(no_engine, capsys):
    made = comparison.undecided()
    assert main(["compare", made.run.name]) == 0
    out = " ".join(said(capsys).split())
    assert "cannot tell" in out and "look at the pictures" in out and "choose fox-compare --epoch N" in out


def test_votes_and_the_dial_draw_nothing(no_engine, capsys):
    made = comparison.too_close()
    assert "too close" in made.report.decision.sureness and made.report.ask
    assert main(["compare", made.run.name, "--votes", "6>4 6>3 6>5 6>4 6>3 6>5 6>4 6>3"]) == 0
    out = " ".join(said(capsys).split())
    assert "votes are counted in" in out and "moved by your votes" in out and made.report.votes == 8
    assert main(["compare", made.run.name, "--lean", "0.5"]) == 0 and made.report.lean == 0.5
    assert not no_engine
    with pytest.raises(SystemExit):
        main(["compare", made.run.name, "--lean", "-3"])


def test_the_last_vote_is_taken_back(no_engine, capsys):
    made = comparison.too_close()
    assert main(["compare", made.run.name, "--votes", "6>4 3=5"]) == 0
    assert "compare fox-compare --unvote` takes the last of your votes back" in " ".join(said(capsys).split())
    assert main(["compare", made.run.name, "--unvote"]) == 0
    assert "Taken back: epoch 3 and epoch 5: no difference. 1 vote left." in said(capsys)
    assert main(["compare", made.run.name, "--unvote", "--json"]) == 0 and made.report.votes == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["votes"] == 0 and "Taken back: epoch 6 rather than epoch 4." in told.err
    assert main(["compare", made.run.name, "--unvote"]) == 1
    assert "there is none to take back" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("lean", "words"), [("5", "flexibility counting more"), ("0.5", "fidelity counting more")])
def test_a_dial_that_leans_is_told_whenever_the_comparison_is(no_engine, capsys, lean, words):
    made = comparison.finished()
    assert main(["compare", made.run.name]) == 0 and "counting more" not in said(capsys)
    assert main(["compare", made.run.name, "--lean", lean]) == 0
    capsys.readouterr()
    assert main(["compare", made.run.name]) == 0
    out = " ".join(said(capsys).split())
    assert f"This is decided with {words} (--lean {lean});" in out and "fox-compare --lean 1`" in out
    assert f"each up to 100, with {words} (--lean {lean})" in out


@pytest.mark.parametrize("asked", [["--votes", "6>4"], ["--unvote"], ["--lean", "2"]])
def test_without_its_measurements_a_comparison_keeps_report_and_votes(no_engine, capsys, asked):
    made = comparison.too_close()
    assert main(["compare", made.run.name, "--votes", "3>5"]) == 0
    before = {name: (made.folder / name).read_bytes() for name in ("report.json", "votes.jsonl")}
    (made.folder / "measured.npz").unlink()
    assert main(["compare", made.run.name, *asked]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "measured.npz is missing" in told and "--again" in told
    assert before == {name: (made.folder / name).read_bytes() for name in before}


@pytest.mark.parametrize(
    "line",
    [
        '{"left":["a",1],"right":[6,"b"],"better":null}', '{"left":[4,1.0],"right":[6,1.0],"better":[5,1.0]}',
        '{"left":[4,1.0],"right":[6,1.0],"better":0}', '{"left":[4,1.0],"right":[66,1.0],"better":null}',
        '{"left":[4,true],"right":[6,1.0],"better":null}', '{"left":[4,1e999],"right":[6,1.0],"better":null}', '[4, 6]',
    ],
)  # fmt: skip
def test_a_line_that_is_no_vote_is_passed_over(no_engine, capsys, line):
    made = comparison.too_close()
    (made.folder / "votes.jsonl").write_text(line + "\n")
    assert main(["compare", made.run.name, "--unvote"]) == 1
    assert "No vote counts" in capsys.readouterr().err
    assert main(["compare", made.run.name, "--votes", "6>4"]) == 0 and made.report.votes == 1
    assert main(["compare", made.run.name, "--unvote"]) == 0 and made.report.votes == 0


def test_the_page_goes_where_it_is_wanted(no_engine, tmp_path, capsys):
    made = comparison.finished()
    assert main(["compare", made.run.name, "--html", str(tmp_path / "fox.html")]) == 0
    assert "<html" in (tmp_path / "fox.html").read_text() and "fox.html" in said(capsys)


def test_a_comparison_is_found_by_the_training_and_goes_on_where_it_stopped(no_engine, capsys):
    made = comparison.half_way()
    assert comparison_of(made.training) == made.run == find_comparison("fox") == find_comparison("fox-compare")
    assert main(["compare", "fox"]) == 0
    assert no_engine == [made.run]
    assert "10 checkpoints and the untouched base:" in said(capsys)


def test_epochs_that_were_deleted_to_make_room_take_nothing_from_what_was_found(no_engine, capsys):
    made = comparison.finished()
    before = (made.folder / "report.json").read_bytes()
    for number in (8, 9):
        (made.training.checkpoints / f"fox-{number:06d}.safetensors").unlink()
    assert main(["compare", "fox", "--plain"]) == 0 and not no_engine
    out = " ".join(said(capsys).split())
    assert "Epoch 4 is clearly the best balance" in out and "Not there any more: epoch 8, epoch 9." in out
    assert (made.folder / "report.json").read_bytes() == before
    main(["compare", "fox", "--again"])
    assert "epoch 9. What was found of them leaves the comparison." in " ".join(said(capsys).split()) and no_engine


def test_runs_that_were_moved_together_find_their_comparison(no_engine, own_home, monkeypatch, capsys):
    made = comparison.finished()
    moved = own_home.with_name("moved")
    own_home.rename(moved)
    monkeypatch.setenv("LORASMITH_HOME", str(moved))
    found = find_comparison("fox")
    assert found.name == made.run.name and found.path.is_relative_to(moved)
    assert Path(read_report(found.compare).run or "") == moved / "runs" / "fox"
    assert main(["choose", "fox"]) == 0 and "is your LoRA" in said(capsys) and not no_engine


def test_a_copy_of_the_runs_has_its_own_comparison_and_another_run_of_that_name_has_not(no_engine, own_home):
    made = comparison.finished()
    copy = own_home.with_name("copy") / "runs"
    shutil.copytree(own_home / "runs", copy)
    ours, theirs = made.training.path, copy / "fox"
    assert read_report(made.folder).run == str(ours)
    assert read_report(copy / made.run.name / "compare").run == str(theirs)
    assert read_compare_job(copy / made.run.name / "job.toml").run == str(theirs)
    (theirs / "plan.toml").write_text((theirs / "plan.toml").read_text() + "# another training\n")
    assert read_report(copy / made.run.name / "compare").run == str(ours)


def test_a_reader_that_is_none_is_refused_before_the_job_keeps_it(no_engine, capsys):
    made = comparison.finished()
    before = made.run.job.read_text()
    assert main(["compare", "fox", "--readers", "nothing"]) == 1
    assert "no known name" in " ".join(capsys.readouterr().err.split())
    assert main(["compare", "fox", "--readers", "colour=demo"]) == 1
    assert made.run.job.read_text() == before and not no_engine


@pytest.fixture
def bare_server(monkeypatch, tmp_path):
    """A finished training on SDXL, on a machine that holds no encoder; its run."""
    made = comparison.finished()
    shutil.rmtree(made.run.path)
    text = made.training.plan.read_text()
    made.training.plan.write_text(text.replace('model = "demo"', 'model = "sdxl-1.0"'))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("engine.vision.models._package_folders", lambda package, inside: [])
    return made.training


def test_where_nothing_could_be_measured_it_is_said_before_anything_is_drawn(bare_server, no_engine, capsys):
    assert main(["compare", "fox"]) == 1 == main(["compare", "fox", "--json"])
    told = " ".join(capsys.readouterr().err.split())
    assert told.count("No encoder on this machine could see how like your subject a picture is") == 2
    assert "siglip2 (4.6 GB), clipseg (603.0 MB), dinov2 (346.0 MB) and sscd (99.0 MB), 5.6 GB in all" in told
    assert not no_engine and not (bare_server.path.parent / "fox-compare").exists()

    assert main(["compare", "fox", "--readers", "none", "--readers", "dinov2"]) == 1
    assert "none goes alone" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("asked", "kept"), [(["--fetch"], (True, ())), (["--readers", "none"], (False, ("none",)))]
)
def test_it_begins_with_encoders_that_are_to_be_fetched_or_to_draw_only(bare_server, no_engine, capsys, asked, kept):
    main(["compare", "fox", *asked])
    out = " ".join(said(capsys).split())
    assert ("First siglip2 (4.6 GB), clipseg" in out) == (asked == ["--fetch"]) and len(no_engine) == 1
    job = read_compare_job(no_engine[0].job)
    assert (job.fetch, job.readers) == kept


def test_encoders_that_are_fetched_later_see_what_was_only_drawn(bare_server, no_engine, capsys):
    main(["compare", "fox", "--readers", "none"])
    run = no_engine[0]
    assert main(["compare", run.name]) in (0, 1) and read_compare_job(run.job).readers == ("none",)
    main(["compare", run.name, "--fetch"])
    job = read_compare_job(run.job)
    assert job.fetch and job.readers == (), "what is fetched is to see"


def test_where_some_encoders_are_lacking_it_is_said_and_goes_on(bare_server, own_home, no_engine, capsys):
    place = own_home / "models" / "dinov2"
    place.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        (place / name).write_text("{}")
    main(["compare", "fox"])
    out = " ".join(said(capsys).split())
    assert "--fetch brings what sees more: siglip2 (4.6 GB), clipseg" in out and len(no_engine) == 1


def test_readers_that_were_named_are_remembered_until_the_default_ones_are_asked_for(no_engine, capsys):
    made = comparison.finished()
    assert main(["compare", "fox", "--readers", "demo"]) == 0 == main(["compare", "fox", "--quick"])
    assert read_compare_job(made.run.job).readers == ("demo",)
    assert main(["compare", "fox", "--readers", "default", "--readers", "demo"]) == 1
    assert "--readers default goes alone" in " ".join(capsys.readouterr().err.split())
    assert main(["compare", "fox", "--readers", "default"]) == 0
    assert read_compare_job(made.run.job).readers == () and len(no_engine) == 3


def test_other_options_change_the_job_and_prompts_with_a_mistake_are_refused(no_engine, tmp_path, capsys):
    made = comparison.finished()
    assert main(["compare", "fox", "--thorough", "--steps", "20"]) == 0
    job = read_compare_job(made.run.job)
    assert (job.depth, job.steps) == ("thorough", 20) and no_engine == [made.run]
    own = tmp_path / "mine.toml"
    own.write_text("version = 1\nkind = \"animal\"\n[styles]\nphoto = \"a\"\n")
    assert main(["compare", "fox", "--prompts", str(own)]) == 1
    assert "mine.toml, line 3" in " ".join(capsys.readouterr().err.split())
    assert main(["compare", "fox", "--prompts", "nothing.toml"]) == 1
    assert "check the path" in " ".join(capsys.readouterr().err.split()) and len(no_engine) == 1


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--steps", "99999999"), "out of range, 1 to 1,000"), (("--cfg", "nan"), "guidance of nan cannot be followed"),
        (("--cfg", "inf"), "guidance of inf"), (("--cfg=-3",), "guidance of -3"),
        (("--cfg", "0"), "guidance of 0 cannot"),
    ],
)  # fmt: skip
def test_figures_that_nothing_is_drawn_with_are_refused_before_the_job_keeps_them(no_engine, capsys, option, said):
    made = comparison.finished()
    before = made.run.job.read_text()
    assert main(["compare", "fox", *option]) == 1 and not no_engine
    assert said in " ".join(capsys.readouterr().err.split()) and made.run.job.read_text() == before
    made.run.job.write_text(before.replace("cfg = 0.0", "cfg = nan"))
    with pytest.raises(PlanError, match="cannot be read as a comparison"):
        read_compare_job(made.run.job)


def test_a_new_checkpoint_makes_a_finished_comparison_go_on(no_engine):
    made = comparison.finished()
    last = epoch_files(made.training.checkpoints)[10]
    last.with_name("fox-000011.safetensors").write_bytes(last.read_bytes())
    assert main(["compare", "fox", "--json"]) == 0 and no_engine == [made.run]


def test_files_from_elsewhere_bring_their_own_words(tmp_path):
    made = comparison.from_elsewhere()
    folder = made.training.checkpoints
    photographs = painted_folder(tmp_path / "photographs", 3)
    job = files_job(files_in(folder), base="demo", kind="animal", pictures=[str(photographs)])
    assert (job.trigger, job.class_word) == ("ohwx", "animal")
    source = open_source(job)
    assert [entry.name for entry in source.entries] == ["fox-middle", "fox-soft", "fox_hard_v2"]
    assert len(source.photographs) == 3 and not source.notes
    for lacking, words in (({"kind": ""}, "--kind"), ({"base": ""}, "--base"), ({"pictures": ["/no"]}, "--pictures")):
        with pytest.raises(PlanError, match=words):
            files_job(files_in(folder), **{"base": "demo", "kind": "animal", **lacking})


def test_kohyas_names_are_epochs_and_the_last_has_none():
    names = ["a-000002.safetensors", "a.safetensors", "a-000001.safetensors"]
    assert [(e.number, e.name) for e in numbered([Path(name) for name in names])] == [
        (1, "epoch 1"), (2, "epoch 2"), (3, "epoch 3")
    ]  # fmt: skip
    mixed = numbered([Path("a/x.safetensors"), Path("b/x.safetensors")])
    assert [entry.name for entry in mixed] == ["a/x", "b/x"]


def test_folders_as_peft_writes_them_are_loras_under_their_own_names(tmp_path):
    for name in ("strong", "weak.safetensors"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_model.safetensors").write_bytes(b"x")
    job = files_job([tmp_path / "strong", tmp_path / "weak.safetensors"], base="demo", kind="style", trigger="zwv")
    assert [entry.name for entry in numbered([Path(one) for one in job.loras])] == ["strong", "weak.safetensors"]
    assert files_in(tmp_path) == [], "a folder is no LoRA file, whatever its name"


def test_the_same_folder_is_the_same_comparison():
    made = comparison.from_elsewhere()
    files = tuple(map(str, files_in(made.training.checkpoints)))
    job = CompareJob(loras=files, base=BaseChoice(model="demo"), kind="animal")
    made.run.job.write_text(job_text(job))
    assert same_files(CompareJob(loras=files[:2], base=BaseChoice(model="demo"))) == made.run
    assert same_files(CompareJob(loras=files, base=BaseChoice(model="sdxl-1.0"))) is None


def test_photographs_that_are_gone_are_said(tmp_path):
    from dataclasses import replace

    from engine.demo import demo_plan
    from engine.plan import PictureFolder, Pictures

    made = comparison.finished()
    plan = replace(demo_plan(), pictures=Pictures(folders=(PictureFolder(str(tmp_path / "gone"), 1),)))
    made.training.plan.write_text(write_plan(plan))
    source = open_source(run_job_of(made.training))
    assert not source.photographs and "The training pictures are gone" in source.notes[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "there is no run 'nothing'"),
        (["{folder}"], "no .safetensors file"),
        (["{folder}/none.safetensors"], "There is no LoRA at"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(arguments, words, tmp_path, capsys):
    assert main(["compare", *(one.format(folder=tmp_path) for one in arguments)]) == 1
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_training_without_a_checkpoint_has_nothing_to_compare(capsys):
    made = comparison.finished()
    for path in made.training.checkpoints.iterdir():
        path.unlink()
    with pytest.raises(LorasmithError, match="no checkpoint yet"):
        open_source(run_job_of(made.training))
    assert main(["compare", "fox"]) == 0, "what was found of it is still here"
    assert read_report(made.folder).state == "done"
