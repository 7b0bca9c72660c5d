"""`lorasmith estimate PLAN`: what a training will take, with where each figure comes from."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from engine.dataset.check import CheckReport
from engine.errors import shown
from engine.estimate import Card, Estimate, Memory, cards, estimate_plan
from engine.plan import Plan
from engine.plan_checks import check_plan
from engine.plan_file import effective_words, read_plan
from engine.plan_finding import Finding
from tui.arguments import Parser, json_argument, positive
from tui.text import GIB, count, duration, plain, say, say_json, size

_LABEL = 10


def estimate_arguments(parser: Parser) -> None:
    parser.add_argument("plan", type=Path, metavar="PLAN")
    parser.add_argument("--processes", type=positive, default=1, metavar="N", help="as for train: one a GPU (1)")
    json_argument(parser)


def estimate(asked: Namespace) -> int:
    """Prints the figures; exit code 1 where the plan's folders hold nothing to train with."""
    path = asked.plan.expanduser()
    plan = read_plan(path)
    seen = cards()
    found = estimate_plan(plan, seen[0] if seen else None, decode=True, processes=asked.processes)
    findings = [one for one in check_plan(plan, native_resolution=found.native_resolution) if one.severity != "note"]
    if asked.json:
        say_json(as_object(found) | {"findings": plain(findings)})
    else:
        tell_findings(findings)
        print_estimate(plan, found)
    return 0 if found.report.trainable else 1


def print_estimate(plan: Plan, found: Estimate) -> None:
    """A labelled line for each figure."""
    report = found.report
    if not tell_report(report):
        return
    _line("steps", steps_words(report, found.processes))
    if report.repeats_sentence:
        _line("repeats", report.repeats_sentence)
    _line("rate", effective_words(plan))
    if found.prior_factor > 1:
        _line("prior", f"prior prediction makes steps about {found.prior_factor:.1f} times as long")
    if found.lora is not None and found.disk is not None:
        millions = found.lora.parameters / 1e6
        _line("file", f"{size(found.lora.file_bytes)} a checkpoint: {found.lora.modules} modules, "
              f"{millions:.1f} million parameters, {plan.output.precision}")  # fmt: skip
        parts = (found.disk.checkpoints, found.disk.state, found.disk.cache)
        kept, state, cache = (size(bytes_) for bytes_ in parts)
        checkpoints = count(found.checkpoints, "checkpoint")
        _line("disk", f"{size(found.disk.total)}: {checkpoints} {kept}, state {state}, caches {cache}")
    else:
        _line("file", "not known before this base model is opened")
    _line("memory", memory_words(plan, found))
    _line("card", card_words(found))
    _line("time", time_words(found))


def tell_findings(findings: Sequence[Finding]) -> bool:
    """Says what must be put right or thought over in a plan; True where nothing stands in its way."""
    for finding in findings:
        word = "to put right" if finding.severity == "error" else "warning"
        say(f"{word}: {shown(finding.sentence)}")
    return not any(finding.severity == "error" for finding in findings)


def tell_report(report: CheckReport) -> bool:
    """Says what is wrong with the pictures; True where there is something to train with."""
    problems = sum(problem.severity == "error" for problem in report.problems)
    if problems:
        say(f"{count(problems, 'file or folder', 'files or folders')} cannot be used; `lorasmith check` names each.")
    for sentence in report.warnings:
        say(f"warning: {sentence}")
    if not report.trainable:
        say("There is nothing to train with in the plan's folders.")
    return report.trainable


def steps_words(report: CheckReport, processes: int = 1) -> str:
    """'2,000 in 10 epochs, 200 an epoch: 20 pictures, batch 1'."""
    steps = report.steps
    pictures = sum(line.pictures for line in report.buckets)
    text = (
        f"{steps.total:,} in {count(len(steps.each), 'epoch')}, {steps.per_epoch:,} an epoch: "
        f"{count(pictures, 'picture')} in {count(len(report.buckets), 'bucket')}, batch {report.batch}"
    )
    if processes > 1:
        text += f" ({report.batch // processes} on each of {processes} GPUs)"
    if report.accumulation > 1:
        text += f", {report.accumulation} batches a step"
    if report.class_need:
        text += f", {count(report.class_need, 'class picture')} an epoch"
    return text


def memory_words(plan: Plan, found: Estimate) -> str:
    """The two ends of what a step holds, with the parts of the first."""
    if found.fast is None or found.least is None:
        return "a base this small fits on any machine"
    batch = plan.length.batch_size
    pictures = "one picture" if batch == 1 else f"{batch} pictures"
    return (
        f"about {found.fast.total / GIB:.1f} GiB with {pictures} at a time ({_parts(found.fast)}); the least is "
        f"{found.least.total / GIB:.1f} GiB, with gradient checkpointing and one picture at a time. Worked out from "
        "SDXL's shape; the start of a training measures it and takes what fits"
    )


def _parts(memory: Memory) -> str:
    parts = (
        ("base", memory.base), ("activations", memory.activations), ("adapter", memory.adapter),
        ("optimizer", memory.optimizer), ("CUDA", memory.other),
    )  # fmt: skip
    return ", ".join(f"{name} {bytes_ / GIB:.1f}" for name, bytes_ in parts)


def card_words(found: Estimate) -> str:
    """The card seen and whether the plan fits it."""
    card: Card | None = found.card
    if card is None:
        return "none seen here (no NVIDIA driver); this training would run on the processor"
    text = f"{shown(card.name)}, {card.total / GIB:.1f} GiB, {(card.total - card.used) / GIB:.1f} GiB free"
    if found.least is not None and found.least.total > card.total:
        return f"{text}: too small even with checkpointing; lower pictures.resolution or network.rank"
    return text


def time_words(found: Estimate) -> str:
    """The time where something is known of the card, else how to measure it."""
    measure = "`lorasmith bench` measures this machine"
    if found.seconds is None:
        return f"not known: {shown(found.seconds_source)}; {measure}"
    return (
        f"about {duration(found.seconds)} for {found.picture_steps:,} picture-steps "
        f"({shown(found.seconds_source)}); {measure}"
    )


def as_object(found: Estimate) -> dict[str, object]:
    """The figures for a program: bytes, seconds, counts."""
    report = found.report
    return {
        "trainable": report.trainable,
        "steps": {"per_epoch": report.steps.per_epoch, "total": report.steps.total, "each": list(report.steps.each)},
        "picture_steps": found.picture_steps,
        "learning_rate": found.learning_rate,
        "effective_rate": found.effective_rate,
        "checkpoints": found.checkpoints,
        "lora": plain(found.lora) if found.lora else None,
        "memory": {"fast": _memory(found.fast), "least": _memory(found.least)},
        "disk": plain(found.disk) | {"total": found.disk.total} if found.disk else None,
        "card": plain(found.card) if found.card else None,
        "processes": found.processes,
        "prior_factor": found.prior_factor,
        "seconds": found.seconds,
        "seconds_source": found.seconds_source,
    }


def _memory(memory: Memory | None) -> dict[str, float] | None:
    return plain(memory) | {"total": memory.total} if memory else None


def _line(label: str, text: str) -> None:
    say(f"{label:<{_LABEL}}{text}", hang=_LABEL)
