"""The trigger and class words in front of a caption, by rule, and changed later for all.

The plan's own `captions.prefix` is another thing: it is glued on at training time as kohya does
(`engine.dataset.captions.compose`). This one writes captions a person will read: "a woman in red" becomes "ohwx woman
in red", and neither an article nor the class word stands there twice.
"""

from __future__ import annotations

import functools
import re

_ARTICLE = r"(?:an?|the|one)"
# Words that may stand for a class word in a caption: captioners choose freely among them.
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "woman": ("lady", "girl", "female"),
    "girl": ("young woman", "woman", "lady", "female"),
    "lady": ("woman", "girl", "female"),
    "man": ("guy", "boy", "gentleman", "male"),
    "boy": ("young man", "man", "guy", "male"),
    "person": ("woman", "man", "girl", "boy", "lady", "guy", "gentleman", "human"),
    "child": ("kid", "girl", "boy", "toddler"),
    "baby": ("infant", "toddler"),
    "dog": ("puppy", "doggy"),
    "cat": ("kitten", "kitty"),
    "plushie": ("plush toy", "plush", "stuffed animal", "stuffed toy", "stuffed bear", "teddy bear", "teddy"),
    "toy": ("plush toy", "stuffed animal", "stuffed toy", "teddy bear", "plushie"),
    "bag": ("backpack", "handbag"),
    "shoe": ("sneaker",),
    "car": ("vehicle", "automobile"),
}
_HER, _HIM = {"woman", "girl", "lady", "female"}, {"man", "boy", "guy", "gentleman", "male"}
_OPEN = {"a", "an", "the", "of"}
# What a picture is, where a caption begins by saying so. The first are what a picture is anyway.
_PLAIN_MEDIA = ("photo", "photograph", "picture", "image", "snapshot", "pic")
_MEDIA = (*_PLAIN_MEDIA, "portrait", "selfie", "shot", "view", "close up", "close-up", "closeup", "painting",
          "drawing", "illustration", "sketch", "cartoon", "render", "rendering", "watercolor", "watercolour",
          "print")  # fmt: skip
# No adjectives: they end what may stand between an article and its noun.
_STOP = (
    "a", "an", "the", "one", "two", "three", "four", "five", "six", "several", "many", "some", "both",
    "another", "other", "group", "pair", "couple", "of", "in", "on", "at", "with", "without", "by", "for",
    "from", "to", "next", "near", "behind", "beside", "under", "over", "between", "while", "as", "is",
    "are", "was", "who", "that", "which", "there", "it", "its", "his", "her", "their", "this", "these",
    "or", "wearing", "holding",
)  # fmt: skip
_WORD = rf"(?!(?:{'|'.join([*_STOP, 'and'])})\b)[^\W\d_][\w'’-]*"
_ADJECTIVES = rf"(?P<adjectives>{_WORD}(?:,? (?:and )?{_WORD}){{0,3}}? )??"
_BEFORE = r"\b(?:with|of|by|to|beside|behind|near|around|over|under|on|from|for|at|holding|showing|featuring|depicting)"


def in_front(text: str, prefix: str) -> str:
    """The caption with these words in front; a caption that has them anywhere stays as it is.

    The last words of the prefix are the class word. Where the caption begins with it (or a synonym), perhaps behind
    an article, adjectives or "a photo of", the prefix takes its place: "a smiling woman in red" becomes "ohwx woman,
    smiling, in red". Where it comes later, behind a preposition, it becomes a pronoun: "a room with a woman in it"
    gives "ohwx woman, a room with her in it". Plurals are somebody else: "ohwx woman, two women in red".
    """
    text, prefix = " ".join(text.split()), _neat(prefix)
    if not prefix or not text or _anywhere(prefix).search(text):
        return text or prefix
    words = prefix.split()
    if words[-1].casefold() in _OPEN:  # "a photo of a" goes on as a sentence
        noun = re.sub(rf"^{_ARTICLE} ", "", text, flags=re.IGNORECASE) if words[-1].casefold() != "of" else text
        return f"{prefix} {noun}"
    for count in range(len(words) - 1, 0, -1):
        begun = re.match(rf"{_phrase(words[:count])}(?![\w-])[\s,;:]*", text, re.IGNORECASE)
        if begun:  # the person's own beginning of the same words
            return in_front(text[begun.end() :], prefix)
    for at in range(1, len(words)):
        merged = _merged(text, prefix, " ".join(words[at:]).casefold())
        if merged is not None:
            return merged
    if re.match(rf"(?:{_ARTICLE}|there) ", text, re.IGNORECASE):
        text = text[0].lower() + text[1:]
    return f"{prefix}, {text}"


def without_front(text: str, prefix: str) -> str:
    """The caption without these words and their comma, where it begins with them."""
    text, prefix = " ".join(text.split()), _neat(prefix)
    begun = prefix and re.match(rf"{_phrase(prefix.split())}(?![\w-])\s*[,;:]?\s*", text, re.IGNORECASE)
    return text[begun.end() :] if begun else text


def changed_front(text: str, old: str, new: str) -> str:
    """The caption with `new` where `old` stood, in front or not; in front where `old` is nowhere."""
    text, old, new = " ".join(text.split()), _neat(old), _neat(new)
    if not new:
        return without_front(text, old)
    found = _anywhere(old).search(text) if old else None
    return f"{text[: found.start()]}{new}{text[found.end() :]}" if found else in_front(text, new)


def carries(text: str, prefix: str) -> bool:
    """Whether these words stand in the caption, whole and in this order."""
    return bool(_neat(prefix)) and _anywhere(_neat(prefix)).search(" ".join(text.split())) is not None


def _merged(text: str, prefix: str, class_word: str) -> str | None:
    head, second, mention = _patterns(class_word)
    if found := head.match(text):
        adjectives, medium = _said(found["adjectives"]), _medium(found)
        rest = text[found.end() :]
        if adjectives:
            rest = f", {adjectives}{rest}" if rest[:1] in {",", ".", ";", ""} else f", {adjectives}, {rest.lstrip()}"
        return _at_sentence_end(prefix + rest, medium)
    if found := second.match(text):  # "a man and a woman in red": ours comes first
        other = found["other"][0].lower() + found["other"][1:]
        parts = (prefix, _said(found["adjectives"]))
        return f"{', '.join(part for part in parts if part)} and {other}{text[found.end() :]}"
    if (found := mention.search(text)) and "." not in text[: found.start()]:
        adjectives = _said(found["adjectives"])
        pronoun = _pronoun(found["class"].casefold(), possessive=bool(found["owner"]))
        kept = f"{text[: found.start('whole')]}{pronoun}{text[found.end() :]}"
        kept = kept[0].lower() + kept[1:] if re.match(rf"{_ARTICLE} ", kept, re.IGNORECASE) else kept
        return ", ".join(part for part in (prefix, adjectives, kept) if part)
    return None


@functools.lru_cache(maxsize=64)
def _patterns(class_word: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """The class at a caption's beginning, as the second of two there, and where a preposition leads to it."""
    names = (class_word, *_SYNONYMS.get(class_word, ()))
    one = "|".join(_phrase(name.split()) for name in sorted(names, key=len, reverse=True))
    noun = rf"{_ADJECTIVES}(?P<class>{one})(?![\w-])"
    medium = (
        rf"(?:(?:{_ARTICLE} )?(?P<how>(?:{_WORD} (?:and )?){{0,4}}?)"
        rf"(?P<medium>{'|'.join(_MEDIA)})(?: (?:photo|shot|view))? of )?"
    )
    there = r"(?:there(?: is|['’]s) )?"
    head = re.compile(rf"{there}{medium}(?:{_ARTICLE} )?{noun}", re.IGNORECASE)
    other = rf"(?P<other>{_ARTICLE} (?:{_WORD} ){{0,2}}?{_WORD})"
    second = re.compile(rf"{there}{other} and {_ARTICLE} {noun}", re.IGNORECASE)
    mention = re.compile(rf"{_BEFORE} (?P<whole>{_ARTICLE} {noun})(?P<owner>['’]s)?", re.IGNORECASE)
    return head, second, mention


def _medium(found: re.Match[str]) -> str:
    """What kind of picture it is, where that says more than that it is one."""
    medium, how = found["medium"], _said(found["how"])
    if medium is None or (medium.casefold() in _PLAIN_MEDIA and not how):
        return ""
    return f"{how} {medium}".strip().lower()


def _at_sentence_end(text: str, part: str) -> str:
    if not part:
        return text
    end = re.search(r"\.(?=\s|$)", text)
    return f"{text[: end.start()]}, {part}{text[end.start() :]}" if end else f"{text}, {part}"


def _pronoun(name: str, *, possessive: bool) -> str:
    last = name.split()[-1]
    if last in _HER:
        return "her"
    if last in _HIM:
        return "his" if possessive else "him"
    return "its" if possessive else "it"


def _said(part: str | None) -> str:
    return (part or "").strip(" ,")


def _neat(prefix: str) -> str:
    return " ".join(prefix.split()).strip(" ,;:.")


def _phrase(words: list[str]) -> str:
    return r"\s+".join(re.escape(word) for word in words)


def _anywhere(prefix: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){_phrase(prefix.split())}(?![\w-])", re.IGNORECASE)
