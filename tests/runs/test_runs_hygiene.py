from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import engine.runs

MODULES = sorted(f"engine.runs.{path.stem}" for path in Path(engine.runs.__file__).parent.glob("[a-z]*.py"))


@pytest.mark.parametrize("module", [*MODULES, "engine.__main__"])
def test_the_run_folder_needs_the_standard_library_only(module: str, environment: dict[str, str]) -> None:
    code = (
        f"import sys; before = set(sys.modules); import {module}\n"
        "print({name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)

    assert done.stdout == "{'engine'}\n", done.stderr
