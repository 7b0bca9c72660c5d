"""What no part of the screens may be the only way to: a ctrl-combination, or the screens themselves."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import pytest
from textual.app import App
from textual.screen import Screen
from textual.widget import Widget

from tui import cli
from tui.screen import HouseScreen
from tui.steps import wizard

ROOT = Path(__file__).resolve().parents[2]
# What each screen does, and the plain verbs that do it without one.
VERBS = {
    "subject": ("plan new", "download"), "pictures": ("check",), "class": ("regularize",), "words": ("words",),
    "captions": ("caption", "captions"), "parameters": ("estimate", "import-preset"), "review": ("train",),
    "watch": ("watch", "status", "save", "sample", "pause", "resume", "stop"), "runs": ("status",),
    "compare": ("compare", "choose"),
}  # fmt: skip


def ours() -> list[type]:
    """Every screen and widget of the terminal with keys of its own."""
    files = sorted((ROOT / "tui").rglob("*.py"))
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)
    modules = [import_module(name) for name in names if not name.endswith(("__main__", "__init__"))]
    found = {one for module in modules for _, one in inspect.getmembers(module, inspect.isclass)}
    made_here = (one for one in found if one.__module__.startswith("tui.") and issubclass(one, App | Screen | Widget))
    return sorted(made_here, key=lambda one: one.__qualname__)


@pytest.mark.parametrize("kind", ours(), ids=lambda kind: kind.__qualname__)
def test_no_ctrl_combination_is_the_only_way(kind):
    own = vars(kind).get("BINDINGS", [])
    keys: dict[str, set[str]] = {}
    for binding in own:
        keys.setdefault(binding.action, set()).update(binding.key.split(","))
    for action, ways in keys.items():
        assert any(not key.startswith(("ctrl+", "alt+", "super+")) for key in ways), action


def test_every_screen_has_its_plain_verbs():
    known = {verb.name for verb in (*cli.MAKING, *cli.RUNNING)}
    assert {step.id for step in wizard.steps()} <= set(VERBS)
    assert {name for names in VERBS.values() for name in names} <= known


def test_every_house_screen_explains_itself():
    screens = [one for one in ours() if issubclass(one, HouseScreen) and vars(one).get("DEFAULT_CSS")]
    silent = [one.__qualname__ for one in screens if not one.HELP and one.__name__.endswith("Screen")]
    assert set(silent) <= {"HouseScreen", "StepScreen"}
