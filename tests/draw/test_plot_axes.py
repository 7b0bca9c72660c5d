"""Axes as people write them. The expected values are those that A1111's documentation of its X/Y/Z plot gives, or are
worked out by hand where it gives none."""

from __future__ import annotations

import pytest

from engine.draw.plot_axes import label, parse_axis, reordered
from engine.errors import LorasmithError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("steps: 1-5", (1, 2, 3, 4, 5)),
        ("steps: 1-5 (+2)", (1, 3, 5)),
        ("steps: 10-5 (-3)", (10, 7)),
        ("cfg: 1-3 (+0.5)", (1, 1.5, 2, 2.5, 3)),
        ("steps: 1-10 [5]", (1, 3, 5, 7, 10)),
        ("weight: 0.0-1.0 [6]", (0, 0.2, 0.4, 0.6, 0.8, 1)),
        ("seed: 1-3, 10", (1, 2, 3, 10)),
        ("weight: 0.4-1.0 [4]", (0.4, 0.6, 0.8, 1)),
        ("weight: 0.4-1.0 (+0.25)", (0.4, 0.65, 0.9)),  # never beyond the end
        ("weight: -1-1 (+0.5)", (-1, -0.5, 0, 0.5, 1)),
        ("steps: 5-3", (5, 4, 3)),
        ("steps: 3 – 5", (3, 4, 5)),
        ("cfg: 7 - 7 [1]", (7,)),
        ("steps: 20, 20, 30", (20, 30)),
        ("CFG scale: 4.5,7", (4.5, 7)),
        ('prompt: "a cat, sleeping", a dog', ("a cat, sleeping", "a dog")),
        ('prompt: "a ""good"" dog", a cat', ('a "good" dog', "a cat")),
        ("prompt: a cat, sleeping\na dog, running", ("a cat, sleeping", "a dog, running")),
        ("prompt: photo at 10-12 mm", ("photo at 10-12 mm",)),
        ("s/r: cat, dog , owl", ("cat", "dog", "owl")),
        ('s/r: red, "blue, green", ""', ("red", "blue, green", "")),  # the word left out
        ('s/r: red, "", blue,', ("red", "", "blue")),
        ("resolution: 768, 832x1216", ((768, 768), (832, 1216))),
        ("scheduler: Euler a, DPM++ 2M Karras", ("euler_a", "dpmpp_2m_karras")),
        ("epoch", ("all",)),
        ("Epochs: 1-3, base, last, fox-000007", (1, 2, 3, "base", "last", "fox-000007")),
        ("order: a, b, c", (("a", "b", "c"), ("a", "c", "b"), ("b", "a", "c"), ("b", "c", "a"), ("c", "a", "b"),
                            ("c", "b", "a"))),
    ],
)  # fmt: skip
def test_an_axis_is_read_as_people_write_it(text, values):
    assert parse_axis(text).values == values


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("brightness: 1-3", "begins with no kind of axis: write one of epoch, weight, prompt"),
        ("weight", "--y weight names no values"),
        ("weight: 0.4-1.0", r"does not say which numbers between: write 0.4-1.0 \[4\]"),
        ("weight: strong", "'strong' is neither a number nor a range"),
        ("weight: 200", "200 is out of range, -100 to 100"),
        ("steps: 0-10", "0 is out of range, 1 to 1,000"),
        ("steps: 2.5", "2.5 is no whole number"),
        ("steps: 1-3 (+0.5)", r"1-3 \(\+0.5\) is no whole number"),
        ('replace: "", x', "only what replaces may be nothing"),
        ('prompt: a cat, ""', '"" is no value of it'),
        ("cfg: -2", "-2 is out of range, 0 to 100"),
        ("seed: 5000000000", "out of range"),
        ("steps: 1-10 (-1)", "steps of -1 never lead from 1 to 10"),
        ("steps: 1-10 (+0)", "steps of \\+0 never lead"),
        ("seed: 1-90000000", "90,000,000 values, and 400 at most"),
        ("steps: 1-10 [0]", "no number of values"),
        ("replace: cat", "has nothing to put in"),
        ("order: cat", "has 1 parts"),
        ("order: a,b,c,d,e,f", "has 6 parts"),
        ("sampler: Eulr", "'Eulr' is no sampler"),
        ("size: big", "'big' is no size"),
        ('prompt: "a cat, a dog', "cannot be told apart"),
    ],
)
def test_what_cannot_be_an_axis_is_said_in_one_sentence(text, sentence):
    with pytest.raises(LorasmithError, match=sentence) as raised:
        parse_axis(text, "y")
    assert "\n" not in str(raised.value)


def test_a_seed_of_minus_one_is_drawn_once_and_then_stands():
    first, second, third = parse_axis("seed: -1, 7, -1").values
    assert second == 7 and first != third and 0 <= first < 2**32


def test_labels_are_short():
    assert label("weight", 0.1 + 0.2) == "weight 0.3" and label("cfg", 7.0) == "CFG 7"
    assert label("steps", 1) == "1 step" and label("steps", 20) == "20 steps" and label("seed", 5) == "seed 5"
    assert label("size", (832, 1216)) == "832x1216" and label("sampler", "euler_a") == "Euler a"
    assert label("prompt", "a cat") == "a cat" and label("replace", "") == "(left out)"


def test_parts_of_a_prompt_change_places():
    prompt = "a red hat, a beard and a scar"
    assert reordered(prompt, ("beard", "scar", "red hat")) == "a beard, a scar and a red hat"
    assert reordered(prompt, ("red hat", "beard", "scar")) == prompt
