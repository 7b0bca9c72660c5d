"""What goes wrong is one sentence on stderr and a code; never a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.runs.events import EventReader

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["stauts"], "lorasmith: there is no 'stauts'; did you mean `lorasmith status`?"),
        (["xyzzy"], "lorasmith: there is no 'xyzzy'; `lorasmith --help` lists what there is."),
        (["watch"], "the following arguments are required: RUN"),
        (["plan"], "lorasmith: there is no 'plan'; did you mean `lorasmith plan new`?"),
        (["plan", "old"], "lorasmith: there is no 'plan old'; did you mean `lorasmith plan new`?"),
        (["--ascii", "watch", "bear"], "lorasmith: watch comes first, its options behind it"),
        (["--asci"], "lorasmith: there is no option --asci"),
        (["plan", "new", "--kind", "cat", "--images", "."], "invalid choice: 'cat'"),
        (["train", "p.toml", "--processes", "0"], "'0' is not a whole number from 1 up"),
        (["status", "--jso"], "unrecognized arguments: --jso"),
        (["check", "x", "--resolution", "-5"], "'-5' is not a side in pixels that SDXL takes, 256 to 2048"),
        (["check", "x", "--resolution", "5000"], "'5000' is not a side in pixels"),
        (["check", ""], "the name is empty; '.' is the folder you are in"),
    ],
)
def test_a_wrong_command_is_answered_with_a_sentence_and_code_2(lorasmith, arguments, sentence):
    said = lorasmith(*arguments)
    assert (said.code, said.out) == (2, "")
    assert sentence in " ".join(said.err.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["watch", "nowhere"], "there is no run 'nowhere'"),
        (["status", "nowhere"], "there is no run 'nowhere'"),
        (["choose", "nowhere", "--epoch", "1", "--to", "x.safetensors"], "there is no run 'nowhere'"),
        (["train", "nowhere.toml"], "There is no plan file nowhere.toml; make one with `lorasmith plan new`."),
        (["estimate", "."], ". is a folder; name the plan file (.toml) in it."),
        (["check", "nowhere"], "does not exist"),
        (["plan", "new", "--kind", "person", "--images", "nowhere"], "there is no folder nowhere"),
        (["import-preset", "nowhere.json", "--out", "p.toml"], "There is no file nowhere.json"),
    ],
)
def test_what_is_not_there_is_named_with_code_1(lorasmith, arguments, sentence):
    said = lorasmith(*arguments)
    assert (said.code, said.out) == (1, "")
    assert sentence in " ".join(said.err.split())


def test_a_hostile_name_is_shown_without_its_escape_codes(lorasmith, tmp_path):
    hostile = "x\x1b[31m\u202egnp"
    assert "x\\x1b[31m\\u202egnp" in "".join(lorasmith("check", tmp_path / hostile).err.split())
    assert "\\x1b[31m" in lorasmith(hostile).err
    assert "\\x1b[31m" in lorasmith("status", hostile).err
    folder = tmp_path / hostile
    folder.mkdir()
    assert "\\x1b[31m" in "".join(lorasmith("check", folder).err.split())


def test_an_unforeseen_error_is_a_sentence_and_its_trace_lies_in_the_log(own_home):
    code = (
        "import sys, tui.commands.status as s\n"
        "def status(asked): raise ZeroDivisionError('an odd \\x1b[31m error')\n"
        "s.status = status\n"
        "from tui.cli import main\n"
        "sys.exit(main(['status']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    sentence = " ".join(done.stderr.split())
    assert sentence.startswith("lorasmith met an error it did not expect (ZeroDivisionError: an odd \\x1b[31m error);")
    assert sentence.endswith(f"the whole story is in {own_home}/lorasmith.log.")
    log = (own_home / "lorasmith.log").read_text()
    assert "in status" in log and "ZeroDivisionError" in log


def test_a_closed_folder_is_an_ordinary_error():
    code = (
        "import sys, tui.commands.status as s\n"
        "def status(asked): raise PermissionError(13, 'Permission denied', '/closed/\x1b[31mfolder')\n"
        "s.status = status\n"
        "from tui.cli import main\n"
        "sys.exit(main(['status']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert " ".join(done.stderr.split()) == (
        "/closed/\\x1b[31mfolder cannot be reached (Permission denied): give this user the right to, or choose "
        "another place."
    )


def test_a_run_without_a_name_is_refused(lorasmith, tmp_path, own_home):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "p.toml").write_text('[subject]\ninstance_prompt = "ohwx"\n[[pictures.folders]]\npath = "pictures"\n')
    said = lorasmith("train", tmp_path / "p.toml", "--name", "")
    assert said.code == 1 and "'' cannot be the name of a run" in " ".join(said.err.split())
    assert not (own_home / "runs").exists()


def test_a_home_that_is_a_file_is_said(lorasmith, own_home):
    own_home.write_text("")
    said = lorasmith("status")
    assert said.code == 1
    assert "set LORASMITH_HOME" in said.err


def test_a_reader_that_goes_away_is_no_error(begin):
    process = begin("--help")
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == ""


def test_a_terminal_without_utf8_shows_codes_for_what_it_lacks(lorasmith, tmp_path):
    folder = tmp_path / "Bilder-\u00e9\u732b"
    folder.mkdir()
    said = lorasmith("check", folder, PYTHONIOENCODING="ascii")
    assert "Bilder-\\xe9\\u732b" in said.out


def test_ctrl_c_ends_a_waiting_command_without_a_trace(begin, run, start_engine_script, until):
    engine = start_engine_script(run, "deaf")
    process = begin("pause", "bear")
    until(lambda: any(run.control.glob("*.json")))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr.read() == ""
    assert engine.poll() is None


def test_nothing_is_left_in_the_record_by_looking(lorasmith, run):
    lorasmith("status", "bear")
    lorasmith("watch", "bear")
    assert EventReader(run.events).poll() == []
    names = sorted(path.name for path in run.path.iterdir())
    assert names == ["cache", "checkpoints", "control", "plan.toml", "samples", "state"]
