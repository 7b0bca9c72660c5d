"""The wizard's half of the captions room loads in milliseconds and without a model library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LIGHT = ("edit", "front", "journal", "kinds", "plan", "search", "store", "tokens")


def test_reading_and_editing_captions_loads_no_model_library() -> None:
    code = (
        "import sys, time\nbegun = time.process_time()\n"
        + "".join(f"import engine.caption.{name}\n" for name in LIGHT)
        + "print(time.process_time() - begun, *{name.partition('.')[0] for name in sys.modules})"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    seconds, *loaded = done.stdout.split()
    assert not {"torch", "transformers", "diffusers", "safetensors", "onnxruntime", "textual"} & set(loaded)
    assert float(seconds) < 0.5
