"""Step 5, one caption in place: typed, written when it is left, asked about where somebody else wrote meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from textual import work
from textual.events import DescendantBlur
from textual.widgets import TextArea

from engine.caption.store import Change, Entry
from engine.errors import LorasmithError, shown
from tui.steps.captions_area import CaptionArea
from tui.steps.captions_book import (
    BY_HAND,
    Book,
    Typing,
    again,
    one_line,
    typings,
    with_typing,
    without_written,
    written,
)
from tui.steps.captions_list import CaptionListScreen
from tui.steps.captions_outside import edited_outside
from tui.steps.step import StepScreen
from tui.widgets.dialogs import Answer, Choice
from tui.widgets.listing import Listing


class CaptionTypingScreen(CaptionListScreen):
    """What is typed is in the draft at every moment, and in its file when the field is left."""

    _asking = False
    """Whether a clash is being asked about: the same may come again, as the field is left while it is being written."""

    def on_caption_list_screen_read(self, message: CaptionListScreen.Read) -> None:
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
            if not self._asking:
                self._asking = True
                self._ask_clash(outcome.clash)
        elif outcome.trouble:
            self.say(outcome.trouble)
        elif outcome.words and not message.quiet:
            self._inform(outcome.words)

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
        self._asking = False
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
