"""`python -P -m engine VERB RUN_FOLDER`: the one door of the engine process."""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.environment import prepare_environment
from engine.runs.folder import RunFolder
from engine.runs.job import REFUSED, Job, run_job
from engine.runs.log import forgive_output

# What a verb runs, imported only after `started` is written: torch and its friends take seconds to load.
VERBS = {
    "train": "engine.train.recipe:run",
    "lab": "engine.lab.job:run",
    "download": "engine.base.download_job:run",
    "health": "engine.dataset.health.job:run",
    "regularize": "engine.draw.class_job:run",
    "plot": "engine.draw.plot_job:run",
    "caption": "engine.caption.job:run",
    "words": "engine.lookalike.words_job:run",
    "bank": "engine.lookalike.bank_job:run",
    "compare": "engine.compare.job:run",
}


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
    prepare_environment()
    folder = RunFolder(asked.folder.resolve())
    return run_job(folder, lambda job: _run_verb(asked.verb, job), verb=asked.verb, launch=asked.launch)


def _run_verb(verb: str, job: Job) -> object:
    module, _, function = VERBS[verb].partition(":")
    return getattr(importlib.import_module(module), function)(job)


if __name__ == "__main__":
    sys.exit(main())
