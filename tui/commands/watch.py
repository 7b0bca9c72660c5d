"""`lorasmith watch RUN`: the monitor's screen on a terminal, else the run's events as they come."""

from __future__ import annotations

from argparse import Namespace

from engine.errors import shown
from engine.runs.folder import find_run
from engine.runs.summary import read_summary
from tui.arguments import Parser, run_argument, screen_arguments
from tui.commands.status import progress
from tui.follow import Interrupts, follow
from tui.launch import can_draw, open_app
from tui.text import say


def watch_arguments(parser: Parser) -> None:
    run_argument(parser)
    screen_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the run's events, one JSON object a line")


def watch(asked: Namespace) -> int:
    """Follows until the run ends or the person leaves, which does not end it."""
    run = find_run(asked.run)
    if can_draw() and not asked.plain and not asked.json:
        return open_app(asked, run)
    summary = read_summary(run)
    if summary.alive and not asked.json:
        figures = progress(summary)
        say(f"{shown(run.name)} is {summary.status}{': ' + figures if figures else ''}. Ctrl-C leaves it running.")
    with Interrupts() as interrupts:
        return follow(run, interrupts, as_json=asked.json)
