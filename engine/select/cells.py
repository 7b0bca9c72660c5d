"""What was drawn and what was measured on it: the selector's input. A row of every array is one picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.errors import LorasmithError, shown
from engine.select.families import BLEEDING, FOLLOWING, LIKENESS, NOVEL, OBEYING, Family

_MISSING_SHARE = 0.25  # a point that lacks more of its pictures than this is not compared


@dataclass(frozen=True, order=True)
class Point:
    """One thing to choose: a checkpoint (its epoch, or its place in the list) at a weight."""

    checkpoint: int
    weight: float = 1.0

    def __str__(self) -> str:
        return f"{self.checkpoint}" if self.weight == 1 else f"{self.checkpoint} at weight {self.weight:g}"


BASE = Point(0, 0.0)
"""The untouched base. It must be drawn with the same prompts (class word for trigger), seeds and batches."""


@dataclass(frozen=True)
class Cell:
    """One picture of the grid. `prompt` is the prompt's name in its set."""

    point: Point
    prompt: str
    family: Family
    seed: int


@dataclass(frozen=True, eq=False)
class Likeness:
    """How like the subject each picture is.

    to_refs: [pictures, refs], any similarity that grows with likeness (a face encoder gives a picture without a face
    0); nan where it was not measured. With held_out, refs were kept out of training and `real` is [training
    photographs, refs]; without, `real` is [refs, refs] among the photographs themselves, its diagonal ignored.
    """

    encoder: str
    to_refs: np.ndarray
    real: np.ndarray
    held_out: bool = False


@dataclass(frozen=True, eq=False)
class Following:
    """How well each picture fits every prompt's text (the class word for the trigger): [pictures, len(prompts)]."""

    encoder: str
    to_texts: np.ndarray
    prompts: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class StyleReading:
    """Which medium each picture is in: shares [pictures, labels] adding up to 1; which label each prompt asks for."""

    encoder: str
    shares: np.ndarray
    labels: tuple[str, ...]
    wanted: Mapping[str, str]
    photo: str = "photo"


@dataclass(frozen=True, eq=False)
class Looks:
    """Each picture as a vector [pictures, d], best with the subject masked out: layout and background."""

    encoder: str
    vectors: np.ndarray


@dataclass(frozen=True, eq=False)
class Copying:
    """How near each picture is to every training picture: [pictures, training]; and those among themselves.

    `floor` and `hard` are the encoder's own marks (SSCD: 0.5 and 0.75, a copy with 90 % precision); None where it
    has none, then both come from how near real pictures and the base's come by themselves.
    """

    encoder: str
    to_train: np.ndarray
    among_train: np.ndarray
    floor: float | None = None
    hard: float | None = None


@dataclass(frozen=True, eq=False)
class Measurements:
    """All that is known of a grid. What was not measured is None; pixels come from `quality.pixel_statistics`, and
    `real_pixels` [photographs, 4] are the same of the photographs at the size that is drawn.

    `broken` names points that cannot be judged and why in a sentence (no module matched, weights not finite).
    """

    cells: tuple[Cell, ...]
    likeness: Likeness | None = None
    following: Following | None = None
    styles: StyleReading | None = None
    looks: Looks | None = None
    copying: Copying | None = None
    pixels: np.ndarray | None = None
    real_pixels: np.ndarray | None = None
    broken: Mapping[Point, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.cells)
        for name, array in self.arrays().items():
            if array.ndim != 2 or len(array) != rows:
                raise ValueError(f"{name} is {array.shape}; a row for each of the {rows} cells is needed")
        twice = [cell for cell, count in Counter(self.cells).items() if count > 1]
        if twice:
            raise ValueError(f"measured twice: {twice[0]}")

    def arrays(self) -> dict[str, np.ndarray]:
        """The measured arrays, each with a row for every cell."""
        found = {
            "likeness.to_refs": self.likeness and self.likeness.to_refs,
            "following.to_texts": self.following and self.following.to_texts,
            "styles.shares": self.styles and self.styles.shares,
            "looks.vectors": self.looks and self.looks.vectors,
            "copying.to_train": self.copying and self.copying.to_train,
            "pixels": self.pixels,
        }
        return {name: array for name, array in found.items() if array is not None}

    @property
    def points(self) -> tuple[Point, ...]:
        """Every point in the grid, the base first, by epoch and weight."""
        return tuple(sorted({cell.point for cell in self.cells}))

    @property
    def encoders(self) -> dict[str, str]:
        """Which encoder each measure used, to be named in every report."""
        groups = {
            "likeness": self.likeness,
            "following": self.following,
            "styles": self.styles,
            "looks": self.looks,
            "copying": self.copying,
        }
        return {name: group.encoder for name, group in groups.items() if group is not None}


@dataclass(frozen=True)
class Slot:
    """A place that every point fills: one prompt with one seed."""

    prompt: str
    family: Family
    seed: int


@dataclass(frozen=True, eq=False)
class Grid:
    """The pictures that all points have: `rows[point, slot]` is the row of the measurements.

    `notes` tells in sentences what was left out so that every comparison is on the same prompts and seeds;
    `missing` names the cells, `dropped` the points that had too few pictures.
    """

    points: tuple[Point, ...]
    slots: tuple[Slot, ...]
    rows: np.ndarray
    missing: tuple[Cell, ...] = ()
    dropped: Mapping[Point, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def slots_of(self, families: Collection[Family]) -> np.ndarray:
        """Indices of the slots of these families."""
        return np.array([i for i, slot in enumerate(self.slots) if slot.family in families], dtype=int)


def align(measured: Measurements, points: Collection[Point] | None = None) -> Grid:
    """The grid of the base and these points (all, if None), on the slots that every one of them has.

    A point that lacks over a quarter of the pictures is dropped and named; a slot that any other point lacks is left
    out for all, because only the same prompt and seed compare. Raises LorasmithError without the base, without a
    checkpoint, or where no slot is common.
    """
    asked = set(measured.points if points is None else points) | {BASE}
    lost = _unmeasured(measured)
    at = {
        (cell.point, Slot(cell.prompt, cell.family, cell.seed)): row
        for row, cell in enumerate(measured.cells)
        if row not in lost and cell.point in asked
    }
    slots = sorted({Slot(c.prompt, c.family, c.seed) for c in measured.cells if c.point in asked}, key=_slot_order)
    kept, dropped = _whole_points(sorted(asked), slots, at)
    missing = tuple(
        Cell(point, slot.prompt, slot.family, slot.seed) for point in kept for slot in slots if (point, slot) not in at
    )
    incomplete = {Slot(cell.prompt, cell.family, cell.seed) for cell in missing}
    common = [slot for slot in slots if slot not in incomplete]
    if not common:
        raise LorasmithError(
            "No prompt and seed was drawn for the base and every checkpoint, so nothing can be compared: "
            "draw the missing pictures again."
        )
    rows = np.array([[at[point, slot] for slot in common] for point in kept])
    notes = [*dropped.values(), *_note_missing(missing, len(incomplete), len(slots))]
    return Grid(tuple(kept), tuple(common), rows, missing, dropped, tuple(notes))


def _unmeasured(measured: Measurements) -> set[int]:
    """Rows of failed cells: nan in what its family is drawn for, or in everything."""
    needs = {
        "likeness.to_refs": LIKENESS | BLEEDING,
        "following.to_texts": FOLLOWING,
        "styles.shares": OBEYING,
        "looks.vectors": NOVEL,
        "copying.to_train": NOVEL,
    }
    arrays = measured.arrays()
    nan = {name: np.isnan(array) for name, array in arrays.items()}
    empty = np.all([gaps.all(axis=1) for gaps in nan.values()], axis=0) if nan else np.zeros(len(measured.cells), bool)
    for name, families in needs.items():
        if name in nan:
            needed = np.array([cell.family in families for cell in measured.cells])
            empty |= needed & nan[name].any(axis=1)
    return set(np.flatnonzero(empty).tolist())


def _whole_points(
    points: Sequence[Point], slots: Sequence[Slot], at: Mapping[tuple[Point, Slot], int]
) -> tuple[list[Point], dict[Point, str]]:
    counts = {point: sum((point, slot) in at for slot in slots) for point in points}
    enough = (1 - _MISSING_SHARE) * len(slots)
    if not slots or counts[BASE] < enough:
        raise LorasmithError(
            f"The base has only {counts[BASE]} of {len(slots)} pictures, and everything is measured against it: "
            "draw the missing ones again."
        )
    dropped = {
        point: f"Checkpoint {point} has only {count} of {len(slots)} pictures and is not compared."
        for point, count in counts.items()
        if point != BASE and count < enough
    }
    kept = [point for point in points if point not in dropped]
    if len(kept) == 1:
        first = next(iter(dropped.values()), "No checkpoint was drawn.")
        raise LorasmithError(f"{first} There is nothing to choose from: draw the missing pictures again.")
    return kept, dropped


def _note_missing(missing: Sequence[Cell], slots: int, of: int) -> list[str]:
    if not missing:
        return []
    first = missing[0]
    return [
        f"{slots} of {of} prompts and seeds are left out for every checkpoint, because a picture is missing "
        f"(first: {shown(first.prompt)}, seed {first.seed}, "
        f"{'the base' if first.point == BASE else f'checkpoint {first.point}'})."
    ]


def _slot_order(slot: Slot) -> tuple[int, str, int]:
    return list(Family).index(slot.family), slot.prompt, slot.seed
