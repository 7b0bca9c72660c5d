"""Terminals of few colours, of none, without UTF-8, and those that are no screen."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from recorded_run import RecordedRun, new_recorded_run
from terminal import ROOT, lorasmith, surroundings


@pytest.fixture
def run(own_home: Path) -> RecordedRun:
    made = new_recorded_run()
    made.start()
    made.train(120)
    made.finish("stopped", "stopped after saving, as asked")
    return made


@pytest.fixture
def watch(open_app, own_home, run):
    """The monitor of a stopped run, once it is drawn; with what is to be different about its terminal."""

    def opened(*options: str, **env: str):
        terminal = open_app("watch", "bear", *options, LORASMITH_HOME=str(own_home), **env)
        terminal.until("step 120 of 200", "q leave")
        terminal.until_quiet(0.3)
        return terminal

    return opened


@pytest.mark.parametrize(
    ("env", "kind"),
    [
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "truecolor"),
        ({"TERM": "xterm-ghostty"}, "truecolor"),
        ({"TERM": "tmux-256color"}, "truecolor"),
        ({"TERM": "screen-256color", "TMUX": "/tmp/x,1,0"}, "truecolor"),
        ({"TERM": "screen-256color"}, "256"),
        ({"TERM": "linux"}, "16"),
        ({"TERM": "never-heard-of"}, "16"),
    ],
)
def test_as_many_colours_as_the_terminal_has(env, kind):
    from tui.launch import colour_system

    assert colour_system(env) == kind


@pytest.mark.parametrize(("term", "sent"), [("xterm-256color", b"38;5;"), ("xterm-kitty", b"38;2;"), ("linux", b"")])
def test_no_colour_the_terminal_lacks(watch, term, sent):
    raw = bytes(watch(TERM=term).raw)
    others = {b"38;2;", b"38;5;"} - {sent}
    assert sent in raw and not any(other in raw for other in others)


def test_state_is_told_by_word_and_mark_without_any_colour(watch):
    terminal = watch(NO_COLOR="1", COLORTERM="truecolor")
    colours = re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", bytes(terminal.raw))
    assert colours and all(red == green == blue for red, green, blue in colours)
    assert "▪ stopped" in terminal.text and "▸1 Loss" in terminal.text


@pytest.mark.parametrize("env", [{"LANG": "C"}, {"LANG": "de_DE.ISO-8859-1"}, {"LC_ALL": "POSIX"}])
def test_a_locale_without_utf8_gets_ascii(watch, env):
    terminal = watch(**env)
    assert terminal.text.isascii()
    assert "* stopped" in terminal.text and ">1 Loss" in terminal.text and "====" in terminal.text
    assert bytes(terminal.raw).isascii()


def test_sixty_by_fifteen_from_the_start(open_app, own_home, run):
    terminal = open_app("watch", "bear", size=(60, 15), LORASMITH_HOME=str(own_home))
    terminal.until("lorasmith needs 80x24", "this terminal has 60x15", "bear stopped, step 120 of 200")
    terminal.resize(80, 24)
    terminal.until("step 120 of 200", "q leave")
    terminal.keys("q")
    assert terminal.ended() == 0


@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
def test_a_terminal_without_a_cursor_gets_the_plain_list(open_app, own_home, run, term):
    terminal = open_app(LORASMITH_HOME=str(own_home), TERM=term)
    assert terminal.ended(20) == 0
    assert "newest first" in terminal.until("bear") and b"\x1b" not in terminal.raw


def test_a_pipe_gets_the_plain_list(own_home, run):
    env = surroundings({"LORASMITH_HOME": str(own_home)})
    done = subprocess.run(lorasmith(), capture_output=True, text=True, env=env, cwd=ROOT, timeout=60)
    assert done.returncode == 0 and "bear" in done.stdout and "\x1b" not in done.stdout


def test_an_unforeseen_error_is_one_sentence_and_the_training_goes_on(open_app, own_home, run, tmp_path):
    """The screen is given up, the trace lies in the log."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if sys.argv[0] == '-m' or sys.argv[0].endswith('__main__.py'):\n"
        "    import tui.watch.reading as reading\n"
        "    def broken(*_): raise ZeroDivisionError('odd \\x1b[31m thing')\n"
        "    reading.how_it_stands = broken\n"
    )
    with run.alive():
        terminal = open_app("watch", "bear", LORASMITH_HOME=str(own_home), PYTHONPATH=f"{tmp_path}:{ROOT}")
        assert terminal.ended(20) == 1
        text = " ".join(terminal.until("returns to it").split())
    assert "lorasmith met an error it did not expect (ZeroDivisionError: odd \\x1b[31m thing)" in text
    assert "bear goes on all the same: `lorasmith` returns to it." in text
    assert "Traceback" not in text
    assert "in broken" in (own_home / "lorasmith.log").read_text()
