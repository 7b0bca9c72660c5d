"""The chart of fidelity against flexibility: numbers where they belong, words beside those that matter."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from engine.compare.report import CheckpointRow, DecisionRow, Lean, PointRow, Report
from tui.compare.chart import BalanceChart
from tui.compare.compared import Compared, headline, per_cent


def compared(points: dict[int, tuple[float, float]], choice: int, front=(), ruled_out=(), weight=None) -> Compared:
    """Checkpoints by number with fidelity and flexibility; the last is the highest number, and the likest, too."""
    rows = [PointRow(0, 0.0, 0.0, 100.0)]
    rows += [PointRow(n, 1.0, f, x, ruled_out=("copying",) if n in ruled_out else ()) for n, (f, x) in points.items()]
    if weight is not None:
        rows.append(PointRow(choice, weight[0], *weight[1:]))
    last = (max(points), 1.0)
    recommended = (choice, weight[0]) if weight is not None else (choice, 1.0)
    decision = DecisionRow((choice, 1.0), (choice, 1.0), last, last, "clear", 0.9, front=tuple((n, 1.0) for n in front))
    checkpoints = tuple(CheckpointRow(n, f"epoch {n}", f"/x/{n}.safetensors") for n in points)
    report = Report(
        "fox-compare", checkpoints=checkpoints, points=tuple(rows), decision=decision, state="done",
        dial=(Lean(1.0, decision, weight=recommended),),
    )  # fmt: skip
    return Compared(Path("/x"), report)


def drawn(seen: Compared, width: int = 80, height: int = 12) -> list[str]:
    chart = BalanceChart()
    chart.seen = seen
    rows = ["".join(text for text, _ in row) for row in chart.rows(width, height)]
    assert all(len(row) <= width for row in rows)
    return rows


def place(rows: list[str], text: str) -> tuple[int, int]:
    """Line and column of some text on the chart."""
    return next((y, row.index(text)) for y, row in enumerate(rows) if text in row)


def test_more_fidelity_is_further_right_and_more_flexibility_higher():
    rows = drawn(compared({1: (20, 95), 2: (50, 80), 3: (80, 40)}, 2))
    one, two, three = place(rows, "1 "), place(rows, "2 ← choice"), place(rows, "3 ")
    assert one[0] < two[0] < three[0] and one[1] < two[1] < three[1]
    assert place(rows, "○ ← base") < one


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("height", [6, 9, 20])
def test_choice_last_and_most_photographic_have_their_words_at_every_size(width, height):
    points = {n: (30 + 8 * n, 100 - n * n) for n in range(1, 9)}
    text = "\n".join(drawn(compared(points, 4, front=range(1, 9)), width, height))
    assert "choice" in text and "base" in text
    assert "last, most photographic" in text


def test_numbers_that_share_a_place_stand_beside_one_another():
    rows = drawn(compared({n: (60, 80) for n in range(1, 6)} | {9: (90, 30)}, 3))
    line = next(row for row in rows if "3" in row and "1" in row)
    assert sorted(part for part in line[6:].split() if part.isdigit()) == ["1", "2", "3", "4", "5"]
    assert any("choice" in row for row in rows)


def test_numbers_that_were_moved_for_want_of_room_keep_the_order_of_their_fidelity():
    # The demo's own: the choice, the last and the likest were set first, and pushed the others to wrong sides.
    fidelity = {5: 98, 6: 100, 7: 101, 8: 103, 9: 99.5, 10: 100.5}
    rows = drawn(compared({n: (f, 98) for n, f in fidelity.items()} | {1: (-2, 96)}, 5))
    for row in rows:
        numbers = [int(one) for one in re.findall(r"\d+", row.partition("│")[2].partition("←")[0]) if int(one) > 1]
        assert numbers == sorted(numbers, key=fidelity.__getitem__), row
    assert {str(n) for n in fidelity} <= set(re.findall(r"\d+", "\n".join(rows)))


def test_what_is_ruled_out_stands_in_brackets_and_the_front_is_joined_by_dots():
    rows = drawn(compared({1: (20, 95), 2: (60, 80), 9: (95, 20)}, 2, front=(1, 2), ruled_out=(9,)))
    text = "\n".join(rows)
    assert "(9)" in text and "ruled out" in rows[-1] and "· · front" in rows[-1]
    first, second = place(rows, "1 "), place(rows, "2 ←")
    assert "·" in rows[first[0]][first[1] : second[1]] + rows[second[0]][: second[1]]


def test_the_recommended_weight_has_a_place_of_its_own():
    text = "\n".join(drawn(compared({1: (20, 95), 4: (60, 80), 9: (95, 20)}, 4, weight=(0.8, 50.0, 95.0))))
    assert "at 0.8" in text and "choice" in text


def test_fidelity_that_cannot_be_told_leaves_the_chart_empty():
    seen = compared({1: (20, 95), 2: (60, 80)}, 2)
    rows = tuple(PointRow(row.checkpoint, row.weight, None, row.flexibility) for row in seen.report.points)
    report = Report("x", points=rows, decision=DecisionRow(reason="It cannot."), state="done")
    assert drawn(Compared(Path("/x"), report)) == []


def test_figures_beyond_the_scale_are_drawn_all_the_same():
    rows = drawn(compared({1: (-12, 130), 2: (140, -5)}, 1))
    assert "130" in rows[0] and "choice" in "\n".join(rows)


def test_the_headline_says_how_sure_it_is():
    assert headline(compared({1: (20, 95), 4: (60, 80)}, 4))[0] == (
        "Take epoch 4: clearly the best (chance of being best 90 %)"
    )
    near = compared({1: (20, 95), 4: (60, 80), 5: (61, 80)}, 4)

    def called(**changes) -> str:
        told = replace(near.decision, best=(5, 1.0), **changes)
        return headline(Compared(Path("/x"), replace(near.report, dial=(Lean(1.0, told),))))[0]

    # The chance is the best one's; the choice stands in for it.
    assert called(sureness="too close", chance=0.4) == (
        "Take epoch 4: too close to call (the best may be epoch 5: 40 %)"
    )
    assert called(sureness="leaning") == (
        "Take epoch 4: within a point of epoch 5, which is probably the best (90 %)"
    )
    never = compared({1: (2, 99), 4: (9, 97)}, 4)
    told = replace(never.decision, relaxed=("undertrained",))
    never = Compared(Path("/x"), replace(never.report, dial=(Lean(1.0, told),)))
    assert headline(never)[0] == "None has learnt your subject; epoch 4 comes nearest to it"
    assert [per_cent(share) for share in (0.999, 0.5, 0.001)] == ["over 99 %", "50 %", "under 1 %"]


def test_the_legend_shows_a_number_that_is_ruled_out_and_none_where_none_is():
    points = {1: (20, 95), 5: (60, 80), 9: (95, 20)}
    assert "(9) ruled out" in drawn(compared(points, 5, ruled_out=(9,)))[-1]
    assert "ruled out" not in drawn(compared(points, 5))[-1]


def test_a_choice_whose_word_finds_no_room_is_told_by_brackets():
    crowd = {n: (59 + n % 8, 79 + n // 8) for n in range(1, 60)} | {60: (100, 20)}
    rows = drawn(compared(crowd, 28), height=9)
    assert "choice" not in "\n".join(rows[:-2]), "the crowd leaves no room for the word"
    assert "[28]" in "\n".join(rows[:-2]) and "[28] choice" in rows[-1]
