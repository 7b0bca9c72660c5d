"""What class pictures a plan wants: how many, in which shapes, from which prompts and seeds. Light."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from engine.articles import article
from engine.dataset.buckets import BucketRules, Shape, fit
from engine.dataset.check import CheckReport
from engine.dataset.class_text import without_trigger
from engine.dataset.schedule import class_need
from engine.draw.order import Order
from engine.errors import DatasetError, PlanError, shown
from engine.plan import Kind, Plan

PROMPT_SOURCES = ("captions", "varied", "class")
ENOUGH = 1000  # different pictures; a set of more takes hours and each is then met hardly once
_TOO_SMALL = 0.85  # of the native side: below, a base draws crowded and cropped things


@dataclass(frozen=True)
class ClassNeed:
    """How many different class pictures a plan wants, by the shape they train in, and why in one sentence."""

    shapes: tuple[tuple[Shape, int], ...]
    epochs: int
    sentence: str

    @property
    def pictures(self) -> int:
        return sum(count for _, count in self.shapes)


def needed(plan: Plan, report: CheckReport, count: int | None = None) -> ClassNeed:
    """What an epoch takes, each picture once, in the proportions of the training's own buckets; or `count` pictures.

    `report` is `engine.estimate.plan_report` of the plan. Raises DatasetError where there is nothing to train, and
    PlanError for a ratio of 0.
    """
    items = sum(line.items for line in report.buckets)
    if not items:
        raise DatasetError("The plan's folders hold no usable picture to draw class pictures for: see to them first.")
    pictures = sum(line.pictures for line in report.buckets)
    ratio, epochs = plan.regularization.ratio, len(report.steps.each)
    an_epoch = class_need(items, ratio)
    if not an_epoch:
        raise PlanError("regularization.ratio is 0, so no class picture would be trained: set it to 1.")
    chosen = count or min(an_epoch, ENOUGH)
    apportioned = _apportioned([(line.bucket, line.items) for line in report.buckets if line.items], chosen)
    return ClassNeed(apportioned, epochs, _why(pictures, items, ratio, an_epoch, chosen, epochs))


def _why(pictures: int, items: int, ratio: float, an_epoch: int, chosen: int, epochs: int) -> str:
    for_each = "one for each" if ratio == 1 else f"{ratio:g} for each"
    own = f"{_count(pictures, 'picture')} with repeats make {items:,} an epoch"
    sum_ = f"{own}, and {for_each} makes {an_epoch:,}"
    if chosen == an_epoch:
        times = "once" if epochs == 1 else f"once an epoch, {epochs} times in all"
        return f"{_count(chosen, 'class picture')}: {sum_}; each is met {times}."
    if chosen < an_epoch:
        return (
            f"{_count(chosen, 'class picture')}: {sum_}; each is met about {an_epoch / chosen:.1f} times an epoch."
        )
    return f"{_count(chosen, 'class picture')}: {sum_}; so many last {chosen / an_epoch:.1f} epochs without repeating."


def _apportioned(weights: Sequence[tuple[Shape, int]], total: int) -> tuple[tuple[Shape, int], ...]:
    """`total` shared out in proportion, by largest remainder; shapes that get nothing are left out."""
    whole = sum(weight for _, weight in weights)
    exact = [(shape, total * weight / whole) for shape, weight in weights]
    counts = Counter({shape: int(share) for shape, share in exact})
    by_remainder = sorted(exact, key=lambda one: (int(one[1]) - one[1], one[0]))
    for shape, _ in by_remainder[: total - sum(counts.values())]:
        counts[shape] += 1
    return tuple((shape, counts[shape]) for shape, _ in weights if counts[shape])


def class_prompts(plan: Plan, report: CheckReport, source: str | Path | None = None) -> tuple[str, ...]:
    """The prompts that class pictures are drawn from in turn, each different.

    `source`: "captions" (the plan's own, with the class in the trigger's place), "varied" (presets/prompts/class/),
    "class" (the class prompt alone) or a text file with a prompt a line. None chooses captions where at least half
    of the pictures have one with the trigger, else "varied". Raises PlanError for an empty class prompt or file.
    """
    class_prompt = " ".join(plan.subject.class_prompt.split())
    if not class_prompt:
        raise PlanError(
            'subject.class_prompt is empty, so nothing says what class pictures show: write it, such as "woman".'
        )
    if source is None or source == "captions":
        prompts, share = _from_captions(plan, report)
        if source is None and share < 0.5:
            return class_prompts(plan, report, "varied")
        if not prompts:
            raise PlanError(
                "No caption of the plan's pictures holds the trigger, so none can be turned into a class prompt: "
                "take --prompts varied, or write captions."
            )
        return prompts
    if source == "class":
        return (class_prompt,)
    if source == "varied":
        text = (files("presets") / "prompts" / "class" / f"{plan.subject.kind}.txt").read_text(encoding="utf-8")
        return filled(text, class_prompt, f"presets/prompts/class/{plan.subject.kind}.txt")
    return filled(_file_text(Path(source)), class_prompt, shown(source))


def _from_captions(plan: Plan, report: CheckReport) -> tuple[tuple[str, ...], float]:
    """The captions' own prompts, and the share of training pictures that give one."""
    lines = [line for line in report.lines if line.picture.role == "train" and not line.held_out]
    subject = plan.subject
    found = [
        without_trigger(f"{plan.captions.prefix} {line.picture.caption or ''}", subject.instance_prompt,
                        subject.class_prompt)
        for line in lines
    ]  # fmt: skip
    prompts = [text.strip(" ,") for text in found if text]
    return tuple(dict.fromkeys(filter(None, prompts))), len(prompts) / max(1, len(lines))


def filled(text: str, class_prompt: str, where: str) -> tuple[str, ...]:
    """A prompt file's lines with the class prompt in the place of `{class}`; PlanError where there are none."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    prompts = []
    for line in lines:
        if not line or line.startswith("#"):
            continue
        line = re.sub(r"\ba \{class\}", f"{article(class_prompt)} {{class}}", line)
        prompts.append(line.replace("{class}", class_prompt))
    if not prompts:
        raise PlanError(f"{where} holds no prompt: write one a line, with {{class}} where the class prompt goes.")
    return tuple(dict.fromkeys(prompts))


def _file_text(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise PlanError(f"{shown(path)} is not UTF-8 text: save it as UTF-8.") from None
    except OSError as error:
        raise PlanError(
            f"{shown(path)} cannot be read ({error.strerror}): give captions, varied, class, or a text file."
        ) from None


def class_orders(
    need: ClassNeed,
    prompts: Sequence[str],
    rules: BucketRules,
    *,
    native: int,
    step: int,
    negative: str = "",
    steps: int = 25,
    cfg: float = 5.0,
) -> tuple[Order, ...]:
    """An order for each class picture, the prompts in turn.

    The n-th picture of a prompt in a shape always has the same seed, so that another plan that wants more of them
    finds these drawn already, and no two prompts share their noise.
    """
    orders: list[Order] = []
    met: Counter[tuple[str, Shape]] = Counter()
    for bucket, count in need.shapes:
        size = drawn_size(bucket, rules, native, step)
        for _ in range(count):
            prompt = prompts[len(orders) % len(prompts)]
            seed = class_seed(prompt, size, met[prompt, size])
            met[prompt, size] += 1
            orders.append(Order(prompt, size, seed, negative, steps, cfg))
    return tuple(orders)


def class_seed(prompt: str, size: Shape, number: int) -> int:
    """The seed of the `number`-th picture of a prompt in a size; below 2^32, which every program takes."""
    text = f"class:{prompt}:{size[0]}x{size[1]}:{number}"
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4], "big")


def drawn_size(bucket: Shape, rules: BucketRules, native: int, step: int) -> Shape:
    """The size a class picture of this bucket is drawn in: the bucket's own, unless the plan trains far below the
    base's native size, where a base draws badly; then in native size, if that comes down to the same bucket."""
    if rules.resolution >= _TOO_SMALL * native:
        return bucket
    factor = native / rules.resolution
    width, height = (max(step, round(side * factor / step) * step) for side in bucket)
    return (width, height) if fit(width, height, rules).bucket == bucket else bucket


def order_lines(orders: Iterable[Order]) -> list[tuple[str, Shape, int]]:
    """Orders counted as (prompt, size, how many), in the order they first come."""
    return [(prompt, size, number) for (prompt, size), number in
            Counter((order.prompt, order.size) for order in orders).items()]  # fmt: skip


def prompts_folder(kind: Kind) -> str:
    """Where a person finds the editable prompts of a kind."""
    return str(files("presets") / "prompts" / "class" / f"{kind}.txt")


def _count(number: int, word: str) -> str:
    return f"{number:,} {word if number == 1 else word + 's'}"
