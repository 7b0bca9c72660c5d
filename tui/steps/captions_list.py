"""Step 5, the list of captions, the picture and the text of the one under the cursor; files in one thread."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, TextArea

from engine.caption.store import Entry
from engine.errors import shown
from tui.draft import Draft
from tui.steps.captions_area import CaptionArea
from tui.steps.captions_book import (
    Book,
    Outcome,
    length_words,
    problem_words,
    read_book,
    sifted,
    summary_words,
    typings,
)
from tui.steps.captions_windows import BulkAnswer
from tui.steps.form import FormField, Line, Said
from tui.steps.job_watch import JobWatch, job_words
from tui.steps.step import Journey
from tui.steps.wizard import WizardScreen
from tui.text import count
from tui.widgets.board import Row, cells
from tui.widgets.listing import Listing
from tui.widgets.picture import Gallery

_SHOW_SECONDS = 0.08  # of quiet before the picture under the cursor is drawn
_NAME = 16  # columns of a picture's name in the list


class CaptionListScreen(WizardScreen):
    """What step 5 draws. Whatever touches the captions' files goes through `_do`, one after the other."""

    @dataclass
    class Read(Message):
        """Posted by the thread that touches the files: the captions as they are now, and what is to be said."""

        outcome: Outcome
        quiet: bool = False

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

    @property
    def trigger(self) -> str:
        return self.draft.plan.subject.instance_prompt

    @property
    def _folders(self) -> list[str]:
        return [one.path for one in self.draft.plan.pictures.folders]

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

    def _inform(self, words: str) -> None:
        self.query_one("#job", Said).show((words, "good"), *([said] if (said := self._job_words()) else []))

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

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "find" and event.value != self.words:
            self.words = event.value
            self._sift()

    @property
    def scope(self) -> str:
        everything = len(self.sight) == len(self.book.entries)
        return f"the {count(len(self.sight), 'caption')}" + ("" if everything else " in sight")
