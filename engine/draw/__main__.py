"""`python -P -m engine.draw PROMPT --to FILE.png ...`: the engine's side of `lorasmith draw`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engine.environment import prepare_environment
from engine.errors import LorasmithError, shown


def main() -> int:
    """Draws one picture; 0 when it is written, 1 with a sentence on stderr otherwise."""
    asked = _parser().parse_args()
    prepare_environment()
    from engine.draw.picture import PictureRequest, draw_picture

    request = PictureRequest(
        prompt=asked.prompt, to=asked.to, base=asked.base, lora=asked.lora, negative=asked.negative,
        seed=asked.seed, steps=asked.steps, cfg=asked.cfg, size=asked.size,
    )  # fmt: skip
    try:
        said = draw_picture(request)
    except LorasmithError as error:
        print(shown(error), file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{shown(asked.to)} could not be written ({error.strerror}): choose another place.", file=sys.stderr)
        return 1
    print(f"{said} {shown(asked.to)} is drawn.".strip())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lorasmith draw")
    parser.add_argument("prompt")
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--base", default="demo")
    parser.add_argument("--lora", type=Path)
    parser.add_argument("--negative", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--cfg", type=float, default=5.0)
    parser.add_argument("--size", type=_size)
    return parser


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, e.g. 1024x768")
    return int(width), int(height)


if __name__ == "__main__":
    sys.exit(main())
