"""The article before words that a person chose."""

from __future__ import annotations

import pytest

from engine.articles import article, with_article


@pytest.mark.parametrize(
    ("words", "said"),
    [("bear", "a"), ("owl", "an"), ("Old man", "an"), ("unicorn", "a"), ("umbrella", "an"), ("one-eyed cat", "a"),
     ("hourglass", "an"), ("house", "a"), ("euro coin", "a"), ("unimportant thing", "an"), ("", "a"), ("猫", "a")],
)  # fmt: skip
def test_it_goes_by_the_sound(words, said):
    assert article(words) == said
    assert with_article(words) == f"{said} {words}"
