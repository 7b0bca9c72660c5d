"""`lorasmith words PLAN`: what the base makes of the instance word, what it draws for it, and the look-alike search."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from engine.errors import LorasmithError, PlanError, shown
from engine.lookalike.bank import forget_banks
from engine.lookalike.consent import EXPLANATION, QUESTION, confirmed
from engine.lookalike.jobs import bank_job, needs_permission, pictures_to_draw, same_run, words_job
from engine.lookalike.names import read_names, shipped_names
from engine.lookalike.readers import licences
from engine.lookalike.results import RESULT, Figures, MatchResult, WordResult, read_match_result, read_word_result
from engine.lookalike.settings import LookalikeJob, job_toml
from engine.lookalike.subject import forget_subjects
from engine.lookalike.vocabulary import Token
from engine.lookalike.word import WordReport, read_word
from engine.plan import Plan
from engine.plan_file import read_plan
from engine.runs.folder import RunFolder, create_run
from engine.runs.launch import start_engine
from engine.runs.summary import read_summary
from tui.arguments import Parser, json_argument, positive
from tui.commands.train import begin_run, run_name
from tui.follow import Interrupts, follow
from tui.text import count, home_path, plain, say, say_json, table

R = TypeVar("R", WordResult, MatchResult)
_PIECES = 6  # tokens shown of a long text
_JUDGED = {
    "none": "nothing",
    "rare": "a rare word of one token: free for your subject",
    "common": "an everyday word",
    "pieces": "no word of its own, put together from few pieces: free for your subject",
    "many pieces": "no word of its own, put together from many pieces",
    "several words": "several words, each with what the base knows of it: `--draw` shows what that is",
    "unknown": "one token of a vocabulary that is not SDXL's: its number says nothing about how rare it is",
}


def words_arguments(parser: Parser) -> None:
    parser.add_argument("plan", nargs="?", type=Path, metavar="PLAN")
    parser.add_argument("--word", metavar="WORD", help="another word than the plan's instance prompt")
    parser.add_argument("--draw", action="store_true", help="have the base draw it, and say what it knows of it")
    parser.add_argument("--lookalike", action="store_true", help="find the name whose drawings resemble the pictures")
    parser.add_argument("--names", type=Path, metavar="FILE", help="names to draw, one a line (lorasmith's list)")
    parser.add_argument("--i-have-permission", action="store_true",
                        help="the pictures show me or someone who agreed, and an adult")  # fmt: skip
    parser.add_argument("--steps", type=positive, default=20, metavar="N", help="sampling steps (20)")
    parser.add_argument("--encoder", default="auto", metavar="MODEL", help="who looks at pictures: name or folder")
    parser.add_argument("--faces", default="auto", metavar="MODEL", help="who looks at faces: auraface, dlib, a folder")
    parser.add_argument("--detach", action="store_true", help="return as soon as it has begun")
    parser.add_argument("--name", metavar="NAME", help="what to call the run (made from the plan)")
    parser.add_argument("--forget", nargs="?", const="", metavar="RUN",
                        help="delete what was computed from the subject's pictures, in RUN or everywhere")  # fmt: skip
    parser.add_argument("--forget-bank", action="store_true", help="delete all drawings of words and names")
    json_argument(parser)


def words(asked: Namespace) -> int:
    """Forgets what was asked to be forgotten, else reads, draws or searches for the plan."""
    if asked.forget_bank:
        gone = forget_banks()
        say(f"The bank is deleted: the drawings of {count(gone, 'word')} are gone." if gone else "There was no bank.")
    if asked.forget is not None:
        files = forget_subjects(asked.forget or None)
        said = f"Deleted: the numbers computed from a subject's pictures, in {count(files, 'run')}."
        say(said if files else "There was nothing to forget: no run keeps numbers of a subject's pictures.")
    if asked.forget is not None or asked.forget_bank:
        return 0
    if asked.plan is None:
        raise PlanError("words needs a plan: `lorasmith words PLAN`; `lorasmith plan new` makes one.")
    path = asked.plan.expanduser()
    plan = read_plan(path)
    if asked.lookalike:
        return _search(asked, plan, path)
    if asked.draw:
        return _draw(asked, plan, path)
    return _tell_word(read_word(plan, asked.word), as_json=asked.json)


def _tell_word(report: WordReport, *, as_json: bool) -> int:
    """The tokens, the judgement, the remarks, and the choices with their effects."""
    if as_json:
        say_json(plain(report))
        return 0
    say(f"instance prompt  {shown(report.word) or 'none'}", hang=17)
    first, second = report.tokens
    said = [("tokens", _pieces(first))]
    if [token.id for token in first] != [token.id for token in second]:
        said = [("tokens, encoder 1", _pieces(first)), ("tokens, encoder 2", _pieces(second))]
    for label, text in said:
        say(f"{label:<17}{text}", hang=17)
    say(f"{'to the base':<17}{_JUDGED[report.judgement]}", hang=17)
    say(f"class prompt     {shown(report.class_prompt) or 'none'}", hang=17)
    for remark in report.remarks:
        say(f"{remark.severity}: {remark.sentence}", hang=2)
    say("\nThe instance prompt can be:")
    for choice in report.choices:
        say(f"{choice.word}: {choice.effect}.", indent=2, hang=4)
    say("Class prompts for this kind:")
    for choice in report.classes:
        say(f"{choice.word}: {choice.effect}.", indent=2, hang=4)
    say("\n`--draw` has the base draw the word and measures it; `--lookalike` looks for a known name.")
    return 1 if any(remark.severity == "error" for remark in report.remarks) else 0


def _pieces(tokens: tuple[Token, ...]) -> str:
    shown_ones = [f"{shown(token.text)} ({token.id:,})" for token in tokens[:_PIECES]]
    more = f" and {len(tokens) - _PIECES} more" if len(tokens) > _PIECES else ""
    return f"{len(tokens)}: {'  '.join(shown_ones)}{more}" if tokens else "none"


def _draw(asked: Namespace, plan: Plan, path: Path) -> int:
    job = words_job(plan, asked.word, steps=asked.steps, encoder=asked.encoder, faces=asked.faces)
    _tell_readers(asked, job)
    return _work(asked, job, f"{run_name(plan, path)[:48]}-words", read_word_result, _tell_drawn)


def _tell_drawn(run: RunFolder, result: WordResult) -> None:
    """The verdict, the table it rests on, and where the pictures lie."""
    say(result.sentence)
    own = result.faces or result.whole
    rows = [("", "seen in", "alike", "z", "own", "z")]
    rows += [_row(own), *(_row(one) for one in sorted(result.made_up, key=lambda one: -(one.own or 0.0)))]
    say("\n".join(table(rows, indent=2, right=frozenset({1, 2, 3, 4, 5}))), raw=True)
    say(
        "alike: mean cosine of its pictures. own: how far they lie off the made-up words below it, by two prompts "
        f"alike; above z = 3 the base knows the word. Looked at by {shown(result.by)}."
    )
    say(f"The pictures: {home_path(run.path / result.sheet)}")


def _row(one: Figures) -> tuple[str, ...]:
    figures = (one.alike, one.alike_z, one.own, one.own_z)
    marks = ("{:.2f}", "{:+.1f}", "{:.3f}", "{:+.1f}")
    said = ["-" if value is None else mark.format(value) for value, mark in zip(figures, marks, strict=True)]
    return (shown(one.word)[:28], f"{one.seen}/{one.drawn}", *said)


def _search(asked: Namespace, plan: Plan, path: Path) -> int:
    """The look-alike search; asks for permission first where it looks at faces."""
    if asked.names is None and not needs_permission(plan):
        raise LorasmithError(
            f"The list that travels with lorasmith holds people; for a subject of kind {plan.subject.kind} give words "
            "of your own with --names FILE, one a line."
        )
    names = read_names(asked.names or shipped_names())
    job = bank_job(plan, names.names, steps=asked.steps, encoder=asked.encoder, faces=asked.faces)
    for sentence in names.left_out:
        say(f"warning: {sentence}", file=sys.stderr)
    if needs_permission(plan) and (asked.name or same_run(job) is None):
        job = replace(job, permission=_permission(asked))  # a run of the same search has it already
    _tell_readers(asked, job)
    return _work(asked, job, f"{run_name(plan, path)[:44]}-lookalike", read_match_result, _tell_matches)


def _permission(asked: Namespace) -> str:
    """The person's confirmation, typed or by the option. Raises LorasmithError where it is not given."""
    if asked.i_have_permission:
        return confirmed("--i-have-permission")
    if not sys.stdin.isatty():
        raise LorasmithError(
            "The look-alike search looks at faces, so it asks for permission first: start it on a terminal, or add "
            "--i-have-permission if the pictures show you, or someone who agreed, and an adult."
        )
    for paragraph in EXPLANATION:
        say(paragraph + "\n")
    say(QUESTION)
    print("Type yes to go on: ", end="", flush=True)
    if sys.stdin.readline().strip().casefold() != "yes":
        raise LorasmithError("Nothing was looked at and nothing drawn: the search was not confirmed.")
    return confirmed("typed yes")


def _tell_matches(run: RunFolder, result: MatchResult) -> None:
    """The answer, then the short list."""
    say(result.sentence)
    if result.matches:
        rows = [("", "similarity", "percentile", "z", "alike")]
        rows += [
            (shown(one.word)[:32], f"{one.similarity:.3f}", f"{one.percentile:.1f}", f"{one.z:+.1f}",
             f"{one.figures.alike or 0:.2f}")
            for one in result.matches
        ]  # fmt: skip
        say("\n".join(table(rows, indent=2, right=frozenset({1, 2, 3, 4}))), raw=True)
    if result.margin is not None:
        say(f"The first leads the second by {result.margin:.3f}.")
    say(
        f"Of {count(result.names, 'name')} the {result.finalists} nearest were drawn again, and the base draws "
        f"{result.known} of them alike each time. {result.faces_found} of {count(result.photographs, 'picture')} could "
        f"be compared. Looked at by {shown(result.by)}."
    )
    if result.sheet:
        say(f"The drawings: {home_path(run.path / result.sheet)}")
    say("`lorasmith words --forget` deletes what was computed from your pictures.")


def _tell_readers(asked: Namespace, job: LookalikeJob) -> None:
    for licence in licences(job.by_face, job.base.model):
        say(licence, file=sys.stderr if asked.json else None)


def _work(
    asked: Namespace, job: LookalikeJob, name: str, read: Callable[[RunFolder], R], tell: Callable[[RunFolder, R], None]
) -> int:
    """Has the job done, here or by the run that did it before, and tells its result."""
    run, code = _done(asked, job, name)
    if code or asked.detach:
        return code
    result = read(run)
    if asked.json:
        say_json(plain(result) | {"folder": str(run.path)})
    else:
        tell(run, result)
    return 0


def _done(asked: Namespace, job: LookalikeJob, name: str) -> tuple[RunFolder, int]:
    """Starts the job, or takes up the run that already does or did the same."""
    run = None if asked.name else same_run(job)
    if run is None:
        if not asked.json:
            say(f"At most {count(pictures_to_draw(job), 'picture')} to draw; what was drawn before is kept and reused.")
        run = create_run(asked.name or name, job_toml(job), kind=job.kind, exact=asked.name is not None)
        return run, _start(asked, run)
    summary = read_summary(run)
    if summary.status == "finished" and (run.path / RESULT).is_file():
        return run, 0
    if not summary.alive:
        return run, _start(asked, run)
    if not asked.json:
        say(f"The run {shown(run.name)} is at it.")
    if asked.detach:
        return run, 0
    with Interrupts() as interrupts:
        return run, follow(run, interrupts, as_json=asked.json)


def _start(asked: Namespace, run: RunFolder) -> int:
    """Begins the run and follows it; for a program its events come as JSON, a line each, before the result."""
    if not asked.json:
        return begin_run(run, run.kind, detach=asked.detach)
    started = start_engine(run, run.kind)
    if asked.detach:
        say_json({"folder": str(run.path), "pid": started.pid})
        return 0
    with Interrupts() as interrupts:
        return follow(run, interrupts, as_json=True, stop_on_interrupt=True)
