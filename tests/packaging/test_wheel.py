"""The wheel that people install holds everything, and what it installs starts from anywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def python(*arguments: object, cwd: Path, site: Path | None = None, check: bool = True) -> subprocess.CompletedProcess:
    """A fresh interpreter that meets our packages in `site` only, never in the checkout."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    if site:
        environment["PYTHONPATH"] = str(site)
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built in a copy: a build leaves folders behind, and takes in what an earlier one left."""
    source = tmp_path_factory.mktemp("source")
    caches = shutil.ignore_patterns("__pycache__")
    for name in ("engine", "tui", "presets"):
        shutil.copytree(ROOT / name, source / name, ignore=caches)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", source / "dist", source, cwd=source)
    (built,) = (source / "dist").glob("lorasmith-*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the installed wheel."""
    target = tmp_path_factory.mktemp("site")
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target", target, wheel)
    python(*install, cwd=target)
    return target


def files_below(folder: Path) -> dict[str, int]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}


def test_every_data_file_of_presets_is_installed(site):
    ours = files_below(ROOT / "presets")
    assert len(ours) > 100
    assert files_below(site / "presets") == ours


def test_every_module_is_installed_and_nothing_else_is(site):
    for package in ("engine", "tui"):
        assert files_below(site / package) == files_below(ROOT / package)
    folders = {entry.name for entry in site.iterdir() if entry.is_dir() and not entry.name.endswith(".dist-info")}
    assert folders == {"engine", "tui", "presets", "bin"}


def test_licences_travel_with_what_they_cover(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        own = next(name for name in names if name.endswith(".dist-info/licenses/LICENSE"))
        assert "Apache License" in archive.read(own).decode()
        assert "Copyright (c) 2021 OpenAI" in archive.read("presets/sdxl/tokenizer/NOTICE").decode()
        assert "Apache License" in archive.read("presets/sprites/LICENSE-NOTO.txt").decode()
        assert "MIT License" in archive.read("presets/sprites/LICENSE-FLUENT.txt").decode()
        credits = archive.read("presets/sprites/README.md").decode()
    assert "Google" in credits and "Microsoft" in credits


def test_presets_are_read_from_the_wheel_through_importlib_resources(site, tmp_path):
    code = (
        "import json, engine, presets\n"
        "from importlib.resources import files\n"
        "from engine.plan import KINDS\n"
        "from engine.presets import cards, load_preset\n"
        "kinds = {kind: load_preset(kind).subject.kind for kind in KINDS}\n"
        "merges = (files('presets') / 'sdxl/tokenizer/merges.txt.gz').read_bytes()\n"
        "print(json.dumps([engine.__file__, kinds, len(cards()), len(merges)]))"
    )
    place, kinds, cards, merges = json.loads(python("-P", "-c", code, cwd=tmp_path, site=site).stdout)
    assert Path(place).is_relative_to(site)
    assert len(kinds) == 6 and all(kind == trained for kind, trained in kinds.items())
    assert cards >= 6
    assert merges == (ROOT / "presets/sdxl/tokenizer/merges.txt.gz").stat().st_size


def test_the_installed_command_prints_its_help(site, tmp_path):
    said = python(site / "bin" / "lorasmith", "--help", cwd=tmp_path, site=site).stdout
    assert said.startswith("lorasmith makes an SDXL LoRA")
    assert "train PLAN" in said


def test_the_engine_starts_where_the_working_directory_holds_a_folder_named_engine(site, tmp_path):
    for name in ("engine", "presets", "tui"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    done = python("-P", "-m", "engine", "train", tmp_path / "no-such-run", cwd=tmp_path, site=site, check=False)
    assert done.returncode == 3, done.stderr
    (line,) = done.stdout.splitlines()
    assert "no-such-run" in json.loads(line)["refused"]
