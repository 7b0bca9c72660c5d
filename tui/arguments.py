"""What verbs share on the command line: the parser that speaks one sentence, and arguments of several verbs."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from tui.text import say


class Parser(argparse.ArgumentParser):
    """argparse that speaks one safe sentence of 80 columns instead of every verb in one line."""

    def __init__(self, **settings: object) -> None:
        settings.setdefault("formatter_class", lambda prog: argparse.HelpFormatter(prog, width=79))
        super().__init__(allow_abbrev=False, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        from engine.errors import shown

        say(f"{self.prog}: {shown(message)}; see `{self.prog} --help`.", file=sys.stderr)
        sys.exit(2)


def run_argument(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's name, or the path of its folder")


def json_argument(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def screen_arguments(parser: Parser) -> None:
    """What a person may want of the screens that open on a terminal."""
    parser.add_argument("--plain", action="store_true", help="append-only lines instead of a screen")
    parser.add_argument("--color", choices=("truecolor", "256", "16", "none"), metavar="C",
                        help="truecolor, 256, 16 or none, where the guess is wrong")  # fmt: skip
    parser.add_argument("--mouse", action=argparse.BooleanOptionalAction, help="off over ssh unless in tmux")
    parser.add_argument("--ascii", action="store_true", help="for a terminal without UTF-8")
    parser.add_argument("--images", choices=("half", "kitty", "sixel", "off"), metavar="HOW",
                        help="half (blocks), kitty, sixel or off; LORASMITH_IMAGES says it for good")  # fmt: skip


def named(text: str) -> str:
    """Refuses the empty name that an unset shell variable gives, which would mean the folder one stands in."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; '.' is the folder you are in")
    return text


def given(text: str) -> str:
    """Refuses the empty text of an unset shell variable, where no folder is meant."""
    if not text.strip():
        raise argparse.ArgumentTypeError("nothing is given: leave it out, or say what")
    return text


def positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 up")
    return number
