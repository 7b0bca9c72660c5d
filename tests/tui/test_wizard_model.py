"""The wizard without a screen: what each step wants, the recipe, the dial, the table, the review."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from engine.base.download_job import STAGE, job_text
from engine.demo import demo_plan
from engine.plan import KINDS, PictureFolder, Plan
from engine.plan_file import write_plan
from engine.plan_values import value_of
from engine.presets import load_preset
from engine.runs.folder import create_run
from engine.runs.summary import read_summary
from tui.draft import FOLDER, Draft
from tui.steps import ready, recipe, table
from tui.steps.bring import upload
from tui.steps.download import download_words
from tui.steps.figures import brief, figures
from tui.steps.form import complete
from tui.steps.outlook import base_facts, look
from tui.steps.overview import blocking, plan_lines, step_of, warnings
from tui.steps.picture_rows import advice, crop_words, picture_rows, summary_words
from tui.steps.preview import kept_box
from tui.steps.values import typed_value, value_text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four painted pictures of three shapes, one with a caption, and a file that is no picture."""
    place = tmp_path / "pictures"
    place.mkdir()
    for at, size in enumerate(((96, 96), (128, 64), (64, 128), (96, 96))):
        Image.new("RGB", size, (40 * at, 120, 60)).save(place / f"{at}.png")
    (place / "0.txt").write_text("ohwx dog on grass", encoding="utf-8")
    (place / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    return place


@pytest.fixture
def draft(folder) -> Draft:
    named = recipe.moved(recipe.new_draft("animal").with_text("output.name", "dog"), {"base.model": "demo"})
    return named.with_folders(str(folder))


def looked(draft: Draft) -> Draft:
    draft.looks.outlook = look(draft, draft.looks.outlook, None, lambda done, total: None)
    return draft


# What a step wants.


@pytest.mark.parametrize(
    ("name", "said"),
    [("", "Give the project a name"), ("a/b", "cannot hold /"), (".hidden", "begins with a point"),
     ("x" * 101, "too long"), ("a\x1b[31m", "cannot hold"),
     ("🐻", "a letter or a digit"), ("~-_", "a letter or a digit")],
)  # fmt: skip
def test_a_name_that_no_file_can_have_is_one_sentence(name, said):
    missing = ready.subject_missing(recipe.new_draft().with_text("output.name", name))
    assert said in missing and "\x1b" not in missing and "\n" not in missing


@pytest.mark.parametrize(
    ("model", "said"),
    [("/nowhere/x.safetensors", "There is no file or folder /nowhere/x.safetensors"), ("base.ckpt", "is a pickle"),
     ("sdxl 1.0", "no base that is known"), ("~nobody-of-that-name/x", "~nobody-of-that-name/x"),
     ("  ", "Choose a base model")],
)  # fmt: skip
def test_a_base_that_is_none_is_one_sentence(model, said):
    draft = recipe.new_draft().with_text("output.name", "dog").with_typed("base.model", model)
    assert said in ready.subject_missing(draft)


def test_a_file_of_another_kind_is_named_when_it_was_looked_at(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"12345678")
    facts = base_facts(str(path))
    assert str(path.name) in facts.trouble and "\n" not in facts.trouble


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "Say where the pictures are"), ("/nowhere", "There is no folder /nowhere"), ("/", "holds everything"),
     ("~nobody/x", "There is no folder"), ("{file}", "is a file"), ("a\0b", "There is no folder a\\x00b")],
)  # fmt: skip
def test_a_folder_that_is_none_is_one_sentence(text, said, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    draft = recipe.new_draft().with_typed(FOLDER, text.replace("{file}", str(tmp_path / "notes.txt")))
    assert said in ready.pictures_missing(draft)


def test_a_folder_that_may_not_be_read_is_said(folder, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root, as whom tests may run, may read everything
    assert "cannot be read: give this user the right" in ready.folder_trouble(str(folder))


def test_a_folder_typed_but_not_taken_says_what_to_press(folder):
    assert ready.pictures_missing(recipe.new_draft().with_typed(FOLDER, str(folder))) == "Enter reads this folder."


def test_a_folder_that_went_away_or_is_empty_is_said(draft, folder, tmp_path):
    assert ready.pictures_missing(looked(draft)) == ""
    folder.rename(tmp_path / "elsewhere")
    draft.looks.outlook = look(draft, draft.looks.outlook, None, lambda done, total: None, again=True)
    assert "does not exist" in ready.pictures_missing(draft)
    folder.mkdir()
    draft.looks.outlook = look(draft, draft.looks.outlook, None, lambda done, total: None, again=True)
    assert "No picture in this folder" in ready.pictures_missing(draft)


def test_all_left_out_is_said(draft):
    looked(draft)
    out = draft.with_plan({"pictures.leave_out": ("0.png", "1.png", "2.png", "3.png")})
    assert "Every picture is left out" in ready.pictures_missing(looked(out))


# The recipe.


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_draft_has_its_kinds_recipe(kind):
    draft = recipe.new_draft(kind, 24.0)
    preset = load_preset(kind, 24.0)
    assert all(value_of(draft.plan, key) == value_of(preset, key) for key in recipe.RECIPE_KEYS)
    assert recipe.changed_keys(draft) == []


def test_the_recipe_follows_the_kind_and_what_was_changed_stays():
    draft = recipe.new_draft("person").with_plan({"network.rank": 12})
    style = recipe.moved(draft, {"subject.kind": "style"})
    assert style.plan.length.batch_size == 4 and style.plan.network.rank == 12
    assert style.plan.subject.class_prompt == "style"
    assert recipe.changed_keys(style) == ["network.rank"]


def test_a_small_card_lowers_what_the_recipe_leaves_open():
    draft = recipe.moved(recipe.new_draft("person"), {}, vram_gb=8.0)
    assert (draft.plan.pictures.resolution, draft.plan.network.rank) == (768, 16)
    assert recipe.changed_keys(draft) == []
    assert recipe.moved(draft, {}, vram_gb=24.0).plan.pictures.resolution == "auto"


def test_the_demo_base_has_its_own_rate_and_prompts():
    draft = recipe.moved(recipe.new_draft("animal", 8.0), {"base.model": "demo"})
    assert draft.plan.optimizer.learning_rate == demo_plan().optimizer.learning_rate
    assert draft.plan.pictures.resolution == "auto"
    assert draft.plan.samples.prompts[0] == "an ohwx dog on a blue ground"
    back = recipe.moved(draft, {"base.model": "sdxl-1.0"})
    assert back.plan.optimizer.learning_rate == "auto" and "photo" in back.plan.samples.prompts[0]


def test_prompts_follow_the_words_until_they_are_the_persons_own():
    draft = recipe.moved(recipe.new_draft("animal"), {"subject.instance_prompt": "rexo"})
    assert all("rexo" in prompt for prompt in draft.plan.samples.prompts)
    own = draft.with_plan({"samples.prompts": ("mine",)})
    assert recipe.moved(own, {"subject.instance_prompt": "bolt"}).plan.samples.prompts == ("mine",)


# The dial.


@pytest.mark.parametrize(("strength", "steps"), [("light", 1500), ("normal", 2000), ("strong", 3000)])
@pytest.mark.parametrize("pictures", [5, 10, 20, 33, 60])
def test_the_dial_is_three_quarters_all_and_half_as_much_again(strength, steps, pictures):
    turn = recipe.turn("person", strength, pictures)
    assert abs(turn.picture_steps - steps) / steps < 0.25
    assert turn.epochs <= 15


def test_the_dial_rises_whatever_the_number_of_pictures():
    for pictures in range(1, 700, 7):
        light, normal, strong = (recipe.turn("object", one, pictures).picture_steps for one in recipe.STRENGTHS)
        assert light < normal < strong, pictures


def test_the_dial_sets_repeats_and_follows_the_pictures(draft):
    draft = recipe.turned(looked(draft), "strong", 4)
    assert draft.plan.pictures.folders[0].repeats == 75
    fewer = recipe.followed(draft.with_plan({"pictures.leave_out": ("0.png",)}), 3)
    assert fewer.plan.pictures.folders[0].repeats * 3 * fewer.plan.length.epochs == pytest.approx(3000, rel=0.1)
    assert recipe.turned(fewer, "normal", 3).plan.pictures.folders[0].repeats == "auto"


def test_epochs_set_by_hand_are_no_longer_the_dials(draft):
    draft = table.with_value(draft, "length.epochs", 7)
    assert draft.strength == "" and recipe.followed(draft, 4).plan.length.epochs == 7
    assert table.own_keys(draft) == ["length.epochs"]


# The table.


def test_every_value_of_the_plan_is_in_the_table_once(draft):
    keys = [row.key for row in table.table_rows(draft) if row.key]
    assert sorted(keys) == sorted({*recipe.RECIPE_KEYS, recipe.REPEATS})
    assert "network.rank" in keys and "subject.kind" not in keys


def test_the_filter_finds_by_name_meaning_and_what_others_call_it(draft):
    def found(wanted):
        return [row.key for row in table.table_rows(draft, wanted) if row.key]

    assert "network.rank" in found("dim") and "network.rank" in found("rank")
    assert found("nothing like this") == []
    assert found("learning rate")[0] == "optimizer.learning_rate"
    assert found("changed") == []
    assert [row.label for row in table.table_rows(draft, "noise_offset")] == ["loss", "noise_offset"]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [("network.rank", "64", 64), ("network.alpha", "16", 16.0), ("network.alpha", "rank", "rank"),
     ("optimizer.learning_rate", "2e-4", 2e-4), ("optimizer.learning_rate", "0,0002", 2e-4),
     ("network.dora", "on", True), ("network.dora", "no", False), ("captions.max_tokens", "150", 150),
     ("samples.prompts", "one | two, three", ("one", "two, three")), ("base.zero_terminal_snr", "auto", "auto"),
     ("pictures.resolution", " 768 ", 768)],
)  # fmt: skip
def test_a_text_means_its_value_and_the_value_its_text(key, text, value):
    assert typed_value(key, text) == (value, "")
    assert typed_value(key, value_text(key, value)) == (value, "")


@pytest.mark.parametrize(
    ("key", "text"),
    [("network.rank", "0"), ("network.rank", "3x"), ("network.rank", ""), ("network.rank", "2.5"),
     ("optimizer.learning_rate", "nan"), ("network.targets", "all"), ("pictures.background", "white"),
     ("network.dora", "maybe"), ("captions.extension", "txt\x1b[31m")],
)  # fmt: skip
def test_a_text_that_is_no_value_is_one_sentence_and_kept(draft, key, text):
    after, trouble = table.with_text(draft, key, text)
    assert after.plan == draft.plan and after.typed[key] == text
    assert trouble.count("\n") == 0 and "\x1b" not in trouble and key.rpartition(".")[2] in trouble
    assert ready.parameters_missing(after) == trouble
    assert next(row for row in table.table_rows(after) if row.key == key).trouble == trouble
    assert ready.parameters_missing(table.reset(after, key)) == ""


def test_choices_are_stepped_through_and_typed_ones_are_not(draft):
    assert table.stepped(draft, "network.rank", 1) is None
    after = table.stepped(draft, "network.targets", 1)
    assert after is not None and after.plan.network.targets == "attention"
    back = table.stepped(after, "network.targets", -1)
    assert back is not None and back.plan == draft.plan
    assert table.own_keys(after) == ["network.targets"]


def test_what_is_said_of_a_value_has_its_range_and_both_directions():
    said = dict(table.about("network.rank"))
    assert set(said) == {"", "allowed", "higher", "lower", "advice"}
    assert "1 to 1024" in said["allowed"]


def test_a_recipe_of_another_plan_leaves_pictures_words_and_base(draft):
    other = replace(load_preset("style"), base=replace(Plan().base, model="/x.safetensors"))
    after = recipe.with_recipe_of(draft, other)
    assert after.plan.length.batch_size == 4
    assert (after.plan.base.model, after.plan.subject, after.folder) == ("demo", draft.plan.subject, draft.folder)
    assert write_plan(recipe.without_subject(draft.plan)).count("ohwx") == 0


# The pictures.


def test_every_picture_says_what_becomes_of_it(draft, folder):
    draft = looked(draft.with_plan({"pictures.leave_out": ("3.png",)}))
    rows = picture_rows(draft.plan, draft.looks.outlook)
    assert [(row.name, row.state) for row in rows] == [
        ("0.png", "trained"), ("1.png", "trained"), ("2.png", "trained"), ("3.png", "out"), ("broken.jpg", "bad"),
    ]  # fmt: skip
    assert "broken.jpg is not a picture" in rows[-1].said[0]
    assert "Caption: ohwx dog on grass" in rows[0].said
    assert crop_words(rows[0]) == "96 x 96 px, trained as 64 x 64, nothing is cut off"
    assert summary_words(rows, draft.looks.outlook).startswith("3 pictures trained, 1 left out, 1 unusable")
    assert any("ten or more" in said for said in advice(rows, draft.looks.outlook))


def test_left_out_here_is_left_out_of_the_steps(draft):
    before = looked(draft).looks.outlook
    assert before is not None and before.trained == 4
    after = looked(draft.with_plan({"pictures.leave_out": ("3.png",)})).looks.outlook
    assert after is not None and after.trained == 3 and after.dataset is before.dataset


def test_what_is_kept_of_a_cut_picture_is_its_bucket(draft):
    wide = next(row for row in picture_rows(draft.plan, looked(draft).looks.outlook) if row.name == "1.png")
    assert wide.fit is not None
    left, top, right, bottom = kept_box((1280, 640), wide.fit)
    shape = wide.fit.bucket
    assert (right - left) / (bottom - top) == pytest.approx(shape[0] / shape[1], rel=0.02)
    assert left == 1280 - right and top == 640 - bottom


def test_the_lines_for_the_persons_own_machine_name_this_login():
    lines = upload(Path("/data/my dogs"), {"SSH_CONNECTION": "10.0.0.9 50122 192.0.2.7 2222"}, user="ada")
    assert lines.rsync == "rsync -av --progress -e 'ssh -p 2222' MY_PICTURES/ ada@192.0.2.7:'/data/my dogs/'"
    assert lines.scp == "scp -r -P 2222 MY_PICTURES/* ada@192.0.2.7:'/data/my dogs/'"
    assert lines.note == ""
    plain = upload(Path("/data"), {"SSH_CONNECTION": "::1 1 fe80::2 22"}, user="ada")
    assert plain.scp == "scp -r MY_PICTURES/* ada@[fe80::2]:/data/"
    assert "no ssh login" in upload(Path("/data"), {}, user="ada").note


def test_a_path_is_completed_as_in_a_shell(tmp_path):
    (tmp_path / "dog6").mkdir()
    (tmp_path / "dolls.zip").touch()
    (tmp_path / ".hidden").mkdir()
    assert complete(f"{tmp_path}/d", (".zip",)) == f"{tmp_path}/dog6/"
    assert complete(f"{tmp_path}/dol", (".zip",)) == f"{tmp_path}/dolls.zip"
    assert complete(f"{tmp_path}/dol") is None
    assert complete(f"{tmp_path}/x") is None and complete("/nowhere/x") is None


# The download.


def test_a_download_is_told_with_its_bar_and_its_time():
    summary = read_summary(create_run("download-x", job_text("a/b"), kind="download"))
    half = replace(summary, status="running", stage=STAGE, stage_done=3450, stage_total=6900, started=1000.0)
    words, _ = download_words(half, now=1600.0) or ("", "")
    assert words == "██████████·········· 3.5 of 6.9 GB, about 10 min left. It goes on if you leave."
    died, ink = download_words(replace(summary, status="failed", reason="no network.")) or ("", "")
    assert died == "The download stopped: no network. d goes on with it." and ink == "bad"
    assert download_words(replace(summary, status="finished")) is None


# The figures and the review.


def test_the_figures_are_those_of_the_estimate(draft):
    lines = figures(draft.plan, looked(draft).looks.outlook)
    assert [line.word for line in lines] == ["steps", "rate", "time", "memory", "disk", "file"]
    assert "1,000 steps" in brief(lines)
    outlook = draft.looks.outlook
    assert outlook is not None and outlook.estimate is not None
    assert f"{outlook.estimate.report.steps.total:,} in 10 epochs" in lines[0].said


def test_every_section_of_the_plan_belongs_to_a_step():
    assert step_of("subject.kind") == "subject" and step_of("subject.class_prompt") == "words"
    assert step_of("pictures.leave_out") == "pictures" and step_of("pictures.resolution") == "parameters"
    assert step_of("regularization.folders.path") == "class" and step_of("network.rank") == "parameters"


def test_the_review_says_the_whole_plan_and_what_is_against_it(draft):
    told = {line.word: line.said for line in plan_lines(looked(draft), draft.looks.outlook)}
    assert told["name"] == "dog, an animal" and told["base"] == "demo"
    assert told["captions"].startswith("1 of 4 pictures")
    lines = warnings(draft, draft.looks.outlook)
    assert blocking(lines) == ""
    assert any(line.step == "pictures" and "cannot be used" in line.said for line in lines)


def test_a_disk_that_will_not_hold_it_is_said(draft):
    outlook = replace(looked(draft).looks.outlook, free_disk=1000)
    (said,) = [line.said for line in warnings(draft, outlook) if "make room" in line.said]
    assert "has 1.0 kB free" in said and blocking(warnings(draft, outlook)) == ""


def test_what_a_step_wants_blocks_the_start_in_the_steps_own_words(draft):
    lines = warnings(replace(draft, plan=Plan()), None)
    assert blocking(lines) == "Give the project a name: the LoRA's files are called so."
    assert [line.step for line in lines if line.ink == "bad"] == ["subject", "pictures"]
    bad = looked(draft.with_typed("network.rank", "x"))
    assert "Rank cannot be x" in blocking(warnings(bad, bad.looks.outlook))


def test_repeats_of_the_plan_win_over_a_kohya_folders(tmp_path):
    place = tmp_path / "12_rexo dog"
    place.mkdir()
    Image.new("RGB", (64, 64)).save(place / "a.png")
    draft = recipe.moved(recipe.new_draft("animal"), {"base.model": "demo"}).with_folders(str(place))
    assert looked(draft).looks.outlook.dataset.pictures[0].repeats == 12
    draft = draft.with_plan({"pictures.folders": (PictureFolder(str(place), 3),)})
    outlook = looked(draft).looks.outlook
    assert outlook.estimate.report.buckets[0].items == 3
