"""`python -P -m engine VERB RUN_FOLDER`: the one door of the engine process."""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.runs.folder import RunFolder
from engine.runs.job import REFUSED, Job, run_job
from engine.runs.log import forgive_output

# What a verb runs, imported only after `started` is written: torch and its friends take seconds to load.
VERBS = {
    "train": "engine.train.recipe:run",
    "lab": "engine.lab.job:run",
}

_ENVIRONMENT = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}
# Either name is a person's own setting. Ours goes by the second: torch before 2.9 knows no other, and 2.9.1
# ignores this option under the first (pytorch issue 183387). Some versions warn of it in the log.
_ALLOCATOR = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one job and returns the exit code; see engine.runs.job.run_job."""
    parser = argparse.ArgumentParser(prog="python -P -m engine", exit_on_error=False, add_help=False)
    parser.add_argument("verb", choices=sorted(VERBS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--launch")
    try:
        asked = parser.parse_args(arguments)
    except (argparse.ArgumentError, SystemExit) as error:
        print(json.dumps({"refused": f"the engine cannot be started like this: {error}"}), flush=True)
        return REFUSED
    forgive_output()
    # A crash inside a library leaves its stack in engine.log, which is all that a died run can tell.
    faulthandler.enable()
    _prepare_environment()
    folder = RunFolder(asked.folder.resolve())
    return run_job(folder, lambda job: _run_verb(asked.verb, job), verb=asked.verb, launch=asked.launch)


def _run_verb(verb: str, job: Job) -> object:
    module, _, function = VERBS[verb].partition(":")
    return getattr(importlib.import_module(module), function)(job)


def _prepare_environment() -> None:
    """Settings that libraries read when they are imported; what a person has set stays."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not any(name in os.environ for name in _ALLOCATOR):
        os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"


if __name__ == "__main__":
    sys.exit(main())
