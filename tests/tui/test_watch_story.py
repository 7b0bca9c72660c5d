"""What a run's events add up to on the monitor."""

from __future__ import annotations

import math

import pytest
from recorded_run import RecordedRun, loss_of, new_recorded_run

from tui.watch.story import Follower, Seen


@pytest.fixture
def run() -> RecordedRun:
    made = new_recorded_run()
    made.start()
    return made


def seen(run: RecordedRun) -> Seen:
    found = Follower(run.folder).look()
    assert found is not None
    return found


def test_every_step_is_a_point_also_where_one_event_tells_of_several(run):
    run.event("step", step=3, steps=10, epoch=1, epochs=1, loss=0.2, losses=[0.3, 0.2, 0.1], lr=1e-4, grad_norm=0.5)
    run.event("step", step=4, steps=10, epoch=1, epochs=1, loss=0.4)
    now = seen(run)
    assert now.curve.steps == (1, 2, 3, 4)
    assert now.curve.losses == (0.3, 0.2, 0.1, 0.4)
    assert (now.learning_rate, now.grad_norm) == (1e-4, 0.5)


def test_the_smoothed_line_is_a_mean_at_first_and_follows_later(run):
    for step in range(1, 101):
        run.step(step, 100, 1, loss=1.0 if step <= 50 else 0.0)
    smooth = seen(run).curve.smooth
    assert smooth[:50] == pytest.approx([1.0] * 50)
    assert smooth[50:] == tuple(sorted(smooth[50:], reverse=True))
    assert 0.05 < smooth[-1] < 0.3  # by hand: (1 - 1/25) ** 50 = 0.13


def test_a_loss_that_is_no_number_is_no_point(run):
    run.event("step", step=1, steps=9, loss="nan")
    run.event("step", step=2, steps=9, loss=0.2)
    now = seen(run)
    assert now.curve.steps == (2,)
    assert math.isnan(now.summary.loss or 0.0)


def test_a_resumed_run_takes_back_what_it_does_again(run):
    run.train(120)
    run.finish("stopped", "asked to")
    run.attempt = 2
    run.event("started", verb="train", from_step=None)
    run.event("plan", from_step=61)
    run.step(61)
    now = seen(run)
    assert now.curve.steps == tuple(range(1, 62))
    assert [one.step for one in now.checkpoints] == [50] == [one.step for one in now.validations]
    assert now.summary.attempt == 2
    assert [line.text for line in now.record if "again" in line.text] == [
        "begun again (start number 2); loading its libraries"
    ]


def test_a_record_that_was_replaced_is_read_anew(run):
    follower = Follower(run.folder)
    run.train(60)
    first = follower.look()
    run.folder.events.unlink()
    run.start()
    run.step(1)
    second = follower.look()
    assert first is not None and len(first.curve.steps) == 60
    assert second is not None and second.curve.steps == (1,)


def test_nothing_new_is_nothing(run):
    follower = Follower(run.folder)
    assert follower.look() is not None
    assert follower.look() is None


def test_stages_have_counts_and_end_with_the_next(run):
    run.event("stage", name="reading", done=0, total=10)
    run.event("stage", name="reading", done=10, total=10)
    run.event("stage", name="captioning", done=0, total=40)
    run.event("stage", name="captioning", done=8, total=40)
    run.event("stage", name="captioning", done=16, total=40)
    first, second = seen(run).stages
    assert (first.name, first.over, first.done) == ("reading", True, 10)
    assert (second.done, second.total, second.over) == (16, 40, False)
    assert second.rate == pytest.approx(16)  # the recorded run takes half a second for an event


def test_a_stage_that_comes_again_is_one_line(run):
    for step in (1, 2):
        run.event("stage", name="drawing samples", done=0, total=4)
        run.event("stage", name="drawing samples", done=4, total=4)
        run.step(step)
    assert [stage.name for stage in seen(run).stages] == ["drawing samples"]


def test_the_card_as_it_was_read_last(run):
    run.event("gpu", used=10e9, peak=11e9, limit=24e9, utilisation=97, temperature=None, power=310.5,
              throttled=["too hot"])  # fmt: skip
    card = seen(run).card
    assert card is not None
    assert (card.used, card.peak, card.limit, card.temperature) == (10e9, 11e9, 24e9, None)
    assert card.throttled == ("too hot",)


def test_events_of_another_shape_break_nothing(run):
    run.event("stage", name=5, done="x")
    run.event("step", step="one", loss=[])
    run.event("sample", files="a.png")
    run.event("checkpoint", step=3)
    run.event("validation", step=3, loss=None)
    run.event("gpu", used="much", throttled=3)
    run.event("plan", from_step="none", steps_per_epoch="many")
    run.event("from a newer lorasmith", text="?")
    with run.folder.events.open("a") as file:
        file.write('{"v":9,"half a line')
    now = seen(run)
    assert now.curve.steps == () and now.samples == () and now.steps_an_epoch is None


def test_a_hundred_thousand_steps_are_read_in_seconds(run):
    losses = [loss_of(step) for step in range(50)]
    for first in range(0, 100_000, 50):
        run.event("step", step=first + 50, steps=100_000, epoch=1, epochs=1, loss=losses[0], losses=losses)
    assert len(seen(run).curve.steps) == 100_000
