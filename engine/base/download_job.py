"""The job of a download, `python -P -m engine download RUN`: a base from the hub, going on without any terminal."""

from __future__ import annotations

import tomllib

from engine.base.find import cached_snapshot
from engine.errors import RunError, shown
from engine.runs.job import Job, Stopped

KIND = "download"
STAGE = "downloading, MB"
_MEGABYTE = 1_000_000


def job_text(repo: str) -> str:
    """job.toml of a download."""
    head = "# Downloads a base model from the hub; started again, it goes on where it was."
    return f'{head}\nkind = "{KIND}"\nrepo = "{repo}"\n'


def run(job: Job) -> None:
    """Downloads the repository that job.toml names; what has arrived is kept whatever happens."""
    from engine.base.hub import download_base

    repo = _repo_of(job)
    if cached_snapshot(repo) is not None:
        job.stage("it is here already", 1, 1)
        return

    def report(done: int, total: int) -> None:
        job.stage(STAGE, done // _MEGABYTE, max(1, -(-total // _MEGABYTE)))
        if job.stop_asked():
            raise Stopped

    job.stage("asking the hub")
    path = download_base(repo, report)
    job.event("downloaded", repo=repo, path=str(path))


def _repo_of(job: Job) -> str:
    told = job.folder.job
    try:
        repo = tomllib.loads(told.read_text("utf-8")).get("repo")
    except (OSError, ValueError) as error:
        raise RunError(f"{shown(told)} cannot be read ({shown(error)}): start the download again") from None
    if not isinstance(repo, str) or not repo:
        raise RunError(f'{shown(told)} names no model: write repo = "owner/name"')
    return repo
