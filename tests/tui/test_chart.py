"""The chart of the loss, cell by cell, and what a repaint of it touches."""

from __future__ import annotations

import itertools

import pytest
from recorded_run import loss_of

from tui.watch.story import Checkpoint, Curve, Validation
from tui.widgets.board import bar, cells, changes, spread, text_width
from tui.widgets.chart import LossChart
from tui.widgets.picture import grid, slot


def text(row) -> str:
    return "".join(part for part, _ in row)


def drawn(chart: LossChart, width: int = 47, height: int = 12) -> list[str]:
    return [text(row) for row in chart.rows(width, height)]


def given(chart: LossChart, steps: int, total: int, loss=loss_of, validations=(), checkpoints=()) -> LossChart:
    losses = tuple(loss(step) for step in range(1, steps + 1))
    smooth = tuple(itertools.accumulate(losses, lambda level, loss: level + 0.1 * (loss - level)))
    chart.curve = Curve(0, tuple(range(1, steps + 1)), losses, smooth)
    chart.total, chart.validations, chart.checkpoints = total, validations, checkpoints
    return chart


def dots(line: str) -> int:
    return sum((ord(char) - 0x2800).bit_count() for char in line if 0x2800 <= ord(char) <= 0x28FF)


def test_the_x_axis_is_the_whole_run_from_the_start():
    lines = drawn(given(LossChart(), 50, 200))
    plot = [line[7:] for line in lines[:-2]]
    assert all(set(line[11:]) == {" "} for line in plot)  # 50 of 200 steps: a quarter of 40 columns
    assert any(dots(line) for line in plot)
    assert lines[-1] == " " * 7 + "0" + " " * 36 + "200"


def test_a_flat_loss_is_a_flat_line_at_its_value():
    lines = drawn(given(LossChart(), 100, 100, loss=lambda _: 0.5))
    with_dots = [at for at, line in enumerate(lines) if dots(line)]
    assert len(with_dots) == 1
    top, bottom = float(lines[0].split("┤")[0]), float(lines[9].split("┤")[0])
    at = with_dots[0]
    assert bottom < 0.5 < top
    assert top - (top - bottom) * (at + 1) / 9.0 <= 0.5 <= top - (top - bottom) * (at - 1) / 9.0


def test_a_further_step_changes_a_cell_or_two():
    chart = given(LossChart(), 150, 200)
    before = [cells(row, 47) for row in chart.rows(47, 12)]
    given(chart, 151, 200)
    after = [cells(row, 47) for row in chart.rows(47, 12)]
    changed = sum(end - begin for old, new in zip(before, after, strict=True) for begin, end in changes(old, new))
    assert 0 < changed <= 4


def test_the_range_stays_while_the_losses_stay_in_it():
    chart = given(LossChart(), 150, 1000)
    first = drawn(chart)[0].split("┤")[0]
    for steps in (160, 170, 180):
        assert drawn(given(chart, steps, 1000))[0].split("┤")[0] == first


def test_one_spike_does_not_set_the_range():
    def spiky(step: int) -> float:
        return 50.0 if step == 80 else 0.1

    assert float(drawn(given(LossChart(), 100, 100, loss=spiky))[0].split("┤")[0]) < 10


def test_held_out_losses_the_bases_and_checkpoints_have_their_marks():
    validations = [Validation(50, 0.12, 0.16), Validation(100, 0.11, 0.16)]
    checkpoints = [Checkpoint(50, 1, "a"), Checkpoint(100, 2, "b")]
    lines = drawn(given(LossChart(), 100, 100, validations=validations, checkpoints=checkpoints))
    assert sum(line.count("✕") for line in lines) == 2
    dashed = [at for at, line in enumerate(lines) if "╌" in line]
    crossed = [at for at, line in enumerate(lines) if "✕" in line]
    assert len(dashed) == 1 and dashed[0] < min(crossed)  # 0.16 lies above both
    assert lines[-2].count("▴") == 2 and lines[-2].endswith("▴")


def test_a_resumed_run_is_drawn_anew():
    chart = given(LossChart(), 100, 100)
    drawn(chart)
    given(chart, 40, 100)
    chart.curve = Curve(1, chart.curve.steps, chart.curve.losses, chart.curve.smooth)
    assert drawn(chart) == drawn(given(LossChart(), 40, 100))


@pytest.mark.parametrize(("width", "height"), [(10, 4), (0, 0), (200, 60), (15, 5)])
def test_no_room_is_no_error(width, height):
    assert all(len(line) == width for line in drawn(given(LossChart(), 30, 100), width, height))


def test_a_loss_of_any_size_fits_its_label():
    for size in (1e-9, 1e-4, 1.0, 250.0, 9e9):
        lines = drawn(given(LossChart(), 20, 20, loss=lambda step, size=size: size * (1 + step / 20)))
        assert all(len(line) == 47 for line in lines)


def test_a_row_is_cut_and_filled_by_columns_not_letters():
    row = cells([("猫猫a", "plain")], 4)
    assert [cell[0] for cell in row] == ["猫", "", " ", "…"]
    assert [cell[0] for cell in cells([("猫a", "plain")], 5)] == ["猫", "", "a", " ", " "]
    assert cells([("e\u0301", "plain")], 2)[0][0] == "e\u0301"


def test_a_changed_wide_letter_is_sent_whole():
    assert changes(cells([("ab猫", "")], 8), cells([("ab犬", "")], 8)) == [(2, 4)]
    assert changes(cells([("猫", "")], 8), cells([("ab", "")], 8)) == [(0, 2)]


def test_the_right_end_of_a_line_gives_way():
    left, right = [("left", "plain")], [("the right end", "plain")]
    assert text(spread(left, right, 30)) == "left" + " " * 13 + "the right end"
    assert text(spread(left, right, 18)) == "left the right end"
    assert text(spread(left, right, 12)) == "left"


def test_bars_are_as_long_as_they_say():
    assert text(bar(0.5, 10)) == "━━━━━─────"
    assert text(bar(0.55, 10)) == "━━━━━╸────"
    assert all(text_width(bar(share / 100, 17)) == 17 for share in range(-10, 120))


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (2, (2, 1)), (4, (4, 1)), (9, (5, 2))])
def test_as_many_pictures_as_there_are_as_large_as_can_be(count, shape):
    from textual.geometry import Size

    room = Size(78, 14)
    assert grid(count, room) == shape
    one = slot(room, shape)
    assert (one.width + 2) * shape[0] - 2 <= 78 and one.height * shape[1] <= 14
