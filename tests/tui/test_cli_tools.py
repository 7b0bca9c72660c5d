"""draw and bench hand their arguments to a process of the engine; lab makes a job of its own kind."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from engine.lab.plan import LabPlan, lab_toml, read_lab_plan


def fake_engine(folder: Path, part: str, code: str) -> dict[str, str]:
    """An environment in which `engine.PART` is this program; the rest of engine is the real one."""
    package = folder / "fake" / part
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(code)
    (folder / "sitecustomize.py").write_text(f"import engine\nengine.__path__.insert(0, {str(folder / 'fake')!r})\n")
    root = Path(__file__).resolve().parents[2]
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(root)])}


def test_draw_hands_its_arguments_on_with_paths_made_absolute(lorasmith, tmp_path):
    environment = fake_engine(tmp_path, "draw", "import sys\nprint(*sys.argv[1:], sep='\\n')")
    said = lorasmith("draw", "--", "--a prompt", cwd=tmp_path, **environment)
    assert said.code == 2 and "--to" in said.err
    said = lorasmith("draw", "a fox", "--to", "fox.png", "--lora", "l.safetensors", "--seed", "3", "--size", "64x96",
                     cwd=tmp_path, **environment)  # fmt: skip
    assert said.code == 0
    assert said.out.splitlines() == [
        f"--to={tmp_path}/fox.png", "--seed=3", "--base=demo", f"--lora={tmp_path}/l.safetensors", "--size=64x96",
        "--", "a fox",
    ]  # fmt: skip
    said = lorasmith("draw", "a fox", "--to", "fox.png", "--lora", "a.safetensors:0.8", "--lora", "/b.safetensors",
                     "--scheduler", "Euler a", "--hires", "--hires-scale", "2", "--hires-upscaler", "Latent", "--force",
                     cwd=tmp_path, **environment)  # fmt: skip
    assert said.out.splitlines()[3:] == [
        f"--lora={tmp_path}/a.safetensors:0.8", "--lora=/b.safetensors", "--scheduler=Euler a", "--hires",
        "--hires-scale=2.0", "--hires-upscaler=Latent", "--force", "--", "a fox",
    ]  # fmt: skip


@pytest.mark.parametrize("code", [0, 1])
def test_bench_passes_output_and_code_through(lorasmith, tmp_path, code):
    environment = fake_engine(tmp_path, "bench", f"import sys\nprint(sys.argv[1:])\nsys.exit({code})")
    said = lorasmith("bench", "--json", "--real", "--force", **environment)
    assert (said.code, said.out) == (code, "['--json', '--real', '--force']\n")


@pytest.mark.parametrize(("number", "sentence"), [(9, "most likely as memory ran out"), (11, "SIGSEGV")])
def test_an_engine_that_a_signal_ends_is_told_in_a_sentence(lorasmith, tmp_path, number, sentence):
    environment = fake_engine(tmp_path, "bench", f"import os\nos.kill(os.getpid(), {number})")
    said = lorasmith("bench", **environment)
    assert said.code == 1 and sentence in " ".join(said.err.split()) and "Traceback" not in said.err


def test_lab_refuses_settings_it_does_not_know_and_makes_no_run(lorasmith, tmp_path, own_home):
    job = tmp_path / "job.toml"
    job.write_text(lab_toml(LabPlan()) + "\n[moon]\nx = 1\n")
    said = lorasmith("lab", job, "--detach")
    assert said.code == 1 and "moon" in said.err
    assert not (own_home / "runs").exists()
    job.write_text(lab_toml(LabPlan(release=3)))
    assert read_lab_plan(job).release == tomllib.loads(job.read_text())["release"] == 3
