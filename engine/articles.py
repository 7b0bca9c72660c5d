"""The English article of a word, wherever a sentence or a prompt is put together from words a person chose. Light."""

from __future__ import annotations

_LIKE_YOU = ("unic", "unif", "unit", "univ", "use", "eu", "one")  # spelt with a vowel, spoken without
_LIKE_OUR = ("hour", "honest", "heir")


def article(words: str) -> str:
    """ "a" or "an", as the word that follows sounds: a bear, an owl, a unicorn, an hourglass."""
    first = words.lstrip().lower()
    if first.startswith(_LIKE_YOU):
        return "a"
    return "an" if first.startswith(("a", "e", "i", "o", "u", *_LIKE_OUR)) else "a"


def with_article(words: str) -> str:
    """'an owl'."""
    return f"{article(words)} {words}"
