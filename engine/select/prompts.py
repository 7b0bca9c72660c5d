"""The prompts of a comparison: presets/prompts/select/<kind>.toml, or a person's own copy of one. Light."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from engine.articles import with_article
from engine.errors import PlanError, shown
from engine.plan import KINDS, Kind
from engine.select.families import TRIGGERED, Family

DEMO = "demo"
SIZES = {"square": (1.0, 1.0), "tall": (0.8125, 1.1875), "wide": (1.1875, 0.8125)}
"""Shapes of a picture, in shares of the base's native side: 832 x 1216 for SDXL's tall one."""

_VERSION = 1
_MOST_WORDS = 45  # what CLIP's 77 tokens hold with room to spare
_PLACES = ("subject", "a subject", "class", "a class", "style")
_PLACE = re.compile(r"\{([^{}]*)\}")
_KEYS = {"family", "text", "style", "size", "first"}


@dataclass(frozen=True)
class Prompt:
    """One prompt with its places unfilled; `first` marks those that are drawn before any checkpoint is given up."""

    name: str  # family and number, such as context-2
    family: Family
    text: str
    style: str = ""  # the label that a style prompt asks for
    size: str = "square"
    first: bool = False

    def drawn(self, trigger: str, class_word: str) -> str:
        """The text for a checkpoint: "photo of ohwx woman"."""
        called = f"{trigger} {class_word}".strip()
        return _filled(self.text, called, _with_article(called), class_word, called)

    def plain(self, class_word: str) -> str:
        """The text without the trigger, for the base and for encoders: "photo of a woman"."""
        named = _with_article(class_word)
        return _filled(self.text, named, named, class_word, "")

    def pixels(self, native: int, step: int = 64) -> tuple[int, int]:
        """Width and height for a base of this native side, rounded to what it can draw."""
        width, height = (max(step, round(share * native / step) * step) for share in SIZES[self.size])
        return width, height


@dataclass(frozen=True)
class PromptSet:
    """Prompts, and the media that an encoder tells pictures apart by (label -> text, `photo` among them)."""

    kind: Kind
    prompts: tuple[Prompt, ...]
    styles: dict[str, str]

    @property
    def hash(self) -> str:
        """12 digits of the content: a comparison made with another set is not comparable."""
        content = [self.kind, [vars(prompt) for prompt in self.prompts], self.styles]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def wanted_styles(self) -> dict[str, str]:
        """Prompt name -> label, for the style prompts."""
        return {prompt.name: prompt.style for prompt in self.prompts if prompt.family is Family.STYLE}

    def first(self) -> PromptSet:
        """The few prompts of the first stage."""
        return replace(self, prompts=tuple(prompt for prompt in self.prompts if prompt.first))

    def with_captions(self, captions: Sequence[str]) -> PromptSet:
        """With these training captions as recall prompts: what the LoRA knows by heart, counted apart."""
        # Braces are the set's own marks; a caption's are not.
        texts = [re.sub(r"[{}]", "", caption).strip() for caption in captions]
        added = tuple(
            Prompt(f"recall-{at}", Family.RECALL, text) for at, text in enumerate(filter(None, texts), 1)
        )
        return replace(self, prompts=(*self.prompts, *added))


def prompt_set(kind: Kind | str) -> PromptSet:
    """The set that travels with lorasmith for a kind of subject, or `DEMO` for the demo's small base."""
    if kind not in (*KINDS, DEMO):
        raise PlanError(f"There is no prompt set for {shown(repr(kind))}; choose one of {', '.join((*KINDS, DEMO))}.")
    return parse_prompt_set(prompt_set_text(kind), f"presets/prompts/select/{kind}.toml")


def prompt_set_text(kind: Kind | str) -> str:
    """The set's file as it stands, to be copied and edited."""
    return (files("presets") / "prompts" / "select" / f"{kind}.toml").read_text(encoding="utf-8")


def read_prompt_set(path: Path) -> PromptSet:
    """A person's own set. Raises PlanError with the line that is wrong and what to do."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlanError(f"The prompt set {shown(path)} cannot be read ({error.strerror}): check the path.") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"The prompt set {shown(path)} is not UTF-8 text: save it as UTF-8.") from error
    return parse_prompt_set(text, shown(path))


def parse_prompt_set(text: str, where: str) -> PromptSet:
    """A set from its text; `where` names it in errors."""
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{where} is not TOML ({shown(error)}): correct that line.") from error
    lines = _Lines(text, where)
    _check_top(said, lines)
    styles = dict(said["styles"])
    prompts: list[Prompt] = []
    counts: Counter[str] = Counter()
    for at, entry in enumerate(said["prompt"]):
        _check_prompt(entry, at, lines, styles, said["kind"])
        counts[entry["family"]] += 1
        prompts.append(
            Prompt(
                f"{entry['family']}-{counts[entry['family']]}", Family(entry["family"]), entry["text"].strip(),
                entry.get("style", ""), entry.get("size", "square"), entry.get("first", False),
            )  # fmt: skip
        )
    _check_whole(prompts, lines)
    return PromptSet(said["kind"], tuple(prompts), styles)


class _Lines:
    """Where in the file things stand, which TOML parsers do not tell."""

    def __init__(self, text: str, where: str) -> None:
        self.where = where
        self.lines = text.splitlines()
        self.heads = [at for at, line in enumerate(self.lines) if re.match(r"\s*\[\[\s*prompt\s*\]\]", line)]

    def error(self, what: str, prompt: int | None = None, key: str = "") -> PlanError:
        begin = 0 if prompt is None else self.heads[prompt]
        end = len(self.lines) if prompt is None or prompt + 1 == len(self.heads) else self.heads[prompt + 1]
        own = rf"\s*\[?\s*\"?{re.escape(key)}\"?\s*[\]=]"
        line = next((at for at in range(begin, end) if key and re.match(own, self.lines[at])), begin)
        return PlanError(f"{self.where}, line {line + 1}: {what}")


def _check_top(said: dict[str, Any], lines: _Lines) -> None:
    for key in said:
        if key not in {"version", "kind", "styles", "prompt"}:
            raise lines.error(f"{shown(key)} is no setting of a prompt set; remove it.", key=key)
    if said.get("version") != _VERSION:
        raise lines.error(f"the only version there is is {_VERSION}; write `version = {_VERSION}`.", key="version")
    if said.get("kind") not in KINDS:
        raise lines.error(f"kind must be one of {', '.join(KINDS)}.", key="kind")
    styles = said.get("styles")
    if not isinstance(styles, dict) or not all(isinstance(text, str) and text.strip() for text in styles.values()):
        raise lines.error("[styles] must give a text for each label, such as `photo = \"a photograph\"`.", key="styles")
    if "photo" not in styles or len(styles) < 2:
        raise lines.error("[styles] needs `photo` and at least one other medium to tell it from.", key="styles")
    prompts = said.get("prompt")
    if not isinstance(prompts, list) or not prompts or not all(isinstance(entry, dict) for entry in prompts):
        raise lines.error("there is no [[prompt]]; add at least one of each family that is to be measured.")
    if len(lines.heads) != len(prompts):
        raise lines.error("write each prompt under a [[prompt]] line of its own.", key="prompt")


def _check_prompt(entry: dict[str, Any], at: int, lines: _Lines, styles: dict[str, str], kind: str) -> None:
    for key in entry:
        if key not in _KEYS:
            raise lines.error(f"{shown(key)} is no setting of a prompt; there are {', '.join(sorted(_KEYS))}.", at, key)
    families = [family.value for family in Family if family is not Family.RECALL]
    if entry.get("family") not in families:
        raise lines.error(f"family must be one of {', '.join(families)}.", at, "family")
    family, text = Family(entry["family"]), entry.get("text")
    if not isinstance(text, str) or not text.strip():
        raise lines.error("text must be the prompt in quotation marks.", at, "text")
    if len(text.split()) > _MOST_WORDS:
        raise lines.error(
            f"the prompt has {len(text.split())} words and the base reads about {_MOST_WORDS}: shorten it.", at, "text"
        )
    _check_places(text, family, at, lines)
    if family is Family.STYLE and (entry.get("style") not in styles or entry.get("style") == "photo"):
        labels = ", ".join(label for label in styles if label != "photo")
        raise lines.error(f"a style prompt needs `style`, one of {labels}.", at, "style")
    if family is not Family.STYLE and "style" in entry:
        raise lines.error("only prompts of the family style take `style`; remove it.", at, "style")
    if family is Family.STYLE and kind == "style":
        raise lines.error("a LoRA of a style is not asked for other styles; remove this prompt.", at, "family")
    if entry.get("size", "square") not in SIZES:
        raise lines.error(f"size must be one of {', '.join(SIZES)}.", at, "size")
    if not isinstance(entry.get("first", False), bool):
        raise lines.error("first must be true or false.", at, "first")


def _check_places(text: str, family: Family, at: int, lines: _Lines) -> None:
    places = _PLACE.findall(text)
    unknown = [place for place in places if place not in _PLACES]
    if unknown or text.count("{") != len(places) or text.count("}") != len(places):
        named = ", ".join(f"{{{place}}}" for place in _PLACES)
        raise lines.error(f"braces stand for the subject only: {named}.", at, "text")
    calling = {"subject", "a subject", "style"} & set(places)
    if family in TRIGGERED and not calling:
        raise lines.error(f"a prompt of the family {family} must call the LoRA: write {{subject}} in it.", at, "text")
    if family not in TRIGGERED and calling:
        raise lines.error(
            f"a prompt of the family {family} must not call the LoRA: write {{class}} or nothing.", at, "text"
        )


def _check_whole(prompts: Sequence[Prompt], lines: _Lines) -> None:
    families = {prompt.family for prompt in prompts}
    if not families & {Family.IDENTITY, Family.CONTEXT}:
        raise lines.error("without a prompt of the family identity or context no fidelity can be measured; add one.")
    if not families & {Family.CONTEXT, Family.ACTION, Family.ATTRIBUTE, Family.COMPOSITION, Family.STYLE}:
        raise lines.error("without a prompt of the family context, action or style no flexibility can be measured.")
    twice = [text for text, count in Counter(prompt.text for prompt in prompts).items() if count > 1]
    if twice:
        last = max(at for at, prompt in enumerate(prompts) if prompt.text == twice[0])
        raise lines.error(f"the prompt {shown(twice[0])!r} stands there twice: change or remove one.", last, "text")


def _filled(text: str, subject: str, a_subject: str, class_word: str, style: str) -> str:
    values = {
        "subject": subject,
        "a subject": a_subject,
        "class": class_word,
        "a class": _with_article(class_word),
        "style": style,
    }
    filled = _PLACE.sub(lambda found: values.get(found[1], found[0]), text)
    # An empty place leaves its comma or its "in" behind.
    filled = re.sub(r"\s+", " ", filled).strip()
    return re.sub(r"(\s*,)+\s*$|^\s*,\s*", "", re.sub(r"\s*,(\s*,)+", ",", filled))


def _with_article(noun: str) -> str:
    if not noun or noun.lower().startswith(("a ", "an ", "the ")):
        return noun
    return with_article(noun)
