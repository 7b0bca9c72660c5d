"""`python -P -m engine.lora resize|merge ...`: the engine's side of `lorasmith resize` and `lorasmith merge`.

Prints one JSON object a line: {"done", "total"} while it works, then the result. 1 with a sentence on stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from engine.environment import prepare_environment
from engine.errors import LorasmithError, shown

_EVERY = 50  # modules between two lines of progress


def main() -> int:
    """Does what was asked for and prints the result; 0 when the file is written and verified."""
    asked = _parser().parse_args()
    prepare_environment()
    try:
        result = _resize(asked) if asked.what == "resize" else _merge(asked)
    except LorasmithError as error:
        print(shown(error), file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{shown(asked.to)} could not be written ({error.strerror}): choose another place.", file=sys.stderr)
        return 1
    print(json.dumps(asdict(result) | {"path": str(result.path)}), flush=True)
    return 0


def _resize(asked: argparse.Namespace):
    from engine.lora.resize import resize

    return resize(
        asked.file, asked.to, rank=asked.rank, keep=asked.keep, precision=asked.precision, force=asked.force,
        progress=_progress,
    )  # fmt: skip


def _merge(asked: argparse.Namespace):
    from engine.lora.merge import Source, merge

    sources = [Source(Path(path), float(weight)) for path, weight in asked.source]
    return merge(
        sources, asked.to, rank=asked.rank, precision=asked.precision, force=asked.force, progress=_progress
    )  # fmt: skip


def _progress(done: int, total: int) -> None:
    if done % _EVERY == 0:
        print(json.dumps({"done": done, "total": total}), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -P -m engine.lora")
    verbs = parser.add_subparsers(dest="what", required=True)
    resize, merge = verbs.add_parser("resize"), verbs.add_parser("merge")
    resize.add_argument("file", type=Path)
    resize.add_argument("--keep", type=float)
    merge.add_argument("--source", nargs=2, action="append", required=True, metavar=("FILE", "WEIGHT"))
    for one in (resize, merge):
        one.add_argument("--to", type=Path, required=True)
        one.add_argument("--rank", type=int)
        one.add_argument("--precision", choices=("fp16", "bf16", "fp32"))
        one.add_argument("--force", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
