"""`lorasmith plot PROMPT --to GRID.png`: an X/Y/Z plot settled, begun, followed, and where it lies."""

from __future__ import annotations

import filecmp
import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from engine.draw.plot_axes import number_text
from engine.draw.plot_plan import PlotRequest, settled
from engine.draw.plot_settings import CELLS, GRID, KIND, PLACES, RESULT, Plot, deliver, job_text, same_plot
from engine.errors import RunError, shown
from engine.files import check_free
from engine.runs.folder import RunFolder, create_run
from engine.runs.launch import start_engine
from engine.runs.summary import read_summary
from tui.arguments import Parser, given, json_argument, named, positive
from tui.commands.train import begin_run
from tui.follow import Interrupts, follow
from tui.text import count, home_path, say, say_json


def plot_arguments(parser: Parser) -> None:
    parser.add_argument("prompt", metavar="PROMPT")
    parser.add_argument("--to", type=Path, required=True, metavar="GRID.png")
    parser.add_argument("--x", type=given, metavar="AXIS", help="columns: 'epoch: 1-10' (every checkpoint)")
    parser.add_argument("--y", type=given, metavar="AXIS", help="rows: 'weight: 0.4-1.0 [4]'")
    parser.add_argument("--z", type=given, metavar="AXIS", help="side by side: 'replace: photo, watercolour, comic'")
    parser.add_argument("--lora", action="append", default=[], type=named, metavar="WHICH[:WEIGHT]", dest="loras",
                        help="a run, a folder of LoRAs, or a file; repeatable")  # fmt: skip
    parser.add_argument("--base", default="", metavar="MODEL", help="what to draw with (the run's own, else demo)")
    parser.add_argument("--no-base-column", action="store_true", help="do not begin an epoch axis with the base")
    parser.add_argument("--negative", default="", metavar="PROMPT", help="what the pictures should not show")
    parser.add_argument("--seed", type=int, default=0, metavar="N",
                        help="the same for every cell; -1 takes one at random (0)")  # fmt: skip
    parser.add_argument("--steps", type=positive, default=25, metavar="N", help="sampling steps (25)")
    parser.add_argument("--cfg", type=float, default=5.0, metavar="X", help="how strictly prompts are followed (5)")
    parser.add_argument("--scheduler", default="euler", metavar="S", help="the sampler, e.g. 'DPM++ 2M Karras' (Euler)")
    parser.add_argument("--size", default="", metavar="WxH", help="in pixels, e.g. 832x1216 (the base's own)")
    parser.add_argument("--cell", type=positive, default=0, metavar="N",
                        help="longest side of a cell in the grid (as drawn)")  # fmt: skip
    parser.add_argument("--margin", type=_margin, metavar="N", help="pixels between cells, 0 to 500")
    parser.add_argument("--force", action="store_true", help="overwrite GRID.png")
    parser.add_argument("--detach", action="store_true", help="return as soon as it has begun")
    parser.add_argument("--name", metavar="NAME", help="what to call the run (plot)")
    json_argument(parser)


def plot(asked: Namespace) -> int:
    """Settles the plot, starts its job or takes up the one that already does or did the same, and tells the grid."""
    wanted = settled(_request(asked))
    run = None if asked.name else same_plot(wanted)
    if run is None or not _delivered(run, Path(wanted.to)):
        check_free(Path(wanted.to), force=asked.force)
    if not asked.json:
        _tell(wanted)
    if run is None:
        run = create_run(asked.name or KIND, job_text(wanted), kind=KIND, exact=asked.name is not None)
        code = _start(asked, run)
    else:
        code = _again(asked, run, Path(wanted.to))
    return code or (0 if asked.detach else _tell_result(asked, run, Path(wanted.to)))


def _request(asked: Namespace) -> PlotRequest:
    axes = {place: text for place in PLACES if (text := getattr(asked, place)) is not None}
    return PlotRequest(
        asked.prompt, asked.to, axes, asked.loras, asked.base, not asked.no_base_column, asked.negative,
        asked.seed, asked.steps, asked.cfg, asked.scheduler, asked.size, asked.cell, asked.margin,
    )  # fmt: skip


def _tell(wanted: Plot) -> None:
    columns, rows, sub_grids = wanted.shape
    grids = f" in {sub_grids} grids" if sub_grids > 1 else ""
    say(f"{count(len(wanted.cells), 'cell')}: {columns} x {rows}{grids}.")
    for axis in wanted.axes:
        labels = zip(axis.values, wanted.labels(axis.place), strict=True)
        values = [number_text(one) if isinstance(one, int | float) else shown(text[:60]) for one, text in labels]
        more = f" and {len(values) - 12} more" if len(values) > 12 else ""
        say(f"{axis.place.upper()}  {axis.kind:<8} {'; '.join(values[:12])}{more}", indent=2, hang=14)


def _start(asked: Namespace, run: RunFolder) -> int:
    """Begins the run and follows it; for a program its events come as JSON, a line each, before the result."""
    if not asked.json:
        return begin_run(run, KIND, detach=asked.detach)
    started = start_engine(run, KIND)
    if asked.detach:
        say_json({"folder": str(run.path), "pid": started.pid})
        return 0
    with Interrupts() as interrupts:
        return follow(run, interrupts, as_json=True, stop_on_interrupt=True)


def _again(asked: Namespace, run: RunFolder, to: Path) -> int:
    """Goes on with a run of the same plot: nothing to draw, to follow, or to resume."""
    summary = read_summary(run)
    if summary.alive:
        if not asked.json:
            say(f"The run {shown(run.name)} is at it.")
        if asked.detach:
            return 0
        with Interrupts() as interrupts:
            return follow(run, interrupts, as_json=asked.json)
    if summary.status == "finished" and not _failed(_result(run)):
        deliver(run.path / GRID, to)
        if not asked.json:
            say(f"The run {shown(run.name)} has drawn it already.")
        return 0
    return _start(asked, run)


def _delivered(run: RunFolder, to: Path) -> bool:
    """Whether what lies at `to` is this run's own grid, which may be written anew."""
    try:
        return filecmp.cmp(run.path / GRID, to, shallow=False)
    except OSError:
        return False


def _tell_result(asked: Namespace, run: RunFolder, to: Path) -> int:
    result = _result(run)
    failed = _failed(result)
    if asked.json:
        cells = [cell | {"file": cell["file"] and str(run.path / cell["file"])} for cell in result["cells"]]
        say_json({"folder": str(run.path), "grid": str(to), "cells": cells})
    else:
        say(f"The grid: {home_path(to)}. Each cell by itself: {home_path(run.path / CELLS)}.")
    if failed:
        blank = f"{count(len(failed), 'cell')} of {len(result['cells'])} stayed blank: {'; '.join(failed[:6])}"
        more = f" and {len(failed) - 6} more" if len(failed) > 6 else ""
        say(f"{blank}{more}. The warnings above say why.", file=sys.stderr)
    return 1 if failed else 0


def _result(run: RunFolder) -> dict[str, Any]:
    try:
        return json.loads((run.path / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{shown(run.path / RESULT)} cannot be read ({shown(error)}); {shown(run.path / GRID)} is the grid."
        ) from None


def _failed(result: dict[str, Any]) -> list[str]:
    return [shown(cell["called"]) for cell in result["cells"] if cell["failed"]]


def _margin(text: str) -> int:
    from argparse import ArgumentTypeError

    if not text.isdecimal() or int(text) > 500:
        raise ArgumentTypeError(f"'{text}' is no number of pixels from 0 to 500")
    return int(text)
