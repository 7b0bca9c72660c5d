"""The parts of the adapter's room that the terminal uses load without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["engine.sizes", "engine.lora.names", "engine.lora.metadata", "engine.lora.readers"])
def test_light_modules_do_not_load_torch(module):
    code = f"import {module}, sys; print(sorted({{'torch', 'peft', 'numpy', 'diffusers', 'PIL'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
