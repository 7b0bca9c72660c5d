"""The job `health`: measures a plan's pictures and words, and leaves the answer as health.json in its run folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from engine.base.recognise import bucket_step
from engine.dataset.buckets import BucketRules, bucket_rules
from engine.dataset.captions import CaptionRules
from engine.dataset.check import CheckReport, check_dataset
from engine.dataset.check_text import to_json as report_json
from engine.dataset.health import models
from engine.dataset.health.cache import Cache
from engine.dataset.health.figures import Health, to_json
from engine.dataset.health.measure import Measured, measure
from engine.dataset.health.request import cache_path, read_request
from engine.dataset.health.text import health_lines
from engine.dataset.health.verdict import Looked, health_of
from engine.dataset.scan import Dataset, Folder, Picture, Problem, scan
from engine.errors import BaseModelError, DatasetError, RunError, shown
from engine.estimate import NATIVE_RESOLUTION, base_shape
from engine.files import write_atomic
from engine.plan import Plan
from engine.plan_finding import DEMO_STEP
from engine.runs.job import Job, Stopped


def run(job: Job) -> None:
    """Checks the pictures of the plan in the run's job.toml; what was measured before a stop is kept for the next."""
    begun = time.monotonic()
    plan, fetch = read_request(job.folder)
    rules = CaptionRules(
        plan.captions.extension, plan.captions.prefix, plan.captions.shuffle, plan.captions.keep_tokens
    )
    counted = _stage(job, "reading the pictures")
    dataset = scan(_folders(plan), rules, counted, decode=False, leave_out=plan.pictures.leave_out)
    if fetch:
        models.fetch_missing(plan.subject.kind, _stage(job, "", True), job.warn)
    with Cache(cache_path()) as cache:
        dataset, measured, known = _measured(job, dataset, plan, cache)
        if cache.trouble:
            job.warn(cache.trouble)
        report = _report(plan, dataset)
        health = health_of(
            Looked(plan, rules, dataset, report, measured, known), cache, lambda: _hear(job), _stage(job, "", True)
        )
    health = replace(health, seconds=round(time.monotonic() - begun, 2), check=report_json(report))
    health = replace(health, report=health_lines(health, report))
    _write(job, health)


def _folders(plan: Plan) -> list[Folder]:
    folders = [
        Folder(Path(one.path), None if one.repeats == "auto" else int(one.repeats)) for one in plan.pictures.folders
    ]
    return folders + [Folder(Path(one.path), 1, "class") for one in plan.regularization.folders]


def _measured(
    job: Job, dataset: Dataset, plan: Plan, cache: Cache
) -> tuple[Dataset, dict[Path, Measured], int]:
    """Every picture's figures, from the cache or its file; pictures that turn out damaged leave the data set.

    The number of pictures whose figures were known is the last value.
    """
    background = models.background_of(plan)
    keys = {picture.path: _key(picture, plan) for picture in dataset.pictures}
    kept = cache.known(keys.values())
    known = sum(key in kept for key in keys.values())
    first = {key: picture for picture in reversed(dataset.pictures) if (key := keys[picture.path]) not in kept}
    wrong: dict[str, str] = {}

    def work(picture: Picture) -> Measured:
        return measure(picture.path, background, picture.name)

    def heard(future: Future[Measured], key: str) -> None:
        try:
            kept[key] = future.result()
        except DatasetError as error:
            wrong[key] = str(error)
        else:
            cache.keep(key, kept[key])

    total = len(dataset.pictures)
    with ThreadPoolExecutor(max_workers=max(1, len(os.sched_getaffinity(0)))) as pool:
        waiting = {pool.submit(work, picture): key for key, picture in reversed(first.items())}
        try:
            for done, future in enumerate(as_completed(waiting), start=total - len(waiting) + 1):
                heard(future, waiting[future])
                job.stage("measuring the pictures", done, total)
                _hear(job)
        finally:
            pool.shutdown(cancel_futures=True)
    return *_whole(dataset, keys, kept, wrong), known


def _whole(
    dataset: Dataset, keys: dict[Path, str], kept: dict[str, Measured], wrong: dict[str, str]
) -> tuple[Dataset, dict[Path, Measured]]:
    """The data set without what is damaged, which is named as a problem."""
    problems = [
        Problem(picture.path, _sentence(picture, wrong[keys[picture.path]]), "error")
        for picture in dataset.pictures
        if keys[picture.path] in wrong
    ]
    pictures = tuple(picture for picture in dataset.pictures if keys[picture.path] in kept)
    measured = {picture.path: kept[keys[picture.path]] for picture in pictures}
    return replace(dataset, pictures=pictures, problems=(*dataset.problems, *problems)), measured


def _sentence(picture: Picture, said: str) -> str:
    """The sentence with this picture's own name: of equal files, only the first was read."""
    _, _, rest = said.partition(" is damaged")
    return f"{shown(picture.name)} is damaged{rest}" if rest else said


def _report(plan: Plan, dataset: Dataset) -> CheckReport:
    """What a training of this plan does with its pictures."""
    return check_dataset(
        dataset,
        _bucket_rules(plan),
        plan.length.batch_size,
        plan.length.gradient_accumulation,
        plan.length.epochs,
        kind=plan.subject.kind,
        ratio=plan.regularization.ratio,
        hold_out=plan.pictures.hold_out,
        steps=plan.length.steps,
        seed=plan.machine.seed,
    )


def _bucket_rules(plan: Plan) -> BucketRules:
    """By the plan's base; SDXL's own where that base cannot be opened, which the plan's check says."""
    try:
        configs, native = base_shape(plan.base.model)
    except BaseModelError:
        return bucket_rules(plan.pictures, NATIVE_RESOLUTION)
    return bucket_rules(plan.pictures, native, bucket_step(configs, native) if configs is not None else DEMO_STEP)


def _key(picture: Picture, plan: Plan) -> str:
    """What figures are kept by: the file's bytes and, where it shows, the colour behind transparent pictures."""
    transparent = any("transparent" in note for note in picture.notes)
    return f"{picture.digest}:{plan.pictures.background}" if transparent else picture.digest


def _stage(job: Job, name: str, named: bool = False) -> Callable[..., None]:
    """A report of counts as a stage of the job, which also hears a stop; with `named`, the name comes with each."""

    def report(done: int, total: int) -> None:
        job.stage(name, done, total)
        _hear(job)

    def report_named(what: str, done: int | None = None, total: int | None = None) -> None:
        job.stage(what, done, total)
        _hear(job)

    return report_named if named else report


def _hear(job: Job) -> None:
    if job.poll().stop is not None:
        raise Stopped


def _write(job: Job, health: Health) -> None:
    try:
        write_atomic(job.folder.path / "health.json", to_json(health))
    except OSError as error:
        raise RunError(
            f"the report cannot be written to {shown(job.folder.path)} ({error.strerror}): make room on that disk"
        ) from error
