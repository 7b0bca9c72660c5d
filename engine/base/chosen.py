"""The base that a plan or a job names, opened as it says, with what takes long told."""

from __future__ import annotations

from collections.abc import Callable

from engine.base.load import Base, open_base
from engine.base.threads import use_threads
from engine.plan import BaseChoice
from engine.runs.job import Job


def open_chosen(choice: BaseChoice, job: Job | None = None) -> Base:
    """The base without its weights: with a job its hash is worked out too, and its download and reading are told.

    Raises BaseModelError, and Stopped where the job is asked to stop meanwhile.
    """

    def progress(stage: str) -> Callable[[int, int], None] | None:
        return None if job is None else job.progress(stage)

    if job is not None:
        job.stage("opening the base model")
    base = open_base(
        choice.model,
        vae=choice.vae or None,
        prediction_type=None if choice.prediction == "auto" else choice.prediction,
        zero_terminal_snr=None if choice.zero_terminal_snr == "auto" else bool(choice.zero_terminal_snr),
        report=progress("downloading the base model"),
    )
    if job is not None:
        base.compute_hash(progress("reading the base model"))
    use_threads(base.known.size_bytes)
    return base
