"""View 4, blind voting: two pictures without names; what is preferred enters the result, which is told at the end."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from engine.compare.report import At
from engine.errors import shown
from tui.compare.compared import Compared, Slot, headline
from tui.compare.sheets import Framed, PictureBoard, in_a_row, paragraphs
from tui.text import count
from tui.widgets.board import Row, spread

_TELLING = ("context", "action", "style", "attribute", "composition", "identity")
"""The families of prompts that a vote is asked on, those that show both likeness and freedom first."""


@dataclass(frozen=True)
class Ballot:
    """The vote as it stands: the pairs of this round, what was said of those before the next one.

    said: the names of the votes, by which they can be taken back; empty for a pair of which nothing was said.
    """

    pairs: tuple[tuple[At, At], ...]
    said: tuple[str, ...] = ()
    before: str = ""

    @property
    def at(self) -> int:
        return len(self.said)

    @property
    def cast(self) -> int:
        return sum(map(bool, self.said))

    @property
    def last(self) -> str:
        """The last vote's name, empty where none was cast in this round."""
        return next((name for name in reversed(self.said) if name), "")

    @property
    def pair(self) -> tuple[At, At] | None:
        return self.pairs[self.at] if self.at < len(self.pairs) else None

    @property
    def over(self) -> bool:
        return bool(self.pairs) and self.at >= len(self.pairs)

    def with_said(self, name: str) -> Ballot:
        return replace(self, said=(*self.said, name))

    def back_to(self, name: str) -> Ballot:
        """Before this vote: its pair and what came after are asked again."""
        return replace(self, said=self.said[: self.said.index(name)])

    def without(self, name: str) -> Ballot:
        """As if nothing had been said of this vote's pair."""
        return replace(self, said=tuple("" if one == name else one for one in self.said))


class VoteView(PictureBoard, can_focus=True):
    """Shows the pairs that the report asks about, one after the other."""

    DEFAULT_CSS = """
    VoteView { height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "vote('left')", "left is better", tooltip="the left one is the better LoRA"),
        Binding("right", "vote('right')", "right", tooltip="the right one is the better LoRA"),
        Binding("equals_sign,e", "vote('same')", "as good", key_display="=", tooltip="no difference"),
        Binding("s", "skip", "skip", tooltip="say nothing of this pair"),
        Binding("u", "unvote", "take back", tooltip="take your last vote back"),
        Binding("up,k", "prompt(-1)", show=False, tooltip="the pair's pictures of another prompt, ↓ likewise"),
        Binding("down,j", "prompt(1)", show=False),
        Binding("enter", "again", "more pairs", tooltip="another round of pairs"),
    ]

    help_text = (
        "Two LoRAs draw the same prompt; which is which is not said. Look at some prompts with ↑ ↓: is it your "
        "subject, as in the photograph between them, and does it do what the prompt says? Votes are kept and count "
        "beside the measures; the result is told when the round is over."
    )

    @dataclass
    class Cast(Message):
        """A vote, to be written down."""

        left: At
        right: At
        better: str
        name: str

    @dataclass
    class Unvoted(Message):
        """A vote, to be taken back: the last of all where it has no name."""

        name: str

    @dataclass
    class Changed(Message):
        """The round began or ended."""

    def __init__(self, *, ascii_only: bool = False, classes: str | None = None) -> None:
        super().__init__(ascii_only=ascii_only)
        self.set_classes(classes or "")
        self.seen: Compared | None = None
        self.ballot = Ballot(())
        self.pending = 0
        """Votes that are being written down, or taken back."""
        self._taken_at: dict[str, int] = {}
        """Which pair the votes were of that are being taken back."""
        self.at_prompt = 0

    def show(self, seen: Compared) -> None:
        self.seen = seen
        if not self.ballot.pairs:
            self._begin()
        self.redraw()

    def _begin(self) -> None:
        assert self.seen is not None
        pairs = tuple(pair for pair in self.seen.report.ask if self._slots(pair))
        self.ballot = Ballot(pairs, before=headline(self.seen)[0])
        self.at_prompt = 0

    @property
    def hides(self) -> bool:
        """Whether the choice must not be seen now."""
        return self.ballot.pair is not None or self.pending > 0

    # Drawing.

    def rows(self, width: int, height: int) -> Iterable[Row]:
        if self.seen is None:
            return []
        pair = self.ballot.pair
        if pair is None:
            return [[], *paragraphs(self._over() if self.ballot.over else [(self._nothing(), "plain")], width)]
        slots = self._slots(pair)
        slot = slots[self.at_prompt % len(slots)]
        prompt = self.seen.prompt(slot[0])
        place = f"pair {self.ballot.at + 1} of {len(self.ballot.pairs)}"
        cast = f", {count(self.ballot.cast, 'vote')} cast" if self.ballot.cast else ""
        head = spread([(f" {shown(prompt.drawn or slot[0])}", "strong")], [(f"{place}{cast} ", "muted")], width)
        which = f"Which is the better LoRA? ↑↓ other prompts ({self.at_prompt % len(slots) + 1} of {len(slots)})"
        framed = [Framed(self.seen.picture(at, slot), [(name, "strong")])
                  for at, name in zip(pair, ("← left", "right →"), strict=True)]  # fmt: skip
        photographs = self.seen.report.photographs
        if photographs:
            file = self.seen.folder / photographs[self.at_prompt % len(photographs)]
            framed.insert(1, Framed(file, [("your photograph", "muted")]))
        blocks = in_a_row(self, framed, width, height - 2)
        return [head, *blocks, *([] for _ in range(height - 2 - len(blocks))), [(f" {which}", "muted")]]

    def _over(self) -> list[tuple[str, str]]:
        assert self.seen is not None
        after = headline(self.seen)[0]
        cast = self.ballot.cast
        if self.pending:
            return [("The votes are being counted in…", "muted")]
        if not cast:
            return [("The round is over without a vote.", "plain"), *self._more()]
        changed = "The result has changed." if after != self.ballot.before else "The result has not changed."
        all_ = f", {self.seen.report.votes} in all" if self.seen.report.votes != cast else ""
        return [
            (f"{count(cast, 'vote')} cast{all_}. {changed}", "strong"),
            (f"Before: {_result(self.ballot.before)}.", "plain"), (f"Now: {_result(after)}.", "good"), *self._more(),
        ]  # fmt: skip

    def _more(self) -> list[tuple[str, str]]:
        assert self.seen is not None
        if self.seen.report.ask:
            more = count(len(self.seen.report.ask), "more pair")
            return [("", ""), (f"enter asks about {more}; 1 shows why.", "plain")]
        return [("", ""), ("There is nothing left to ask: the result is clear enough. 1 shows why.", "plain")]

    def _nothing(self) -> str:
        assert self.seen is not None
        if self.seen.choice is not None:
            return (
                "There is nothing to vote on: the measures are sure enough of the choice. Where epochs are too close "
                "to call, pairs of their pictures are shown here without their names."
            )
        if self.seen.decision.reason:
            return "There is nothing to vote on, since no choice could be made; the grid (3) shows all pictures."
        return "There is nothing to vote on yet: pairs are asked about when the first pictures are measured."

    def _slots(self, pair: tuple[At, At]) -> list[Slot]:
        """The prompts and seeds of which both have a picture, the most telling families first, mixed by the pair."""
        assert self.seen is not None
        both = [slot for slot in self.seen.drawn_slots if all(self.seen.picture(at, slot) for at in pair)]
        families = {prompt.name: prompt.family for prompt in self.seen.report.prompts}
        known = [slot for slot in both if families.get(slot[0]) in _TELLING]
        order = known or both
        random.Random(f"{pair}").shuffle(order)  # another pair begins with another prompt; the same one every time
        return order

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "unvote":
            return bool(self.ballot.last) or (self.seen is not None and self.seen.report.votes > 0 and not self.pending)
        if action == "again":
            return self.ballot.over and not self.pending and self.seen is not None and bool(self.seen.report.ask)
        return self.ballot.pair is not None

    def action_vote(self, better: str) -> None:
        pair = self.ballot.pair
        if pair is not None:
            self.pending += 1
            name = secrets.token_hex(4)
            self._stand(self.ballot.with_said(name))
            self.post_message(self.Cast(*pair, better, name))

    def action_skip(self) -> None:
        if self.ballot.pair is not None:
            self._stand(self.ballot.with_said(""))

    def action_unvote(self) -> None:
        """Back to the pair of the last vote; where this round has none, the last one of those before is taken back."""
        name = self.ballot.last
        self.pending += 1
        if name:
            self._stand(self.ballot.back_to(name))
            self._taken_at[name] = self.ballot.at
        self.post_message(self.Unvoted(name))

    def _stand(self, ballot: Ballot) -> None:
        self.ballot = ballot
        self.at_prompt = 0
        self.redraw()
        self.refresh_bindings()
        self.post_message(self.Changed())

    def answered(self, verb: str, name: str, *, done: bool) -> None:
        """A vote was written down or taken back, or could not be: then the ballot is as if it had not been asked."""
        if verb not in {"vote", "unvote"}:
            return
        self.pending = max(0, self.pending - 1)
        at = self._taken_at.pop(name, -1) if verb == "unvote" else -1
        if verb == "vote" and not done:
            self.ballot = self.ballot.without(name)
        elif not done and self.ballot.at == at:  # the pair has no other answer by now
            self.ballot = self.ballot.with_said(name)
        self.redraw()
        self.refresh_bindings()
        self.post_message(self.Changed())

    def action_prompt(self, by: int) -> None:
        if (pair := self.ballot.pair) is not None:
            self.at_prompt = (self.at_prompt + by) % len(self._slots(pair))
            self.redraw()

    def action_again(self) -> None:
        self._begin()
        self.redraw()
        self.refresh_bindings()
        self.post_message(self.Changed())


def _result(words: str) -> str:
    return words.removeprefix("Take ").removeprefix("So far ")
