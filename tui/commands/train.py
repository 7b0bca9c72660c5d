"""`lorasmith train PLAN` and `lorasmith demo`: a run is made, its engine started, its events followed."""

from __future__ import annotations

import re
import shutil
from argparse import Namespace
from collections.abc import Collection
from pathlib import Path

from engine.errors import BaseModelError, PlanError, RunError, shown
from engine.estimate import base_shape
from engine.plan import Plan
from engine.plan_checks import check_plan
from engine.plan_file import plan_from_text, read_plan, read_text, update_text, write_plan
from engine.runs.folder import RunFolder, create_run
from engine.runs.launch import start_engine
from tui.arguments import Parser, positive
from tui.commands.status import typed
from tui.follow import Interrupts, follow
from tui.text import home_path, say


def train_arguments(parser: Parser) -> None:
    parser.add_argument("plan", type=Path, metavar="PLAN")
    parser.add_argument("--detach", action="store_true", help="return as soon as it has begun")
    parser.add_argument("--name", metavar="NAME", help="what to call the run (made from the plan)")
    parser.add_argument("--processes", type=positive, default=1, metavar="N", help="one for each GPU (1)")


def demo_arguments(parser: Parser) -> None:
    parser.add_argument("--out", type=Path, metavar="DIR", help="make the run in DIR")


def lab_arguments(parser: Parser) -> None:
    parser.add_argument("job", nargs="?", type=Path, metavar="JOB.toml", help="settings, as in a lab run's job.toml")
    parser.add_argument("--detach", action="store_true", help="return as soon as it has begun")
    parser.add_argument("--name", metavar="NAME", help="what to call the run (lab)")


def train(asked: Namespace) -> int:
    """Checks the plan, makes its run, starts the engine, and follows it unless asked to return at once."""
    path = asked.plan.expanduser()
    plan = read_plan(path)
    told = _tell_findings(plan, path)
    name = run_name(plan, path) if asked.name is None else asked.name
    run = create_run(name, absolute_text(path), exact=asked.name is not None)
    return begin_run(run, processes=asked.processes, detach=asked.detach, known=told)


def demo(asked: Namespace) -> int:
    """Trains on the base and the pictures that travel with lorasmith, and goes all the way to one LoRA."""
    from tui.commands.compare import demo_comparison

    run = make_demo(asked.out.expanduser().absolute() if asked.out is not None else None)
    say("A demo: ten epochs on a tiny base that comes with lorasmith. It needs no GPU and no download.")
    code = begin_run(run)
    if code:
        return code
    files = sorted(run.checkpoints.glob("*-[0-9][0-9][0-9][0-9][0-9][0-9].safetensors"))
    say(
        f"The {len(files)} checkpoints, one an epoch, are in {home_path(run.checkpoints)}. Which one to take? Each "
        "draws the same prompts with the same seeds; what it keeps of the subject and of its freedom is measured."
    )
    return demo_comparison(run)


def make_demo(parent: Path | None = None) -> RunFolder:
    """The demo's run with its plan and its pictures, not yet started; `parent` defaults to where runs are kept."""
    from engine.demo import copy_pictures, demo_plan

    head = "The demo: a small training on the base that travels with lorasmith."
    run = create_run("demo", write_plan(demo_plan(), head=head), parent=parent)
    try:
        copy_pictures(run.path)
    except BaseException:
        shutil.rmtree(run.path, ignore_errors=True)
        raise
    return run


def lab(asked: Namespace) -> int:
    """Makes the small base that the demo draws with, from nothing; a job like a training, of hours."""
    from engine.lab.plan import LabPlan, lab_toml, read_lab_plan

    if asked.job is None:
        text = lab_toml(LabPlan())
    else:
        path = asked.job.expanduser()
        text = lab_toml(read_lab_plan(path))
    run = create_run(asked.name or "lab", text, kind="lab", exact=asked.name is not None)
    return begin_run(run, "lab", detach=asked.detach)


def native_resolution(model: str) -> int | None:
    """The base's own side in pixels; None where it cannot be opened, which the plan's check then says."""
    try:
        return base_shape(model)[1]
    except BaseModelError:
        return None


def _tell_findings(plan: Plan, path: Path) -> list[str]:
    """Refuses a plan with errors, all of them named; prints what is unwise in it, and gives that."""
    findings = check_plan(plan, native_resolution=native_resolution(plan.base.model))
    errors = [finding.sentence for finding in findings if finding.severity == "error"]
    if errors:
        raise PlanError("\n".join(f"{shown(path)}: {sentence}" for sentence in errors))
    warnings = [finding.sentence for finding in findings if finding.severity == "warning"]
    for sentence in warnings:
        say(f"warning: {shown(sentence)}")
    return warnings


def begin_run(
    run: RunFolder, verb: str = "train", *, processes: int = 1, detach: bool = False, known: Collection[str] = ()
) -> int:
    """Starts the run's engine and follows it; a run that was refused leaves no folder behind.

    Warnings that are `known` were told before: the engine's repetition of them is not.
    """
    try:
        started = start_engine(run, verb, processes=processes)
    except KeyboardInterrupt:
        say("It was stopped before it had begun.")
        shutil.rmtree(run.path, ignore_errors=True)
        raise
    except BaseException:
        if not run.events.exists():
            shutil.rmtree(run.path, ignore_errors=True)
        raise
    with Interrupts() as interrupts:
        name = typed(run)
        say(f"{shown(run.name)} has begun (process {started.pid}), in {home_path(run.path)}.")
        say(f"It goes on if this terminal closes; `lorasmith watch {name}` returns to it.")
        if detach:
            return 0
        say("Ctrl-C saves and stops it.")
        return follow(run, interrupts, stop_on_interrupt=True, known=known)


def absolute_text(path: Path) -> str:
    """The plan's own text with its relative paths made absolute, since a run's copy lies elsewhere."""
    text = read_text(path)
    stated, resolved = plan_from_text(text), read_plan(path)
    changes: dict[str, object] = {}
    for key in ("pictures.folders", "regularization.folders", "base.model", "base.vae"):
        section, name = key.split(".")
        meant = getattr(getattr(resolved, section), name)
        if getattr(getattr(stated, section), name) != meant:
            changes[key] = meant
    return update_text(text, changes) if changes else text


def run_name(plan: Plan, path: Path) -> str:
    """What to call a run: its output's name, else the plan file's, in letters a run may have."""
    wanted = plan.output.name or path.stem
    fitting = re.sub(r"[^\w.-]+", "-", wanted).strip("._-")[:60]
    if not fitting:
        raise RunError(f"no name for the run can be made of {shown(path.name)}: give one with --name")
    return fitting if fitting[0].isalnum() else f"run-{fitting}"
