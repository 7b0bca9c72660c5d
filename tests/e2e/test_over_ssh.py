"""A real ssh connection on loopback: its client is killed, the training goes on, and the next login shows it."""

from __future__ import annotations

import signal
import time

import pytest
from loopback_ssh import screens
from terminal import surroundings


@pytest.mark.alone
def test_a_killed_client_leaves_the_training_and_the_next_login_shows_it(server, home, goes_on):
    with server.login(home) as client:
        client.until("box", "running", "q leave")
        watching = screens(home)
        assert len(watching) == 1
        client.process.send_signal(signal.SIGKILL)
        dropped = time.monotonic()
        while screens(home):
            assert time.monotonic() - dropped < 2.0, "the screen outlived its connection"
    goes_on()
    with server.login(home) as client:
        client.until("box", "running", "q leave")


@pytest.mark.alone
def test_a_stalled_line_that_then_drops(server, home, goes_on):
    with server.login(home) as client:
        client.until("running", "q leave")
        client.process.send_signal(signal.SIGSTOP)
        goes_on()
        client.process.send_signal(signal.SIGKILL)
        dropped = time.monotonic()
        while screens(home):
            assert time.monotonic() - dropped < 2.0, "the screen outlived its connection"


def test_no_mouse_over_a_bare_connection_and_few_frames(server, home, goes_on):
    """A dropped connection cannot turn the mouse off again: its reports would type themselves into the shell."""
    with server.login(home) as client:
        client.until("running", "q leave")
        assert b"\x1b[?1000h" not in client.raw and b"\x1b[?1003h" not in client.raw
        client.keys("q")
        client.until("box: running", "`lorasmith watch box`")
    assert "SSH_CONNECTION" not in surroundings({})
