"""Rules of the house that a reader of the repository may rely on."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 600  # lines; most files stay under 400
# Folders of the machines that this was written on. Spelt in halves, so that this file does not find itself.
FOLDERS = ("ro" "ot/", "wo" "rk/", "fa" "rm/", "opt/" "ls")
MACHINE_PATH = re.compile(r"(?<![\w.~}])/(?:" + "|".join(FOLDERS) + ")")
TEXT = {".py", ".md", ".toml", ".txt", ".json", ".sh", ".cfg", ".yml", ".yaml", ""}


@cache
def tracked() -> tuple[Path, ...]:
    """The files of the repository; a copy without its history has no list, and no one to be held to it."""
    # Another user's checkout is read all the same.
    done = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if done.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"not a git checkout: {done.stderr.decode()}")
    paths = (ROOT / name for name in done.stdout.decode().split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def texts() -> list[Path]:
    return [path for path in tracked() if path.suffix in TEXT]


def test_no_file_of_code_is_too_long_to_read():
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
               for path in tracked() if path.suffix == ".py"}  # fmt: skip
    assert len(lengths) > 50
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_no_file_names_a_path_of_one_machine():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


def test_nothing_built_or_large_is_tracked():
    names = [path.relative_to(ROOT).as_posix() for path in tracked()]
    built = [name for name in names if re.search(r"(^|/)(__pycache__|build|dist|\.venv)/|\.egg-info/|\.pyc$", name)]
    assert built == []
    assert [str(path) for path in tracked() if path.stat().st_size > 30 * 2**20] == []


def test_version_in_changelog():
    import engine

    assert f"## [{engine.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
