"""Whatever becomes of the terminal, the training goes on, and what watched it is gone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from terminal import Terminal, lorasmith

GONE_SECONDS = 2.0


@pytest.mark.alone
def test_closing_the_terminal_ends_the_screen_and_not_the_training(open_app, goes_on):
    terminal = open_app()
    terminal.until("box", "running", "q leave")
    terminal.hang_up()
    assert terminal.ended(GONE_SECONDS) != 0


@pytest.mark.alone
@pytest.mark.parametrize("ignored", [True, False], ids=["hangup ignored", "no hangup sent"])
def test_a_screen_that_no_signal_reaches_ends_with_its_terminal(home, goes_on, ignored):
    """As under nohup, and as in a container whose client went away: there is only the closed descriptor."""
    before = (lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) if ignored else (lambda: None)
    with Terminal(lorasmith(), env={"LORASMITH_HOME": str(home)}, before=before, controls=ignored) as terminal:
        terminal.until("running", "q leave")
        terminal.hang_up()
        terminal.ended(GONE_SECONDS)


@pytest.mark.alone
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_killing_the_screen_is_nothing_to_the_training(open_app, goes_on, how):
    terminal = open_app()
    terminal.until("running", "q leave")
    terminal.process.send_signal(how)
    terminal.ended(GONE_SECONDS)


@pytest.mark.alone
def test_coming_back_shows_the_run_at_once(open_app, training, goes_on):
    open_app().until("running", "q leave")
    again = open_app()
    again.until("box", "running", "step", "of 150,000")
    assert time.monotonic() - again.began < 1.0
    assert processor_seconds(again.process.pid) < 1.0


@pytest.mark.alone
def test_a_stalled_line_holds_up_the_screen_only(open_app, training, goes_on):
    terminal = open_app()
    terminal.until("running", "q leave")
    terminal.hold()
    goes_on()
    terminal.keys("33")  # more to draw than the line takes
    goes_on()
    used = processor_seconds(terminal.process.pid)
    time.sleep(1.0)  # nothing to wait for: what is asked is that nothing is done
    assert processor_seconds(terminal.process.pid) - used < 0.5
    terminal.go_on()
    terminal.until("begun; loading its libraries")


@pytest.mark.alone
def test_a_line_that_stalls_and_then_drops(open_app, goes_on):
    terminal = open_app()
    terminal.until("running", "q leave")
    terminal.hold()
    terminal.keys("1234" * 20)
    goes_on()
    terminal.hang_up()
    terminal.ended(GONE_SECONDS)


@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "ctrl-c"])
def test_leaving_says_how_to_come_back(open_app, goes_on, key):
    terminal = open_app()
    terminal.until("running", "q leave")
    terminal.keys(key)
    assert terminal.ended() == 0
    said = terminal.until("box: running", "`lorasmith watch box`")
    assert "It goes on without this terminal" in said


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
