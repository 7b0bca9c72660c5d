"""`lorasmith bench` and `lorasmith draw`: work that needs torch, done by a process of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from argparse import Namespace

from engine.errors import LorasmithError
from engine.runs.launch import engine_environment


def bench(asked: Namespace) -> int:
    """Measures this machine; the figures are the bench's own output."""
    options = ["--json"] if asked.json else []
    options += ["--real"] if asked.real else []
    options += ["--out", str(asked.out.expanduser().absolute())] if asked.out else []
    return _engine("bench", options)


def draw(asked: Namespace) -> int:
    """Draws one picture."""
    options = [f"--to={asked.to.expanduser().absolute()}", f"--seed={asked.seed}", f"--base={asked.base}"]
    options += [f"--lora={asked.lora.expanduser().absolute()}"] if asked.lora else []
    options += [f"--negative={asked.negative}"] if asked.negative else []
    options += [f"--steps={asked.steps}"] if asked.steps else []
    options += [f"--cfg={asked.cfg}"] if asked.cfg is not None else []
    options += [f"--size={asked.size}"] if asked.size else []
    return _engine("draw", [*options, "--", asked.prompt])


def _engine(part: str, options: list[str]) -> int:
    """Runs `python -P -m engine.PART`; its output is this command's, and Ctrl-C reaches it by the terminal."""
    if importlib.util.find_spec(f"engine.{part}.__main__") is None:
        raise LorasmithError(f"this installation has no engine.{part}; install lorasmith again")
    process = subprocess.Popen([sys.executable, "-P", "-m", f"engine.{part}", *options], env=engine_environment({}))
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
