"""Step 5: a model writes captions, and a person reads and mends them, each picture beside its text."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from textual import work
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input

from engine.caption.plan import DEFAULT, CaptionPlan, caption_toml, read_caption_plan
from engine.caption.search import Phrase, phrase_frequencies
from engine.errors import LorasmithError, shown
from engine.runs.folder import RunFolder, create_run, find_run
from engine.runs.summary import read_summary
from tui.draft import Draft
from tui.steps.captions_book import (
    BULKS,
    BY_HAND,
    last_operation,
    taken_back,
)
from tui.steps.captions_typing import CaptionTypingScreen
from tui.steps.captions_windows import BulkAnswer, BulkEdit, Captioner, Phrases
from tui.steps.job_watch import JobWatch
from tui.steps.step import StepScreen
from tui.text import count
from tui.widgets.dialogs import Answer, Choice

KIND = "caption"  # of the job, and its name in the draft
CAPTIONER = "captions.captioner"  # the draft's key for the model asked last
_READ_SECONDS = 2.0  # between two readings of the folder while a captioner writes


def captions_missing(draft: Draft) -> str:
    """Captions are not asked of anybody: a picture without one is trained on trigger and class word."""
    return ""


class CaptionsScreen(CaptionTypingScreen):
    """The list of captions, the picture of the one under the cursor, its text; many at once; the captioner."""

    HELP = (
        "A caption says what changes from picture to picture (clothes, pose, place, light), not what is to be learnt. "
        "Let a model write them with c, then read each: wrong captions teach wrong words.\n\n"
        "Up and down go from picture to picture; enter edits the text here, page down goes on to the next while you "
        "type. All is written at once to the .txt beside the picture; u takes the newest change back, whichever it "
        "was. A caption that somebody else changes meanwhile is never overwritten.\n\n"
        "Pictures without a caption are trained on the trigger and the class word alone."
    )

    BINDINGS = [
        Binding("c", "captioner", "write", tooltip="have a model write captions; again: stop it"),
        Binding("p", "problems", "problems", tooltip="only captions with a problem, or all"),
        Binding("slash", "find", "find", key_display="/", tooltip="only captions or pictures that hold these words"),
        Binding("u", "undo", "undo", tooltip="take the newest change of captions back"),
        Binding("r", "bulk", "bulk", tooltip="edit all captions in sight at once, with a preview"),
        Binding("f", "phrases", "phrases", tooltip="what the captions say most often"),
        Binding("e", "editor", show=False, tooltip="edit this caption in $EDITOR"),
        Binding("z", "zoom", show=False, tooltip="the picture as large as it goes, or back"),
        Binding("g", "again", show=False, tooltip="read the captions again"),
    ]

    DEFAULT_CSS = """
    CaptionsScreen #fields { padding: 0; }
    CaptionsScreen #summary { height: 1; }
    CaptionsScreen #middle { height: 1fr; margin-top: 1; }
    CaptionsScreen #side { width: 30; padding: 0 1; }
    CaptionsScreen #texts { width: 1fr; }
    CaptionsScreen #about { height: 1; }
    CaptionsScreen #wrong { height: 2; }
    CaptionsScreen #job { height: 2; margin-top: 1; }
    CaptionsScreen.-wide #side { width: 45%; }
    CaptionsScreen.-wide CaptionArea { height: 10; }
    CaptionsScreen.-empty #summary { height: 4; }
    CaptionsScreen.-empty #middle { display: none; }
    CaptionsScreen.-zoom #texts { display: none; }
    CaptionsScreen.-zoom #side { width: 1fr; }
    """

    @dataclass
    class Phrased(Message):
        """Posted by the thread that counted phrases."""

        phrases: list[Phrase]
        scope: str

    def on_mount(self) -> None:
        super().on_mount()
        self._do(self._reading)
        if run := self.draft.jobs.get(KIND):
            self.job.follow(run)

    @work
    async def action_bulk(self) -> None:
        entries = [self.book.entries[at] for at in self.sight]
        before = self.bulk
        if not before.first:
            words = " ".join(f"{self.trigger} {self.draft.plan.subject.class_prompt}".split())
            before = BulkAnswer(0, words)
        answer = await self.app.push_screen_wait(BulkEdit(entries, self.scope, before))
        if answer is None:
            return
        self.bulk = BulkAnswer(answer.kind, answer.first, answer.second)
        if answer.changes:
            self._inform(f"{count(len(answer.changes), 'caption')} are being written…")
            self._write(list(answer.changes), BULKS[answer.kind].said(answer.first, answer.second))

    def action_phrases(self) -> None:
        texts = [self.book.entries[at].text or "" for at in self.sight]
        self._count_phrases(texts, self.scope)

    @work(thread=True, exclusive=True, group="phrases", exit_on_error=False)
    def _count_phrases(self, texts: list[str], scope: str) -> None:
        self.post_message(self.Phrased(phrase_frequencies(texts), scope))

    def on_captions_screen_phrased(self, message: Phrased) -> None:
        def answered(phrase: str | None) -> None:
            if phrase is not None:
                self.query_one("#find", Input).value = phrase

        self.app.push_screen(Phrases(message.phrases, message.scope), answered)

    def action_find(self) -> None:
        self.set_focus(self.query_one("#find"))

    def action_problems(self) -> None:
        self.problems_only = not self.problems_only
        self._sift()

    def action_zoom(self) -> None:
        self.toggle_class("-zoom")
        self.refresh_bindings()

    def action_again(self) -> None:
        self._do(self._reading)

    @work
    async def action_undo(self) -> None:
        book, trigger = self.book, self.trigger
        found = last_operation(book)
        if found is None:
            self.say("There is nothing to take back: no caption here was changed by lorasmith.")
            return
        part, operation = found
        if not operation.what.startswith(BY_HAND):
            answer = await self.app.push_screen_wait(Choice(
                f"Take back {shown(operation.what)}, of {time.strftime('%H:%M', time.localtime(operation.when))}?",
                [
                    Answer("t", "take it back", "captions you changed since stay as they are", "undo"),
                    Answer("l", "leave it", "nothing changes", None),
                ],
            ))  # fmt: skip
            if answer is None:
                return
        self._do(partial(taken_back, book, part, trigger))
        self.changed = True

    @work
    async def action_captioner(self) -> None:
        if self.job.alive:
            self.job.stop()
            self._inform("The captioner ends after the pictures it has in hand; what it wrote stays.")
            return
        if not self.book.entries:
            self.say("There are no pictures to caption: step 2 says where they are.")
            return
        subject = self.draft.plan.subject
        part = self.book.part_of(self.entry) if self.entry is not None else self.book.parts[0]
        asked = CaptionPlan(
            folder=str(part.root), captioner=self.draft.typed.get(CAPTIONER, DEFAULT), subject=subject.kind,
            trigger=subject.instance_prompt, class_word=subject.class_prompt,
        )  # fmt: skip
        without = sum(not entry.usable for entry in part.entries)
        plan = await self.app.push_screen_wait(Captioner(asked, without, len(part.entries)))
        if plan is None:
            return
        StepScreen.change(self, self.draft.with_typed(CAPTIONER, plan.captioner))
        self.job.begin(partial(_captioning_run, plan, self.draft.jobs.get(KIND, ""), self.draft.name))
        self.show()

    def on_job_watch_told(self, message: JobWatch.Told) -> None:
        was = self.job.alive
        if not self.job.take(message):
            return
        if self.job.run is not None and self.draft.jobs.get(KIND) != self.job.run.name:
            StepScreen.change(self, self.draft.with_job(KIND, self.job.run.name))
        self.done = was and self.job.status == "finished" or (self.done and not self.job.alive)
        heard = dict(self.job.seen.heard).get("caption", 0) if self.job.seen else 0
        news = heard != self._written_before and time.monotonic() - self._read_at > _READ_SECONDS
        if (was and not self.job.alive) or (self.job.alive and news):
            self._written_before, self._read_at, self.changed = heard, time.monotonic(), True
            self._do(self._reading, quiet=True)
        self.show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"problems", "find", "bulk", "phrases", "undo", "editor", "zoom", "again"}:
            return bool(self.book.entries) and not self.typing
        if action == "captioner":
            return not self.typing
        return super().check_action(action, parameters)

    def key_label(self, action: str) -> str | None:
        if action == "captioner" and self.job.alive:
            return "stop"
        if action == "problems" and self.problems_only:
            return "all"
        return super().key_label(action)


def _captioning_run(plan: CaptionPlan, last: str, name: str) -> RunFolder:
    """The run that does this: the last one where it asked the same and was broken off, else a new one."""
    if last:
        try:
            run = find_run(last)
            summary = read_summary(run)
            if run.kind == KIND and summary.status != "finished" and read_caption_plan(run.job) == plan:
                return run
        except LorasmithError:
            pass  # gone, or damaged by hand: a new one is made
    from tui.commands.caption import _run_name

    return create_run(_run_name(Path(plan.folder)), caption_toml(plan), kind=KIND)
