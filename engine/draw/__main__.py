"""`python -P -m engine.draw PROMPT --to FILE.png ...`: the engine's side of `lorasmith draw`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from engine.base.find import lorasmith_home
from engine.draw.order import HiresFix, size_of
from engine.draw.request import PictureRequest, check_request
from engine.environment import prepare_environment
from engine.errors import LorasmithError, shown

_CLEARED = "\r\x1b[K"  # the terminal's line, empty and from its beginning


def main() -> int:
    """Draws one picture; 0 when it is written, a sentence on stderr and 1 (130 after Ctrl-C) otherwise."""
    try:
        return _draw()
    except KeyboardInterrupt:
        print(f"{_cleared()}Stopped; no picture is written.", file=sys.stderr)
        return 130


def _draw() -> int:
    asked = _parser().parse_args()
    prepare_environment()
    try:
        request = _request(asked)
        check_request(request)  # a slip is told before torch is loaded
        from engine.draw.picture import draw_picture

        paths = draw_picture(request, said=_say, between_steps=_counting(request))
    except LorasmithError as error:
        print(f"{_cleared()}{shown(error)}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{_cleared()}{_unreachable(error, asked.to)}", file=sys.stderr)
        return 1
    print(f"{shown(paths[0])} is drawn{f', its first pass is {shown(paths[1])}' if paths[1:] else ''}.")
    return 0


def _unreachable(error: OSError, to: Path) -> str:
    """Which place failed: the picture's own, or another that the drawing needs, such as lorasmith's folder."""
    failed = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
    # A picture is written under another name beside its own, which a person should not look for.
    if failed is None or failed == to or (failed.parent == to.parent and failed.name.startswith(f".{to.stem[:80]}.")):
        return f"{shown(to)} could not be written ({error.strerror}): choose another place."
    own = lorasmith_home()
    if failed.absolute().is_relative_to(own.absolute()):
        return (
            f"{shown(failed)} could not be reached ({error.strerror}): make lorasmith's folder {shown(own)} one that "
            "can be written, or name another with LORASMITH_HOME."
        )
    return f"{shown(failed)} could not be reached ({error.strerror}): check that place and who may use it."


def lora_and_weight(said: str) -> tuple[Path, float]:
    """`FILE` or `FILE:WEIGHT`, the weight behind the last colon; a path that exists as it is written is a path."""
    path, colon, weight = said.rpartition(":")
    if not colon or Path(said).expanduser().exists():
        return Path(said).expanduser(), 1.0
    try:
        return Path(path).expanduser(), float(weight)
    except ValueError:
        return Path(said).expanduser(), 1.0


def _request(asked: argparse.Namespace) -> PictureRequest:
    stated = {
        "scale": asked.hires_scale, "denoise": asked.hires_denoise, "steps": asked.hires_steps,
        "upscaler": asked.hires_upscaler,
    }  # fmt: skip
    stated = {key: value for key, value in stated.items() if value is not None}
    hires = replace(HiresFix(), **stated) if asked.hires or stated else None
    return PictureRequest(
        prompt=asked.prompt, to=asked.to, base=asked.base, loras=tuple(map(lora_and_weight, asked.lora)),
        negative=asked.negative, seed=asked.seed, steps=asked.steps, cfg=asked.cfg,
        size=size_of(asked.size, "--size") if asked.size else None, sampler=asked.scheduler, hires=hires,
        force=asked.force,
    )  # fmt: skip


def _counting(request: PictureRequest) -> Callable[[], None]:
    """Counts the steps on a terminal, with the time left; says nothing to a pipe."""
    if not _on_terminal():
        return lambda: None
    from engine.draw.picture import evaluations
    from engine.draw.samplers import sampler_key

    sampler_key(request.sampler)
    total, begun, done = evaluations(request), time.monotonic(), 0

    def count() -> None:
        nonlocal done
        left = f", {(time.monotonic() - begun) / done * (total - done):.0f} s left" if done else ""
        done += 1
        print(f"{_CLEARED}drawing, step {done} of {total}{left}", end="" if done < total else "\n", file=sys.stderr)
        sys.stderr.flush()

    return count


def _say(sentence: str) -> None:
    print(_cleared(), end="", file=sys.stderr, flush=True)
    print(sentence, flush=True)


def _cleared() -> str:
    """What takes the count off the line before something else is said there."""
    return _CLEARED if _on_terminal() else ""


def _on_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lorasmith draw")
    parser.add_argument("prompt")
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--base", default="demo")
    parser.add_argument("--lora", action="append", default=[])
    parser.add_argument("--negative", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--cfg", type=float, default=5.0)
    parser.add_argument("--size")
    parser.add_argument("--scheduler", default="Euler")
    parser.add_argument("--hires", action="store_true")
    parser.add_argument("--hires-scale", type=float)
    parser.add_argument("--hires-denoise", type=float)
    parser.add_argument("--hires-steps", type=int)
    parser.add_argument("--hires-upscaler")
    parser.add_argument("--force", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
