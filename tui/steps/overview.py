"""The whole plan in lines, with every warning and the step it belongs to; no screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.articles import with_article
from engine.dataset.check import CheckReport
from engine.errors import shown
from engine.plan_checks import check_plan
from engine.plan_finding import Finding
from tui.draft import Draft
from tui.steps import ready, recipe
from tui.steps.class_pictures_ways import none_usable
from tui.steps.figures import figures
from tui.steps.outlook import Outlook
from tui.steps.table import own_keys, text_in
from tui.text import count, home_path, size

_INK = {"error": "bad", "warning": "warn", "note": "muted"}
_MARK = {"error": "✗", "warning": "!", "note": "·"}
# Which step a key of the plan belongs to: the longest beginning that fits.
_STEPS = {
    "subject": "words",
    "subject.kind": "subject",
    "base": "subject",
    "output.name": "subject",
    "pictures": "parameters",
    "pictures.folders": "pictures",
    "pictures.leave_out": "pictures",
    "regularization": "class",
    "captions": "captions",
}


@dataclass(frozen=True)
class Told:
    """One line of the review: `word` stands at the left; `step` is where it can be changed ("" for none)."""

    word: str
    said: str
    ink: str = "plain"
    step: str = ""


def step_of(key: str) -> str:
    """The step in which a key of the plan is set."""
    fitting = [start for start in _STEPS if key == start or key.startswith(start + ".")]
    return _STEPS[max(fitting, key=len)] if fitting else "parameters"


def plan_lines(draft: Draft, outlook: Outlook | None) -> list[Told]:
    """What will be trained, on what, and what it takes."""
    plan, subject = draft.plan, draft.plan.subject
    trigger, class_words = shown(subject.instance_prompt) or "none", shown(subject.class_prompt) or "none"
    words = f"trigger {trigger}, class word {class_words}"
    lines = [
        Told("name", f"{shown(plan.output.name)}, {with_article(subject.kind)}", "strong", "subject"),
        Told("base", shown(plan.base.model), step="subject"),
        Told("pictures", "; ".join(_pictures(draft, outlook)), step="pictures"),
        Told("class", _class_pictures(draft), step="class"),
        Told("words", words, step="words"),
        Told("captions", _captions(outlook), step="captions"),
    ]
    own = own_keys(draft)
    dial = f"strength {draft.strength}" if draft.strength else "your own length"
    changed = ", ".join(f"{key.rpartition('.')[2]} {shown(text_in(draft, key))}" for key in own)
    lines.append(Told("recipe", f"{dial}; {recipe.recipe_words(draft)}", step="parameters"))
    if changed:
        lines.append(Told("", f"changed by you: {changed}", "accent", "parameters"))
    lines += [Told(one.word, one.said, one.ink, "parameters") for one in figures(plan, outlook)]
    return lines


def _pictures(draft: Draft, outlook: Outlook | None) -> Iterator[str]:
    folders = draft.plan.pictures.folders
    yield ", ".join(home_path_of(one.path) for one in folders) or "none"
    report = _report(outlook)
    if report is None:
        return
    held = sum(line.held_out for line in report.lines)
    yield f"{count(sum(line.pictures for line in report.buckets), 'picture')} trained"
    if held:
        yield f"{held} kept back for the validation loss"
    if draft.plan.pictures.leave_out:
        yield f"{len(draft.plan.pictures.leave_out)} left out"


def home_path_of(path: str) -> str:
    return home_path(Path(path))


def _report(outlook: Outlook | None) -> CheckReport | None:
    return outlook.estimate.report if outlook is not None and outlook.estimate is not None else None


def _class_pictures(draft: Draft) -> str:
    part = draft.plan.regularization
    if part.folders:
        return ", ".join(home_path_of(one.path) for one in part.folders)
    return "none; held by prior prediction" if part.prior_prediction else "none"


def _captions(outlook: Outlook | None) -> str:
    report = _report(outlook)
    if report is None:
        return "…"
    captions = report.captions
    if not captions.missing:
        return f"{captions.found} of {captions.found} pictures"
    return f"{captions.found} of {captions.found + captions.missing} pictures; the others are called by the words alone"


def warnings(draft: Draft, outlook: Outlook | None) -> list[Told]:
    """Everything to be said against the plan and its pictures, the gravest first, each with its step."""
    vram = outlook.card.total / 1e9 if outlook is not None and outlook.card else None
    native = outlook.base.native if outlook is not None else None
    found = check_plan(draft.plan, native_resolution=native, vram_gb=vram)
    wanted = _wanted(draft)
    # What a step wants is said in the step's words; the plan's own sentence speaks of the file.
    found = [one for one in found if one.severity != "error" or step_of(one.key) not in {line.step for line in wanted}]
    lines = [*wanted]
    lines += [Told(_MARK[one.severity], _said(one), _INK[one.severity], step_of(one.key)) for one in found]
    if outlook is not None:
        said = {line.said for line in lines}
        for trouble, step in ((outlook.base.trouble, "subject"), (outlook.trouble, "pictures")):
            if trouble and _begun(shown(trouble)) not in said:
                lines.append(Told("✗", _begun(shown(trouble)), "bad", step))
    if (report := _report(outlook)) is not None:
        classes = [Path(one.path) for one in draft.plan.regularization.folders]
        bad = [one.path for one in report.problems if one.severity == "error"]
        of_class = sum(any(path.is_relative_to(one) for one in classes) for path in bad)
        for number, what, step in ((len(bad) - of_class, "", "pictures"), (of_class, "class ", "class")):
            if number:
                said = f"{count(number, 'file')} among the {what}pictures cannot be used; the step names each."
                lines.append(Told("!", said, "warn", step))
        lines += [Told("!", said, "warn", _of_report(said)) for said in report.warnings]
    if full := _disk_full(outlook):
        lines.append(Told("!", full, "warn", "parameters"))
    order = {"bad": 0, "warn": 1, "muted": 2}
    return sorted(lines, key=lambda line: order[line.ink])


def _disk_full(outlook: Outlook | None) -> str:
    """That the disk will not hold what the training writes."""
    disk = outlook.estimate.disk if outlook is not None and outlook.estimate is not None else None
    if outlook is None or disk is None or outlook.free_disk is None or disk.total <= outlook.free_disk:
        return ""
    return (
        f"It writes {size(disk.total)}, and the disk has {size(outlook.free_disk)} free: make room, or save less often "
        "(save_every_epochs)."
    )


def _wanted(draft: Draft) -> list[Told]:
    """What the steps still want."""
    asked = (
        ("subject", ready.subject_missing(draft)),
        ("pictures", ready.pictures_missing(draft)),
        ("class", none_usable(draft)),
        ("parameters", ready.parameters_missing(draft)),
    )
    return [Told("✗", _begun(shown(said)), "bad", step) for step, said in asked if said]


def _begun(said: str) -> str:
    """A sentence as one begins."""
    return said[:1].upper() + said[1:]


def _said(finding: Finding) -> str:
    sentence = shown(finding.sentence)
    return sentence[:1].upper() + sentence[1:] if not sentence.startswith(finding.key) else sentence


def _of_report(said: str) -> str:
    return "captions" if "caption" in said.partition(",")[0] else "class" if "class pictures" in said else "pictures"


def blocking(lines: list[Told]) -> str:
    """Why it cannot begin: the first error; "" where nothing stands in the way."""
    return next((line.said for line in lines if line.ink == "bad"), "")
