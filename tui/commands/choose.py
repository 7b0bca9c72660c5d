"""`lorasmith choose`: makes one epoch the LoRA, and says how to fetch it."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path

from engine.errors import shown
from tui.arguments import Parser, json_argument, named, positive
from tui.fetching import fetch_command
from tui.text import home_path, say, say_json, size

_BESIDE = {
    "preview": "its preview",
    "words and weight": "what A1111 and Forge show of it",
    "card": "what it is, why, and how to use it",
    "samples": "pictures for the card",
    "page": "the comparison, in any browser",
}


def choose_arguments(parser: Parser) -> None:
    parser.add_argument("run", type=named, metavar="RUN", help="a comparison, or the run that was trained")
    parser.add_argument("--epoch", type=positive, metavar="N", help="which one (the comparison's choice)")
    parser.add_argument("--weight", type=_weight, metavar="W", help="the weight to use it at (what was measured best)")
    parser.add_argument("--to", type=Path, metavar="PLACE",
                        help="a folder, or the .safetensors file to write (the folder loras beside runs)")  # fmt: skip
    parser.add_argument("--name", default="", metavar="NAME", help="what to call it (the plan's name)")
    parser.add_argument("--alone", action="store_true", help="write the LoRA's file and nothing beside it")
    parser.add_argument("--force", action="store_true", help="overwrite files of that name; take what is broken")
    json_argument(parser)


def choose(asked: Namespace) -> int:
    """Writes the LoRA with its card, preview and page."""
    from engine.compare.export import choose as export

    done = export(
        asked.run, asked.epoch, asked.weight, asked.to, asked.name, force=asked.force, alone=asked.alone
    )
    if asked.json:
        say_json(done.as_json())
        return 0
    why = "" if asked.epoch is not None else ", the comparison's choice,"
    called = shown(f"{done.called[:1].upper()}{done.called[1:]}" if done.called.startswith("epoch ") else done.called)
    say(f"{called}{why} is your LoRA: {home_path(done.file)}, {size(done.file.stat().st_size)}.")
    if done.recommended:
        where = "; the card says why" if "card" in done.beside else ""
        say(f"The comparison recommends another, {shown(done.recommended)}{where}.")
    words = f"Trigger words: {shown(done.trigger)}. " if done.trigger else "It has no trigger words. "
    say(f"{words}Use it at weight {done.weight:g}.")
    for what, path in done.beside.items():
        say(f"{shown(path.name)}: {_BESIDE[what]}", indent=2, hang=4)
    for note in done.notes:
        say(f"Note: {shown(note)}", hang=6)
    say("Pictures made with it are AI-generated: say so wherever you show them.")
    say(f"To fetch it{' with all that belongs to it' if done.beside else ''}, type on your own computer:")
    say(fetch_command(done.file.with_name(f"{done.name}.*") if done.beside else done.file), indent=2, raw=True)
    return 0


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no weight, such as 0.8") from None
