from __future__ import annotations

import json
import math
import time

import pytest

from engine.errors import RunError
from engine.runs.events import EventLog
from engine.runs.folder import RunFolder, create_run
from engine.runs.lock import hold_lock
from engine.runs.summary import read_summary


def record(run: RunFolder, *events: tuple[float, int, str, dict[str, object]]) -> None:
    """Writes (elapsed, attempt, name, fields) as an engine of long ago did."""
    with run.events.open("a") as file:
        for elapsed, attempt, name, fields in events:
            line = {"v": 1, "t": 1000.0 + elapsed, "elapsed": elapsed, "attempt": attempt, "event": name}
            file.write(json.dumps(line | fields, separators=(",", ":")) + "\n")


def test_a_run_that_was_never_started(run: RunFolder) -> None:
    summary = read_summary(run)

    assert (summary.name, summary.kind, summary.status, summary.attempt) == ("bear", "train", "new", 0)
    assert summary.rate is summary.loss is summary.quiet_for is summary.last_event is None
    assert read_summary(create_run("w", 'kind = "caption"', kind="caption")).kind == "caption"


def test_a_run_that_was_deleted_while_it_was_watched(run: RunFolder) -> None:
    run.path.rename(run.path.with_name("moved"))

    with pytest.raises(RunError, match="bear is gone"):
        read_summary(run)


def test_a_live_run_in_figures(run: RunFolder) -> None:
    hold_lock(run)
    assert read_summary(run).status == "starting"
    record(run, (0.0, 1, "started", {"verb": "train"}))
    assert read_summary(run).status == "starting"
    record(run, (1.0, 1, "stage", {"name": "caching latents", "done": 3, "total": 9}))
    summary = read_summary(run)
    assert (summary.status, summary.stage, summary.stage_done) == ("running", "caching latents", 3)
    record(
        run,
        (10.0, 1, "step", {"step": 10, "steps": 100, "epoch": 1, "epochs": 10, "loss": 0.5}),
        (11.0, 1, "checkpoint", {"step": 10, "epoch": 1, "file": "checkpoints/bear-000001.safetensors"}),
        (20.0, 1, "step", {"step": 30, "steps": 100, "epoch": 3, "epochs": 10, "loss": 0.25}),
    )
    summary = read_summary(run)
    assert (summary.step, summary.steps, summary.epoch, summary.epochs) == (30, 100, 3, 10)
    assert summary.rate == 2.0 and summary.seconds_left == 35.0 and summary.loss == 0.375
    assert summary.checkpoint == "checkpoints/bear-000001.safetensors" and summary.checkpoint_epoch == 1
    assert summary.last_event == 1020.0 and summary.stage is None


def test_a_stage_may_tell_what_is_left_of_the_whole(run: RunFolder) -> None:
    hold_lock(run)
    first = {"name": "first pictures", "done": 3, "total": 9}
    record(run, (0.0, 1, "started", {"verb": "compare"}), (1.0, 1, "stage", first | {"left": 240.5}))
    assert read_summary(run).seconds_left == 240.5
    record(run, (2.0, 1, "stage", {"name": "writing the page", "done": 1, "total": 9}))
    assert read_summary(run).seconds_left is None


def test_a_pause_is_not_a_slow_step_and_a_lost_loss_is_shown(run: RunFolder) -> None:
    hold_lock(run)
    record(
        run,
        (0.0, 1, "started", {}),
        (1.0, 1, "step", {"step": 1, "steps": 100, "loss": 0.5}),
        (2.0, 1, "paused", {}),
        (3602.0, 1, "resumed", {}),
        (3603.0, 1, "step", {"step": 3, "loss": "nan"}),
        (3605.0, 1, "step", {"step": 4, "loss": 0.5}),
    )
    summary = read_summary(run)

    assert summary.status == "running" and summary.rate == 0.5
    assert summary.loss is not None and math.isnan(summary.loss)


def test_a_new_attempt_forgets_the_old_ones_pace_and_end_but_not_its_checkpoint(run: RunFolder) -> None:
    record(
        run,
        (0.0, 1, "started", {}),
        (1.0, 1, "step", {"step": 1, "steps": 9, "loss": 9.0}),
        (2.0, 1, "step", {"step": 2, "steps": 9, "loss": 9.0}),
        (3.0, 1, "checkpoint", {"file": "a", "epoch": 1}),
        (4.0, 1, "finished", {"outcome": "failed", "reason": "too hot: cool it", "hint": "open a window"}),
    )
    run.log.write_text("one\ntwo\n")
    summary = read_summary(run)
    assert (summary.status, summary.reason, summary.hint) == ("failed", "too hot: cool it", "open a window")
    assert summary.log_tail == ("one", "two")

    record(run, (0.0, 2, "started", {}))
    summary = read_summary(run)
    assert (summary.status, summary.attempt, summary.step, summary.checkpoint) == ("died", 2, 2, "a")
    assert summary.rate is summary.loss is None


def test_a_clock_that_jumps_changes_neither_rate_nor_quiet(run: RunFolder, monkeypatch) -> None:
    hold_lock(run)
    log = EventLog(run, attempt=1)
    from engine.runs.lock import boot_id

    monkeypatch.setattr(time, "time", lambda: 10.0**9)
    log.write("started", boot=boot_id(), monotonic=log.origin)
    for step in range(1, 4):
        monkeypatch.setattr(time, "time", lambda jump=step: 10.0**9 - 3600 * jump)
        log.write("step", step=step, steps=10)
        time.sleep(0.02)  # makes the pace that is measured; not a wait
    summary = read_summary(run)

    assert summary.rate is not None and 1 < summary.rate < 200
    assert summary.quiet_for is not None and summary.quiet_for < 30 and not summary.quiet
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + 180)
    later = read_summary(run)
    assert later.quiet_for == pytest.approx(180, abs=30) and later.quiet


def test_another_boot_is_told(run: RunFolder) -> None:
    record(run, (0.0, 1, "started", {"boot": "another", "monotonic": 1.0}))

    assert "started anew" in str(read_summary(run).reason)


def test_a_newer_engines_run_is_shown_as_far_as_it_is_understood(run: RunFolder) -> None:
    run.events.write_text(
        '{"v":3,"event":"started","attempt":4,"t":1,"elapsed":0,"verb":"dream"}\n{"v":3,"event":"dreamt"}\n'
    )
    summary = read_summary(run)

    assert (summary.newer, summary.attempt, summary.kind, summary.status) == (True, 4, "dream", "died")


def test_a_long_record_is_summed_up_in_under_a_second(run: RunFolder) -> None:
    record(run, (0.0, 1, "started", {"verb": "train"}))
    record(run, (0.5, 1, "checkpoint", {"file": "early", "epoch": 1}))
    steps = (
        (float(step), 1, "step" if step % 2 else "gpu", {"step": step, "steps": 200_000, "loss": float(step)})
        for step in range(1, 120_001)
    )
    record(run, *steps)

    before = time.process_time()
    summary = read_summary(run)
    took = time.process_time() - before

    assert took < 1.0
    assert (summary.step, summary.checkpoint, summary.rate) == (119_999, "early", 1.0)
    # The last 60 losses are 119,881, 119,883 ... 119,999.
    assert summary.loss == 119_940.0
