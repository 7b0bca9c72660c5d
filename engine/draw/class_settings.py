"""The job.toml of class pictures: all that the engine needs, so that the plan may change or go meanwhile. Light."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.dataset.check import CheckReport
from engine.draw.class_plan import ClassNeed, class_orders, class_prompts, class_seed, needed, order_lines
from engine.draw.order import Order
from engine.errors import PlanError, shown
from engine.estimate import plan_report, plan_shape
from engine.plan import BaseChoice, Plan
from engine.runs.folder import RunFolder, list_runs

KIND = "regularize"
PICTURES = "pictures"  # the folder inside the run that a plan names


@dataclass(frozen=True)
class ClassJob:
    """What a job of class pictures does: draws `orders` with `base`, or fetches `count` pictures of `dataset`.

    `class_prompt` is what pictures without a caption of their own show.
    """

    class_prompt: str
    base: BaseChoice
    orders: tuple[Order, ...] = ()
    dataset: str = ""
    count: int = 0

    @property
    def captioned(self) -> bool:
        """Whether a caption lies beside each picture: where the class prompt alone does not say what was drawn."""
        return any(order.prompt != self.class_prompt for order in self.orders)


@dataclass(frozen=True)
class ClassSetup:
    """A plan's class pictures before they are drawn: what it needs and why, the report it rests on, and the job."""

    need: ClassNeed
    report: CheckReport
    job: ClassJob


def class_setup(
    plan: Plan,
    *,
    count: int | None = None,
    prompts: str | Path | None = None,
    negative: str = "",
    steps: int = 25,
    cfg: float = 5.0,
) -> ClassSetup:
    """Works out what to draw for a plan, from its pictures' headers alone; any class folders it names do not count.

    `prompts` as in `class_prompts`. Raises LorasmithError: nothing to train, an empty class prompt, a base that is
    not here.
    """
    native, step = plan_shape(plan)
    report = class_report(plan)
    need = needed(plan, report, count)
    texts = class_prompts(plan, report, prompts)
    orders = class_orders(
        need, texts, report.rules, native=native, step=step, negative=negative, steps=steps, cfg=cfg
    )
    return ClassSetup(need, report, drawing_job(plan, orders))


def class_report(plan: Plan) -> CheckReport:
    """What a training of the plan does without its class folders: the ground for its class pictures."""
    native, step = plan_shape(plan)
    without = replace(plan, regularization=replace(plan.regularization, folders=()))
    return plan_report(without, native_resolution=native, native_step=step)


def same_run(job: ClassJob, name: str | None = None) -> RunFolder | None:
    """The newest run (of this name, if given) that does, or did, this very job; to be followed, resumed or taken."""
    text = job_text(job)
    for run in list_runs():
        if name not in (None, run.name):
            continue
        if run.kind == KIND and run.job.read_text(encoding="utf-8", errors="replace") == text:
            return run
    return None


def pictures_of(folder: RunFolder) -> Path:
    """Where a run's class pictures lie, for a plan's regularization.folders."""
    return folder.path / PICTURES


def drawing_job(plan: Plan, orders: Sequence[Order]) -> ClassJob:
    """A job that draws with the plan's own base."""
    return ClassJob(" ".join(plan.subject.class_prompt.split()), plan.base, tuple(orders))


def dataset_job(plan: Plan, dataset: str, count: int) -> ClassJob:
    """A job that fetches a ready-made set from the hub."""
    return ClassJob(" ".join(plan.subject.class_prompt.split()), plan.base, dataset=dataset, count=count)


def job_text(job: ClassJob) -> str:
    """The job as job.toml; `read_class_job` gives it back."""
    import tomlkit

    document = tomlkit.document()
    document["kind"] = KIND
    document["class_prompt"] = job.class_prompt
    if job.dataset:
        document["dataset"] = job.dataset
        document["count"] = job.count
    base = tomlkit.table()
    for key in ("model", "vae", "prediction", "zero_terminal_snr"):
        base[key] = getattr(job.base, key)
    document["base"] = base
    if job.orders:
        document["drawing"] = _drawing_table(job.orders[0])
    lines = tomlkit.aot()
    for prompt, (width, height), count in order_lines(job.orders):
        line = tomlkit.table()
        line.update({"prompt": prompt, "width": width, "height": height, "count": count})
        lines.append(line)
    if len(lines):
        document["pictures"] = lines
    return tomlkit.dumps(document)


def _drawing_table(order: Order) -> Any:
    import tomlkit

    table = tomlkit.table()
    table.update({"negative": order.negative, "steps": order.steps, "cfg": order.cfg, "sampler": order.sampler})
    return table


def read_class_job(path: Path) -> ClassJob:
    """The job in a job.toml. PlanError for one that is damaged: it is written by lorasmith."""
    try:
        said: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        how = said.get("drawing", {})
        orders = [
            Order(line["prompt"], size, class_seed(line["prompt"], size, number), **how)
            for line in said.get("pictures", [])
            for size in [(int(line["width"]), int(line["height"]))]
            for number in range(int(line["count"]))
        ]
        base, dataset = BaseChoice(**said["base"]), said.get("dataset", "")
        return ClassJob(said["class_prompt"], base, tuple(orders), dataset, said.get("count", 0))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PlanError(
            f"{shown(path)} cannot be read as a job of class pictures ({shown(error)}): run `lorasmith regularize` "
            "anew."
        ) from error
