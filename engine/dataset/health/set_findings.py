"""What the set as a whole will do to the LoRA: its number, what is in it twice, what never changes, its words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlencode

from engine.articles import article
from engine.dataset.check import CheckReport, PictureLine
from engine.dataset.health import limits
from engine.dataset.health.figures import CopyGroup, Finding, Level
from engine.dataset.health.judge import Seen, share_level, some_names
from engine.dataset.health.words import Words, holds
from engine.errors import shown
from engine.plan import Plan

_NO_CAPTION_MATTERS = ("style", "concept", "object")
_LARGE = 4e6  # pixels


def count_finding(number: int, kind: str) -> Finding | None:
    """Few pictures are told; many never are: more of equal quality only help."""
    limit = limits.COUNT_STYLE if kind == "style" else limits.COUNT
    if number >= limit.amber or not number:
        return None
    level: Level = "red" if number < (limit.red or 0) else "amber"
    few = "1 picture is" if number == 1 else f"{number} pictures are"
    learnt = "what happens to be in them" if kind in ("style", "concept") else "these very poses, places and light"
    return Finding(
        "count", level,
        f"{few} few: the LoRA will learn {learnt}, and soon no more than that. Add varied ones, and take an early "
        "checkpoint.",
        f"{number}", f"below {limit.amber:.0f}, red below {limit.red:.0f}", limit.source,
    )  # fmt: skip


def copies_finding(groups: Sequence[CopyGroup], total: int) -> Finding | None:
    """Copies count for as much as they are many: what they show is learnt first and most."""
    extra = sum(len(group.leave_out) for group in groups)
    if not extra:
        return None
    share, limit = extra / total, limits.COPIES_SHARE
    level: Level = share_level(share, limit) or "note"
    first = groups[0]
    example = f"{some_names(first.leave_out)} {'repeats' if len(first.leave_out) == 1 else 'repeat'} {first.keep}"
    more = f", and so on in {len(groups)} groups" if len(groups) > 1 else ""
    return Finding(
        "copies", level,
        f"{extra:,} of {total:,} pictures {'shows' if extra == 1 else 'show'} what another one shows "
        f"({example}{more}): the LoRA will learn that shot more than the others. Count each group once: see below.",
        f"{share:.0%} of the pictures", f"above {limit.amber:.0%}, red above {limit.red:.0%}", limit.source,
        tuple(name for group in groups for name in group.leave_out),
    )  # fmt: skip


def ground_finding(names: Sequence[str], total: int, kind: str, how: str) -> Finding | None:
    """One background in most pictures is bound to the trigger. A style's is part of what is wanted."""
    level = share_level(len(names) / total, limits.SAME_GROUND_SHARE) if total else None
    if level is None or len(names) < 3 or kind == "style":
        return None
    many = f"{len(names):,} of {total:,} pictures" if len(names) < total else f"All {total:,} pictures"
    return Finding(
        "ground", level,
        f"{many} seem to share one background ({some_names(names)}): the LoRA will paint it whenever it is called. "
        "Add pictures taken elsewhere, or name the background in each caption.",
        f"{len(names) / total:.0%} of the pictures, by {how}",
        f"above {limits.SAME_GROUND_SHARE.amber:.0%}, red above {limits.SAME_GROUND_SHARE.red:.0%}",
        limits.SAME_GROUND_SHARE.source, tuple(names),
    )  # fmt: skip


def mark_findings(found: dict[str, list[str]], total: int) -> list[Finding]:
    """A mark in one place is drawn in that place; each picture is told once."""
    told: set[str] = set()
    result = []
    for place, names in sorted(found.items(), key=lambda item: -len(item[1])):
        fresh = [name for name in names if name not in told]
        if len(fresh) < 2:
            continue
        told |= set(fresh)
        level = share_level(len(names) / total, limits.OVERLAY_SHARE) or "amber"
        where = f"in the {place}" + (" corner" if place.endswith(("right", "left")) else "")
        result.append(Finding(
            "mark", level,
            f"{len(names):,} of {total:,} pictures carry the same mark {where} ({some_names(names)}), a watermark or a "
            "text: the LoRA will draw it. Cut it off or paint it out.",
            f"{len(names) / total:.0%} of the pictures", f"three or more; red above {limits.OVERLAY_SHARE.red:.0%}",
            limits.OVERLAY_SHARE.source, tuple(names),
        ))  # fmt: skip
    return result


def size_note(seen: Sequence[Seen]) -> Finding | None:
    """The usual advice of four megapixels, said where it is not met."""
    below = [one for one in seen if one.line.picture.width * one.line.picture.height < _LARGE]
    if not below:
        return None
    many = "No picture has" if len(below) == len(seen) else f"{len(below):,} of {len(seen):,} pictures lack"
    return Finding(
        "megapixels", "note",
        f"{many} the 4 megapixels that are usually advised. What is sharp at its bucket's size loses nothing by that.",
        f"the smallest has {min(one.line.picture.width * one.line.picture.height for one in seen) / 1e6:.1f}",
        "below 4 megapixels", limits.MEGAPIXELS.source, tuple(one.name for one in below),
    )  # fmt: skip


def word_findings(words: Words, names: Sequence[str], plan: Plan) -> Iterator[Finding]:
    """What the captions will do. `names` are the pictures', in the order `words` was read in."""
    kind, trigger = plan.subject.kind, shown(plan.subject.instance_prompt.strip())
    class_ = shown(plan.subject.class_prompt.strip())
    total, written = len(names), len(names) - len(words.missing)
    if words.missing:
        yield _missing(words, names, kind)
    if words.without_trigger:
        few = [names[at] for at in words.without_trigger]
        yield Finding(
            "trigger", "red" if len(few) > written / 2 else "amber",
            f'{_captions(len(few), written)} the trigger "{trigger}" ({some_names(few)}): what these show is learnt '
            "for other words, and the trigger stays weak. Put it in front, or set captions.prefix.",
            f"{len(few)} of {written}", "any", "lorasmith", tuple(few),
        )  # fmt: skip
    if words.trigger_behind:
        few = [names[at] for at in words.trigger_behind]
        why = "shuffling moves it about" if plan.captions.shuffle else "what stands in front is read first"
        yield Finding(
            "trigger_place", "amber",
            f'In {len(few):,} of {written:,} captions the trigger "{trigger}" is not in front ({some_names(few)}): '
            f"{why}.",
            f"{len(few)} of {written}", "any", "lorasmith", tuple(few),
        )  # fmt: skip
    yield from _lengths(words, names, plan.captions.max_tokens)
    for phrase, share in words.phrases[:3]:
        yield Finding(
            "phrase", "amber",
            f'"{shown(phrase)}" stands in {share:.0%} of the captions and will fuse with the trigger'
            + (f' "{trigger}"' if trigger else "")
            + ": leave it out where it is always true, so that it is learnt on purpose, or say other things.",
            f"{share:.0%}", f"above {limits.PHRASE_SHARE.amber:.0%}", limits.PHRASE_SHARE.source,
        )  # fmt: skip
    if words.duplicates:
        same = [names[at] for group in words.duplicates for at in group]
        yield Finding(
            "same_captions", "amber" if len(same) > total / 2 else "note",
            f"{len(same):,} captions are word for word the same as another ({some_names(same)}): what differs in those "
            "pictures has no word, so it is learnt as part of the subject.",
            f"{len(same)} of {written}", "any", "lorasmith", tuple(same),
        )  # fmt: skip
    if words.without_class:
        few = [names[at] for at in words.without_class]
        yield Finding(
            "class_word", "note",
            f'{_captions(len(few), written)} the class word "{class_}" ({some_names(few)}): the base then knows '
            "less of what it is looking at.",
            f"{len(few)} of {written}", "any", "lorasmith", tuple(few),
        )  # fmt: skip


def class_findings(report: CheckReport, plan: Plan) -> Iterator[Finding]:
    """Class pictures: are there enough, large enough, and do they say the class and not the trigger?"""
    lines = [line for line in report.lines if line.picture.role == "class"]
    if not lines:
        return
    uses, pool = report.class_need * len(report.steps.each), len(lines)
    if report.class_need and uses > pool:
        level: Level = "amber" if uses > 10 * pool else "note"
        yield Finding(
            "class_count", level,
            f"The {pool:,} class pictures are each met about {uses / pool:.1f} times; more of them keep the class word "
            "freer." + (f" An epoch takes {report.class_need:,}." if report.class_need > pool else ""),
            f"{uses / pool:.1f} times", "above 10 times", "lorasmith",
        )  # fmt: skip
    elif report.class_need and uses < pool:
        yield Finding("class_count", "note", f"The training meets {uses:,} of the {pool:,} class pictures; the others "
                      "are not needed.", f"{uses} of {pool}", "any", "lorasmith")  # fmt: skip
    small = [shown(line.picture.name) for line in lines if line.small]
    if small:
        yield Finding(
            "class_small", "amber" if len(small) > pool / 2 else "note",
            f"{len(small):,} of {pool:,} class pictures train at a smaller size than the resolution "
            f"({some_names(small)}): the class word learns their softness.",
            f"{len(small)} of {pool}", "bucket below 80 % of the resolution's area", "lorasmith", tuple(small),
        )  # fmt: skip
    yield from _class_words(lines, plan)


def _class_words(lines: Sequence[PictureLine], plan: Plan) -> Iterator[Finding]:
    class_, trigger = plan.subject.class_prompt.strip(), plan.subject.instance_prompt.strip()
    captioned = [line for line in lines if line.picture.caption]
    if not class_ and len(captioned) < len(lines):
        yield Finding("class_prompt", "amber", f"{len(lines) - len(captioned):,} class pictures have no caption and no "
                      "class prompt is given: they train with no words at all.", "", "any", "lorasmith")  # fmt: skip
    without = _named(line for line in captioned if class_ and not holds(line.picture.caption or "", class_))
    if without:
        yield Finding(
            "class_captions", "amber",
            f'{_captions(len(without), len(captioned), "class ")} the class word "{shown(class_)}" '
            f"({some_names(without)}): they do not protect it.",
            f"{len(without)} of {len(captioned)}", "any", "lorasmith", tuple(without),
        )  # fmt: skip
    with_trigger = _named(line for line in captioned if trigger and holds(line.picture.caption or "", trigger))
    if with_trigger:
        yield Finding(
            "class_trigger", "red",
            f'{len(with_trigger):,} class captions hold the trigger "{shown(trigger)}" ({some_names(with_trigger)}): '
            "the LoRA will learn that these, too, are the subject. Take it out.",
            f"{len(with_trigger)} of {len(captioned)}", "any", "lorasmith", tuple(with_trigger),
        )  # fmt: skip


def _named(lines: Iterable[PictureLine]) -> list[str]:
    return [shown(line.picture.name) for line in lines]


def _missing(words: Words, names: Sequence[str], kind: str) -> Finding:
    few = [names[at] for at in words.missing]
    level: Level = "amber" if kind in _NO_CAPTION_MATTERS or len(few) < len(names) else "note"
    a = article(kind)
    if len(few) == len(names):
        what = "No picture has a caption: each trains with trigger and class word alone, so that all it shows"
    else:
        what = f"{len(few):,} of {len(names):,} pictures {'has' if len(few) == 1 else 'have'} no caption "
        what += f"({some_names(few)}): all that {'it shows' if len(few) == 1 else 'they show'}"
    which = f" This matters for {a} {kind}." if kind in _NO_CAPTION_MATTERS else ""
    return Finding(
        "missing", level,
        f"{what} is learnt as part of the {kind}.{which} `lorasmith caption` writes captions to correct.",
        f"{len(few)} of {len(names)}", "any", "lorasmith", tuple(few),
    )  # fmt: skip


def _lengths(words: Words, names: Sequence[str], most: int) -> Iterator[Finding]:
    over = [(length, name) for length, name in zip(words.tokens, names, strict=False) if length > most]
    if over:
        few = [name for _, name in sorted(over, reverse=True)]
        yield Finding(
            "tokens", "amber",
            f"{len(few):,} {'caption is' if len(few) == 1 else 'captions are'} longer than the {most} tokens that are "
            f"read ({some_names(few)}): the rest is lost. Shorten, or raise captions.max_tokens.",
            f"{few[0]}: {max(over)[0]} tokens", f"above {most} by either of SDXL's tokenizers", limits.TOKENS.source,
            tuple(few),
        )  # fmt: skip


def search_address(plan: Plan, number: int) -> str | None:
    """Google's picture search for the subject, pictures larger than 4 MP only; None where there are enough."""
    limit = limits.COUNT_STYLE if plan.subject.kind == "style" else limits.COUNT
    words = plan.subject.class_prompt.strip()
    if number >= limit.amber or not words:
        return None
    return "https://www.google.com/search?" + urlencode({"q": words, "udm": "2", "tbs": "isz:lt,islt:4mp"}, safe=":,")


def _captions(few: int, total: int, which: str = "") -> str:
    if few == total:
        return f"{'The' if total == 1 else 'All'} {'' if total == 1 else f'{total:,} '}{which}" + (
            "caption lacks" if total == 1 else "captions lack"
        )
    return f"{few:,} of {total:,} {which}captions {'lacks' if few == 1 else 'lack'}"
