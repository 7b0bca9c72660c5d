"""The choice in sentences that a person would say, each with the pictures that made it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import shown
from engine.select.cells import BASE, Cell, Point
from engine.select.decide import Decision, Undecided, why_broken
from engine.select.families import BLEEDING, FOLLOWING, LIKENESS, NOVEL, OBEYING, Family
from engine.select.fidelity import Anchors, CannotTell
from engine.select.scores import Scores

_PICTURES = 4  # that drive a sentence
_NOTABLE = 5.0  # points by which a figure must differ to be spoken of
_NEVER_LEARNT = 40.0


@dataclass(frozen=True)
class Sentence:
    """What is said, and the cells to look at for it (none where it rests on all)."""

    text: str
    cells: tuple[Cell, ...] = ()


@dataclass(frozen=True, eq=False)
class Telling:
    """Finds words and pictures for one comparison; `names` gives checkpoints that are no epochs their own names."""

    scores: Scores
    names: Mapping[int, str]

    @property
    def each(self) -> str:
        """What one of them is called: "Every epoch", "No LoRA here"."""
        return "LoRA here" if self.names else "epoch"

    def name(self, point: Point, start: bool = False) -> str:
        own = self.names.get(point.checkpoint)
        text = shown(own) if own else f"{'E' if start else 'e'}poch {point.checkpoint}"
        return text if point.weight == 1.0 else f"{text} at weight {point.weight:g}"

    def several(self, points: Collection[Point], start: bool = False) -> str:
        """ "epochs 3 to 5", "epochs 3, 5 and 6"; names where there are some."""
        ordered = sorted(points)
        if len(ordered) == 1 or self.names or any(p.weight != 1.0 for p in ordered):
            return listed([self.name(p, start and i == 0) for i, p in enumerate(ordered)])
        return f"{'E' if start else 'e'}pochs {ranges([p.checkpoint for p in ordered])}"

    def figures(self, point: Point) -> str:
        at = self.scores.index(point)
        assert not isinstance(self.scores.fidelity, CannotTell)
        return f"fidelity {self.scores.fidelity.value[at]:.0f}, flexibility {self.scores.flexibility.value[at]:.0f}"

    def pictures(
        self, point: Point, figures: np.ndarray, families: Collection[Family], *, highest: bool
    ) -> tuple[Cell, ...]:
        """The point's pictures of these families with the highest (or lowest) figure against the base's."""
        slots = self.scores.grid.slots_of(families)
        at = self.scores.index(point)
        change = figures[at, slots] - figures[0, slots]
        known = slots[np.isfinite(change)]
        order = np.argsort(change[np.isfinite(change)], kind="stable")
        chosen = known[order[::-1] if highest else order][:_PICTURES]
        return tuple(self.cell(point, int(slot)) for slot in chosen)

    def cell(self, point: Point, slot: int) -> Cell:
        place = self.scores.grid.slots[slot]
        return Cell(point, place.prompt, place.family, place.seed)


def explain(
    scores: Scores, decision: Decision | Undecided, names: Mapping[int, str] | None = None,
    weight: Point | None = None, weighed: Scores | None = None,
) -> list[Sentence]:  # fmt: skip
    """Everything worth saying of a comparison, the choice first.

    `names` are for LoRAs that are no epochs of one run; `weight` is the recommended point (`decide.best_weight`),
    `weighed` the scores it was found on where other weights were drawn with fewer prompts.
    """
    telling = Telling(scores, names or {})
    if isinstance(decision, Undecided):
        return [Sentence(decision.reason, _typical(telling)), *_remarks(scores)]
    return [
        _choice(telling, decision),
        *_equals(telling, decision),
        *_costs(telling, decision),
        *_ruled_out(telling, decision),
        *_relaxed(telling, decision),
        *_weight(Telling(weighed or scores, names or {}), decision, weight),
        *_warnings(telling, decision),
        *_remarks(scores),
    ]


def _choice(telling: Telling, decision: Decision) -> Sentence:
    choice, best = decision.choice, decision.best
    figures = telling.figures(choice)
    pictures = telling.pictures(choice, telling.scores.evidence.likeness, LIKENESS, highest=True)
    cast = "vote is" if decision.votes == 1 else f"{decision.votes} votes are"
    votes = f" Your {cast} counted in." if decision.votes else ""
    if "undertrained" in decision.relaxed:
        nearest = f"{telling.name(choice)} comes nearest to it ({figures})"
        text = f"No {telling.each} has learnt your subject; {nearest}.{votes}"
    elif decision.sureness == "too close":
        them = "the LoRAs" if telling.names else "the epochs"
        rivals = telling.several(decision.equals) if len(decision.equals) > 1 else them
        highest = "stands highest" if decision.votes else "measured highest"
        nearest = highest if telling.names else "is the earliest that comes near the best"
        text = (
            f"Too close to call between {rivals}: "
            f"{telling.name(choice)} {nearest} ({figures}).{votes}"
        )
    elif choice != best:
        verb = "stands" if decision.votes else "measured"
        text = (
            f"Take {telling.name(choice)} ({figures}): {telling.name(best)} {verb} a little higher "
            f"({telling.figures(best)}), but of those within a point of the best the earliest is taken.{votes}"
        )
    elif decision.sureness == "clear":
        text = f"{telling.name(choice, True)} is clearly the best balance ({figures}).{votes}"
    else:
        text = f"{telling.name(choice, True)} is probably the best balance ({figures}).{votes}"
    return Sentence(text, pictures)


def _equals(telling: Telling, decision: Decision) -> list[Sentence]:
    if len(decision.equals) < 2 or decision.sureness == "too close":
        return []
    likeness = telling.scores.evidence.likeness
    pictures = [telling.pictures(one, likeness, LIKENESS, highest=True)[:1] for one in decision.equals]
    return [Sentence(
        f"{telling.several(decision.equals, True)} cannot be told apart by such measures.",
        tuple(cell for cells in pictures for cell in cells),
    )]  # fmt: skip


def _costs(telling: Telling, decision: Decision) -> list[Sentence]:
    """What the last epoch and the most photographic one would have cost, always said; a list has no last epoch."""
    what: dict[Point, str] = {} if telling.names else {decision.last: "the last one"}
    if decision.likest in what:
        what[decision.last] = "the last one and the likest"
    else:
        what[decision.likest] = "the likest"
    return [_cost(telling, decision.choice, point, is_) for point, is_ in what.items() if point != decision.choice]


def _cost(telling: Telling, choice: Point, point: Point, what: str) -> Sentence:
    scores = telling.scores
    assert not isinstance(scores.fidelity, CannotTell)
    own, other = scores.index(choice), scores.index(point)
    gain = scores.fidelity.value[other] - scores.fidelity.value[own]
    losses = _losses(telling, own, other, point)
    begin = f"{telling.name(point, True)}, {what},"
    likeness = f"fidelity {scores.fidelity.value[other]:.0f} against {scores.fidelity.value[own]:.0f}"
    if abs(gain) < _NOTABLE:
        looks = f"is about as near to your photographs ({likeness})"
    else:
        looks = f"looks {'more' if gain > 0 else 'less'} like your photographs ({likeness})"
    if not losses:
        pictures = telling.pictures(point, scores.evidence.likeness, LIKENESS, highest=True)
        return Sentence(f"{begin} {looks}, and is no stiffer than {telling.name(choice)}.", pictures)
    cells = tuple(dict.fromkeys(cell for _, pictures in losses for cell in pictures))
    joint = ", but " if gain >= _NOTABLE else ", and "
    return Sentence(f"{begin} {looks}{joint}{listed([text for text, _ in losses])}.", cells)


def _losses(telling: Telling, own: int, other: int, point: Point) -> list[tuple[str, tuple[Cell, ...]]]:
    """In what a point is worse than the choice, the worst first, with its pictures."""
    scores, evidence = telling.scores, telling.scores.evidence
    found: list[tuple[float, str, tuple[Cell, ...]]] = []
    for name, figures in scores.parts.items():
        before, after = min(figures[own], 100.0), min(figures[other], 100.0)
        if before - after < _NOTABLE:
            continue
        held = f"{before:.0f} to {after:.0f}"
        if name == "style":
            pictures = telling.pictures(point, evidence.style, OBEYING, highest=False)
            leak = scores.photo_leak[other]
            how = "came out as photographs" if leak > 20 else "took on the style less"
            text = f"the prompts for other styles {how} (style obedience {held})"
        elif name == "prompt":
            pictures = telling.pictures(point, evidence.margin, FOLLOWING, highest=False)
            text = f"prompts are followed less (from {held})"
        elif name == "copying":
            pictures = telling.pictures(point, evidence.copy, NOVEL, highest=True)
            pictures_of = len(scores.grid.slots_of(NOVEL))
            text = f"{scores.copied[other]:.0f} of {pictures_of} pictures repeat a training picture"
        elif name == "bleed":
            pictures = telling.pictures(point, evidence.likeness, BLEEDING, highest=True)
            was, now = scores.bleed[own], scores.bleed[other]
            text = f"the class word alone draws your subject more (bleeding {was:.0f} to {now:.0f})"
        else:
            pictures = telling.pictures(point, evidence.margin, NOVEL, highest=False)
            text = f"pictures of a prompt are more alike (diversity {held})"
        found.append((before - after, text, pictures))
    return [(text, pictures) for _, text, pictures in sorted(found, key=lambda entry: -entry[0])]


def _ruled_out(telling: Telling, decision: Decision) -> list[Sentence]:
    scores, evidence = telling.scores, telling.scores.evidence
    found: list[Sentence] = []
    for gate, says, figures, families, highest in (
        ("undertrained", "not learnt your subject yet", evidence.likeness, LIKENESS, False),
        ("copying", "drawn training pictures again where something new was asked", evidence.copy, NOVEL, True),
        ("bleeding", "taught the class word itself to draw your subject", evidence.likeness, BLEEDING, True),
    ):
        points = sorted(p for p, gates in decision.ruled_out.items() if gate in gates and "broken" not in gates)
        if points and gate not in decision.relaxed:
            verb = "has" if len(points) == 1 else "have"
            pictures = telling.pictures(points[-1], figures, families, highest=highest)
            found.append(Sentence(f"{telling.several(points, True)} {verb} {says}.", pictures))
    for point, gates in decision.ruled_out.items():
        if "broken" in gates:
            pictures = telling.pictures(point, evidence.likeness, LIKENESS, highest=False)
            found.append(Sentence(f"{telling.name(point, True)} is left out: {why_broken(scores, point)}.", pictures))
    return found


def _relaxed(telling: Telling, decision: Decision) -> list[Sentence]:
    evidence = telling.scores.evidence
    found = []
    if "bleeding" in decision.relaxed:
        bleed = telling.scores.bleed[telling.scores.index(decision.choice)]
        which = f"Every {telling.each} that is trained far enough" if len(decision.judged.points) > 1 else "It"
        found.append(Sentence(
            f"{which} bleeds: the class word alone draws your subject ({bleed:.0f} of 100 here), so that is no ground "
            "to choose by and is left out of flexibility; class pictures in the next training keep it apart.",
            telling.pictures(decision.choice, evidence.likeness, BLEEDING, highest=True),
        ))  # fmt: skip
    if "copying" in decision.relaxed:
        found.append(Sentence(
            f"{f'Every {telling.each}' if len(decision.judged.points) > 1 else 'It'} copies training pictures at new "
            "prompts: there are too few pictures, or they are too alike.",
            telling.pictures(decision.choice, evidence.copy, NOVEL, highest=True),
        ))  # fmt: skip
    if "undertrained" in decision.relaxed:
        found.append(Sentence(
            "Train longer, or check that the captions do not describe the subject away.",
            telling.pictures(decision.choice, evidence.likeness, LIKENESS, highest=True),
        ))  # fmt: skip
    return found


def _weight(telling: Telling, decision: Decision, weight: Point | None) -> list[Sentence]:
    if weight is None:
        return []
    pictures = telling.pictures(weight, telling.scores.evidence.likeness, LIKENESS, highest=True)
    if weight.weight == decision.choice.weight:
        tried = sorted(p.weight for p in telling.scores.points if p.checkpoint == decision.choice.checkpoint)
        if len(tried) < 2:
            return []
        return [Sentence(f"Use it at weight {weight.weight:g}: no other weight that was tried balances better.",
                         pictures)]  # fmt: skip
    return [Sentence(
        f"Use it at weight {weight.weight:g}, which balances better than weight {decision.choice.weight:g} "
        f"({telling.figures(weight)}).", pictures,
    )]  # fmt: skip


def _warnings(telling: Telling, decision: Decision) -> list[Sentence]:
    scores = telling.scores
    found: list[Sentence] = []
    assert not isinstance(scores.fidelity, CannotTell)
    highest = float(np.max(scores.fidelity.value[1:]))
    if highest < _NEVER_LEARNT and "undertrained" not in decision.relaxed:
        found.append(Sentence(
            f"Fidelity never passed {highest:.0f}: the trigger is hardly learnt; train longer, or check whether the "
            "captions describe the subject away.",
            telling.pictures(decision.likest, scores.evidence.likeness, LIKENESS, highest=True),
        ))  # fmt: skip
    if isinstance(scores.anchors, Anchors) and scores.anchors.low_confidence:
        found.append(Sentence(
            f"Only {scores.anchors.photos} photographs stand for the subject, so take fidelity as a rough figure."
        ))  # fmt: skip
    return found


def _remarks(scores: Scores) -> list[Sentence]:
    return [Sentence(note) for note in scores.notes]


def _typical(telling: Telling) -> tuple[Cell, ...]:
    """A few pictures to look at where no measure helps: the last point's, and the base's of the same prompt."""
    slots = telling.scores.grid.slots_of(LIKENESS)[: _PICTURES // 2]
    return tuple(telling.cell(point, int(slot)) for slot in slots for point in (BASE, telling.scores.points[-1]))


def listed(texts: Sequence[str]) -> str:
    """'a, b and c'."""
    return texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " and " + texts[-1]


def ranges(numbers: Sequence[int]) -> str:
    """'3 to 5 and 8'; two in a row stay '3 and 4'."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return listed([t for run in runs for t in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run))])
