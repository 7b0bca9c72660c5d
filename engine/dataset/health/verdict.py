"""Everything that is known of a set, brought together: lines of the table, findings, what was not looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.dataset.captions import CaptionRules
from engine.dataset.check import CheckReport, PictureLine
from engine.dataset.health import models
from engine.dataset.health.cache import Cache
from engine.dataset.health.copies import Shot, find_copies
from engine.dataset.health.figures import LEVELS, CopyGroup, Finding, Health, PictureHealth
from engine.dataset.health.judge import Fault, Seen, faults_of, gravest_first, picture_findings
from engine.dataset.health.lettering import lettering_faults, lettering_findings
from engine.dataset.health.limits import BLANK
from engine.dataset.health.measure import Measured
from engine.dataset.health.people import Person, people_faults, people_findings
from engine.dataset.health.sameness import marks, one_ground, opened
from engine.dataset.health.set_findings import (
    class_findings,
    copies_finding,
    count_finding,
    ground_finding,
    mark_findings,
    search_address,
    size_note,
    word_findings,
)
from engine.dataset.health.words import Words, read_words
from engine.dataset.scan import Dataset
from engine.errors import shown
from engine.plan import Plan

_COMPARED = 1_000  # pictures whose backgrounds are compared each with each; of more, evenly chosen ones


@dataclass(frozen=True)
class Looked:
    """What the verdict is made of: the plan, its pictures, what a training does with them, and their figures.

    `known` pictures had theirs in the cache.
    """

    plan: Plan
    rules: CaptionRules
    dataset: Dataset
    report: CheckReport
    measured: dict[Path, Measured]
    known: int


def health_of(
    looked: Looked, cache: Cache, hear: Callable[[], None], stage: Callable[..., None]
) -> Health:
    """The whole answer but for its text. `hear` may raise to end it early, `stage(name, done, total)` tells how far."""
    plan = _with_folder_words(looked.plan, looked.dataset)
    report = looked.report
    train = [
        Seen(line, looked.measured[line.picture.path].measures)
        for line in report.lines
        if line.picture.role == "train"
    ]
    names = [one.name for one in train]
    own = faults_of(train, report.rules.resolution, plan.subject.kind)
    findings = [finding for finding in (count_finding(len(train), plan.subject.kind),) if finding]
    if report.hold_out_problem:
        findings.append(Finding("hold_out", "amber", report.hold_out_problem))

    groups, copy_note = _copies(train, looked, cache, hear, stage)
    if found := copies_finding(groups, len(train)):
        findings.append(found)
    stage("comparing the pictures")
    findings += _sameness(train, groups, looked.measured, plan.subject.kind)
    people, people_found, people_own, people_note = _people(train, plan, stage)
    findings += people_found
    lettering, reader, text_note = models.lettering(train, plan, cache, stage)
    findings += lettering_findings(names, lettering, reader) if lettering else []
    for more in (people_own, lettering_faults(lettering)):
        own = [[*first, *second] for first, second in zip(own, more, strict=True)] if more else own

    words = read_words([one.line.picture for one in train], plan.subject, looked.rules)
    findings += picture_findings(train, own)
    findings += word_findings(words, names, plan)
    findings += class_findings(report, plan)
    findings += [note for note in (size_note(train),) if note]
    findings = gravest_first(findings)
    levels = {finding.level for finding in findings}
    return Health(
        verdict="red" if "red" in levels else "amber" if "amber" in levels else "green",
        pictures=_lines(looked, train, own, groups, people, words),
        findings=tuple(findings),
        copies=groups,
        not_seen=tuple(note for note in (copy_note, people_note, _words_note(plan, train), text_note) if note),
        search=search_address(plan, len(train)),
        trainable=report.trainable,
        seconds=0.0,
        known=looked.known,
    )


def _with_folder_words(plan: Plan, dataset: Dataset) -> Plan:
    """The plan with trigger and class from kohya's folder names where it has none of its own."""
    subject = plan.subject
    if subject.instance_prompt or subject.class_prompt:
        return plan
    named = next((name for name in dataset.kohya if name.role == "train"), None)
    if named is None:
        return plan
    return replace(plan, subject=replace(subject, instance_prompt=named.trigger, class_prompt=named.class_))


def _copies(
    train: Sequence[Seen], looked: Looked, cache: Cache, hear: Callable[[], None], stage: Callable[..., None]
) -> tuple[tuple[CopyGroup, ...], str]:
    shots = [
        Shot(one.line.picture, one.measures, looked.measured[one.line.picture.path].thumbnail)
        for one in train
        if one.measures.blank < BLANK.amber
    ]
    if len(shots) < 2:
        return (), ""
    shots, note = models.with_vectors(shots, cache, stage)
    stage("looking for copies")
    return find_copies(shots, hear), note


def _sameness(
    train: Sequence[Seen], groups: Sequence[CopyGroup], measured: dict[Path, Measured], kind: str
) -> list[Finding]:
    """Background and marks, over pictures of different shots: copies agree in everything."""
    copies = {name for group in groups for name in group.leave_out}
    different = [one for one in train if one.name not in copies and one.measures.blank < BLANK.amber]
    different = different[:: -(-len(different) // _COMPARED) or 1]
    thumbnails = [opened(measured[one.line.picture.path].thumbnail) for one in different]
    names = [one.name for one in different]
    ground = ground_finding([names[at] for at in one_ground(thumbnails)], len(names), kind, "the colours at the rim")
    found = {place: [names[at] for at in places] for place, places in marks(thumbnails).items()}
    return [*([ground] if ground else []), *mark_findings(found, len(names))]


def _people(
    train: Sequence[Seen], plan: Plan, stage: Callable[..., None]
) -> tuple[list[Person | None], list[Finding], list[list[Fault]], str]:
    if plan.subject.kind != "person" or not train:
        return [], [], [], ""
    people, reader, note = models.people(train, plan, stage)
    if reader is None:
        return [], [], [], note
    faults = people_faults(people, reader.same_person)
    return people, people_findings([one.name for one in train], people, faults, reader), faults, note


def _words_note(plan: Plan, train: Sequence[Seen]) -> str:
    if not any(one.line.picture.caption for one in train):
        return ""
    missing = [
        f"the {word}" for word, given in (
            ("trigger (--trigger)", plan.subject.instance_prompt), ("class word (--class)", plan.subject.class_prompt)
        ) if not given.strip()
    ]  # fmt: skip
    return f"whether captions hold {' and '.join(missing)}: none is given." if missing else ""


def _lines(
    looked: Looked,
    train: Sequence[Seen],
    faults: Sequence[Sequence[Fault]],
    groups: Sequence[CopyGroup],
    people: Sequence[Person | None],
    words: Words,
) -> tuple[PictureHealth, ...]:
    """A line for every placed picture, in the order it was scanned."""
    place = {one.line.picture.path: at for at, one in enumerate(train)}
    copies = {path for group in groups for path in group.leave_out_paths}
    lines = []
    for line in looked.report.lines:
        at = place.get(line.picture.path)
        own = list(faults[at]) if at is not None else []
        person = people[at] if at is not None and people else None
        copied = at is not None and str(line.picture.path) in copies
        lines.append(_line(line, looked, own, copied, person, words, at))
    return tuple(lines)


def _line(
    line: PictureLine,
    looked: Looked,
    faults: list[Fault],
    copied: bool,
    person: Person | None,
    words: Words,
    at: int | None,
) -> PictureHealth:
    picture = line.picture
    levels = [fault.level for fault in faults] + (["amber"] if copied else [])
    remarks = [fault.remark for fault in sorted(faults, key=lambda fault: LEVELS.index(fault.level))]
    remarks += ["copy"] if copied else []
    remarks += ["held out"] if line.held_out else []
    return PictureHealth(
        name=shown(picture.name),
        path=str(picture.path),
        role=picture.role,
        width=picture.width,
        height=picture.height,
        format=picture.format,
        bucket=line.bucket,
        loss=round(line.fit.loss, 4),
        scale=round(line.fit.scale, 4),
        held_out=line.held_out,
        level=min(levels, key=LEVELS.index) if levels else None,  # type: ignore[arg-type]
        remarks=tuple(remarks),
        measures=looked.measured[picture.path].measures,
        faces=person.count if person else None,
        caption=shown(picture.caption) if picture.caption else None,
        tokens=words.tokens[at] if at is not None and words.tokens and picture.caption else None,
    )
