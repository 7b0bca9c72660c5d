"""Step 2: where the pictures are, what becomes of each, which are left out, and what is to be said of them."""

from __future__ import annotations

from pathlib import Path

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widget import Widget

from engine.dataset.health.figures import Health
from engine.errors import LorasmithError, shown
from engine.plan_fields import FIELDS
from tui.draft import Draft
from tui.steps.form import Line, PathField, Said
from tui.steps.outlook import Outlook
from tui.steps.picture_folders import FoldersScreen
from tui.steps.picture_health import HealthWatch
from tui.steps.picture_rows import PictureRow, advice, crop_words, other_words, picture_rows, summary_words
from tui.steps.preview import Preview
from tui.steps.sentences import Sentences, sentence_lines
from tui.steps.step import Journey
from tui.text import home_path
from tui.watch.boards import wrap
from tui.widgets.board import Row, text_width
from tui.widgets.listing import Listing

_SHOW_SECONDS = 0.08  # of quiet before the picture under the cursor is drawn
_CHECK_SECONDS = 2.0  # of quiet after a change of the set before a check that was made is made again
_INK = {"red": "bad", "amber": "warn", "note": "muted"}


class PicturesScreen(FoldersScreen):
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
        Binding("v", "sentences", "more", tooltip="everything that is said of the set, or back to the table"),
        Binding("z", "zoom", show=False, tooltip="the picture as large as it goes, or back"),
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

    def __init__(self, journey: Journey[Draft], at: int) -> None:
        super().__init__(journey, at)
        self.rows: list[PictureRow] = []
        self.health: Health | None = None
        self.health_words = ("", "muted")
        self.checking = HealthWatch(self)
        self.all_said: list[Row] = []
        self._known: tuple[object, ...] | None = None
        self._to_show: Timer | None = None
        self._to_check: Timer | None = None

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
        if self.further:
            places = ", ".join(home_path(Path(one)) for one in self.further)
            said.append((f"Trained beside the first folder: {places}. a adds another, x takes the last out.", "plain"))
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
            if self.further:
                parts.append((f"In {home_path(row.path.parent)}", "muted"))
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

    # In and out, the check, the views.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"toggle", "zoom"}:
            return bool(self.rows) and not self.typing and not self.has_class("-all")
        if action == "health":
            return bool(self.rows) and not self.typing
        if action == "sentences":
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
        if self.health is not None:
            self.health_words = ("The set is another now: the check follows.", "accent")
            self._check_soon()

    def other_folders(self) -> None:
        self.health, self.health_words = None, ("", "muted")
        self.checking.read(self.draft.plan)
        self.show()

    def search(self) -> str | None:
        return self.health.search if self.health else None

    def _check_soon(self) -> None:
        """Checks the set again once nothing more is taken out or in; what was seen of each picture is kept."""
        if self._to_check is not None:
            self._to_check.stop()
        self._to_check = self.set_timer(_CHECK_SECONDS, self._check_again)

    def _check_again(self) -> None:
        if self.checking.alive:
            self._check_soon()
        else:
            self.action_health()

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
