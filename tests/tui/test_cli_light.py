"""The command answers at once and never loads what only the engine needs."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from engine.runs.folder import create_run
from tui import cli

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "diffusers", "transformers", "peft", "accelerate", "bitsandbytes", "textual", "rich")
# The app; the verbs, their help and the way into the app do without what it is drawn with.
SCREENS = ("tui.app", "tui.key_order", "tui.screen", "tui.watch", "tui.widgets", "tui.steps", "tui.compare")
LIGHT_OF_SCREENS = ("tui.watch", "tui.watch.story", "tui.watch.reading", "tui.watch.requests")


def is_screen(name: str) -> bool:
    return name.startswith(SCREENS) or name.endswith("_screen")


def modules() -> list[str]:
    files = sorted((ROOT / "tui").rglob("*.py"))
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)
    return [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]


def loaded_after(statement: str) -> str:
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_no_module_of_the_terminal_loads_what_only_the_engine_needs():
    imports = "\n".join(f"import {name}" for name in modules())
    assert set(loaded_after(imports).split()) <= {"textual", "rich"}


def test_only_screens_load_what_draws_them():
    plain = [name for name in modules() if not is_screen(name) or name in LIGHT_OF_SCREENS]
    assert {"tui.cli", "tui.launch", "tui.watch.story"} <= set(plain)
    assert loaded_after("\n".join(f"import {name}" for name in plain)) == ""


@pytest.mark.parametrize("module", ["engine.doctor", "engine.estimate", "engine.demo"])
def test_light_engine_modules_load_neither_torch_nor_a_screen(module):
    assert loaded_after(f"import {module}") == ""


@pytest.mark.parametrize("arguments", [["--help"], ["status"], []])
def test_help_and_status_load_neither_pictures_nor_plans(arguments):
    code = f"from tui.cli import main\nmain({arguments!r})\n"
    assert loaded_after(code + "assert 'PIL' not in sys.modules and 'tomlkit' not in sys.modules") == ""


@pytest.mark.alone
@pytest.mark.parametrize("arguments", [["--help"], ["status"]])
def test_help_and_status_answer_within_three_tenths_of_a_second(arguments):
    for number in range(20):
        create_run(f"run-{number}", "")
    taken = [seconds(["-m", "tui", *arguments]) for _ in range(5)]
    assert statistics.median(wall for wall, _ in taken) < 0.3
    assert statistics.median(work for _, work in taken) < 0.3


def seconds(arguments: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of a Python process."""
    begun, before = time.perf_counter(), processor_seconds()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=True)
    return time.perf_counter() - begun, processor_seconds() - before


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("verb", [*cli.MAKING, *cli.RUNNING], ids=lambda verb: verb.name)
def test_every_verb_has_a_function_and_a_help_of_80_columns(verb, lorasmith):
    module, _, function = verb.function.partition(":")
    assert callable(getattr(import_module(module), function))
    said = lorasmith(*verb.name.split(), "--help")
    assert said.code == 0
    assert said.out.startswith(f"usage: lorasmith {verb.name} ")


def test_the_list_of_all_verbs_fits_80_columns(lorasmith):
    lines = lorasmith("--help").out.splitlines()
    assert [line for line in lines if len(line) > 80] == []
