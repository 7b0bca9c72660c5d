"""The parts of the adapter's room that the terminal uses load without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = ("sizes", "lora.names", "lora.metadata", "lora.readers", "lora.alphas", "lora.damage", "lora.weights")


@pytest.mark.parametrize("module", [f"engine.{name}" for name in LIGHT])
def test_light_modules_do_not_load_torch(module):
    code = f"import {module}, sys; print(sorted({{'torch', 'peft', 'numpy', 'diffusers', 'PIL'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
