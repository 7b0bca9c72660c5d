"""check, plan new, import-preset, estimate, and what train refuses: all that comes before a training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from engine.estimate import estimate_plan
from engine.plan_file import read_plan
from tui.commands.train import absolute_text, run_name


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three photographs: square, wide, and too small for 1024 pixels; one caption."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (1500, 1500), "red").save(folder / "square.png")
    Image.new("RGB", (1600, 900), "blue").save(folder / "wide.png")
    Image.new("RGB", (640, 640), "green").save(folder / "small.png")
    (folder / "wide.txt").write_text("ohwx vase on a table")
    return folder


def plan_file(folder: Path, extra: str = "") -> Path:
    path = folder / "plan.toml"
    path.write_text(
        '# my own comment\n[subject]\nkind = "object"\ninstance_prompt = "ohwx"\nclass_prompt = "vase"\n'
        f'[[pictures.folders]]\npath = "pictures"\n[base]\nmodel = "sdxl-1.0"\n{extra}'
    )
    return path


def test_check_says_what_becomes_of_every_picture(lorasmith, pictures):
    said = lorasmith("check", pictures, "--batch", 2, "--repeats", 3)
    assert said.code == 0
    rows = {line.split()[0]: line.split() for line in said.out.splitlines() if ".png " in line}
    assert rows["square.png"][:6] == ["square.png", "1500x1500", "2.2", "1024x1024", "0", "%"]
    # 1600 x 900 covers 1344 x 768 as 1365 x 768: 21 of 1365 columns are cut away.
    assert rows["wide.png"][:6] == ["wide.png", "1600x900", "1.4", "1344x768", "2", "%"]
    assert rows["small.png"][:6] == ["small.png", "640x640", "0.4", "640x640", "0", "%"]
    # Three buckets of one picture x 3 repeats, batch 2: two batches each.
    assert "an epoch: 6 batches of 2 = 6 steps; the training: 10 epochs = 60 steps" in said.out
    assert "captions: 1 found, 2 missing" in said.out


def test_check_as_json_has_the_same_figures(lorasmith, pictures):
    said = lorasmith("check", pictures, "--batch", 2, "--repeats", 3, "--json", columns=False)
    report = json.loads(said.out)
    assert report["steps"]["total"] == 60 and report["trainable"] is True
    assert {line["picture"]["name"]: line["fit"]["bucket"] for line in report["lines"]} == {
        "small.png": [640, 640], "square.png": [1024, 1024], "wide.png": [1344, 768],
    }  # fmt: skip


def test_check_names_each_kind_of_rubbish(lorasmith, pictures):
    (pictures / "empty.jpg").write_bytes(b"")
    (pictures / "page.png").write_text("<html>")
    (pictures / "cut.png").write_bytes((pictures / "square.png").read_bytes()[:400])
    (pictures / "alone.txt").write_text("a caption of nothing")
    said = lorasmith("check", pictures)
    assert said.code == 0
    for name in ("empty.jpg", "page.png", "cut.png", "alone.txt"):
        assert f"\n- {name}" in said.out
    assert "3 problems; these take no part in the training:" in said.out


def test_check_of_an_empty_folder_fails_with_a_sentence(lorasmith, tmp_path):
    (tmp_path / "nothing").mkdir()
    said = lorasmith("check", tmp_path / "nothing")
    assert said.code == 1
    assert "No picture to train with." in said.out


def test_a_kohya_folder_is_read_and_shown(lorasmith, pictures, tmp_path):
    pictures.rename(tmp_path / "12_ohwx vase")
    said = lorasmith("check", tmp_path / "12_ohwx vase")
    assert 'folder "12_ohwx vase": 12 repeats, trigger "ohwx", class "vase"' in said.out


def test_plan_new_writes_a_commented_plan_and_says_its_figures(lorasmith, pictures, tmp_path):
    out = tmp_path / "vase.toml"
    said = lorasmith("plan", "new", "--kind", "object", "--images", pictures, "--out", out, "--trigger", "zwx",
                     "--class", "vase")  # fmt: skip
    assert said.code == 0, said.err
    plan = read_plan(out)
    assert (plan.subject.kind, plan.subject.instance_prompt, plan.subject.class_prompt) == ("object", "zwx", "vase")
    assert [Path(folder.path) for folder in plan.pictures.folders] == [pictures]
    assert out.read_text().count("#") > 20
    told = " ".join(said.out.split())
    assert "Steps: " in told and "effective rate 1e-4 x" in told
    assert f"lorasmith train {out}" in said.out


def test_plan_new_says_what_is_wrong_with_the_pictures(lorasmith, pictures, tmp_path):
    (pictures / "cut.png").write_bytes((pictures / "square.png").read_bytes()[:400])
    some = lorasmith("plan", "new", "--kind", "object", "--images", pictures, "--out", tmp_path / "some.toml")
    told = " ".join(some.out.split())
    assert "1 file or folder cannot be used; `lorasmith check` names each." in told
    assert "warning: 2 pictures have no caption, which matters for an object" in told
    assert "3 pictures in 3 buckets" in told  # the damaged one is not counted

    (tmp_path / "nothing").mkdir()
    none = lorasmith("plan", "new", "--kind", "object", "--images", tmp_path / "nothing", "--out", tmp_path / "no.toml")
    assert "There is nothing to train with in the plan's folders." in " ".join(none.out.split())
    assert "Steps:" not in none.out


def test_plan_new_never_overwrites(lorasmith, pictures, tmp_path):
    out = tmp_path / "vase.toml"
    out.write_text("mine")
    said = lorasmith("plan", "new", "--kind", "object", "--images", pictures, "--out", out)
    assert said.code == 1 and "exists and is not overwritten" in " ".join(said.err.split())
    assert out.read_text() == "mine"


def test_import_preset_accounts_for_every_key(lorasmith, tmp_path):
    preset = tmp_path / "preset.json"
    keys = {"LoRA_type": "Standard", "network_dim": 16, "network_alpha": 8, "learning_rate": 0.0001, "sdxl": True,
            "sample_sampler": "euler_a", "my_own_key": 1}  # fmt: skip
    preset.write_text(json.dumps(keys))
    out = tmp_path / "plan.toml"
    said = lorasmith("import-preset", preset, "--out", out)
    assert said.code == 0
    for key in keys:
        assert key in said.out
    assert read_plan(out).network.rank == 16

    again = lorasmith("import-preset", preset, "--out", tmp_path / "two.toml", "--json", columns=False)
    report = json.loads(again.out)
    assert {one["key"] for one in report["taken"] + report["left"]} == set(keys)


def test_estimate_says_steps_size_memory_and_where_they_come_from(lorasmith, pictures, tmp_path):
    plan = plan_file(tmp_path, "[length]\nepochs = 4\n")
    said = lorasmith("estimate", plan)
    assert said.code == 0
    figures = said.out[said.out.index("steps ") :]  # after the warnings
    labels = [line.split()[0] for line in figures.splitlines() if not line.startswith(" ")]
    assert labels == ["steps", "repeats", "rate", "file", "disk", "memory", "card", "time"]
    told = " ".join(said.out.split())
    assert "effective rate 1e-4 x 32/32 = 1e-4" in told
    assert "170.5 MB a checkpoint: 722 modules, 85.1 million parameters, bf16" in told
    figures = json.loads(lorasmith("estimate", plan, "--json", columns=False).out)
    assert figures["checkpoints"] == 4
    assert figures["disk"]["checkpoints"] == 4 * figures["lora"]["file_bytes"]


def test_estimate_warns_as_a_training_does(lorasmith, pictures, tmp_path):
    plan = plan_file(tmp_path, "[optimizer]\nlearning_rate = 0.01\n")
    told = " ".join(lorasmith("estimate", plan).out.split())
    assert "warning: optimizer.learning_rate" in told
    assert "warning: 2 pictures have no caption" in told
    findings = json.loads(lorasmith("estimate", plan, "--json", columns=False).out)["findings"]
    assert "optimizer.learning_rate" in [finding["key"] for finding in findings]


def test_estimate_counts_the_buckets_of_the_demos_base_as_that_base_has_them(pictures, tmp_path):
    from engine.base.tiny import make_tiny_base

    path, tiny_base = plan_file(tmp_path), make_tiny_base(tmp_path / "tiny")
    path.write_text(path.read_text().replace("sdxl-1.0", "demo"))
    named = estimate_plan(read_plan(path)).report
    path.write_text(path.read_text().replace('"demo"', f'"{tiny_base}"'))
    opened = estimate_plan(read_plan(path)).report
    assert named.rules == opened.rules
    assert named.buckets == opened.buckets


@pytest.mark.parametrize(
    ("wrong", "sentences"),
    [
        ("[network]\nrnak = 4\n", ["unknown key network.rnak; did you mean network.rank?"]),
        ("[network]\nrank = 0\n", ["network.rank is 0, but must be a whole number from 1 to 1024"]),
        ("[optimizer]\nlearning_rate = -1e-4\n", ["optimizer.learning_rate is -1e-4"]),
        ("[base]\nmodel = \"gone.safetensors\"\n", ["gone.safetensors"]),
    ],
)
def test_train_refuses_a_wrong_plan_and_makes_no_run(lorasmith, pictures, tmp_path, own_home, wrong, sentences):
    path = plan_file(tmp_path)
    text = path.read_text()
    path.write_text((text.partition("[base]")[0] if "[base]" in wrong else text) + wrong)
    said = lorasmith("train", path, "--detach")
    assert said.code == 1
    for sentence in sentences:
        assert sentence in " ".join(said.err.split())
    assert not (own_home / "runs").exists()


def test_train_names_every_problem_at_once(lorasmith, tmp_path):
    path = plan_file(tmp_path, '[[regularization.folders]]\npath = "nowhere"\n')
    said = lorasmith("train", path)
    assert said.code == 1
    told = " ".join(said.err.split())
    assert "/pictures does not exist" in told and "/nowhere does not exist" in told


def test_a_runs_plan_keeps_comments_and_finds_its_folders_from_anywhere(pictures, tmp_path):
    text = absolute_text(plan_file(tmp_path))
    assert text.startswith("# my own comment\n")
    assert f'path = "{pictures}"' in text
    assert 'model = "sdxl-1.0"' in text


@pytest.mark.parametrize(
    ("file", "name"), [("bear.toml", "bear"), ("my bear (2).toml", "my-bear-2"), ("...toml", None), ("_x.toml", "x")]
)
def test_a_run_is_called_after_its_plan(file, name):
    from engine.errors import RunError
    from engine.plan import Plan

    if name is None:
        with pytest.raises(RunError, match="--name"):
            run_name(Plan(), Path("...toml"))
    else:
        assert run_name(Plan(), Path(file)) == name
