"""From what was measured to what is said: the rows, the decision at every setting of the dial, the words. numpy only.

Only pictures of one prompt and seed compare. Checkpoints that were given up after the first pictures are judged on
those, the survivors on all of theirs, and other weights of a checkpoint on the prompts they share with weight 1.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.compare.report import (
    At,
    DecisionRow,
    HiresRow,
    Lean,
    PointRow,
    Report,
    decision_of,
    point_of,
    words_of,
)
from engine.compare.rows import of_prompts
from engine.errors import LorasmithError
from engine.select import record
from engine.select.cells import BASE, Measurements, Point
from engine.select.decide import (
    RULES,
    Decision,
    Gate,
    Rules,
    Undecided,
    as_weighed,
    balance,
    best_weight,
    decide,
    gates_of,
)
from engine.select.fidelity import CannotTell
from engine.select.scores import Scores, evaluate
from engine.select.votes import Vote, pairs_to_ask
from engine.select.words import Telling, explain

LEANS = (0.5, 0.71, 1.0, 1.41, 2.0)
"""The settings of the dial, from fidelity to flexibility."""

_SAME = 3.0  # points by which two figures must differ to be told apart in the sentence on the high-res fix


@dataclass(frozen=True, eq=False)
class Stages:
    """A comparison's figures, each set on prompts and seeds that all of its points have.

    first: every checkpoint on the first prompts; whole: the survivors on all prompts, None before they have them;
    weighed: of a checkpoint its other weights beside weight 1.
    """

    first: Scores
    whole: Scores | None
    weighed: Mapping[int, Scores]

    @property
    def main(self) -> Scores:
        """What is decided on."""
        return self.whole or self.first

    def as_weighed(self, relaxed: Collection[Gate]) -> Stages:
        """With the flexibility that is weighed once these gates are not applied, so that all that is shown agrees."""
        weighed = {number: as_weighed(scores, relaxed) for number, scores in self.weighed.items()}
        return Stages(as_weighed(self.first, relaxed), self.whole and as_weighed(self.whole, relaxed), weighed)


def judged(
    report: Report, measured: Measurements | None, votes: Sequence[Vote] = (), *,
    hires: Measurements | None = None, lean: float | None = None,
) -> Report:  # fmt: skip
    """The report with everything that follows from the measurements and votes; `lean` turns the dial.

    Without measurements, or where nothing can be compared yet, its figures are empty.
    """
    lean = report.lean if lean is None else lean
    report = replace(report, lean=lean, votes=len(votes))
    try:
        stages = None if measured is None else stages_of(report, measured)
    except LorasmithError as error:
        stages, reason = None, str(error)
    else:
        reason = ""
    if stages is None:
        undecided = DecisionRow(reason=reason) if reason and report.state == "done" else None
        return replace(report, points=(), words=(), dial=(), decision=undecided, weight=None, hires=None, ask=())
    first_look = decide(stages.main)
    # Of the self-test's checkpoint at many weights the class word tells them apart: how far it is taken is the dose.
    if not report.dose and isinstance(first_look, Decision):
        stages = stages.as_weighed(first_look.relaxed)
    names = {} if report.epochs else {row.checkpoint: row.name for row in report.checkpoints}
    rules = rules_of(report)
    settings = [one for one in LEANS if not math.isclose(one, lean)] + [lean]
    dial = {one: _at_lean(replace(rules, lean=one), stages, votes, names) for one in sorted(settings)}
    decision, said = dial[lean]
    main = record.report(stages.main, decision, ())
    return replace(
        report, encoders=main["encoders"], anchors=main["anchors"], points=_rows(stages, decision, lean),
        decision=said.decision, words=said.words, weight=said.weight, ask=_ask(decision),
        dial=tuple(lean_row for _, lean_row in dial.values()),
        hires=None if hires is None else _hires(report, hires, decision),
    )  # fmt: skip


def stages_of(report: Report, measured: Measurements) -> Stages:
    """Scores for each stage that is there. LorasmithError where nothing can be compared."""
    early = {row.name for row in report.prompts if row.first}
    plain = [point for point in measured.points if point.weight == 1.0 or point == BASE]
    first = evaluate(of_prompts(measured, early) if early else measured, report.kind, points=_drawn(plain))  # type: ignore[arg-type]
    whole, survivors = None, _survivors(report, measured, early)
    if survivors:
        whole = evaluate(measured, report.kind, points=survivors)  # type: ignore[arg-type]
    other = {point.checkpoint for point in measured.points if point.weight != 1.0 and point != BASE}
    return Stages(first, whole, {number: _weighed(report, measured, number) for number in sorted(other)})


def _weighed(report: Report, measured: Measurements, checkpoint: int) -> Scores:
    """A checkpoint at all its weights, on the prompts that every one of them has."""
    own = [point for point in measured.points if point.checkpoint == checkpoint]
    prompts = [{cell.prompt for cell in measured.cells if cell.point == point} for point in own]
    return evaluate(of_prompts(measured, set.intersection(*prompts)), report.kind, points=own)  # type: ignore[arg-type]


def _drawn(points: Iterable[Point]) -> list[Point]:
    found = [point for point in points if point != BASE]
    if not found:
        raise LorasmithError("No checkpoint is drawn yet, so there is nothing to compare.")
    return found


def _survivors(report: Report, measured: Measurements, early: Collection[str]) -> list[Point]:
    """The points that have more than the first pictures; none while some of them are still being drawn."""
    if report.stage in {"first pictures", "more for the survivors"}:
        return []
    later = {cell.point for cell in measured.cells if cell.prompt not in early and cell.point.weight == 1.0}
    return sorted(later - {BASE}) if early else []


def rules_of(report: Report) -> Rules:
    """The marks of the decision. Of LoRAs that are no epochs of one run none is the earlier, so nothing is given up."""
    return RULES if report.epochs else replace(RULES, within=0.0)


def _at_lean(
    rules: Rules, stages: Stages, votes: Sequence[Vote], names: Mapping[int, str]
) -> tuple[Decision | Undecided, Lean]:
    decision = decide(stages.main, rules, votes)
    weight = None
    if isinstance(decision, Decision):
        weight, weighed = decision.choice, stages.weighed.get(decision.choice.checkpoint)
        if weighed is not None and decision.choice in weighed.points:
            even = replace(RULES, lean=rules.lean)
            weight = best_weight(weighed, decision.choice.checkpoint, even, decision.relaxed)
        sentences = explain(stages.main, decision, names, weight, weighed)
    else:
        sentences = explain(stages.main, decision, names)
    said = record.report(stages.main, decision, sentences)
    balances = ()
    if isinstance(decision, Decision):
        balances = tuple((p.checkpoint, p.weight, decision.judged.of(p)) for p in decision.judged.points)
    words = words_of(said["words"])
    if isinstance(decision, Decision) and len(decision.judged.points) == 1:
        words = (replace(words[0], text=_alone(stages.main, decision, names)), *words[1:])
    told = decision_of(said["decision"])
    if names:
        told = replace(told, last=None)  # of files from anywhere the last is only the last of a list
    return decision, Lean(rules.lean, told, words, balances, _at(weight))


def _alone(scores: Scores, decision: Decision, names: Mapping[int, str]) -> str:
    """The first sentence where one checkpoint is there, or measured so far: it is better than nothing else."""
    telling = Telling(scores, names)
    return f"One checkpoint is measured: against the untouched base, {telling.name(decision.choice)} reaches " \
           f"{telling.figures(decision.choice)}."  # fmt: skip


def _rows(stages: Stages, decision: Decision | Undecided, lean: float) -> tuple[PointRow, ...]:
    """A row for every point: the survivors', those of checkpoints given up, those of other weights.

    What was decided on is shown of all alike: gates that were not applied rule nothing out.
    """
    relaxed = decision.relaxed if isinstance(decision, Decision) else ()
    rows = {row.at: row for row in _points(stages.main, decision)}
    for scores in [*([stages.first] if stages.whole else []), *stages.weighed.values()]:
        gates = gates_of(scores)
        for row in _points(scores, Undecided("")):
            if row.at in rows:
                continue
            if row.weight != 1.0:
                row = _beside(row, scores, rows.get((row.checkpoint, 1.0)))
            failed = tuple(gate for gate in gates.get(Point(*row.at), ()) if gate not in relaxed)
            rows[row.at] = replace(row, ruled_out=failed, balance=_balance(row.fidelity, row.flexibility, lean))
    shown = (replace(row, ruled_out=tuple(g for g in row.ruled_out if g not in relaxed)) for row in rows.values())
    return tuple(sorted(shown, key=lambda row: row.at))


def _points(scores: Scores, decision: Decision | Undecided) -> list[PointRow]:
    return [point_of(row) for row in record.report(scores, decision, ())["points"]]


def _beside(row: PointRow, scores: Scores, full: PointRow | None) -> PointRow:
    """A point at another weight, placed on the chart by its difference from weight 1 on the same prompts.

    Otherwise the luck of the few prompts it was drawn with would move it against its own checkpoint.
    """
    one = (row.checkpoint, 1.0)
    if full is None or Point(*one) not in scores.points:
        return row
    same = next(point for point in _points(scores, Undecided("")) if point.at == one)

    def placed(name: str) -> float | None:
        figures = getattr(row, name), getattr(same, name), getattr(full, name)
        return None if None in figures else figures[0] - figures[1] + figures[2]

    return replace(row, fidelity=placed("fidelity"), flexibility=_held(placed("flexibility")))


def _held(figure: float | None) -> float | None:
    return None if figure is None else min(100.0, max(0.0, figure))


def _balance(fidelity: float | None, flexibility: float | None, lean: float) -> float | None:
    if fidelity is None or flexibility is None:
        return None
    return float(balance(np.array(fidelity), np.array(flexibility), lean))


def _ask(decision: Decision | Undecided) -> tuple[tuple[At, At], ...]:
    """Blind pairs, where a person's eye could still change the answer."""
    if isinstance(decision, Undecided) or decision.sureness == "clear" or len(decision.equals) < 2:
        return ()
    pairs = pairs_to_ask(decision.judged.points, decision.judged.chance, seed=decision.votes)
    return tuple(((a.checkpoint, a.weight), (b.checkpoint, b.weight)) for a, b in pairs)


def _hires(report: Report, measured: Measurements, decision: Decision | Undecided) -> HiresRow | None:
    """A common claim, on this run: the early choice with the high-res fix against a late one without it.

    Flexibility is what was weighed in the decision, so that it agrees with the rows.
    """
    points = [point for point in measured.points if point != BASE]
    if len(points) != 2 or isinstance(decision, Undecided):
        return None
    early, late = points
    try:
        scores = as_weighed(evaluate(measured, report.kind, points=points), decision.relaxed)  # type: ignore[arg-type]
    except LorasmithError:
        return None
    if not {early, late} <= set(scores.points):
        return None
    def both(values: np.ndarray) -> tuple[float | None, float | None]:
        return _known(values[scores.index(early)]), _known(values[scores.index(late)])

    fidelity = (None, None) if isinstance(scores.fidelity, CannotTell) else both(scores.fidelity.value)
    flexibility = both(scores.flexibility.value)
    names = report.name_of(_pair(early)), report.name_of(_pair(late))
    sentence = _hires_words(names, fidelity, flexibility)
    return HiresRow(_pair(early), _pair(late), fidelity, flexibility, sentence)


def _hires_words(
    names: tuple[str, str], fidelity: tuple[float | None, float | None],
    flexibility: tuple[float | None, float | None],
) -> str:  # fmt: skip
    early, late = names
    if None in fidelity or None in flexibility:
        return f"Whether {early} with the high-res fix comes up to {late} cannot be told with these measures."
    gain = fidelity[0] - fidelity[1]  # type: ignore[operator]
    free = flexibility[0] - flexibility[1]  # type: ignore[operator]
    near = _sorted(gain, "is nearer to", "comes as near to", "does not come as near to")
    stays = _sorted(free, "is freer", "is as free", "is less free")
    joint = "but" if (gain < -_SAME) != (free < -_SAME) and max(gain, free) > -_SAME else "and"
    figures = (
        f"on the first prompts fidelity {fidelity[0]:.0f} against {fidelity[1]:.0f}, "
        f"flexibility {flexibility[0]:.0f} against {flexibility[1]:.0f}"
    )
    holds = "holds here" if gain >= -_SAME and free > _SAME else "does not show here"
    return (
        f"{early[0].upper()}{early[1:]} with the high-res fix {near} your photographs as {late} without it, {joint} "
        f"{stays} ({figures}): the rule to take an early one and win back detail {holds}."
    ).replace("is nearer to your photographs as", "is nearer to your photographs than")


def _sorted(difference: float, more: str, same: str, less: str) -> str:
    return more if difference > _SAME else same if difference >= -_SAME else less


def parsed_point(text: str) -> Point:
    """A point as a person writes it: `4`, `4@0.8`. LorasmithError for anything else."""
    number, _, weight = text.partition("@")
    try:
        point = Point(int(number), float(weight or 1.0))
    except ValueError:
        point = BASE
    if point.checkpoint < 1 or not math.isfinite(point.weight):
        raise LorasmithError(f"'{text}' is no point of a comparison: write an epoch such as 4, or 4@0.8.")
    return point


def _pair(point: Point) -> At:
    return point.checkpoint, point.weight


def _at(point: Point | None) -> At | None:
    return None if point is None else _pair(point)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
