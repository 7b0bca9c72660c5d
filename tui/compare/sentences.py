"""View 1, the choice: the chart, what is to be said of it, and the pictures that made each sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from engine.compare.report import At, CellRow, PictureRow, Words
from engine.errors import shown
from tui.compare.chart import BalanceChart
from tui.compare.compared import BASE, Compared, Slot
from tui.compare.sheets import Framed, PictureBoard, Rows, beside, exactly, in_a_row
from tui.text import count
from tui.widgets.board import Board, Row, wrap

_MOST_WORDS = 4  # lines of a sentence above its pictures


class Sentences(Board, can_focus=True):
    """What is said, a sentence under the cursor; enter shows the pictures that made it."""

    DEFAULT_CSS = """
    Sentences { height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "pictures", "its pictures", tooltip="the pictures that made the sentence under the cursor"),
        Binding("up,k", "move(-1)", show=False, tooltip="the sentence above, and ↓ the one below"),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "move(-3)", show=False),
        Binding("pagedown", "move(3)", show=False),
        Binding("home", "move(-1000)", show=False),
        Binding("end", "move(1000)", show=False),
    ]

    help_text = (
        "Each sentence rests on pictures, which enter shows beside the untouched base's. Fidelity: 0 is the untouched "
        "base, 100 what the photographs reach among themselves. Flexibility: 100 is the untouched base. The front "
        "joins the epochs that no other beats in both."
    )

    @dataclass
    class Moved(Message):
        """Another sentence is under the cursor."""

    @dataclass
    class Asked(Message):
        """The pictures of the sentence under the cursor are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.words: tuple[Words, ...] = ()
        self.empty = ""
        self.at = 0
        self.top = 0

    def show(self, words: tuple[Words, ...], empty: str) -> None:
        self.words, self.empty = words, empty
        self.at = max(0, min(self.at, len(words) - 1))
        self.redraw()

    @property
    def sentence(self) -> Words | None:
        return self.words[self.at] if self.words else None

    def rows(self, width: int, height: int) -> Iterable[Row]:
        if not self.words:
            return [[(f" {line}", "muted")] for line in wrap(self.empty, width - 2)]
        lines: list[tuple[int, Row]] = []
        for at, words in enumerate(self.words):
            lines += [(at, row) for row in self._said(words, at == self.at, width)]
        first = next(y for y, (at, _) in enumerate(lines) if at == self.at)
        last = max(y for y, (at, _) in enumerate(lines) if at == self.at)
        self.top = min(max(self.top, last - height + 1), first)
        self.top = max(0, min(self.top, len(lines) - height))
        return [row for _, row in lines[self.top : self.top + height]]

    def _said(self, words: Words, mine: bool, width: int) -> Rows:
        pictures = f" [{count(len(words.cells), 'picture')}]" if words.cells else ""
        wrapped = wrap(shown(words.text) + pictures.replace(" ", "\xa0").replace("\xa0[", " [", 1), width - 4)
        rows: Rows = []
        for at, line in enumerate(wrapped):
            begin, mark, rest = line.partition("[") if at == len(wrapped) - 1 and pictures else (line, "", "")
            rows.append([("▸ " if mine and at == 0 else "  ", "accent"), (begin, "strong" if mine else "plain"),
                         ((mark + rest).replace("\xa0", " "), "muted")])  # fmt: skip
        return rows

    def action_move(self, by: int) -> None:
        if self.words:
            self.at = max(0, min(self.at + by, len(self.words) - 1))
            self.redraw()
            self.post_message(self.Moved())

    def action_pictures(self) -> None:
        self.post_message(self.Asked())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "pictures" or any(words.cells for words in self.words)


class Evidence(PictureBoard, can_focus=True):
    """A sentence and its pictures, each below the untouched base's of the same prompt and seed."""

    DEFAULT_CSS = """
    Evidence { height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", tooltip="back to the words"),
        Binding("enter,z", "zoom", "large", tooltip="the picture under the cursor large, beside base and choice"),
        Binding("left", "move(-1)", show=False, tooltip="the picture before, and → the one behind"),
        Binding("right", "move(1)", show=False),
        Binding("up,k", "sentence(-1)", show=False, tooltip="the sentence above, and ↓ the one below"),
        Binding("down,j", "sentence(1)", show=False),
    ]

    help_text = "The pictures that made a sentence, and above each what the untouched base drew of the same prompt."

    @dataclass
    class Zoomed(Message):
        """This picture is to be seen large."""

        at: At
        slot: Slot

    @dataclass
    class Other(Message):
        """The sentence `by` further on, or back to the words (0)."""

        by: int

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__(ascii_only=ascii_only)
        self.seen: Compared | None = None
        self.words: Words | None = None
        self.at = 0
        self.alone = False  # whether nothing beside it says the sentence

    def show(self, seen: Compared, words: Words | None, *, alone: bool) -> None:
        if words != self.words:
            self.at = 0
        self.seen, self.words, self.alone = seen, words, alone
        self.redraw()

    @property
    def cells(self) -> tuple[CellRow, ...]:
        return self.words.cells if self.words is not None else ()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        if self.seen is None or self.words is None:
            return
        said = wrap(shown(self.words.text), width - 2) if self.alone else []
        cut = said[:_MOST_WORDS]
        if len(said) > len(cut):
            cut[-1] = cut[-1][: width - 4] + " …"
        yield from ([(f" {line}", "strong")] for line in cut)
        room = height - len(cut) - 2
        if not self.cells:
            yield []
            yield [(" It rests on all pictures: 3 shows the grid.", "muted")]
            return
        side = max(2, min(room // 2 - 1, (width - 3) // 4))  # two pairs at least
        many = max(1, min((width - 1) // (min(2 * side, width) + 1), len(self.cells)))
        first = self.at // many * many
        page = self.cells[first : first + many]
        here = self.cells[self.at]
        place = f"{self.at + 1} of {len(self.cells)}"
        prompt = exactly([(shown(self.seen.prompt(here.prompt).drawn or here.prompt), "")], width - len(place) - 3)
        yield [(" ", ""), *prompt, (f" {place} ", "muted")]
        size = Size(min(2 * side, width), side)
        yield from self._pairs(page, first, size)

    def _pairs(self, page: tuple[CellRow, ...], first: int, size: Size) -> Rows:
        assert self.seen is not None
        blocks: list[Rows] = []
        for number, cell in enumerate(page, first):
            at, slot = (cell.checkpoint, cell.weight), (cell.prompt, cell.seed)
            mine = number == self.at
            name: Row = [("▸" if mine else " ", "accent"), (self._called(at, size), "strong" if mine else "muted")]
            block: Rows = []
            if at != BASE:
                block = [exactly([(f" {self._called(BASE, size)}", "muted")], size.width),
                         *self.picture(self.seen.picture(BASE, slot), size)]  # fmt: skip
            block += [exactly(name, size.width), *self.picture(self.seen.picture(at, slot), size)]
            blank: Rows = [exactly([], size.width) for _ in range(2 * (size.height + 1) - len(block))]
            blocks.append([*blank, *block])
        return [[(" ", ""), *row] for row in beside(blocks)]

    def _called(self, at: At, size: Size) -> str:
        assert self.seen is not None
        name = self.seen.name(at)
        return name if len(name) < size.width else self.seen.short(at)

    def action_move(self, by: int) -> None:
        if self.cells:
            self.at = (self.at + by) % len(self.cells)
            self.redraw()

    def action_sentence(self, by: int) -> None:
        self.post_message(self.Other(by))

    def action_back(self) -> None:
        self.post_message(self.Other(0))

    def action_zoom(self) -> None:
        if self.cells:
            cell = self.cells[self.at]
            self.post_message(self.Zoomed((cell.checkpoint, cell.weight), (cell.prompt, cell.seed)))


class Newest(PictureBoard):
    """The picture that was drawn last, while there is nothing to set on a chart."""

    DEFAULT_CSS = """
    Newest { height: 1fr; }
    """

    seen: Compared | None = None
    newest: PictureRow | None = None

    def show(self, seen: Compared, newest: PictureRow | None) -> None:
        self.seen = seen
        self.newest = newest or _first_of_words(seen) or next(iter(seen.report.pictures), None)
        self.redraw()

    def rows(self, width: int, height: int) -> Iterable[Row]:
        if self.seen is None or self.newest is None:
            return []
        newest = self.newest
        at, slot = (newest.checkpoint, newest.weight), (newest.prompt, newest.seed)
        framed = [Framed(self.seen.picture(at, slot, newest.hires), [(self.seen.name(at), "strong")])]
        if at != BASE:
            framed.insert(0, Framed(self.seen.picture(BASE, slot), [("the base", "muted")]))
        if self.seen.report.photographs:
            framed.append(Framed(self.seen.folder / self.seen.report.photographs[0], [("your photograph", "muted")]))
        words = shown(self.seen.prompt(newest.prompt).drawn or newest.prompt)
        return [[(f" {words}", "muted")], *in_a_row(self, framed, width, height - 1)]


def _first_of_words(seen: Compared) -> PictureRow | None:
    """A picture that a sentence rests on, where no choice can be made."""
    cells = (cell for words in seen.words for cell in words.cells if cell.checkpoint)
    return next((PictureRow(one.checkpoint, one.weight, one.prompt, one.seed, False, "") for one in cells), None)


class ChoiceView(Horizontal):
    """Chart and words; where there is room, the pictures of the sentence beside them; they alone when asked for."""

    DEFAULT_CSS = """
    ChoiceView #chart-and-words { width: 1fr; }
    ChoiceView BalanceChart { height: 55%; }
    ChoiceView Sentences { margin-top: 1; }
    ChoiceView Newest { display: none; }
    ChoiceView.-chartless BalanceChart { display: none; }
    ChoiceView.-chartless Newest { display: block; }
    ChoiceView.-chartless Sentences { height: 6; }
    ChoiceView Evidence { width: 1fr; display: none; }
    ChoiceView.-evidence #chart-and-words { display: none; }
    ChoiceView.-evidence Evidence { display: block; }
    """

    def __init__(self, *, ascii_only: bool = False, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.ascii_only = ascii_only
        self.seen: Compared | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="chart-and-words"):
            yield BalanceChart()
            yield Newest(ascii_only=self.ascii_only)
            yield Sentences()
        yield Evidence(ascii_only=self.ascii_only)

    def show(self, seen: Compared, newest: PictureRow | None, empty: str) -> None:
        self.seen = seen
        known = [row for row in seen.report.points if row.fidelity is not None and row.flexibility is not None]
        self.set_class(len(known) < 2, "-chartless")
        self.query_one(BalanceChart).show(seen)
        self.query_one(Newest).show(seen, newest)
        sentences = self.query_one(Sentences)
        sentences.show(seen.words, empty)
        self._show_evidence()

    @property
    def first(self) -> Widget:
        """What has the keys in this view."""
        return self.query_one(Evidence) if self.has_class("-evidence") else self.query_one(Sentences)

    def focus_first(self) -> None:
        self.first.focus()

    def on_sentences_moved(self, _: Sentences.Moved) -> None:
        self._show_evidence()

    def on_sentences_asked(self, _: Sentences.Asked) -> None:
        self.add_class("-evidence")
        self._show_evidence()
        self.focus_first()

    def on_evidence_other(self, message: Evidence.Other) -> None:
        if message.by == 0:
            self.remove_class("-evidence")
            self.focus_first()
            return
        self.query_one(Sentences).action_move(message.by)
        self._show_evidence()

    def _show_evidence(self) -> None:
        if self.seen is not None:
            sentence = self.query_one(Sentences).sentence
            self.query_one(Evidence).show(self.seen, sentence, alone=self.has_class("-evidence"))
