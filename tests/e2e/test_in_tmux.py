"""In a real tmux of 80x24: keys, resizing, and its window closed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from recorded_run import RecordedRun, new_recorded_run


@pytest.fixture
def run(own_home: Path) -> RecordedRun:
    made = new_recorded_run()
    made.start()
    made.train(120)
    return made


def test_the_views_by_keys_and_back_to_the_shell(tmux, own_home, run):
    run.finish("failed", "the disk is full while writing state", "make room, then resume")
    tmux.open(own_home)
    tmux.until("bear", "training", "✗ failed", "60 % of 200", "the disk is full while writing state")
    tmux.keys("Enter")
    text = tmux.until("step 120 of 200", "smoothed", "held out", "r resume")
    assert "why: the disk is full while writing state." in text
    tmux.keys("3")
    tmux.until("checkpoint, epoch 2: checkpoints/bear-000002.safetensors, 200.0 MB", "▸3 Record")
    tmux.keys("?")
    tmux.until("The engine works in a process of its own", "the engine's log", "escape closes this")
    tmux.keys("Escape")
    tmux.until("▸3 Record", "loading its libraries")
    tmux.keys("l")
    tmux.until("1 run, in", "⏎ watch")
    tmux.keys("q")
    tmux.until("bear: failed", "why: the disk is full while writing state")


def test_every_colour_is_sent_and_the_rest_is_left_to_tmux(tmux, own_home, run):
    tmux.open(own_home, "watch", "bear")
    tmux.until("step 120 of 200", "smoothed")
    assert "38;2;" in tmux("capture-pane", "-p", "-e")


def test_too_small_says_what_it_needs_and_loses_nothing(tmux, own_home, run):
    tmux.open(own_home, "watch", "bear")
    tmux.until("smoothed", "q leave")
    tmux.keys("3")
    before = tmux.until("▸3 Record")
    tmux("resize-window", "-x", "60", "-y", "15")
    text = tmux.until("lorasmith needs 80x24", "this terminal has 60x15", "bear died, step 120 of 200")
    assert "Record" not in text
    tmux("resize-window", "-x", "80", "-y", "24")
    tmux.until(*filter(None, before.splitlines()))


def test_a_wide_window_shows_chart_and_record_at_once(tmux, own_home, run):
    tmux.open(own_home, "watch", "bear")
    tmux.until("smoothed", "q leave")
    tmux("resize-window", "-x", "120", "-y", "36")
    tmux.until("smoothed", "checkpoint, epoch 2: checkpoints/bear-000002.safetensors, 200.0 MB")


def test_closing_the_window_ends_the_screen(tmux, own_home, run):
    with run.alive():
        tmux.open(own_home)
        tmux.until("step 120 of 200", "running")
        shell = int(tmux("display-message", "-p", "#{pane_pid}"))
        [screen] = map(int, Path(f"/proc/{shell}/task/{shell}/children").read_text().split())
        tmux("kill-window")
        closed = time.monotonic()
        while Path(f"/proc/{screen}").exists() and time.monotonic() - closed < 2.0:
            time.sleep(0.02)
        assert not Path(f"/proc/{screen}").exists()
    assert list(run.folder.control.iterdir()) == []
