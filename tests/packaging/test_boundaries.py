"""The two halves stay apart: the terminal computes nothing heavy, the engine draws no screen."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCREEN = {"textual", "rich"}
HEAVY = {"torch", "diffusers", "transformers", "peft", "accelerate", "bitsandbytes", "safetensors"}
# The terminal uses these of engine/; all else is for the engine process.
LIGHT = ("plan*", "presets", "estimate", "sizes", "kohya_*", "doctor", "demo", "errors", "files", "environment",
         "__main__", "runs/*", "dataset/*", "vision/models", "draw/class_advice", "draw/class_settings", "draw/order",
         "draw/request", "caption/edit", "caption/front", "caption/journal", "caption/kinds", "caption/plan",
         "caption/search", "caption/store", "caption/tokens", "lora/keys", "lora/inspect", "lora/names",
         "lora/metadata", "lora/readers")  # fmt: skip


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def modules_of(folder: str) -> dict[str, Path]:
    return {module_name(path): path for path in sorted((ROOT / folder).rglob("*.py"))}


def light_modules() -> list[str]:
    found = []
    for pattern in LIGHT:
        paths = sorted((ROOT / "engine").glob(f"{pattern}.py"))
        assert paths, f"engine/{pattern}.py is gone; this list wants a look"
        found += [module_name(path) for path in paths]
    return found


def imports_of(path: Path) -> set[str]:
    """Every module a file imports, also those that a function imports when it is called."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def libraries(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports_of(path)}


def loaded_by(modules: list[str]) -> tuple[set[str], float]:
    """What a fresh interpreter holds after importing these, and the processor seconds that took."""
    code = (
        "import sys, time\nbegun = time.process_time()\n"
        + "".join(f"import {name}\n" for name in modules)
        + "print(time.process_time() - begun, *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seconds, *names = done.stdout.split()
    return set(names), float(seconds)


@pytest.mark.parametrize(("folder", "forbidden"), [("engine", SCREEN), ("tui", HEAVY)])
def test_neither_half_names_the_libraries_of_the_other(folder, forbidden):
    offenders = {name: libraries(path) & forbidden for name, path in modules_of(folder).items()}
    assert {name: found for name, found in offenders.items() if found} == {}


def test_engine_never_imports_the_terminal():
    offenders = [name for name, path in modules_of("engine").items() if "tui" in libraries(path)]
    assert offenders == []


def test_light_modules_load_no_heavy_library_and_no_screen():
    loaded, seconds = loaded_by(light_modules())
    assert loaded & (HEAVY | SCREEN) == set()
    assert seconds < 1  # all of them together; torch alone takes longer


def test_terminal_loads_nothing_heavy_even_with_what_its_functions_import():
    terminal = modules_of("tui")
    engine = modules_of("engine")
    wanted = {name for path in terminal.values() for name in imports_of(path) if name in engine}
    loaded, seconds = loaded_by([name for name in terminal if not name.endswith("__main__")] + sorted(wanted))
    assert loaded & HEAVY == set()
    assert seconds < 2
