"""Step 2: where the pictures are, what becomes of each, which are left out, and what is to be said of them."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.events import DescendantBlur
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from engine.dataset.health.figures import Health
from engine.errors import LorasmithError, shown
from engine.plan_fields import FIELDS
from tui.draft import FOLDER, Draft
from tui.steps.bring import search_for, target_folder, upload
from tui.steps.bring_screen import Bring
from tui.steps.browse import Browse
from tui.steps.form import Line, PathField, Said
from tui.steps.outlook import Outlook
from tui.steps.picture_health import HealthWatch
from tui.steps.picture_rows import PictureRow, advice, crop_words, other_words, picture_rows, summary_words
from tui.steps.preview import Preview
from tui.steps.ready import folder_trouble
from tui.steps.sentences import Sentences, sentence_lines
from tui.steps.step import Journey
from tui.steps.wizard import WizardScreen
from tui.text import home_path
from tui.watch.boards import wrap
from tui.widgets.board import Row, text_width
from tui.widgets.listing import Listing

_WATCH_SECONDS = 2.0
_SHOW_SECONDS = 0.08  # of quiet before the picture under the cursor is drawn
_INK = {"red": "bad", "amber": "warn", "note": "muted"}


class PicturesScreen(WizardScreen):
    """The folder, the table, the picture under the cursor with its cut, the sentences."""

    HELP = (
        "The pictures that teach. ✓ is trained, – is left out (space changes it; the file stays where it is), ○ is "
        "kept to measure the validation loss, ✗ cannot be used. The dark parts of the picture are cut off.\n\n"
        "h has the engine look at each picture: sharpness, light, borders, copies, faces, captions, and what they "
        "share. It is a job of its own and goes on if you leave.\n\n"
        "Bring ten or more: varied places, angles and light, sharp and uncropped, above 4 megapixels. u shows how they "
        "come up from your own machine; they appear here as they arrive."
    )

    BINDINGS = [
        Binding("space", "toggle", "in/out", tooltip="train the picture under the cursor, or leave it out"),
        Binding("h", "health", "check", tooltip="have each picture looked at by the engine"),
        Binding("o", "browse", "find", tooltip="look for the folder"),
        Binding("u", "bring", "add", tooltip="how to bring pictures up from your own machine"),
        Binding("v", "sentences", "more", tooltip="everything that is said of the set, or back to the table"),
        Binding("z", "zoom", show=False, tooltip="the picture as large as it goes, or back"),
        Binding("f", "field", show=False, tooltip="to the folder's field"),
        Binding("r", "again", show=False, tooltip="read the folder again"),
    ]

    DEFAULT_CSS = """
    PicturesScreen #fields { padding: 0; }
    PicturesScreen #summary { height: 1; margin-bottom: 1; }
    PicturesScreen #middle { height: 1fr; }
    PicturesScreen #table { width: 1fr; }
    PicturesScreen #side { width: 30; padding: 0 1; }
    PicturesScreen #about { height: 3; margin-top: 1; }
    PicturesScreen #says { height: 5; }
    PicturesScreen #all { display: none; }
    PicturesScreen.-wide #side { width: 50%; }
    PicturesScreen.-wide #says { height: 8; }
    PicturesScreen.-all #middle, PicturesScreen.-all #about, PicturesScreen.-all #says { display: none; }
    PicturesScreen.-all #all { display: block; }
    PicturesScreen.-zoom #table, PicturesScreen.-zoom #says { display: none; }
    PicturesScreen.-zoom #side { width: 1fr; }
    """

    @dataclass
    class FolderChanged(Message):
        """Posted by the thread that watches the folder."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, PicturesScreen.FolderChanged)

    def __init__(self, journey: Journey[Draft], at: int) -> None:
        super().__init__(journey, at)
        self.rows: list[PictureRow] = []
        self.health: Health | None = None
        self.health_words = ("", "muted")
        self.checking = HealthWatch(self)
        self.all_said: list[Row] = []
        self._known: tuple[object, ...] | None = None
        self._to_show: Timer | None = None
        self._leave = threading.Event()

    def fields(self) -> ComposeResult:
        yield Line("Folder", PathField(
            self.draft.folder, id="folder", suffixes=(".zip",), placeholder="a path; tab completes it, o looks for it",
            help_text=f"{FIELDS['pictures.folders.path'].meaning} {FIELDS['pictures.folders'].advice}",
        ))  # fmt: skip
        yield Said(id="summary")
        with Horizontal(id="middle"):
            yield Listing(self._row, id="table")
            with Vertical(id="side"):
                yield Preview(id="picture", ascii_only=self.house.ascii_only)
        yield Said(id="about", indent=1)
        yield Sentences(id="says")
        yield Listing(lambda at, here, width: self.all_said[at], id="all", leaves=False)

    def first_field(self) -> Widget | None:
        return self.query_one("#table" if self.draft.plan.pictures.folders else "#folder")

    def on_mount(self) -> None:
        seen = self.fresh
        super().on_mount()
        if self.draft.plan.pictures.folders:
            self.checking.read(self.draft.plan)
        self._watch_folder()
        if seen:
            self.look(again=True)  # what lies there may have changed since

    def on_unmount(self) -> None:
        self.checking.leave()
        self._leave.set()
        super().on_unmount()

    # What is drawn.

    def show(self) -> None:
        outlook = self.outlook
        named = outlook is not None and outlook.plan.pictures.folders == self.draft.plan.pictures.folders
        known = (outlook if named else None, self.draft.plan.pictures.leave_out, self.health)
        if self._known is None or any(one is not two for one, two in zip(known, self._known, strict=True)):
            self.rows = picture_rows(self.draft.plan, known[0], self.health)
            self._known = known
        table = self.query_one("#table", Listing)
        table.fill(len(self.rows))
        self.query_one("#summary", Said).show(self._summary(outlook if named else None))
        self.query_one("#says", Sentences).show(self._said(outlook if named else None))
        self._fill_all()
        self._about()
        self.refresh_bindings()

    def _summary(self, outlook: Outlook | None) -> tuple[str, str]:
        if self.counted:
            return f"reading them: {self.counted[0]:,} of {self.counted[1]:,}", "accent"
        if outlook is None or (outlook.dataset is None and not outlook.trouble):
            return ("reading them…", "accent") if self.draft.plan.pictures.folders else ("", "muted")
        if not self.rows:
            return ("Nothing in it can be trained.", "bad") if not outlook.trouble else ("", "muted")
        return summary_words(self.rows, outlook), "plain"

    def _said(self, outlook: Outlook | None) -> list[tuple[str, str]]:
        said: list[tuple[str, str]] = []
        if self.health_words[0]:
            said.append(self.health_words)
        if self.health is not None:
            said += [(one.sentence, _INK[one.level]) for one in self.health.findings]
            said += [(f"Not looked at: {sentence}", "muted") for sentence in self.health.not_seen]
            if not self.health.findings:
                said.append(("The health check finds nothing against these pictures.", "good"))
        else:
            said += [(sentence, "warn") for sentence in advice(self.rows, outlook)]
            if self.rows and not self.health_words[0]:
                said.append(("h looks closer: sharpness, copies, faces, captions, what they all share.", "muted"))
        said += [(sentence, "warn") for sentence in other_words(outlook)]
        if not self.rows and not self.draft.plan.pictures.folders:
            said += [
                ("Ten or more: varied places, angles and light, sharp, uncropped, above 4 megapixels.", "muted"),
                ("o looks for a folder here; u shows how pictures come up from your own machine.", "muted"),
            ]
        return said

    def _row(self, at: int, here: bool, width: int) -> Row:
        row = self.rows[at]
        mark, ink = row.mark
        room = max(12, width - 33)
        name = shown(row.name)
        if text_width([(name, "")]) > room:
            name = "…" + name[-(room - 1):] if name.isascii() else wrap(name, room - 1)[0] + "…"
        pad = " " * max(0, room - text_width([(name, "")]))
        faint = "muted" if row.state == "out" else "plain"
        remark = "bad" if row.state == "bad" or row.level == "red" else "warn"
        return [
            ("▸" if here else " ", "accent"), (f"{mark} ", ink), (name + pad, "strong" if here else faint),
            (f"{row.megapixels:>5} ", faint), (f"{row.bucket:>9} ", faint), (f"{row.cut:>5} ", faint),
            (row.remark, remark),
        ]  # fmt: skip

    @property
    def here(self) -> PictureRow | None:
        at = self.query_one("#table", Listing).at
        return self.rows[at] if at < len(self.rows) else None

    def _about(self) -> None:
        row = self.here
        about = self.query_one("#about", Said)
        if row is None:
            about.show()
        else:
            parts = [(crop_words(row), "plain")] if row.fit else []
            parts += [(one, "muted" if one.startswith("Caption") else "plain") for one in row.said]
            about.show(*parts)
        if self._to_show is not None:
            self._to_show.stop()
        self._to_show = self.set_timer(_SHOW_SECONDS, self._show_picture)

    def _show_picture(self) -> None:
        row = self.here
        self.query_one(Preview).show_cut(row.path if row else None, row.fit if row else None)

    def _fill_all(self) -> None:
        width = max(40, self.size.width)
        said = self._said(self.outlook)
        self.all_said = [line for words, ink in said for line in [*sentence_lines(words, ink, width), []]]
        self.query_one("#all", Listing).fill(len(self.all_said))

    def on_listing_moved(self, event: Listing.Moved) -> None:
        if event.listing.id == "table":
            self._about()

    # The folder.

    def on_input_changed(self, event: Input.Changed) -> None:
        # Every beginning of a path is a folder, too: it is read when the field is left, not before.
        if event.input.id == "folder" and event.value != self.draft.folder:
            self.change(self.draft.with_typed(FOLDER, event.value))

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        if event.widget.id == "folder" and FOLDER in self.draft.typed:
            self._take(self.draft.typed[FOLDER])

    def _take(self, text: str) -> None:
        """A typed folder becomes the plan's where it is one that can be read; until then the text is kept."""
        if folder_trouble(text):
            self.change(self.draft.with_typed(FOLDER, text))
            return
        path = str(Path(text).expanduser().absolute())
        same = [one.path for one in self.draft.plan.pictures.folders] == [path]
        try:
            draft = self.draft if same else self.draft.with_folders(path).with_plan({"pictures.leave_out": ()})
        except LorasmithError as error:
            self.say(str(error))
            return
        self.health, self.health_words = None, ("", "muted")
        self.change(draft.without_typed(FOLDER))
        self.checking.read(draft.plan)

    @work(thread=True, exclusive=True, group="folder", exit_on_error=False)
    def _watch_folder(self) -> None:
        """Says when something has come into the folder or gone from it, once it has come to rest."""
        seen: object = None
        before: object = None
        while not self._leave.wait(_WATCH_SECONDS):
            now = folder_state([one.path for one in self.draft.plan.pictures.folders])
            if seen is None or now[0] != seen[0]:  # type: ignore[index]
                seen = before = now
            elif now != seen and now == before:
                seen = now
                self.post_message(self.FolderChanged())
            before = now

    def on_pictures_screen_folder_changed(self, _: FolderChanged) -> None:
        self.look(again=True)

    def action_again(self) -> None:
        self.look(again=True)

    def action_field(self) -> None:
        self.set_focus(self.query_one("#folder"))

    def action_browse(self) -> None:
        start = Path(self.draft.folder or "~").expanduser()
        while not start.is_dir() and start != start.parent:
            start = start.parent
        self.app.push_screen(Browse(start.absolute()), self._browsed)

    def _browsed(self, path: str | None) -> None:
        if path is not None:
            self.query_one("#folder", Input).value = path
            self._take(path)
            self.set_focus(self.query_one("#table"))

    def action_bring(self) -> None:
        folder = target_folder(self.draft.plan, self.draft.folder)
        search = (self.health.search if self.health else None) or search_for(self.draft.plan)

        def answered(answer: str | None) -> None:
            if answer == "make":
                self._make(folder)

        self.app.push_screen(Bring(upload(folder, os.environ), search), answered)

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            self.say(f"{home_path(folder)} cannot be made ({error.strerror}): type another folder.")
            return
        self._browsed(str(folder))

    # In and out, the check, the views.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"toggle", "zoom"}:
            return bool(self.rows) and not self.typing and not self.has_class("-all")
        if action == "health":
            return bool(self.rows) and not self.typing
        if action in {"browse", "bring", "sentences", "field", "again"}:
            return not self.typing
        return super().check_action(action, parameters)

    def key_label(self, action: str) -> str | None:
        if action == "sentences" and self.has_class("-all"):
            return "table"
        return super().key_label(action)

    def action_toggle(self) -> None:
        row = self.here
        if row is None or row.state == "bad":
            self.say("This file cannot be trained, so there is nothing to leave out." if row else "")
            return
        out = self.draft.plan.pictures.leave_out
        names = tuple(name for name in out if name != row.name) if row.name in out else (*out, row.name)
        try:
            self.change(self.draft.with_plan({"pictures.leave_out": names}))
        except LorasmithError:
            self.say("This file's name cannot stand in a plan: rename it, then it can be left out.")
            return
        self.query_one("#table", Listing).action_move(1)

    def action_health(self) -> None:
        self.health_words = ("The check begins…", "accent")
        self.checking.begin(self.draft.plan)
        self.show()

    def on_health_watch_told(self, message: HealthWatch.Told) -> None:
        if message.name != self.checking.name:
            return
        if message.health is not None:
            self.health, self.health_words = message.health, ("", "muted")
        elif message.trouble:
            self.health_words = (message.trouble, "bad")
        else:
            self.health_words = (f"The health check is at it: {message.words}.", "accent")
        self.show()

    def action_sentences(self) -> None:
        self.toggle_class("-all")
        self.set_focus(self.query_one("#all" if self.has_class("-all") else "#table"))
        self.show()

    def action_zoom(self) -> None:
        self.toggle_class("-zoom")
        self.refresh_bindings()


def folder_state(paths: list[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The folders, and when something last came into them or went: of each and of the folders directly in it."""
    times = []
    for path in paths:
        try:
            times.append(os.stat(path).st_mtime_ns)  # noqa: PTH116 - once a second or so, of many
            with os.scandir(path) as listing:
                for _, entry in zip(range(2000), listing, strict=False):
                    if entry.is_dir():
                        times.append(entry.stat().st_mtime_ns)
        except OSError:
            times.append(-1)
    return tuple(paths), tuple(times)


