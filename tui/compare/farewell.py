"""What stays on the terminal after a comparison was left: the choice, where its page is, how to come back."""

from __future__ import annotations

from pathlib import Path

from engine.compare.report import read_report
from engine.errors import LorasmithError
from engine.runs.folder import RunFolder
from tui.commands.status import typed
from tui.compare.compared import Compared, fetch_line, headline
from tui.compare.following import PAGE
from tui.text import home_path, say


def say_choice(run: RunFolder, *, alive: bool = False) -> None:
    """Prints it; nothing where there is no report. How to come back to a live one is said elsewhere."""
    try:
        report = read_report(run.compare)
    except LorasmithError:
        return
    seen = Compared(run.compare, report, report.lean)
    say(f"{headline(seen)[0]}.", indent=2)
    if report.chosen is not None:
        name = seen.name((report.chosen.checkpoint, report.chosen.weight))
        say(f"Your LoRA is {name}: {home_path(Path(report.chosen.file))}", indent=2)
        say("To fetch it, type on your own computer:", indent=2)
        say(fetch_line(Path(report.chosen.file)), indent=4, raw=True)
    elif seen.choice is not None and not alive:
        say(f"`lorasmith choose {typed(run)}` makes it your LoRA.", indent=2)
    page = run.compare / PAGE
    if page.is_file():
        say(f"as a page: {home_path(page)}", indent=2)
    if not alive:
        say(f"`lorasmith watch {typed(run)}` comes back to it.", indent=2)
