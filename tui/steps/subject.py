"""Step 1: what the project is called, what is trained, on which base, and on which card."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from engine.base.find import SHORT_NAMES, FoundBase, find_bases
from engine.errors import BaseModelError, shown
from engine.estimate import Card
from engine.plan import KINDS
from engine.plan_fields import FIELDS
from engine.presets import card_for
from tui.draft import Draft
from tui.steps import recipe
from tui.steps.download import Download, download_words
from tui.steps.form import FormField, Line, PathField, Said
from tui.steps.outlook import base_names
from tui.steps.ready import OTHER_BASE, base_trouble
from tui.steps.step import Journey
from tui.steps.wizard import WizardScreen
from tui.text import GIB, home_path, size, typed_path
from tui.widgets.board import Row
from tui.widgets.listing import Listing

_MEANS = {
    "person": "one human being: the face is learnt and judged",
    "character": "a drawn or invented figure with its clothes",
    "animal": "one animal, not its breed",
    "object": "one thing: a toy, a vase, a car, a product",
    "style": "a way of drawing, painting or photographing",
    "concept": "a pose, garment, situation: others can share it",
}


@dataclass(frozen=True)
class BaseLine:
    """A base in the list: how a plan names it, how a person reads it, a few words."""

    spec: str
    name: str
    words: str


def base_lines(found: Iterable[FoundBase]) -> list[BaseLine]:
    """The demo, what lies on this machine, and the well-known ones that can be downloaded."""
    lines = [BaseLine(name, name, words) for name, words in base_names()[:1]]
    repos = {repo: short for short, repo in SHORT_NAMES.items()}
    here: set[str] = set()
    for base in found:
        short = repos.get(base.name)
        here.add(short or "")
        spec = short or str(base.path)
        lines.append(BaseLine(spec, short or base.name, f"here, {size(base.size_bytes)}: {home_path(base.path)}"))
    others = ((name, words) for name, words in base_names()[1:] if name not in here)
    return lines + [BaseLine(name, name, f"{words}; to download") for name, words in others]


def card_sentence(cards: tuple[Card, ...] | None) -> tuple[str, str]:
    """The card seen and what it allows, with its ink."""
    if cards is None:
        return "looking…", "muted"
    if not cards:
        return (
            "No NVIDIA card is seen here. The demo base trains on the processor in minutes; an SDXL base wants a card "
            "of 8 GB or more.",
            "warn",
        )
    card = cards[0]
    free = (card.total - card.used) / GIB
    more = f" (and {len(cards) - 1} more)" if len(cards) > 1 else ""
    fits = card_for(card.total / 1e9).fits
    name = shown(card.name).removeprefix("NVIDIA ").removeprefix("GeForce ")
    text = f"{name}{more}, {card.total / GIB:.0f} GB, {free:.0f} GB free: {fits}."
    if free < 0.5 * card.total / GIB:
        return f"{text} Another program holds much of it.", "warn"
    return text, "plain"


class SubjectScreen(WizardScreen):
    """Name, kind, base, and what the machine has to say."""

    HELP = (
        "What the LoRA shows and which model it is trained on. Tab, enter and the arrows go from field to field; "
        "space or enter chooses in a list. The kind sets the recipe that the next steps start from; whatever you "
        "change yourself stays.\n\n"
        "The base: take the model you will draw with, or sdxl-1.0 for a LoRA that works on most. `demo` needs no GPU "
        "and no download."
    )

    BINDINGS = [
        Binding("space", "choose", show=False, tooltip="choose what the cursor stands on"),
        Binding("d", "download", "download", tooltip="download the chosen base now; it goes on if you leave"),
    ]

    DEFAULT_CSS = """
    SubjectScreen #kinds { height: 6; }
    SubjectScreen #name-line { margin-bottom: 1; }
    SubjectScreen #kind-line { margin-bottom: 1; }
    SubjectScreen #base-line { height: 1fr; max-height: 12; min-height: 3; }
    SubjectScreen #base-said { height: 2; }
    SubjectScreen #card-line { margin-top: 1; height: 2; }
    SubjectScreen #card { height: 2; }
    """

    @dataclass
    class Bases(Message):
        """Posted by the thread that looked for bases on the disk."""

        found: list[FoundBase]

    def __init__(self, journey: Journey[Draft], at: int) -> None:
        super().__init__(journey, at)
        self.bases = base_lines(self.draft.looks.facts.get("bases", ()))
        self.download = Download()

    def fields(self) -> ComposeResult:
        name_help = "The project's name; the LoRA's files are called so. " + FIELDS["output.name"].advice
        name = FormField(self.draft.name, id="name", help_text=name_help, placeholder="a short word, such as bear")
        yield Line("Name", name, id="name-line")
        kinds = Listing(self._kind, id="kinds", takes="choose", help_text=FIELDS["subject.kind"].meaning)
        yield Line("Kind", kinds, id="kind-line")
        bases = Listing(self._base, id="bases", takes="choose", help_text=FIELDS["base.model"].advice)
        yield Line("Base model", bases, id="base-line")
        yield Line("or another", PathField(
            self._other(), id="other", suffixes=(".safetensors",), placeholder="a path, or owner/name on the hub",
            help_text="The path of an SDXL .safetensors file or diffusers folder (tab completes), or owner/name.",
        ))  # fmt: skip
        yield Said(id="base-said")
        yield Line("Machine", Said(id="card", indent=0), id="card-line")

    def _other(self) -> str:
        kept = self.draft.typed.get(OTHER_BASE, "")
        model = self.draft.plan.base.model
        return kept or ("" if model in {line.spec for line in self.bases} else model)

    def first_field(self) -> Widget | None:
        return self.query_one("#kinds" if self.draft.name else "#name")

    def on_mount(self) -> None:
        self.query_one("#kinds", Listing).fill(len(KINDS), at=KINDS.index(self.draft.plan.subject.kind))
        self._fill_bases()
        super().on_mount()
        if "bases" not in self.draft.looks.facts:
            self._find_bases()
        self.download.follow(self, self.draft)

    def _fill_bases(self) -> None:
        specs = [line.spec for line in self.bases]
        model = self.draft.plan.base.model
        self.query_one("#base-line").styles.max_height = max(4, len(specs))
        self.query_one("#bases", Listing).fill(len(specs), at=specs.index(model) if model in specs else None)

    def on_unmount(self) -> None:
        self.download.leave()
        super().on_unmount()

    # What is drawn.

    def _kind(self, at: int, here: bool, width: int) -> Row:
        kind = KINDS[at]
        chosen = kind == self.draft.plan.subject.kind
        return [*self._mark(here, chosen, "#kinds"), (f"{kind:<11}", "strong" if chosen else "plain"),
                (_MEANS[kind], "muted")]  # fmt: skip

    def _base(self, at: int, here: bool, width: int) -> Row:
        line = self.bases[at]
        chosen = line.spec == self.draft.plan.base.model and "base.model" not in self.draft.typed
        return [*self._mark(here, chosen, "#bases"), (f"{shown(line.name):<16} ", "strong" if chosen else "plain"),
                (line.words, "muted")]  # fmt: skip

    def _mark(self, here: bool, chosen: bool, listing: str) -> list[tuple[str, str]]:
        has_keys = self.focused is not None and f"#{self.focused.id}" == listing
        return [("▸" if here and has_keys else " ", "accent"), ("● " if chosen else "  ", "good")]

    def show(self) -> None:
        for listing in self.query(Listing):
            listing.redraw()
        self.query_one("#base-said", Said).show(self._base_words())
        self.query_one("#card", Said).show(card_sentence(self.way.cards))
        self.refresh_bindings()

    def _base_words(self) -> tuple[str, str]:
        if told := download_words(self.download.seen):
            return told
        if "base.model" in self.draft.typed:
            return base_trouble(self.draft.typed["base.model"]), "warn"
        if self.outlook is None or self.outlook.base.model != self.draft.plan.base.model:
            return "looking at it…", "muted"
        base = self.outlook.base
        if base.trouble:
            return base.trouble, "bad"
        later = " d downloads it now; otherwise the training begins with that." if base.to_download else ""
        return base.words + later, "plain"

    # What is chosen.

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "name" and event.value != self.draft.name:
            self.change(self.draft.with_text("output.name", event.value))
        elif event.input.id == "other" and event.value != self.draft.typed.get(OTHER_BASE, self._other()):
            self._take_other(event.value)

    def _take_other(self, text: str) -> None:
        draft = self.draft.with_typed(OTHER_BASE, text)
        named = text.strip()
        if not named:
            # Nothing more is asked of the field; what was chosen before it holds again.
            self.change(draft.without_typed(OTHER_BASE, "base.model"))
        elif base_trouble(named):
            self.change(draft.with_typed("base.model", named))
        else:
            self._take_base(draft, _absolute(named))

    def _take_base(self, draft: Draft, spec: str) -> None:
        try:
            self.change(recipe.moved(draft, {"base.model": spec}))
        except BaseModelError as error:
            self.say(str(error))

    def on_listing_taken(self, event: Listing.Taken) -> None:
        self._choose(event.listing)
        if event.listing.id == "kinds":
            self.focus_next()  # not from the bases: the next is a text field, where `n` would be a letter

    def action_choose(self) -> None:
        if isinstance(self.focused, Listing):
            self._choose(self.focused)

    def _choose(self, listing: Listing) -> None:
        if listing.id == "kinds":
            self.change(recipe.moved(self.draft, {"subject.kind": KINDS[listing.at]}))
        elif listing.id == "bases" and listing.at < len(self.bases):
            self._take_base(self.draft, self.bases[listing.at].spec)

    # What is found on the disk, and the download.

    @work(thread=True, group="bases", exit_on_error=False)
    def _find_bases(self) -> None:
        self.post_message(self.Bases(find_bases()))

    def on_subject_screen_bases(self, message: Bases) -> None:
        self.draft.looks.facts["bases"] = message.found
        self.bases = base_lines(message.found)
        self._fill_bases()
        self.show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "download":
            base = self.outlook.base if self.outlook else None
            ready = base is not None and base.to_download and base.model == self.draft.plan.base.model
            return ready and not self.typing and not self.download.alive
        if action == "choose":
            return isinstance(self.focused, Listing)
        return super().check_action(action, parameters)

    def action_download(self) -> None:
        self.download.begin(self, self.draft.plan.base.model)

    def on_download_begun(self, message: Download.Begun) -> None:
        if message.run:
            self.change(self.draft.with_job("download", message.run))
        else:
            self.say(message.trouble)

    def on_download_seen(self, message: Download.Seen) -> None:
        was = self.download.alive
        self.download.seen = message.summary
        self.show()
        if was and not self.download.alive:
            self.draft.looks.facts.pop("bases", None)
            self._find_bases()
            self.look(again=True)


def _absolute(named: str) -> str:
    """A typed path as the plan keeps it: the plan's file lies elsewhere."""
    if named.startswith(("/", "~", ".")):
        return str(typed_path(named))
    return named


