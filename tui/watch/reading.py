"""Sentences about a run: how its loss is to be read, and what a person should know or do now."""

from __future__ import annotations

from engine.errors import shown
from engine.runs.folder import RunFolder
from engine.runs.summary import RunSummary
from tui.commands.status import can_only_fail, has_state, how_to_go_on
from tui.text import count, duration
from tui.watch.story import Seen

SAVING = {"train", "lab"}
"""The kinds of run that save a state and draw when asked; the others keep each thing they have done anyway."""


def how_to_read(seen: Seen) -> str:
    """One or two sentences on what the chart (or the list of stages) tells."""
    if not seen.curve.steps:
        if seen.summary.kind == "train" and seen.summary.alive:
            return "The loss follows with the first steps. Pictures and captions are encoded once and kept."
        return ""
    if len(seen.validations) >= 2:
        best = min(seen.validations, key=lambda one: one.loss)
        last = seen.validations[-1]
        if last.loss > best.loss * 1.01 and last.step > best.step:
            return (
                "The held-out loss has been rising since its lowest: from there on it learns these pictures by heart. "
                "The best checkpoint is likely an earlier one."
            )
        if last.base is not None and last.loss < last.base:
            return "The held-out loss is below the base's and has not turned: what it learns carries over so far."
        return "The held-out loss tells more than the dots: it should fall below the base's, and not rise again."
    return (
        "Single steps jump, since each is given another amount of noise; a flat line is normal. "
        "Judge by the samples (2)."
    )


def why(folder: RunFolder, seen: Seen) -> str:
    """For a run that failed or died: the reason, what to do, and the log's last words, a line each; else nothing."""
    summary = seen.summary
    if summary.status not in {"failed", "died"}:
        return ""
    lines = [f"why: {shown(summary.reason or 'not said').rstrip('.')}."]
    if summary.hint and summary.status == "failed":
        lines.append(shown(summary.hint))
    lines += [f"log: {line[:300]}" for line in summary.log_tail[-3:] if not _said_already(line, summary.reason)]
    return "\n".join(lines)


def _said_already(line: str, reason: str | None) -> bool:
    """Whether a line of the log is part of a traceback, or only repeats the reason."""
    return line.startswith(("  ", "Traceback (")) or bool(reason and shown(reason).rstrip(".") in line)


def how_it_stands(folder: RunFolder, seen: Seen) -> tuple[str, str]:
    """The one sentence for the line below, and its colour."""
    summary = seen.summary
    if summary.status in {"failed", "died"}:
        return f"It {'has failed' if summary.status == 'failed' else 'died'}. {_again(folder, summary)}", "bad"
    if summary.status == "stopped":
        return f"{_sentence(shown(summary.reason or 'stopped'))} {_again(folder, summary)}", "warn"
    if summary.status == "new":
        return "Not started yet: r starts it.", "plain"
    if summary.status == "finished":
        took = ""
        if summary.started is not None and summary.last_event is not None:
            took = f" after {duration(summary.last_event - summary.started)}"
        saved = f"; {count(len(seen.checkpoints), 'checkpoint')} in the run's folder" if seen.checkpoints else ""
        return f"Finished{took}{saved}.", "good"
    if summary.status == "paused":
        return "Paused; it keeps its memory. p lets it go on.", "warn"
    if summary.newer:
        return "Parts of it were written by a newer lorasmith; what is understood is shown.", "warn"
    if summary.warning:
        return f"warning: {shown(summary.warning)}", "warn"
    return "It goes on without this screen: q leaves, `lorasmith` comes back.", "muted"


def _again(folder: RunFolder, summary: RunSummary) -> str:
    if can_only_fail(summary):
        return f"{how_to_go_on(folder, summary)}."
    if folder.kind not in SAVING:
        return "r goes on with what is left."
    return "r goes on from the last saved state." if has_state(folder) else "r starts it again from the beginning."


def _sentence(text: str) -> str:
    text = text.rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
