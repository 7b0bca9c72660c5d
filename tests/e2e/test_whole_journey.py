"""From nothing to a finished LoRA by keys alone: the wizard's seven steps, the training, leaving, coming back.

Once in a real tmux of 80x24, and once over a real ssh connection that dies while it trains.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from loopback_ssh import Server, screens
from terminal import Terminal
from tmux import Tmux

from engine.plan_file import read_plan
from engine.runs.folder import RunFolder, find_run, list_runs
from engine.runs.lock import lock_holder
from engine.runs.summary import read_summary

TRAINING_SECONDS = 240.0  # of patience; a quiet machine takes a tenth of it
_KEYS = {
    "Tab": "\t", "Enter": "\r", "Space": " ", "Escape": "\x1b", "BSpace": "\x7f",
    "Up": "\x1b[A", "Down": "\x1b[B", "Left": "\x1b[D", "Home": "\x1b[H",
}  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Somebody before a window: presses keys by their names, types, and waits for what must come."""

    press: Callable[..., None]
    write: Callable[[str], None]
    sees: Callable[..., str]


def before_tmux(tmux: Tmux) -> Person:
    return Person(tmux.keys, tmux.type, tmux.until)


def before_terminal(terminal: Terminal) -> Person:
    def press(*names: str) -> None:
        for name in names:
            terminal.keys(_KEYS.get(name, name))

    return Person(press, terminal.keys, terminal.until)


@pytest.fixture
def photographs(shared_data: Path, tmp_path: Path) -> Path:
    """Five photographs of a dog, in a folder that captions may be written to."""
    return Path(shutil.copytree(shared_data / "dreambooth" / "dog6", tmp_path / "dog6"))


@pytest.fixture
def nothing_left(own_home: Path) -> Iterator[None]:
    """Ends an engine that a failed test has left at work."""
    yield
    for run in list_runs():
        if (holder := lock_holder(run)) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(holder.pid, signal.SIGKILL)


def prepare(person: Person, photographs: Path) -> None:
    """Steps 1 to 5."""
    person.sees("From a folder of pictures to the one SDXL LoRA", "n  make a LoRA, step by step", "q leave")
    person.press("n")
    person.sees("1▸Subject 2·Pictures 3·Class 4·Words 5·Captions 6·Parameters 7·Review", "Give the project a name")
    person.write("dog")
    person.press("Tab")
    person.sees("▸Kind")
    person.press("Down", "Down", "Space")
    person.sees("Name        dog", "● animal     one animal, not its breed")
    person.press("Tab", "Home", "Space")
    person.sees("● demo", "Comes with lorasmith", "✓ n goes on", "n next")
    person.press("n")
    person.sees("1✓Subject 2▸Pictures", "Say where the pictures are")
    person.write(str(photographs))
    person.press("Enter")
    shown = person.sees("5 pictures trained, 1.6 megapixels", "▸✓ 00.jpg", "nothing is cut off", "▀▀▀", "n next")
    assert "! 5 pictures: ten or more teach what stays the same" in shown
    assert "u add" in shown and "h check" in shown
    person.press("n")
    person.sees("2✓Pictures 3▸Class", "Advice: Prior prediction", "▸● none", "an epoch as short as can be")
    person.press("Down", "Space")
    person.sees("● prior prediction", "No pictures: in each step")
    person.press("Up", "Space")
    person.sees("▸● none", "✓ n goes on")
    person.press("n")
    person.sees("3✓Class 4▸Words", "Instance    ohwx", "1 token: ohwx", "Class       dog", "✓ n goes on")
    person.press("n")
    person.sees("4✓Words 5▸Captions", "5 pictures, 5 without a caption", "▸✗ 00.jpg", "⏎ edit", "n next")
    person.press("Enter")
    person.sees("esc done typing")
    person.write("a photo of an ohwx dog")
    person.press("Escape")
    person.sees("5 pictures, 4 without a caption", "▸✓ 00.jpg           a photo of an ohwx dog")
    person.press("n")


def shorten(person: Person) -> None:
    """Step 6: the dial at light; two epochs of eight looks at each picture from the table of all values."""
    person.sees("5✓Captions 6▸Parameters", "● normal", "5 pictures x 40 x 10 epochs = 2,000 picture-steps")
    person.press("Left")
    person.sees("● light", "quarters of the usual length", "steps       750 in 10 epochs")
    person.press("a")
    person.sees("▸  repeats                       30", "How often each picture is taken in one epoch.")
    change(person, "repeats", "8", length=2)
    person.sees("▸* repeats                       8 ", "200 steps")
    person.press("/")
    person.sees("type a part of its name", "esc done typing")
    person.write("epochs")
    person.sees("▸  epochs                        10", "advice: 10: the best usually lies at 3 to 6.")
    person.press("Escape")
    person.sees("⏎ change", "n next")
    change(person, "epochs", "2", length=2)
    person.sees("▸* epochs                        2 ", "40 steps")
    person.press("a")
    person.sees("own figures", "40 in 2 epochs, 20 an epoch", "changed by you: repeats, epochs", "n next")


def change(person: Person, name: str, value: str, length: int) -> None:
    """Types a value over the one under the cursor, which is of so many letters; each key once the last was heard."""
    person.press("Enter")
    person.sees("esc done typing")
    person.press(*["BSpace"] * length)
    person.sees(f"▸! {name}")
    person.write(value)
    person.sees(f"▸* {name}")
    person.press("Enter")
    person.sees("⏎ change", "n next")


def begin(person: Person) -> None:
    """Step 7, and the monitor up to its first steps."""
    person.press("n")
    person.sees("6✓Parameters 7▸Review", "dog, an animal", "base       demo", "trigger ohwx, class word dog")
    person.sees("40 in 2 epochs, 20 an epoch: 5 pictures in 1 bucket")
    person.sees("1 of 5 pictures; the others are called by the words alone", "changed by you: repeats 8, epochs 2")
    person.sees("Fewer than three checkpoints leave little to choose from.", "✓ n starts the training")
    person.press("n")
    person.sees("dog  training", "▸1 Work   2 Samples   3 Record   4 Log", "q leaves, `lorasmith` comes back")
    text = person.sees("▸ running", "of 40", "loss  ", "smoothed", "s save", "q leave", seconds=TRAINING_SECONDS)
    assert "epoch 1 of 2" in text and "the processor does the work" in text


def see_it_finish(person: Person) -> None:
    text = person.sees("✓ finished", "of 40", "2 checkpoints, last: epoch 2", seconds=TRAINING_SECONDS)
    assert "step 40 of 40" in text
    person.press("2")
    person.sees("▸2 Samples", "epoch 2", "an ohwx dog on a blue", "▀▀▀")
    person.press("3")
    person.sees("checkpoint, epoch 2: checkpoints/dog")
    person.press("q")
    person.sees("dog: finished", "last checkpoint: epoch 2", "its files:")


def as_asked(run: RunFolder, photographs: Path) -> None:
    """The run is what was said on the screens, and its files are there."""
    plan = read_plan(run.plan)
    assert (plan.subject.kind, plan.subject.instance_prompt, plan.subject.class_prompt) == ("animal", "ohwx", "dog")
    assert (plan.base.model, plan.length.epochs, plan.output.name) == ("demo", 2, "dog")
    assert [(one.path, one.repeats) for one in plan.pictures.folders] == [(str(photographs), 8)]
    assert (photographs / "00.txt").read_text().strip() == "a photo of an ohwx dog"
    assert read_summary(run).status == "finished"
    assert len(list(run.checkpoints.glob("*.safetensors"))) == 2


def test_in_tmux_by_keys_alone(tmux, own_home, photographs, nothing_left):
    person = before_tmux(tmux)
    tmux.open(own_home)
    prepare(person, photographs)
    shorten(person)
    begin(person)
    person.press("q")
    person.sees("dog: running, since", "epoch 1/2, step", "It goes on without this terminal", "`lorasmith watch dog`")
    tmux.command()
    person.sees("dog  training", "▸ running", "of 40", "q leaves, `lorasmith` comes back")
    see_it_finish(person)
    as_asked(find_run("dog"), photographs)


def test_over_ssh_that_dies_while_it_trains(server: Server, own_home, photographs, nothing_left):
    """What the wizard starts is a child of the connection's shell: it outlives that, too."""
    with server.login(own_home) as client:
        person = before_terminal(client)
        prepare(person, photographs)
        shorten(person)
        begin(person)
        client.process.send_signal(signal.SIGKILL)
        dropped = time.monotonic()
        while screens(own_home):
            assert time.monotonic() - dropped < 2.0, "the screen outlived its connection"
    run = find_run("dog")
    assert read_summary(run).status == "running"
    with server.login(own_home) as client:
        person = before_terminal(client)
        person.sees("dog  training", "▸ running", "of 40", "q leaves, `lorasmith` comes back")
        see_it_finish(person)
    as_asked(run, photographs)
