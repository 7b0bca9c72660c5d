"""From figures to sentences: what each picture, and the set as a whole, will do to the LoRA."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from engine.dataset.check import PictureLine
from engine.dataset.health import limits
from engine.dataset.health.figures import LEVELS, Finding, Level, Measures
from engine.dataset.health.limits import Limit
from engine.errors import shown
from engine.plan import Kind

_NAMED = 3  # pictures that a sentence names; the table has the others


@dataclass(frozen=True)
class Seen:
    """A training picture, its line of the plan's arithmetic, and its figures."""

    line: PictureLine
    measures: Measures

    @property
    def name(self) -> str:
        return shown(self.line.picture.name)

    @property
    def short_side(self) -> int:
        return min(self.line.picture.width, self.line.picture.height)


@dataclass(frozen=True)
class Fault:
    """Something against one picture: `remark` is for the table, `value` for the sentence's brackets."""

    check: str
    level: Level
    remark: str
    value: str


def faults_of(seen: Sequence[Seen], resolution: int, kind: Kind) -> list[list[Fault]]:
    """What is to be said against each picture by itself, gravest first, in the pictures' order.

    White in a style's pictures is not held against them: it may be the paper of a drawing.
    """
    usual = _median([one.measures.sharpness for one in seen])
    found = []
    for one in seen:
        if one.measures.blank >= limits.BLANK.amber:
            # Nothing else can be said of a picture that shows nothing.
            found.append([Fault("blank", "red", "shows nothing", f"{one.measures.blank:.1%} of it")])
            continue
        faults = [*_size_faults(one, resolution), *_sharpness_faults(one, usual), *_light_faults(one.measures),
                  *_frame_faults(one.measures)]  # fmt: skip
        if kind == "style":
            faults = [fault for fault in faults if fault.check not in {"clipped", "light"}]
        found.append(sorted(faults, key=lambda fault: LEVELS.index(fault.level)))
    return found


def _size_faults(one: Seen, resolution: int) -> Iterator[Fault]:
    share = resolution / 1024  # the limits are for SDXL's own resolution
    side, fit = one.short_side, one.line.fit
    level = _below(side, limits.SHORT_SIDE, share)
    if level and fit.scale <= 1:
        yield Fault("small", level, f"small: {side} px", f"short side {side} px")
    if level := _above(fit.scale, limits.ENLARGED):
        yield Fault("enlarged", level, f"enlarged {fit.scale:.2f}x", f"{fit.scale:.2f} times")
    if level := _above(fit.loss, limits.CUT_AWAY):
        yield Fault("cut", level, f"{fit.loss:.0%} cut off", f"{fit.loss:.0%}")
    width, height = one.line.picture.width, one.line.picture.height
    aspect = max(width, height) / min(width, height)
    if level := _above(aspect, limits.ASPECT):
        yield Fault("aspect", level, "very long", f"{aspect:.1f} to 1")


def _sharpness_faults(one: Seen, usual: float) -> Iterator[Fault]:
    if one.measures.crisp >= limits.CRISP:
        return  # a drawing in flat colours: its contours are sharp, however pale
    sharpness = one.measures.sharpness
    share = sharpness / usual if usual else 1.0
    value = f"sharpness {sharpness:.0f}"
    if level := _below(sharpness, limits.SHARPNESS):
        yield Fault("blur", level, "blurred", value)
    elif one.measures.detail is not None and one.measures.detail < limits.DETAIL.amber:
        yield Fault("detail", "amber", "no fine detail", f"{one.measures.detail:.2f} of its sharpness left at 1024 px")
    elif sharpness < limits.SHARPNESS_SURE and share < limits.SHARPNESS_OF_SET.amber:
        yield Fault("softer", "amber", "softer than the rest", f"{value}, the set's middle {usual:.0f}")


def _light_faults(measures: Measures) -> Iterator[Fault]:
    if level := _below(measures.dark, limits.DARK):
        yield Fault("dark", level, "too dark", f"its lights at {measures.dark:.0%}")
    elif level := _above(measures.light, limits.LIGHT):
        yield Fault("light", level, "too bright", f"its shadows at {measures.light:.0%}")
    elif level := _above(measures.clipped, limits.CLIPPED):
        yield Fault("clipped", level, "overexposed", f"{measures.clipped:.0%} pure white")


def _frame_faults(measures: Measures) -> Iterator[Fault]:
    if level := _above(measures.border, limits.BORDER):
        yield Fault("border", level, "bars or frame", f"{measures.border:.0%} {measures.border_sides}")
    if measures.jpeg_quality is not None and (level := _below(measures.jpeg_quality, limits.JPEG_QUALITY)):
        yield Fault("jpeg", level, "JPEG damage", f"quality {measures.jpeg_quality}")
    elif measures.blocks is not None and (level := _above(measures.blocks, limits.BLOCKS)):
        yield Fault("jpeg", level, "JPEG damage", f"steps {measures.blocks:.1f} times as high at the blocks' edges")


@dataclass(frozen=True)
class _Saying:
    """How a fault that several pictures share is told: `one`/`many` begin the sentence after the number."""

    one: str
    many: str
    rest: str
    limit: Callable[[Limit], str]
    figure: Limit


_SAYINGS: dict[str, _Saying] = {
    "blank": _Saying(
        "picture shows nothing but one colour", "pictures show nothing but one colour",
        "the LoRA learns that from it: leave it out (a transparent picture is flattened onto pictures.background)",
        lambda limit: f"from {limit.amber:.1%} of one colour", limits.BLANK,
    ),
    "small": _Saying(
        "picture is small", "pictures are small",
        "it trains at a smaller size and teaches less detail than the rest: find a larger original",
        lambda limit: f"below {limit.amber:.0f} px at a resolution of 1024, red below {limit.red:.0f}",
        limits.SHORT_SIDE,
    ),
    "enlarged": _Saying(
        "picture is enlarged to its bucket", "pictures are enlarged to their buckets",
        "the LoRA learns the softness: find a larger original, or set pictures.upscale = false",
        lambda limit: f"above {limit.amber}, red above {limit.red}", limits.ENLARGED,
    ),
    "cut": _Saying(
        "picture loses much to the cut", "pictures lose much to the cut",
        "what stands at its rim is not learnt: crop it by hand around the subject",
        lambda limit: f"above {limit.amber:.0%}, red above {limit.red:.0%}", limits.CUT_AWAY,
    ),
    "aspect": _Saying(
        "picture is very long or wide", "pictures are very long or wide",
        "no bucket is made for it: crop it to the part that matters",
        lambda limit: f"above {limit.amber} to 1", limits.ASPECT,
    ),
    "blur": _Saying(
        "picture is blurred all over", "pictures are blurred all over",
        "the LoRA will draw the blur as part of the subject: leave it out, or take a sharper one",
        lambda limit: f"below {limit.amber:.0f}, red below {limit.red:.0f}, in its sharpest part at 512 px",
        limits.SHARPNESS,
    ),
    "softer": _Saying(
        "picture is far softer than the others", "pictures are far softer than the others",
        "if it is out of focus or shaken the LoRA learns that: look at it",
        lambda limit: f"below {limit.amber:.0%} of the set's middle and below {limits.SHARPNESS_SURE:.0f}",
        limits.SHARPNESS_OF_SET,
    ),
    "detail": _Saying(
        "picture has more pixels than detail", "pictures have more pixels than detail",
        "it was enlarged from about half its size, or is out of focus: the original, if there is one, teaches more",
        lambda limit: f"below {limit.amber}", limits.DETAIL,
    ),
    "dark": _Saying(
        "picture is very dark", "pictures are very dark",
        "hardly anything can be learnt from it, and the LoRA will tend to dark pictures: brighten it or leave it out",
        lambda limit: f"below {limit.amber:.0%} of white", limits.DARK,
    ),
    "light": _Saying(
        "picture is nearly white throughout", "pictures are nearly white throughout",
        "hardly anything can be learnt from it: take another exposure or leave it out",
        lambda limit: f"above {limit.amber:.0%} of white", limits.LIGHT,
    ),
    "clipped": _Saying(
        "picture is overexposed", "pictures are overexposed",
        "if that is no white ground, the burnt-out parts hold no detail and will be drawn as white patches: take "
        "another exposure if there is one",
        lambda limit: f"above {limit.amber:.0%} of the picture", limits.CLIPPED,
    ),
    "border": _Saying(
        "picture has bars or a frame", "pictures have bars or a frame",
        "the LoRA will draw them: cut them off",
        lambda limit: f"above {limit.amber:.0%} of the picture, red above {limit.red:.0%}", limits.BORDER,
    ),
    "jpeg": _Saying(
        "picture shows JPEG damage", "pictures show JPEG damage",
        "its blocks and rings are learnt as texture: find a better copy",
        lambda limit: f"quality below {limit.amber:.0f}, or steps above {limits.BLOCKS.amber} times",
        limits.JPEG_QUALITY,
    ),
}  # fmt: skip
FAULTS = tuple(_SAYINGS)


def picture_findings(seen: Sequence[Seen], faults: Sequence[Sequence[Fault]]) -> list[Finding]:
    """One finding for each kind of fault, naming the worst of the pictures that have it."""
    having: dict[str, list[tuple[Seen, Fault]]] = defaultdict(list)
    for one, own in zip(seen, faults, strict=True):
        for fault in own:
            having[fault.check].append((one, fault))
    found = []
    for check in FAULTS:
        if having[check]:
            found.append(_told(check, having[check], len(seen)))
    return found


def _told(check: str, having: list[tuple[Seen, Fault]], total: int) -> Finding:
    saying = _SAYINGS[check]
    having = sorted(having, key=lambda pair: LEVELS.index(pair[1].level))
    worst = having[0][1]
    number = f"{len(having):,} of {total:,} " if total > 1 else "The "
    many = saying.many if len(having) > 1 else saying.one
    if total > 1 and len(having) == 1:
        many = _plural_of(saying)
    names = some_names([one.name for one, _ in having])
    rest = saying.rest if len(having) == 1 else _several(saying.rest)
    return Finding(
        check=check,
        level=worst.level,
        sentence=f"{number}{many} ({names}): {rest}.",
        value=f"{having[0][0].name}: {worst.value}",
        limit=saying.limit(saying.figure),
        source=saying.figure.source,
        pictures=tuple(one.name for one, _ in having),
    )


def _plural_of(saying: _Saying) -> str:
    """'1 of 5 pictures is blurred': the noun of many, the verb of one."""
    return saying.one.replace("picture", "pictures", 1)


def _several(rest: str) -> str:
    """The same of several pictures."""
    for one, many in (
        ("it trains", "they train"), ("it was", "they were"), (" is out", " are out"), ("if it is", "if they are"),
        ("from it", "from them"), ("its ", "their "), ("leave it", "leave them"), ("look at it", "look at them"),
        ("brighten it", "brighten them"), ("crop it", "crop them"), ("for it", "for them"),
        ("and teaches", "and teach"),
    ):  # fmt: skip
        rest = rest.replace(one, many)
    return rest


def some_names(names: Sequence[str]) -> str:
    """'a.jpg, b.jpg, c.jpg and 12 more'."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def gravest_first(findings: Sequence[Finding]) -> list[Finding]:
    """By level; within one, in the order given."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def share_level(share: float, limit: Limit) -> Level | None:
    """The level of a share of the set; reaching the limit does not count, passing it does."""
    return _above(share, limit)


def _above(value: float, limit: Limit) -> Level | None:
    return None if value <= limit.amber else "red" if limit.red is not None and value > limit.red else "amber"


def _below(value: float, limit: Limit, times: float = 1.0) -> Level | None:
    if value >= limit.amber * times:
        return None
    return "red" if limit.red is not None and value < limit.red * times else "amber"


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else 0.0
