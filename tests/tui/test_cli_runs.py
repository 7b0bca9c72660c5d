"""status, watch and the requests, on an engine that is real in all but the training."""

from __future__ import annotations

import json
import signal
from argparse import Namespace

import pytest
from recorded_run import RecordedRun

from engine.runs.folder import create_run
from engine.runs.summary import read_summary
from tui.watch.reading import how_it_stands
from tui.watch.story import Seen


def ended(outcome: str) -> str:
    """A training of two epochs that ends like this."""
    last = {
        "ok": "return",
        "failed": "raise LorasmithError('the card is on \\x1b[31mfire')",
        "stopped": "raise Stopped",
        "died": "sys.stderr.write('out of \\x1b[31mmemory\\n'); os._exit(9)",
    }
    return f"""
from engine.errors import LorasmithError

def work(job):
    job.stage("encoding pictures", 0, 4)
    job.stage("encoding pictures", 4, 4)
    for step in range(1, 5):
        job.event("step", step=step, steps=4, epoch=(step + 1) // 2, epochs=2, loss=0.25)
        if step % 2 == 0:
            name = f"checkpoints/bear-00000{{step // 2}}.safetensors"
            job.event("validation", step=step, epoch=step // 2, loss=0.125, base=0.25)
            job.event("checkpoint", step=step, epoch=step // 2, file=name, size=170200000,
                      verified="722/722 modules, difference 0")
    {last[outcome]}
"""


def test_without_arguments_it_says_what_there_is_and_how_to_begin(lorasmith):
    said = lorasmith()
    assert said.code == 0
    assert "To make a LoRA:" in said.out and "With a run:" in said.out
    assert "Begin with `lorasmith demo`" in said.out
    create_run("bear", "")
    assert "bear  new" in lorasmith().out


def test_the_overview_begins_with_the_screens_and_half_a_verb_is_helped(lorasmith):
    said = lorasmith("--help")
    assert said.code == 0 and "Alone it opens its screens" in " ".join(said.out.split())
    whole, half = lorasmith("plan", "new", "--help"), lorasmith("plan", "--help")
    assert half.code == 0 and half.out == whole.out and "lorasmith plan new" in half.out
    assert lorasmith("plan").code == 2


def test_status_of_no_runs_and_of_new_ones(lorasmith):
    assert "There are no runs in" in lorasmith("status").out
    create_run("bear", "")
    said = lorasmith("status", "bear")
    assert said.out == "bear: not started yet\n  `lorasmith resume bear` starts it\n"
    assert said.code == 0


@pytest.mark.parametrize(("outcome", "code"), [("ok", 0), ("stopped", 3), ("failed", 4), ("died", 4)])
def test_status_tells_how_a_run_ended_in_words_and_code(lorasmith, run, start_engine_script, outcome, code):
    (run.state / "step-00000004.pt").touch()
    start_engine_script(run, ended(outcome)).wait()
    said = lorasmith("status", "bear")
    assert said.code == code
    lines = [line.strip() for line in said.out.splitlines()]
    state = {"ok": "finished", "stopped": "stopped", "failed": "failed", "died": "died"}[outcome]
    assert lines[0].startswith(f"bear: {state}, ")
    assert lines[1:3] == ["epoch 2/2, step 4/4", "last checkpoint: epoch 2, checkpoints/bear-000002.safetensors"]
    assert ("`lorasmith resume bear` goes on from the last saved state" in said.out) == (outcome != "ok")
    if outcome == "failed":
        assert "why: the card is on \\x1b[31mfire" in lines
    if outcome == "died":
        assert "log: out of \\x1b[31mmemory" in lines


def test_status_and_watch_of_a_live_run(lorasmith, begin, run, start_engine_script, until):
    engine = start_engine_script(run)
    until(lambda: "steps/s" in lorasmith("status", "bear").out)
    said = lorasmith("status", "bear")
    assert said.code == 0
    assert "bear: running, since " in said.out
    figures = " ".join(said.out.split())
    assert "epoch 1/10, step " in figures and "/100000, " in figures and " left (until " in figures
    assert "warning: a warning with an escape code: \\x1b[31m" in said.out

    watching = begin("watch", "bear", "--plain")
    lines = [watching.stdout.readline() for _ in range(4)]
    assert lines[0].startswith("bear is running: epoch 1/10, step ")
    watching.send_signal(signal.SIGINT)
    rest, errors = watching.communicate(timeout=60)
    assert watching.returncode == 130
    assert rest.endswith("You left; it goes on. `lorasmith watch bear` returns to it.\n")
    assert errors == "" and engine.poll() is None


@pytest.mark.parametrize(("outcome", "code"), [("ok", 0), ("stopped", 3), ("failed", 4), ("died", 4)])
def test_watch_ends_with_the_run_and_tells_how(lorasmith, run, start_engine_script, outcome, code):
    start_engine_script(run, ended(outcome)).wait()
    said = lorasmith("watch", "bear")
    assert said.code == code
    told = [line[9:] for line in said.out.splitlines() if line[2:3] == ":"]
    assert told[0] == "begun; loading its libraries"
    assert "epoch 1: held-out loss 0.1250 (the untouched base: 0.2500)" in told
    assert "checkpoint, epoch 1: checkpoints/bear-000001.safetensors, 170.2 MB," in told
    last = " ".join(said.out.splitlines()[-2:])
    assert {
        "ok": "bear has finished",
        "stopped": "bear has stopped: ",
        "failed": "bear has failed: the card is on \\x1b[31mfire.",
        "died": "log: out of \\x1b[31mmemory",
    }[outcome] in last


def test_watch_tells_events_as_json_one_a_line(lorasmith, run, start_engine_script):
    start_engine_script(run, ended("ok")).wait()
    said = lorasmith("watch", "bear", "--json", columns=False)
    events = [json.loads(line) for line in said.out.splitlines()]
    assert said.code == 0
    assert [event["event"] for event in events].count("step") == 4
    assert events[0]["event"] == "started" and events[-1]["outcome"] == "ok"


def test_status_as_json(lorasmith, run, start_engine_script):
    start_engine_script(run, ended("ok")).wait()
    one = json.loads(lorasmith("status", "bear", "--json", columns=False).out)
    assert one["status"] == "finished" and one["folder"] == str(run.path) and one["alive"] is False
    assert (one["step"], one["steps"], one["loss"]) == (4, 4, 0.25)
    assert json.loads(lorasmith("status", "--json", columns=False).out) == [one]


def test_a_run_elsewhere_is_named_by_its_path(lorasmith, tmp_path, start_engine_script):
    run = create_run("cat", "", parent=tmp_path / "else where")
    start_engine_script(run, ended("stopped")).wait()
    said = lorasmith("status", tmp_path / "else where" / "cat")
    assert f"`lorasmith resume '{run.path}'`" in said.out.splitlines()[-2]


def test_a_comparison_of_nothing_usable_is_not_said_to_go_on(lorasmith):
    job = RecordedRun(create_run("foxes", "", kind="compare"))
    job.event("started", verb="compare", pid=1, from_step=None)
    job.finish("failed", "Nothing can be compared: a.safetensors is not a whole safetensors file.")
    for verb in ("status", "watch"):
        told = " ".join(lorasmith(verb, "foxes").out.split())
        assert "Nothing can be compared" in told and "resume" not in told and "Put its LoRA files right" in told
    story = Seen(read_summary(job.folder))
    assert "r goes on" not in how_it_stands(job.folder, story)[0]


def test_requests_are_answered_by_the_engine(lorasmith, run, start_engine_script):
    engine = start_engine_script(run)
    assert lorasmith("save", "bear").out == "Saved: checkpoints/bear-step00000001.safetensors (1.5 kB).\n"
    assert lorasmith("sample", "bear").out == "Drawn: samples/one.png.\n"
    paused = lorasmith("pause", "bear")
    assert paused.code == 0 and paused.out.startswith("bear is paused and keeps its memory; `lorasmith resume bear`")
    assert lorasmith("pause", "bear").out == "bear is paused already.\n"
    assert "bear: paused" in lorasmith("status", "bear").out
    assert lorasmith("resume", "bear").out == "bear goes on; `lorasmith watch bear` follows it.\n"
    assert lorasmith("resume", "bear").out == "bear is running already: `lorasmith watch bear` follows it.\n"
    stopped = lorasmith("stop", "bear")
    assert stopped.code == 0
    assert stopped.out.startswith("It saves and stops.\nbear has stopped: stopped after saving, as asked.")
    assert engine.wait(60) == 4


def test_stop_now_says_so(lorasmith, run, start_engine_script):
    engine = start_engine_script(run)
    assert lorasmith("stop", "bear", "--now").out.startswith("It stops at once.\nbear has stopped: stopped at once")
    assert engine.wait(60) == 4


def test_a_run_that_failed_before_its_first_state_is_not_said_to_go_on_from_one(lorasmith, run, start_engine_script):
    start_engine_script(run, ended("failed")).wait()
    for verb in ("status", "watch"):
        assert "`lorasmith resume bear` starts it again from the beginning" in " ".join(
            lorasmith(verb, "bear").out.split()
        )


@pytest.mark.parametrize(("recorded", "used"), [('"processes":3,', 3), ('"processes":1,', 1), ("", 1)])
def test_resume_starts_as_many_processes_as_before(monkeypatch, capsys, run, recorded, used):
    from tui.commands import control

    run.events.write_text(
        f'{{"v":1,"t":1.0,"elapsed":0.0,"attempt":1,"event":"started",{recorded}"pid":1}}\n'
        '{"v":1,"t":2.0,"elapsed":1.0,"attempt":1,"event":"finished","outcome":"stopped"}\n'
    )
    (run.state / "step-00000004.pt").touch()
    asked = {}

    def start_engine(_, verb, *, processes):
        asked[verb] = processes
        return Namespace(pid=2)

    monkeypatch.setattr(control, "start_engine", start_engine)
    assert control.resume(Namespace(run="bear")) == 0
    assert asked == {"train": used}
    assert "goes on from its last saved state (process 2)" in " ".join(capsys.readouterr().out.split())


def test_sample_without_prompts_is_not_asked_in_vain(lorasmith, start_engine_script):
    silent = create_run("silent", "")
    start_engine_script(silent)
    said = lorasmith("sample", "silent")
    assert said.code == 1
    assert "silent has nothing to draw: its plan names no samples.prompts" in " ".join(said.err.split())


@pytest.mark.parametrize("verb", ["save", "sample", "pause", "stop"])
def test_asking_a_run_that_is_over_is_a_sentence(lorasmith, run, start_engine_script, verb):
    start_engine_script(run, ended("ok")).wait()
    said = lorasmith(verb, "bear")
    assert said.code == 1 and said.out == ""
    assert said.err.startswith(f"There is nothing to {verb}: bear has finished")


def test_a_finished_run_is_not_resumed(lorasmith, run, start_engine_script):
    start_engine_script(run, ended("ok")).wait()
    said = lorasmith("resume", "bear")
    assert said.code == 1
    assert said.err.startswith("bear has finished, so there is nothing to resume")
