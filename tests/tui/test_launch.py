"""What is settled before a screen is drawn."""

from __future__ import annotations

import pytest

from tui.launch import can_draw, prepare_environment, speaks_utf8


def test_a_persons_own_settings_stay():
    env = {"TERM": "xterm-256color", "TEXTUAL_COLOR_SYSTEM": "standard", "TEXTUAL_ANIMATIONS": "full"}
    prepare_environment(env)
    assert env["TEXTUAL_COLOR_SYSTEM"] == "standard" and env["TEXTUAL_ANIMATIONS"] == "full"
    assert env["TEXTUAL_THEME"] == "ansi-dark"  # of sixteen colours the terminal's own are the right ones


def test_what_is_asked_for_on_the_command_line_wins():
    env = {"TERM": "xterm-256color", "TEXTUAL_COLOR_SYSTEM": "256"}
    prepare_environment(env, "truecolor")
    assert env["TEXTUAL_COLOR_SYSTEM"] == "truecolor" and "NO_COLOR" not in env
    prepare_environment(env, "none")
    assert env["NO_COLOR"] == "1"


def test_over_ssh_there_are_fewer_frames_and_more_patience_with_keys():
    here, there = {"TERM": "xterm"}, {"TERM": "xterm", "SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}
    prepare_environment(here)
    prepare_environment(there)
    assert there["TEXTUAL_FPS"] == "20" and there["ESCDELAY"] == "250"
    assert "TEXTUAL_FPS" not in here and here["TEXTUAL_ANIMATIONS"] == "none"


@pytest.mark.parametrize(
    ("env", "utf8"),
    [
        ({}, True),
        ({"LANG": "C"}, False),
        ({"LANG": "C.UTF-8"}, True),
        ({"LANG": "en_GB.utf8"}, True),
        ({"LANG": "en_GB.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": "C", "LC_CTYPE": "UTF-8"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
        ({"LC_ALL": "", "LANG": "POSIX"}, False),
    ],
)
def test_the_locale_says_whether_there_is_more_than_ascii(env, utf8):
    assert speaks_utf8(env) is utf8


def test_without_a_terminal_no_screen_is_drawn():
    assert not can_draw({"TERM": "xterm"})  # a test's stdin is none
