"""A comparison as plain text: the chart, the words, the table of epochs, and what to do next."""

from __future__ import annotations

import math
from pathlib import Path

from engine.compare.report import PointRow, Report
from engine.errors import shown
from engine.runs.folder import RunFolder
from tui.fetching import fetch_command
from tui.text import home_path, say, table

_PARTS = {"prompt": "prompt", "style": "style", "diversity": "varied", "copying": "own", "bleed": "class"}
_GATES = {"undertrained": "U", "copying": "C", "bleeding": "B", "broken": "!"}
_LEGEND = {
    ">": "the choice",
    "=": "cannot be told apart from it",
    "L": "the last",
    "P": "the most photographic",
    "U": "has not learnt the subject",
    "C": "copies training pictures",
    "B": "the class word draws the subject",
    "!": "broken",
    "-": "given up after the first pictures",
}
_WIDE, _HIGH = 60, 13  # the chart's columns and rows


def tell_comparison(report: Report, run: RunFolder, name: str) -> None:
    """Prints all that was found; `name` is how the run is typed."""
    say()
    for words in report.words:
        say(f"* {shown(words.text)}", hang=2)
    if not report.words and report.decision is not None and report.decision.reason:
        say(shown(report.decision.reason))
    if report.points and not _is_even(report):
        say(f"This is decided with {_leaning(report)}; `lorasmith compare {name} --lean 1` weighs both alike again.")
    if len(report.points) > 1:
        say()
        say("\n".join(_table(report)), raw=True)
        say(_legend(report), hang=2)
        if any(row.fidelity is not None for row in report.points):
            say()
            say("\n".join(_chart(report)), raw=True)
    for row in report.checkpoints:
        if row.problem:
            say(f"{shown(row.name)} is left out: {shown(row.problem)}", hang=2)
    if report.hires is not None:
        say(shown(report.hires.sentence))
    _tell_how(report)
    _tell_next(report, run, name)


def _tell_how(report: Report) -> None:
    """Notes, and who looked at the pictures."""
    for note in report.notes:
        say(f"Note: {shown(note)}", hang=6)
    if report.encoders:
        by: dict[str, list[str]] = {}
        for measure, encoder in report.encoders.items():
            by.setdefault(encoder, []).append(measure)
        said = "; ".join(f"{', '.join(measures)} by {shown(encoder)}" for encoder, measures in by.items())
        say(f"Measured: {said}.", hang=2)
    how = report.settings
    say(
        f"Drawn: {report.drawn} pictures, {how.steps} steps, guidance {how.cfg:g}, {how.sampler}, "
        f"{len(how.seeds)} seeds of each prompt of the set {shown(how.prompts)}.", hang=2,
    )  # fmt: skip


def _tell_next(report: Report, run: RunFolder, name: str) -> None:
    page = run.compare / "page.html"
    say()
    if report.state != "done" and not (report.checkpoints and all(row.problem for row in report.checkpoints)):
        say(f"It is not finished: `lorasmith resume {name}` goes on.")
    if report.ask:
        say(f"Your eye can settle it: `lorasmith compare {name}` on a terminal, or the page, shows pairs to vote on.")
    idle = report.votes - report.decision.votes if report.decision is not None else 0
    if idle and report.choice is not None:
        one = "One of your votes is" if idle == 1 else f"{idle} of your votes are"
        say(f"{one} not counted: the choice is not made from those pictures (another weight, an epoch given up).")
    if report.votes:
        say(f"`lorasmith compare {name} --unvote` takes the last of your votes back.")
    if report.choice is not None:
        other = "--epoch N takes another" if report.epochs else "--epoch N takes another by its number"
        say(f"`lorasmith choose {name}` makes it your LoRA ({other}).")
    elif report.decision is not None:
        say(f"No choice is offered: `lorasmith choose {name} --epoch N` takes the one that looks right to you.")
    if page.is_file():
        say(f"All pictures, on one page: {home_path(page)}; to fetch it, type on your own computer:")
        say(fetch_command(page), indent=2, raw=True)


def _table(report: Report) -> list[str]:
    """A line for every point, the base first."""
    parts = [part for part in _PARTS if any(part in row.parts for row in report.points)]
    head = ["", "", "fid", "flex", *(_PARTS[part] for part in parts), "bal", "best", ""]
    rows = [head]
    for row in sorted(report.points, key=_in_order):
        figures = [row.fidelity, row.flexibility, *(row.parts.get(part) for part in parts), row.balance]
        best = "" if row.chance is None else f"{100 * row.chance:.0f}%"
        name = "the base" if row.checkpoint == 0 else _name(report, row)
        rows.append([_sign(report, row), name, *map(_figure, figures), best, _marks(report, row)])
    for one in report.checkpoints:
        if one.twin_of is not None and all(row.checkpoint != one.checkpoint for row in report.points):
            note = f"as {shown(report.name_of((one.twin_of, 1.0)))}"
            rows.append(["", _called(report, one.checkpoint), note, *[""] * (len(head) - 3)])
    # A twin's remark may be wider than the figures it stands among.
    right = frozenset(range(2, len(head) - 1))
    return [line[:80] for line in table(rows, right=right)]


def _in_order(row: PointRow) -> tuple[int, float]:
    return row.checkpoint, abs(row.weight - 1)


def _name(report: Report, row: PointRow) -> str:
    return _called(report, row.checkpoint) if row.weight == 1.0 else f"  at {row.weight:g}"


def _called(report: Report, number: int) -> str:
    """A file from elsewhere goes by its number too: it stands on the chart, and `choose --epoch` takes it."""
    name = shown(report.name_of((number, 1.0)))
    return (name if report.epochs else f"{number} {name}")[:14]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _sign(report: Report, row: PointRow) -> str:
    if row.at == report.choice:
        return ">"
    decision = report.decision
    return "=" if decision is not None and row.at in decision.equals and len(decision.equals) > 1 else ""


def _marks(report: Report, row: PointRow) -> str:
    decision = report.decision
    marks = ""
    if decision is not None:
        marks += "L" if row.at == decision.last else ""
        marks += "P" if row.at == decision.likest else ""
    marks += "".join(_GATES.get(gate, "") for gate in row.ruled_out)
    marks += "!" if row.broken and "!" not in marks else ""
    one = report.checkpoint(row.checkpoint)
    return marks + ("-" if one is not None and not one.survivor and row.weight == 1.0 else "")


def _legend(report: Report) -> str:
    """The signs that are in the table, in words."""
    used = "".join(_sign(report, row) + _marks(report, row) for row in report.points)
    moved = ", moved by your votes" if report.decision is not None and report.decision.votes else ""
    leaning = "" if _is_even(report) else f", with {_leaning(report)}"
    said = [f"{sign} {words}" for sign, words in _LEGEND.items() if sign in used]
    return (
        f"{'; '.join(said)}{'. ' if said else ''}Fidelity: 0 the untouched base, 100 the photographs among themselves. "
        "Flexibility and its parts: 100 the untouched base; the weakest part weighs most. "
        f"bal: the balance of the two, each up to 100{leaning}{moved}. best: the chance of being the best."
    )


def _is_even(report: Report) -> bool:
    return math.isclose(report.lean, 1.0)


def _leaning(report: Report) -> str:
    """Where the dial stands, in words and as it is typed."""
    return f"{'flexibility' if report.lean > 1 else 'fidelity'} counting more (--lean {report.lean:g})"


def _chart(report: Report) -> list[str]:
    """Fidelity to the right, flexibility upwards, each checkpoint's number at its place; the choice in brackets."""
    top = max([100.0, *(row.fidelity for row in report.points if row.fidelity is not None)])
    grid = [[" "] * (_WIDE + 4) for _ in range(_HIGH)]
    for row in sorted(report.points, key=lambda row: row.at != report.choice):
        if row.fidelity is None or row.flexibility is None or row.weight not in (0.0, 1.0):
            continue
        number = "base" if row.checkpoint == 0 else str(row.checkpoint)
        mark = f"[{number}]" if row.at == report.choice else number
        across = round(min(max(row.fidelity, 0), top) / top * (_WIDE - 1))
        down = round((100 - min(max(row.flexibility, 0), 100)) / 100 * (_HIGH - 1))
        _put(grid, mark, across, down)
    lines = []
    for at, cells in enumerate(grid):
        label = {0: "100", _HIGH // 2: "50", _HIGH - 1: "0"}.get(at, "")
        lines.append(f"  {label:>3} |{''.join(cells)}".rstrip())
    lines.append("      +" + "-" * _WIDE)
    full = round(100 / top * (_WIDE - 1))
    lines.append("       0" + "fidelity".center(full - 1) + "100")
    return ["  flexibility", *lines]


def _put(grid: list[list[str]], mark: str, across: int, down: int) -> None:
    """Writes a mark where there is room for it, as near to its place as can be."""
    width = len(grid[0])
    places = [(down + dy, across + dx) for dy in (0, 1, -1, 2, -2) for dx in (0, 1, -1, 2, -2, 3, -3, 4)]
    for y, x in places:
        around = range(max(0, x - 1), x + len(mark) + 1)
        if 0 <= y < len(grid) and 0 <= x <= width - len(mark) and all(
            at >= width or grid[y][at] == " " for at in around
        ):
            grid[y][x : x + len(mark)] = mark
            return


def tell_self_test(report: Report, folder: Path) -> int:
    """The dose test as a table, and whether it passed; the exit code is 1 where it failed."""
    from engine.compare.dose import findings, verdict

    rows: list[tuple[str, ...]] = [("weight", "fidelity", "flexib.", *_PARTS.values())]
    for row in sorted((one for one in report.points if one.checkpoint), key=lambda one: one.weight):
        figures = [row.fidelity, row.flexibility, *(row.parts.get(part) for part in _PARTS)]
        rows.append((f"{row.weight:g}", *map(_figure, figures)))
    say()
    say("\n".join(table(rows, indent=2, right=frozenset(range(len(rows[0]))))), raw=True)
    found = findings(report, folder)
    for one in found:
        state = {True: "passed", False: "FAILED", None: "not measured"}[one.passed]
        say(f"{state}: {one.sentence}", hang=2)
    _tell_how(report)
    say(verdict(found))
    return 1 if any(one.passed is False for one in found) else 0


