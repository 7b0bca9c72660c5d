"""Asking for a health check and reading its answer: what the terminal uses. Light; nothing is measured here."""

from __future__ import annotations

import hashlib
import os
import shutil
import tomllib
import unicodedata
from pathlib import Path

from engine.dataset.health.cache import forget
from engine.dataset.health.figures import Health, read_health
from engine.errors import PlanError, RunError, shown
from engine.plan import Plan
from engine.plan_file import plan_from_text, write_plan
from engine.runs.folder import RunFolder, create_run, home
from engine.runs.lock import lock_holder

VERB = "health"
_HEADS = {fetch: f'kind = "{VERB}"\nfetch = {"true" if fetch else "false"}\n\n' for fetch in (False, True)}


class NoRoom(RunError):
    """The check's run folder cannot be made where checks are kept; elsewhere it might be."""


def health_toml(plan: Plan, *, fetch: bool = False) -> str:
    """The job.toml of a check: the plan whose pictures are looked at (its folders, words, kind, resolution ...).

    With `fetch` the small models that see more are brought first, where they are not on this machine.
    """
    return _HEADS[fetch] + write_plan(plan)


def read_request(run: RunFolder) -> tuple[Plan, bool]:
    """The plan in a check's job.toml, and whether to fetch models. PlanError where it is none."""
    try:
        text = run.job.read_text("utf-8")
        kind = tomllib.loads(text).get("kind")
    except (OSError, ValueError) as error:
        raise PlanError(f"{shown(run.job)} cannot be read as TOML ({error}): run the check again.") from error
    fetch = next((fetch for fetch, head in _HEADS.items() if text.startswith(head)), None)
    if kind != VERB or fetch is None:
        raise PlanError(f"{shown(run.job)} is no request for a health check: run the check again.")
    return plan_from_text(text.removeprefix(_HEADS[fetch]), run.job), fetch


def checks_folder() -> Path:
    """Where checks are kept, apart from the runs: one for each set of folders, made anew each time."""
    return home() / "checks"


def check_run(plan: Plan, parent: Path | None = None, *, fetch: bool = False) -> RunFolder:
    """A run folder for a check of this plan's pictures, ready to be started with the verb "health".

    The same folders get the same run folder, whose former answer goes. RunError where one is being checked at this
    moment (`running_check` finds it); NoRoom (one, too) where its folder cannot be made.
    """
    _check_names(plan)
    text = health_toml(plan, fetch=fetch)
    parent = checks_folder() if parent is None else parent
    name = check_name(plan)
    former = RunFolder(parent / name)
    if former.path.is_dir():
        if lock_holder(former) is not None:
            raise RunError("these pictures are being checked at this moment, in another terminal: wait for its end")
        # Renamed before it is deleted, so that nobody meets half a run folder.
        gone = parent / f".{name}-{os.getpid()}"
        try:
            former.path.rename(gone)
        except OSError as error:
            raise NoRoom(f"cannot make room in {shown(parent)} ({error.strerror}): look at that folder") from error
        shutil.rmtree(gone, ignore_errors=True)
    try:
        return create_run(name, text, kind=VERB, parent=parent, exact=True)
    except RunError as error:
        raise NoRoom(str(error)) from error


def running_check(plan: Plan, *, fetch: bool = False) -> RunFolder | None:
    """The run that is at the very same check at this moment, to be followed; None where there is none.

    RunError where these folders are being checked for something else (another kind, other words).
    """
    _check_names(plan)
    run = RunFolder(checks_folder() / check_name(plan))
    if not run.path.is_dir() or lock_holder(run) is None:
        return None
    if run.job.read_text("utf-8") == health_toml(plan, fetch=fetch):
        return run
    raise RunError(
        "these pictures are being checked at this moment with other words or another kind, in another terminal: "
        "wait for its end"
    )


def forget_checks() -> int:
    """Deletes the reports of former checks, and the figures, small copies and lettering kept of their pictures.

    How many bytes that frees. RunError where a check is at work, or something cannot be deleted.
    """
    folder = checks_folder()
    runs = [RunFolder(path) for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    if any(lock_holder(run) is not None for run in runs):
        raise RunError("a check is at work with them at this moment: wait for its end, then forget")
    freed = forget(cache_path())
    for run in runs:
        freed += sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
        try:
            shutil.rmtree(run.path)
        except OSError as error:
            raise RunError(f"{shown(run.path)} cannot be deleted ({error.strerror}): delete it by hand") from error
    return freed


def cache_path() -> Path:
    """Where what was measured is kept."""
    return home() / "cache" / "health.sqlite"


def _check_names(plan: Plan) -> None:
    for folder in (*plan.pictures.folders, *plan.regularization.folders):
        if any(unicodedata.category(char) in {"Cc", "Cs"} for char in folder.path):
            raise RunError(
                f"the folder {shown(folder.path)} has a control character in its name, or bytes that are no text, "
                "which a plan cannot hold: rename it"
            )


def check_name(plan: Plan) -> str:
    """The name of a check's run folder: a digest of the folders it looks at."""
    folders = [*plan.pictures.folders, *plan.regularization.folders]
    paths = "\0".join(os.path.realpath(Path(folder.path).expanduser()) for folder in folders)
    return hashlib.sha256(paths.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def answer(run: RunFolder) -> Health:
    """What a finished check found. RunError where it has not finished."""
    return read_health(run.path / "health.json")
