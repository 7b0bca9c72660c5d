"""`lorasmith check FOLDER` or PLAN: what these pictures and words will do to the LoRA, before anything is trained."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from engine.dataset.health.figures import Health
from engine.dataset.health.models import FETCHED, wanted_roles
from engine.dataset.health.request import VERB, NoRoom, answer, check_run, forget_checks, running_check
from engine.errors import DatasetError, shown
from engine.plan import KINDS, ClassFolder, PictureFolder, Pictures, Plan
from engine.plan_file import read_plan, with_changes
from engine.runs.control import request
from engine.runs.events import Event, EventReader
from engine.runs.folder import RunFolder
from engine.runs.launch import Refused, start_engine
from engine.runs.lock import lock_holder
from engine.runs.summary import read_summary
from engine.vision.models import find_model, installed
from tui.arguments import Parser, json_argument, named, positive
from tui.follow import Interrupts, until_free
from tui.telling import rate_words, stage_words
from tui.text import plain, say, say_json, size

_LOOK_SECONDS = 0.05
_INTERRUPTED = 130


def check_arguments(parser: Parser) -> None:
    parser.add_argument(
        "folders", nargs="*", type=named, metavar="FOLDER", help="pictures: folders, .zip files, or a plan (.toml)"
    )
    parser.add_argument("--kind", choices=KINDS, metavar="KIND", help="what is trained: " + ", ".join(KINDS))
    parser.add_argument("--trigger", metavar="WORD", help="the word that calls it, looked for in the captions")
    parser.add_argument("--class", dest="class_prompt", metavar="WORD", help="the everyday word for it, e.g. woman")
    parser.add_argument("--resolution", type=_side, metavar="N", help="side of the square (1024)")
    parser.add_argument("--batch", type=positive, metavar="N", help="pictures in one step (1)")
    parser.add_argument("--repeats", type=positive, metavar="N", help="times a picture is taken in an epoch (auto)")
    parser.add_argument("--class-folder", action="append", default=[], metavar="F", help="class pictures; repeatable")
    parser.add_argument("--fetch", action="store_true", help="first fetch the small models that see more")
    parser.add_argument("--forget", action="store_true", help="delete all that former checks kept of pictures")
    json_argument(parser)


def check(asked: Namespace) -> int:
    """Has the engine look, and prints the report; exit code 1 where there is nothing to train with."""
    if asked.forget:
        return _forget(asked)
    if not asked.folders:
        raise DatasetError("check needs pictures: `lorasmith check FOLDER`, or a plan.")
    plan = _plan(asked)
    running = running_check(plan, fetch=asked.fetch)
    if running is None and asked.fetch:
        _tell_licences(plan)
    run, temporary = (running, None) if running else _run_for(plan, asked.fetch)
    try:
        if running:
            say("These pictures are being checked in another terminal; this is its report.", file=sys.stderr)
        else:
            start_engine(run, VERB)
        with Interrupts() as interrupts:
            if not _wait(run, interrupts, ours=running is None):
                return _INTERRUPTED
        health = answer(run)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    if asked.json:
        say_json(as_object(health))
    else:
        say("\n".join(health.report), raw=True)
    return 0 if health.trainable else 1


def _forget(asked: Namespace) -> int:
    if asked.folders:
        raise DatasetError("--forget takes no folder: it deletes what was kept of all pictures.")
    freed = forget_checks()
    said = f"Deleted: the reports of former checks and what was measured for them, {size(freed)}."
    say(said if freed else "There was nothing to forget: no check has kept anything.")
    return 0


def as_object(health: Health) -> dict[str, Any]:
    """The report for a program: the training's arithmetic at the top, as ever, and all of the health beside it."""
    own = {key: value for key, value in plain(health).items() if key not in {"check", "report"}}
    return health.check | {"health": own}


def _plan(asked: Namespace) -> Plan:
    """The plan that is named, or one of the folders that are named, with what the command says besides."""
    paths = [Path(name).expanduser().absolute() for name in asked.folders]
    if len(paths) == 1 and paths[0].suffix.lower() == ".toml" and not paths[0].is_dir():
        plan = read_plan(asked.folders[0])
    else:
        plan = Plan(pictures=Pictures(folders=tuple(PictureFolder(str(path)) for path in paths)))
    classes = (ClassFolder(str(Path(name).expanduser().absolute())) for name in asked.class_folder)
    changes = {
        "subject.kind": asked.kind,
        "subject.instance_prompt": asked.trigger,
        "subject.class_prompt": asked.class_prompt,
        "pictures.resolution": asked.resolution,
        "length.batch_size": asked.batch,
        "regularization.folders": (*plan.regularization.folders, *classes),
    }
    if asked.repeats:
        changes["pictures.folders"] = tuple(PictureFolder(one.path, asked.repeats) for one in plan.pictures.folders)
    return with_changes(plan, {key: value for key, value in changes.items() if value is not None})


def _tell_licences(plan: Plan) -> None:
    """What will be fetched, under which licence; on stderr, so that the report stays the report."""
    for role in wanted_roles(plan.subject.kind):
        if installed(role) is None:
            source = find_model(FETCHED[role], role)
            say(f"Fetching {source.name}. {source.licence}", file=sys.stderr)


def _run_for(plan: Plan, fetch: bool) -> tuple[RunFolder, Path | None]:
    """The check's run folder; where lorasmith's own place has no room, one that is deleted afterwards."""
    try:
        return check_run(plan, fetch=fetch), None
    except NoRoom as error:
        try:
            temporary = Path(tempfile.mkdtemp(prefix="lorasmith-"))
        except OSError:
            raise error from None
        return check_run(plan, temporary, fetch=fetch), temporary


def _wait(run: RunFolder, interrupts: Interrupts, *, ours: bool) -> bool:
    """Waits for the end, counting on a terminal's last line; False where the person stopped it, or left another's.

    Raises DatasetError with the engine's sentence where it failed.
    """
    reader, counter, heard = EventReader(run.events), _Counter(), 0
    while True:
        alive = lock_holder(run) is not None
        for event in reader.poll():
            if event.name == "stage":
                counter.tell(event)
            elif event.name == "warning":
                counter.clear()
                say(f"warning: {shown(event.get('text', ''))}", file=sys.stderr)
            elif event.name == "finished":
                counter.clear()
                until_free(run)
                if event.get("outcome") == "failed":
                    raise DatasetError(_why(event.get("reason"), event.get("hint")))
                return event.get("outcome") == "ok"
        if not alive:
            counter.clear()
            summary = read_summary(run)
            raise Refused(f"the check died: {shown(summary.reason or 'not said')}")
        if interrupts.count > heard:
            heard = interrupts.count
            if not ours:
                counter.clear()
                return False
            request(run, "stop", now=True)
        time.sleep(_LOOK_SECONDS)


def _why(reason: object, hint: object) -> str:
    return f"{shown(reason or 'the check failed')}" + (f"; {shown(hint)}" if hint else "")


class _Counter:
    """A terminal's last line: what is done, how many of how many, how fast, how long still. Elsewhere nothing."""

    def __init__(self) -> None:
        self._shows = sys.stderr.isatty()
        self._first: tuple[str, float, int] | None = None

    def tell(self, event: Event) -> None:
        name, done, total = str(event.get("name", "")), event.get("done"), event.get("total")
        if not self._shows:
            return
        text = shown(name)
        if isinstance(done, int) and isinstance(total, int):
            text = f"{stage_words(name, done, total)}{self._pace(name, done, total, event.elapsed)}"
        print(f"\r\x1b[K{text[:79]}", end="", file=sys.stderr, flush=True)

    def _pace(self, name: str, done: int, total: int, elapsed: float) -> str:
        if self._first is None or self._first[0] != name:
            self._first = (name, elapsed, done)
        seconds, more = elapsed - self._first[1], done - self._first[2]
        if seconds < 1 or more < 1:
            return ""
        return f", {rate_words(done, total, more / seconds)}" if done < total else ""

    def clear(self) -> None:
        if self._shows:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _side(text: str) -> int:
    from engine.plan_finding import SDXL_SIDES

    least, most = SDXL_SIDES
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"'{text}' is not a side in pixels that SDXL takes, {least} to {most}")
    return int(text)
