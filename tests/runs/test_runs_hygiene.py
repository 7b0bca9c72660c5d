from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import engine.runs

MODULES = sorted(f"engine.runs.{path.stem}" for path in Path(engine.runs.__file__).parent.glob("[a-z]*.py"))


def test_the_run_folder_needs_the_standard_library_only(environment: dict[str, str]) -> None:
    code = (
        f"import sys; before = set(sys.modules); import {', '.join(MODULES)}, engine.__main__\n"
        "print({name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)

    assert len(MODULES) >= 8
    assert done.stdout == "{'engine'}\n", done.stderr
