"""The selector decides without torch; its prompts are read without numpy, for the wizard."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("modules", "absent"),
    [("prompts families", "torch numpy PIL"), ("record words presignals", "torch peft diffusers transformers PIL")],
)
def test_what_is_loaded(modules, absent):
    wanted = "; ".join(f"import engine.select.{module}" for module in modules.split())
    code = f"{wanted}; import sys; print(sorted(set({absent!r}.split()) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
