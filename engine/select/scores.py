"""From measurements to figures: fidelity, the five parts and their mean for every point, with their uncertainty."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from engine.plan import Kind
from engine.select.bootstrap import DRAWS, prompt_weights, weighted_means
from engine.select.cells import BASE, Grid, Likeness, Measurements, Point, align
from engine.select.families import DRIFTING, LIKENESS, NOVEL, STRATA, Family, part_weights
from engine.select.fidelity import Anchors, CannotTell, anchors, picture_scores, real_draws, real_scores
from engine.select.flexibility import (
    CopyReading,
    by_prompt,
    drift,
    flexibility_parts,
    flexible,
    following_margins,
    photo_leak,
    read_copies,
)
from engine.select.quality import Quality, blank_share, quality

_MOSTLY_BLANK = 0.25


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis for all points: the figure, its bootstrap draws [draws, points], and how many prompts it rests on."""

    value: np.ndarray
    draws: np.ndarray
    prompts: int = 0  # 0: so many that it does not matter

    def interval(self, confidence: float = 0.95) -> np.ndarray:
        """[points, 2]: the middle of the draws, wider by Student's factor where the prompts are few."""
        rest = (1 - confidence) / 2
        ends = np.quantile(self.draws, [rest, 1 - rest], axis=0).T
        middle = np.median(self.draws, axis=0)[:, None]
        return middle + (ends - middle) * students_factor(confidence, self.prompts)


def students_factor(confidence: float, prompts: int) -> float:
    """How much wider Student's interval is than the normal one for a mean over so many prompts (Cornish-Fisher)."""
    if prompts < 2:
        return 1.0
    z, freedom = NormalDist().inv_cdf((1 + confidence) / 2), prompts - 1
    return 1 + (z**2 + 1) / (4 * freedom) + (5 * z**4 + 16 * z**2 + 3) / (96 * freedom**2)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What stands behind the figures, picture by picture: [points, slots], nan where a slot has none."""

    likeness: np.ndarray
    margin: np.ndarray
    first: np.ndarray  # whether the own prompt's text fits best
    style: np.ndarray  # share of the wanted style
    copy: np.ndarray  # nearest training picture's similarity


@dataclass(frozen=True, eq=False)
class Scores:
    """Every figure of a comparison; index 0 is the base. Where fidelity cannot be told it is a CannotTell.

    parts: name -> [points], against the base's 100. hard_copies: share of new prompts' pictures. bleed: 0 to 100.
    """

    grid: Grid
    kind: Kind
    anchors: Anchors | CannotTell
    fidelity: Axis | CannotTell
    flexibility: Axis
    parts: Mapping[str, np.ndarray]
    part_draws: Mapping[str, np.ndarray]  # name -> [draws, points]
    evidence: Evidence
    copies: CopyReading | None
    copied: np.ndarray  # pictures of new prompts over the copy mark, [points]
    hard_copies: np.ndarray
    recalled: np.ndarray  # share of training captions answered by a copy, [points]; nan without such prompts
    photo_leak: np.ndarray
    drift: np.ndarray
    quality: Quality | None
    broken: Mapping[Point, str]
    encoders: Mapping[str, str]
    notes: tuple[str, ...] = field(default=())

    @property
    def points(self) -> tuple[Point, ...]:
        return self.grid.points

    @property
    def bleed(self) -> np.ndarray:
        """0: the class word draws what the base draws; 100: it draws the subject. nan where not measured."""
        if "bleed" not in self.parts:
            return np.full(len(self.points), np.nan)
        return 100 - np.clip(self.parts["bleed"], 0, 100)

    def index(self, point: Point) -> int:
        return self.points.index(point)

    def flexibility_without(self, part: str) -> Axis:
        """Flexibility of the other parts, for a part that says nothing between these checkpoints."""
        weights = {name: weight for name, weight in part_weights(self.kind).items() if name != part}
        if not weights.keys() & self.parts.keys():
            return self.flexibility
        return Axis(flexible(self.parts, weights), flexible(self.part_draws, weights))


def evaluate(
    measured: Measurements, kind: Kind, *, points: Collection[Point] | None = None, draws: int = DRAWS, seed: int = 0
) -> Scores:
    """Scores the base and these points (all, if None) on the pictures that every one of them has.

    Raises LorasmithError where nothing can be compared; see `cells.align`.
    """
    grid = align(measured, points)
    prompts = list(dict.fromkeys(slot.prompt for slot in grid.slots))
    family = {slot.prompt: slot.family for slot in grid.slots}
    groups = [next(i for i, stratum in enumerate(STRATA) if family[p] in stratum) for p in prompts]
    weights = prompt_weights(groups, draws, seed)
    columns = {prompt: at for at, prompt in enumerate(prompts)}

    def own(names: tuple[str, ...]) -> np.ndarray:
        return weights[:, [columns[name] for name in names]]

    found, fidelity = _fidelity(measured.likeness, grid, own, draws)
    copies = read_copies(measured.copying, grid) if measured.copying else None
    high = found.high if isinstance(found, Anchors) else None
    parts, notes = flexibility_parts(measured, grid, high, copies)
    kept = {name: part for name, part in parts.items() if name in part_weights(kind)}
    figures = {name: part.percent() for name, part in kept.items()}
    drawn = {name: part.percent_draws(own(part.prompts)) for name, part in kept.items()}
    if not kept:
        notes.append("No part of flexibility could be measured.")
        figures_all = np.full(len(grid.points), np.nan)
        flexibility = Axis(figures_all, np.tile(figures_all, (draws, 1)))
    else:
        counts = part_weights(kind)
        used = len({name for part in kept.values() for name in part.prompts})
        flexibility = Axis(flexible(figures, counts), flexible(drawn, counts), used)
    novel, recall = grid.slots_of(NOVEL), grid.slots_of({Family.RECALL})
    return Scores(
        grid=grid, kind=kind, anchors=found, fidelity=fidelity, flexibility=flexibility,
        parts=figures, part_draws=drawn, evidence=_evidence(measured, grid, copies), copies=copies,
        copied=_over(copies, novel, grid, "soft") * len(novel), hard_copies=_over(copies, novel, grid, "hard"),
        recalled=_over(copies, recall, grid, "soft"),
        photo_leak=photo_leak(measured.styles, grid) if measured.styles else np.full(len(grid.points), np.nan),
        drift=_drift(measured, grid),
        quality=None if measured.pixels is None else quality(measured.pixels, grid, measured.real_pixels),
        broken=_broken(measured, grid), encoders=measured.encoders, notes=(*grid.notes, *notes),
    )  # fmt: skip


def _fidelity(likeness: Likeness | None, grid: Grid, own, draws: int) -> tuple[Anchors | CannotTell, Axis | CannotTell]:
    if likeness is None:
        none = CannotTell(
            "Fidelity was not measured: that takes photographs of the subject and an encoder that sees them."
        )
        return none, none
    slots = grid.slots_of(LIKENESS)
    if not len(slots):
        none = CannotTell("Fidelity was not measured: the prompt set has no identity or context prompts.")
        return none, none
    names, values = by_prompt(
        picture_scores(likeness)[grid.rows[:, slots]], [grid.slots[i].prompt for i in slots]
    )
    real = real_scores(likeness)
    means = weighted_means(values, own(names))
    found = anchors(float(values[0].mean()), means[:, 0], real, likeness.held_out)
    if isinstance(found, CannotTell):
        return found, found
    figure = 100 * (values.mean(axis=1) - found.low) / found.gap
    # A draw whose anchors nearly meet says nothing of the checkpoints: its distance is held at a quarter of the whole.
    gaps = np.maximum(real_draws(real, draws) - means[:, 0], found.gap / 4)
    return found, Axis(figure, 100 * (means - means[:, :1]) / gaps[:, None], len(names))


def _evidence(measured: Measurements, grid: Grid, copies: CopyReading | None) -> Evidence:
    empty = np.full(grid.rows.shape, np.nan)
    likeness = picture_scores(measured.likeness)[grid.rows] if measured.likeness else empty
    margin, first = following_margins(measured.following, grid) if measured.following else (empty, empty.astype(bool))
    style = empty.copy()
    if measured.styles:
        for at, slot in enumerate(grid.slots):
            if slot.family is Family.STYLE:
                label = measured.styles.labels.index(measured.styles.wanted[slot.prompt])
                style[:, at] = measured.styles.shares[grid.rows[:, at], label]
    return Evidence(likeness, margin, first, style, copies.nearest if copies else empty)


def _over(copies: CopyReading | None, slots: np.ndarray, grid: Grid, mark: str) -> np.ndarray:
    if copies is None or not len(slots):
        return np.full(len(grid.points), np.nan)
    return (copies.nearest[:, slots] > getattr(copies, mark)).mean(axis=1)


def _drift(measured: Measurements, grid: Grid) -> np.ndarray:
    if measured.looks is None:
        return np.full(len(grid.points), np.nan)
    return drift(measured.looks, grid, grid.slots_of(DRIFTING))


def _broken(measured: Measurements, grid: Grid) -> dict[Point, str]:
    """Points that cannot be judged: what the drawing job says, blank pictures, or every picture the base's own."""
    found = {point: why for point, why in measured.broken.items() if point in grid.points}
    if measured.pixels is not None:
        blank = blank_share(measured.pixels, grid)
        for point, share in zip(grid.points, blank, strict=True):
            if share > _MOSTLY_BLANK and point != BASE:
                found.setdefault(point, f"{share:.0%} of its pictures are blank")
    for at, point in enumerate(grid.points[1:], 1):
        if point.weight and _same_as_base(measured, grid, at):
            found.setdefault(point, "every picture is the base's own: nothing of this file took effect")
    return found


def _same_as_base(measured: Measurements, grid: Grid, at: int) -> bool:
    arrays = measured.arrays().values()
    return bool(arrays) and all(
        np.array_equal(array[grid.rows[at]], array[grid.rows[0]], equal_nan=True) for array in arrays
    )


