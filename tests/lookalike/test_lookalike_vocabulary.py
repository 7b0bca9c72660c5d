"""The light vocabularies answer what the engine's tokenizers answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.base.tokenizer import build_tokenizers
from engine.errors import BaseModelError
from engine.lookalike.vocabulary import vocabularies

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ("ohwx", "Woman's «Köln» 東京 don't 3.14\n\t😀", "a photo of a cat", "", "   ", "x" * 300, "p3rs0n")


def test_sdxl_words_have_the_numbers_of_the_transformers_tokenizer():
    ours = vocabularies("sdxl-1.0")[0]
    theirs = build_tokenizers()[0]
    for text in TEXTS:
        expected = theirs(text, add_special_tokens=False, verbose=False).input_ids
        assert [token.id for token in ours.tokens(text)] == expected


def test_the_published_numbers_of_known_triggers():
    words = {"ohwx": [47993], "sks": [48136], "tok": [27010], "man": [786], "woman": [2308]}
    ours = vocabularies("sdxl-1.0")[0]
    assert {word: [token.id for token in ours.tokens(word)] for word in words} == words
    assert [ours.count(word) for word in ("zkz", "lvngvncnt", "p3rs0n")] == [2, 5, 5]


def test_a_folder_with_either_kind_of_tokenizer_file(tmp_path: Path):
    from transformers import CLIPTokenizer

    vocabulary = {"c": 0, "a": 1, "t": 2, "c</w>": 3, "a</w>": 4, "t</w>": 5, "at</w>": 6, "cat</w>": 7}
    entries = vocabulary | {"<|startoftext|>": 8, "<|endoftext|>": 9}
    base = tmp_path / "base"
    for name in ("tokenizer", "tokenizer_2"):
        (base / name).mkdir(parents=True)
        (base / name / "vocab.json").write_text(json.dumps(entries))
        (base / name / "merges.txt").write_text("#version: 0.2\na t</w>\nc at</w>\n")
    (base / "model_index.json").write_text("{}")
    first, second = vocabularies(str(base))
    assert [token.id for token in first.tokens("Cat tac")] == [7, 2, 1, 3]
    theirs = CLIPTokenizer(vocab=entries, merges=[("a", "t</w>"), ("c", "at</w>")])
    theirs.save_pretrained(base / "tokenizer")
    assert (base / "tokenizer" / "tokenizer.json").is_file()
    again = vocabularies(str(base))[0]
    assert [token.id for token in again.tokens("cat")] == theirs("cat", add_special_tokens=False).input_ids == [7]
    assert second.count("cat") == 1


def test_a_base_that_is_not_there_is_named():
    with pytest.raises(BaseModelError, match="no file or folder"):
        vocabularies("/nowhere/model.safetensors")


def test_the_terminal_needs_no_torch_for_a_word():
    code = (
        "import sys\nimport tui.commands.words\nfrom engine.lookalike.word import read_word\n"
        "from engine.plan import BaseChoice, Plan, Subject\n"
        "read_word(Plan(subject=Subject('person', 'ohwx', 'woman'), base=BaseChoice('demo')))\n"
        "print([name for name in ('torch', 'transformers', 'diffusers', 'textual', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
