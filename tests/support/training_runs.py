"""Runs the real engine in forked children of a warm parent, for tests that train, kill and resume."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from engine.plan import Plan
from engine.plan_file import write_plan
from engine.runs.events import EventReader
from engine.runs.folder import RunFolder, create_run
from engine.runs.job import run_job
from engine.train.recipe import run  # imported here so that every child finds torch and the models' classes loaded


def new_run(plan: Plan, name: str = "run") -> RunFolder:
    return create_run(name, write_plan(plan))


def forked(function: Callable[[], int]) -> int:
    """Calls `function` in a forked child; returns its exit code, or minus the signal that ended it.

    The parent has torch and the models' classes loaded already, so a child costs what its own work costs.
    """
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = function()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def train(folder: RunFolder, before: Callable[[], None] = lambda: None) -> int:
    """One attempt at the run in a forked child, after `before` has changed the child's own modules."""
    def attempt() -> int:
        before()
        return run_job(folder, run)

    return forked(attempt)


def events(folder: RunFolder, name: str | None = None) -> list:
    found = EventReader(folder.events).poll()
    return [event for event in found if name is None or event.name == name]
