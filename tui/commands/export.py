"""`lorasmith export`: one checkpoint, copied to where it is wanted, and the command that fetches it."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import shutil
import socket
from argparse import Namespace
from pathlib import Path

from engine.base.header import read_header
from engine.errors import BaseModelError, PlanError, RunError, shown
from engine.files import atomic_path
from engine.plan_file import read_plan
from engine.runs.folder import RunFolder, find_run
from tui.arguments import Parser, positive, run_argument
from tui.text import home_path, say, size

_EPOCH = re.compile(r"[^.].*-(\d{6})\.safetensors")


def export_arguments(parser: Parser) -> None:
    run_argument(parser)
    parser.add_argument("--epoch", type=positive, required=True, metavar="N", help="which checkpoint")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="the file (or folder) to write it to")
    parser.add_argument("--force", action="store_true", help="overwrite FILE")


def export(asked: Namespace) -> int:
    """Copies the checkpoint of an epoch; never over a file that is there, unless told to."""
    run = find_run(asked.run)
    source = checkpoint_of(run, asked.epoch)
    target = _target(asked.to, source, asked.force)
    try:
        written = read_header(source).size_bytes
    except BaseModelError as error:
        raise RunError(f"the checkpoint cannot be exported: {error}") from None
    try:
        with atomic_path(target) as beside:
            shutil.copyfile(source, beside)
    except OSError as error:
        raise RunError(
            f"cannot write {shown(target)} ({error.strerror}): choose a folder you can write to, or make room"
        ) from error
    words = trigger_words(run)
    say(f"Exported epoch {asked.epoch} of {shown(run.name)}: {home_path(target)}, {size(written)}.")
    say(f"Trigger words: {words}." if words else "The plan names no trigger words.")
    say("To fetch it, type on your own computer:")
    say(fetch_command(target), indent=2, raw=True)
    return 0


def checkpoint_of(run: RunFolder, epoch: int) -> Path:
    """The checkpoint file of an epoch; RunError names the epochs there are."""
    found = checkpoints(run)
    if epoch in found:
        return found[epoch]
    if not found:
        raise RunError(
            f"the run {shown(run.name)} has no checkpoint yet: `lorasmith status {shown(run.name)}` says why"
        )
    raise RunError(
        f"the run {shown(run.name)} has no checkpoint of epoch {epoch}: there are {_ranges(sorted(found))}"
    )


def checkpoints(run: RunFolder) -> dict[int, Path]:
    """The checkpoint files of whole epochs, by epoch; those saved on request in between are named by their step."""
    if not run.checkpoints.is_dir():
        return {}
    matches = ((_EPOCH.fullmatch(path.name), path) for path in run.checkpoints.iterdir())
    return {int(match[1]): path for match, path in matches if match}


def trigger_words(run: RunFolder) -> str:
    """The words that call the LoRA, from its plan; empty where the plan has none or cannot be read."""
    try:
        subject = read_plan(run.plan).subject
    except PlanError:
        return ""
    return shown(" ".join(part for part in (subject.instance_prompt, subject.class_prompt) if part))


def fetch_command(path: Path) -> str:
    """The `scp` line that fetches a file to the person's computer, by the address they logged in with."""
    client = os.environ.get("SSH_CONNECTION", "").split()
    host, port = (client[2], client[3]) if len(client) == 4 else (socket.gethostname(), "22")
    host = f"[{host}]" if ":" in host else host
    option = "" if port == "22" else f"-P {shlex.quote(port)} "
    return f"scp {option}{shlex.quote(f'{_user()}@{host}:{shown(path)}')} ."


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())  # a container's user without an entry in the password file


def _target(to: Path, source: Path, force: bool) -> Path:
    path = to.expanduser()
    path = (path / source.name if path.is_dir() else path).absolute()
    if path.suffix != ".safetensors":
        raise RunError(f"{shown(path)} does not end in .safetensors, so no program would find it: add that ending")
    if not path.parent.is_dir():
        raise RunError(f"there is no folder {shown(path.parent)}: make it first, or choose another")
    if path.exists() and not force:
        raise RunError(f"{shown(path)} exists: choose another name, or add --force to overwrite it")
    return path


def _ranges(epochs: list[int]) -> str:
    """'1 to 4 and 6'."""
    parts: list[list[int]] = []
    for epoch in epochs:
        if parts and epoch == parts[-1][-1] + 1:
            parts[-1].append(epoch)
        else:
            parts.append([epoch])
    words = [f"{part[0]} to {part[-1]}" if len(part) > 1 else str(part[0]) for part in parts]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
