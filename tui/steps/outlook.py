"""What a draft comes to: its base opened, its pictures looked at, its steps, time, memory and file worked out.

Plain functions that read files and may take seconds: screens call them in a thread, and draw what was found last.
Nothing here computes with pixels; the pictures' bytes are read once for their digests.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.base.find import DEMO, SHORT_NAMES, cached_snapshot, resolve_base
from engine.base.recognise import recognise
from engine.dataset.captions import CaptionRules
from engine.dataset.scan import Dataset, Folder, scan
from engine.errors import DatasetError, LorasmithError, shown
from engine.estimate import Card, Estimate, base_shape, dataset_report, estimate_report, plan_shape
from engine.plan import Plan
from engine.plan_finding import SDXL_SIDES
from engine.runs.folder import home
from tui.draft import Draft
from tui.text import size

Report = Callable[[int, int], None]
_MOST_ENTRIES = 100_000  # of all folders below the one that is named
_SDXL_DOWNLOAD = 6.9e9  # bytes of stabilityai's fp16 files; fine-tunes are about as large


@dataclass(frozen=True)
class BaseFacts:
    """What is known of a base by its name: one sentence; `trouble` where it cannot be used."""

    model: str
    words: str
    trouble: str = ""
    to_download: bool = False
    native: int = 1024
    step: int = 64
    shape: tuple[dict[str, Any] | None, int] = (None, 1024)

    @property
    def small(self) -> bool:
        """Too small to be SDXL: the demo's."""
        return self.native < SDXL_SIDES[0]


@dataclass(frozen=True)
class Outlook:
    """What a plan comes to. `plan` is what it was worked out for; `trouble` why it could not be."""

    plan: Plan
    base: BaseFacts
    dataset: Dataset | None = None  # every picture there is, those left out included
    estimate: Estimate | None = None
    card: Card | None = None
    trouble: str = ""
    free_disk: int | None = None  # bytes, where runs are kept

    @property
    def trained(self) -> int:
        """Pictures that are trained: without those left out, held out, or unusable."""
        return sum(line.pictures for line in self.estimate.report.buckets) if self.estimate else 0


def base_facts(model: str) -> BaseFacts:
    """Looks a base up without opening its weights."""
    try:
        source = resolve_base(model)
        native, step = plan_shape_of(model)
        shape = base_shape(model)
        if source.kind == "embedded":
            words = "Comes with lorasmith: draws small scenes of emoji, trains on any machine in minutes."
            return BaseFacts(model, words, native=native, step=step, shape=shape)
        path = cached_snapshot(source.repo) if source.repo else source.path
        if path is None:
            words = f"Not here yet: about {size(_SDXL_DOWNLOAD)} from the hub."
            return BaseFacts(model, words, to_download=True, native=native, step=step, shape=shape)
        known = recognise(path)
    except (LorasmithError, OSError) as error:
        said = str(error) if isinstance(error, LorasmithError) else f"cannot be read ({error.strerror})."
        return BaseFacts(model, "", trouble=said)
    predicts = "v-prediction" if known.prediction == "v_prediction" else "epsilon prediction"
    words = f"An SDXL model, {size(known.size_bytes)}, {predicts}, {known.native_resolution} px."
    return BaseFacts(model, words, native=native, step=step, shape=shape)


def plan_shape_of(model: str) -> tuple[int, int]:
    """Native resolution and bucket step of a base."""
    from engine.plan import BaseChoice

    return plan_shape(replace(Plan(), base=BaseChoice(model=model)))


_KNOWN = {
    "sdxl-1.0": "the plain base: fits most",
    "illustrious-xl": "drawn figures, by tags",
    "noobai-xl": "drawn figures, v-prediction",
    "animagine-xl-4.0": "drawn figures, by tags",
}


def base_names() -> list[tuple[str, str]]:
    """The bases that can be named without looking at the disk, each with a few words."""
    demo = (DEMO, "tiny, comes with lorasmith; no GPU needed")
    return [demo, *((name, _KNOWN.get(name, "")) for name in SHORT_NAMES)]


def scan_key(plan: Plan) -> tuple[object, ...]:
    """What a scan depends on; the same key means the same pictures, as far as the folder has not changed."""
    captions = plan.captions
    trained = tuple(one.path for one in plan.pictures.folders)
    classes = tuple(one.path for one in plan.regularization.folders)
    return (trained, classes, captions.extension, captions.prefix)


def scan_pictures(plan: Plan, report: Report) -> Dataset:
    """Every picture of the plan's folders, those left out included; DatasetError for a folder that is none.

    `report(0, 0)` is called while the folders are listed; what it raises ends the look.
    """
    for one in (*plan.pictures.folders, *plan.regularization.folders):
        _refuse_endless(Path(one.path), report)
    folders = [Folder(Path(one.path)) for one in plan.pictures.folders]
    folders += [Folder(Path(one.path), 1, "class") for one in plan.regularization.folders]
    rules = CaptionRules(extension=plan.captions.extension, prefix=plan.captions.prefix)
    return scan(folders, rules, report, decode=False)


def _refuse_endless(root: Path, report: Report) -> None:
    """DatasetError for a folder with more in it than any set of pictures has: one too high up was named."""
    entries = 0
    for _, folders, files in os.walk(root):
        entries += len(folders) + len(files)
        report(0, 0)
        if entries > _MOST_ENTRIES:
            raise DatasetError(
                f"{shown(root)} holds more than {_MOST_ENTRIES:,} files and folders: name the folder of the pictures."
            )


def repeated(dataset: Dataset, plan: Plan) -> Dataset:
    """The data set with the repeats that the plan states, which win over those of the folders' names."""
    stated = {Path(one.path): one.repeats for one in plan.pictures.folders if one.repeats != "auto"}
    if not stated:
        return dataset
    only = next(iter(stated.values())) if len(plan.pictures.folders) == 1 else None  # an archive lies elsewhere now

    def of(path: Path) -> int | None:
        return next((int(stated[above]) for above in path.parents if above in stated), only and int(only))

    pictures = (
        replace(one, repeats=of(one.path) or one.repeats) if one.role == "train" else one for one in dataset.pictures
    )
    return replace(dataset, pictures=tuple(pictures))


def without(dataset: Dataset, names: tuple[str, ...]) -> Dataset:
    """The data set as `scan(leave_out=names)` gives it."""
    left = {one.path for one in dataset.pictures if one.role == "train" and one.name in names}
    return replace(
        dataset,
        pictures=tuple(one for one in dataset.pictures if one.path not in left),
        problems=tuple(one for one in dataset.problems if one.path not in left),
    )


def look(
    draft: Draft, before: Outlook | None, card: Card | None, report: Report, *, again: bool = False
) -> Outlook:
    """Works a draft out; what `before` found and still holds is not looked at again, unless `again`."""
    plan = draft.plan
    if before is not None and before.base.model == plan.base.model and not again:
        base = before.base
    else:
        base = base_facts(plan.base.model)
    outlook = Outlook(plan, base, card=card, free_disk=_free_disk())
    if not plan.pictures.folders:
        return outlook
    try:
        known = before is not None and before.dataset is not None and not again
        if known and before is not None and scan_key(before.plan) == scan_key(plan):
            dataset = before.dataset
            assert dataset is not None
        else:
            dataset = scan_pictures(plan, report)
    except LorasmithError as error:
        return replace(outlook, trouble=str(error))
    try:
        chosen = repeated(without(dataset, plan.pictures.leave_out), plan)
        checked = dataset_report(plan, chosen, native_resolution=base.native, native_step=base.step)
        estimate = estimate_report(plan, checked, base.shape, card)
    except LorasmithError as error:
        return replace(outlook, dataset=dataset, trouble=str(error))
    return replace(outlook, dataset=dataset, estimate=estimate)


def _free_disk() -> int | None:
    place = next((path for path in (home(), *home().parents) if path.exists()), None)
    try:
        return shutil.disk_usage(place).free if place else None
    except OSError:
        return None
