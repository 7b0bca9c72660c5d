"""The choice: what is out of the question, what balances best, what cannot be told apart from it, which to take."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from engine.select.bootstrap import chance_of_best, not_separated, with_doubt
from engine.select.cells import BASE, Point
from engine.select.fidelity import CannotTell
from engine.select.scores import Axis, Scores
from engine.select.votes import Vote, with_votes

Gate = Literal["undertrained", "copying", "bleeding", "broken"]
Sureness = Literal["clear", "leaning", "too close"]


@dataclass(frozen=True)
class Rules:
    """The marks of the decision. Only `lean` is a person's: above 1 flexibility counts more, below 1 fidelity."""

    lean: float = 1.0  # beta of the F-measure
    undertrained: float = 25.0  # fidelity below this: the subject is not learnt
    ruined: float = 25.0  # flexibility below this, of one that has not learnt: it has lost what the base could do
    copies: float = 0.05  # share of new prompts' pictures that are plain copies of a training picture
    bleed: float = 40.0  # per cent of the likeness that the trigger reaches: above, the class word draws the subject
    bleed_reach: float = 0.7  # of the best fidelity: a checkpoint that does not bleed must reach it to rule out others
    within: float = 1.0  # points of balance that are given up for an earlier epoch
    confidence: float = 0.95  # one-sided, for the set of equals
    clear: float = 0.8  # chance of being best, and no equals
    leaning: float = 0.5
    doubt: float = 5.0  # points of balance that the readers may err by, whatever the prompts (standard deviation)
    hopeless: float = 0.1  # of the likeliest's chance of being best: with less a point is no equal, nor drawn on


RULES = Rules()
RUINED = "it draws neither your subject nor what the prompts ask for, as after far too high a rate"
_RELAXED: tuple[tuple[Gate, ...], ...] = (
    (), ("bleeding",), ("bleeding", "copying"), ("bleeding", "copying", "undertrained"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Judged:
    """Points with the balance that was decided on, in the same order; the base is not among them."""

    points: tuple[Point, ...]
    balance: np.ndarray
    draws: np.ndarray  # [draws, points]: with other prompts, and with readers that err by `Rules.doubt`
    chance: np.ndarray  # of being best among those not ruled out

    def of(self, point: Point) -> float:
        """Its balance, held between 0 and 100: votes may carry one beyond."""
        return float(np.clip(self.balance[self.points.index(point)], 0, 100))

    def chance_of(self, point: Point) -> float:
        return float(self.chance[self.points.index(point)])


@dataclass(frozen=True, eq=False)
class Decision:
    """The choice and what it rests on.

    choice: the point to take. best: the highest balance. equals: what cannot be told apart from it, itself among
    them, less what has hardly a chance of being the best beside the others (`Rules.hopeless`). ruled_out: why a
    point was not in question; relaxed: gates that every point failed and that were therefore not applied. front:
    points that no other beats on both axes. last and likest: shown beside the choice, always.
    """

    choice: Point
    best: Point
    sureness: Sureness
    equals: tuple[Point, ...]
    ruled_out: Mapping[Point, tuple[Gate, ...]]
    relaxed: tuple[Gate, ...]
    front: tuple[Point, ...]
    last: Point
    likest: Point
    judged: Judged
    rules: Rules
    votes: int

    @property
    def chance(self) -> float:
        """The chance that `best` is the best."""
        return self.judged.chance_of(self.best)


@dataclass(frozen=True)
class Undecided:
    """No choice is offered, and why in a sentence; the pictures can still be looked at."""

    reason: str


def balance(fidelity: np.ndarray, flexibility: np.ndarray, lean: float = 1.0) -> np.ndarray:
    """(1 + b^2) F X / (b^2 F + X) of figures held between 0 and 100: high only where both are."""
    f, x = np.clip(fidelity, 0, 100), np.clip(flexibility, 0, 100)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(f * x > 0, (1 + lean**2) * f * x / (lean**2 * f + x), 0.0)


def decide(
    scores: Scores, rules: Rules = RULES, votes: Sequence[Vote] = (), *, spared: Collection[Gate] = ()
) -> Decision | Undecided:
    """Chooses among the points of weight 1, or among all where there are none (see `best_weight` for the others).

    spared: gates that are not applied whatever else there is to choose from.
    """
    if isinstance(scores.fidelity, CannotTell):
        return Undecided(scores.fidelity.reason)
    if not np.isfinite(scores.flexibility.value).all():
        return Undecided("Flexibility could not be measured, so there is nothing to weigh fidelity against.")
    points = tuple(p for p in scores.points if p.weight == 1.0) or scores.points[1:]
    every = gates_of(scores, rules)
    gates = {point: left for point, found in every.items() if (left := tuple(g for g in found if g not in spared))}
    eligible, relaxed = _eligible(points, gates, scores, rules)
    relaxed = (*relaxed, *spared)
    if not eligible:
        return Undecided(f"No checkpoint can be used: {why_broken(scores, points[0])}.")
    flexibility = as_weighed(scores, relaxed).flexibility
    return choose(scores.points, scores.fidelity, flexibility, points, eligible, gates, relaxed, rules, votes)


def as_weighed(scores: Scores, relaxed: Collection[Gate]) -> Scores:
    """The scores with the flexibility that is weighed, and so shown, once these gates are not applied.

    Where all checkpoints bleed, bleeding is no reason for one of them; left in, it would drown what still differs.
    """
    return replace(scores, flexibility=scores.flexibility_without("bleed")) if "bleeding" in relaxed else scores


def choose(
    all_points: Sequence[Point], fidelity: Axis, flexibility: Axis, points: Sequence[Point],
    eligible: Sequence[Point], gates: Mapping[Point, tuple[Gate, ...]] | None = None,
    relaxed: tuple[Gate, ...] = (), rules: Rules = RULES, votes: Sequence[Vote] = (),
) -> Decision:  # fmt: skip
    """The rule itself, on two axes over `all_points`: the best balance, its equals, and the earliest of those near it.

    Among the equals (one-sided, paired) the earliest within `rules.within` points is taken: simulated, that costs no
    more than taking the maximum, while simply taking the earliest equal costs three times as much.

    How sure that is has two parts: other prompts (the draws), and readers that err, on all pictures of a checkpoint
    alike, so that more prompts do not help (`rules.doubt`). In forty overdone trainings of the demo the best had a
    chance of 83 % by the draws alone, of 43 % with the doubt, and was truly the best of those in question in 17 of
    the forty (presets/demo/README.md).
    """
    columns = [list(all_points).index(point) for point in points]
    worth = balance(fidelity.value[columns], flexibility.value[columns], rules.lean)
    draws = balance(fidelity.draws[:, columns], flexibility.draws[:, columns], rules.lean)
    draws = with_doubt(draws, rules.doubt)
    worth, draws = with_votes(worth, draws, points, votes)
    allowed = np.array([point in eligible for point in points])
    chance = np.zeros(len(points))
    chance[allowed] = chance_of_best(draws[:, allowed])
    best = int(np.where(allowed, worth, -np.inf).argmax())
    equal = not_separated(draws, best, rules.confidence) & allowed & (chance >= rules.hopeless * chance.max())
    equal[best] = True  # however many votes moved the others
    near = equal & (worth >= worth[best] - rules.within)
    first = min((point for point, ok in zip(points, near, strict=True) if ok), key=_order)
    likely = float(chance[best])
    gates = gates or {}
    alive = [p for p in points if "broken" not in gates.get(p, ())]
    return Decision(
        choice=first, best=points[best],
        # Two that draw the same pictures have exactly half each: that leans to neither.
        sureness="clear" if likely >= rules.clear and equal.sum() == 1
        else "leaning" if likely > rules.leaning else "too close",
        equals=tuple(point for point, ok in zip(points, equal, strict=True) if ok),
        ruled_out={point: found for point, found in gates.items() if point in points and point not in eligible},
        relaxed=relaxed, front=_front(all_points, fidelity, flexibility, gates),
        last=max(alive, key=_order),
        likest=max(alive, key=lambda p: fidelity.value[list(all_points).index(p)]),
        judged=Judged(tuple(points), worth, draws, chance), rules=rules,
        votes=sum(vote.left in points and vote.right in points for vote in votes),
    )  # fmt: skip


def gates_of(scores: Scores, rules: Rules = RULES) -> dict[Point, tuple[Gate, ...]]:
    """Which gates each point fails; points that fail none are absent, and so is the base."""
    found: dict[Point, tuple[Gate, ...]] = {}
    for at, point in enumerate(scores.points):
        failed: list[Gate] = []
        unlike = isinstance(scores.fidelity, Axis) and scores.fidelity.value[at] < rules.undertrained
        # The base itself has learnt nothing and can do everything: what can do neither was not trained too little.
        ruined = unlike and scores.flexibility.value[at] < rules.ruined
        if ruined or point in scores.broken or (scores.quality and scores.quality.veto(at)):
            failed.append("broken")
        if unlike and not ruined:
            failed.append("undertrained")
        if scores.hard_copies[at] > rules.copies:
            failed.append("copying")
        if _bleeds(scores, at, rules):
            failed.append("bleeding")
        if failed and point != BASE:
            found[point] = tuple(failed)
    return found


def _bleeds(scores: Scores, at: int, rules: Rules) -> bool:
    """Whether the class word draws what the trigger draws.

    Held against the checkpoint's own fidelity: where the subject itself comes out badly, so does what bleeds, and that
    is no restraint. Of one that has learnt little, or that has no fidelity, the photographs' 100 is the measure.
    """
    own = 100.0
    if isinstance(scores.fidelity, Axis) and scores.fidelity.value[at] >= rules.undertrained:
        own = min(own, float(scores.fidelity.value[at]))
    return bool(scores.bleed[at] > rules.bleed * own / 100)


def why_broken(scores: Scores, point: Point) -> str:
    """Why a point that failed the gate "broken" did, to follow a colon."""
    veto = scores.quality.veto(scores.index(point)) if scores.quality else None
    return scores.broken.get(point, f"{veto} against the base's" if veto else RUINED).rstrip(".")


def _eligible(
    points: Sequence[Point], gates: Mapping[Point, tuple[Gate, ...]], scores: Scores, rules: Rules
) -> tuple[list[Point], tuple[Gate, ...]]:
    """Those in question. A gate that would rule out everything is not applied, the mildest first.

    Bleeding rules others out only where a checkpoint that does not bleed is trained nearly as far: of ten epochs
    that all bleed but the first, the first is not the answer.
    """
    assert isinstance(scores.fidelity, Axis)
    value = dict(zip(scores.points, scores.fidelity.value, strict=True))
    for relaxed in _RELAXED:
        left = [p for p in points if not set(gates.get(p, ())) - set(relaxed)]
        sound = [value[p] for p in points if not set(gates.get(p, ())) - {"bleeding"}]
        reached = not relaxed and left and max(value[p] for p in left) >= rules.bleed_reach * max(sound)
        if left and (relaxed or reached):
            needed = {gate for p in left for gate in gates.get(p, ())}
            return left, tuple(gate for gate in relaxed if gate in needed)
    return [], ()


def _front(
    points: Sequence[Point], fidelity: Axis, flexibility: Axis, gates: Mapping[Point, tuple[Gate, ...]]
) -> tuple[Point, ...]:
    """Points, at any weight, that no other point is at least as good as on both axes and better on one."""
    held = [i for i, p in enumerate(points) if p != BASE and "broken" not in gates.get(p, ())]
    f, x = fidelity.value, flexibility.value

    def beaten(i: int) -> bool:
        return any(f[j] >= f[i] and x[j] >= x[i] and (f[j] > f[i] or x[j] > x[i]) for j in held)

    return tuple(points[i] for i in held if not beaten(i))


def survivors(decision: Decision) -> tuple[Point, ...]:
    """The points worth more pictures: those with a chance of being best, the last epoch, the likest, and the choice's
    neighbours: a curve that peaks between two points is not seen with few prompts.
    """
    points, judged = sorted(decision.judged.points, key=_order), decision.judged
    enough = decision.rules.hopeless * judged.chance.max()
    hopeful = {i for i, point in enumerate(points) if judged.chance_of(point) >= enough}
    choice = points.index(decision.choice)
    beside = {i for i in (choice - 1, choice, choice + 1) if 0 <= i < len(points)}
    shown = {points.index(decision.last), points.index(decision.likest)}
    kept = (points[i] for i in sorted(hopeful | beside | shown))
    return tuple(point for point in kept if "broken" not in decision.ruled_out.get(point, ()))


def finalists(decision: Decision, count: int = 3) -> tuple[Point, ...]:
    """The points to draw at other weights and with the high-res fix: choice, likeliest others, and the last."""
    ranked = sorted(decision.equals, key=lambda point: (-decision.judged.chance_of(point), *_order(point)))
    return tuple(dict.fromkeys([decision.choice, *ranked[: count - 1], decision.last]))


def best_weight(
    scores: Scores, checkpoint: int, rules: Rules = RULES, relaxed: Collection[Gate] = ()
) -> Point:
    """The recommended weight of a checkpoint: 1, unless another balances better by more than chance.

    Of several that do, the best; one that fails a gate which weight 1 passes is not in question. `relaxed` are the
    decision's own: what was not held against the checkpoints is not held against their weights. Raises ValueError
    where the checkpoint is not among the points.
    """
    own = [p for p in scores.points if p.checkpoint == checkpoint and p != BASE]
    if not own:
        raise ValueError(f"checkpoint {checkpoint} is not among the points")
    usual = min(own, key=lambda p: abs(p.weight - 1))
    if isinstance(scores.fidelity, CannotTell) or not np.isfinite(scores.flexibility.value).all():
        return usual
    gates = gates_of(scores, rules)
    columns = [scores.index(p) for p in own]
    flexibility = as_weighed(scores, relaxed).flexibility
    worth = balance(scores.fidelity.value[columns], flexibility.value[columns], rules.lean)
    draws = balance(scores.fidelity.draws[:, columns], flexibility.draws[:, columns], rules.lean)
    one = own.index(usual)
    allowed = np.array([set(gates.get(p, ())) <= set(gates.get(usual, ())) for p in own])
    best = int(np.where(allowed, worth, -np.inf).argmax())
    ahead = worth[best] > worth[one] + rules.within
    certain = np.quantile(draws[:, best] - draws[:, one], 1 - rules.confidence) > 0
    return own[best] if ahead and certain else usual


def _order(point: Point) -> tuple[int, float]:
    """Earliest first; at one checkpoint the full weight first."""
    return point.checkpoint, abs(point.weight - 1)
