"""Requests from terminals to the engine: one small file each, created by rename, taken in order."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import RunError, shown
from engine.files import write_atomic
from engine.runs.folder import RunFolder
from engine.runs.lock import lock_holder

VERBS = ("stop", "save", "pause", "resume", "sample")
_NAME = re.compile(r"(\d+)-[0-9a-z-]+\.json")
_LARGEST = 64 * 1024


@dataclass(frozen=True)
class Request:
    """What a terminal asked for, with its payload (`stop` has `now`: True = without saving)."""

    verb: str
    payload: dict[str, object] = field(default_factory=dict)


def request(folder: RunFolder, verb: str, **payload: object) -> None:
    """Asks the run's engine for something; it acts between two steps and answers with an event.

    RunError: unknown verb, no engine alive to hear it, or the folder cannot be written.
    """
    if verb not in VERBS:
        raise RunError(f"'{shown(verb)}' is not a request: there are {', '.join(VERBS)}")
    if lock_holder(folder) is None:
        raise RunError(
            f"the run {shown(folder.name)} is not running, so there is nothing to {verb}: "
            f"`lorasmith resume {shown(folder.name)}` starts it again"
        )
    try:
        folder.control.mkdir(mode=0o700, exist_ok=True)
        # Numbered, not timed: a clock that jumps must not reorder two requests.
        number = 1 + max(_waiting(folder), default=(0, ""))[0]
        name = f"{number:06d}-{os.urandom(4).hex()}-{verb}.json"
        write_atomic(folder.control / name, json.dumps({"v": 1, "verb": verb, **payload}))
    except OSError as error:
        raise RunError(
            f"cannot leave a request in {shown(folder.control)} ({error.strerror}): "
            "ask as the user the run belongs to, or make room on that disk"
        ) from error


def take_requests(folder: RunFolder, report: Callable[[str], None] | None = None) -> list[Request]:
    """Removes and returns the requests that wait, oldest first; for the engine only.

    One that cannot be read is renamed to `<name>.unreadable`; `report` gets a sentence about it.
    """
    taken = []
    for _, name in sorted(_waiting(folder)):
        path = folder.control / name
        try:
            asked = _read(path)
            path.unlink()  # before it is obeyed: at most once, whatever happens next
            taken.append(asked)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            _set_aside(path)
            why = error.strerror if isinstance(error, OSError) else error
            if report is not None:
                report(f"the request {shown(name)} in control/ was set aside unread: {shown(why)}")
    return taken


def clear_requests(folder: RunFolder) -> None:
    """Forgets requests meant for an engine that is gone, so that an old `stop` does not end a new start."""
    take_requests(folder)


def _waiting(folder: RunFolder) -> list[tuple[int, str]]:
    try:
        names = [path.name for path in folder.control.iterdir()]
    except FileNotFoundError:
        return []
    # Names beginning with a dot are being written; anything else that is not ours is left alone.
    return [(int(match[1]), name) for name in names if (match := _NAME.fullmatch(name))]


def _read(path: Path) -> Request:
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"larger than {_LARGEST} bytes")
    said = json.loads(data)
    verb = said.pop("verb", None) if isinstance(said, dict) else None
    if verb not in VERBS:
        raise ValueError(f"no verb among {', '.join(VERBS)}")
    said.pop("v", None)
    return Request(verb, said)


def _set_aside(path: Path) -> None:
    try:
        path.rename(path.with_name(path.name + ".unreadable"))
    except OSError:
        # A disk turned read-only: the file stays, and is reported once by the job.
        return
