"""What a draft takes, in short lines: steps, rate, time, memory against the card, disk, the file's size."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import shown
from engine.plan import Plan
from engine.plan_file import effective_words
from tui.commands.estimate import steps_words
from tui.steps.outlook import Outlook
from tui.text import GIB, duration, size


@dataclass(frozen=True)
class Figure:
    """One figure: its word, what is said in a line of its own, the few letters for a line of all, and its ink."""

    word: str
    said: str
    brief: str
    ink: str = "plain"


def figures(plan: Plan, outlook: Outlook | None) -> list[Figure]:
    """Every figure; those that cannot be known say why."""
    found = outlook.estimate if outlook else None
    if outlook is None or found is None:
        why = "wait for the pictures" if outlook is None or not outlook.trouble else shown(outlook.trouble)
        return [Figure("steps", why, "steps: " + why, "muted"), Figure("rate", effective_words(plan), "")]
    total = found.report.steps.total
    lines = [
        Figure("steps", steps_words(found.report), f"{total:,} steps", "plain" if total else "bad"),
        Figure("rate", effective_words(plan), ""),
        _time(outlook),
        _memory(plan, outlook),
    ]
    if found.disk is not None and found.lora is not None:
        free = outlook.free_disk
        full = free is not None and found.disk.total > free
        room = "" if free is None else f"; {size(free)} free"
        parts = f"{found.checkpoints} checkpoints {size(found.disk.checkpoints)}, state {size(found.disk.state)}"
        disk = f"{size(found.disk.total)} ({parts}, caches {size(found.disk.cache)}){room}"
        lines.append(Figure("disk", disk, f"disk {size(found.disk.total)}", "bad" if full else "plain"))
        file = f"{size(found.lora.file_bytes)} a checkpoint: {found.lora.modules} modules, {plan.output.precision}"
        lines.append(Figure("file", file, f"file {size(found.lora.file_bytes)}"))
    else:
        lines.append(Figure("file", "known once the base is on this machine", ""))
    return lines


def _time(outlook: Outlook) -> Figure:
    found = outlook.estimate
    assert found is not None
    if outlook.base.small:
        return Figure("time", f"minutes: {found.picture_steps:,} picture-steps on a base this small", "minutes")
    if found.seconds is None:
        why = f"not known before it begins: {shown(found.seconds_source)}"
        return Figure("time", why, "time not known", "muted")
    words = f"about {duration(found.seconds)} for {found.picture_steps:,} picture-steps ({shown(found.seconds_source)})"
    return Figure("time", words, duration(found.seconds))


def _memory(plan: Plan, outlook: Outlook) -> Figure:
    found = outlook.estimate
    assert found is not None
    if found.fast is None or found.least is None:
        return Figure("memory", "a base this small fits on any machine", "")
    fast, least = found.fast.total / GIB, found.least.total / GIB
    limit = plan.machine.memory_limit_gb
    have = outlook.card.total / GIB if outlook.card else None
    if limit != "auto":
        allowed = float(limit) * 1e9 / GIB
        have = min(have, allowed) if have is not None else allowed
    if have is None:
        return Figure("memory", f"{fast:.1f} GiB at full speed, {least:.1f} GiB at the least; no card is seen here",
                      f"{least:.1f} to {fast:.1f} GiB", "muted")  # fmt: skip
    brief = f"{min(fast, have):.1f} of {have:.0f} GiB"
    if least > have:
        words = f"{least:.1f} GiB at the least, and the card has {have:.0f} GiB: lower resolution or rank"
        return Figure("memory", words, f"{least:.1f} GiB do not fit {have:.0f}", "bad")
    if fast > have:
        words = f"{least:.1f} GiB, with gradient checkpointing, of the card's {have:.0f} GiB; {fast:.1f} GiB without"
        return Figure("memory", words, f"{least:.1f} of {have:.0f} GiB")
    return Figure("memory", f"{fast:.1f} GiB of the card's {have:.0f} GiB, at full speed", brief)


def brief(lines: list[Figure]) -> str:
    """All of them in one line."""
    return " · ".join(line.brief for line in lines if line.brief)
