"""The four ways of keeping the class word, as a draft has them and as they change it; no screen."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from engine.dataset.zips import is_zip
from engine.draw.class_advice import ClassAdvice, Way, class_advice
from engine.draw.class_settings import KIND, ClassSetup, class_setup, job_text, pictures_of, same_run
from engine.errors import LorasmithError, shown
from engine.plan import ClassFolder
from engine.runs.folder import RunFolder, create_run, find_run, home
from engine.runs.summary import RunSummary, read_summary
from tui.draft import Draft
from tui.steps.outlook import Outlook
from tui.text import count, duration

WAYS: tuple[Way, ...] = ("none", "prior", "drawn", "folder")
TITLES = {
    "none": "none", "prior": "prior prediction", "drawn": "drawn by the base", "folder": "a folder of yours",
}  # fmt: skip
WAY = "class.way"  # the draft's keys: the way that is chosen while it is not yet in the plan,
FOLDER = "class.folder"  # the folder as it was typed,
COUNT = "class.count"  # and how many pictures are to be drawn, where that is the person's own
_MOST = 20_000
_LOOK_SECONDS = 1.0


def way_of(draft: Draft) -> Way:
    """The way that a draft takes: what was chosen, else what its plan does."""
    chosen = draft.typed.get(WAY)
    if chosen in WAYS:
        return chosen  # type: ignore[return-value]
    part = draft.plan.regularization
    if not part.folders:
        return "prior" if part.prior_prediction else "none"
    return "drawn" if all(_is_drawn(one.path) for one in part.folders) else "folder"


def _is_drawn(path: str) -> bool:
    """Whether a folder is one that a run of class pictures fills."""
    place = Path(path)
    return place.parent.parent == home() / "runs" and RunFolder(place.parent).kind == KIND


def with_way(draft: Draft, way: Way) -> Draft:
    """The draft taking a way; pictures that are there already are taken up again."""
    folders: tuple[ClassFolder, ...] = ()
    pending = False
    if way == "drawn":
        run = drawn_run(draft)
        folders = (ClassFolder(str(pictures_of(run))),) if run is not None else ()
        pending = run is None
    elif way == "folder":
        typed = draft.typed.get(FOLDER) or own_folder(draft)
        if typed and not class_folder_trouble(draft, typed):
            folders = (ClassFolder(str(Path(typed).expanduser().absolute())),)
        pending = not folders
    draft = draft.with_plan({"regularization.folders": folders, "regularization.prior_prediction": way == "prior"})
    return draft.with_typed(WAY, way) if pending else draft.without_typed(WAY)


def own_folder(draft: Draft) -> str:
    """The folder of class pictures that the plan names, where it is not one that was drawn."""
    folders = draft.plan.regularization.folders
    return folders[0].path if folders and not _is_drawn(folders[0].path) else ""


def with_folder(draft: Draft, text: str) -> Draft:
    """The draft with a folder as it was typed; the plan names it where it can be used."""
    return with_way(draft.with_typed(FOLDER, text), "folder")


def named_run(draft: Draft) -> RunFolder | None:
    """The run that draws, or has drawn, this draft's class pictures."""
    name = draft.jobs.get(KIND)
    try:
        return find_run(name) if name else None
    except LorasmithError:
        return None  # deleted by hand


def drawn_run(draft: Draft) -> RunFolder | None:
    """That run, once there is a folder of pictures in it."""
    run = named_run(draft)
    return run if run is not None and pictures_of(run).is_dir() else None


def class_folder_trouble(draft: Draft, text: str) -> str:
    """Why a text names no folder of class pictures; "" where it does."""
    if not text.strip():
        return "Say where the class pictures are: a folder, or a .zip; or choose another way."
    try:
        path = Path(text).expanduser().absolute()
        there = path.is_dir() or is_zip(path)
    except (OSError, RuntimeError, ValueError):
        return f"{shown(text)} cannot be looked at: choose another folder."
    if not there:
        return f"There is no folder or .zip {shown(text)}: correct the path (tab completes it)."
    if not os.access(path, os.R_OK | os.X_OK if os.path.isdir(path) else os.R_OK):  # noqa: PTH112
        return f"{shown(text)} cannot be read: give this user the right to read it, or choose another folder."
    if any(Path(one.path).expanduser().absolute() == path for one in draft.plan.pictures.folders):
        return "These are the subject's own pictures: class pictures must be of others."
    return ""


def none_usable(draft: Draft) -> str:
    """That the folders of class pictures hold none that can be used, once they have been looked at; else ""."""
    outlook, folders = draft.looks.outlook, draft.plan.regularization.folders
    if not folders or outlook is None or outlook.dataset is None or outlook.plan.regularization.folders != folders:
        return ""
    if any(one.role == "class" for one in outlook.dataset.pictures):
        return ""
    return f"{shown(folders[0].path)} holds no usable picture: name another folder, or choose another way."


def class_missing(draft: Draft) -> str:
    """What the class pictures still want."""
    way = way_of(draft)
    if way == "folder":
        typed = draft.typed.get(FOLDER) or own_folder(draft)
        return class_folder_trouble(draft, typed) or none_usable(draft)
    if way == "prior" and not draft.plan.subject.class_prompt.strip():
        return "Prior prediction keeps the class prompt, and there is none: write one in step 4, or choose none."
    if way != "drawn":
        return ""
    if COUNT in draft.typed and not count_of(draft):
        return count_trouble(draft.typed[COUNT])
    summary = _summary(draft)
    if summary is None:
        return "d has the base draw them; or choose another way."
    if summary.alive:
        return "They are still being drawn: go on with n meanwhile; the training waits for them."
    return "" if summary.status == "finished" else "The drawing was broken off: d goes on with it."


def _summary(draft: Draft) -> RunSummary | None:
    """How the drawing stands, looked at once a second at most."""
    name = draft.jobs.get(KIND, "")
    seen = draft.looks.facts.get("class.summary")
    if seen is not None and seen[0] == name and time.monotonic() - seen[1] < _LOOK_SECONDS:
        return seen[2]
    run = named_run(draft)
    try:
        summary = read_summary(run) if run is not None else None
    except LorasmithError:
        summary = None
    draft.looks.facts["class.summary"] = (name, time.monotonic(), summary)
    return summary


def count_of(draft: Draft) -> int | None:
    """How many pictures the person wants drawn; None = as many as an epoch takes."""
    text = draft.typed.get(COUNT, "").strip().replace(",", "")
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) <= _MOST else None


def count_trouble(text: str) -> str:
    """Why a text is no number of pictures; "" where it is, or is empty."""
    if not text.strip() or count_of(Draft(typed={COUNT: text})):
        return ""
    return f"{shown(text[:20])} is no number of pictures: give 1 to {_MOST:,}, or leave it empty for the advised one."


def advised(draft: Draft, outlook: Outlook | None) -> tuple[ClassAdvice | None, str]:
    """Which way to take and what each costs, in milliseconds; else why that cannot be said yet."""
    if outlook is None or (outlook.estimate is None and not outlook.trouble):
        return None, "The pictures are being read…" if draft.plan.pictures.folders else "Step 2 comes first."
    if outlook.estimate is None:
        return None, outlook.trouble
    try:
        card = outlook.card.name if outlook.card else None
        plan = draft.plan
        if way_of(draft) == "drawn":  # a folder that lorasmith filled is no folder of the person's own choosing
            plan = replace(plan, regularization=replace(plan.regularization, folders=()))
        return class_advice(plan, outlook.estimate.report, card), ""
    except LorasmithError as error:
        return None, str(error)


def setup_of(draft: Draft) -> ClassSetup:
    """What would be drawn; reads the pictures' headers, so a thread asks. LorasmithError where nothing can be."""
    return class_setup(draft.plan, count=count_of(draft))


def is_drawn(draft: Draft, setup: ClassSetup) -> bool:
    """Whether the run of this draft's class pictures does, or did, just this."""
    run = named_run(draft)
    try:
        return run is not None and run.job.read_text(encoding="utf-8") == job_text(setup.job)
    except (OSError, UnicodeDecodeError):
        return False


def drawing_run(draft: Draft, name: str) -> RunFolder:
    """The run that does, or did, what this draft wants drawn, else a new one."""
    job = setup_of(draft).job
    return same_run(job) or create_run(f"{name[:52]}-class", job_text(job), kind=KIND)


def way_words(advice: ClassAdvice, way: Way) -> str:
    """What a way costs, in a few words for its line."""
    found = next(one for one in advice.ways if one.way == way)
    parts = [] if found.epoch == 1 else [f"an epoch {found.epoch:.1f} x as long"]
    if way == "drawn":
        parts.insert(0, count(found.pictures, "picture"))
        parts += [f"about {duration(found.seconds)} of drawing"] if found.seconds else []
    return ", ".join(parts) or "an epoch as short as can be"


def setup_words(setup: ClassSetup) -> list[str]:
    """How many would be drawn and why, in which shapes, from how many prompts."""
    orders = setup.job.orders
    shapes: dict[str, int] = {}
    for order in orders:
        shapes[f"{order.size[0]}x{order.size[1]}"] = shapes.get(f"{order.size[0]}x{order.size[1]}", 0) + 1
    prompts = list(dict.fromkeys(order.prompt for order in orders))
    listed = ", ".join(f"{number} of {shape}" for shape, number in shapes.items())
    return [setup.need.sentence, f"{listed}; {count(len(prompts), 'prompt')}, the first: {shown(prompts[0])}"]
