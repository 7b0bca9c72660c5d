"""How runs stand: `lorasmith` alone and `lorasmith status`."""

from __future__ import annotations

import time
from argparse import Namespace

from engine.errors import shown
from engine.runs.folder import RunFolder, find_run, home, list_runs
from engine.runs.summary import RunSummary, read_summary
from tui.arguments import Parser, json_argument
from tui.telling import stage_words, unit_of
from tui.text import clock, duration, home_path, pace, plain, say, say_json, table

STOPPED, FAILED = 3, 4
_LISTED = 8

# What a shell learns of a run: 0 all is well, else why not.
EXIT_CODES = {"stopped": STOPPED, "failed": FAILED, "died": FAILED}


def status_arguments(parser: Parser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's name or folder; without: every run")
    json_argument(parser)


def home_page(runs: list[RunFolder]) -> None:
    """The newest runs, a line each."""
    rows = [_row(read_summary(run)) for run in runs[:_LISTED]]
    say(f"Runs in {home_path(home() / 'runs')}, newest first:")
    say("\n".join(table(rows, indent=2)), raw=True)
    if len(runs) > _LISTED:
        say(f"and {len(runs) - _LISTED} more: `lorasmith status` lists them all.", indent=2)


def begin(_: Namespace) -> int:
    """`lorasmith` alone."""
    from tui.cli import overview

    overview()
    say()
    runs = list_runs()
    if runs:
        home_page(runs)
    else:
        say("There are no runs yet. Begin with `lorasmith demo`, or with your own pictures:")
        say("lorasmith check FOLDER", indent=2)
        say("lorasmith plan new --kind person --images FOLDER --trigger ohwx --class woman", indent=2)
    return 0


def status(asked: Namespace) -> int:
    """`lorasmith status [RUN]`."""
    if asked.run is None:
        runs = list_runs()
        if asked.json:
            say_json([as_object(run) for run in runs])
        elif not runs:
            say(f"There are no runs in {home_path(home() / 'runs')} yet; begin with `lorasmith demo`.")
        for run in [] if asked.json else runs:
            describe(run, read_summary(run))
        return 0
    run = find_run(asked.run)
    summary = read_summary(run)
    if asked.json:
        say_json(as_object(run, summary))
    else:
        describe(run, summary)
    return EXIT_CODES.get(summary.status, 0)


def as_object(run: RunFolder, summary: RunSummary | None = None) -> dict[str, object]:
    """A run's summary for a program; paths absolute, times as seconds since 1970."""
    summary = summary or read_summary(run)
    ends = time.time() + summary.seconds_left if summary.seconds_left is not None else None
    return {"folder": str(run.path), "alive": summary.alive, "ends": ends} | plain(summary)


def describe(run: RunFolder, summary: RunSummary) -> None:
    """A run's name and state, then its progress, its last checkpoint, and what can be done."""
    say(f"{shown(run.name)}: {_state_words(summary)}")
    for line in (progress(summary), _last_checkpoint(summary), *_why(run, summary)):
        if line:
            say(line, indent=2)


def progress(summary: RunSummary) -> str:
    """One line of figures: epoch, step, rate, loss, time left and the clock time it ends at."""
    parts, unit = [], unit_of(summary.kind)
    if summary.epoch is not None:
        parts.append(f"epoch {summary.epoch}/{summary.epochs}" if summary.epochs else f"epoch {summary.epoch}")
    if summary.step is not None:
        parts.append(f"{unit} {summary.step}/{summary.steps}" if summary.steps else f"{unit} {summary.step}")
    if not parts and summary.stage is None:
        return ""
    if summary.stage is not None and summary.alive:
        parts.append(stage_words(summary.stage, summary.stage_done, summary.stage_total))
    if summary.alive:
        if summary.rate:
            parts.append(pace(summary.rate, unit))
        if summary.loss is not None:
            parts.append(f"loss {summary.loss:.4f}")
        if summary.seconds_left is not None and summary.status == "running":
            of_stages = summary.stage is not None and summary.step is None
            parts.append(time_left(summary.seconds_left, " in all" if of_stages else ""))
    return ", ".join(parts)


def quiet_words(kind: str) -> str:
    """What it may be that a run says nothing."""
    return f"long {unit_of(kind)}s, compiling or a slow disk"


def typed(run: RunFolder) -> str:
    """How a person names this run in a command: its name, or its path where it lies elsewhere."""
    return shown(run.name) if run.path.parent == home() / "runs" else home_path(run.path)


def has_state(run: RunFolder) -> bool:
    """Whether there is something to go on from; a training that ended before its first step has nothing."""
    return run.kind != "train" or any(run.state.glob("step-*.pt"))


def can_only_fail(summary: RunSummary) -> bool:
    """Whether going on with a run would fail as before: its own files are at fault, not what stopped it."""
    from engine.compare.settings import KIND, NOTHING

    return summary.kind == KIND and summary.status == "failed" and (summary.reason or "").startswith(NOTHING)


def how_to_go_on(run: RunFolder, summary: RunSummary) -> str:
    """The command that takes up a run that is over, and where it begins; else what is to be done first."""
    if can_only_fail(summary):
        return "Put its LoRA files right, or compare others"
    where = "goes on from the last saved state" if has_state(run) else "starts it again from the beginning"
    if run.kind != "train":
        where = "goes on with what is left"  # other jobs keep what is done, and no states
    return f"`lorasmith resume {typed(run)}` {where}"


def time_left(seconds: float, of: str = "") -> str:
    """'6 min left (until 14:22)'; the clock time only where it is some way off. `of` what, where there are parts."""
    until = f" (until {clock(time.time() + seconds)})" if seconds >= 100 else ""
    return f"{duration(seconds)} left{of}{until}"


def _state_words(summary: RunSummary) -> str:
    words = {
        "new": "not started yet",
        "finished": "finished",
        "died": "died",
        "paused": "paused",
        "stopping": "stopping",
    }.get(summary.status, summary.status)
    if summary.alive and summary.started is not None:
        words += f", since {clock(summary.started)}"
    elif summary.last_event is not None:
        words += f", {clock(summary.last_event)}"
    return words + ("; parts were written by a newer lorasmith" if summary.newer else "")


def _last_checkpoint(summary: RunSummary) -> str:
    if summary.checkpoint is None:
        return ""
    epoch = f"epoch {summary.checkpoint_epoch}, " if summary.checkpoint_epoch is not None else ""
    return f"last checkpoint: {epoch}{shown(summary.checkpoint)}"


def _why(run: RunFolder, summary: RunSummary) -> list[str]:
    """What a person must know besides the figures, and what they can do."""
    name = typed(run)
    lines = [f"warning: {shown(summary.warning)}"] if summary.warning else []
    if summary.quiet and summary.quiet_for is not None:
        lines.append(f"quiet for {duration(summary.quiet_for)}: {quiet_words(summary.kind)}")
    if summary.status in {"failed", "died"}:
        lines.append(f"why: {shown(summary.reason or 'not said')}")
        if summary.hint and summary.status == "failed":
            lines.append(shown(summary.hint))
        lines += [f"log: {line}" for line in summary.log_tail[-3:]] if summary.status == "died" else []
    if summary.status in {"stopped", "failed", "died"}:
        lines.append(how_to_go_on(run, summary))
    if summary.status == "new":
        lines.append(f"`lorasmith resume {name}` starts it")
    return lines


def _row(summary: RunSummary) -> tuple[str, str, str]:
    left = f"until {clock(time.time() + summary.seconds_left)}" if summary.seconds_left is not None else ""
    done = f"epoch {summary.epoch}/{summary.epochs}" if summary.epoch is not None and summary.epochs else ""
    if summary.stage is not None and summary.alive:
        done = stage_words(summary.stage, summary.stage_done, summary.stage_total)
    return shown(summary.name), summary.status, ", ".join(part for part in (done, left) if part)
