"""Screenshots of every screen, from a real run of the demo: `python tests/screens/make.py`.

The wizard is gone through by keys on the demo's pictures, then the demo's training is shown. That takes minutes;
`--demo RUN` shows one that has finished instead. The SVGs are Textual's own, made smaller, and lie beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import html
import os
import re
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
SCREENS = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from engine.runs.folder import RunFolder

SIZE, WIDE = (80, 24), (120, 36)
NEUTRAL = "/home/you"


@dataclass(frozen=True)
class Shot:
    """One picture: the file's name, the class of the screen on it, what a README says of it."""

    name: str
    screen: str
    alt: str


SHOTS = (
    Shot("welcome", "WelcomeScreen", "The welcome: what lorasmith does, and where it begins"),
    Shot("subject", "SubjectScreen", "Step 1, the subject: name, kind, base model, machine"),
    Shot("pictures", "PicturesScreen", "Step 2, the pictures: a table, a preview with its crop, what is to be said"),
    Shot("class", "ClassPicturesScreen", "Step 3, class pictures: four ways and what each costs"),
    Shot("words", "WordsScreen", "Step 4, the words: instance and class prompt with their tokens"),
    Shot("captions", "CaptionsScreen", "Step 5, the captions: each picture beside its text"),
    Shot("parameters", "ParametersScreen", "Step 6, the parameters: one dial, and what it comes to"),
    Shot("table", "ParametersScreen", "Step 6, the table of all values, each explained"),
    Shot("review", "ReviewScreen", "Step 7, the review: the whole plan on one screen"),
    Shot("monitor", "WatchScreen", "The monitor: the loss of a training, with its checkpoints"),
    Shot("monitor-samples", "WatchScreen", "The monitor: the samples of an epoch"),
    Shot("monitor-record", "WatchScreen", "The monitor: the record of what happened when"),
    Shot("monitor-wide", "WatchScreen", "The monitor at 120x36: loss, newest samples and record at once"),
    Shot("compare-choice", "CompareScreen", "The choice: fidelity against flexibility, and what is to be said of it"),
    Shot("compare-pictures", "CompareScreen", "The pictures that made a sentence, below the untouched base's"),
    Shot("compare-table", "CompareScreen", "The table of epochs: balance, chance, and the five parts"),
    Shot("compare-grid", "CompareScreen", "The grid: the same prompts drawn by the base and by each epoch"),
    Shot("compare-large", "CompareScreen", "One picture large, beside the base's and the choice's"),
    Shot("compare-wide", "CompareScreen", "The choice at 120x36: chart, words and their pictures at once"),
    Shot("runs", "RunsScreen", "The list of runs"),
    Shot("drafts", "DraftsScreen", "The list of drafts"),
)


# The way through the screens.


async def wizard(home: Path) -> None:
    """From the welcome through the seven steps to a training that begins."""
    from pilots import until

    from tui.app import LorasmithApp

    async with LorasmithApp(look_seconds=0.2).run_test(size=SIZE) as pilot:
        await until(pilot, "see it work")
        await take(pilot, "welcome")
        await pilot.press("n")
        await until(pilot, "▸Subject", "Give the project a name")
        await pilot.press(*"fox", "tab", "down", "down", "enter")
        await until(pilot, "● animal")
        await pilot.press("home", "enter")
        await until(pilot, "● demo", "Comes with lorasmith", "n goes on")
        await take(pilot, "subject")
        await pilot.press("n")
        await until(pilot, "▸Pictures", "Say where the pictures are")
        await pilot.press(*str(home / "pictures"), "enter")
        await until(pilot, "10 pictures trained", "▀", "n goes on")
        await pilot.press("down", "down")
        await take(pilot, "pictures")
        await pilot.press("n")
        await until(pilot, "▸Class", "Advice: ")
        await pilot.press("down", "enter")
        await until(pilot, "● prior prediction")
        await take(pilot, "class")
        await pilot.press("n")
        await until(pilot, "▸Words", "1 token: ohwx")
        await pilot.press("down", "down", "enter")
        await until(pilot, "Class       animal", "● animal")
        await take(pilot, "words")
        await pilot.press("n")
        await until(pilot, "▸Captions", "10 pictures", "▀", "n goes on")
        await pilot.press("down")
        await take(pilot, "captions")
        await pilot.press("n")
        await until(pilot, "▸Parameters", "● normal", "in 10 epochs")
        await take(pilot, "parameters")
        await pilot.press("a")
        await until(pilot, "How often each picture is taken")
        await pilot.press(*["down"] * 9)
        await take(pilot, "table")
        await pilot.press("a", "n")
        await until(pilot, "▸Review", "fox, an animal", "n starts the training")
        await take(pilot, "review")
        await pilot.press("n")
        await until(pilot, "fox  training", "▸ starting", seconds=120)


async def lists(run: RunFolder) -> None:
    """The runs, with one at work, and the draft that it came from."""
    from pilots import until

    from tui.app import LorasmithApp

    async with LorasmithApp().run_test(size=SIZE) as pilot:
        await until(pilot, "2 runs", "1 at work", "fox", "demo", "finished")
        await take(pilot, "runs")
        await pilot.press("n")
        await until(pilot, "started as fox")
        await take(pilot, "drafts")
    await stopped(run)


async def monitor(run: RunFolder) -> None:
    """The demo's training: loss, samples, record; and all at once where there is room."""
    from pilots import until

    from tui.app import LorasmithApp

    async with LorasmithApp(run).run_test(size=SIZE) as pilot:
        await until(pilot, "smoothed", "finished")
        await take(pilot, "monitor")
        await pilot.press("2")
        await until(pilot, "▸2 Samples", "▀")
        await pilot.press(*["left"] * 5)
        await until(pilot, "epoch 5", "▀")
        await take(pilot, "monitor-samples")
        await pilot.press("3")
        await until(pilot, "▸3 Record", "checkpoint, epoch")
        await take(pilot, "monitor-record")
    async with LorasmithApp(run).run_test(size=WIDE) as pilot:
        await until(pilot, "smoothed", "finished", "▀")
        await take(pilot, "monitor-wide")


async def comparison(run: RunFolder) -> None:
    """The comparison of the demo's epochs: the choice, its pictures, table, grid; and all at once with room."""
    from pilots import until

    from tui.app import LorasmithApp

    async with LorasmithApp(run).run_test(size=SIZE) as pilot:
        await until(pilot, "Take epoch", "finished", "[4 pictures]")
        await take(pilot, "compare-choice")
        await pilot.press("enter")
        await until(pilot, "1 of", "▀")
        await take(pilot, "compare-pictures")
        await pilot.press("escape", "2")
        await until(pilot, "▸2 Table", "▸●")
        await take(pilot, "compare-table")
        await pilot.press("3", "right", "pagedown", "pagedown")
        await until(pilot, "▸3 Grid", "▀", "5 of")
        await take(pilot, "compare-grid")
        await pilot.press("enter")
        await until(pilot, "the choice", "(seed", "▀")
        await take(pilot, "compare-large")
    async with LorasmithApp(run).run_test(size=WIDE) as pilot:
        await until(pilot, "Take epoch", "finished", "▀")
        await pilot.press("down")
        await take(pilot, "compare-wide")


# The camera.


async def take(pilot: Pilot, name: str) -> None:
    """Writes the screen once it has come to rest; SystemExit where it is another than SHOTS says."""
    from pilots import text_of

    shot = next(shot for shot in SHOTS if shot.name == name)
    if type(pilot.app.screen).__name__ != shot.screen:
        raise SystemExit(f"{name} is a {type(pilot.app.screen).__name__}, not the {shot.screen} of SHOTS")
    before, since = "", time.monotonic()
    while time.monotonic() - since < 1.0:
        if (now := text_of(pilot)) != before:
            before, since = now, time.monotonic()
        await pilot.pause(0.05)
    svg = smaller(pilot.app.export_screenshot(title="lorasmith", simplify=True))
    svg = svg.replace(str(Path.home()), NEUTRAL)
    path = SCREENS / f"{name}.svg"
    path.write_text(svg, encoding="utf-8")
    print(f"{path.name:<22} {len(svg.encode()) / 1000:5.1f} kB")


_RECT = re.compile(
    r'<rect fill="(#\w+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="[\d.]+" shape-rendering="crispEdges"/>'
)
_HALVES = re.compile(r'<text class="(r\d+)" x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"[^>]*>(▀+)</text>')
_TEXT = re.compile(r'<text class="(r\d+)" x="([\d.]+)" y="([\d.]+)" textLength="[\d.]+"[^>]*>([^<]*)</text>')
_CELL = 12.2  # units of the drawing that a cell is wide; it is twice as high


def smaller(svg: str) -> str:
    """The same drawing in a third of the bytes: grounds and half-blocks as a picture of pixels, names short, no font
    from elsewhere (the letters are any monospace's, held to their columns by their stated lengths)."""
    svg = re.sub(r"@font-face\s*\{[^}]*\}", "", svg)
    svg = re.sub(r"terminal-\d+-", "", svg)
    svg = re.sub(r'<clipPath id="line-\d+">.*?</clipPath>', "", svg, flags=re.DOTALL)
    svg = re.sub(r' clip-path="url\(#line-\d+\)"', "", svg)
    inks = dict(re.findall(r"\.(r\d+) \{ fill: (#\w+)", svg))
    pixels: dict[tuple[int, int], str] = {}  # (column, half line): colour
    for colour, x, y, width in _RECT.findall(svg):
        line = round((float(y) - 1.5) / _CELL)
        for column in range(round(float(x) / _CELL), round((float(x) + float(width)) / _CELL)):
            pixels[column, line] = pixels[column, line + 1] = colour
    for ink, x, y, _, blocks in _HALVES.findall(svg):
        line = round((float(y) - 20) / _CELL)
        for column in range(round(float(x) / _CELL), round(float(x) / _CELL) + len(blocks)):
            pixels[column, line] = inks[ink]
    svg = _RECT.sub("", _HALVES.sub("", svg))
    svg = svg.replace('<g class="matrix">', drawn(pixels) + '<g class="matrix">', 1)
    svg = re.sub(r"\.(r\d+) \{[^}]*\}", lambda one: one[0] if f'class="{one[1]}"' in svg else "", svg)
    svg = _TEXT.sub(placed, svg)
    return "\n".join(line.strip() for line in svg.splitlines() if line.strip()) + "\n"


def placed(found: re.Match[str]) -> str:
    """A text's words, each group of them at its own column, so that no font can shift what stands in columns; braille
    as the dots it is, since few fonts have it at this width."""
    ink, x, y, content = found[1], float(found[2]), float(found[3]), html.unescape(found[4])
    parts = []
    for words in re.finditer(r"[⠀-⣿]+|(?:(?!\xa0\xa0)[^⠀-⣿])+", content):
        text = words[0].strip("\xa0")
        left = x + _CELL * (words.start() + len(words[0]) - len(words[0].lstrip("\xa0")))
        if text and "⠀" <= text[0] <= "⣿":
            parts.append(dotted(text, ink, left, y))
        elif text:
            escaped = html.escape(text, quote=False).replace("\xa0", "&#160;")
            parts.append(f'<text class="{ink}" x="{left:.1f}" y="{y:.1f}" textLength="{_CELL * len(text):.1f}">'
                         f"{escaped}</text>")  # fmt: skip
    return "\n".join(parts)


def dotted(text: str, ink: str, x: float, y: float) -> str:
    """Braille letters as dots, two across and four down in each cell."""
    dots = []
    for at, letter in enumerate(text):
        for bit, (across, down) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]):
            if (ord(letter) - 0x2800) >> bit & 1:
                left, top = x + _CELL * (at + 0.25 + across / 2), y - 18.5 + 2 * _CELL * (down + 0.5) / 4
                dots.append(f"M{left:.0f} {top:.0f}h3v3h-3z")
    return f'<path class="{ink}" d="{"".join(dots)}"/>' if dots else ""


def drawn(pixels: dict[tuple[int, int], str]) -> str:
    """Pixels as one line for each colour, each run of them a dash."""
    dashes: dict[str, list[str]] = {}
    ordered = sorted(pixels, key=lambda at: (at[1], at[0]))
    while ordered:
        column, line = ordered[0]
        long = 1
        while (
            long < len(ordered)
            and ordered[long] == (column + long, line)
            and (pixels[ordered[long]] == pixels[column, line])
        ):
            long += 1
        dashes.setdefault(pixels[column, line], []).append(f"M{column} {line}h{long}")
        ordered = ordered[long:]
    paths = "\n".join(f'<path stroke="{colour}" d="{"".join(parts)}"/>' for colour, parts in dashes.items())
    return f'<g transform="translate(0 7.6) scale({_CELL})" shape-rendering="crispEdges">\n{paths}\n</g>\n'


# What is shown.


async def trained_demo(asked: Path | None, place: Path) -> Path:
    """The folder of a demo that has finished: the one asked for, or one that is trained now."""
    from engine.runs.folder import RunFolder
    from engine.runs.launch import start_engine
    from engine.runs.summary import read_summary
    from tui.commands.train import make_demo

    run = RunFolder(asked.resolve()) if asked is not None else make_demo(place)
    if asked is None:
        print("training the demo, which takes minutes", flush=True)
        start_engine(run, "train")
        while read_summary(run).alive:
            await asyncio.sleep(1.0)
    if (status := read_summary(run).status) != "finished":
        raise SystemExit(f"the demo in {run.path} has not finished: it is {status}")
    return run.path


async def compared_demo(demo: RunFolder, shown: RunFolder) -> RunFolder:
    """The comparison beside `shown`: the one that lies beside the demo it is a copy of, or one that is made now."""
    from engine.compare.find import comparison_of
    from engine.compare.sources import run_job_of
    from engine.runs.folder import RunFolder
    from engine.runs.summary import read_summary
    from tui.compare.starting import begun

    before = comparison_of(demo)
    if before is not None and read_summary(before).status == "finished":
        run = RunFolder(shutil.copytree(before.path, shown.path.with_name(f"{shown.name}-compare")))
        for path in (run.job, run.compare / "report.json"):
            text = path.read_text("utf-8").replace(str(before.path), str(run.path))
            path.write_text(text.replace(str(demo.path), str(shown.path)), encoding="utf-8")
        return run
    print("comparing the demo's epochs, which takes minutes", flush=True)
    run = begun(shown, run_job_of(shown))
    while read_summary(run).alive:
        await asyncio.sleep(1.0)
    if (status := read_summary(run).status) != "finished":
        raise SystemExit(f"the comparison in {run.path} has not finished: it is {status}")
    return run


async def stopped(run: RunFolder) -> None:
    """Stops a training that only had to be there."""
    from engine.runs.control import request
    from engine.runs.lock import lock_holder

    while lock_holder(run) is not None:
        with contextlib.suppress(OSError):
            request(run, "stop", now=True)
        await asyncio.sleep(0.5)


@contextlib.contextmanager
def neutral_home() -> Iterator[Path]:
    """A home folder of a person without a name, whose path is as long as the one that the pictures show."""
    place = Path(tempfile.gettempdir())
    room = len(NEUTRAL) - len(f"{place}/")
    home = place / secrets.token_hex(8)[: max(4, room)]
    home.mkdir(mode=0o700)
    for name in ("LORASMITH_HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME", "NO_COLOR", "TMUX", "SSH_CONNECTION"):
        os.environ.pop(name, None)
    os.environ["HOME"] = str(home)
    os.environ["PYTHONPATH"] = str(ROOT)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def make(asked: Path | None, home: Path) -> None:
    from engine.demo import copy_pictures
    from engine.runs.folder import RunFolder, find_run

    with tempfile.TemporaryDirectory() as place:
        demo = await trained_demo(asked, Path(place))
        copy_pictures(home)
        await wizard(home)
        shown = RunFolder(shutil.copytree(demo, home / "lorasmith" / "runs" / "demo"))
        compared = await compared_demo(RunFolder(demo), shown)
        aside = compared.path.rename(home / "compared")  # the list of runs shows the trainings
    await lists(find_run("fox"))
    await monitor(shown)
    await comparison(RunFolder(aside.rename(compared.path)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--demo", type=Path, metavar="RUN", help="the folder of a demo that has finished")
    asked = parser.parse_args().demo
    from tui.launch import prepare_environment
    from tui.widgets import picture

    picture._KEEP = 0xF0  # fewer colours, since a drawing states each of them
    with neutral_home() as home:
        prepare_environment(os.environ, "truecolor")
        asyncio.run(make(asked, home))


if __name__ == "__main__":
    main()
