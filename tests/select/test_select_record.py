"""Measurements and votes survive the disk; a report is JSON."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from planted_grids import CURVE, REFS, grid_of

from engine.errors import LorasmithError
from engine.select.cells import Point
from engine.select.decide import decide
from engine.select.record import add_vote, load_measurements, read_votes, report, save_measurements, take_back
from engine.select.scores import evaluate
from engine.select.votes import Vote
from engine.select.words import explain


def test_measurements_come_back_as_they_were(tmp_path):
    real = np.arange(12.0).reshape(3, 4)
    measured = replace(grid_of(CURVE, noise=0.1), looks=None, broken={Point(3, 0.8): "odd"}, real_pixels=real)
    save_measurements(tmp_path / "m.npz", measured, "abc")
    again = load_measurements(tmp_path / "m.npz", "abc")
    assert again.cells == measured.cells and again.broken == measured.broken and again.looks is None
    for name, array in measured.arrays().items():
        assert np.array_equal(array, again.arrays()[name]), name
    assert again.real_pixels is not None and np.array_equal(again.real_pixels, real)
    for field in fields(measured.copying):
        assert np.array_equal(getattr(again.copying, field.name), getattr(measured.copying, field.name))
    assert dict(again.styles.wanted) == dict(measured.styles.wanted)
    assert decide(evaluate(again, "person")).choice == decide(evaluate(measured, "person")).choice


def test_other_prompts_and_damage_are_named(tmp_path):
    path = tmp_path / "m.npz"
    save_measurements(path, grid_of({Point(1): CURVE[Point(1)]}), "abc")
    with pytest.raises(LorasmithError, match="other prompts"):
        load_measurements(path, "xyz")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(LorasmithError, match="damaged"):
        load_measurements(path, "abc")
    with pytest.raises(LorasmithError, match="run the comparison first"):
        load_measurements(tmp_path / "none.npz", "abc")


def test_votes_are_kept_a_line_each(tmp_path):
    path = tmp_path / "votes.jsonl"
    votes = [Vote(Point(1), Point(2, 0.8), Point(2, 0.8)), Vote(Point(3), Point(1), None)]
    assert read_votes(path) == []
    add_vote(path, votes[0])
    path.write_bytes(path.read_bytes() + b'{"left": [1')
    add_vote(path, votes[1])
    assert read_votes(path) == votes


def test_a_vote_is_taken_back_by_a_further_line(tmp_path):
    path = tmp_path / "votes.jsonl"
    first, second = Vote(Point(1), Point(2), Point(2)), Vote(Point(3), Point(1), None)
    assert take_back(path) is None and not path.exists()
    add_vote(path, first, "mine")
    add_vote(path, second)
    before = path.read_bytes()
    assert take_back(path, "mine") == first and take_back(path, "mine") is None and read_votes(path) == [second]
    assert path.read_bytes().startswith(before) and path.read_bytes().count(b"\n") == 3
    assert take_back(path) == second and take_back(path) is None and read_votes(path) == []
    path.write_bytes(before.splitlines()[0].replace(b'"name": "mine", ', b"") + b'\n{"le')  # torn, and without a name
    assert take_back(path) == first and read_votes(path) == []


def test_a_report_is_json_without_nan():
    for measured in (grid_of(CURVE, noise=0.1), _that_cannot_tell()):
        scores = evaluate(measured, "person")
        decision = decide(scores)
        said = json.loads(json.dumps(report(scores, decision, explain(scores, decision)), allow_nan=False))
        assert len(said["points"]) == 9 and said["words"] and said["encoders"]["likeness"] == "planted"
    assert said["decision"]["choice"] is None and said["points"][4]["fidelity"] is None


def _that_cannot_tell():
    measured = grid_of(CURVE, noise=0.1)
    return replace(measured, likeness=replace(measured.likeness, real=np.full((REFS, REFS), 0.3)))
