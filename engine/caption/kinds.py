"""What a caption should say, by the kind of subject: what changes from picture to picture, not what is to be learnt.

A chat captioner is told so in its instruction; what another captioner says is put right here by rule.
"""

from __future__ import annotations

import functools
import re
import tomllib
import unicodedata
from collections.abc import Callable
from importlib.resources import files

from engine.errors import LorasmithError

_MEDIUM = (
    r"(?:photo(?:graph)?|picture|image|snapshot|painting|drawing|illustration|sketch|cartoon|render(?:ing)?|"
    r"waterc?olou?r|artwork|art|comic|manga|anime|poster|print|engraving|woodcut|collage|fresco|graffiti|mosaic|"
    r"logo|icon|sticker|emoji|pixel art|concept art|line art|digital art|fan art|clip ?art|lineart|neon sign|"
    r"silhouette|stained glass|sculpture|origami|mural|doodle)"
)
_HOW = r"(?:(?!(?:wo)?man|girl|boy|lady|person|people)[^\W_][\w'’/-]*(?: and|,)? ){0,4}?"
# A caption that begins by saying what is drawn, and with what.
_STYLE_LEAD = re.compile(
    rf"^(?:(?:this|it) is )?(?:an? |the )?{_HOW}{_MEDIUM}(?: (?:style|painting|drawing|illustration|art))? "
    r"(?:of|showing|depicting|featuring) ",
    re.IGNORECASE,
)
_STYLE_PHRASE = re.compile(
    r",? ?\b(?:in the style of [^,.;]+|(?:drawn |painted |rendered |done )?(?:in|with) an? "
    r"(?!dress|hat)(?:[\w'’/-]+,? (?:and )?){0,4}?(?:style|aesthetic|technique|manner)\b|"
    r"(?:in|with) (?:oil paints?|watercolou?rs?|acrylics?|pencil|charcoal|ink|pastels?|gouache|crayons?)\b)",
    re.IGNORECASE,
)
_STYLE_PART = re.compile(
    rf"(?:{_HOW}{_MEDIUM}|.*\((?:medium|style)\)|traditional media|realistic|photorealistic|"
    r"monochrome|greyscale|grayscale|black and white|sepia|high quality|masterpiece|trending on \w+|"
    r"[\w -]+ style)",
    re.IGNORECASE,
)
# What a person's or character's own trigger should carry.
_LOOKS = r"(?:very )?(?:young|old|elderly|middle-aged|aged|beautiful|pretty|attractive|handsome|gorgeous|cute)"
_SOMEBODY = r"(?:man|woman|girl|boy|lady|guy|person|gentleman|child|kid|male|female|character|couple|people|men|women)"
_IDENTITY_ADJECTIVE = re.compile(
    rf"\b(?P<article>an? )?(?:{_LOOKS},? (?:and )?)+(?=(?:[\w-]+ ){{0,2}}{_SOMEBODY}\b)", re.IGNORECASE
)
_IDENTITY_PHRASE = re.compile(
    r",? (?:and |with )(?:an? )?(?:[a-z-]+ )?(?:(?:blue|brown|green|gr[ae]y|hazel|dark|light|bright|beautiful) )+eyes\b"
    r"|,? with an? (?:beautiful|pretty|handsome|round|oval) face\b",
    re.IGNORECASE,
)
_COLOUR = (
    r"(?:black|brown|blonde?|red|orange|yellow|green|blue|aqua|purple|pink|white|gr[ae]y|silver|light|dark|"
    r"multicolou?red|two-tone|gradient|streaked|heterochromia|amber|hazel|violet)"
)
_IDENTITY_TAG = re.compile(rf"(?:{_COLOUR}[ -])+(?:hair|eyes|skin)|heterochromia|{_LOOKS}", re.IGNORECASE)
# Ways of beginning that say nothing of the picture, and a word one BLIP model made up.
_SHOWS = r"(?:shows?|depicts?|features?|captures?|we (?:can )?see|there (?:is|are)|you (?:can )?see)"
_EMPTY_LEAD = re.compile(
    rf"^(?:(?:sure|certainly|okay)[,.!:] *|here(?: is|['’]s)[^:.!]{{0,60}}: *|(?:caption|description): *|"
    rf"in (?:this|the) (?:image|picture|photo(?:graph)?),? *(?:{_SHOWS} )?|"
    rf"(?:this|the) (?:image|picture|photo(?:graph)?) {_SHOWS} |(?:it|this) (?:shows|depicts) |this is (?=an? )|"
    r"there(?: is|['’]s| are) )+",
    re.IGNORECASE,
)
_MADE_UP = re.compile(r"\baraf+(?:e[ds]?)?(?:ly|s)?\b(?: (?:image|view|picture|photo) of)? *", re.IGNORECASE)
_THINKING = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL | re.IGNORECASE)


def instruction(kind: str, class_word: str = "", own: str = "") -> str:
    """What a chat captioner is asked: the person's own words, or the kind's from presets/captions."""
    said = _instructions()
    if kind not in said["subjects"]:
        raise LorasmithError(f"presets/captions has no instruction for '{kind}': add it there, or give --instruction.")
    words = own.strip() or str(said[kind])
    return " ".join(words.split()).replace("{subject}", _bare(class_word) or said["subjects"][kind])


def tidied(text: str) -> str:
    """A model's answer as one plain line: no reasoning, no marks, no "this image shows", no word three times over."""
    text = _THINKING.sub(" ", text)
    text = "".join(" " if unicodedata.category(char) in {"Cc", "Zl", "Zp"} else char for char in text)
    text = re.sub(r"[*_#`]{2,}|^[-*#>] +|`", "", text)
    text = " ".join(text.split()).strip("\"'“”‘’ ")
    text = _EMPTY_LEAD.sub("", text).strip("\"'“”‘’ ")
    text = _MADE_UP.sub("", text)
    text = re.sub(r"\b(an?|the|\w+) (?:that|who) (?:is|are) (?=\w+ing\b)", r"\1 ", text)
    text = re.sub(r"\b([\w'’-]+)(?:[ ,]+\1\b){2,}", r"\1", text, flags=re.IGNORECASE)
    return _joined(text)


def by_kind(text: str, kind: str) -> str:
    """The caption without what this kind of subject should not have said; "" where nothing else was said."""
    return _RULES.get(kind, lambda said: said)(text)


def _person(text: str) -> str:
    text = _IDENTITY_PHRASE.sub("", text)
    text = _IDENTITY_ADJECTIVE.sub(lambda found: found["article"] or "", text)
    return _without_parts(_articles(text), _IDENTITY_TAG)


def _style(text: str) -> str:
    text = _STYLE_LEAD.sub("", text)
    text = _STYLE_PHRASE.sub("", text)
    return _without_parts(text, _STYLE_PART)


_RULES: dict[str, Callable[[str], str]] = {"person": _person, "character": _person, "style": _style}


def _without_parts(text: str, unwanted: re.Pattern[str]) -> str:
    """Drops comma-separated parts that are nothing but what is unwanted; a sentence's own end is kept."""
    parts = [part.strip() for part in text.split(",")]
    kept = [part for part in parts if not unwanted.fullmatch(part.rstrip("."))]
    return _joined(", ".join(kept))


def _articles(text: str) -> str:
    """ "an" and "a" as the word behind them now wants it."""
    return re.sub(
        r"\b([Aa])n? (?=([A-Za-z]))",
        lambda found: f"{found[1]}n " if found[2] in "aeioAEIO" else f"{found[1]} ",
        text,
    )


def _joined(text: str) -> str:
    text = re.sub(r"\s+([,.;:])", r"\1", " ".join(text.split()))
    return re.sub(r"(?:, ?){2,}", ", ", text).strip(" ,;")


def _bare(class_word: str) -> str:
    return re.sub(r"^(?:an?|the) ", "", class_word.strip(), flags=re.IGNORECASE)


@functools.cache
def _instructions() -> dict:
    return tomllib.loads((files("presets") / "captions" / "instructions.toml").read_text("utf-8"))
