"""A comparison as the screens show it: its report, and what the report says at one place of the dial."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from engine.compare.report import At, DecisionRow, Lean, PointRow, PromptRow, Report, Words
from engine.errors import shown

BASE: At = (0, 0.0)
Slot = tuple[str, int]
"""A prompt's name and a seed."""

GATES = {
    "undertrained": "has not learnt the subject",
    "copying": "copies training pictures",
    "bleeding": "draws the subject for the class word alone",
    "broken": "cannot be used",
}
"""Why a point is ruled out, as a person would say it of one epoch."""

SHORT_PARTS = {"prompt": "prompt", "style": "style", "diversity": "varied", "copying": "own", "bleed": "class"}
"""The five parts at the head of a column."""


@dataclass(frozen=True)
class Compared:
    """The report that lies in `folder`, at the dial's place `lean`."""

    folder: Path
    report: Report
    lean: float = field(default=1.0)

    @cached_property
    def leaning(self) -> Lean:
        """The decision and words at the dial's place; what the report itself says where there is no dial."""
        own = self.report
        fallback = Lean(own.lean, own.decision or DecisionRow(), own.words, weight=own.weight)
        return min(own.dial, key=lambda one: abs(math.log(one.lean / self.lean)), default=fallback)

    def at_lean(self, lean: float) -> Compared:
        return replace(self, lean=lean)

    @property
    def leans(self) -> tuple[float, ...]:
        """The dial's places; none where it turns nothing."""
        dial = self.report.dial
        return tuple(one.lean for one in dial) if any(one.decision.choice is not None for one in dial) else ()

    @property
    def decision(self) -> DecisionRow:
        return self.leaning.decision

    @property
    def words(self) -> tuple[Words, ...]:
        """The decision's sentences, what the high-res fix showed, and what the job remarked."""
        hires = [Words(self.report.hires.sentence)] if self.report.hires is not None else []
        return (*self.leaning.words, *hires, *(Words(note) for note in self.report.notes))

    @property
    def choice(self) -> At | None:
        return self.decision.choice

    @property
    def weight(self) -> At | None:
        """The choice at the weight to use it with."""
        return self.leaning.weight

    def balance(self, row: PointRow) -> float | None:
        """The balance at the dial's place, None where nothing was decided on the point."""
        there = next((b for number, weight, b in self.leaning.balances if (number, weight) == row.at), None)
        return there if there is not None else row.balance

    # The pictures.

    @cached_property
    def _files(self) -> dict[tuple[At, str, int, bool], str]:
        return {
            ((one.checkpoint, one.weight), one.prompt, one.seed, one.hires): one.file for one in self.report.pictures
        }

    def picture(self, at: At, slot: Slot, hires: bool = False) -> Path | None:
        """The picture's file, whether it is still there or not; None where none was drawn."""
        file = self._files.get((at, *slot, hires))
        return self.folder / file if file is not None else None

    @cached_property
    def drawn_points(self) -> tuple[At, ...]:
        """The points that have pictures, the base first, then by checkpoint, its full weight first."""
        return tuple(sorted({at for at, _, _, hires in self._files if not hires}, key=in_order))

    @cached_property
    def drawn_slots(self) -> tuple[Slot, ...]:
        """Prompt and seed of every picture, in the order of the prompts."""
        order = {prompt.name: at for at, prompt in enumerate(self.report.prompts)}
        found = {(prompt, seed) for _, prompt, seed, hires in self._files if not hires}
        return tuple(sorted(found, key=lambda slot: (order.get(slot[0], len(order)), slot)))

    def prompt(self, name: str) -> PromptRow:
        return self.report.prompt(name) or PromptRow(name, "", "", "")

    # How things are called.

    def name(self, at: At) -> str:
        """ "epoch 4 at weight 0.8", safe to print."""
        return shown(self.report.name_of(at))

    def short(self, at: At) -> str:
        """The same for a column: "4", "4 at 0.8", "base"; "2 fox-soft" for a file, whose number the chart shows."""
        if at[0] == 0:
            return "base"
        row = self.report.checkpoint(at[0])
        name = str(at[0]) if row is None or self.report.epochs else f"{at[0]} {shown(row.name)}"
        return name if at[1] == 1.0 else f"{name} at {at[1]:g}"

    def stands_apart(self, at: At) -> bool:
        """Whether a point has a place of its own beside the checkpoints: at full weight, or where weights are what
        is compared."""
        return at[1] == 1.0 or at[0] == 0 or {row.checkpoint for row in self.report.points} <= {0, at[0]}

    def roles(self, at: At) -> list[str]:
        """What a point is to the decision, in words."""
        said = self.decision
        found = [] if said.choice != at else ["choice"]
        if self.weight == at and at != said.choice:
            found.append("to be used so")
        if said.last == at:
            found.append("last")
        if said.likest == at:
            found.append("most photographic")
        return found


def in_order(at: At) -> tuple[int, float, float]:
    """Points by checkpoint, the full weight before the others."""
    return at[0], abs(at[1] - 1.0), at[1]


def typed(at: At) -> str:
    """A point as the commands read it: `4`, `4@0.8`."""
    return str(at[0]) if at[1] == 1.0 else f"{at[0]}@{at[1]:g}"


_SURE = {"clear": "clearly the best", "leaning": "probably the best", "too close": "too close to call"}


def headline(seen: Compared) -> tuple[str, str]:
    """The choice in a few words, and their ink; what is known where there is none."""
    said, report = seen.decision, seen.report
    if said.choice is not None:
        measured = {row.checkpoint for row in report.points} - {0}
        if report.state != "done" and len(measured) == 1 and len(report.checkpoints) > 1:
            return f"So far only {seen.name(said.choice)} is measured", "muted"
        if "undertrained" in said.relaxed:
            return f"None has learnt your subject; {seen.name(said.choice)} comes nearest to it", "warn"
        begin = "Take" if report.state == "done" else "So far"
        return f"{begin} {seen.name(seen.weight or said.choice)}{_how_sure(seen)}", "good"
    if said.reason:
        return "No choice: the measures cannot tell; look at the pictures", "warn"
    if report.state == "drawing":
        return "No choice yet: it comes when the first pictures are measured", "muted"
    return "No choice yet: it was stopped before the first pictures were measured", "warn"


def per_cent(share: float) -> str:
    """A chance without false certainty: "over 99 %", "62 %", "under 1 %"."""
    if share > 0.99:
        return "over 99 %"
    return "under 1 %" if share < 0.01 else f"{share:.0%}".replace("%", " %")


def why_ruled_out(row: PointRow) -> str:
    """Everything that speaks against a point, "" where nothing does."""
    gates = [GATES.get(gate, shown(gate)) for gate in row.ruled_out if gate != "broken" or not row.broken]
    return "; ".join([*gates, *([shown(row.broken).rstrip(".")] if row.broken else [])])


def fetch_line(file: Path) -> str:
    """The `scp` line for a LoRA and what lies beside it."""
    from tui.fetching import fetch_command

    return fetch_command(file.with_name(f"{file.name.removesuffix('.safetensors')}.*"))


def _how_sure(seen: Compared) -> str:
    """What follows the choice's name: whether it is the best, or stands for another that it cannot be told from."""
    said = seen.decision
    words = _SURE.get(said.sureness)
    if said.chance is None or words is None:
        return ""
    chance = per_cent(said.chance)
    if said.best is None or said.best == said.choice:
        return f": {words} (chance of being best {chance})"
    other = seen.name(said.best)
    if said.sureness == "too close":
        return f": {words} (the best may be {other}: {chance})"
    return f": within a point of {other}, which is {words} ({chance})"
