"""What a person made their LoRA: the checkpoint behind their words, and all that is known of it. Light."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from engine.base.header import read_header
from engine.compare.find import comparison_of
from engine.compare.report import At, Report, read_report, report_path
from engine.compare.settings import KIND
from engine.compare.sources import epoch_files
from engine.errors import BaseModelError, LorasmithError, PlanError, RunError, shown
from engine.plan_file import read_plan
from engine.runs.folder import RunFolder, find_run

_OPEN_RAIL = "CreativeML Open RAIL++-M"
_SDXL = re.compile(r"sd_?xl[-_]base[-_]1\.0|stable-diffusion-xl-base-1\.0|^sdxl-1\.0$", re.IGNORECASE)


@dataclass(frozen=True)
class Choice:
    """A checkpoint to be exported, its weight, and why.

    folder and report: the comparison's, None where the training was not compared. by_hand: the person named an epoch
    or a weight that the comparison does not recommend. samples: pictures of a training that was not compared.
    """

    at: At
    called: str
    file: Path
    title: str  # what the LoRA is called where no name is given
    trigger: str
    person: bool
    base: str
    licence: str
    folder: Path | None = None
    report: Report | None = None
    by_hand: bool = False
    samples: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""  # why the comparison could not draw with it

    @property
    def weight(self) -> float:
        return self.at[1]

    @property
    def recommended(self) -> At | None:
        """What the comparison would take, at its weight; None where it recommends nothing."""
        return None if self.report is None else self.report.weight or self.report.choice

    @property
    def weight_by_hand(self) -> bool:
        """Whether it is the recommended checkpoint, at another weight than the recommended."""
        return self.by_hand and self.recommended is not None and self.recommended[0] == self.at[0]


def nearest(weights: Iterable[float], wanted: float) -> float | None:
    """Of these weights the one that is nearest to `wanted`, of two the nearer to 1; None where there are none."""
    return min(weights, key=lambda one: (round(abs(one - wanted), 6), abs(one - 1), one), default=None)


def find_choice(named: str | Path, epoch: int | None = None, weight: float | None = None) -> Choice:
    """The checkpoint that is meant: of a comparison, of a compared training, or of one that was not.

    Without `epoch` it is the comparison's choice; without `weight` the recommended one. Raises LorasmithError.
    """
    if weight is not None and not (math.isfinite(weight) and 0 < weight <= 2):
        raise LorasmithError(f"--weight {weight:g} is no weight to use a LoRA at: give one above 0 and up to 2.")
    weight = None if weight is None else float(f"{weight:g}")  # as every text writes it
    run, folder, notes = _places(named)
    report = None
    if folder is not None:
        try:
            report = read_report(folder)
        except LorasmithError as error:
            if epoch is None or run is None:
                raise
            notes = (*notes, f"The comparison was left out: {error}")
    if report is None or folder is None:
        assert run is not None
        return replace(_of_run(run, epoch, weight or 1.0), notes=notes)
    return _of_report(report, folder, epoch, weight, notes)


def _places(named: str | Path) -> tuple[RunFolder | None, Path | None, tuple[str, ...]]:
    """The training run and the comparison's folder, whichever there are."""
    if report_path(Path(named).expanduser()).is_file():
        return None, Path(named).expanduser().absolute(), ()
    run = find_run(named)
    if run.kind == KIND:
        return None, run.compare, ()
    if run.kind != "train":
        raise RunError(f"{shown(run.name)} trains no LoRA, so there is nothing to choose: name a training run")
    compared = comparison_of(run)
    if compared is None or not report_path(compared.compare).is_file():
        return run, None, ()
    return run, compared.compare, ()


def _of_report(
    report: Report, folder: Path, epoch: int | None, weight: float | None, notes: tuple[str, ...]
) -> Choice:
    recommended = report.weight or report.choice
    if epoch is None and recommended is None:
        raise LorasmithError(
            f"The comparison {shown(report.name)} has made no choice: look at its page, and say which with --epoch N."
        )
    number = epoch if epoch is not None else recommended[0]  # type: ignore[index]
    row = report.checkpoint(number)
    if row is None:
        there = [one.checkpoint for one in report.checkpoints]
        raise LorasmithError(f"The comparison {shown(report.name)} has no checkpoint {number}: {_there(there)}.")
    if weight is None:
        weight = recommended[1] if recommended and recommended[0] == number else 1.0
    if row.problem:
        notes = (*notes, f"{row.name} may not be usable: {row.problem}")
    if report.state != "done":
        notes = (*notes, "The comparison was not finished when this was chosen.")
    run = RunFolder(Path(report.run)) if report.run else None
    about = None if run is None else _about(run)
    file = _file(row.file, run, number)
    title = file.stem
    if about is not None:
        title = about[0]
    return Choice(
        (number, weight), row.name, file, title, f"{report.trigger} {report.class_word}".strip(),
        report.kind == "person", report.base.name, report.base.licence or _licence(report.base.name, file), folder,
        report, by_hand=recommended != (number, weight), notes=notes,
        problem=row.problem or "",
    )  # fmt: skip


def _file(told: str, run: RunFolder | None, number: int) -> Path:
    """The checkpoint's file; where the run was moved, the one of that epoch in it."""
    file = Path(told)
    if not file.is_file() and run is not None:
        file = epoch_files(run.checkpoints).get(number, file)
    if not file.is_file():
        raise LorasmithError(f"The checkpoint {shown(told)} is gone: put it back, or choose another.")
    return file


def _of_run(run: RunFolder, epoch: int | None, weight: float) -> Choice:
    files = epoch_files(run.checkpoints)
    if not files:
        raise RunError(
            f"the run {shown(run.name)} has no checkpoint yet: `lorasmith status {shown(run.name)}` says why"
        )
    if epoch is None:
        raise RunError(
            f"{shown(run.name)} has not been compared, so there is no choice to take: `lorasmith compare "
            f"{shown(run.name)}` makes one, or say which with --epoch N; {_there(files)}"
        )
    if epoch not in files:
        raise RunError(f"the run {shown(run.name)} has no checkpoint of epoch {epoch}: {_there(files)}")
    title, trigger, person, base = _about(run) or (run.name, "", False, "")
    samples = sorted(run.samples.glob(f"epoch-{epoch:04d}-step-*.png")) if run.samples.is_dir() else []
    return Choice(
        (epoch, weight), f"epoch {epoch}", files[epoch], title, trigger, person, base, _licence(base, files[epoch]),
        samples=tuple(samples),
    )  # fmt: skip


def _about(run: RunFolder) -> tuple[str, str, bool, str] | None:
    """Name, trigger words, whether it is a person, and base of a run's plan; None where it cannot be read."""
    try:
        plan = read_plan(run.plan)
    except PlanError:
        return None
    subject = plan.subject
    words = " ".join(part for part in (subject.instance_prompt.strip(), subject.class_prompt.strip()) if part)
    return plan.output.name, words, subject.kind == "person", plan.base.model


def _licence(base: str, file: Path) -> str:
    """The base's licence where its name tells; empty where nothing does."""
    if base == "demo":
        return "Apache-2.0"
    try:
        said = read_header(file).metadata
    except BaseModelError:
        said = {}
    names = (base, said.get("ss_sd_model_name", ""))
    return _OPEN_RAIL if any(_SDXL.search(name) for name in names) else ""


def _there(numbers: Collection[int]) -> str:
    ordered = sorted(numbers)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"there are {ordered[0]} to {ordered[-1]}"
    return f"there {'is' if len(ordered) == 1 else 'are'} {', '.join(map(str, ordered))}"
