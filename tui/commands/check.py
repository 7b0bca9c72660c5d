"""`lorasmith check FOLDER`: everything that would happen to these pictures, before anything is trained."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from engine.dataset.buckets import bucket_rules
from engine.dataset.captions import CaptionRules
from engine.dataset.check import check_dataset
from engine.dataset.check_text import report_lines, to_json
from engine.dataset.scan import Folder, scan
from engine.plan import Pictures
from tui.text import say, say_json


def check(asked: Namespace) -> int:
    """Prints the report; exit code 1 where there is nothing to train with."""
    folders = [Folder(Path(name).expanduser().absolute(), asked.repeats) for name in asked.folders]
    folders += [Folder(Path(name).expanduser().absolute(), 1, "class") for name in asked.class_folder]
    dataset = scan(folders, CaptionRules(), _counter())
    report = check_dataset(dataset, bucket_rules(Pictures(resolution=asked.resolution)), asked.batch, kind=asked.kind)
    if asked.json:
        say_json(to_json(report))
    else:
        say("\n".join(report_lines(report)), raw=True)
    return 0 if report.trainable else 1


def _counter() -> Callable[[int, int], None] | None:
    """Counts pictures in a terminal's last line, which is cleared at the end; elsewhere it says nothing."""
    if not sys.stderr.isatty():
        return None

    def report(done: int, total: int) -> None:
        end = "\r\x1b[K" if done == total else ""
        print(f"\rreading the pictures {done}/{total}{end}", end="", file=sys.stderr, flush=True)

    return report
