"""The wizard's draft as a file: what is kept, how it is named, and what happens when others write it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import PlanError
from engine.plan_file import read_plan
from tui.draft import FOLDER, Draft, Keeper, draft_from_text, draft_text, drafts_folder, list_drafts, read_draft
from tui.steps.recipe import new_draft


@pytest.fixture
def draft() -> Draft:
    return new_draft("animal").with_text("output.name", "dog")


def test_a_draft_comes_back_as_it_was(draft):
    odd = 'half "typed" \\ \x1b[31m\x7f ünï 3x'
    draft = replace(draft, strength="", vram_gb=23.6, passed=("subject", "pictures"), started=("dog-2",))
    draft = draft.with_typed("network.rank", odd).with_typed(FOLDER, "~/my pict").with_job("download", "download-x")
    assert draft_from_text(draft_text(draft), "dog.toml") == draft


def test_it_is_a_plan_like_any_other(draft, tmp_path):
    path = tmp_path / "dog.toml"
    path.write_text(draft_text(draft.with_typed("network.rank", "3x")), encoding="utf-8")
    assert read_plan(path) == draft.plan


def test_half_a_name_and_a_forbidden_one_are_kept_as_typed(draft):
    typed = draft.with_text("output.name", "a/b")
    assert typed.name == "a/b" and typed.plan.output.name == "dog"
    assert typed.with_text("output.name", "ab").typed == {}


def test_the_file_bears_the_projects_name_and_moves_with_it(draft):
    keeper = Keeper()
    keeper(draft)
    assert [path.name for path in drafts_folder().iterdir()] == ["dog.toml"]
    keeper(draft.with_text("output.name", "big dog"))
    assert [path.name for path in drafts_folder().iterdir()] == ["big-dog.toml"]


def test_two_drafts_of_one_name_lie_side_by_side(draft):
    Keeper()(draft)
    Keeper()(draft)
    assert sorted(path.name for path in drafts_folder().iterdir()) == ["dog-2.toml", "dog.toml"]


def test_a_file_changed_elsewhere_is_not_written_over(draft):
    keeper = Keeper()
    keeper(draft)
    path = drafts_folder() / "dog.toml"
    path.write_text(path.read_text(encoding="utf-8") + "# my own note\n", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    keeper(draft.with_plan({"network.rank": 8}))
    assert "my own note" in path.read_text(encoding="utf-8")
    assert "dog.toml was changed elsewhere" in keeper.notice
    assert read_draft(drafts_folder() / "dog-2.toml").plan.network.rank == 8


def test_a_disk_that_takes_nothing_is_one_sentence(draft, own_home):
    own_home.mkdir(parents=True)
    (own_home / "drafts").write_text("a file where the folder should be")
    keeper = Keeper()
    keeper(draft)
    assert keeper.trouble.startswith("the draft cannot be saved in") and "\n" not in keeper.trouble


def test_a_draft_broken_by_hand_names_its_line_and_is_kept(draft):
    Keeper()(draft)
    path = drafts_folder() / "dog.toml"
    broken = path.read_text(encoding="utf-8").replace("rank = 32", "rank = = 32")
    path.write_text(broken, encoding="utf-8")
    line = next(at for at, text in enumerate(broken.splitlines(), 1) if "= = 32" in text)
    (found,) = list_drafts()
    assert found.draft is None and f"line {line} " in found.trouble and "\n" not in found.trouble
    with pytest.raises(PlanError):
        read_draft(path)
    assert path.read_text(encoding="utf-8") == broken


def test_the_wizards_memory_broken_by_hand_is_named(draft):
    text = draft_text(replace(draft, passed=("subject",))).replace('passed = ["subject"]', 'passed = ["subject')
    with pytest.raises(PlanError, match="memory is no longer readable .*line"):
        draft_from_text(text, "dog.toml")


@pytest.mark.parametrize("letter", ["\u2028", "\u2029", "\x85", "\x0b", "\x7f", "\r"])
def test_whatever_is_pasted_into_a_field_comes_back(draft, letter):
    typed = draft.with_typed("captions.typing:a.jpg", f"a bear{letter}on a \"chair\"")
    assert draft_from_text(draft_text(typed), "dog.toml") == typed


def test_what_a_newer_lorasmith_remembers_is_left_aside(draft):
    text = draft_text(draft) + '#~ mood = "good"\n#~ strength = 3\n'
    assert draft_from_text(text, "dog.toml") == draft


def test_the_newest_draft_stands_first(draft):
    for at, name in enumerate(("one", "two")):
        Keeper()(draft.with_text("output.name", name))
        os.utime(drafts_folder() / f"{name}.toml", (at + 1, at + 1))
    assert [found.name for found in list_drafts()] == ["two", "one"]


def test_killed_at_any_moment_there_is_a_whole_draft(tmp_path):
    """A process that writes without pause is killed; what it leaves is one of the drafts it wrote."""
    script = tmp_path / "write.py"
    script.write_text(
        "from tui.draft import Keeper\nfrom tui.steps.recipe import new_draft\n"
        "draft, keeper = new_draft('animal').with_text('output.name', 'dog'), Keeper()\n"
        "for rank in range(1, 100000):\n    keeper(draft.with_plan({'network.rank': 1 + rank % 500}))\n"
        "    print(rank, flush=True)\n"
    )
    root = Path(__file__).resolve().parents[2]
    env = os.environ | {"PYTHONPATH": str(root)}
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=env)
    assert process.stdout is not None
    for _ in range(20):
        process.stdout.readline()
    time.sleep(0.013)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    (found,) = list_drafts()
    assert found.draft is not None and found.draft.name == "dog" and found.draft.plan.network.rank >= 20
