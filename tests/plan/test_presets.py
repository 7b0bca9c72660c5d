"""The recipes that travel with lorasmith, and what a card's memory changes in them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from engine.errors import PlanError
from engine.plan import KINDS, Kind, Plan
from engine.plan_checks import check_plan
from engine.plan_fields import FIELDS
from engine.plan_file import plan_from_text, read_plan, with_changes, write_plan
from engine.plan_values import FOLDER_TYPES, value_of
from engine.presets import card_for, cards, load_preset, memory_changes, new_plan, new_plan_text, preset_text


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_is_complete_commented_and_without_a_remark(kind: Kind, tmp_path: Path) -> None:
    text = preset_text(kind)
    stated = {
        f"{section}.{name}"
        for section, table in tomllib.loads(text).items()
        for name in table
        if name != "folders"
    }
    assert stated == {key for key in FIELDS if key.count(".") == 1 and key not in FOLDER_TYPES}
    assert f"lorasmith plan new --kind {kind}" in text.partition("\n\n")[0]
    assert max(map(len, text.splitlines())) <= 112
    assert check_plan(new_plan(kind, tmp_path)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_follows_the_usual_advice(kind: Kind) -> None:
    plan = load_preset(kind)
    assert plan.subject.kind == kind
    assert plan.length.batch_size == (4 if kind == "style" else 1)
    assert (plan.length.epochs, plan.length.save_every_epochs) == (10, 1)
    assert (plan.network.targets, plan.network.rank, plan.network.alpha) == ("transformer", 32, "rank")
    assert (plan.optimizer.scheduler, plan.optimizer.warmup_steps) == ("constant", 0)
    assert "effective rate 1e-4 x 32/32 = 1e-4" in preset_text(kind)


def test_kinds_differ_only_where_they_have_a_reason() -> None:
    reasons = {
        "subject.kind", "subject.class_prompt", "samples.prompts", "length.batch_size", "captions.shuffle",
        "captions.max_tokens",
    }  # fmt: skip
    person = load_preset("person")
    for kind in KINDS:
        plan = load_preset(kind)
        differing = {
            key for key in FIELDS if key.count(".") == 1 and value_of(plan, key) != value_of(person, key)
        }
        assert differing <= reasons


def test_a_new_plan_is_the_recipe_with_ones_own_words(tmp_path: Path) -> None:
    folder = tmp_path / "rex"
    folder.mkdir()
    text = new_plan_text(
        "animal", folder, instance_prompt="rxx", class_prompt="terrier", base="noobai-xl", name="rex"
    )
    plan = plan_from_text(text)
    assert plan == new_plan(
        "animal", folder, instance_prompt="rxx", class_prompt="terrier", base="noobai-xl", name="rex"
    )
    assert plan.pictures.folders[0].path == str(folder)
    assert all("rxx terrier" in prompt for prompt in plan.samples.prompts)
    assert "# markings lie on one side" in text  # the recipe's reasons stay
    assert "plan new" not in text
    written = tmp_path / "plan.toml"
    written.write_text(text)
    assert read_plan(written) == plan


def test_trigger_and_class_are_read_from_a_kohya_folder(tmp_path: Path) -> None:
    folder = tmp_path / "12_ohwx old woman"
    folder.mkdir()
    assert new_plan("person", folder).subject.class_prompt == "old woman"
    project = tmp_path / "project"
    (project / "img" / "10_zkz dog").mkdir(parents=True)
    subject = new_plan("animal", project).subject
    assert (subject.instance_prompt, subject.class_prompt) == ("zkz", "dog")
    assert new_plan("animal", project, instance_prompt="abc").subject.instance_prompt == "abc"


def test_a_small_card_changes_the_recipe_and_a_large_one_does_not() -> None:
    assert [card.vram_gb for card in cards()] == [8, 12, 16, 24, 48, 80]
    small = load_preset("person", vram_gb=7.7)  # what an "8 GB" card has to give
    assert (small.pictures.resolution, small.network.rank) == (768, 16)
    for vram_gb in (11.8, 15.7, 23.6, 47.5, 79.2):
        assert load_preset("style", vram_gb=vram_gb) == load_preset("style")
        assert not [
            one for one in check_plan(load_preset("style"), vram_gb=vram_gb) if one.key == "network.rank"
        ]
    assert card_for(4).vram_gb == 8 and card_for(12).vram_gb == 12 and card_for(200).vram_gb == 80


def test_a_card_lowers_what_is_too_large_and_leaves_what_was_chosen() -> None:
    chosen = with_changes(Plan(), {"pictures.resolution": 512, "network.rank": 128})
    assert memory_changes(chosen, 8) == {"network.rank": 16}
    assert memory_changes(chosen, 16) == {"network.rank": 64}
    assert memory_changes(chosen, None) == {}


def test_every_change_of_every_card_is_a_value_the_plan_allows() -> None:
    plan = with_changes(Plan(), {"network.rank": 1024})
    for card in cards():
        assert write_plan(with_changes(plan, {**dict(card.changes), **dict(card.at_most)}))
        assert card.fits and not card.fits.endswith(".")


def test_an_unknown_kind_is_named_with_the_known_ones() -> None:
    with pytest.raises(PlanError, match="person, character, animal"):
        preset_text("robot")  # type: ignore[arg-type]


def test_the_plan_room_is_light() -> None:
    code = (
        "import engine.plan_file, engine.plan_checks, engine.presets, engine.kohya_preset, sys;"
        "engine.presets.load_preset('person', 8);"
        "print([name for name in ('torch', 'numpy', 'tomlkit', 'PIL', 'textual') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
