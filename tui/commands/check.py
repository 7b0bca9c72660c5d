"""`lorasmith check FOLDER`: everything that would happen to these pictures, before anything is trained."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from engine.dataset.buckets import Shape
from engine.dataset.captions import CaptionRules
from engine.dataset.check import CheckReport, PictureLine, check_dataset
from engine.dataset.scan import Folder, scan
from engine.errors import shown
from engine.estimate import bucket_rules
from engine.plan import Pictures
from tui.text import count, say, say_json, table

_NAME_WIDTH = 34


def check(asked: Namespace) -> int:
    """Prints the report; exit code 1 where there is nothing to train with."""
    folders = [Folder(Path(name).expanduser().absolute(), asked.repeats) for name in asked.folders]
    folders += [Folder(Path(name).expanduser().absolute(), 1, "class") for name in asked.class_folder]
    dataset = scan(folders, CaptionRules(), _counter() if not asked.json else None)
    rules = bucket_rules(Pictures(resolution=asked.resolution))
    report = check_dataset(dataset, rules, asked.batch, kind=asked.kind)
    if asked.json:
        say_json(as_object(report))
    else:
        print_report(report)
    return 0 if report.trainable else 1


def _counter():
    """Counts pictures on a terminal's last line; elsewhere it says nothing."""
    if not sys.stderr.isatty():
        return None

    def report(done: int, total: int) -> None:
        end = "\r\x1b[K" if done == total else ""
        print(f"\rreading the pictures {done}/{total}{end}", end="", file=sys.stderr, flush=True)

    return report


def print_report(report: CheckReport) -> None:
    """Counts, folder names understood, buckets, pictures, problems, steps: in the order a person asks."""
    _print_counts(report)
    for name in report.kohya:
        words = f'trigger "{shown(name.trigger)}", class "{shown(name.class_)}"' if name.trigger else "class pictures"
        say(f'folder "{shown(name.path.name)}" is read as {count(name.repeats, "repeat")}, {words}')
    if report.lines:
        say()
        _print_pictures(report)
    if report.buckets:
        say()
        _print_buckets(report)
    _print_sentences(report)
    say()
    if not report.trainable:
        say("There is nothing to train with here.")
        return
    _print_steps(report)


def _print_counts(report: CheckReport) -> None:
    train = [line for line in report.lines if line.picture.role == "train"]
    held = sum(line.held_out for line in train)
    parts = [count(len(train), "training picture")]
    if held:
        parts.append(f"{held} of them held out for the validation loss")
    if report.class_pool:
        parts.append(count(report.class_pool, "class picture"))
    say(", ".join(parts))
    captions = report.captions
    if train:
        missing = f', {captions.missing} without (trained as "<trigger> <class>")' if captions.missing else ""
        say(f"{count(captions.found, 'caption')}{missing}")
    unused = sum(problem.severity == "error" for problem in report.problems)
    if unused:
        say(f"{count(unused, 'file or folder', 'files or folders')} cannot be used: see below")


def _print_pictures(report: CheckReport) -> None:
    rows = [("picture", "size", "trained at", "cut away", "")]
    rows += [_picture_row(line) for line in report.lines]
    say("\n".join(table(rows, right=frozenset({1, 2, 3}))), raw=True)


def _picture_row(line: PictureLine) -> tuple[str, str, str, str, str]:
    picture = line.picture
    name = shown(picture.name)
    if len(name) > _NAME_WIDTH:
        name = "..." + name[3 - _NAME_WIDTH :]
    notes = [
        word
        for word, said in (
            ("class", picture.role == "class"),
            ("held out", line.held_out),
            ("enlarged", line.upscaled),
            ("small", line.small),
        )
        if said
    ]
    cut = f"{line.fit.loss:.1%}" if line.fit.loss >= 0.0005 else "-"
    return name, by(picture.width, picture.height), by(*line.bucket), cut, ", ".join(notes)


def by(width: int, height: int) -> str:
    """'832x1216'."""
    return f"{width}x{height}"


def _print_buckets(report: CheckReport) -> None:
    rows = [("bucket", "pictures", "an epoch", "class", f"batches of {report.batch}", "last batch")]
    for line in report.buckets:
        last = f"{line.short} of {report.batch}" if line.short else "full"
        rows.append((_bucket(line.bucket), str(line.pictures), str(line.items), str(line.class_items),
                     str(line.batches), last))  # fmt: skip
    if not report.class_pool:
        rows = [row[:3] + row[4:] for row in rows]
    say("\n".join(table(rows, right=frozenset(range(6)))), raw=True)
    if any(line.short for line in report.buckets):
        say("A last batch that is not full still trains, its gradient weighted by its size.")


def _bucket(shape: Shape) -> str:
    return by(*shape)


def _print_sentences(report: CheckReport) -> None:
    told = [("", problem.sentence) for problem in report.problems if problem.severity == "error"]
    told += [("warning: ", sentence) for sentence in report.warnings]
    told += [("note: ", problem.sentence) for problem in report.problems if problem.severity != "error"]
    if told:
        say()
    for kind, sentence in told:
        say(f"- {kind}{shown(sentence)}", hang=2)


def _print_steps(report: CheckReport) -> None:
    steps = report.steps
    if report.repeats_sentence:
        say(report.repeats_sentence)
    if report.class_pool:
        say(f"Each epoch takes {count(report.class_need, 'class picture')}, another part of them each time.")
    say(
        f"{count(steps.per_epoch, 'step')} an epoch, {count(steps.total, 'step')} in "
        f"{count(len(steps.each), 'epoch')} (batch {report.batch}, {report.rules.resolution} px)."
    )


def as_object(report: CheckReport) -> dict[str, object]:
    """The report for a program; sizes as [width, height], paths as they were given."""
    steps = report.steps
    return {
        "resolution": report.rules.resolution,
        "batch": report.batch,
        "epochs": report.epochs,
        "trainable": report.trainable,
        "pictures": [
            {
                "path": line.picture.path,
                "name": line.picture.name,
                "size": [line.picture.width, line.picture.height],
                "bucket": list(line.bucket),
                "cut_away": round(line.fit.loss, 5),
                "enlarged": line.upscaled,
                "small": line.small,
                "held_out": line.held_out,
                "role": line.picture.role,
                "repeats": line.picture.repeats,
                "caption": line.picture.caption,
            }
            for line in report.lines
        ],
        "buckets": [
            {
                "bucket": list(line.bucket), "pictures": line.pictures, "items": line.items,
                "class_items": line.class_items, "batches": line.batches, "short": line.short,
            }
            for line in report.buckets
        ],
        "captions": report.captions,
        "class_pictures": {"pool": report.class_pool, "an_epoch": report.class_need},
        "kohya": list(report.kohya),
        "steps": {"per_epoch": steps.per_epoch, "total": steps.total, "each": list(steps.each)},
        "repeats": report.repeats_sentence,
        "problems": list(report.problems),
        "warnings": list(report.warnings),
    }  # fmt: skip
