"""The command `lorasmith`: says what the verbs are and hands over to the one that was asked for.

Exit codes: 0 done; 1 not done, with one sentence on stderr; 2 the command itself is wrong; 130 Ctrl-C.
`status RUN`, `watch`, `train` and `demo` tell how the run stands: 0 well, 3 stopped, 4 failed or died.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tui.text import say, table

KINDS = ("person", "character", "animal", "object", "style", "concept")  # engine.plan.KINDS; a test holds them equal


class Parser(argparse.ArgumentParser):
    """argparse that speaks one safe sentence of 80 columns instead of every verb in one line."""

    def __init__(self, **settings: object) -> None:
        settings.setdefault("formatter_class", lambda prog: argparse.HelpFormatter(prog, width=79))
        super().__init__(allow_abbrev=False, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        from engine.errors import shown

        say(f"{self.prog}: {shown(message)}; see `{self.prog} --help`.", file=sys.stderr)
        sys.exit(2)


@dataclass(frozen=True)
class Verb:
    """One verb: what it is called with, what it does, the function that does it (imported when asked for)."""

    name: str
    usage: str
    short: str
    function: str
    arguments: Callable[[Parser], None]
    description: str = ""


def _run(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's name, or the path of its folder")


def _json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def _screen(parser: Parser) -> None:
    """What a person may want of the screens that open on a terminal."""
    parser.add_argument("--plain", action="store_true", help="append-only lines instead of a screen")
    parser.add_argument("--color", choices=("truecolor", "256", "16", "none"), metavar="C",
                        help="truecolor, 256, 16 or none, where the guess is wrong")  # fmt: skip
    parser.add_argument("--mouse", action=argparse.BooleanOptionalAction, help="off over ssh unless in tmux")
    parser.add_argument("--ascii", action="store_true", help="for a terminal without UTF-8")
    parser.add_argument("--images", choices=("half", "kitty", "sixel", "off"), metavar="HOW",
                        help="half (blocks), kitty, sixel or off; LORASMITH_IMAGES says it for good")  # fmt: skip


def _demo(parser: Parser) -> None:
    parser.add_argument("--out", type=Path, metavar="DIR", help="make the run in DIR")


def _plan_new(parser: Parser) -> None:
    parser.add_argument("--kind", required=True, choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--images", required=True, type=Path, metavar="FOLDER", help="a folder of pictures, or a .zip")
    parser.add_argument("--out", type=Path, metavar="PLAN", help="the file to write (KIND.toml)")
    parser.add_argument("--base", metavar="MODEL", help="SDXL .safetensors, diffusers folder or hub name (sdxl-1.0)")
    parser.add_argument("--trigger", metavar="WORD", help="the word that calls it, e.g. ohwx")
    parser.add_argument("--class", dest="class_prompt", metavar="WORD", help="the everyday word for it, e.g. woman")


def _import_preset(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.json", help="a preset saved by the kohya GUI")
    parser.add_argument("--out", type=Path, required=True, metavar="PLAN", help="the plan file to write")
    _json(parser)


def _check(parser: Parser) -> None:
    parser.add_argument(
        "folders", nargs="+", type=_named, metavar="FOLDER", help="pictures: folders, .zip files, or a plan (.toml)"
    )
    parser.add_argument("--kind", choices=KINDS, metavar="KIND", help="what is trained: " + ", ".join(KINDS))
    parser.add_argument("--trigger", metavar="WORD", help="the word that calls it, looked for in the captions")
    parser.add_argument("--class", dest="class_prompt", metavar="WORD", help="the everyday word for it, e.g. woman")
    parser.add_argument("--resolution", type=_side, metavar="N", help="side of the square (1024)")
    parser.add_argument("--batch", type=_positive, metavar="N", help="pictures in one step (1)")
    parser.add_argument("--repeats", type=_positive, metavar="N", help="times a picture is taken in an epoch (auto)")
    parser.add_argument("--class-folder", action="append", default=[], metavar="F", help="class pictures; repeatable")
    parser.add_argument("--fetch", action="store_true", help="first fetch the small models that see more")
    _json(parser)


def _estimate(parser: Parser) -> None:
    parser.add_argument("plan", type=Path, metavar="PLAN")
    _json(parser)


def _regularize(parser: Parser) -> None:
    parser.add_argument("plan", type=Path, metavar="PLAN")
    parser.add_argument("--advice", action="store_true", help="only say which way to take, and what each costs")
    parser.add_argument("--from", dest="source", type=_named, metavar="PLACE",
                        help="do not draw: a folder, a .zip, or a dataset on the hub (owner/name)")  # fmt: skip
    parser.add_argument("--count", type=_positive, metavar="N", help="pictures (what an epoch takes)")
    parser.add_argument("--prompts", metavar="WHICH",
                        help="captions: the plan's own, with the class in the trigger's place; varied: "
                        "lorasmith's; class: the class prompt; or a text file (captions, if any)")  # fmt: skip
    parser.add_argument("--negative", default="", metavar="PROMPT", help="what the pictures should not show")
    parser.add_argument("--steps", type=_positive, default=25, metavar="N", help="sampling steps (25)")
    parser.add_argument("--cfg", type=float, default=5.0, metavar="X", help="how strictly prompts are followed (5)")
    parser.add_argument("--write", action="store_true", help="add the pictures to PLAN when they are there")
    parser.add_argument("--detach", action="store_true", help="return as soon as it has begun")
    parser.add_argument("--name", metavar="NAME", help="what to call the run (made from the plan)")
    _json(parser)


def _caption(parser: Parser) -> None:
    parser.add_argument("folder", type=_named, metavar="FOLDER", help="the pictures")
    parser.add_argument("--captioner", default="blip", metavar="NAME",
                        help="blip, blip-2, florence-2, qwen, wd (booru tags), labels (no network), scenes (the "
                        "demo's), a hub name or a folder of weights (blip)")  # fmt: skip
    parser.add_argument("--kind", choices=KINDS, default="person", metavar="KIND", help=", ".join(KINDS) + " (person)")
    parser.add_argument("--trigger", default="", metavar="WORD", help="goes in front of every caption")
    parser.add_argument("--class", dest="class_word", default="", metavar="WORD", help="and this behind it: woman")
    parser.add_argument("--instruction", default="", metavar="TEXT", help="what a chat captioner is asked")
    parser.add_argument("--overwrite", action="store_true", help="also where there is a caption; --undo takes it back")
    parser.add_argument("--detach", action="store_true", help="return as soon as it has begun")
    parser.add_argument("--undo", action="store_true", help="take back the last change of FOLDER's captions")


def _captions(parser: Parser) -> None:
    parser.add_argument("folder", type=_named, metavar="FOLDER", help="the pictures")
    parser.add_argument("--find", metavar="WORDS", help="only captions that say this")
    parser.add_argument("--picture", metavar="NAME", help="only pictures of this name, or pattern such as 'beach-*'")
    parser.add_argument("--problem", metavar="WHAT", help="only: missing, empty, duplicate, long, trigger; or any")
    parser.add_argument("--phrases", action="store_true", help="what most captions say")
    parser.add_argument("--prefix", metavar="WORDS", help="put these in front; with --strip, in place of those")
    parser.add_argument("--strip", metavar="WORDS", help="take these off the front")
    parser.add_argument("--replace", nargs=2, metavar=("OLD", "NEW"), help="a phrase by another")
    parser.add_argument("--regex", action="store_true", help="--find and OLD are regular expressions")
    parser.add_argument("--trigger", default="", metavar="WORD", help="what every caption should say, for --problem")
    parser.add_argument("--yes", action="store_true", help="write without asking")
    parser.add_argument("--undo", action="store_true", help="take back the last change of FOLDER's captions")
    _json(parser)


def _words(parser: Parser) -> None:
    parser.add_argument("plan", nargs="?", type=Path, metavar="PLAN")
    parser.add_argument("--word", metavar="WORD", help="another word than the plan's instance prompt")
    parser.add_argument("--draw", action="store_true", help="have the base draw it, and say what it knows of it")
    parser.add_argument("--lookalike", action="store_true", help="find the name whose drawings resemble the pictures")
    parser.add_argument("--names", type=Path, metavar="FILE", help="names to draw, one a line (lorasmith's list)")
    parser.add_argument("--i-have-permission", action="store_true",
                        help="the pictures show me or someone who agreed, and an adult")  # fmt: skip
    parser.add_argument("--steps", type=_positive, default=20, metavar="N", help="sampling steps (20)")
    parser.add_argument("--encoder", default="auto", metavar="MODEL", help="who looks at pictures: name or folder")
    parser.add_argument("--faces", default="auto", metavar="MODEL", help="who looks at faces: auraface, dlib, a folder")
    parser.add_argument("--detach", action="store_true", help="return as soon as it has begun")
    parser.add_argument("--name", metavar="NAME", help="what to call the run (made from the plan)")
    parser.add_argument("--forget", nargs="?", const="", metavar="RUN",
                        help="delete what was computed from the subject's pictures, in RUN or everywhere")  # fmt: skip
    parser.add_argument("--forget-bank", action="store_true", help="delete all drawings of words and names")
    _json(parser)


def _train(parser: Parser) -> None:
    parser.add_argument("plan", type=Path, metavar="PLAN")
    parser.add_argument("--detach", action="store_true", help="return as soon as it has begun")
    parser.add_argument("--name", metavar="NAME", help="what to call the run (made from the plan)")
    parser.add_argument("--processes", type=_positive, default=1, metavar="N", help="one for each GPU (1)")


def _lab(parser: Parser) -> None:
    parser.add_argument("job", nargs="?", type=Path, metavar="JOB.toml", help="settings, as in a lab run's job.toml")
    parser.add_argument("--detach", action="store_true", help="return as soon as it has begun")
    parser.add_argument("--name", metavar="NAME", help="what to call the run (lab)")


def _status(parser: Parser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's name or folder; without: every run")
    _json(parser)


def _watch(parser: Parser) -> None:
    _run(parser)
    _screen(parser)
    parser.add_argument("--json", action="store_true", help="print the run's events, one JSON object a line")


def _stop(parser: Parser) -> None:
    _run(parser)
    parser.add_argument("--now", action="store_true", help="without saving what came after the last state")


def _export(parser: Parser) -> None:
    _run(parser)
    parser.add_argument("--epoch", type=_positive, required=True, metavar="N", help="which checkpoint")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="the file (or folder) to write it to")
    parser.add_argument("--force", action="store_true", help="overwrite FILE")


def _bench(parser: Parser) -> None:
    parser.add_argument("--real", action="store_true", help="at the real SDXL shape with random weights (CUDA)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the figures there as JSON")
    _json(parser)


def _draw(parser: Parser) -> None:
    parser.add_argument("prompt", metavar="PROMPT")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE.png")
    parser.add_argument("--base", default="demo", metavar="MODEL", help="what to draw with (demo)")
    parser.add_argument("--lora", type=Path, metavar="FILE", help="a LoRA to draw with")
    parser.add_argument("--negative", metavar="PROMPT", help="what the picture should not show")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed draws the same picture (0)")
    parser.add_argument("--steps", type=_positive, metavar="N", help="sampling steps")
    parser.add_argument("--cfg", type=float, metavar="X", help="how strictly the prompt is followed")
    parser.add_argument("--size", metavar="WxH", help="in pixels, e.g. 1024x1024")


def _inspect(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a LoRA of kohya's, diffusers' or peft's format")
    _json(parser)


def _resize(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the LoRA to make smaller")
    parser.add_argument("--keep", type=_share, metavar="X", help="share of each update to keep, e.g. 0.95")
    parser.add_argument("--rank", type=_positive, metavar="N", help="the new rank; with --keep, the most it may be")
    _rewriting(parser)


def _merge(parser: Parser) -> None:
    parser.add_argument("files", nargs="+", type=_weighted, metavar="FILE[:WEIGHT]", help="LoRAs to add up (weight 1)")
    parser.add_argument("--rank", type=_positive, metavar="N", help="cut the sum to this rank (else nothing is lost)")
    _rewriting(parser)


def _rewriting(parser: Parser) -> None:
    parser.add_argument("--to", type=Path, required=True, metavar="OUT", help="the file to write")
    parser.add_argument("--precision", choices=("fp16", "bf16", "fp32"), help="of the weights (as they were)")
    parser.add_argument("--force", action="store_true", help="overwrite OUT")
    _json(parser)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a share above 0 and up to 1, such as 0.95")
    return share


def _weighted(text: str) -> tuple[Path, float]:
    """`style.safetensors:0.6` as file and weight; a file whose name ends like that counts as a file."""
    name, colon, number = _named(text).rpartition(":")
    if colon and name and not Path(text).expanduser().exists():
        try:
            weight = float(number)
        except ValueError:
            weight = float("nan")
        if not -100 <= weight <= 100:
            raise argparse.ArgumentTypeError(f"'{number}' behind the colon of '{text}' is no weight, such as 0.6")
        return Path(name), weight
    return Path(text), 1.0


def _side(text: str) -> int:
    from engine.plan_finding import SDXL_SIDES

    least, most = SDXL_SIDES
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"'{text}' is not a side in pixels that SDXL takes, {least} to {most}")
    return int(text)


def _named(text: str) -> str:
    """Refuses the empty name that an unset shell variable gives, which would mean the folder one stands in."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; '.' is the folder you are in")
    return text


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 up")
    return number


MAKING = (
    Verb("demo", "demo [--out DIR]", "see it work: no GPU, no download",
         "tui.commands.train:demo", _demo),
    Verb("check", "check FOLDER", "what these pictures will do to the LoRA", "tui.commands.check:check", _check),
    Verb("plan new", "plan new --kind K --images F", "write a commented plan to edit",
         "tui.commands.plan:new", _plan_new),
    Verb("import-preset", "import-preset FILE.json --out P", "a plan from a kohya GUI preset",
         "tui.commands.plan:import_preset", _import_preset),
    Verb("estimate", "estimate PLAN", "steps, time, memory, disk and file size",
         "tui.commands.estimate:estimate", _estimate),
    Verb("caption", "caption FOLDER [--undo]", "a model writes what each picture shows",
         "tui.commands.caption:caption", _caption,
         "Captions that are there stay, unless --overwrite says otherwise; every change is one --undo away."),
    Verb("captions", "captions FOLDER", "read, search and edit many captions at once",
         "tui.commands.caption:captions", _captions,
         "Every change is shown first, and one --undo away; a pipe writes nothing without --yes."),
    Verb("regularize", "regularize PLAN", "class pictures, which keep the class word",
         "tui.commands.regularize:regularize", _regularize),
    Verb("words", "words PLAN [--draw]", "what the base makes of your trigger word",
         "tui.commands.words:words", _words),
    Verb("train", "train PLAN [--detach]", "train; goes on when the connection drops",
         "tui.commands.train:train", _train),
    Verb("draw", "draw PROMPT --to FILE.png", "a picture, with or without a LoRA", "tui.commands.tools:draw", _draw),
    Verb("inspect", "inspect FILE", "what a LoRA file is", "tui.commands.lora:inspect", _inspect),
    Verb("resize", "resize FILE --rank N --to OUT", "a LoRA with fewer ranks",
         "tui.commands.lora:resize", _resize),
    Verb("merge", "merge FILE[:WEIGHT] ... --to OUT", "several LoRAs as one",
         "tui.commands.lora:merge", _merge),
    Verb("doctor", "doctor", "what works on this machine and what to do", "tui.commands.doctor:doctor", _json),
    Verb("lab", "lab [JOB.toml]", "make the demo's base anew (hours)", "tui.commands.train:lab", _lab),
    Verb("bench", "bench", "measure this machine", "tui.commands.tools:bench", _bench),
)  # fmt: skip

RUNNING = (
    Verb("status", "status [RUN]", "how runs stand", "tui.commands.status:status", _status,
         "Exit code for one RUN: 0 running or finished, 3 stopped, 4 failed or died."),
    Verb("watch", "watch RUN", "follow a run; leaving does not end it", "tui.commands.watch:watch", _watch,
         "Ends with the run. Exit code: 0 finished, 3 stopped, 4 failed or died, 130 left with Ctrl-C."),
    Verb("save", "save RUN", "save its state and a checkpoint now", "tui.commands.control:save", _run),
    Verb("sample", "sample RUN", "draw its sample pictures now", "tui.commands.control:sample", _run),
    Verb("pause", "pause RUN", "hold it between two steps", "tui.commands.control:pause", _run),
    Verb("resume", "resume RUN", "end a pause, or start a stopped run again", "tui.commands.control:resume", _run),
    Verb("stop", "stop RUN [--now]", "save and stop", "tui.commands.control:stop", _stop),
    Verb("export", "export RUN --epoch N --to FILE", "copy a checkpoint out", "tui.commands.export:export", _export),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code."""
    _prepare_streams()
    try:
        code = _dispatch(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, a pager) has what it wants. Python flushes again at exit: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        return tell(error)


def _dispatch(arguments: list[str]) -> int:
    _refuse_unknown_verb(arguments)
    asked = _parser().parse_args(arguments)
    if asked.help:
        overview()
        return 0
    if asked.version:
        from engine import __version__

        say(f"lorasmith {__version__}")
        return 0
    module, _, function = (asked.function or "tui.launch:begin").partition(":")
    return getattr(importlib.import_module(module), function)(asked)


def _refuse_unknown_verb(arguments: list[str]) -> None:
    """Answers a mistyped verb with the nearest one; argparse would list them all in one line."""
    known = {verb.name.partition(" ")[0] for verb in (*MAKING, *RUNNING)}
    if not arguments or arguments[0].startswith("-") or arguments[0] in known:
        return
    from engine.errors import shown

    near = difflib.get_close_matches(arguments[0], known, 1, 0.5)
    hint = f"did you mean `lorasmith {near[0]}`?" if near else "`lorasmith --help` lists what there is."
    say(f"lorasmith: there is no '{shown(arguments[0])}'; {hint}", file=sys.stderr)
    sys.exit(2)


def _parser() -> Parser:
    parser = Parser(prog="lorasmith", add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="store_true")
    _screen(parser)
    parser.set_defaults(function=None)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    plan: argparse._SubParsersAction | None = None
    for verb in (*MAKING, *RUNNING):
        group, _, name = verb.name.rpartition(" ")
        if group and plan is None:
            plan = verbs.add_parser(group).add_subparsers(dest="noun", metavar="new", required=True)
        about = verb.short[0].upper() + verb.short[1:] + ". " + verb.description
        own = (plan if group and plan else verbs).add_parser(name, description=about)
        verb.arguments(own)
        own.set_defaults(function=verb.function)
    return parser


def overview() -> None:
    """What lorasmith is and its verbs, in two groups."""
    say("lorasmith makes an SDXL LoRA from a folder of pictures.")
    lines = table([(verb.usage, verb.short) for verb in (*MAKING, *RUNNING)], indent=2)
    for title, part in (("To make a LoRA", lines[: len(MAKING)]), ("With a run", lines[len(MAKING) :])):
        say(f"\n{title}:")
        say("\n".join(part), raw=True)
    say()
    say("`lorasmith VERB --help` tells a verb's options.")


def _prepare_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter gets its code instead of a traceback.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def tell(error: Exception) -> int:
    """One sentence on stderr; what nobody foresaw goes with its trace to the log."""
    from engine.errors import LorasmithError, shown

    if isinstance(error, LorasmithError):
        say("\n".join(shown(line) for line in str(error).splitlines()), file=sys.stderr)
        return 1
    if isinstance(error, PermissionError) and error.filename is not None:
        where = f"{shown(os.fsdecode(error.filename))} cannot be reached ({error.strerror})"
        say(f"{where}: give this user the right to, or choose another place.", file=sys.stderr)
        return 1
    said = next((line for line in str(error).splitlines() if line.strip()), "")
    what = f"{type(error).__name__}: {shown(said[:200])}".rstrip(": ")
    try:
        where = f"the whole story is in {shown(_log(error))}"
    except (OSError, LorasmithError) as full:
        where = f"the log could not be written ({shown(getattr(full, 'strerror', None) or full)})"
    say(f"lorasmith met an error it did not expect ({what}); {where}.", file=sys.stderr)
    return 1


def _log(error: Exception) -> Path:
    import traceback

    from engine.runs.folder import home

    path = home() / "lorasmith.log"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} lorasmith {' '.join(map(repr, sys.argv[1:]))}\n")
        log.write("".join(traceback.format_exception(error)))
    return path
