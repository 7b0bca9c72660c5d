"""What works on this machine, what does not, and what to do: the findings behind `lorasmith doctor`.

Light: torch is looked at by a process of its own (`python -P -m engine.doctor`), because it takes seconds to load
and, broken, may take its process with it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import locale
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.base.find import SHORT_NAMES, cached_snapshot, find_bases
from engine.errors import shown
from engine.estimate import Card, cards
from engine.runs.folder import home
from engine.runs.launch import engine_environment

State = Literal["ok", "note", "warning", "problem"]

PACKAGES = (
    "torch", "diffusers", "transformers", "tokenizers", "peft", "accelerate", "bitsandbytes", "safetensors",
    "huggingface_hub", "prodigyopt", "pillow", "pillow-heif", "nvidia-ml-py", "tomlkit", "numpy", "textual", "rich",
)  # fmt: skip
_TORCH_SECONDS = 180.0
_QUESTION_SECONDS = 5.0
_LEAST_DISK = 20e9  # an SDXL base is 6.9 GB, ten checkpoints 1.7 GB, their state and caches another
_LEAST_MEMORY = 12e9  # a single-file base in 16 bits and the process around it


@dataclass(frozen=True)
class Finding:
    """One fact about the machine; `advice` says what to do where something is to be done."""

    area: str
    state: State
    fact: str
    advice: str = ""


def examine() -> tuple[Finding, ...]:
    """Every finding, in the order they are shown; takes as long as loading torch does."""
    torch_facts = look_at_torch()
    parts = (python(), packages(), torch_findings(torch_facts), graphics(torch_facts), memory(), disk(),
             bases(), terminal(os.environ), logins())  # fmt: skip
    return tuple(finding for part in parts for finding in part)


def python() -> Iterator[Finding]:
    version = platform.python_version()
    fact = f"{version} on {platform.system()} {platform.machine()}, {os.cpu_count()} processor cores"
    yield Finding("Python", "ok", fact)


def packages() -> Iterator[Finding]:
    """One finding for what is there, one for each that is missing."""
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    yield Finding("packages", "ok" if not missing else "note", ", ".join(found))
    for name in missing:
        yield Finding("packages", "problem", f"{name} is not installed", "install lorasmith again with pip")


def look_at_torch() -> dict[str, Any]:
    """What `python -P -m engine.doctor` says; {"error": a sentence} where torch cannot be loaded."""
    command = [sys.executable, "-P", "-m", "engine.doctor"]
    try:
        answer = subprocess.run(
            command, env=engine_environment({}), capture_output=True, text=True, errors="replace",
            timeout=_TORCH_SECONDS, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"loading torch took longer than {_TORCH_SECONDS:.0f} s"}
    for line in reversed(answer.stdout.splitlines()):
        with contextlib.suppress(ValueError):
            facts = json.loads(line)
            if isinstance(facts, dict):
                return facts
    last = next((line.strip() for line in reversed(answer.stderr.splitlines()) if line.strip()), "")
    how = f"ended with code {answer.returncode}" if answer.returncode >= 0 else f"was killed by {-answer.returncode}"
    return {"error": f"a process that loads torch {how}{': ' + last if last else ''}"}


def torch_findings(facts: Mapping[str, Any]) -> Iterator[Finding]:
    if "error" in facts:
        yield Finding("torch", "problem", shown(facts["error"]), "install torch again, as pytorch.org says")
        return
    build = f", built for CUDA {facts['cuda']}" if facts.get("cuda") else ", without CUDA"
    yield Finding("torch", "ok", f"{facts.get('version')}{build}, {facts.get('threads')} threads")


def graphics(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """The cards the driver shows, and whether torch can use them."""
    seen: tuple[Card, ...] = cards()
    for card in seen:
        total, free = card.total / 2**30, (card.total - card.used) / 2**30
        state: State = "ok" if free > 0.5 * total else "warning"
        advice = "" if state == "ok" else "another program holds much of it: end that before training"
        fact = f"{shown(card.name)}, {total:.1f} GiB, {free:.1f} GiB free, driver {shown(card.driver)}"
        yield Finding("GPU", state, fact, advice)
    devices = facts.get("devices", [])
    if not seen and not devices:
        yield Finding(
            "GPU", "note", "no NVIDIA driver or card is seen",
            "the demo and `check` work without; a real training needs a card with 8 GB or more",
        )  # fmt: skip
    if seen and "error" not in facts and not facts.get("available"):
        reason = "this torch was built without CUDA" if not facts.get("cuda") else "torch cannot use the driver"
        yield Finding("GPU", "problem", f"the card is there, but {reason}",
                      "install a torch for CUDA that the driver is new enough for (see pytorch.org)")  # fmt: skip
    for device in devices:
        if device.get("bf16"):
            fact = f"{shown(device.get('name'))}: bf16, compute capability {device.get('capability')}"
            yield Finding("GPU", "ok", fact)
        else:
            yield Finding("GPU", "note", f"{shown(device.get('name'))} has no native bf16", "trains in fp16 instead")


def memory() -> Iterator[Finding]:
    """Main memory: the machine's, or the container's share of it."""
    total = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    limit = _container_limit()
    where = "of this container" if limit is not None and limit < total else "of this machine"
    total = min(total, limit) if limit is not None else total
    fact = f"{total / 1e9:.1f} GB {where}"
    if total < _LEAST_MEMORY:
        yield Finding("memory", "warning", fact, "loading an SDXL base wants 12 GB; the demo needs 2 GB")
    else:
        yield Finding("memory", "ok", fact)


def _container_limit() -> float | None:
    for path in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        try:
            text = path.read_text("ascii").strip()
        except (OSError, ValueError):
            continue
        return float(text) if text.isdigit() else None
    return None


def disk() -> Iterator[Finding]:
    """Room where runs are kept, and whether it can be written to."""
    place = home()
    # os.path: what lies in a closed folder is not there, instead of an error.
    there = next((path for path in (place, *place.parents) if os.path.exists(path)), Path("/"))  # noqa: PTH110
    if not os.access(there, os.W_OK | os.X_OK):
        fact = f"{shown(there)} cannot be written to"
        yield Finding("disk", "problem", fact, "set LORASMITH_HOME to a folder of yours")
        return
    free = shutil.disk_usage(there).free
    fact = f"{free / 1e9:.1f} GB free for {shown(place)}"
    if free < _LEAST_DISK:
        yield Finding("disk", "warning", fact, "a base and a run want 20 GB; set LORASMITH_HOME to a larger disk")
    else:
        yield Finding("disk", "ok", fact)


def bases() -> Iterator[Finding]:
    """SDXL models that lie here already."""
    found = find_bases()
    for base in found:
        yield Finding("base model", "ok", f"{shown(base.name)}, {base.size_bytes / 1e9:.1f} GB: {shown(base.path)}")
    if not found and cached_snapshot(SHORT_NAMES["sdxl-1.0"]) is None:
        yield Finding("base model", "note", "none found in the usual places",
                      "`sdxl-1.0` is downloaded when a training first needs it (6.9 GB)")  # fmt: skip


def terminal(environment: Mapping[str, str]) -> Iterator[Finding]:
    """What the terminal says of itself; nothing is asked of it."""
    size = shutil.get_terminal_size()
    parts = [f"TERM {shown(environment.get('TERM') or 'not set')}"]
    if environment.get("COLORTERM"):
        parts.append(f"COLORTERM {shown(environment['COLORTERM'])}")
    parts.append(f"{size.columns}x{size.lines}")
    inside = [name for name, mark in (("tmux", "TMUX"), ("screen", "STY"), ("SSH", "SSH_CONNECTION"))
              if environment.get(mark)]  # fmt: skip
    parts += [f"in {name}" for name in inside]
    encoding = locale.getpreferredencoding(False)
    parts.append(encoding)
    fact = ", ".join(parts)
    if encoding.lower().replace("-", "") != "utf8":
        yield Finding("terminal", "warning", fact, "set LANG to a UTF-8 locale, for example C.UTF-8")
    elif size.columns < 80 or size.lines < 24:
        yield Finding("terminal", "warning", fact, "make it at least 80 columns by 24 lines")
    elif environment.get("TERM") in (None, "", "dumb"):
        yield Finding("terminal", "note", fact, "a plain terminal: every verb prints plain lines")
    else:
        yield Finding("terminal", "ok", fact)


def logins() -> Iterator[Finding]:
    """Whether logging out kills what was started, as systemd can be told to."""
    kills = _kills_user_processes()
    if kills is None:
        yield Finding("log-out", "ok", "a training outlives the connection (no systemd login manager is asked here)")
    elif not kills:
        yield Finding("log-out", "ok", "a training outlives the connection (KillUserProcesses=no)")
    else:
        first = "" if _lingers() else "`loginctl enable-linger`, then "
        fact = "systemd ends what you started when you log out (KillUserProcesses=yes)"
        yield Finding("log-out", "warning", fact, f"{first}start with `systemd-run --user --scope lorasmith ...`")


def _kills_user_processes() -> bool | None:
    manager = "org.freedesktop.login1"
    asked = ("busctl", "get-property", manager, "/org/freedesktop/login1", f"{manager}.Manager", "KillUserProcesses")
    said = _answer(*asked)
    return {"b true": True, "b false": False}.get(said)


def _lingers() -> bool:
    return _answer("loginctl", "show-user", str(os.getuid()), "--property=Linger") == "Linger=yes"


def _answer(*command: str) -> str:
    """A command's output; empty where it is not there or has nothing to say."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_QUESTION_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _torch_facts() -> dict[str, Any]:
    """Only in the process of its own: what torch says of itself and of the cards it can use."""
    import torch

    facts: dict[str, Any] = {
        "version": torch.__version__,
        "cuda": torch.version.cuda or torch.version.hip,
        "threads": torch.get_num_threads(),
        "available": torch.cuda.is_available(),
        "devices": [],
    }
    if facts["available"]:
        for index in range(torch.cuda.device_count()):
            major, minor = torch.cuda.get_device_capability(index)
            device = {"name": torch.cuda.get_device_name(index), "capability": f"{major}.{minor}", "bf16": major >= 8}
            facts["devices"].append(device)
    return facts


if __name__ == "__main__":
    try:
        print(json.dumps(_torch_facts()))
    except Exception as failure:  # a broken torch raises anything; the sentence is what is wanted
        print(json.dumps({"error": f"torch cannot be loaded ({type(failure).__name__}: {failure})"}))
