"""`lorasmith words` as a person types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from engine.lookalike.bank import Bank, Recipe, bank_root
from engine.lookalike.jobs import bank_job
from engine.lookalike.settings import job_toml
from engine.plan_file import read_plan
from engine.runs.folder import create_run, list_runs

PLAN = """
[subject]
kind = "{kind}"
instance_prompt = "{word}"
class_prompt = "{class_prompt}"
[pictures]
folders = [{{path = "mine"}}]
[base]
model = "{base}"
"""


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Path]:
    """Writes a plan whose pictures are two plain squares."""
    (tmp_path / "mine").mkdir()
    for number in range(2):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(tmp_path / "mine" / f"{number}.png")

    def write(word: str = "ohwx", class_prompt: str = "woman", kind: str = "person", base: str = "sdxl-1.0") -> Path:
        path = tmp_path / "plan.toml"
        path.write_text(PLAN.format(kind=kind, word=word, class_prompt=class_prompt, base=base))
        return path

    return write


def test_the_word_its_tokens_and_the_choices(lorasmith, plan):
    said = lorasmith("words", plan())
    assert said.code == 0
    assert "1: ohwx (47,993)" in said.out and "rare word of one token" in said.out
    assert "woman: the base lends" in said.out and "a rare word: " in said.out


def test_another_word_for_programs(lorasmith, plan):
    said = json.loads(lorasmith("words", plan(), "--word", "p3rs0n", "--json", columns=False).out)
    assert said["judgement"] == "many pieces" and len(said["tokens"][0]) == 5
    assert said["remarks"][0]["severity"] == "warning"


@pytest.mark.parametrize(
    ("word", "said"), [("", "no instance prompt"), (" ".join(["cat"] * 80), "80 tokens of the 75")]
)
def test_a_word_that_cannot_be_drawn_is_answered_in_a_sentence(lorasmith, plan, word: str, said: str):
    answer = lorasmith("words", plan(word), "--draw")
    assert answer.code == 1 and said in " ".join(answer.err.split()).replace("There is ", "")
    assert not list_runs()


def test_without_a_plan_and_with_one_that_is_missing(lorasmith, tmp_path: Path):
    assert "needs a plan" in lorasmith("words").err
    assert "no plan file" in lorasmith("words", tmp_path / "none.toml").err


def test_faces_are_looked_at_only_with_permission(lorasmith, plan, tmp_path: Path):
    names = tmp_path / "names.txt"
    names.write_text("Marie Curie\n")
    answer = lorasmith("words", plan(), "--lookalike", "--names", names)
    assert answer.code == 1 and "--i-have-permission" in answer.err
    assert not list_runs() and not bank_root().exists()


def test_an_animal_s_search_wants_words_of_the_person_s_own(lorasmith, plan):
    answer = lorasmith("words", plan(kind="animal", class_prompt="dog"), "--lookalike")
    assert answer.code == 1 and "--names FILE" in " ".join(answer.err.split())


def test_a_reader_that_no_one_knows_is_refused_before_anything_is_made(lorasmith, plan):
    answer = lorasmith("words", plan(), "--draw", "--encoder", "nonesuch")
    assert answer.code == 1 and "nonesuch" in answer.err and not list_runs()


def test_forgetting_the_subject_and_the_bank(lorasmith, plan):
    job = bank_job(read_plan(plan()), ["Marie Curie"], permission="x")
    run = create_run("mine", job_toml(job), kind="bank")
    (run.path / "subject.npz").write_bytes(b"numbers")
    bank = Bank(Recipe("base", ("photo of {}", "a {}"), 64, 20, 5.0))
    bank.keep_picture("Marie Curie", 0, Image.new("RGB", (8, 8)))
    assert "in 1 run" in lorasmith("words", "--forget", "mine").out
    assert not (run.path / "subject.npz").exists() and bank_root().exists()
    assert "nothing to forget" in lorasmith("words", "--forget").out
    assert "1 word" in lorasmith("words", "--forget-bank").out
    assert not bank_root().exists()
    assert "no bank" in lorasmith("words", "--forget-bank").out
    assert lorasmith("words", "--forget", "another").code == 1
