"""From the command to the screen: what must be settled before textual is imported, and what is printed after.

The screen needs a terminal; anything else (a pipe, TERM=dumb) gets the plain text of the same verb. Nothing that
must go on lives in this process: it may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import RunError, shown
from engine.runs.folder import RunFolder, list_runs
from engine.runs.lock import lock_holder
from engine.runs.summary import read_summary
from tui.text import say

if TYPE_CHECKING:
    from tui.app import LorasmithApp

COLOURS = ("truecolor", "256", "16", "none")
_LOST_TERMINAL = 128 + signal.SIGHUP
# Terminals of 24-bit colour that do not say so over ssh, which forwards TERM but not COLORTERM.
_TRUE_TERMS = ("xterm-kitty", "xterm-ghostty", "alacritty", "foot", "wezterm", "tmux", "contour", "rio")
_FEW_TERMS = ("linux", "ansi", "vt", "xterm-color", "xterm-16color", "cygwin", "screen.linux")


def begin(asked: Namespace) -> int:
    """`lorasmith` alone: the app on a terminal, else what there is as plain text."""
    if not can_draw() or asked.plain:
        from tui.commands import status

        return status.begin(asked)
    alive = [run for run in list_runs() if lock_holder(run) is not None]
    return open_app(asked, alive[0] if len(alive) == 1 else None)


def can_draw(env: Mapping[str, str] = os.environ) -> bool:
    """Whether a screen can be drawn here: a terminal on both sides, of a kind that moves its cursor."""
    return sys.stdin.isatty() and sys.stdout.isatty() and env.get("TERM", "dumb") not in {"", "dumb", "unknown"}


def open_app(asked: Namespace, run: RunFolder | None = None) -> int:
    """Opens the screens, on this run where one is given; returns when the person leaves."""
    from tui.widgets import graphics

    images = graphics.choose(asked.images, os.environ)
    # Exported, they would stand for the terminal's size for ever, whatever becomes of its window.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    # Kitty names a picture by a colour of 24 bits.
    prepare_environment(os.environ, asked.color or ("truecolor" if images == "kitty" else None))
    graphics.prepare(images, os.environ)
    mouse = asked.mouse if asked.mouse is not None else not _bare_ssh(os.environ)
    ascii_only = asked.ascii or not speaks_utf8(_started_with())
    # A terminal that goes away ends this process at once; nohup and some wrappers have it ignored.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # What is imported and built until the first paint stays: looking through it for garbage takes a sixth of the start.
    gc.disable()
    with _own_stderr() as log:
        from tui.app import LorasmithApp

        _watch_terminal(sys.stdin.fileno())
        app = LorasmithApp(run, ascii_only=ascii_only, images=images)
        app.run(mouse=mouse)
    return _after(app, log)


def prepare_environment(env: os._Environ[str] | dict[str, str], colour: str | None = None) -> None:
    """What textual and rich read once, when they are imported; what a person has set stays."""
    if colour == "none":
        env["NO_COLOR"] = "1"
        colour = None
    chosen = colour or colour_system(env)
    if colour:
        env["TEXTUAL_COLOR_SYSTEM"] = {"16": "standard"}.get(colour, colour)
    else:
        env.setdefault("TEXTUAL_COLOR_SYSTEM", {"16": "standard"}.get(chosen, chosen))
    if env["TEXTUAL_COLOR_SYSTEM"] == "standard":
        env.setdefault("TEXTUAL_THEME", "ansi-dark")
    env.setdefault("TEXTUAL_ANIMATIONS", "none")
    env.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")
    if "SSH_CONNECTION" in env:
        env.setdefault("TEXTUAL_FPS", "20")
        # A key's bytes may come apart on a slow line; what follows `escape` late would be read as letters.
        env.setdefault("ESCDELAY", "250")


def colour_system(env: Mapping[str, str]) -> str:
    """How many colours the terminal shows: "truecolor", "256" or "16"; no terminal is asked, only the environment."""
    term = env.get("TERM", "")
    if env.get("COLORTERM", "").lower() in {"truecolor", "24bit"}:
        return "truecolor"
    # tmux turns every colour into what its own terminal shows; GNU screen, which calls itself the same, does not.
    if env.get("TMUX") or term.startswith(_TRUE_TERMS) or term.endswith("-direct") or "WT_SESSION" in env:
        return "truecolor"
    if env.get("LC_TERMINAL") == "iTerm2":
        return "truecolor"
    if term.startswith(_FEW_TERMS) and not term.endswith("256color"):
        return "16"
    return "256" if term.endswith("256color") or term.startswith(("xterm", "screen", "rxvt", "st")) else "16"


def speaks_utf8(env: Mapping[str, str]) -> bool:
    """Whether the terminal shows more than ASCII, as far as its locale says; one that says nothing is asked no more."""
    said = next((env[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if env.get(name)), None)
    return said is None or "utf" in said.lower().replace("-", "")


def _started_with() -> Mapping[str, str]:
    """The environment as this process got it: Python itself sets LC_CTYPE=C.UTF-8 where the locale is C."""
    try:
        said = Path("/proc/self/environ").read_bytes()
    except OSError:
        return os.environ
    return dict(pair.split("=", 1) for pair in os.fsdecode(said).split("\0") if "=" in pair)


def _bare_ssh(env: Mapping[str, str]) -> bool:
    """Over ssh without tmux: after a dropped line, mouse reports would type themselves into the person's shell."""
    return "SSH_CONNECTION" in env and "TMUX" not in env


@contextlib.contextmanager
def _own_stderr() -> Iterator[Path]:
    """Draws through a descriptor of its own, while what libraries write to stderr goes to the log, not the screen."""
    from engine.runs.folder import home

    path = home() / "lorasmith.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        log = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    kept, screen = os.dup(2), os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace", newline="")
    before, sys.__stderr__ = sys.__stderr__, screen
    os.dup2(log, 2)
    try:
        yield path
    finally:
        os.dup2(kept, 2)
        sys.__stderr__ = before
        with contextlib.suppress(OSError):
            screen.close()
        os.close(kept)
        os.close(log)


def _watch_terminal(descriptor: int) -> None:
    """Ends the process when its terminal is gone and no signal said so; the thread sleeps until then."""

    def wait() -> None:
        hung_up = select.poll()
        hung_up.register(descriptor, 0)
        while True:
            if any(what & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, what in hung_up.poll()):
                os._exit(_LOST_TERMINAL)

    threading.Thread(target=wait, name="terminal-watch", daemon=True).start()


def _after(app: LorasmithApp, log: Path) -> int:
    """What stays on the terminal: how the run stands, where it is, how to come back; or what went wrong."""
    run = app.watched
    if app.trouble is not None:
        from tui.cli import tell

        code = tell(app.trouble)
        if run is not None and lock_holder(run) is not None:
            say(f"{shown(run.name)} goes on all the same: `lorasmith` returns to it.", file=sys.stderr)
        return code
    if app.drafted and app.current_mode == "plan":
        say(f"The draft {shown(app.drafted)} is kept as it is; `lorasmith`, then n, goes on with it.")
    elif run is not None:
        with contextlib.suppress(RunError):  # gone meanwhile: the screen has said so
            _say_farewell(run)
    return 0


def _say_farewell(run: RunFolder) -> None:
    from tui.commands.status import describe, typed

    summary = read_summary(run)
    describe(run, summary)
    if summary.kind == "compare":
        from tui.compare.farewell import say_choice

        say_choice(run, alive=summary.alive)
    if summary.alive:
        say(f"It goes on without this terminal; `lorasmith` or `lorasmith watch {typed(run)}` returns to it.", indent=2)
    elif run.checkpoints.is_dir() and any(run.checkpoints.glob("*.safetensors")):
        from tui.text import home_path

        say(f"its files: {home_path(run.checkpoints)}", indent=2)
