"""Flexibility: 100 is the untouched base. Five parts, each a mean over prompts against the base's on the same ones.

Every part is brought to one form, a figure that is high where the LoRA is free, so that one formula serves all:
part = 100 * mean(checkpoint) / mean(base). The base is exactly 100 by construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import shown
from engine.select.bootstrap import weighted_means
from engine.select.cells import Copying, Following, Grid, Likeness, Looks, Measurements, StyleReading
from engine.select.families import BLEEDING, FLOOR, FOLLOWING, NOVEL, OBEYING
from engine.select.fidelity import picture_scores

_WEAK_PROMPT = 0.2  # of the median prompt's margin on the base: below, the base cannot draw it either
_LEAST_VARIETY = 0.05  # of how much the base's pictures of different prompts differ
_WEAK_STYLE = 2.0  # times chance: the base's own share of the wanted style must reach it


@dataclass(frozen=True, eq=False)
class Part:
    """One part: its figure for every point and prompt, [points, prompts], the base in row 0."""

    name: str
    prompts: tuple[str, ...]
    values: np.ndarray

    def percent(self) -> np.ndarray:
        """[points], against the base's 100; may exceed it."""
        means = self.values.mean(axis=1)
        return 100 * np.maximum(means, 0) / means[0]

    def percent_draws(self, weights: np.ndarray) -> np.ndarray:
        """[draws, points] under prompt weights [draws, prompts]; a draw without any base to hold against is plain."""
        means = weighted_means(self.values, weights)
        base = means[:, :1]
        usable = base > 0.1 * self.values[0].mean()
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = 100 * np.maximum(means, 0) / base
        return np.where(usable, drawn, self.percent())


@dataclass(frozen=True, eq=False)
class CopyReading:
    """How near pictures come to the training pictures: marks above which one counts as a copy, and each picture's."""

    soft: float
    hard: float
    nearest: np.ndarray  # [points, slots]: the highest similarity to any training picture
    which: np.ndarray  # [points, slots]: to which


def flexible(parts: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """The weighted harmonic mean of the parts there are, each held between `FLOOR` and 100.

    Harmonic, so that one collapse is not averaged away by four parts that hold; its weights are of the parts present.
    """
    names = [name for name in weights if name in parts]
    total = sum(weights[name] for name in names)
    shares = [weights[name] / np.clip(parts[name], FLOOR, 100) for name in names]
    return np.round(total / np.sum(shares, axis=0), 9)  # the base is 100 to the last digit


def by_prompt(values: np.ndarray, prompts: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Means over the seeds of each prompt: [points, slots] -> names and [points, prompts]."""
    names = tuple(dict.fromkeys(prompts))
    where = np.array([names.index(prompt) for prompt in prompts])
    return names, np.stack([values[:, where == at].mean(axis=1) for at in range(len(names))], axis=1)


def following_margins(following: Following, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """[points, slots]: how much better a picture fits its own text than the others', and whether it fits it best.

    The margin takes off what all texts share: CLIP's narrow scale, and "everything looks like a portrait". nan for
    slots of other families.
    """
    asked = grid.slots_of(FOLLOWING)
    margins = np.full(grid.rows.shape, np.nan)
    first = np.zeros(grid.rows.shape, dtype=bool)
    columns = {prompt: at for at, prompt in enumerate(following.prompts)}
    texts = [columns[name] for name in dict.fromkeys(grid.slots[i].prompt for i in asked)]
    for slot in asked:
        own = columns[grid.slots[slot].prompt]
        others = [text for text in texts if text != own]
        seen = following.to_texts[grid.rows[:, slot]]
        if others:
            margins[:, slot] = seen[:, own] - seen[:, others].mean(axis=1)
            first[:, slot] = seen[:, own] >= seen[:, others].max(axis=1)
    return margins, first


def prompt_part(following: Following, grid: Grid) -> tuple[Part | None, list[str]]:
    """Prompt following, without the prompts that the base itself cannot draw; and a note on those."""
    slots = grid.slots_of(FOLLOWING)
    margins, _ = following_margins(following, grid)
    if len({grid.slots[i].prompt for i in slots}) < 2:
        return None, ["Prompt following is not measured: it takes at least two different prompts."]
    names, values = by_prompt(margins[:, slots], [grid.slots[i].prompt for i in slots])
    positive = values[0][values[0] > 0]
    if not len(positive):
        return None, ["Prompt following is not measured: not even the base's pictures fit their own prompts best."]
    weak = values[0] < _WEAK_PROMPT * np.median(positive)
    return _strong("prompt", names, values, weak, "the base itself does not follow")


def style_part(styles: StyleReading, grid: Grid) -> tuple[Part | None, list[str]]:
    """The share of the wanted style on style prompts; prompts whose style the base does not draw are left out."""
    slots = grid.slots_of(OBEYING)
    if not len(slots):
        return None, []
    wanted = [styles.labels.index(styles.wanted[grid.slots[i].prompt]) for i in slots]
    shares = styles.shares[grid.rows[:, slots], wanted]
    names, values = by_prompt(shares, [grid.slots[i].prompt for i in slots])
    weak = values[0] < _WEAK_STYLE / len(styles.labels)
    return _strong("style", names, values, weak, "the base itself does not draw in that style")


def photo_leak(styles: StyleReading, grid: Grid) -> np.ndarray:
    """How much more of a photograph the style prompts' pictures are than the base's: [points], in points of 100."""
    slots = grid.slots_of(OBEYING)
    if not len(slots) or styles.photo not in styles.labels:
        return np.full(len(grid.points), np.nan)
    photo = styles.shares[grid.rows[:, slots], styles.labels.index(styles.photo)].mean(axis=1)
    return 100 * (photo - photo[0])


def diversity_part(looks: Looks, grid: Grid) -> tuple[Part | None, list[str]]:
    """The mean distance (1 - cosine) between the seeds of a prompt; it takes two seeds."""
    slots = grid.slots_of(NOVEL)
    prompts = list(dict.fromkeys(grid.slots[i].prompt for i in slots))
    names, columns = [], []
    for prompt in prompts:
        own = [i for i in slots if grid.slots[i].prompt == prompt]
        if len(own) > 1:
            names.append(prompt)
            columns.append(_spread(looks.vectors[grid.rows[:, own]]))
    if not names:
        return None, ["Diversity is not measured: it takes two seeds of a prompt."]
    values = np.stack(columns, axis=1)
    # What hardly varies in the base's own pictures is noise, and a share of noise says nothing.
    between = _spread(np.stack([looks.vectors[grid.rows[0, slot]] for slot in slots])[None])[0]
    if values[0].mean() <= max(_LEAST_VARIETY * between, 1e-6):
        return None, ["Diversity is not measured: the base's own pictures of a prompt hardly differ from seed to seed."]
    return Part("diversity", tuple(names), values), []


def drift(looks: Looks, grid: Grid, slots: np.ndarray) -> np.ndarray:
    """How far pictures moved from the base's of the same prompt and seed, 1 - cosine: [points]; nan without slots."""
    if not len(slots):
        return np.full(len(grid.points), np.nan)
    vectors = _unit(looks.vectors[grid.rows[:, slots]])
    return 1 - (vectors * vectors[:1]).sum(axis=-1).mean(axis=1)


def read_copies(copying: Copying, grid: Grid) -> CopyReading:
    """Marks and nearest training picture of every slot.

    The mark is the encoder's floor or, where higher, what 95 % of real pictures that are not duplicates (and of the
    base's own) stay under: pictures of one subject are alike without any being a copy.
    """
    nearest = copying.to_train.max(axis=1)[grid.rows]
    which = copying.to_train.argmax(axis=1)[grid.rows]
    among = np.array(copying.among_train, dtype=float)
    np.fill_diagonal(among, -np.inf)
    alike = among.max(axis=1)
    duplicate = copying.hard if copying.hard is not None else 0.98
    novel = grid.slots_of(NOVEL)
    null = np.concatenate([alike[(alike < duplicate) & np.isfinite(alike)], nearest[0, novel]])
    usual = float(np.quantile(null, 0.95)) if len(null) else -1.0
    soft = max(usual, -1.0 if copying.floor is None else copying.floor)
    hard = (1 + soft) / 2 if copying.hard is None else max(copying.hard, soft)
    return CopyReading(soft, hard, nearest, which)


def copying_part(reading: CopyReading, grid: Grid) -> tuple[Part | None, list[str]]:
    """The share of pictures of new prompts that are no copies."""
    slots = grid.slots_of(NOVEL)
    if not len(slots):
        return None, []
    free = (reading.nearest[:, slots] <= reading.soft).astype(float)
    names, values = by_prompt(free, [grid.slots[i].prompt for i in slots])
    if values[0].mean() < 0.5:
        return None, ["Copying is not measured: most of the base's own pictures pass for copies with this encoder."]
    return Part("copying", names, values), []


def bleed_part(likeness: Likeness, grid: Grid, high: float) -> tuple[Part | None, list[str]]:
    """How far pictures of the class word alone stay from the subject; 0 once they are as like it as photographs."""
    slots = grid.slots_of(BLEEDING)
    if not len(slots):
        return None, ["Bleeding is not measured: the prompt set has no prompt of the class word alone."]
    room = high - picture_scores(likeness)[grid.rows[:, slots]]
    names, values = by_prompt(room, [grid.slots[i].prompt for i in slots])
    if not np.isfinite(values).all() or values[0].mean() <= 0:
        return None, ["Bleeding is not measured: the base's own class pictures are as like the subject as photographs."]
    return Part("bleed", names, values), []


def flexibility_parts(
    measured: Measurements, grid: Grid, high: float | None, copies: CopyReading | None
) -> tuple[dict[str, Part], list[str]]:
    """Every part that can be measured, and a sentence for each prompt or part that cannot."""
    found: list[tuple[Part | None, list[str]]] = []
    if measured.following:
        found.append(prompt_part(measured.following, grid))
    if measured.styles:
        found.append(style_part(measured.styles, grid))
    if measured.looks:
        found.append(diversity_part(measured.looks, grid))
    if copies:
        found.append(copying_part(copies, grid))
    if measured.likeness and high is not None:
        found.append(bleed_part(measured.likeness, grid, high))
    parts = {part.name: part for part, _ in found if part is not None}
    return parts, [note for _, notes in found for note in notes]


def _strong(
    name: str, names: tuple[str, ...], values: np.ndarray, weak: np.ndarray, why: str
) -> tuple[Part | None, list[str]]:
    notes = [
        f"Left out of '{name}', because {why}: {', '.join(shown(n) for n in np.array(names)[weak])}."
    ] if weak.any() else []  # fmt: skip
    if weak.all():
        return None, notes
    return Part(name, tuple(n for n, w in zip(names, weak, strict=True) if not w), values[:, ~weak]), notes


def _spread(vectors: np.ndarray) -> np.ndarray:
    """Mean pairwise 1 - cosine over axis 1 of [points, seeds, d]: [points]."""
    units = _unit(vectors)
    count = units.shape[1]
    summed = (units.sum(axis=1) ** 2).sum(axis=-1)  # seeds + twice the sum over pairs
    return 1 - (summed - count) / (count * (count - 1))


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=float)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
