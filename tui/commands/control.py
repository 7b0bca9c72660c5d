"""save, sample, pause, resume, stop: requests to a run's engine, and what it answered."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable

from engine.errors import PlanError, RunError, shown
from engine.plan_file import read_plan
from engine.runs.control import request
from engine.runs.events import Event, EventReader
from engine.runs.folder import RunFolder, find_run
from engine.runs.launch import start_engine
from engine.runs.lock import lock_holder
from engine.runs.summary import RunSummary, read_summary
from tui.arguments import Parser, run_argument
from tui.commands.status import has_state, typed
from tui.follow import outcome
from tui.text import say, size

_PATIENCE = 10.0
_LOOK_SECONDS = 0.1


save_arguments = sample_arguments = pause_arguments = resume_arguments = run_argument


def stop_arguments(parser: Parser) -> None:
    run_argument(parser)
    parser.add_argument("--now", action="store_true", help="without saving what came after the last state")


def save(asked: Namespace) -> int:
    """Asks for the state and a checkpoint now."""
    run, _ = _live(asked.run, "save")
    return _ask(run, "save", {"state", "checkpoint"}, _saved, "It saves at the end of the step it is in.")


def sample(asked: Namespace) -> int:
    """Asks for sample pictures now."""
    run, _ = _live(asked.run, "sample")
    check_prompts(run)
    return _ask(run, "sample", {"sample", "warning"}, _sampled, "It draws them after the step it is in.")


def pause(asked: Namespace) -> int:
    """Holds a run between two steps."""
    run, summary = _live(asked.run, "pause")
    if summary.status == "paused":
        say(f"{shown(run.name)} is paused already.")
        return 0
    said = f"{shown(run.name)} is paused and keeps its memory; `lorasmith resume {typed(run)}` lets it go on."
    return _ask(run, "pause", {"paused"}, lambda _: said, "It pauses after the step it is in.")


def stop(asked: Namespace) -> int:
    """Asks the engine to save and stop, or to stop at once."""
    run, _ = _live(asked.run, "stop")
    later = "It stops after what it is doing now."
    code = _ask(run, "stop", {"finished", "stopping"}, _stopping, later, now=asked.now)
    # A stop that takes no longer than this is worth waiting for: the answer is then final.
    end = time.monotonic() + _PATIENCE
    while (summary := read_summary(run)).alive and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)
    if not summary.alive:
        say(outcome(run, summary))
    return code


def resume(asked: Namespace) -> int:
    """Ends a pause, or starts a run that is not running again from its last saved state."""
    run = find_run(asked.run)
    summary = read_summary(run)
    name = typed(run)
    if summary.status == "paused":
        said = f"{shown(run.name)} goes on; `lorasmith watch {name}` follows it."
        return _ask(run, "resume", {"resumed"}, lambda _: said, "It goes on in a moment.")
    if summary.alive:
        say(f"{shown(run.name)} is {summary.status} already: `lorasmith watch {name}` follows it.")
        return 0
    if summary.status == "finished":
        checkpoints = (
            f": its checkpoints are in {shown(run.checkpoints)}; for a longer training raise length.epochs in a plan "
            "of its own"
        )
        more = f"{checkpoints}." if run.kind == "train" else "."
        raise RunError(f"{shown(run.name)} has finished, so there is nothing to resume{more}")
    saved = has_state(run)
    started = start_engine(run, run.kind, processes=processes_of(run))
    if summary.status == "new":
        words = "has begun"
    elif run.kind != "train":
        words = "goes on with what is left"  # other jobs keep what is done, and no states
    else:
        words = "goes on from its last saved state" if saved else "begins again"
    say(f"{shown(run.name)} {words} (process {started.pid}); `lorasmith watch {name}` follows it.")
    return 0


def processes_of(run: RunFolder) -> int:
    """As many as the run was last started with: another number would make other batches and other epochs of it."""
    counts = [event.number("processes") for event in EventReader(run.events).poll() if event.name == "started"]
    return max(1, int(counts[-1] or 1)) if counts else 1


def _live(named: str, verb: str) -> tuple[RunFolder, RunSummary]:
    """The run, if an engine is there to hear; else a sentence that says how it stands."""
    run = find_run(named)
    summary = read_summary(run)
    if not summary.alive:
        raise RunError(f"There is nothing to {verb}: {outcome(run, summary)}")
    return run, summary


def _ask(
    run: RunFolder, verb: str, answers: set[str], told: Callable[[Event], str], later: str, **payload: object
) -> int:
    """Leaves the request and waits a little for the event that answers it; says which of the two it was."""
    size_before = run.events.stat().st_size
    reader = EventReader(run.events, offset=size_before)
    request(run, verb, **payload)
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        alive = lock_holder(run) is not None
        events = reader.poll()
        answer = next((event for event in events if event.name in answers), None)
        if answer is not None:
            say(told(answer))
            return 0
        if not alive or any(event.name == "finished" for event in events):
            raise RunError(f"It did not hear the request any more: {outcome(run, read_summary(run))}")
        time.sleep(_LOOK_SECONDS)
    say(f"Asked, not yet answered. {later} `lorasmith watch {typed(run)}` shows it.")
    return 0


def check_prompts(run: RunFolder) -> None:
    """RunError where the run's plan names no sample prompts; one that cannot be read is the engine's to speak of."""
    try:
        nothing = run.kind == "train" and not read_plan(run.plan).samples.prompts
    except PlanError:
        return
    if nothing:
        raise RunError(f"{shown(run.name)} has nothing to draw: its plan names no samples.prompts")


def _saved(event: Event) -> str:
    if event.name == "state":
        return f"Saved after step {shown(event.get('step', '?'))}: a resume goes on from there."
    bytes_ = event.number("size")
    return f"Saved: {shown(event.get('file', '?'))}" + (f" ({size(bytes_)})." if bytes_ else ".")


def _sampled(event: Event) -> str:
    files = event.get("files")
    if event.name == "warning" or not isinstance(files, list):
        return shown(event.get("text", "No sample was drawn."))
    return "Drawn: " + ", ".join(shown(name) for name in files) + "."


def _stopping(event: Event) -> str:
    if event.name == "finished":
        return "It has ended."
    return "It stops at once." if event.get("how") == "now" else "It saves and stops."
