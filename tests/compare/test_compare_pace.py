"""What a comparison says of the time it still takes: of the whole, from what it knows at that moment."""

from __future__ import annotations

from dataclasses import replace

import comparison
import pytest

from engine.compare.outlook import outlook, outlooks
from engine.compare.pace import Pace
from engine.compare.sources import run_job_of
from tui.telling import cost_words, rate_words


def test_the_whole_is_counted_at_the_pace_of_what_was_drawn():
    pace = Pace()
    pace.begin(missing=20, later=80, drawn=0)
    assert pace.seconds_left(drawn=1, seconds=4.0, together=4) is None, "the first batch is not there yet"
    assert pace.seconds_left(drawn=4, seconds=8.0, together=4) == 2.0 * (16 + 80)
    pace.begin(missing=10, later=0, drawn=20)
    assert pace.seconds_left(drawn=25, seconds=50.0, together=4) == 2.0 * 5
    assert pace.seconds_left(drawn=40, seconds=80.0, together=4) == 0.0


def test_before_the_first_picture_it_is_what_comparisons_before_took():
    pace = Pace(before=3.0)
    pace.begin(missing=10, later=20, drawn=0)
    assert pace.seconds_left(drawn=0, seconds=0.0, together=1) == 90.0


def test_a_line_of_a_stage_tells_the_whole():
    assert rate_words(10, 40, 2.0, left=300.0) == "2.0/s, 5 min left in all"
    assert rate_words(10, 40, 2.0) == "2.0/s, 15 s left"


def test_the_cost_of_every_depth_is_told_the_same_wherever_it_is_asked():
    job = run_job_of(comparison.finished().training)
    found = outlooks(job, ("quick", "normal", "thorough"))
    assert all(found[depth] == outlook(replace(job, depth=depth)) for depth in found)
    assert found["quick"].pictures.most < found["normal"].pictures.least < found["thorough"].pictures.most
    unknown = replace(found["normal"], seconds=None)
    least, most = unknown.pictures.least, unknown.pictures.most
    assert cost_words(unknown) == f"{least:,} to {most:,} pictures"
    assert cost_words(replace(unknown, seconds=60.0)).endswith(" here")
    assert replace(unknown, seconds=2.0).span == pytest.approx((2 * least, 2 * most))
