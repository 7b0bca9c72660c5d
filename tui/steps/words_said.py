"""What is said of the words: their tokens, the base's judgement, what was drawn, who looks alike; no screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.errors import shown
from engine.lookalike.jobs import same_run
from engine.lookalike.results import Match, MatchResult, WordResult
from engine.lookalike.settings import LookalikeJob, job_toml, read_job
from engine.lookalike.vocabulary import Token
from engine.lookalike.word import WordReport
from engine.plan import Plan
from engine.plan_values import problem
from engine.runs.folder import RunFolder, create_run
from tui.commands.train import run_name
from tui.draft import Draft
from tui.text import count

INSTANCE, CLASS = "subject.instance_prompt", "subject.class_prompt"
_CALLED = {"person", "character", "animal", "object"}
_PIECES = 6  # tokens shown of a long text
_JUDGED = {
    "none": ("none", "nothing to call it by", "warn"),
    "rare": ("rare", "one token that means next to nothing: free for your subject", "good"),
    "common": ("common", "an everyday word, whose own meaning will mix with the subject", "warn"),
    "pieces": ("rare", "no word of its own, put together from few pieces: free for your subject", "good"),
    "many pieces": ("pieces", "put together from many pieces: harder to learn; take a shorter word", "warn"),
    "several words": ("several", "several words, each with what the base knows of it: d shows what that is", "plain"),
    "unknown": ("unknown", "of a small base's own words, whose numbers say nothing: d shows what it draws", "plain"),
}
_INK = {"error": "bad", "warning": "warn", "note": "muted"}


def words_missing(draft: Draft) -> str:
    """What the words still want."""
    for key, what in ((INSTANCE, "instance prompt"), (CLASS, "class prompt")):
        if key in draft.typed:
            return f"The {what} cannot be kept: {problem(key, draft.typed[key]) or 'type it again'}"
    subject = draft.plan.subject
    if subject.kind in _CALLED and not subject.instance_prompt.strip():
        return f"Give the {subject.kind} a word to be called by: a rare one such as ohwx, or a name that looks alike."
    return ""


def token_lines(report: WordReport | None, which: int) -> list[tuple[str, str]]:
    """One encoder's tokens of the instance prompt in a line, or both in one where they cut it alike."""
    if report is None:
        return [("reading the base's words…", "muted")]
    first, second = report.tokens
    if which == 1 and [one.id for one in first] == [one.id for one in second]:
        return [("encoder 2  the same", "muted")]
    return [(f"encoder {which + 1}  {pieces(report.tokens[which])}", "plain")]


def pieces(tokens: tuple[Token, ...]) -> str:
    """'2 tokens: oh (1,234) wx (5,678)'."""
    parts = [f"{shown(token.text)} ({token.id:,})" for token in tokens[:_PIECES]]
    more = f" and {len(tokens) - _PIECES} more" if len(tokens) > _PIECES else ""
    return f"{count(len(tokens), 'token')}: {'  '.join(parts)}{more}" if tokens else "no token"


def verdict(report: WordReport | None) -> list[tuple[str, str]]:
    """The judgement on the instance prompt, then what else is to be said of both prompts."""
    if report is None:
        return []
    word, means, ink = _JUDGED[report.judgement]
    # The judgement says the same as the first remark on it.
    told = {"common", "many pieces", "none"}
    remarks = report.remarks[1:] if report.judgement in told and report.remarks else report.remarks
    grave = [(one.sentence, _INK[one.severity]) for one in remarks if one.severity != "note"]
    notes = [(one.sentence, _INK[one.severity]) for one in remarks if one.severity == "note"]
    return [*grave, (f"{word}: {means}.", ink), *notes]  # what comes last may find no room


def drawn_said(result: WordResult) -> list[tuple[str, str]]:
    """What the base draws for a word."""
    ink = {"known": "good", "rare": "good", "unclear": "warn", "taken": "warn"}.get(str(result.verdict), "plain")
    return [(result.sentence, ink)]


def matches_said(result: MatchResult) -> list[tuple[str, str]]:
    """The search's answer."""
    said = [(result.sentence, "good" if result.useful else "warn")]
    seen = f"{result.faces_found} of {count(result.photographs, 'picture')} could be compared"
    said.append((f"{result.names:,} names drawn, {result.known} of the nearest are drawn alike; {seen}.", "muted"))
    return said


def match_row(one: Match, here: bool) -> list[tuple[str, str]]:
    """A name with its similarity, percentile and how alike its own pictures are."""
    alike = f"{one.figures.alike:.2f}" if one.figures.alike is not None else "-"
    return [
        ("▸ " if here else "  ", "accent"), (f"{shown(one.word)[:24]:<24}", "strong" if here else "plain"),
        (f" {one.similarity:>5.2f} {one.percentile:>6.1f} {alike:>5}", "plain"),
    ]  # fmt: skip


MATCH_HEAD = f"  {'name':<24} {'like':>5} {'pctile':>6} {'alike':>5}"


def run_of(job: Callable[[], LookalikeJob], plan: Plan, suffix: str) -> RunFolder:
    """The run that does, or did, this very job, else a new one."""
    asked = job()
    run = same_run(asked)
    # A search that a person has not confirmed is not gone on with because another one has.
    if run is not None and (not asked.permission or read_job(run.job).permission):
        return run
    return create_run(f"{run_name(plan, Path('lora'))[:44]}-{suffix}", job_toml(asked), kind=asked.kind)

