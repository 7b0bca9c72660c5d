"""The wizard in a real terminal that dies: what was typed is there the next time."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from terminal import Terminal, lorasmith

from tui.draft import list_drafts


def typed_and_saved(terminal: Terminal) -> None:
    terminal.until("see it work")
    terminal.keys("n")
    terminal.until("Give the project a name")
    terminal.keys("plush bear")
    terminal.until("plush bear", "goes on")


def saved() -> None:
    """Waits for the draft on the disk."""
    end = time.monotonic() + 20
    while [found.name for found in list_drafts()] != ["plush bear"]:
        assert time.monotonic() < end, "the draft was never saved"
        time.sleep(0.02)


@pytest.mark.parametrize("end", ["kill", "hang up"])
def test_a_terminal_that_dies_loses_no_letter(end: str, own_home: Path):
    with Terminal(lorasmith(), env={"LORASMITH_HOME": str(own_home)}) as terminal:
        typed_and_saved(terminal)
        saved()
        if end == "kill":
            terminal.process.send_signal(signal.SIGKILL)
        else:
            terminal.hang_up()
        assert terminal.ended() != 0
    with Terminal(lorasmith(), env={"LORASMITH_HOME": str(own_home)}) as terminal:
        terminal.until("one is begun")
        terminal.keys("n")
        terminal.until("plush bear", "at 1 Subject", "go on")
        terminal.keys("\r")
        terminal.until("Name        plush bear", "n goes on")


def test_leaving_says_that_the_draft_is_kept(own_home: Path):
    with Terminal(lorasmith(), env={"LORASMITH_HOME": str(own_home)}) as terminal:
        typed_and_saved(terminal)
        terminal.keys("\r")
        terminal.until("choose")
        terminal.keys("q")
        terminal.until("The draft plush bear is kept")
        assert terminal.ended() == 0
