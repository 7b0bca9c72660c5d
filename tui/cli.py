"""The command `lorasmith`: says what the verbs are and hands over to the one that was asked for.

Exit codes: 0 done; 1 not done, with one sentence on stderr; 2 the command itself is wrong; 130 Ctrl-C.
`status RUN`, `watch`, `train` and `demo` tell how the run stands: 0 well, 3 stopped, 4 failed or died.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tui.arguments import Parser, screen_arguments
from tui.text import say, table


@dataclass(frozen=True)
class Verb:
    """One verb: what it is called with, what it does, and the function that does it, as "module:function".

    The module is imported when the verb is asked for; beside its function stands `<function>_arguments(parser)`.
    """

    name: str
    usage: str
    short: str
    function: str
    description: str = ""


MAKING = (
    Verb("demo", "demo [--out DIR]", "see it work: no GPU, no download",
         "tui.commands.train:demo"),
    Verb("check", "check FOLDER", "what these pictures will do to the LoRA", "tui.commands.check:check"),
    Verb("plan new", "plan new --kind K --images F", "write a commented plan to edit",
         "tui.commands.plan:new"),
    Verb("import-preset", "import-preset FILE.json --out P", "a plan from a kohya GUI preset",
         "tui.commands.plan:import_preset"),
    Verb("estimate", "estimate PLAN", "steps, time, memory, disk and file size",
         "tui.commands.estimate:estimate"),
    Verb("caption", "caption FOLDER [--undo]", "a model writes what each picture shows",
         "tui.commands.caption:caption",
         "Captions that are there stay, unless --overwrite says otherwise; every change is one --undo away."),
    Verb("captions", "captions FOLDER", "read, search and edit many captions",
         "tui.commands.caption:captions",
         "Every change is shown first, and one --undo away; a pipe writes nothing without --yes."),
    Verb("regularize", "regularize PLAN", "class pictures that keep the class word",
         "tui.commands.regularize:regularize"),
    Verb("words", "words PLAN [--draw]", "what the base makes of your trigger word",
         "tui.commands.words:words"),
    Verb("train", "train PLAN [--detach]", "train; goes on when the connection drops",
         "tui.commands.train:train"),
    Verb("draw", "draw PROMPT --to FILE.png", "a picture, with or without a LoRA", "tui.commands.tools:draw"),
    Verb("plot", "plot PROMPT --to GRID.png", "a grid over epochs, weights, prompts", "tui.commands.plot:plot",
         "The X/Y/Z plot. An axis is a kind and its values: epoch, weight, prompt, replace (search, then "
         "replacements), order (of parts of the prompt), seed, cfg, steps, sampler or size; as '1-10', '1-9 (+2)', "
         "'0.4-1.0 [4]', or a list with commas."),
    Verb("inspect", "inspect FILE", "what a LoRA file is", "tui.commands.lora:inspect"),
    Verb("resize", "resize FILE --rank N --to OUT", "a LoRA with fewer ranks",
         "tui.commands.lora:resize"),
    Verb("merge", "merge FILE[:WEIGHT] ... --to OUT", "several LoRAs as one",
         "tui.commands.lora:merge"),
    Verb("download", "download MODEL", "fetch a base model ahead of its training", "tui.commands.download:download",
         "It goes on when the connection drops; broken off, the same command goes on with it."),
    Verb("doctor", "doctor", "what works on this machine, and what not", "tui.commands.doctor:doctor"),
    Verb("lab", "lab [JOB.toml]", "make the demo's base anew (hours)", "tui.commands.train:lab"),
    Verb("bench", "bench", "measure this machine", "tui.commands.tools:bench"),
)  # fmt: skip

RUNNING = (
    Verb("status", "status [RUN]", "how runs stand", "tui.commands.status:status",
         "Exit code for one RUN: 0 running or finished, 3 stopped, 4 failed or died."),
    Verb("watch", "watch RUN", "follow a run; leaving does not end it", "tui.commands.watch:watch",
         "Ends with the run. Exit code: 0 finished, 3 stopped, 4 failed or died, 130 left with Ctrl-C."),
    Verb("save", "save RUN", "save its state and a checkpoint now", "tui.commands.control:save"),
    Verb("sample", "sample RUN", "draw its sample pictures now", "tui.commands.control:sample"),
    Verb("pause", "pause RUN", "hold it between two steps", "tui.commands.control:pause"),
    Verb("resume", "resume RUN", "end a pause, or start a stopped run", "tui.commands.control:resume"),
    Verb("stop", "stop RUN [--now]", "save and stop", "tui.commands.control:stop"),
    Verb("compare", "compare RUN | FILES", "which checkpoint to take, and why", "tui.commands.compare:compare",
         "Draws few pictures of every checkpoint, more of those that may be the best, and weighs likeness to the "
         "photographs against freedom. A second call prints what was found."),
    Verb("choose", "choose RUN [--epoch N] [--to PLACE]", "make one epoch your LoRA", "tui.commands.choose:choose",
         "Writes it under its final name, with trigger words, weight, preview, card and the comparison's page; "
         "with --alone the file and nothing beside it."),
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
    verb = _verb(arguments)
    if verb is None:
        return _alone(arguments)
    module, _, name = verb.function.partition(":")
    command = importlib.import_module(module)
    about = f"{verb.short[0].upper()}{verb.short[1:]}. {verb.description}"
    parser = Parser(prog=f"lorasmith {verb.name}", description=about)
    getattr(command, f"{name}_arguments")(parser)
    return getattr(command, name)(parser.parse_args(arguments[len(verb.name.split()) :]))


def _alone(arguments: list[str]) -> int:
    """`lorasmith` without a verb: its screens, or what it is."""
    parser = Parser(prog="lorasmith", add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="store_true")
    screen_arguments(parser)
    asked, more = parser.parse_known_args(arguments)
    if asked.help:
        overview()
        return 0
    if asked.version:
        from engine import __version__

        say(f"lorasmith {__version__}")
        return 0
    if more:
        verb = _verb(more)
        parser.error(f"{verb.name} comes first, its options behind it" if verb else f"there is no option {more[0]}")
    from tui.launch import begin

    return begin(asked)


def _verb(arguments: list[str]) -> Verb | None:
    """Which verb is asked for, if any; a mistyped one is answered with the nearest."""
    if not arguments or arguments[0].startswith("-"):
        return None
    known = {verb.name: verb for verb in (*MAKING, *RUNNING)}
    for words in (1, 2):
        if found := known.get(" ".join(arguments[:words])):
            return found
    from engine.errors import shown

    first = {name.partition(" ")[0]: name for name in known}
    if arguments[0] in first and arguments[1:2] in (["-h"], ["--help"]):
        name = first[arguments[0]]
        arguments[:1] = name.split()  # `plan --help` means `plan new --help`, as there is no other plan
        return known[name]
    near = difflib.get_close_matches(arguments[0], first, 1, 0.5)
    hint = f"did you mean `lorasmith {first[near[0]]}`?" if near else "`lorasmith --help` lists what there is."
    say(f"lorasmith: there is no '{shown(' '.join(arguments[:2]) if arguments[0] in first else arguments[0])}'; {hint}",
        file=sys.stderr)  # fmt: skip
    sys.exit(2)


def overview() -> None:
    """What lorasmith is and its verbs, in two groups."""
    say("lorasmith makes an SDXL LoRA from a folder of pictures. Alone it opens its screens: n there makes one step by "
        "step; --images, --color, --ascii, --mouse and --plain say how they are drawn.")  # fmt: skip
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
