"""A comparison's measurements and votes on disk, so that deciding anew (another dial, more votes) draws nothing."""

from __future__ import annotations

import io
import json
import math
import secrets
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import LorasmithError, shown
from engine.files import write_atomic
from engine.select.cells import Cell, Copying, Following, Likeness, Looks, Measurements, Point, StyleReading
from engine.select.decide import Decision, Undecided
from engine.select.families import Family
from engine.select.fidelity import CannotTell
from engine.select.scores import Scores
from engine.select.votes import Vote
from engine.select.words import Sentence

VERSION = 1
_GROUPS = {"likeness": Likeness, "following": Following, "styles": StyleReading, "looks": Looks, "copying": Copying}


def save_measurements(path: Path, measured: Measurements, set_hash: str) -> None:
    """Writes everything to one .npz, whole or not at all; `set_hash` is the prompt set's."""
    arrays: dict[str, np.ndarray] = {}
    about: dict[str, Any] = {
        "version": VERSION,
        "prompts": set_hash,
        "cells": [[*_pair(cell.point), cell.prompt, cell.family.value, cell.seed] for cell in measured.cells],
        "broken": [[*_pair(point), why] for point, why in measured.broken.items()],
    }
    for name in _GROUPS:
        group = getattr(measured, name)
        if group is None:
            continue
        about[name] = {}
        for field in fields(group):
            value = getattr(group, field.name)
            if isinstance(value, np.ndarray):
                arrays[f"{name}.{field.name}"] = value
            else:
                about[name][field.name] = dict(value) if isinstance(value, Mapping) else value
    if measured.pixels is not None:
        arrays["pixels"] = measured.pixels
    if measured.real_pixels is not None:
        arrays["real_pixels"] = measured.real_pixels
    packed = io.BytesIO()
    np.savez_compressed(packed, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
    write_atomic(path, packed.getvalue())


def load_measurements(path: Path, set_hash: str) -> Measurements:
    """Reads them back. Raises LorasmithError where they are damaged, newer, or of another prompt set."""
    try:
        with np.load(path, allow_pickle=False) as packed:
            arrays = {name: packed[name] for name in packed.files}
        about = json.loads(str(arrays.pop("about")))
    except FileNotFoundError:
        raise LorasmithError(f"There are no measurements at {shown(path)}: run the comparison first.") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise LorasmithError(f"{shown(path)} is damaged ({shown(error)}): remove it, and compare again.") from error
    if about.get("version") != VERSION:
        raise LorasmithError(f"{shown(path)} was written by another version: remove it, and compare again.")
    if about["prompts"] != set_hash:
        raise LorasmithError(f"{shown(path)} was measured with other prompts: remove it, and compare again.")
    groups = {name: _group(name, kind, about, arrays) for name, kind in _GROUPS.items() if name in about}
    cells = tuple(Cell(Point(k, w), prompt, Family(family), seed) for k, w, prompt, family, seed in about["cells"])
    broken = {Point(k, w): why for k, w, why in about["broken"]}
    return Measurements(
        cells, pixels=arrays.get("pixels"), real_pixels=arrays.get("real_pixels"), broken=broken, **groups
    )


def add_vote(path: Path, vote: Vote, name: str = "") -> None:
    """Adds a vote to the file of votes, a line each; by its name (any, where none is given) it can be taken back.

    Two writers at once would lose a vote: the caller holds the others off.
    """
    line = {"left": _pair(vote.left), "right": _pair(vote.right), "better": vote.better and _pair(vote.better)}
    _add_line(path, {"name": name or secrets.token_hex(4), **line})


def take_back(path: Path, name: str = "", drawn: Collection[Point] | None = None) -> Vote | None:
    """Takes back the vote of this name, else the last one, by a line that says so; None where there is no such vote."""
    standing = _standing(path, drawn)
    name = name or next(reversed(standing), "")
    if name in standing:
        _add_line(path, {"back": name})
    return standing.get(name)


def read_votes(path: Path, drawn: Collection[Point] | None = None) -> list[Vote]:
    """The votes that hold, in the order in which they were cast; lines that are none are passed over.

    With `drawn`, so are votes on other points than these.
    """
    return list(_standing(path, drawn).values())


def _standing(path: Path, drawn: Collection[Point] | None) -> dict[str, Vote]:
    """The votes that were not taken back, by name; one without a name goes by its line."""
    votes: dict[str, Vote] = {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    for number, line in enumerate(lines):
        try:
            said = json.loads(line)
            if "back" in said:
                votes.pop(said["back"], None)
                continue
            better = None if said["better"] is None else _point(said["better"])
            vote = Vote(_point(said["left"]), _point(said["right"]), better)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            continue
        if drawn is None or (vote.left in drawn and vote.right in drawn):
            votes[str(said.get("name", number))] = vote
    return votes


def _point(said: Any) -> Point:
    """A point from its pair; ValueError or TypeError for what is none, as people edit the file of votes by hand."""
    checkpoint, weight = said
    if type(checkpoint) is not int or type(weight) not in {int, float} or not math.isfinite(weight):
        raise ValueError(f"{said!r} is no checkpoint with its weight")
    return Point(checkpoint, float(weight))


def _add_line(path: Path, line: Mapping[str, Any]) -> None:
    """Adds it at the end, whole or not at all; a torn last line is ended first."""
    before = path.read_bytes() if path.exists() else b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    write_atomic(path, before + json.dumps(line).encode() + b"\n")


def report(scores: Scores, decision: Decision | Undecided, sentences: Sequence[Sentence]) -> dict[str, Any]:
    """The comparison as JSON can say it: for `--json`, the page and the screen. nan is None."""
    known = not isinstance(scores.fidelity, CannotTell)
    rows = []
    for at, point in enumerate(scores.points):
        row: dict[str, Any] = {
            "checkpoint": point.checkpoint,
            "weight": point.weight,
            "fidelity": _number(scores.fidelity.value[at]) if known else None,  # type: ignore[union-attr]
            "flexibility": _number(scores.flexibility.value[at]),
            "parts": {name: _number(figures[at]) for name, figures in scores.parts.items()},
            "bleed": _number(scores.bleed[at]),
            "photo_leak": _number(scores.photo_leak[at]),
            "copied": _number(scores.copied[at]),
            "recalled": _number(scores.recalled[at]),
            "drift": _number(scores.drift[at]),
            "broken": scores.broken.get(point),
        }
        if known:
            row["fidelity_range"] = [_number(v) for v in scores.fidelity.interval(0.68)[at]]  # type: ignore[union-attr]
        row["flexibility_range"] = [_number(v) for v in scores.flexibility.interval(0.68)[at]]
        if isinstance(decision, Decision) and point in decision.judged.points:
            row |= {"balance": decision.judged.of(point), "chance": decision.judged.chance_of(point)}
            row["ruled_out"] = list(decision.ruled_out.get(point, ()))
        rows.append(row)
    return {
        "kind": scores.kind,
        "encoders": dict(scores.encoders),
        "anchors": None if isinstance(scores.anchors, CannotTell) else vars(scores.anchors),
        "points": rows,
        "decision": _decision(decision),
        "words": [{"text": s.text, "cells": [_cell(cell) for cell in s.cells]} for s in sentences],
    }


def _decision(decision: Decision | Undecided) -> dict[str, Any]:
    if isinstance(decision, Undecided):
        return {"choice": None, "reason": decision.reason}
    found = {name: _pair(getattr(decision, name)) for name in ("choice", "best", "last", "likest")}
    return {
        **found,
        "sureness": decision.sureness,
        "chance": decision.chance,
        "doubt": decision.rules.doubt,
        "equals": [_pair(point) for point in decision.equals],
        "front": [_pair(point) for point in decision.front],
        "relaxed": list(decision.relaxed),
        "votes": decision.votes,
        "lean": decision.rules.lean,
    }


def _group(name: str, kind: type, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    assert is_dataclass(kind)
    values = {
        field.name: arrays.get(f"{name}.{field.name}", about[name].get(field.name)) for field in fields(kind)
    }
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "checkpoint": cell.point.checkpoint, "weight": cell.point.weight, "prompt": cell.prompt, "seed": cell.seed,
    }  # fmt: skip


def _pair(point: Point) -> list[float]:
    return [point.checkpoint, point.weight]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
