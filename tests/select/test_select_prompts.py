"""The prompt sets that travel with lorasmith, and what is said about mistakes in a person's own."""

from __future__ import annotations

import pytest

from engine.errors import PlanError
from engine.lab.objects import OBJECTS
from engine.lab.scenes import COLOURS, OUTDOORS, PATTERNS, Style
from engine.plan import KINDS
from engine.select.families import Family
from engine.select.prompts import DEMO, parse_prompt_set, prompt_set, prompt_set_text, read_prompt_set

SETS = (*KINDS, DEMO)


@pytest.mark.parametrize("kind", SETS)
def test_every_set_is_sound_and_measures_everything(kind):
    prompts = prompt_set(kind)
    families = {prompt.family for prompt in prompts.prompts}
    wanted = {Family.IDENTITY, Family.CONTEXT, Family.CLASS, Family.UNRELATED}
    assert wanted <= families and (Family.STYLE in families) == (kind != "style")
    first = prompts.first()
    most = 30 if kind == "demo" else 8  # the small base draws a picture in an eighth of a second
    assert 6 <= len(first.prompts) <= most and {Family.IDENTITY, Family.CONTEXT, Family.CLASS} <= {
        prompt.family for prompt in first.prompts
    }
    assert len({prompt.name for prompt in prompts.prompts}) == len(prompts.prompts)
    assert set(prompts.wanted_styles.values()) <= set(prompts.styles) - {"photo"}


@pytest.mark.parametrize("kind", SETS)
def test_no_text_is_left_with_braces_or_a_trigger_where_there_is_none(kind):
    for prompt in prompt_set(kind).prompts:
        drawn, plain = prompt.drawn("ohwx", "woman"), prompt.plain("woman")
        assert not set("{}") & set(drawn + plain) and "ohwx" not in plain
        assert ("ohwx" in drawn) == (prompt.family not in {Family.CLASS, Family.UNRELATED})
        assert not drawn.endswith(",") and not plain.endswith(",") and "  " not in plain and ", ," not in plain


def test_the_demos_prompts_use_the_words_its_base_knows():
    known = {
        *(word for thing in OBJECTS.values() for word in (thing.name, thing.plural)), *COLOURS, *PATTERNS,
        *(word for place in OUTDOORS.values() for word in place.split()), *(w for s in Style for w in s.split()),
        "a", "an", "animal", "on", "ground", "left", "right", "the",
    }  # fmt: skip
    for prompt in prompt_set(DEMO).prompts:
        words = prompt.plain("animal").replace(",", "").split()
        assert set(words) <= known, prompt.text


def test_places_are_filled():
    [prompt, other, style] = parse_prompt_set(
        _set('"photo of {subject} and {a class}"', '"{a subject} in the snow"', '"a tree, {style}"'), "x.toml"
    ).prompts
    assert prompt.drawn("ohwx", "owl") == "photo of ohwx owl and an owl"
    assert prompt.plain("owl") == "photo of an owl and an owl"
    assert other.drawn("ohwx", "owl") == "an ohwx owl in the snow" and other.plain("owl") == "an owl in the snow"
    assert style.drawn("zwv", "style") == "a tree, zwv style" and style.plain("style") == "a tree"
    assert prompt.drawn("", "owl") == "photo of owl and an owl"


def test_sizes_are_sdxls_buckets():
    sizes = {prompt.size: prompt.pixels(1024) for prompt in prompt_set("person").prompts}
    assert sizes == {"square": (1024, 1024), "tall": (832, 1216), "wide": (1216, 832)}
    assert next(p for p in prompt_set("person").prompts if p.size == "tall").pixels(64, 8) == (48, 80)  # a small base


def test_the_hash_is_of_the_content_and_not_of_comments():
    text = prompt_set_text("animal")
    same = parse_prompt_set("# mine\n" + text, "mine.toml")
    other = parse_prompt_set(text.replace("frozen lake", "frozen pond"), "mine.toml")
    assert same.hash == prompt_set("animal").hash != other.hash and len(same.hash) == 12


def test_captions_become_recall_prompts():
    prompts = prompt_set("object").with_captions(["ohwx mug on a desk", "", "ohwx mug {red}"])
    recall = [prompt for prompt in prompts.prompts if prompt.family is Family.RECALL]
    assert [prompt.drawn("ohwx", "mug") for prompt in recall] == ["ohwx mug on a desk", "ohwx mug red"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("kind = \"object\"", "kind = \"house\""), "line 2: kind must be one of"),
        (("version = 1", "version = 2"), "line 1: the only version"),
        (("version = 1", "version = 1\ncolour = 3"), "line 2: colour is no setting"),
        (("photo = ", "foto = "), "[styles] needs `photo`"),
        (("{subject} in the snow", "{trigger} in the snow"), "line 13: braces stand for"),
        (("{subject} in the snow", "a dog in the snow"), "line 13: a prompt of the family context must call"),
        (("family = \"context\"", "family = \"place\""), "line 12: family must be one of"),
        (("family = \"context\"", "family = \"class\""), "line 13: a prompt of the family class must not call"),
        (("style = \"pencil\"", "style = \"photo\""), "line 18: a style prompt needs `style`, one of pencil"),
        (("in the snow\"", "in the snow\"\nsize = \"huge\""), "line 14: size must"),
        (("in the snow", "snow " * 60), "line 13: the prompt has 61 words"),
        (("pencil sketch of {subject}", "photo of {subject}"), "line 17: the prompt 'photo of {subject}' stands there"),
        (("[[prompt]]\nfamily = \"identity\"", "[[prompt]\nfamily = \"identity\""), "is not TOML"),
    ],
)
def test_mistakes_are_named_with_their_line(change, says):
    text = _OWN.replace(*change)
    assert text != _OWN
    with pytest.raises(PlanError) as caught:
        parse_prompt_set(text, "mine.toml")
    assert says in str(caught.value) and str(caught.value).startswith("mine.toml")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(PlanError, match="cannot be read"):
        read_prompt_set(tmp_path / "none.toml")
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match="UTF-8"):
        read_prompt_set(tmp_path / "odd.toml")
    with pytest.raises(PlanError, match="no prompt set for 'fish'"):
        prompt_set("fish")


_OWN = """version = 1
kind = "object"
[styles]
photo = "a photograph"
pencil = "a pencil sketch"

[[prompt]]
family = "identity"
text = "photo of {subject}"

[[prompt]]
family = "context"
text = "{subject} in the snow"

[[prompt]]
family = "style"
text = "pencil sketch of {subject}"
style = "pencil"
"""


def _set(*texts: str) -> str:
    head = 'version = 1\nkind = "object"\n[styles]\nphoto = "a photograph"\npencil = "a pencil sketch"\n'
    return head + "".join(f'[[prompt]]\nfamily = "context"\ntext = {text}\n' for text in texts)
