"""Overtraining with ground truth, over seeds and subjects: what each epoch of a LoRA on the small base truly does.

    python -m engine.lab.trials FOLDER --subjects fox koala --seeds 1 2 3 4 5

Each trial trains the demo's plan on ten painted pictures of one held-out object and has the judge read every epoch.
What is done is kept in FOLDER, a run and a `truths.jsonl` a trial, so that a second start goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch

from engine.demo import PICTURES, TRIGGER, demo_plan
from engine.files import atomic_path, write_atomic
from engine.lab.demo_sets import subject_caption, subject_scenes
from engine.lab.objects import HELD_OUT, OBJECTS
from engine.lab.paint import paint
from engine.lab.truth import Truth, TruthTeller
from engine.plan import Plan
from engine.plan_file import write_plan
from engine.runs.folder import RunFolder, create_run
from engine.runs.launch import engine_environment

_SHRINK = 8  # the demo's pictures are 1,500 pixels and more; painted from the sprites, an eighth holds all there is


@dataclass(frozen=True)
class Trial:
    """One training: which held-out object, and the seed of the run."""

    subject: str
    seed: int

    @property
    def name(self) -> str:
        return f"{OBJECTS[self.subject].key}-{self.seed}"


def trial_plan(trial: Trial) -> Plan:
    """The demo's plan for another subject and seed, without sample pictures."""
    plan = demo_plan()
    words = replace(plan.subject, class_prompt=str(OBJECTS[trial.subject].kind))
    machine = replace(plan.machine, seed=trial.seed)
    return replace(plan, subject=words, machine=machine, samples=replace(plan.samples, prompts=()))


def run_trial(trial: Trial, folder: Path) -> list[Truth]:
    """The truth of the untouched base and of every epoch, in order; what an earlier start did is not done again."""
    record = folder / f"{trial.name}.truths.jsonl"
    if not record.exists():
        run = _trained(trial, folder)
        teller = TruthTeller(trial.subject, TRIGGER, str(OBJECTS[trial.subject].kind))
        files: list[Path | None] = [None, *sorted(run.checkpoints.glob("*-0000??.safetensors"))]
        write_atomic(record, "".join(json.dumps(asdict(teller.tell(file))) + "\n" for file in files))
    return [Truth(**json.loads(line)) for line in record.read_text(encoding="utf-8").splitlines()]


def _trained(trial: Trial, folder: Path) -> RunFolder:
    """The trial's run, trained to its end by the real engine."""
    run = RunFolder(folder / trial.name)
    if not run.plan.exists():
        run = create_run(trial.name, write_plan(trial_plan(trial)), parent=folder, exact=True)
    paint_subject(trial.subject, run.path / PICTURES)
    command = [sys.executable, "-P", "-m", "engine", "train", str(run.path)]
    subprocess.run(command, check=True, env=engine_environment({}))
    return run


def paint_subject(name: str, target: Path) -> None:
    """Ten captioned pictures of a held-out object, as `presets/demo/subject` has them of the fox."""
    target.mkdir(exist_ok=True)
    for number, (scene, (width, height)) in enumerate(subject_scenes(name), 1):
        path = target / f"{number:02d}.png"
        with atomic_path(path) as beside:
            paint(scene, (width // _SHRINK, height // _SHRINK)).save(beside, format="PNG")
        write_atomic(path.with_suffix(".txt"), subject_caption(scene) + "\n")


def summary(trials: Sequence[Sequence[Truth]]) -> str:
    """In Markdown, a row an epoch: each figure's mean over the trials, and its standard error."""
    shares = ("fidelity", "flexibility", *(field.name for field in fields(Truth) if field.name != "fidelity"))
    lines = [
        "| | fidelity | flexibility | ground | style | class word kept | other objects |",
        "|---|---|---|---|---|---|---|",
    ]
    for epoch, truths in enumerate(zip(*trials, strict=True)):
        cells = []
        for share in shares:
            values = [getattr(truth, share) for truth in truths]
            error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
            cells.append(f"{statistics.fmean(values):.2f} ± {error:.2f}")
        lines.append(f"| {f'epoch {epoch}' if epoch else 'the base'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Runs what is not there yet and prints a table for each subject, and one over all where there are several."""
    parser = argparse.ArgumentParser(prog="python -m engine.lab.trials")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--subjects", nargs="+", default=["fox"], choices=[thing.name for thing in HELD_OUT])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.folder.mkdir(parents=True, exist_ok=True)
    everything: list[list[Truth]] = []
    for subject in asked.subjects:
        trials = [run_trial(Trial(subject, seed), asked.folder.absolute()) for seed in asked.seeds]
        everything += trials
        print(f"\n{subject}, {len(trials)} seeds\n\n{summary(trials)}", flush=True)
    if len(asked.subjects) > 1:
        print(f"\nall {len(everything)} trials\n\n{summary(everything)}")


if __name__ == "__main__":
    main()
