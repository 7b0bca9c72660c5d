"""Step 5: a model writes captions, and a person reads and mends them, each picture beside its text."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.events import DescendantBlur
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, TextArea

from engine.caption.plan import DEFAULT, CaptionPlan, caption_toml, read_caption_plan
from engine.caption.search import Phrase, phrase_frequencies
from engine.caption.store import Change, Entry
from engine.errors import LorasmithError, shown
from engine.runs.folder import RunFolder, create_run, find_run
from engine.runs.summary import read_summary
from tui.draft import Draft
from tui.steps.captions_area import CaptionArea
from tui.steps.captions_book import (
    BULKS,
    BY_HAND,
    Book,
    Outcome,
    Typing,
    again,
    last_operation,
    length_words,
    one_line,
    problem_words,
    read_book,
    sifted,
    summary_words,
    taken_back,
    typings,
    with_typing,
    without_written,
    written,
)
from tui.steps.captions_outside import edited_outside
from tui.steps.captions_windows import BulkAnswer, BulkEdit, Captioner, Phrases
from tui.steps.form import FormField, Line, Said
from tui.steps.job_watch import JobWatch, job_words
from tui.steps.step import Journey, StepScreen
from tui.steps.wizard import WizardScreen
from tui.text import count
from tui.widgets.board import Row, cells
from tui.widgets.dialogs import Answer, Choice
from tui.widgets.listing import Listing
from tui.widgets.picture import Gallery

KIND = "caption"  # of the job, and its name in the draft
CAPTIONER = "captions.captioner"  # the draft's key for the model asked last
_SHOW_SECONDS = 0.08  # of quiet before the picture under the cursor is drawn
_READ_SECONDS = 2.0  # between two readings of the folder while a captioner writes
_NAME = 16  # columns of a picture's name in the list


def captions_missing(draft: Draft) -> str:
    """Captions are not asked of anybody: a picture without one is trained on trigger and class word."""
    return ""


class CaptionsScreen(WizardScreen):
    """The list of captions, the picture of the one under the cursor, its text."""

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
        Binding("r", "bulk", "bulk", tooltip="edit all captions in sight at once, with a preview"),
        Binding("u", "undo", "undo", tooltip="take the newest change of captions back"),
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
    class Read(Message):
        """Posted by the thread that touches the files: the captions as they are now, and what is to be said."""

        outcome: Outcome
        quiet: bool = False

    @dataclass
    class Phrased(Message):
        """Posted by the thread that counted phrases."""

        phrases: list[Phrase]
        scope: str

    def __init__(self, journey: Journey[Draft], at: int) -> None:
        super().__init__(journey, at)
        self.book = Book()
        self.ready = False
        self.sight: list[int] = []
        self.problems_only = False
        self.words = ""
        self.entry: Entry | None = None
        """The one whose text stands in the field, as it was when it was put there."""
        self.bulk = BulkAnswer()
        self.job = JobWatch(self)
        self.changed = False
        self.done = False
        """Whether the captioner has finished before the person's eyes."""
        self._files = ThreadPoolExecutor(1, "captions")  # one after the other, so that an undo meets what it undoes
        self._to_show: Timer | None = None
        self._read_at = 0.0
        self._written_before = -1

    def fields(self) -> ComposeResult:
        self.area = CaptionArea(id="text")
        yield Line("Find", FormField(id="find", placeholder="words of a caption, or of a picture's name"))
        yield Said(id="summary", indent=0)
        with Horizontal(id="middle"):
            with Vertical(id="side"):
                yield Gallery(id="picture", ascii_only=self.house.ascii_only)
            with Vertical(id="texts"):
                yield Listing(self._row, id="list", leaves=False, takes="edit")
                yield Said(id="about", indent=0)
                yield self.area
                yield Said(id="wrong", indent=0)
        yield Said(id="job", indent=0)

    def first_field(self) -> Widget | None:
        return self.query_one("#list")

    def on_mount(self) -> None:
        super().on_mount()
        self._do(self._reading)
        if run := self.draft.jobs.get(KIND):
            self.job.follow(run)

    def on_unmount(self) -> None:
        self._finish_typing()
        self.job.leave()
        self._files.shutdown(wait=True)  # a caption that was left a moment ago is still being written
        if typed := [Path(picture) for picture in typings(self.draft)]:
            self.journey.draft = without_written(self.draft, again(self.book, typed, self.trigger))
            self.journey.save(self.draft)
        if self.changed:
            self.draft.looks.outlook = None  # what was found out rests on other captions
        super().on_unmount()

    @property
    def trigger(self) -> str:
        return self.draft.plan.subject.instance_prompt

    @property
    def _folders(self) -> list[str]:
        return [one.path for one in self.draft.plan.pictures.folders]

    # Files, in one thread.

    def _do(self, work: Callable[[], Outcome], *, quiet: bool = False) -> None:
        """Has the files' thread do this and tell; `quiet` says nothing of it."""

        def done() -> None:
            try:
                outcome = work()
            except Exception as error:  # said to the person, told to the log: the thread must go on
                traceback.print_exception(error)
                outcome = Outcome(self.book, trouble=f"Something unexpected went wrong ({type(error).__name__}): "
                                  "lorasmith.log has the story.")  # fmt: skip
            self.post_message(self.Read(outcome, quiet))

        self._files.submit(done)

    def _reading(self) -> Outcome:
        return Outcome(read_book(self._folders, self.trigger))

    def on_captions_screen_read(self, message: Read) -> None:
        outcome = message.outcome
        first = not self.ready
        self.book, self.ready = outcome.book, True
        self.changed = self.changed or outcome.count > 0
        self.said = ""
        self._settle(self.book)
        if not self.book.entries:
            self.set_focus(None)
        self._sift()
        if first:
            self._restore()
        if outcome.clash is not None:
            self._ask_clash(outcome.clash)
        elif outcome.trouble:
            self.say(outcome.trouble)
        elif outcome.words and not message.quiet:
            self._inform(outcome.words)

    def _inform(self, words: str) -> None:
        self.query_one("#job", Said).show((words, "good"), *([said] if (said := self._job_words()) else []))

    # What is drawn.

    def show(self) -> None:
        said = self._job_words()
        self.query_one("#job", Said).show(*([said] if said else []))
        self._summary()
        self.refresh_bindings()

    def _summary(self) -> None:
        summary = self.query_one("#summary", Said)
        self.set_class(self.ready and not self.book.entries, "-empty")
        if not self.ready:
            summary.show(("reading the captions…", "accent"))
        elif not self.book.entries:
            why = self.book.troubles or ("There are no pictures yet: step 2 says where they are.",)
            summary.show((why[0], "warn"))
        else:
            words = summary_words(self.book, len(self.sight), self.words, problems_only=self.problems_only)
            summary.show((words, "plain"))

    def _job_words(self) -> tuple[str, str] | None:
        if said := job_words(self.job, "The captioner"):
            return said
        return ("The captioner has finished: read what it wrote; u takes it back.", "good") if self.done else None

    def _row(self, at: int, here: bool, width: int) -> Row:
        entry = self.book.entries[self.sight[at]]
        problems = self.book.problems.get(entry.picture, ())
        mark, ink = ("✗", "bad") if not entry.usable else ("!", "warn") if problems else ("✓", "good")
        name = [cell for cell in cells([(shown(entry.name), "strong" if here else "plain")], _NAME) if cell[0]]
        text = shown(entry.text[:200]) if entry.text else "(none)"
        return [("▸" if here else " ", "accent"), (f"{mark} ", ink), *name,
                (f" {text}", "plain" if entry.usable else "muted")]  # fmt: skip

    def _sift(self) -> None:
        """Looks again at which captions are in sight; the cursor stays on its picture as far as it can."""
        before = self.entry.picture if self.entry is not None else None
        self.sight = sifted(self.book, self.words, problems_only=self.problems_only)
        listing = self.query_one("#list", Listing)
        place = next((at for at, one in enumerate(self.sight) if self.book.entries[one].picture == before), None)
        listing.fill(len(self.sight), at=place)
        if not self.area.has_focus:
            self._enter(self.under)
        self.show()

    @property
    def under(self) -> Entry | None:
        """The entry under the list's cursor."""
        at = self.query_one("#list", Listing).at
        return self.book.entries[self.sight[at]] if at < len(self.sight) else None

    def _enter(self, entry: Entry | None) -> None:
        """Puts an entry's text into the field and its picture beside it."""
        typing = typings(self.draft).get(str(entry.picture)) if entry is not None else None
        if entry is not None and typing is not None:
            entry = replace(entry, text=typing.before)
        self.entry = entry
        self._fill(typing.text if typing is not None else (entry.text or "" if entry is not None else ""))
        self._about()
        if self._to_show is not None:
            self._to_show.stop()
        self._to_show = self.set_timer(_SHOW_SECONDS, self._show_picture)

    def _fill(self, text: str) -> None:
        if self.area.text != text:
            with self.prevent(TextArea.Changed):
                self.area.load_text(text)

    def _show_picture(self) -> None:
        self.query_one(Gallery).show((self.entry.picture,) if self.entry is not None else ())

    def _about(self) -> None:
        about, wrong = self.query_one("#about", Said), self.query_one("#wrong", Said)
        if self.entry is None:
            about.show(("Nothing fits." if self.book.entries else "", "muted"))
            wrong.show()
            return
        words, ink = length_words(self.area.text)
        listing = self.query_one("#list", Listing)
        place = f"{listing.at + 1:,} of {len(self.sight):,}"
        about.show((f"{place}, {words}: {shown(self.entry.name)}", ink if ink == "warn" else "accent"))
        found = self.book.problems.get(self.entry.picture, ())
        shares = [f"Shared with {', '.join(map(shown, self.entry.others))}."] if self.entry.others else []
        notes = [problem_words(one) for one in found] + [shown(one) for one in self.entry.problems if self.entry.text]
        wrong.show(*((one, "warn") for one in [*notes, *shares]))

    def on_listing_moved(self, event: Listing.Moved) -> None:
        if event.listing.id == "list":
            self._enter(self.under)

    # One caption in place.

    def on_listing_taken(self, event: Listing.Taken) -> None:
        if event.listing.id == "list" and self.entry is not None:
            self.area.move_cursor(self.area.document.end)
            self.set_focus(self.area)

    def on_text_area_changed(self, _: TextArea.Changed) -> None:
        if self.entry is None:
            return
        text = self.area.text
        picture = str(self.entry.picture)
        typing = Typing(picture, self.entry.text, text) if text != (self.entry.text or "") else None
        StepScreen.change(self, with_typing(self.draft, picture, typing))
        self._about()

    def on_caption_area_done(self, message: CaptionArea.Done) -> None:
        self._finish_typing()
        if message.by == 0:
            self.set_focus(self.query_one("#list"))
            return
        listing = self.query_one("#list", Listing)
        listing.go(listing.at + message.by)
        self._enter(self.under)
        self.area.move_cursor(self.area.document.end)

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        if event.widget.id == "text":
            self._finish_typing()

    def action_leave_field(self) -> None:
        self.set_focus(self.query_one("#list"))

    def _finish_typing(self) -> None:
        """Writes what was typed, if anything was; a clash is asked about when the files' thread has found it."""
        entry = self.entry
        if entry is None or self.area.text == (entry.text or ""):
            return
        after = one_line(self.area.text)
        # What the field holds is the truth from here on, until the files have been read again.
        self.entry = replace(entry, text=after, problems=())
        if self.area.is_attached:
            self._fill(after)
        if after != (entry.text or ""):
            self._write([Change(entry, after)], f"{BY_HAND} {entry.name}")
        else:
            StepScreen.change(self, with_typing(self.draft, str(entry.picture), None))

    def _write(self, changes: list[Change], what: str) -> None:
        trigger = self.trigger
        self._do(lambda: written(self.book, changes, what, trigger), quiet=what.startswith(BY_HAND))

    def _restore(self) -> None:
        """What was being typed when the terminal went comes back into its field."""
        found = [at for picture in typings(self.draft) if (at := self.book.at(Path(picture))) is not None]
        if found:
            self.query_one("#list", Listing).go(found[0])
            self._enter(self.under)
            self.area.move_cursor(self.area.document.end)
            self.set_focus(self.area)
            self.call_after_refresh(self.say, "This was being typed when the terminal went: enter writes it.")

    def _settle(self, book: Book) -> None:
        """Forgets what was being typed where a caption says it now."""
        StepScreen.change(self, without_written(self.draft, book))

    def _go_on_typing(self, entry: Entry, text: str) -> None:
        """Puts into the field what is not written yet, over what the caption says now."""
        typing = Typing(str(entry.picture), entry.text, text)
        StepScreen.change(self, with_typing(self.draft, str(entry.picture), typing))
        self._enter(entry)
        self.area.move_cursor(self.area.document.end)
        self.set_focus(self.area)

    @work
    async def _ask_clash(self, clash: Change) -> None:
        """Two people wrote: the person here says whose words stay; the other's are one undo away, or still here."""
        theirs = shown(clash.before[:160]) or "(nothing)"
        answer = await self.app.push_screen_wait(Choice(
            f"{shown(clash.entry.name)} was changed by somebody else while you typed. It says now: {theirs}",
            [
                Answer("m", "take mine", "theirs is one undo away", "mine"),
                Answer("t", "leave theirs", "what you typed is given up", "theirs"),
                Answer("k", "keep typing", "nothing is decided yet", None),
            ],
        ))  # fmt: skip
        if answer == "mine":
            self._write([clash], f"{BY_HAND} {clash.entry.name}")
        elif answer == "theirs":
            StepScreen.change(self, with_typing(self.draft, str(clash.entry.picture), None))
            self._sift()
        else:
            self._go_on_typing(clash.entry, clash.after)

    def action_editor(self) -> None:
        if self.entry is None:
            return
        try:
            text = edited_outside(self.app, self.entry.text or "")
        except LorasmithError as error:
            self.say(str(error))
            return
        self._fill(one_line(text))
        self._finish_typing()

    # Many captions.

    @property
    def scope(self) -> str:
        everything = len(self.sight) == len(self.book.entries)
        return f"the {count(len(self.sight), 'caption')}" + ("" if everything else " in sight")

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

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "find" and event.value != self.words:
            self.words = event.value
            self._sift()

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

    # The captioner.

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

    # Keys.

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
