"""`lorasmith plan new` and `lorasmith import-preset`: plan files a person then edits."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from engine.errors import LorasmithError, PlanError, shown
from engine.files import write_atomic
from engine.plan import KINDS, Plan
from engine.plan_checks import check_plan
from engine.plan_file import effective_words, plan_from_text, write_plan
from engine.plan_finding import Finding
from tui.arguments import Parser, json_argument
from tui.text import home_path, plain, say, say_json


def new_arguments(parser: Parser) -> None:
    parser.add_argument("--kind", required=True, choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--images", required=True, type=Path, metavar="FOLDER", help="a folder of pictures, or a .zip")
    parser.add_argument("--out", type=Path, metavar="PLAN", help="the file to write (KIND.toml)")
    parser.add_argument("--base", metavar="MODEL", help="SDXL .safetensors, diffusers folder or hub name (sdxl-1.0)")
    parser.add_argument("--trigger", metavar="WORD", help="the word that calls it, e.g. ohwx")
    parser.add_argument("--class", dest="class_prompt", metavar="WORD", help="the everyday word for it, e.g. woman")


def import_preset_arguments(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.json", help="a preset saved by the kohya GUI")
    parser.add_argument("--out", type=Path, required=True, metavar="PLAN", help="the plan file to write")
    json_argument(parser)


def new(asked: Namespace) -> int:
    """Writes the recipe of a kind with the pictures filled in, fitted to the card that is here."""
    from engine.estimate import cards, estimate_plan
    from engine.presets import new_plan_text
    from tui.commands.estimate import steps_words, tell_findings, tell_report

    path = _free(asked.out or Path(f"{asked.kind}.toml"))
    if not os.path.exists(asked.images.expanduser()):  # noqa: PTH110 - no error where a folder above is closed
        raise PlanError(f"there is no folder {shown(asked.images)}, or none you may read: give your pictures' folder")
    seen = cards()
    text = new_plan_text(
        asked.kind, asked.images, instance_prompt=asked.trigger, class_prompt=asked.class_prompt, base=asked.base,
        vram_gb=seen[0].total / 1e9 if seen else None,
    )  # fmt: skip
    plan = plan_from_text(text, path, folder=path.parent)
    _write(path, text)
    say(f"Wrote {home_path(path)}, a plan for: {plan.subject.kind}.")
    if tell_findings(_findings(plan)):
        try:
            report = estimate_plan(plan, decode=True).report
            if tell_report(report):
                say(f"Steps: {steps_words(report)}.")
        except LorasmithError as error:
            say(f"warning: {shown(error)}")
    say(f"Rank {plan.network.rank}, {effective_words(plan)}.")
    _say_next(path, plan)
    return 0


def _say_next(path: Path, plan: Plan) -> None:
    """What is worth editing first, and the commands that follow."""
    edit = [] if plan.subject.instance_prompt and plan.subject.class_prompt else ["instance_prompt and class_prompt"]
    edit += ["base.model", "samples.prompts"]
    say(f"Look over {', '.join(edit)}; every value has its comment. Then:")
    for verb in ("estimate", "train"):
        say(f"lorasmith {verb} {home_path(path)}", indent=2, raw=True)


def import_preset(asked: Namespace) -> int:
    """Turns a kohya GUI preset into a plan and accounts for every key of it."""
    from engine.kohya_preset import import_kohya, report_lines
    from tui.commands.estimate import tell_findings

    path = _free(asked.out)
    imported = import_kohya(asked.file)
    _write(path, write_plan(imported.plan, head=f"A lorasmith plan, from the kohya preset {shown(asked.file.name)}."))
    if asked.json:
        say_json({"plan": str(path), "taken": plain(imported.taken), "left": plain(imported.left),
                  "notes": list(imported.notes)})  # fmt: skip
        return 0
    say("\n".join(report_lines(imported)), raw=True)
    say(f"\nWrote {home_path(path)}.")
    tell_findings(_findings(imported.plan))
    _say_next(path, imported.plan)
    return 0


def _findings(plan: Plan) -> list[Finding]:
    return [finding for finding in check_plan(plan) if finding.severity != "note"]


def _free(out: Path) -> Path:
    path = out.expanduser().absolute()
    if path.is_dir():
        raise PlanError(f"{shown(path)} is a folder: name the file to write, such as {shown(path / 'plan.toml')}")
    if path.exists() or path.is_symlink():
        raise PlanError(f"{shown(path)} exists and is not overwritten: choose another name with --out")
    if not path.parent.is_dir():
        raise PlanError(f"there is no folder {shown(path.parent)}: make it first, or choose another")
    return path


def _write(path: Path, text: str) -> None:
    try:
        write_atomic(path, text)
    except OSError as error:
        where = shown(path)
        raise PlanError(f"cannot write {where} ({error.strerror}): choose another folder, or make room") from error
