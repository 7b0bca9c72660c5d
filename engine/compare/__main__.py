"""`python -P -m engine.compare VERB FOLDER ...`: deciding anew, a vote, the choice. Draws nothing, loads no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.errors import LorasmithError, shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Does it, and prints the report (--json) or its first sentence; 1 with a sentence on stderr otherwise."""
    asked = _parser().parse_args(arguments)
    try:
        return asked.does(asked)
    except LorasmithError as error:
        print(shown(error), file=sys.stderr)
    except OSError as error:
        print(f"{shown(asked.folder)} could not be written ({error.strerror}): make room there.", file=sys.stderr)
    return 1


def _decide(asked: argparse.Namespace) -> int:
    from engine.compare.again import decide_again

    return _tell(asked, decide_again(_folder(asked.folder), asked.lean))


def _vote(asked: argparse.Namespace) -> int:
    from engine.compare.again import vote
    from engine.compare.judging import parsed_point

    left, right = parsed_point(asked.left), parsed_point(asked.right)
    if left == right:
        raise LorasmithError("A vote is between two different points.")
    return _tell(asked, vote(_folder(asked.folder), left, right, asked.better, asked.name))


def _unvote(asked: argparse.Namespace) -> int:
    from engine.compare.again import unvote

    taken, report = unvote(_folder(asked.folder), asked.name)
    if asked.json:
        return _tell(asked, report)
    left = f"{report.votes} vote{'' if report.votes == 1 else 's'} left."
    print(f"Taken back. {left}" if taken else f"That vote was taken back already. {left}")
    return 0


def _choose(asked: argparse.Namespace) -> int:
    import json

    from engine.compare.export import choose

    done = choose(_folder(asked.folder), asked.epoch, asked.weight, asked.to, asked.name, force=asked.force)
    print(json.dumps(done.as_json()) if asked.json else shown(done.file))
    return 0


def _folder(path: Path) -> Path:
    """A comparison's folder, given itself or as the run it lies in."""
    return path / "compare" if (path / "compare" / "report.json").is_file() else path


def _tell(asked: argparse.Namespace, report: object) -> int:
    from engine.compare.report import Report, report_text

    assert isinstance(report, Report)
    if asked.json:
        sys.stdout.write(report_text(report))
    else:
        print(shown(report.words[0].text if report.words else "Nothing is measured yet."))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -P -m engine.compare")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    decide = verbs.add_parser("decide", help="decide on what is measured")
    decide.add_argument("folder", type=Path)
    decide.add_argument("--lean", type=float, help="below 1 towards fidelity, above 1 towards flexibility")
    decide.add_argument("--json", action="store_true")
    decide.set_defaults(does=_decide)
    vote = verbs.add_parser("vote", help="which of two points is better: left, right or same")
    vote.add_argument("folder", type=Path)
    vote.add_argument("left", help="a point: 4, or 4@0.8")
    vote.add_argument("right")
    vote.add_argument("better", choices=("left", "right", "same"))
    vote.add_argument("--name", default="", help="by which it can be taken back")
    vote.add_argument("--json", action="store_true")
    vote.set_defaults(does=_vote)
    unvote = verbs.add_parser("unvote", help="take a vote back, the last one where none is named")
    unvote.add_argument("folder", type=Path)
    unvote.add_argument("--name", default="")
    unvote.add_argument("--json", action="store_true")
    unvote.set_defaults(does=_unvote)
    choose = verbs.add_parser("choose", help="make one checkpoint the LoRA")
    choose.add_argument("folder", type=Path)
    choose.add_argument("--epoch", type=int, help="the checkpoint's number; the choice's, if left out")
    choose.add_argument("--weight", type=float)
    choose.add_argument("--to", type=Path, help="a folder, or the file to write")
    choose.add_argument("--name", default="")
    choose.add_argument("--force", action="store_true", help="overwrite files of that name")
    choose.add_argument("--json", action="store_true", help="print what was written, not the report")
    choose.set_defaults(does=_choose)
    return parser


if __name__ == "__main__":
    sys.exit(main())
