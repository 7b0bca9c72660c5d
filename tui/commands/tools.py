"""`lorasmith bench` and `lorasmith draw`: work that needs torch, done by a process of its own."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from engine.errors import LorasmithError
from engine.runs.launch import engine_environment
from tui.arguments import Parser, json_argument, positive

_WANTED = {signal.SIGINT, signal.SIGPIPE}  # Ctrl-C, and a reader that has heard enough


def bench_arguments(parser: Parser) -> None:
    parser.add_argument("--real", action="store_true", help="at the real SDXL shape with random weights (CUDA)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the figures there as JSON")
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    json_argument(parser)


def draw_arguments(parser: Parser) -> None:
    parser.add_argument("prompt", metavar="PROMPT")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE.png")
    parser.add_argument("--base", default="demo", metavar="MODEL", help="what to draw with (demo)")
    parser.add_argument("--lora", action="append", default=[], metavar="FILE[:WEIGHT]",
                        help="a LoRA to draw with, and how strongly (1); may be given several times")  # fmt: skip
    parser.add_argument("--negative", metavar="PROMPT", help="what the picture should not show")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="one seed, one picture; -1 takes any (0)")
    parser.add_argument("--steps", type=positive, metavar="N", help="sampling steps")
    parser.add_argument("--cfg", type=float, metavar="X", help="how strictly the prompt is followed")
    parser.add_argument("--size", metavar="WxH", help="in pixels, e.g. 1024x1024")
    parser.add_argument("--scheduler", metavar="NAME", help="such as 'Euler a' or 'DPM++ 2M Karras' (Euler)")
    parser.add_argument("--hires", action="store_true",
                        help="a second pass, larger and partly drawn anew; implied by what follows")  # fmt: skip
    parser.add_argument("--hires-scale", type=float, metavar="X", help="how much larger it is (1.5)")
    parser.add_argument("--hires-denoise", type=float, metavar="X", help="how much is drawn anew, 0 to 1 (0.4)")
    parser.add_argument("--hires-steps", type=positive, metavar="N", help="steps it makes (as many as the first)")
    parser.add_argument("--hires-upscaler", metavar="NAME",
                        help="Lanczos, Latent, ... or an upscaling model's file (Lanczos)")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="overwrite FILE.png")


def bench(asked: Namespace) -> int:
    """Measures this machine; the figures are the bench's own output."""
    options = ["--json"] if asked.json else []
    options += ["--real"] if asked.real else []
    options += ["--out", str(asked.out.expanduser().absolute())] if asked.out else []
    options += ["--force"] if asked.force else []
    return _engine("bench", options)


def draw(asked: Namespace) -> int:
    """Draws one picture."""
    options = [f"--to={asked.to.expanduser().absolute()}", f"--seed={asked.seed}", f"--base={asked.base}"]
    options += [f"--lora={Path(said).expanduser().absolute()}" for said in asked.lora]
    options += [f"--negative={asked.negative}"] if asked.negative else []
    options += [f"--steps={asked.steps}"] if asked.steps else []
    options += [f"--cfg={asked.cfg}"] if asked.cfg is not None else []
    options += [f"--size={asked.size}"] if asked.size else []
    options += [f"--scheduler={asked.scheduler}"] if asked.scheduler else []
    options += ["--hires"] if asked.hires else []
    for name in ("scale", "denoise", "steps", "upscaler"):
        value = getattr(asked, f"hires_{name}")
        options += [] if value is None else [f"--hires-{name}={value}"]
    options += ["--force"] if asked.force else []
    return _engine("draw", [*options, "--", asked.prompt])


def _engine(part: str, options: list[str]) -> int:
    """Runs `python -P -m engine.PART`; its output is this command's, and Ctrl-C reaches it by the terminal."""
    if importlib.util.find_spec(f"engine.{part}.__main__") is None:
        raise LorasmithError(f"this installation has no engine.{part}; install lorasmith again")
    process = subprocess.Popen([sys.executable, "-P", "-m", f"engine.{part}", *options], env=engine_environment({}))
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
    if code < 0 and -code not in _WANTED:
        raise LorasmithError(_ended(-code))
    return code


def _ended(number: int) -> str:
    """What is to be said of a process that a signal has ended, as it could not say it itself."""
    if number == signal.SIGKILL:
        return "The system ended the engine, most likely as memory ran out: ask for less, or close other programs."
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"The engine was ended from outside or by a fault of its own ({name}): try it again."
