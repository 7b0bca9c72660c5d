"""`lorasmith download MODEL`: a base model from the hub, fetched ahead of the training that needs it."""

from __future__ import annotations

from argparse import Namespace

from engine.base.download_job import KIND, job_text
from engine.base.find import SHORT_NAMES, cached_snapshot, resolve_base
from engine.errors import shown
from engine.runs.folder import RunFolder, create_run, list_runs
from engine.runs.summary import read_summary
from tui.arguments import Parser, named
from tui.commands.train import begin_run
from tui.follow import Interrupts, follow
from tui.text import home_path, say


def download_arguments(parser: Parser) -> None:
    known = ", ".join(SHORT_NAMES)
    parser.add_argument("model", type=named, metavar="MODEL", help=f"{known}, or owner/name on the hub")
    parser.add_argument("--detach", action="store_true", help="return as soon as it has begun")


def download(asked: Namespace) -> int:
    """Fetches it as a job that goes on when the connection drops; one that was broken off goes on where it was."""
    source = resolve_base(asked.model)
    here = cached_snapshot(source.repo) if source.repo else source.path
    if here is not None or not source.repo:
        say(f"{shown(asked.model)} is on this machine already{f': {home_path(here)}' if here is not None else ''}.")
        return 0
    run = download_run(source.repo)
    if read_summary(run).alive:
        say(f"It is being downloaded already, by {shown(run.name)}.")
        if asked.detach:
            return 0
        with Interrupts() as interrupts:
            return follow(run, interrupts)
    return begin_run(run, KIND, detach=asked.detach)


def download_run(repo: str) -> RunFolder:
    """The run that downloads this, or did and was broken off, else a new one that is not started yet."""
    text = job_text(repo)
    for run in list_runs():
        if run.kind == KIND and run.job.read_text("utf-8") == text and read_summary(run).status != "finished":
            return run
    return create_run("download-" + repo.rpartition("/")[2][:60], text, kind=KIND)
