"""What the screens have computed for them, each by a short-lived process: deciding anew, a vote, the choice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engine.errors import LorasmithError, shown
from engine.runs.launch import engine_environment

_SECONDS = 120.0  # a large comparison on a slow disk; it takes one or two


def ask_engine(verb: str, folder: Path, *arguments: str) -> str:
    """Runs `engine.compare VERB FOLDER ...`, which writes the report anew; gives what it printed.

    Blocks: for threads. LorasmithError with its own sentence where it could not be done.
    """
    command = [sys.executable, "-P", "-m", "engine.compare", verb, str(folder), *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_SECONDS,
            env=engine_environment({}), check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise LorasmithError(
            f"It took longer than {_SECONDS:.0f} s and was given up: try again when the machine is less busy."
        ) from None
    except OSError as error:
        raise LorasmithError(f"Python could not be started for it ({error.strerror}).") from None
    if done.returncode == 0:
        return done.stdout.strip()
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    # The last line of what went wrong unforeseen is the one that tells something.
    raise LorasmithError(shown(said[-1]) if said else f"It ended without saying why (code {done.returncode}).")
