"""The health check as the wizard follows it: the engine's own job, begun here and watched through its files."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from textual.message import Message
from textual.screen import Screen

from engine.dataset.health.figures import Health
from engine.dataset.health.request import VERB, answer, check_name, check_run, checks_folder
from engine.errors import LorasmithError, shown
from engine.plan import Plan
from engine.runs.folder import RunFolder
from engine.runs.launch import start_engine
from engine.runs.lock import lock_holder
from engine.runs.summary import read_summary
from tui.telling import stage_words

_LOOK_SECONDS = 0.5


class HealthWatch:
    """Follows the check of one set of folders, whoever began it."""

    @dataclass
    class Told(Message):
        """How it stands: counting (`words`), answered (`health`), or why not (`trouble`)."""

        name: str
        words: str = ""
        health: Health | None = None
        trouble: str = ""

    def __init__(self, screen: Screen[None]) -> None:
        self.screen = screen
        self._leave = threading.Event()
        self.name = ""
        self.alive = False
        """Whether a check of these folders is under way, as far as it was looked at."""

    def leave(self) -> None:
        self._leave.set()

    def read(self, plan: Plan) -> None:
        """What was found the last time these folders were checked, or the check that is under way."""
        self.name = check_name(plan)
        self._in_thread(self._follow, self.name)

    def begin(self, plan: Plan) -> None:
        """Has the pictures checked."""
        self.name = check_name(plan)
        self._in_thread(self._begin, plan)

    def _in_thread(self, work, *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True, name="health").start()

    def _begin(self, plan: Plan) -> None:
        name = check_name(plan)
        try:
            if lock_holder(RunFolder(checks_folder() / name)) is None:
                start_engine(check_run(plan), VERB)
        except (LorasmithError, OSError) as error:
            self.screen.post_message(self.Told(name, trouble=shown(error)))
            return
        self._follow(name)

    def _follow(self, name: str) -> None:
        run = RunFolder(checks_folder() / name)
        while not self._leave.is_set() and name == self.name:
            try:
                summary = read_summary(run)
            except (LorasmithError, OSError):
                return  # never checked
            self.alive = summary.alive
            if not summary.alive:
                self._ended(run, name, summary.status, summary.reason)
                return
            words = stage_words(summary.stage, summary.stage_done, summary.stage_total) if summary.stage else "begins"
            self.screen.post_message(self.Told(name, words=words))
            self._leave.wait(_LOOK_SECONDS)

    def _ended(self, run: RunFolder, name: str, status: str, reason: str | None) -> None:
        if status == "finished":
            try:
                self.screen.post_message(self.Told(name, health=answer(run)))
            except LorasmithError as error:
                self.screen.post_message(self.Told(name, trouble=shown(error)))
        elif status != "new":
            self.screen.post_message(self.Told(name, trouble=f"The check ended: {shown(reason or 'not said why')}"))
