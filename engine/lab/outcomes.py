"""What came of the trials that prove the choice (`engine.lab.overfit`): what is truly best by the rule that is written
there, what was chosen, and what that comes to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

import numpy as np

from engine.lab.trials import Trial
from engine.lab.truth import Told

_DRAWS = 2000
_HALVINGS = 10

Yardstick = Literal["both", "judge", "drawing"]
"""What fidelity is read by: the judge's features, the true drawing laid over each picture, or, as the mark is, by both:
the mean of the two.
"""

_READ: Mapping[Yardstick, tuple[str, ...]] = {
    "both": ("drawing", "fidelity"), "judge": ("fidelity",), "drawing": ("drawing",),
}  # fmt: skip
"""The fields of `Told` that fidelity by each yardstick is the mean of."""

_NAMES: Mapping[Yardstick, str] = {"both": "both", "judge": "the judge", "drawing": "the true drawing"}
_NEAR_THE_TOP = 0.1  # of balance below the best: where two readings are held against each other
_FEWEST = 3  # epochs that are at least


@dataclass(frozen=True)
class Reality:
    """What is true of the base and of every epoch, by one yardstick of fidelity.

    true_pictures: what pictures of the subject itself reach in each field of `Told` that fidelity is read from.
    """

    true_pictures: Mapping[str, float]
    base: Told
    epochs: tuple[Told, ...]
    by: Yardstick = "both"

    def balances(self, scenes: np.ndarray | None = None) -> np.ndarray:
        """Every epoch's true balance, 0 to 1 [epochs]; over these scenes where they are given."""
        chosen = np.arange(len(self.base.ground)) if scenes is None else scenes
        fidelity = np.mean([self._reached(field, chosen) for field in _READ[self.by]], axis=0)
        flexibility = [
            np.mean([np.take(part, chosen).mean() for part in (told.ground, told.style, told.class_word, told.others)])
            for told in self.epochs
        ]
        f, x = np.clip(fidelity, 0, 1), np.clip(flexibility, 0, 1)
        return np.divide(2 * f * x, f + x, out=np.zeros_like(f), where=f + x > 0)

    def _reached(self, field: str, scenes: np.ndarray) -> np.ndarray:
        """By one field, how far every epoch comes from the base (0) to true pictures (1) [epochs]."""
        low, *reached = (np.take(getattr(told, field), scenes).mean() for told in (self.base, *self.epochs))
        return (np.array(reached) - low) / (self.true_pictures[field] - low)

    def error(self) -> float:
        """The standard error of a balance: that of the scenes and that of the reading."""
        return float(np.hypot(self.scenes_error(), self.reading_error()))

    def reading_error(self) -> float:
        """What a reading errs by, as far as the two differ in how they order the best epochs."""
        mean = replace(self, by="both").balances()
        top = mean >= min(mean.max() - _NEAR_THE_TOP, np.sort(mean)[-_FEWEST:].min())
        differ = (replace(self, by="drawing").balances() - replace(self, by="judge").balances())[top]
        # Both err alike, as far as is known: each by the deviation over the root of two, their mean by half of it.
        return float(np.std(differ, ddof=1)) / (2 if self.by == "both" else 2**0.5)

    def scenes_error(self) -> float:
        """The best epoch's, by a bootstrap of the scenes."""
        rng, count = np.random.default_rng(0), len(self.base.ground)
        best = int(self.balances().argmax())
        return float(np.std([self.balances(rng.integers(count, size=count))[best] for _ in range(_DRAWS)]))

    def best(self, error: float | None = None) -> tuple[int, ...]:
        """The epochs (from 1) that are truly best; with another error than the rule's where one is given."""
        balances = self.balances()
        least = balances.max() - (self.error() if error is None else error)
        return tuple(int(at) + 1 for at in np.flatnonzero(balances >= least))

    def of(self, scenes: np.ndarray) -> Reality:
        """The same by some of the scenes only."""

        def kept(told: Told) -> Told:
            return Told(**{field.name: tuple(np.take(getattr(told, field.name), scenes)) for field in fields(Told)})

        return replace(self, base=kept(self.base), epochs=tuple(map(kept, self.epochs)))

    @property
    def overfit(self) -> bool:
        """Whether the last epoch is truly past the best."""
        return len(self.epochs) not in self.best()

    def hit(self, choice: int, error: float | None = None) -> bool:
        """Whether a chosen epoch is one of the best, or next to one."""
        return any(abs(choice - epoch) <= 1 for epoch in self.best(error))


@dataclass(frozen=True)
class Choice:
    """What `lorasmith compare` takes: an epoch, None where it offers none; and the epochs that it looked at twice."""

    epoch: int | None
    looked_at: tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """One trial: what is true and what was chosen."""

    trial: Trial
    real: Mapping[Yardstick, Reality]
    choice: Choice

    @property
    def chosen(self) -> int | None:
        return self.choice.epoch

    @property
    def row(self) -> str:
        """As a row of the table."""
        cells = [f"{self.trial.subject} {self.trial.seed}"]
        for by, real in self.real.items():
            if by == "both":
                cells.append(" ".join(f"{100 * value:.0f}" for value in real.balances()))
            cells.append(", ".join(map(str, real.best())))
        verdict = "none" if self.chosen is None else f"{self.chosen}"
        cells += [verdict, *("none" if self.chosen is None else "hit" if real.hit(self.chosen) else "miss"
                             for real in self.real.values())]  # fmt: skip
        return f"| {' | '.join(cells)} |"


def summed(outcomes: Sequence[Outcome], by: Yardstick) -> str:
    """How often the choice hits by a yardstick, and what it gives up beside the last epoch and a blind choice."""
    lost, last, blind, any_hits, hits, overfit, last_taken = [], [], [], [], 0, 0, 0
    for outcome in outcomes:
        real, chosen = outcome.real[by], outcome.chosen
        balances = 100 * real.balances()
        hits += chosen is not None and real.hit(chosen)
        any_hits.append(np.mean([real.hit(epoch + 1) for epoch in range(len(balances))]))
        overfit += real.overfit
        last_taken += real.overfit and chosen == len(real.epochs)
        lost.append(balances.max() - (balances[chosen - 1] if chosen else 0))
        last.append(balances.max() - balances[-1])
        blind.append(balances.max() - balances.mean())
    return (
        f"By {_NAMES[by]}: {hits} of {len(outcomes)} hit (taken blindly {sum(any_hits):.1f}); the last epoch taken "
        f"in {last_taken} of {overfit} where it is overfit; points of true balance below the best: the choice "
        f"{np.mean(lost):.1f}, the last epoch {np.mean(last):.1f}, one taken blindly {np.mean(blind):.1f}."
    )


def fixed(outcomes: Sequence[Outcome], by: Yardstick) -> str:
    """What two rules of thumb come to, each with the number that does best here, known afterwards: always the same
    epoch (the last where there are fewer), and always the same share of the way.
    """
    lengths = [len(outcome.real[by].epochs) for outcome in outcomes]
    same = {f"epoch {one}": [min(one, length) for length in lengths] for one in range(1, max(lengths) + 1)}
    share = {f"{part}% of the way": [-(-part * length // 100) for length in lengths] for part in range(5, 101, 5)}
    return "\n".join(_best_thumb(outcomes, by, rule) for rule in (same, share))


def _best_thumb(outcomes: Sequence[Outcome], by: Yardstick, rule: Mapping[str, Sequence[int]]) -> str:
    """rule: by what it is called, the epoch that it takes in each trial."""
    found: list[tuple[int, float, str]] = []
    for name, taken in rule.items():
        hits, lost = 0, []
        for outcome, epoch in zip(outcomes, taken, strict=True):
            balances = 100 * outcome.real[by].balances()
            hits += outcome.real[by].hit(epoch)
            lost.append(balances.max() - balances[epoch - 1])
        found.append((hits, -float(np.mean(lost)), name))
    hits, gained, name = max(found, key=lambda one: one[:2])
    return (
        f"Had {name} been taken each time: {hits} of {len(outcomes)} hit by {_NAMES[by]}, "
        f"{-gained:.1f} points below the best."
    )


def narrowly(outcomes: Sequence[Outcome]) -> str:
    """Hits where the error of a balance is that of the scenes alone: the rule of the seven proofs before."""

    def hit(outcome: Outcome, by: Yardstick) -> bool:
        real, chosen = outcome.real[by], outcome.chosen
        return chosen is not None and real.hit(chosen, real.scenes_error())

    each = [f"{sum(hit(outcome, by) for outcome in outcomes)} by {_NAMES[by]}" for by in get_args(Yardstick)]
    return f"By the scenes' error alone, of {len(outcomes)}: {', '.join(each)}."


def crossed(outcomes: Sequence[Outcome], chosen_by: Yardstick, by: Yardstick) -> str:
    """How often one yardstick's own best epoch hits by another: what choosing can reach, as far as the truths agree."""
    hits, lost = 0, []
    for outcome in outcomes:
        best = int(outcome.real[chosen_by].balances().argmax())
        balances = 100 * outcome.real[by].balances()
        hits += outcome.real[by].hit(best + 1)
        lost.append(balances.max() - balances[best])
    return (
        f"Had {_NAMES[chosen_by]} chosen: {hits} of {len(outcomes)} hit by {_NAMES[by]}, "
        f"{np.mean(lost):.1f} points below the best."
    )


def looked_at(outcomes: Sequence[Outcome], by: Yardstick) -> str:
    """How often the truth would hit among the epochs that got more than the first pictures: no reader hits more often
    than the first look leaves it.
    """
    hits = 0
    for outcome in outcomes:
        real, left = outcome.real[by], [epoch - 1 for epoch in outcome.choice.looked_at]
        hits += bool(left) and real.hit(1 + left[int(real.balances()[left].argmax())])
    epochs = [len(outcome.real[by].epochs) for outcome in outcomes]
    mean = np.mean([len(outcome.choice.looked_at) for outcome in outcomes])
    return (
        f"Of {np.mean(epochs):.1f} epochs {mean:.1f} were looked at twice; had {_NAMES[by]} chosen among those: "
        f"{hits} of {len(outcomes)} hit."
    )


def halved(outcomes: Sequence[Outcome], by: Yardstick) -> str:
    """How often a yardstick hits itself: its best epoch by half of the scenes, judged by the other half.

    The choice is judged by the same halves: it can hardly agree with a yardstick more than that does with itself.
    """
    rng, own, chosen = np.random.default_rng(0), [], []
    for outcome in outcomes:
        real = outcome.real[by]
        for _ in range(_HALVINGS):
            one, other = (real.of(half) for half in np.array_split(rng.permutation(len(real.base.ground)), 2))
            for chooses, judges in ((one, other), (other, one)):
                own.append(judges.hit(int(chooses.balances().argmax()) + 1))
                chosen.append(outcome.chosen is not None and judges.hit(outcome.chosen))
    return (
        f"By half of the scenes: what {_NAMES[by]} calls best from the other half hits in {np.mean(own):.0%}, "
        f"the choice in {np.mean(chosen):.0%}."
    )
