"""Every screen has its picture, each of which is a drawing that tells nothing of where it was made."""

from __future__ import annotations

import getpass
import importlib
import importlib.util
import pkgutil
import re
import socket
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

import tui
from tui.screen import HouseScreen

HERE = Path(__file__).parent
MOST_BYTES = 60_000


def made():
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("make_screens", HERE / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


SHOTS = made().SHOTS


def all_screens() -> set[str]:
    """The names of the screens a person can come to."""
    for found in pkgutil.walk_packages(tui.__path__, "tui."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)

    def below(kind: type) -> set[type]:
        return {deeper for one in kind.__subclasses__() for deeper in (below(one) or {one})}

    return {kind.__name__ for kind in below(HouseScreen) if kind.__module__.startswith("tui.")}


def test_every_screen_has_a_picture():
    assert {shot.screen for shot in SHOTS} == all_screens()
    assert {path.stem for path in HERE.glob("*.svg")} == {shot.name for shot in SHOTS}


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
def test_a_picture_is_small_whole_and_neutral(shot):
    text = (HERE / f"{shot.name}.svg").read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    drawing = xml.fromstring(text)
    words = " ".join(" ".join(drawing.itertext()).split())
    assert re.search(r"\bhelp|\bn next", words) and "Traceback" not in words
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("https://www.textualize.io", "")
    assert not re.search(r"/(?:tmp|root|opt|work|home/(?!you\b))", words)
    for name in (socket.gethostname(), getpass.getuser()):
        assert not re.search(rf"\b{re.escape(name)}\b", words)
