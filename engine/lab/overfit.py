"""The selector against the truth: LoRAs trained far past their best, judged by one reader and chosen by others.

    python -m engine.lab.overfit FOLDER

Each trial trains ten pictures of a held-out object that all share one blue ground, captioned with nothing but trigger
and class word, at five to ten times the demo's rate: what a careless person would do. Then two things look at every
epoch that know nothing of each other. Pictures of the judge's own prompts are read, which gives the truth. `lorasmith
compare` draws its own prompts, measures them with its own encoders, and chooses.

The rule, written down before the runs:

* Fidelity is read in two ways, the untouched base at 0 and true pictures at 1: the judge's nearness, and how well the
  subject is drawn (`engine.lab.match`, no network). The mark is the mean of the two; each of them stands beside it in
  columns of its own. Earlier proofs took each in turn: the judge (the first, the fifth to the seventh), the drawing
  (the second and third), the mean (the fourth).
* The judge is asked for every ground there is by day, thirty-five of them, not for sixteen as in the first five proofs.
* Flexibility: the mean of the four shares that the judge reads (ground, style, class word kept, other objects).
* Balance: their harmonic mean, both held between 0 and 1.
* The truth: every epoch whose balance is within one standard error of the best one's. The error has two parts: that of
  the scenes, the best epoch's by a bootstrap, and that of the reading. Of two readings neither is the truth, so half
  the standard deviation of what they differ by, over the epochs within ten points of the best (the three best at
  least), is the error of their mean. The seven proofs before knew the first part only, and it was too small: near the
  top two blind readers of pictures agree on 55 of 60 pairs of epochs, and of these with the judge's truth on 40; one
  reading's best epoch is a hit by the other in four or five of the seventh proof's ten. This part was added after the
  seventh proof and before the eighth, and has not been changed since.
* A hit: the choice is in that set, or the epoch before or after is.
* Truly overfit: the last epoch is not in that set.
* Reached: nine hits of ten or more by the mark, the truly overfit last epoch never taken, and no rule of thumb (always
  the same epoch, or always the same share of the way; known afterwards) hits as often. This last condition came with
  the ninth proof: until the eighth all trials had one rate and one length, and always taking epoch 4 did as well.
* So there are five programs now, whose best epoch lies early, in the middle or late: rates of 5 to 10 times the demo's,
  epochs of 5 to 40 steps, six to sixteen of them. They were settled by the truth alone (twelve scenes) of trainings
  with seed 71, not by what any selector makes of them; slower ones (1 to 3 times the demo's rate) were left out because
  they are not past their best after ten epochs.
* The trials below, seeds that nothing was developed on (1 to 4, 11 to 14, 21 to 24, 31 to 34, 41 to 44, 51 to 54, 61
  to 64 and 71 to 74 were earlier proofs, and served to develop since). A comparison that lies in FOLDER is taken as it
  is: after a change of the selector, use another folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from engine.compare.settings import KIND, CompareJob, job_text
from engine.demo import PICTURES, TRIGGER
from engine.files import atomic_path, write_atomic
from engine.lab.objects import OBJECTS
from engine.lab.paint import paint
from engine.lab.scenes import Ground, Scene
from engine.lab.trials import Trial, trial_plan
from engine.lab.truth import BY_DAY, Told, TruthTeller
from engine.plan import Plan
from engine.plan_file import write_plan
from engine.runs.folder import RunFolder, create_run
from engine.runs.launch import engine_environment


@dataclass(frozen=True)
class Program:
    """How a trial is overdone; ten pictures in batches of two are five steps an epoch for each repeat."""

    rate: float
    repeats: int
    epochs: int


@dataclass(frozen=True)
class Overdone(Trial):
    """A training past its best."""

    program: Program


_PROGRAMS = (
    Program(1e-2, 2, 10),
    Program(7e-3, 4, 10),
    Program(5e-3, 8, 10),
    Program(1e-2, 1, 16),
    Program(7e-3, 8, 6),
)
_SEEDS = (*(("fox", 81 + at) for at in range(4)), *((name, 81 + at) for name in ("koala", "robot") for at in range(3)))
TRIALS = tuple(Overdone(*one, _PROGRAMS[at % len(_PROGRAMS)]) for at, one in enumerate(_SEEDS))
_SIDE = 200  # pixels of a picture; painted from sprites, more holds nothing more
_SCENES = len(BY_DAY)  # the judge's, for each of the four kinds: every ground, not a sample of them
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


def overfit_plan(trial: Overdone) -> Plan:
    """The demo's plan for this subject, by the trial's program."""
    plan, program = trial_plan(trial), trial.program
    folders = tuple(replace(each, repeats=program.repeats) for each in plan.pictures.folders)
    return replace(
        plan,
        pictures=replace(plan.pictures, folders=folders),
        optimizer=replace(plan.optimizer, learning_rate=program.rate),
        length=replace(plan.length, epochs=program.epochs),
    )


def trained(trial: Overdone, folder: Path) -> RunFolder:
    """The trial's run, trained to its end by the real engine; what an earlier start did is not done again."""
    run = RunFolder(folder / trial.name)
    if not run.plan.exists():
        run = create_run(trial.name, write_plan(overfit_plan(trial)), parent=folder, exact=True)
    _paint_pictures(trial.subject, run.path / PICTURES)
    if not list(run.checkpoints.glob(f"*-{trial.program.epochs:06d}.safetensors")):
        subprocess.run(
            [sys.executable, "-P", "-m", "engine", "train", str(run.path)], check=True, env=engine_environment({})
        )
    return run


def reality(trial: Overdone, run: RunFolder, folder: Path) -> dict[Yardstick, Reality]:
    """What is true of every epoch, by every yardstick; kept beside the run."""
    record = folder / f"{trial.name}.truth.json"
    if not record.exists() or "true" not in json.loads(record.read_text(encoding="utf-8")):  # of the first proof
        teller = TruthTeller(trial.subject, TRIGGER, str(OBJECTS[trial.subject].kind), count=_SCENES)
        files = sorted(run.checkpoints.glob("*-0000??.safetensors"))
        told = {
            "true": {"drawing": teller.of_true_drawings(), "fidelity": teller.of_true_pictures()},
            "base": asdict(teller.read(None)),
            "epochs": [asdict(teller.read(file)) for file in files],
        }
        write_atomic(record, json.dumps(told))
    found = json.loads(record.read_text(encoding="utf-8"))
    base, epochs = _told(found["base"]), tuple(_told(epoch) for epoch in found["epochs"])
    return {by: Reality(found["true"], base, epochs, by) for by in get_args(Yardstick)}


def _told(found: dict[str, list[float]]) -> Told:
    return Told(**{name: tuple(values) for name, values in found.items()})


@dataclass(frozen=True)
class Choice:
    """What `lorasmith compare` takes: an epoch, None where it offers none; and the epochs that it looked at twice."""

    epoch: int | None
    looked_at: tuple[int, ...]


def choice(trial: Trial, run: RunFolder, folder: Path) -> Choice:
    """The choice by the defaults; what an earlier start did is not done again."""
    compared = RunFolder(folder / f"{trial.name}-compare")
    if not compared.job.exists():
        job = job_text(CompareJob(run=str(run.path)))
        compared = create_run(compared.path.name, job, kind=KIND, parent=folder, exact=True)
    if not (report := _report(compared)) or report["state"] != "done":
        subprocess.run(
            [sys.executable, "-P", "-m", "engine", KIND, str(compared.path)], check=True, env=engine_environment({})
        )
        report = _report(compared)
    decision = report["decision"]
    return Choice(
        int(decision["choice"][0]) if decision and decision["choice"] else None,
        tuple(row["checkpoint"] for row in report["checkpoints"] if row["survivor"]),
    )


def _report(compared: RunFolder) -> dict[str, Any]:
    path = compared.compare / "report.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _paint_pictures(name: str, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for number in range(1, 11):
        path = target / f"{number:02d}.png"
        scene = Scene(name, Ground("plain", "blue"), place=("centre", "left", "right")[number % 3], seed=number)
        with atomic_path(path) as beside:
            paint(scene, (_SIDE, _SIDE)).save(beside, format="PNG")
        write_atomic(path.with_suffix(".txt"), f"an {TRIGGER} {OBJECTS[name].kind}\n")


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


def main() -> None:
    """Runs what is not there yet; prints the table and what it comes to."""
    parser = argparse.ArgumentParser(prog="python -m engine.lab.overfit")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", type=int, metavar="N", help="these trials, from 1, to share work")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    folder = asked.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    print(
        "| trial | true balance, by epoch | best | by the judge | by the drawing | choice | by both "
        "| by the judge | by the drawing |\n|---|---|---|---|---|---|---|---|---|"
    )
    outcomes: list[Outcome] = []
    for number in asked.only or range(1, len(TRIALS) + 1):
        trial = TRIALS[number - 1]
        run = trained(trial, folder)
        outcomes.append(Outcome(trial, reality(trial, run, folder), choice(trial, run, folder)))
        print(outcomes[-1].row, flush=True)
    print("", *(summed(outcomes, by) for by in get_args(Yardstick)), "", sep="\n")
    print(narrowly(outcomes), fixed(outcomes, "both"), sep="\n")
    print(crossed(outcomes, "drawing", "judge"), crossed(outcomes, "judge", "drawing"), sep="\n")
    print(looked_at(outcomes, "both"), halved(outcomes, "both"), sep="\n")


if __name__ == "__main__":
    main()
