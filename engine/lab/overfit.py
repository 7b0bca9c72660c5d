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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch

from engine.compare.settings import KIND, CompareJob, job_text
from engine.demo import PICTURES, TRIGGER
from engine.files import atomic_path, write_atomic
from engine.lab.objects import OBJECTS
from engine.lab.outcomes import (
    Choice,
    Outcome,
    Reality,
    Yardstick,
    crossed,
    fixed,
    halved,
    looked_at,
    narrowly,
    summed,
)
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
