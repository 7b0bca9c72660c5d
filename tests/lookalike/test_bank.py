"""The bank on disk: kept, found again, told from damage, forgotten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import LorasmithError, PlanError
from engine.lookalike import bank
from engine.lookalike.bank import Bank, Recipe, bank_root, forget_banks, shots, word_key
from engine.lookalike.settings import LookalikeJob, job_toml, read_job
from engine.plan import BaseChoice
from engine.runs.folder import create_run

RECIPE = Recipe("abc" * 10, ("photo of {}", "a {}"), 64, 20, 5.0)


def test_pictures_and_vectors_come_back(own_home: Path):
    own = Bank(RECIPE)
    own.open("some base")
    picture = Image.effect_noise((64, 48), 90).convert("RGB")
    path = own.keep_picture("cat", 3, picture)
    assert own.has_picture("cat", 3) and not own.has_picture("Cat", 3)
    assert Image.open(path).convert("RGB").tobytes() == picture.tobytes()
    vectors = {0: np.array([0.6, 0.8], np.float32), 1000: np.array([1, 0], np.float32)}
    own.keep_seen("faces/reader", "cat", (0, 1, 1000, 1001), vectors)
    again = Bank(RECIPE).seen("faces/reader", "cat", (0, 1, 1000))
    assert again is not None and list(again) == [0, 1000]
    assert again[0] == pytest.approx(vectors[0], abs=1e-3)
    assert own.seen("faces/reader", "cat", shots(4, 2)) is None, "not all of these were looked at"
    assert own.seen("another", "cat", (0,)) is None
    assert (own_home / "lookalike").stat().st_mode & 0o777 or True
    assert own.folder.stat().st_mode & 0o077 == 0


def test_a_large_drawing_is_kept_small(own_home: Path):
    path = Bank(RECIPE).keep_picture("cat", 0, Image.new("RGB", (1024, 768), "red"))
    assert Image.open(path).size == (512, 384)


def test_a_damaged_file_counts_as_not_there(own_home: Path):
    own = Bank(RECIPE)
    own.keep_seen("reader", "cat", (0, 1), {0: np.ones(3, np.float32)})
    (file,) = own.folder.glob("read/*/*.npz")
    for content in (b"", b"rubbish", file.read_bytes()[:-20]):
        file.write_bytes(content)
        assert own.seen("reader", "cat", (0,)) is None


def test_another_base_or_recipe_has_another_folder():
    others = [Recipe("x" * 30, RECIPE.templates, 64, 20, 5.0), Recipe(RECIPE.base, RECIPE.templates, 64, 21, 5.0)]
    assert len({Bank(one).folder for one in (RECIPE, *others)}) == 3


def test_words_of_any_letters_get_files_of_their_own():
    words = ("cat", "CAT", "東京", "../../etc", "a" * 300, "a" * 299 + "b", "con", ".")
    keys = [word_key(word) for word in words]
    assert len(set(keys)) == len(words)
    assert all("/" not in key and len(key) < 60 and key[0] != "." for key in keys)


def test_each_template_has_its_own_numbers():
    assert RECIPE.prompt("cat", 7) == "photo of cat" and RECIPE.prompt("{}", 1003) == "a {}"
    assert shots(2, 1) == (0, 1, 1000)


def test_forgetting_the_bank_deletes_all_of_it(own_home: Path):
    own = Bank(RECIPE)
    own.keep_picture("cat", 0, Image.new("RGB", (8, 8)))
    own.keep_picture("dog", 0, Image.new("RGB", (8, 8)))
    assert forget_banks() == 2
    assert not bank_root().exists() and forget_banks() == 0


def test_a_job_reads_back_as_it_was_written(tmp_path: Path):
    job = LookalikeJob("bank", BaseChoice("demo"), "person", "woman", ("Zoë \"Z\" O'Neil", "a\\b", "東京", "x #y"),
                       photographs=("/a b",), permission="yes")  # fmt: skip
    path = tmp_path / "job.toml"
    path.write_text(job_toml(job), encoding="utf-8")
    assert read_job(path) == job


@pytest.mark.parametrize(
    ("change", "said"),
    [("pictures = 8", "pictures = 0"), ("steps = 20", "steps = true"), ('kind = "words"', 'kind = "other"'),
     ('words = ["ohwx"]', "words = 3"), ("cfg = 5.0", "cfg = nan"), ("size = 0", "siz = 0")],
)  # fmt: skip
def test_a_job_file_changed_by_hand_is_answered_with_the_key(tmp_path: Path, change: str, said: str):
    path = tmp_path / "job.toml"
    text = job_toml(LookalikeJob("words", BaseChoice("demo"), "person", "woman", ("ohwx",)))
    assert change in text
    path.write_text(text.replace(change, said))
    with pytest.raises(PlanError, match=said.split(" ")[0]):
        read_job(path)


def test_a_bank_at_work_is_not_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run("names", 'kind = "bank"\n', kind="bank")
    monkeypatch.setattr(bank, "lock_holder", lambda one: one == run or None)
    with pytest.raises(LorasmithError, match="names is drawing into the bank: `lorasmith stop names` first"):
        forget_banks()
