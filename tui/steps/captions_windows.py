"""The windows over the captions: which model writes them, an edit of many with its preview, what they say most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Input

from engine.caption.kinds import instruction
from engine.caption.plan import KNOWN, CaptionPlan, check_captioner, checked, known
from engine.caption.search import Phrase
from engine.caption.store import Change, Entry
from engine.errors import LorasmithError, shown
from tui.steps.captions_book import BULKS, around, planned
from tui.steps.form import FormField, Line, PathField, Said
from tui.text import count, typed_path
from tui.widgets.board import Row
from tui.widgets.listing import Listing

_QUIET = 0.15  # seconds without a key before a preview is worked out

_WINDOW = """
    NAME { align: center middle; }
    NAME > Vertical {
        width: 78; height: auto; max-height: 100%; padding: 0 1; background: $surface; border: round $primary;
        &:ansi { border: round ansi_blue; background: ansi_default; }
    }
"""


class Captioner(ModalScreen[CaptionPlan | None]):
    """Asks which model writes, for which pictures; `escape` leaves all as it is (None)."""

    DEFAULT_CSS = _WINDOW.replace("NAME", "Captioner") + """
    Captioner #asks { height: 2; }
    Captioner #models { height: 7; }
    Captioner #whom { height: 2; }
    Captioner #says { height: 6; }
    """

    BINDINGS = [Binding("escape", "dismiss(None)", show=False), Binding("enter", "begin", show=False, priority=True)]

    def __init__(self, plan: CaptionPlan, without: int, pictures: int) -> None:
        super().__init__()
        self.plan, self.without, self.pictures = plan, without, pictures

    def compose(self) -> ComposeResult:
        own = "" if known(self.plan.captioner) else self.plan.captioner
        with Vertical():
            yield Said(id="asks", indent=0)
            yield Line("Model", Listing(self._model, id="models"))
            yield Line("or another", PathField(own, id="other", placeholder="owner/name on the hub, or a folder"))
            yield Line("Instruction", FormField(
                self.plan.instruction, id="instruction", placeholder="for a model that takes one; empty: the kind's own"
            ))  # fmt: skip
            yield Line("Pictures", Listing(self._whom, id="whom"))
            yield Said(id="says", indent=0)

    def on_mount(self) -> None:
        front = f" '{self.plan.prefix}' goes in front of each." if self.plan.prefix else ""
        said = f"A model looks at each picture and writes what changes from one to the next.{shown(front)}"
        self.query_one("#asks", Said).show((said, "plain"))
        names = [one.name for one in KNOWN]
        chosen = known(self.plan.captioner)
        self.query_one("#models", Listing).fill(len(names), at=names.index(chosen.name) if chosen else 0)
        self.query_one("#whom", Listing).fill(2, at=0 if self.without else 1)
        self._say()
        self.query_one("#models").focus()

    def _model(self, at: int, here: bool, width: int) -> Row:
        return [("● " if here else "  ", "good"), (f"{KNOWN[at].name:<11}", "strong" if here else "plain"),
                (KNOWN[at].about, "muted")]  # fmt: skip

    def _whom(self, at: int, here: bool, width: int) -> Row:
        few = f"only the {count(self.without, 'picture')} without a caption"
        if not self.without:
            few = "only those without a caption: there are none"
        all_ = f"all {self.pictures:,} anew; what they say now is one undo away"
        return [("● " if here else "  ", "good"), (all_ if at else few, "strong" if here else "plain")]

    def _say(self, trouble: str = "") -> None:
        told = instruction(self.plan.subject, self.plan.class_word)
        keys = ("enter begins, tab goes on to the next, escape leaves all as it is", "muted")
        asked = (trouble, "bad") if trouble else (f"The kind's own instruction: {told}", "muted")
        self.query_one("#says", Said).show(keys, asked)

    def action_begin(self) -> None:
        other = self.query_one("#other", Input).value.strip()
        name = other or KNOWN[self.query_one("#models", Listing).at].name
        plan = replace(
            self.plan, captioner=name, instruction=self.query_one("#instruction", Input).value.strip(),
            overwrite=self.query_one("#whom", Listing).at == 1,
        )  # fmt: skip
        try:
            path = typed_path(name)
            check_captioner(name)
            checked(plan)
        except LorasmithError as error:
            self._say(str(error))
            return
        if not plan.overwrite and not self.without:
            self._say("Every picture has a caption: choose all of them, or escape.")
            return
        self.dismiss(replace(plan, captioner=str(path)) if not known(name) and path.is_dir() else plan)


@dataclass(frozen=True)
class BulkAnswer:
    """A bulk edit as the window was left: to be done where `changes` are there, else only remembered."""

    kind: int = 0
    first: str = ""
    second: str = ""
    changes: tuple[Change, ...] = ()


class BulkEdit(ModalScreen[BulkAnswer]):
    """Says what an edit of many captions would change, while it is typed; writes nothing itself."""

    DEFAULT_CSS = _WINDOW.replace("NAME", "BulkEdit") + """
    BulkEdit > Vertical { height: 100%; max-height: 40; }
    BulkEdit #kinds { height: 5; }
    BulkEdit #counted { height: 2; margin-top: 1; }
    BulkEdit #keys { height: 1; }
    """

    BINDINGS = [Binding("escape", "close", show=False)]

    @dataclass
    class Planned(Message):
        """Posted by the thread that worked it out."""

        asked: tuple[int, str, str]
        changes: list[Change]
        trouble: str

    def __init__(self, entries: Sequence[Entry], scope: str, before: BulkAnswer) -> None:
        """`entries` are those in sight, `scope` says which these are."""
        super().__init__()
        self.entries, self.scope, self.before = entries, scope, before
        self.changes: list[Change] = []
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Line("Edit", Listing(self._kind, id="kinds", takes="choose"))
            yield Line("", FormField(self.before.first, id="first"), id="first-line")
            yield Line("", FormField(self.before.second, id="second"), id="second-line")
            yield Said(id="counted", indent=0)
            yield Listing(self._change, id="preview", takes="write")
            yield Said(id="keys", indent=0)

    def on_mount(self) -> None:
        self.query_one("#kinds", Listing).fill(len(BULKS), at=self.before.kind)
        keys = "enter goes on; in the list below it writes; escape writes nothing"
        self.query_one("#keys", Said).show((keys, "muted"))
        self._named()
        self.query_one("#kinds").focus()
        self._plan_soon()

    @property
    def asked(self) -> tuple[int, str, str]:
        kind = self.query_one("#kinds", Listing).at
        first, second = (self.query_one(name, Input).value for name in ("#first", "#second"))
        return kind, first, second if BULKS[kind].second else ""

    def _named(self) -> None:
        bulk = BULKS[self.query_one("#kinds", Listing).at]
        for line, words in (("#first-line", bulk.first), ("#second-line", bulk.second)):
            self.query_one(line, Line).label.words = words
            self.query_one(line, Line).label.redraw()
            self.query_one(line, Line).display = bool(words)

    def _kind(self, at: int, here: bool, width: int) -> Row:
        return [("● " if here else "  ", "good"), (BULKS[at].title, "strong" if here else "plain")]

    def _change(self, at: int, here: bool, width: int) -> Row:
        number, line = divmod(at, 3)
        change = self.changes[number]
        if line == 0:
            return [("▸ " if here else "  ", "accent"), (shown(change.entry.name), "strong")]
        before, after = around(change, width - 6)
        return [("   - ", "bad"), (before or "(none)", "muted")] if line == 1 else [("   + ", "good"), (after, "plain")]

    def on_listing_moved(self, event: Listing.Moved) -> None:
        if event.listing.id == "kinds":
            self._named()
            self._plan_soon()

    def on_listing_taken(self, event: Listing.Taken) -> None:
        if event.listing.id == "kinds":
            self.query_one("#first").focus()
        elif self.changes:
            self.dismiss(BulkAnswer(*self.asked, tuple(self.changes)))

    def on_input_changed(self, _: Input.Changed) -> None:
        self._plan_soon()

    def _plan_soon(self) -> None:
        # What is shown is what is written: until the new preview stands, nothing can be taken.
        self.changes = []
        self.query_one("#preview", Listing).fill(0)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_QUIET, lambda: self._plan(self.asked))

    @work(thread=True, exclusive=True, group="plan", exit_on_error=False)
    def _plan(self, asked: tuple[int, str, str]) -> None:
        kind, first, second = asked
        self.post_message(self.Planned(asked, *planned(BULKS[kind], self.entries, first, second)))

    def on_bulk_edit_planned(self, message: Planned) -> None:
        if message.asked != self.asked:
            return
        self.changes = message.changes
        self.query_one("#preview", Listing).fill(3 * len(self.changes), stops=range(0, 3 * len(self.changes), 3), at=0)
        self.query_one("#counted", Said).show(self._counted(message))

    def _counted(self, message: Planned) -> tuple[str, str]:
        if message.trouble:
            return message.trouble, "bad"
        if not message.asked[1].strip():
            return f"It is done to {self.scope}, and shown here before.", "muted"
        if not self.changes:
            return f"That changes none of {self.scope}.", "warn"
        return f"{len(self.changes):,} of {self.scope} would change:", "accent"

    def action_close(self) -> None:
        self.dismiss(BulkAnswer(*self.asked))


class Phrases(ModalScreen[str | None]):
    """What the captions say most often; returns the phrase that is to be looked at."""

    DEFAULT_CSS = _WINDOW.replace("NAME", "Phrases") + """
    Phrases > Vertical { height: 100%; max-height: 40; }
    Phrases Said { height: 1; }
    Phrases #says { height: 2; margin-bottom: 1; }
    """

    BINDINGS = [Binding("escape,q,f", "dismiss(None)", show=False)]

    def __init__(self, phrases: Sequence[Phrase], scope: str) -> None:
        super().__init__()
        self.phrases, self.scope = phrases, scope

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Said(id="says", indent=0)
            yield Listing(self._phrase, takes="show these", leaves=False)
            yield Said(id="keys", indent=0)

    def on_mount(self) -> None:
        said = f"What {self.scope} say most. What stands in nearly all of them is learnt as part of the trigger."
        none = "No phrase stands in two captions."
        self.query_one("#says", Said).show((said if self.phrases else none, "plain"))
        self.query_one("#keys", Said).show(("enter shows those that say it, escape goes back", "muted"))
        self.query_one(Listing).fill(len(self.phrases))
        self.query_one(Listing).focus()

    def _phrase(self, at: int, here: bool, width: int) -> Row:
        phrase = self.phrases[at]
        often = "warn" if phrase.share > 0.85 else "plain"
        return [("▸ " if here else "  ", "accent"), (f"{phrase.share:>5.0%} ".replace("%", " %"), often),
                (f"{phrase.count:>6,}  ", "muted"), (shown(phrase.text), "strong" if here else "plain")]  # fmt: skip

    def on_listing_taken(self, event: Listing.Taken) -> None:
        self.dismiss(self.phrases[event.at].text)
