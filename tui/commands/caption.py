"""`lorasmith caption FOLDER`: a model writes captions; `lorasmith captions FOLDER`: they are read, searched, edited."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from engine.caption.edit import add_prefix, change_prefix, replace_phrase, strip_prefix
from engine.caption.journal import CaptionError, undo
from engine.caption.plan import CaptionPlan, caption_toml, check_captioner, checked, read_caption_plan, running_on
from engine.caption.search import (
    PROBLEMS,
    Finding,
    Phrase,
    find_problems,
    phrase_frequencies,
    with_phrase,
    with_picture,
)
from engine.caption.store import Captions, Change, Entry, check_writable, read_captions, write_changes
from engine.errors import shown
from engine.plan import KINDS
from engine.runs.events import EventReader
from engine.runs.folder import RunFolder, create_run
from tui.arguments import Parser, json_argument, named
from tui.commands.status import typed
from tui.commands.train import begin_run
from tui.follow import Interrupts, follow
from tui.text import count, home_path, say, say_json, table

_SHOWN = 20  # changed lines in a terminal before it says "and more"
_LONG = 240  # letters of a caption before it is cut to the part that changes


def caption_arguments(parser: Parser) -> None:
    parser.add_argument("folder", type=named, metavar="FOLDER", help="the pictures")
    parser.add_argument("--captioner", default="blip", metavar="NAME",
                        help="blip, blip-2, florence-2, qwen, wd (booru tags), labels (a small package), scenes "
                        "(the demo's), a hub name or a folder of weights (blip: 1.9 GB to fetch)")  # fmt: skip
    parser.add_argument("--kind", choices=KINDS, default="person", metavar="KIND", help=", ".join(KINDS) + " (person)")
    parser.add_argument("--trigger", default="", metavar="WORD", help="goes in front of every caption")
    parser.add_argument("--class", dest="class_word", default="", metavar="WORD", help="and this behind it: woman")
    parser.add_argument("--instruction", default="", metavar="TEXT", help="what a chat captioner is asked")
    parser.add_argument("--overwrite", action="store_true", help="also where there is a caption; --undo takes it back")
    parser.add_argument("--detach", action="store_true", help="return as soon as it has begun")
    parser.add_argument("--undo", action="store_true", help="take back the last change of FOLDER's captions")


def captions_arguments(parser: Parser) -> None:
    parser.add_argument("folder", type=named, metavar="FOLDER", help="the pictures")
    parser.add_argument("--find", metavar="WORDS", help="only captions that say this")
    parser.add_argument("--picture", metavar="NAME", help="only pictures of this name, or pattern such as 'beach-*'")
    parser.add_argument("--problem", metavar="WHAT", help="only: " + ", ".join(PROBLEMS) + "; or any")
    parser.add_argument("--phrases", action="store_true", help="what most captions say")
    parser.add_argument("--prefix", metavar="WORDS", help="put these in front; with --strip, in place of those")
    parser.add_argument("--strip", metavar="WORDS", help="take these off the front")
    parser.add_argument("--replace", nargs=2, metavar=("OLD", "NEW"), help="a phrase by another")
    parser.add_argument("--regex", action="store_true", help="--find and OLD are regular expressions")
    parser.add_argument("--trigger", default="", metavar="WORD", help="what every caption should say, for --problem")
    parser.add_argument("--yes", action="store_true", help="write without asking")
    parser.add_argument("--undo", action="store_true", help="take back the last change of FOLDER's captions")
    json_argument(parser)


def caption(asked: Namespace) -> int:
    """Makes a captioning job of the folder and follows it, or takes the last change of its captions back."""
    if asked.undo:
        return _undo(asked.folder)
    check_captioner(asked.captioner)
    captions = read_captions(asked.folder)
    if not captions.entries:
        raise CaptionError(f"{shown(captions.root)} holds no pictures: give the folder that holds them.")
    missing = sum(not entry.usable for entry in captions.entries)
    if not missing and not asked.overwrite:
        say(f"All {count(len(captions.entries), 'picture')} in {home_path(captions.root)} have captions, so there is "
            "nothing to do; --overwrite writes them anew.")  # fmt: skip
        return 0
    check_writable(captions)
    plan = checked(CaptionPlan(
        folder=str(captions.root), captioner=_absolute(asked.captioner), subject=asked.kind,
        trigger=asked.trigger, class_word=asked.class_word, instruction=asked.instruction, overwrite=asked.overwrite,
    ))  # fmt: skip
    if (running := running_on(captions.root)) is not None:
        return _join(running, plan, captions.root, detach=asked.detach)
    run = create_run(_run_name(captions.root), caption_toml(plan), kind="caption")
    code = begin_run(run, "caption", detach=asked.detach)
    if not asked.detach:
        _tell_result(run, captions.root)
    return code


def _join(run: RunFolder, plan: CaptionPlan, root: Path, *, detach: bool) -> int:
    """Follows the run that is at the same work; CaptionError where it captions these pictures otherwise."""
    if read_caption_plan(run.job) != plan:
        raise CaptionError(
            f"the run {shown(run.name)} is captioning these pictures at this moment in another way: "
            f"`lorasmith watch {typed(run)}` follows it, `lorasmith stop {typed(run)}` ends it."
        )
    say(f"The run {shown(run.name)} is at it.")
    if detach:
        return 0
    with Interrupts() as interrupts:
        code = follow(run, interrupts)
    _tell_result(run, root)
    return code


def captions(asked: Namespace) -> int:
    """Lists captions, what is wrong with them or what they say most; or edits them, shown before it is done."""
    if asked.undo:
        return _undo(asked.folder)
    found = read_captions(asked.folder)
    entries = _chosen(asked, found)
    changes = _changes(asked, entries)
    if changes is not None:
        return _edit(asked, found, changes)
    if asked.phrases:
        return _phrases(asked, entries)
    if asked.problem:
        return _problems(asked, found, entries)
    if asked.json:
        say_json([_as_object(entry) for entry in entries])
        return 0
    for entry in entries:
        say(f"{shown(entry.name)}: {shown(entry.text or _without(entry))}", hang=2)
    if not entries:
        say("No caption fits.")
    return 0


def _without(entry: Entry) -> str:
    """Why a picture has no usable caption."""
    return f"({entry.problems[0].rstrip('.')})" if entry.problems else "(no caption)"


def _chosen(asked: Namespace, found: Captions) -> list[Entry]:
    entries = list(found.entries)
    if asked.picture:
        entries = with_picture(entries, asked.picture)
    if asked.find:
        entries = with_phrase(entries, asked.find, as_regex=asked.regex)
    if asked.problem:
        findings = _wanted_problems(asked, find_problems(found.entries, asked.trigger))
        named = {finding.entry.name for finding in findings}
        entries = [entry for entry in entries if entry.name in named]
    return entries


def _wanted_problems(asked: Namespace, findings: Sequence[Finding]) -> list[Finding]:
    if asked.problem != "any" and asked.problem not in PROBLEMS:
        raise CaptionError(f"there is no problem {shown(repr(asked.problem))}: ask for {', '.join(PROBLEMS)} or any.")
    if asked.problem == "trigger" and not asked.trigger:
        raise CaptionError("which word should be there? Give it with --trigger WORD.")
    return [finding for finding in findings if asked.problem in {"any", finding.problem}]


def _changes(asked: Namespace, entries: Sequence[Entry]) -> list[Change] | None:
    """The edit that was asked for, not yet written; None where none was."""
    if asked.replace:
        if asked.prefix or asked.strip:
            raise CaptionError("--replace and --prefix or --strip are two edits: do one after the other.")
        return replace_phrase(entries, *asked.replace, as_regex=asked.regex)
    if asked.prefix and asked.strip:
        return change_prefix(entries, asked.strip, asked.prefix)
    if asked.prefix is not None:
        return add_prefix(entries, asked.prefix)
    if asked.strip is not None:
        return strip_prefix(entries, asked.strip)
    return None


def _edit(asked: Namespace, found: Captions, changes: Sequence[Change]) -> int:
    """Shows what would change, asks, writes. Exit code 1 where a pipe did not say --yes, or some were refused."""
    if not changes:
        say("That changes no caption.")
        return 0
    if asked.json and not asked.yes:
        say_json([{"picture": one.entry.name, "before": one.entry.text, "after": one.after} for one in changes])
        return 0
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    most = _SHOWN if terminal else len(changes)
    for change in [] if asked.json else changes[:most]:
        before, after = _cut(change)
        say(shown(change.entry.name), hang=2)
        say(f"- {shown(before)}", indent=2, hang=4)
        say(f"+ {shown(after)}", indent=2, hang=4)
    if len(changes) > most:
        say(f"and {len(changes) - most:,} more")
    if not asked.yes:
        if not terminal:
            say(f"{count(len(changes), 'caption')} would change; nothing is written without --yes.")
            return 1
        if not _agreed(len(changes)):
            say("Nothing is written.")
            return 1
    check_writable(found)
    wrote = write_changes(found, changes, _named(asked))
    if asked.json:
        say_json({"written": wrote.count, "refused": list(wrote.refused)})
        return 1 if wrote.refused else 0
    for sentence in wrote.refused:
        say(shown(sentence), file=sys.stderr)
    back = f"; `lorasmith captions {home_path(found.root)} --undo` takes it back." if wrote.count else "."
    say(f"{count(wrote.count, 'caption')} written{back}")
    return 1 if wrote.refused else 0


def _agreed(number: int) -> bool:
    try:
        return input(f"Write {count(number, 'caption')}? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _named(asked: Namespace) -> str:
    """The edit in words, for the undo to say what it takes back."""
    if asked.replace:
        return f"'{asked.replace[0]}' replaced by '{asked.replace[1]}'"
    if asked.prefix and asked.strip:
        return f"'{asked.strip}' changed to '{asked.prefix}' in front"
    return f"'{asked.prefix}' put in front" if asked.prefix else f"'{asked.strip}' taken off the front"


def _cut(change: Change) -> tuple[str, str]:
    """Before and after, of long captions only the part around the first difference."""
    before, after = change.before, change.after
    if max(len(before), len(after)) <= _LONG:
        return before or "(no caption)", after
    pairs = enumerate(zip(before, after, strict=False))
    same = next((at for at, (old, new) in pairs if old != new), min(len(before), len(after)))
    start = max(0, same - 60)

    def part(text: str) -> str:
        return ("... " if start else "") + text[start : start + _LONG] + (" ..." if len(text) > start + _LONG else "")

    return part(before), part(after)


def _phrases(asked: Namespace, entries: Sequence[Entry]) -> int:
    found: list[Phrase] = phrase_frequencies(entry.text or "" for entry in entries)
    if asked.json:
        say_json(found)
    elif not found:
        say("No phrase stands in two captions.")
    else:
        rows = [(f"{phrase.share:.0%}", str(phrase.count), shown(phrase.text[:60])) for phrase in found]
        say("\n".join(table(rows, right=frozenset({0, 1}))), raw=True)
    return 0


def _problems(asked: Namespace, found: Captions, entries: Sequence[Entry]) -> int:
    named = {entry.name for entry in entries}
    findings = [one for one in _wanted_problems(asked, find_problems(found.entries, asked.trigger))
                if one.entry.name in named]  # fmt: skip
    if asked.json:
        say_json([{"picture": one.entry.name, "problem": one.problem, "sentence": one.sentence} for one in findings])
        return 0
    for one in findings:
        say(f"{shown(one.entry.name)} {shown(one.sentence)}", hang=2)
    if not findings:
        say("No such problem.")
    return 0


def _undo(folder: str) -> int:
    """Takes the last operation on a folder's captions back, and says what stays."""
    root = Path(folder).expanduser().absolute()
    done = undo(root)
    say(f"Taken back: {shown(done.what)}. {count(done.restored, 'caption is', 'captions are')} what "
        f"{'it was' if done.restored == 1 else 'they were'} before.")  # fmt: skip
    if done.left:
        names = ", ".join(shown(name) for name in done.left[:5]) + (" ..." if len(done.left) > 5 else "")
        stay, they = ("stays as it is", "it") if len(done.left) == 1 else ("stay as they are", "they")
        say(f"{count(len(done.left), 'caption was', 'captions were')} changed since, and {stay}: {names}. "
            f"What {they} said before is in {home_path(done.kept_in)}.")  # fmt: skip
    return 0


def _tell_result(run: RunFolder, root: Path) -> None:
    """What a job that has come to its end has done, from its own last word."""
    last = [event for event in EventReader(run.events).poll() if event.name == "captioned"]
    if not last:
        return
    event = last[-1]
    numbers = {name: int(event.number(name) or 0) for name in ("written", "kept", "skipped")}
    parts = [f"{count(numbers['written'], 'caption')} written"]
    if numbers["kept"]:
        parts.append(f"{numbers['kept']:,} left as they were")
    if numbers["skipped"]:
        parts.append(f"{numbers['skipped']:,} not made, as said above")
    place = home_path(root)
    back = f"; `lorasmith caption {place} --undo` takes back what was written" if numbers["written"] else ""
    say(f"{', '.join(parts)}. `lorasmith captions {place}` shows them{back}.")


def _as_object(entry: Entry) -> dict[str, object]:
    return {"picture": entry.name, "caption": entry.text, "file": entry.path, "problems": entry.problems}


def _absolute(captioner: str) -> str:
    """A folder as an absolute path, since the job runs elsewhere; a name as it is."""
    path = Path(captioner).expanduser()
    return str(path.absolute()) if path.is_dir() else captioner


def _run_name(root: Path) -> str:
    fitting = re.sub(r"[^\w.-]+", "-", root.name).strip("._-")[:50]
    return f"captions-{fitting}" if fitting else "captions"
