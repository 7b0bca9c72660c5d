"""`lorasmith inspect`, `resize` and `merge`: what a LoRA file is, and other ones made of it."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from engine.draw.order import MOST_WEIGHT
from engine.errors import LorasmithError, shown
from engine.lora.inspect import PART_NAMES, LoraReport, PartReport, inspect_lora
from engine.runs.launch import engine_environment
from tui.arguments import Parser, json_argument, named, positive
from tui.text import count, home_path, plain, say, say_json, size, table

_LONG = 240  # characters of a setting that are shown; --json has all
_EXACT = 1e-7  # of an update's norm: below it the difference is the check's own


def inspect_arguments(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a LoRA of kohya's, diffusers' or peft's format")
    json_argument(parser)


def resize_arguments(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the LoRA to make smaller")
    parser.add_argument("--keep", type=_share, metavar="X", help="share of each update to keep, e.g. 0.95")
    parser.add_argument("--rank", type=positive, metavar="N", help="the new rank; with --keep, the most it may be")
    _rewriting(parser)


def merge_arguments(parser: Parser) -> None:
    parser.add_argument("files", nargs="+", type=_weighted, metavar="FILE[:WEIGHT]", help="LoRAs to add up (weight 1)")
    parser.add_argument("--rank", type=positive, metavar="N", help="cut the sum to this rank (else nothing is lost)")
    _rewriting(parser)


def inspect(asked: Namespace) -> int:
    """Says what a LoRA file is."""
    report = inspect_lora(asked.file.expanduser())
    if asked.json:
        say_json(plain(report) | {"modules": report.modules})
        return 0
    modules = count(report.modules, "module")
    weight = f"{size(report.size_bytes)}, {_precision(report)}"
    say(f"{shown(report.path.name)}: {shown(report.method)} for {shown(report.base)}, {modules}, {weight}")
    if report.parts:
        say("\n" + "\n".join(table([_part_row(part) for part in report.parts], indent=2)), raw=True)
    rows = [("trigger words", shown(report.trigger) or "not stated"), ("keys", report.layout)]
    if report.merged_from:
        rows.append(("merged from", shown(", ".join(report.merged_from))))
    if report.words:
        rows.append(("captions say", shown(", ".join(f"{word} ({times})" for word, times in report.words[:6]))))
    rows += [(label, shown(value)) for label, value in report.settings.items()]
    rows += [("AutoV2 hash", report.sha256[:10]), ("AutoV3 hash", report.weights_sha256[:12])]
    width = max(len(label) for label, _ in rows)
    say()
    for label, value in rows:
        short = value if len(value) <= _LONG else value[:_LONG] + " ..."
        say(f"{label.ljust(width)}  {short}", indent=2, hang=width + 4)
    if not report.metadata:
        say("\nThe file says nothing about its training.")
    if report.odd:
        say("\nWhat is odd about it:")
        for sentence in report.odd:
            say(f"- {sentence}", indent=2, hang=4)
    else:
        say("\nNothing is odd about it.")
    return 0


def resize(asked: Namespace) -> int:
    """Writes a LoRA with fewer ranks."""
    if asked.rank is None and asked.keep is None:
        raise LorasmithError("Say what to resize to: --rank 16 for that many, or --keep 0.95 for that share.")
    options = [f"--to={_absolute(asked.to)}", *_common(asked)]
    options += [f"--keep={asked.keep}"] if asked.keep is not None else []
    before = inspect_lora(asked.file.expanduser())
    result = _engine("resize", [*options, "--", _absolute(asked.file)])
    if asked.json:
        say_json(result)
        return 0
    say(f"Wrote {home_path(Path(result['path']))}, {size(result['size_bytes'])} (before: {size(before.size_bytes)}).")
    old = {part.part: max(part.ranks) for part in before.parts}
    for part in result["parts"]:
        ranks = f"rank {_range(*part['ranks'])} instead of {old.get(part['part'], '?')}"
        kept = f"keeps {(1 - part['error'] ** 2) ** 0.5:.1%} of its strength, an error of {part['error']:.1%}"
        say(f"{PART_NAMES[part['part']]}: {count(part['modules'], 'module')}, {ranks}; {kept}.", indent=2, hang=4)
    _notes(result)
    return 0


def merge(asked: Namespace) -> int:
    """Writes the sum of several LoRAs as one."""
    options = [f"--to={_absolute(asked.to)}", *_common(asked)]
    for path, weight in asked.files:
        options += ["--source", _absolute(path), str(weight)]
    result = _engine("merge", options)
    if asked.json:
        say_json(result)
        return 0
    said = ", ".join(f"{shown(path.name)} at {weight:g}" for path, weight in asked.files)
    say(f"Wrote {home_path(Path(result['path']))}, {size(result['size_bytes'])}: the sum of {said}.")
    for part in result["parts"]:
        error = part["error"]
        if asked.rank is not None:
            lost = f"keeps {(1 - error**2) ** 0.5:.1%} of the sum, an error of {error:.1%}"
        else:
            lost = "the sum to the last digit" if error < _EXACT else f"the sum but for rounding ({error:.1e} of it)"
        ranks = f"rank {_range(*part['ranks'])}"
        say(f"{PART_NAMES[part['part']]}: {count(part['modules'], 'module')}, {ranks}; {lost}.", indent=2, hang=4)
    _notes(result)
    return 0


def _common(asked: Namespace) -> list[str]:
    options = [f"--rank={asked.rank}"] if asked.rank is not None else []
    options += [f"--precision={asked.precision}"] if asked.precision else []
    return [*options, "--force"] if asked.force else options


def _engine(what: str, options: list[str]) -> dict[str, Any]:
    """Runs `python -P -m engine.lora` and returns what it tells; its sentence, if it fails, goes to the terminal."""
    command = [sys.executable, "-P", "-m", "engine.lora", what, *options]
    result: dict[str, Any] = {}
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=complaints, text=True, env=engine_environment({})
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                told = json.loads(line)
                if "total" in told:
                    _show_progress(f"{told['done']} of {told['total']} modules")
                else:
                    result = told
        finally:
            process.wait()
            _show_progress("")
        complaints.seek(0)
        lines = [line.strip() for line in complaints if line.strip()]
    if process.returncode or not result:
        raise LorasmithError(lines[-1] if lines else f"the engine ended with code {process.returncode} and no word")
    return result


def _show_progress(text: str) -> None:
    """`150 of 722 modules` on a terminal's own line; nothing elsewhere, or where a line cannot be written anew."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        print(f"\r{text:<40}\r", end="", file=sys.stderr, flush=True)


def _notes(result: dict[str, Any]) -> None:
    for note in result["notes"]:
        say(note)


def _part_row(part: PartReport) -> tuple[str, str, str]:
    convolutions = f", {part.convolutions} of them convolutions" if part.convolutions else ""
    ranks = ", ".join(
        f"rank {rank}" + (f" ({times})" if len(part.ranks) > 1 else "") for rank, times in list(part.ranks.items())[:4]
    )
    ranks += ", ..." if len(part.ranks) > 4 else ""
    low, high = part.scales
    alphas = f"alpha {next(iter(part.alphas)):g}" if len(part.alphas) == 1 else f"scale {_range(low, high)}"
    return PART_NAMES[part.part], count(part.modules, "module") + convolutions, f"{ranks}, {alphas}"


def _precision(report: LoraReport) -> str:
    """The type of the weights; alphas, which are fp32 in every file, do not count where there is another."""
    kinds = [kind for kind, _ in sorted(report.precision.items(), key=lambda entry: -entry[1])]
    return kinds[0] if kinds else "no weights"


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _absolute(path: Path) -> str:
    return str(path.expanduser().absolute())


def _rewriting(parser: Parser) -> None:
    parser.add_argument("--to", type=Path, required=True, metavar="OUT", help="the file to write")
    parser.add_argument("--precision", choices=("fp16", "bf16", "fp32"), help="of the weights (as they were)")
    parser.add_argument("--force", action="store_true", help="overwrite OUT")
    json_argument(parser)


def _weighted(text: str) -> tuple[Path, float]:
    """`style.safetensors:0.6` as file and weight; a file whose name ends like that counts as a file."""
    name, colon, number = named(text).rpartition(":")
    if colon and name and not Path(text).expanduser().exists():
        try:
            weight = float(number)
        except ValueError:
            weight = float("nan")
        if not -MOST_WEIGHT <= weight <= MOST_WEIGHT:
            raise argparse.ArgumentTypeError(f"'{number}' behind the colon of '{text}' is no weight, such as 0.6")
        return Path(name), weight
    return Path(text), 1.0


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a share above 0 and up to 1, such as 0.95")
    return share
