"""`lorasmith regularize PLAN`: class pictures drawn by the plan's base, fetched, or a person's own held against it."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from engine.dataset.check import CheckReport
from engine.draw.class_advice import class_advice
from engine.draw.class_plan import needed
from engine.draw.class_settings import (
    KIND,
    ClassJob,
    class_report,
    class_setup,
    dataset_job,
    job_text,
    pictures_of,
    same_run,
)
from engine.draw.class_sources import check_brought
from engine.errors import PlanError, shown
from engine.estimate import cards
from engine.files import write_atomic
from engine.plan import ClassFolder, Plan
from engine.plan_file import plan_from_text, read_plan, read_text, update_text
from engine.runs.folder import RunFolder, create_run
from engine.runs.summary import read_summary
from tui.arguments import Parser, json_argument, named, positive
from tui.commands.train import begin_run, run_name
from tui.follow import Interrupts, follow
from tui.text import count, duration, home_path, plain, say, say_json, table

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def regularize_arguments(parser: Parser) -> None:
    parser.add_argument("plan", type=Path, metavar="PLAN")
    parser.add_argument("--advice", action="store_true", help="only say which way to take, and what each costs")
    parser.add_argument("--from", dest="source", type=named, metavar="PLACE",
                        help="do not draw: a folder, a .zip, or a dataset on the hub (owner/name)")  # fmt: skip
    parser.add_argument("--count", type=positive, metavar="N", help="pictures (what an epoch takes)")
    parser.add_argument("--prompts", metavar="WHICH",
                        help="captions: the plan's own, with the class in the trigger's place; varied: "
                        "lorasmith's; class: the class prompt; or a text file (captions, if any)")  # fmt: skip
    parser.add_argument("--negative", default="", metavar="PROMPT", help="what the pictures should not show")
    parser.add_argument("--steps", type=positive, default=25, metavar="N", help="sampling steps (25)")
    parser.add_argument("--cfg", type=float, default=5.0, metavar="X", help="how strictly prompts are followed (5)")
    parser.add_argument("--write", action="store_true", help="add the pictures to PLAN when they are there")
    parser.add_argument("--detach", action="store_true", help="return as soon as it has begun")
    parser.add_argument("--name", metavar="NAME", help="what to call the run (made from the plan)")
    json_argument(parser)


def regularize(asked: Namespace) -> int:
    """Says what the plan wants, gets it, and tells how the plan comes to use it."""
    path = asked.plan.expanduser()
    plan = read_plan(path)
    if asked.advice:
        return _advise(plan, class_report(plan), as_json=asked.json)
    if plan.regularization.prior_prediction:
        raise PlanError(
            f"{shown(path)} keeps the class word by prior_prediction, which needs no class pictures: set it to false "
            "to use pictures instead."
        )
    if asked.source:
        return _brought(asked, plan)
    setup = class_setup(
        plan, count=asked.count, prompts=asked.prompts, negative=asked.negative, steps=asked.steps, cfg=asked.cfg
    )
    say(setup.need.sentence)
    orders = setup.job.orders
    sizes = dict.fromkeys(f"{width}x{height}" for width, height in (order.size for order in orders))
    texts = list(dict.fromkeys(order.prompt for order in orders))
    more = " ..." if len(texts) > 1 else "."
    say(f"Drawn at {', '.join(sizes)} from {count(len(texts), 'prompt')}: {shown(texts[0])}{more}")
    return _work(asked, setup.job)


def _advise(plan: Plan, report: CheckReport, *, as_json: bool) -> int:
    """Prints the four ways with what they cost, and which to take."""
    seen = cards()
    advice = class_advice(plan, report, seen[0].name if seen else None)
    if as_json:
        say_json(plain(advice))
        return 0
    rows = [("", "pictures", "an epoch takes", "beforehand")]
    for way in advice.ways:
        before = f"about {duration(way.seconds)} of drawing" if way.seconds else ""
        rows.append((way.way, str(way.pictures or ""), f"{way.epoch:.1f} x", before))
    say("\n".join(table(rows, indent=2)), raw=True)
    for way in advice.ways:
        say(f"{way.way}: {shown(way.sentence)}", hang=4)
    say()
    say(shown(advice.sentence))
    return 0


def _brought(asked: Namespace, plan: Plan) -> int:
    """A folder or .zip that is here is checked; a hub name is fetched by a job."""
    report = class_report(plan)
    need = needed(plan, report, asked.count)
    say(need.sentence)
    path = Path(asked.source).expanduser()
    if not path.exists() and _HUB_NAME.fullmatch(asked.source):
        return _work(asked, dataset_job(plan, asked.source, need.pictures))
    if not path.exists():
        raise PlanError(
            f"{shown(path)} is no folder or .zip here and no hub name such as owner/dataset: correct --from."
        )
    found = check_brought(plan, need, report, path.absolute(), _counter())
    for sentence in found.sentences:
        say(sentence)
    _tell_plan(asked.plan.expanduser(), path.absolute(), write=asked.write)
    return 0


def _work(asked: Namespace, job: ClassJob) -> int:
    """Starts the job, or takes up the run that already does or did the same."""
    path = asked.plan.expanduser()
    run = same_run(job, asked.name)
    if run is None:
        name = asked.name or f"{run_name(read_plan(path), path)[:52]}-class"
        run = create_run(name, job_text(job), kind=KIND, exact=asked.name is not None)
        code = begin_run(run, KIND, detach=asked.detach)
    else:
        code = _again(run, detach=asked.detach)
    if asked.detach and not code:
        say("When it has ended, the same command with --write adds the pictures to the plan.")
    elif not code:
        _tell_set(run)
        _tell_plan(path, pictures_of(run), write=asked.write)
    return code


def _again(run: RunFolder, *, detach: bool) -> int:
    """Goes on with a run of the same job: nothing to do, to follow, or to resume."""
    summary = read_summary(run)
    if summary.status == "finished" and pictures_of(run).is_dir():
        say(f"The run {shown(run.name)} has them already.")
        return 0
    if not summary.alive:
        return begin_run(run, KIND, detach=detach)
    say(f"The run {shown(run.name)} is at it.")
    if detach:
        return 0
    with Interrupts() as interrupts:
        return follow(run, interrupts)


def _tell_set(run: RunFolder) -> None:
    folder = pictures_of(run)
    files = [path for path in folder.iterdir() if path.suffix.lower() != ".txt"]
    say(f"{count(len(files), 'class picture')} in {home_path(folder)}.")


def _tell_plan(path: Path, folder: Path, *, write: bool) -> None:
    """Adds the folder to the plan where that was asked for, and else says how."""
    text = read_text(path)
    stated = plan_from_text(text).regularization.folders
    if any(Path(one.path) == folder for one in read_plan(path).regularization.folders):
        say(f"{home_path(path)} names this folder already.")
        return
    if not write:
        say(f"{home_path(path)} is as it was. The same command with --write adds them, or add by hand:")
        say(f"[[regularization.folders]]\npath = {_quoted(str(folder))}", indent=2, raw=True)
        return
    changed = update_text(text, {"regularization.folders": (*stated, ClassFolder(str(folder)))})
    try:
        write_atomic(path, changed)
    except OSError as error:
        raise PlanError(f"cannot write {shown(path)} ({error.strerror}): the class pictures are there, the plan is as "
                        "it was; make room or get the right to write it.") from error  # fmt: skip
    beside = f" beside {count(len(stated), 'folder')} it had" if stated else ""
    say(f"{home_path(path)} now names them{beside}; nothing else in it is changed.")


def _quoted(text: str) -> str:
    import json

    return shown(json.dumps(text, ensure_ascii=False))


def _counter() -> Callable[[int, int], None] | None:
    """Counts pictures in a terminal's last line, which is cleared at the end; elsewhere it says nothing."""
    if not sys.stderr.isatty():
        return None

    def report(done: int, total: int) -> None:
        end = "\r\x1b[K" if done == total else ""
        print(f"\rreading the class pictures {done}/{total}{end}", end="", file=sys.stderr, flush=True)

    return report
