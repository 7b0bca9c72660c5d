"""The mode *compare* in a terminal of its own: bytes on the line, rest, and what stays printed."""

from __future__ import annotations

import importlib.util
import time

import pytest
from recorded_run import RecordedRun
from terminal import Terminal, lorasmith

FIRST_PAINT = 15_000
A_MOVE = 1_500


@pytest.fixture
def opened(comparison_run, own_home):
    """Opens a finished comparison by its name."""
    terminals = []

    def open_(kind: str = "finished", **env: str) -> Terminal:
        run = comparison_run(kind)
        record = RecordedRun(run)
        record.event("started", verb="compare", from_step=None)
        record.finish()
        (run.compare / "page.html").write_text("<!doctype html>")
        home = {"LORASMITH_HOME": str(own_home), "COLORTERM": "truecolor"}
        terminals.append(Terminal(lorasmith("watch", "fox-compare"), env=home | env))
        return terminals[-1]

    yield open_
    for terminal in terminals:
        terminal.__exit__()


def test_bytes_of_the_first_paint_of_a_move_and_at_rest(opened):
    terminal = opened()
    terminal.until("4 ← choice", "q leave")
    assert 2000 < terminal.until_quiet() < FIRST_PAINT
    terminal.keys("3")
    terminal.until("▸epoch 4 ●", "▀")
    before = terminal.until_quiet()
    terminal.keys("\x1b[D")
    terminal.until("▸epoch 3")
    after = terminal.until_quiet()
    assert after - before < A_MOVE
    time.sleep(2.5)  # nothing can be waited for: nothing is to come
    assert len(terminal.raw) == after


def test_what_stays_printed_after_leaving(opened):
    terminal = opened()
    terminal.until("4 ← choice", "q leave")
    terminal.keys("m")
    terminal.until("Make epoch 4 your LoRA?", "enter writes it")
    terminal.keys("\r")
    terminal.until("Your LoRA:", "scp ")
    terminal.keys("\r")
    terminal.until("Your LoRA is epoch 4:", "4 ← choice")
    terminal.keys("q")
    text = terminal.until("comes back to it.")
    assert terminal.ended() == 0
    assert "Take epoch 4: clearly the best" in text and "scp" in text and "fox.*" in text.replace("\n", "")
    assert "page.html" in text.replace("\n", "") and "`lorasmith watch fox-compare`" in text


@pytest.mark.skipif(
    importlib.util.find_spec("textual_image") is None, reason="needs textual-image, of the extra `images`"
)
def test_a_picture_that_is_alone_in_pixels_where_they_were_asked_for(opened):
    terminal = opened(LORASMITH_IMAGES="kitty")
    terminal.until("4 ← choice", "q leave")
    terminal.keys("3")
    terminal.until("▸epoch 4 ●", "▀")
    terminal.keys("\r")
    terminal.until("epoch 4, the choice", "(seed 1)")
    assert b"\x1b_G" not in bytes(terminal.raw)
    terminal.keys("\r")
    terminal.until_quiet()
    assert b"\x1b_G" in bytes(terminal.raw)
    shown = len(terminal.raw)
    terminal.keys("\x1b")
    terminal.until("epoch 4, the choice")
    terminal.until_quiet()
    assert b"a=d" in bytes(terminal.raw)[shown:]


def test_the_screen_of_a_locale_without_utf8(opened):
    terminal = opened(LANG="C", LC_ALL="C")
    assert "4 < choice" in terminal.until("4 < choice", "q leave")
