"""The captioning job: `python -m engine caption RUN_FOLDER` does what the run's job.toml says."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from engine.caption.captioner import Captioner
from engine.caption.feed import Batch, Feed
from engine.caption.front import in_front
from engine.caption.journal import CaptionError, Journal, begin, written_by
from engine.caption.kinds import by_kind, instruction, tidied
from engine.caption.opening import open_captioner
from engine.caption.plan import CaptionPlan, read_caption_plan
from engine.caption.store import Captions, Change, Entry, Written, check_writable, read_captions, write_with
from engine.errors import shown
from engine.runs.job import Job, Stopped
from engine.train.memory import is_out_of_memory

STAGE = "captioning"
_TOLD_SECONDS = 1.0
_PACE = 20  # batches that the rate is taken over


def run(job: Job, opened: Callable[[CaptionPlan], Captioner] | None = None) -> None:
    """Captions the pictures that have none (or all, with `overwrite`), each written as soon as it is made.

    Started again it goes on with what is left. Events: stage; `caption` (picture, text, done, total, rate in pictures
    a second, left in seconds) for the newest one, once a second; `captioned` (written, kept, skipped) at the end.
    `opened` brings another captioner than the plan's, for tests.
    """
    plan = read_caption_plan(job.folder.job)
    captions = read_captions(plan.folder)
    todo, kept = _sorted_out(job, plan, captions)
    work = _Work(job, plan, captions, todo)
    if todo:
        check_writable(captions)
        by = Path(plan.captioner).name if Path(plan.captioner).is_dir() else plan.captioner
        # Held from here on: a second job on the folder is refused before it has loaded a model.
        with begin(captions.root, f"captions by {by}", run=str(job.folder.path)) as journal:
            captioner = opened(plan) if opened else open_captioner(plan, _download(job, plan))
            if plan.instruction and not captioner.instructed and not plan.instruction.startswith("<"):
                job.warn(f"{captioner.name} takes no instruction, so what you gave is not used: a chat model would.")
            _caption_all(work, captioner, journal)
    job.stage(STAGE, work.done, len(todo))
    job.event("captioned", written=work.written, kept=kept, skipped=work.skipped, folder=str(captions.root))
    if todo and not work.written and work.skipped:
        raise CaptionError("none of the pictures could be captioned: the warnings above say why for each.")


@dataclass
class _Work:
    """How far the job is; `spent` are the seconds and counts of the last batches, pauses left out."""

    job: Job
    plan: CaptionPlan
    captions: Captions
    todo: list[Entry]
    done: int = 0
    written: int = 0
    skipped: int = 0
    told: float = 0.0
    spent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_PACE))

    @property
    def rate(self) -> float | None:
        """Pictures a second."""
        seconds = sum(one for one, _ in self.spent)
        return sum(count for _, count in self.spent) / seconds if seconds else None

    def skip(self, entry: Entry, sentence: str) -> None:
        self.skipped += 1
        self.done += 1
        self.job.warn(sentence)

    def tell(self, entry: Entry, text: str) -> None:
        """The newest caption as an event, once a second at most; the first and the last always."""
        now = time.monotonic()
        if self.told and now - self.told < _TOLD_SECONDS and self.done < len(self.todo):
            return
        self.told = now
        rate = self.rate
        self.job.event("caption", picture=entry.name, text=text, done=self.done, total=len(self.todo), rate=rate,
                       left=(len(self.todo) - self.done) / rate if rate else None)  # fmt: skip


def _sorted_out(job: Job, plan: CaptionPlan, captions: Captions) -> tuple[list[Entry], int]:
    """The pictures to caption, and how many captions stay as they are; what is odd is told."""
    if not captions.entries:
        raise CaptionError(f"{shown(captions.root)} holds no pictures: give the folder that holds them.")
    finished = written_by(captions.root, str(job.folder.path))
    todo, kept = [], 0
    for entry in captions.entries:
        if entry.others:
            names = " and ".join(shown(name) for name in (entry.name, *entry.others))
            job.warn(f"{names} have the same name but for the ending, so they share one caption, that of the first.")
        if entry.path.relative_to(captions.root).as_posix() in finished:
            continue
        if entry.path.is_dir() or (entry.text == "" and not entry.path.is_file()):
            job.warn(entry.problems[0])
            kept += 1
        elif entry.usable and not plan.overwrite:
            kept += 1
        elif entry.text == "" and not plan.overwrite and not _is_blank(entry):
            job.warn(f"{entry.problems[0]} It is left as it is; --overwrite replaces it.")
            kept += 1
        else:
            todo.append(entry)
    return todo, kept


def _is_blank(entry: Entry) -> bool:
    """Whether a caption file holds nothing at all, so that nobody's words can be lost."""
    try:
        return not entry.path.read_bytes().strip()
    except OSError:
        return False


def _caption_all(work: _Work, captioner: Captioner, journal: Journal) -> None:
    told = instruction(work.plan.subject, work.plan.class_word, work.plan.instruction)
    if work.plan.instruction.startswith("<"):
        told = work.plan.instruction
    feed = Feed(work.todo, captioner, told, work.plan.batch or captioner.batch)
    writing: tuple[list[Change], Future[Written]] | None = None
    work.job.stage(STAGE, 0, len(work.todo))
    # Captions are flushed to the disk by a thread, while the model is at the next ones.
    with ThreadPoolExecutor(1, "write") as writer:
        began = time.monotonic()
        for batch in feed:
            changes = _changes(work, captioner, batch, feed, told)
            work.spent.append((time.monotonic() - began, len(batch.entries) + len(batch.lost)))
            if writing:
                _collect(work, *writing)
            writing = (changes, writer.submit(write_with, journal, changes, whole=True))
            if work.job.poll().stop:
                _collect(work, *writing)
                raise Stopped
            began = time.monotonic()
        if writing:
            _collect(work, *writing)


def _changes(work: _Work, captioner: Captioner, batch: Batch, feed: Feed, told: str) -> list[Change]:
    """What the captioner says of a batch, put in order by rule."""
    for entry, sentence in batch.lost:
        work.skip(entry, sentence)
    changes = []
    for entry, said in zip(batch.entries, _said(work, captioner, batch, feed, told), strict=True):
        text = finished(said, work.plan, tags=captioner.tags) if said is not None else ""
        if text:
            changes.append(Change(entry, text))
        elif said is not None:
            work.skip(entry, f"{captioner.name} said nothing of {shown(entry.name)}, so it has no caption.")
    return changes


def finished(said: str, plan: CaptionPlan, *, tags: bool = False) -> str:
    """The caption that is written: one plain line, right for its kind, the trigger and class words in front."""
    text = said if tags else tidied(said)
    fitting = by_kind(text, plan.subject)
    return in_front(fitting or ("" if plan.prefix else text), plan.prefix)


def _said(work: _Work, captioner: Captioner, batch: Batch, feed: Feed, told: str) -> list[str | None]:
    """The model's texts; a batch that does not fit is halved, a picture it refuses is named and left out (None)."""
    if not batch.images:
        return []
    try:
        if batch.trouble is not None:
            raise batch.trouble
        return list(captioner.write(batch.prepared))
    except ValueError as error:
        if len(batch.images) == 1:
            work.skip(batch.entries[0], f"{shown(batch.entries[0].name)} is refused by {captioner.name} "
                                        f"({shown(str(error)[:200])}), so it has no caption.")  # fmt: skip
            return [None]
        size = 1
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        size = _halved(work, captioner, batch, feed, error)
    batch.prepared = None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    texts: list[str | None] = []
    for at in range(0, len(batch.images), size):
        part = replace(batch, entries=batch.entries[at : at + size], images=batch.images[at : at + size], trouble=None)
        try:
            part.prepared = captioner.prepare(part.images, told)
        except ValueError as error:
            part.trouble = error
        texts += _said(work, captioner, part, feed, told)
    return texts


def _halved(work: _Work, captioner: Captioner, batch: Batch, feed: Feed, error: BaseException) -> int:
    if len(batch.images) == 1:
        raise CaptionError(
            f"{captioner.name} has no memory left for even one picture: take a smaller captioner, or end what else "
            "uses this memory; what is written is kept."
        ) from error
    size = (len(batch.images) + 1) // 2
    feed.size = min(feed.size, size)
    work.job.warn(f"{len(batch.images)} pictures at once do not fit in memory: going on with {size}.")
    return size


def _collect(work: _Work, changes: list[Change], future: Future[Written]) -> None:
    """Waits for a batch to be on the disk, then tells of it."""
    wrote = future.result()
    for sentence in wrote.refused:
        work.job.warn(sentence)
    work.written += wrote.count
    work.skipped += len(wrote.refused)
    written = set(wrote.names)
    for change in changes:
        work.done += 1
        if change.entry.name in written:
            work.tell(change.entry, change.after)
    work.job.stage(STAGE, work.done, len(work.todo))


def _download(job: Job, plan: CaptionPlan) -> Callable[[int, int], None]:
    job.stage(f"opening {shown(plan.captioner)}")

    def report(done: int, total: int) -> None:
        job.stage(f"fetching {shown(plan.captioner)} (MB, once)", done // 1_000_000, max(1, total // 1_000_000))
        if job.stop_asked():
            raise Stopped("stopped as asked; what has arrived is kept")

    return report
