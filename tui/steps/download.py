"""A base that is being downloaded: the engine's own job, which the step that asked for it only watches."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from textual.message import Message
from textual.screen import Screen

from engine.base.download_job import KIND, STAGE
from engine.base.find import SHORT_NAMES
from engine.errors import LorasmithError, shown
from engine.runs.folder import find_run
from engine.runs.launch import start_engine
from engine.runs.summary import RunSummary, read_summary
from tui.commands.download import download_run
from tui.draft import Draft
from tui.text import duration

_LOOK_SECONDS = 1.0


class Download:
    """Follows a download's run folder in a thread, for as long as the screen is open."""

    @dataclass
    class Begun(Message):
        """The job has begun, or why not."""

        run: str
        trouble: str = ""

    @dataclass
    class Seen(Message):
        """How it stands."""

        summary: RunSummary

    def __init__(self) -> None:
        self.seen: RunSummary | None = None
        self._leave = threading.Event()
        self._run = ""

    @property
    def alive(self) -> bool:
        return self.seen is not None and self.seen.alive

    def leave(self) -> None:
        self._leave.set()

    def follow(self, screen: Screen[None], draft: Draft) -> None:
        """Goes on watching the download this draft has begun, if there is one."""
        if run := draft.jobs.get(KIND):
            self._run = run
            threading.Thread(target=self._watch, args=(screen,), daemon=True, name="download-watch").start()

    def begin(self, screen: Screen[None], model: str) -> None:
        """Starts the job, or goes on with one that was broken off."""
        threading.Thread(target=self._begin, args=(screen, model), daemon=True, name="download").start()

    def _begin(self, screen: Screen[None], model: str) -> None:
        try:
            run = download_run(SHORT_NAMES.get(model, model))
            if not read_summary(run).alive:
                start_engine(run, KIND)
        except (LorasmithError, OSError) as error:
            screen.post_message(self.Begun("", shown(error)))
            return
        screen.post_message(self.Begun(run.name))
        self._run = run.name
        self._watch(screen)

    def _watch(self, screen: Screen[None]) -> None:
        while not self._leave.is_set():
            try:
                summary = read_summary(find_run(self._run))
            except (LorasmithError, OSError):
                return  # deleted by hand: there is nothing to follow
            screen.post_message(self.Seen(summary))
            if not summary.alive:
                return
            self._leave.wait(_LOOK_SECONDS)


def download_words(summary: RunSummary | None, now: float | None = None) -> tuple[str, str] | None:
    """How a download stands, with its ink; None where there is nothing to say of it."""
    if summary is None:
        return None
    if not summary.alive:
        if summary.status == "finished":
            return None
        why = shown(summary.reason or "it ended without saying why")
        return f"The download stopped: {why} d goes on with it.", "bad"
    done, total = summary.stage_done, summary.stage_total
    if summary.stage != STAGE or done is None or not total:
        return f"{shown(summary.stage or 'starting')}…", "accent"
    full = round(20 * done / total)
    words = f"{'█' * full}{'·' * (20 - full)} {done / 1000:.1f} of {total / 1000:.1f} GB"
    begun = summary.started
    spent = (now if now is not None else time.time()) - begun if begun else 0.0
    if done and spent > 5:
        words += f", about {duration(spent * (total - done) / done)} left"
    return f"{words}. It goes on if you leave.", "accent"
