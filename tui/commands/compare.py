"""`lorasmith compare`: which checkpoint to take. Begins or follows the job, then says what it found."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.compare.find import comparison_name, comparison_of, parent_of, same_files, self_test_of
from engine.compare.outlook import Outlook, outlook
from engine.compare.report import Report, read_report, report_path
from engine.compare.settings import (
    DOSES,
    KIND,
    CompareJob,
    check_drawing,
    job_text,
    own_prompts,
    read_compare_job,
)
from engine.compare.sources import files_in, files_job, open_source, run_job_of
from engine.errors import LorasmithError, PlanError, RunError, shown
from engine.files import write_atomic
from engine.plan import KINDS
from engine.runs.folder import RunFolder, create_run, find_run
from engine.runs.summary import read_summary
from engine.select.readers import NO_READER, check_readers
from tui.arguments import Parser, given, json_argument, named, positive, screen_arguments
from tui.commands.compare_there import is_done, own_set, say_gone
from tui.commands.compared import tell_comparison, tell_self_test
from tui.commands.status import typed
from tui.commands.train import begin_run
from tui.follow import Interrupts, follow
from tui.launch import can_draw, open_app
from tui.telling import cost_words, fetch_words
from tui.text import count, home_path, say

if TYPE_CHECKING:
    from engine.select.votes import Vote

_DEFAULT = "default"  # of --readers: none that was named


def compare_arguments(parser: Parser) -> None:
    parser.add_argument("what", nargs="+", type=named, metavar="RUN",
                        help="a training run, a comparison, a folder of LoRAs, or LoRA files")  # fmt: skip
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument("--quick", action="store_true", help="the first prompts only")
    depth.add_argument("--thorough", action="store_true", help="four seeds of every prompt instead of two")
    parser.add_argument("--prompts", metavar="FILE", help="your own prompt set, or the name of one (the kind's)")
    parser.add_argument("--steps", type=positive, metavar="N", help="sampling steps (24; the demo's base: 12)")
    parser.add_argument("--cfg", type=float, metavar="X", help="how strictly prompts are followed (6; demo: 4.5)")
    parser.add_argument("--readers", action="append", default=[], metavar="MODEL",
                        help="who looks at the pictures: dinov2, siglip2, a hub name or a folder; looks=dinov2 for one "
                        "measure; repeatable, remembered; default: again the best that are here; "
                        "none: only draw")  # fmt: skip
    parser.add_argument("--fetch", action="store_true", help="first fetch the encoders that see best")
    parser.add_argument("--lean", type=_lean, metavar="X",
                        help="below 1 towards fidelity, above 1 flexibility (1); remembered")  # fmt: skip
    votes = parser.add_mutually_exclusive_group()
    votes.add_argument("--votes", type=given, metavar="TEXT", help="blind votes as the page gives them: '4>5 6=4'")
    votes.add_argument("--unvote", action="store_true", help="take the last of your votes back")
    parser.add_argument("--again", action="store_true", help="go through it again: what is missing is drawn")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the page there, with all its pictures in it")
    parser.add_argument("--self-test", type=int, nargs="?", const=0, metavar="N",
                        help="test the measures: one checkpoint (the choice) at weights 0 to 2")  # fmt: skip
    parser.add_argument("--detach", action="store_true", help="return as soon as it has begun")
    files = parser.add_argument_group("for LoRAs from elsewhere")
    files.add_argument("--base", metavar="MODEL", help="the base they were trained on")
    files.add_argument("--kind", choices=KINDS, metavar="KIND", help="what they show: " + ", ".join(KINDS))
    files.add_argument("--trigger", metavar="WORD", help="the word that calls it (their metadata's)")
    files.add_argument("--class", dest="class_word", metavar="WORD", help="the everyday word for it (metadata's)")
    files.add_argument("--pictures", action="append", default=[], metavar="FOLDER", help="photographs of the subject")
    json_argument(parser)
    screen_arguments(parser)


def compare(asked: Namespace) -> int:
    """Does what is missing, and says what was found."""
    job, run = _meant(asked)
    if asked.html is not None:
        from engine.compare.page import check_place

        check_place(asked.html.expanduser().absolute())  # said before anything is drawn
    if asked.votes or asked.unvote or asked.lean is not None:
        return _decide_anew(asked, run)
    screen = _on_screen(asked)
    if run is not None and read_summary(run).alive:
        code = 0 if screen else _join(asked, run)
    elif run is not None and not asked.again and is_done(run, job):
        code = 0
    else:
        code, run = _work(asked, job, run, detach=screen or asked.detach)
    if screen and not code:
        return open_app(asked, run)
    if run is None or asked.detach or (code and not report_path(run.compare).is_file()):
        return code
    return _tell(asked, run) or code


def _on_screen(asked: Namespace) -> bool:
    """Whether the screens open: on a terminal, where nothing was asked for that is printed."""
    printed = asked.plain or asked.json or asked.detach or asked.html is not None or asked.self_test is not None
    return can_draw() and not printed


def _meant(asked: Namespace) -> tuple[CompareJob, RunFolder | None]:
    """The job that is asked for, and the comparison that there is of the same thing."""
    one = _run_named(asked.what[0]) if len(asked.what) == 1 else None
    if one is not None and one.kind == KIND:
        job = read_compare_job(one.job)
        return _with_options(asked, job), one
    if one is not None:
        job = run_job_of(one)
        if asked.self_test is not None:
            return _dose(asked, job, one), self_test_of(one)
        found = comparison_of(one)
    else:
        files = _files(asked.what)
        job = files_job(
            files, base=asked.base or "", kind=asked.kind or "", trigger=asked.trigger, class_word=asked.class_word,
            pictures=[str(Path(one).expanduser()) for one in asked.pictures],
        )  # fmt: skip
        found = same_files(job)
        if asked.self_test is not None:
            raise PlanError("The self-test takes a training run: `lorasmith compare RUN --self-test`.")
    if found is not None:
        before = read_compare_job(found.job)
        said = {"pictures": job.pictures or before.pictures, "loras": job.loras, "base": job.base, "kind": job.kind,
                "trigger": job.trigger, "class_word": job.class_word}  # fmt: skip
        job = replace(before, **said)  # type: ignore[arg-type]
    return _with_options(asked, job), found


def _run_named(text: str) -> RunFolder | None:
    """The run that this names; None where it is a file or a folder of LoRAs."""
    path = Path(text).expanduser()
    try:
        run = find_run(text)
    except RunError:
        if path.exists() or path.suffix == ".safetensors":
            return None  # of a file that is not there its place is said
        raise
    if run.kind not in {"train", KIND}:
        raise RunError(f"{shown(run.name)} is a {run.kind} run and has no checkpoints: name a training run")
    return run


def _files(texts: list[str]) -> list[Path]:
    found: list[Path] = []
    for text in texts:
        path = Path(text).expanduser().absolute()
        found += files_in(path) if path.is_dir() and not (path / "adapter_model.safetensors").is_file() else [path]
    if not found:
        raise PlanError(f"There is no .safetensors file in {shown(texts[0])}: give the folder that holds the LoRAs.")
    return list(dict.fromkeys(found))


def _with_options(asked: Namespace, job: CompareJob) -> CompareJob:
    """The job with what was said on the command line; what was not said stays."""
    changes: dict[str, object] = {}
    if asked.quick or asked.thorough:
        changes["depth"] = "quick" if asked.quick else "thorough"
    if asked.prompts:
        changes["prompts"] = asked.prompts
    check_drawing(asked.steps, asked.cfg)
    for key in ("steps", "cfg"):
        if getattr(asked, key) is not None:
            changes[key] = getattr(asked, key)
    if asked.readers:
        changes["readers"] = _readers(asked)
    if asked.fetch:
        changes["fetch"] = True
        if job.readers == (NO_READER,):
            changes.setdefault("readers", ())  # what is fetched is to see
    return replace(job, **changes)  # type: ignore[arg-type]


def _readers(asked: Namespace) -> tuple[str, ...]:
    """The encoders that were named; none, which are the default ones, where that word was given."""
    if asked.readers == [_DEFAULT]:
        return ()
    if _DEFAULT in asked.readers:
        raise PlanError(f"--readers {_DEFAULT} goes alone: it takes back every other that was named.")
    if NO_READER in asked.readers and len(asked.readers) > 1:
        raise PlanError(f"--readers {NO_READER} goes alone: with it nothing is measured.")
    check_readers(asked.readers, fetch=asked.fetch)  # a job would keep a name that is none
    return tuple(asked.readers)


def _dose(asked: Namespace, job: CompareJob, run: RunFolder) -> CompareJob:
    """The self-test of a checkpoint: the named one, the comparison's choice, or the last."""
    number = asked.self_test
    compared = comparison_of(run)
    if not number and compared is not None and report_path(compared.compare).is_file():
        choice = read_report(compared.compare).choice
        number = choice[0] if choice else 0
    entries = [entry.number for entry in open_source(job).entries]
    if number and number not in entries:
        raise RunError(f"{shown(run.name)} has no checkpoint of epoch {number}: the last is {entries[-1]}")
    return replace(_with_options(asked, job), dose=number or entries[-1])


def _work(
    asked: Namespace, job: CompareJob, run: RunFolder | None, *, detach: bool
) -> tuple[int, RunFolder | None]:
    """Tells the cost, writes the job, starts the engine and follows it."""
    text = None
    if run is None or not own_prompts(run).is_file() or Path(job.prompts).expanduser().is_file():
        text = own_set(job)
    there = run is not None and text is None and own_prompts(run).is_file()
    prompts = str(own_prompts(run)) if there else job.prompts if text is not None else ""  # type: ignore[arg-type]
    seen = outlook(job, str(Path(prompts).expanduser()) if prompts else "")
    _refuse_blind(seen)
    if not asked.json:
        _tell_cost(job, seen)
    if run is not None and not asked.json:
        say_gone(job, run, "What was found of them leaves the comparison.")
    if run is None:
        run = create_run(_name(asked, job), job_text(job), kind=KIND, parent=parent_of(job))
    elif read_compare_job(run.job) != job:
        write_atomic(run.job, job_text(job))
    if text is not None:
        write_atomic(own_prompts(run), text)
    elif job.prompts in ("", *KINDS, "demo"):
        own_prompts(run).unlink(missing_ok=True)
    with _quiet(asked.json):
        return begin_run(run, KIND, detach=detach), run


def _name(asked: Namespace, job: CompareJob) -> str:
    import re

    base = Path(job.run).name if job.run else comparison_name([Path(one) for one in job.loras])
    base = re.sub(r"[^\w.-]+", "-", base).strip("._-")[:60] or "loras"
    return f"{base}-{'self-test' if job.dose else KIND}"


def _refuse_blind(seen: Outlook) -> None:
    """LorasmithError where nothing could be chosen in the end: said before hundreds of pictures are drawn."""
    if seen.blind:
        raise LorasmithError(
            "No encoder on this machine could see how like your subject a picture is, so all would be drawn and none "
            f"chosen. --fetch first fetches {fetch_words(seen.readers)}, once for all comparisons; --readers MODEL "
            f"takes a folder that you have; --readers {NO_READER} only draws."
        )


def _tell_cost(job: CompareJob, seen: Outlook) -> None:
    """How many pictures, and how long where this base was drawn with before; and what is fetched or could be."""
    if job.run and read_summary(RunFolder(Path(job.run))).alive:
        say(f"{shown(Path(job.run).name)} is still training: what it has saved so far is compared.")
    if seen.readers.offered and job.fetch:
        say(f"First {fetch_words(seen.readers)} will be fetched, once for all comparisons.")
    elif seen.readers.offered:
        say(f"--fetch brings what sees more: {fetch_words(seen.readers)}.")
    if job.dose:
        say(f"The same LoRA, epoch {job.dose}, is drawn at {len(DOSES)} weights from 0 to 2.")
        return
    say(
        f"{count(seen.checkpoints, 'checkpoint')} and the untouched base: {cost_words(seen)}. "
        "Everything drawn is kept; it can be stopped at any moment."
    )


def _join(asked: Namespace, run: RunFolder) -> int:
    say(f"{shown(run.name)} is at it. Ctrl-C leaves it running.", file=sys.stderr if asked.json else None)
    if asked.detach:
        return 0
    with Interrupts() as interrupts, _quiet(asked.json):
        return follow(run, interrupts)


def _decide_anew(asked: Namespace, run: RunFolder | None) -> int:
    """Votes and the dial: nothing is drawn."""
    from engine.compare.again import decide_again, unvote, vote_all, votes_of

    if run is None or not report_path(run.compare).is_file():
        raise RunError(f"{shown(asked.what[0])} has not been compared yet: `lorasmith compare` does it first")
    if asked.votes:
        vote_all(run.compare, votes_of(asked.votes))
    if asked.unvote:
        taken, report = unvote(run.compare)
        assert taken is not None
        with _quiet(asked.json):
            say(f"Taken back: {_voted(report, taken)}. {count(report.votes, 'vote')} left.")
    if asked.lean is not None:
        decide_again(run.compare, asked.lean)
    return _tell(asked, run)


def _voted(report: Report, vote: Vote) -> str:
    """A vote as it is told: 'epoch 6 rather than epoch 4'."""
    left, right = (shown(report.name_of((point.checkpoint, point.weight))) for point in (vote.left, vote.right))
    if vote.better is None:
        return f"{left} and {right}: no difference"
    return f"{left} rather than {right}" if vote.better == vote.left else f"{right} rather than {left}"


def _tell(asked: Namespace, run: RunFolder) -> int:
    """The page where it was asked for; then the screen, the words and the table, or the report itself."""
    from engine.compare.page import write_page

    if asked.html is not None:
        write_page(run.compare, asked.html)
    report = read_report(run.compare)
    if asked.json:
        sys.stdout.write(report_path(run.compare).read_text(encoding="utf-8"))
        return 0
    job = read_compare_job(run.job)
    if job.dose:
        return tell_self_test(report, run.compare)
    say_gone(job, run, "What was found of them is told all the same; they cannot be made the LoRA.")
    tell_comparison(report, run, typed(run))
    if asked.html is not None:
        say(f"The page is {home_path(asked.html.expanduser().absolute())}.")
    return 0


def demo_comparison(run: RunFolder) -> int:
    """The demo's end: its checkpoints compared, the choice told, and made the LoRA."""
    from engine.compare.export import choose
    from engine.demo import demo_prompt

    job = run_job_of(run)
    _tell_cost(job, outlook(job))
    made = create_run(f"{run.name}-{KIND}", job_text(job), kind=KIND, parent=parent_of(job))
    code = begin_run(made, KIND)
    if code:
        return code
    report = read_report(made.compare)
    tell_comparison(report, made, typed(made))
    if report.choice is None:
        return 0
    done = choose(made.path, to=run.path)
    say(
        f"The choice is exported: {home_path(done.file)}. `lorasmith draw {demo_prompt()!r} --lora "
        f"{home_path(done.file)}:{done.weight:g} --to picture.png` draws with it, and one made on a real SDXL base "
        "goes into the Lora folder of A1111, Forge, ComfyUI or InvokeAI."
    )
    return 0


class _quiet:
    """Has what is said while the job runs go to stderr where stdout is for a program."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __enter__(self) -> None:
        self._before = sys.stdout
        if self.on:
            sys.stdout = sys.stderr

    def __exit__(self, *_: object) -> None:
        sys.stdout = self._before


def _lean(text: str) -> float:
    try:
        lean = float(text)
    except ValueError:
        lean = 0.0
    if not 0.1 <= lean <= 10:
        raise argparse.ArgumentTypeError(f"'{text}' is no lean: 1 is even, 0.5 leans to fidelity, 2 to flexibility")
    return lean
