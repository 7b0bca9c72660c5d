"""Which pictures a comparison is made of: points, prompts and seeds as orders, and where each picture lies. Light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.compare.report import PictureRow, PromptRow, Settings
from engine.compare.settings import MOST_SURVIVORS, SEEDS, CompareJob
from engine.compare.sources import Source
from engine.dataset.class_text import prior_text
from engine.draw.order import Order
from engine.select.cells import BASE, Cell, Point
from engine.select.families import Family
from engine.select.prompts import DEMO, Prompt, PromptSet, prompt_set, read_prompt_set

_SMALL = 128  # pixels a side, up to which a base is the demo's


@dataclass(frozen=True)
class Shot:
    """One picture: what it shows, how it is ordered, where it lies in the comparison's folder."""

    cell: Cell
    order: Order
    hires: bool = False

    @property
    def file(self) -> str:
        point = self.cell.point
        folder = "base" if point == BASE else f"{point.checkpoint:03d}-w{point.weight:g}"
        ending = "-hires" if self.hires else ""
        return f"pictures/{folder}/{self.cell.prompt}-{self.cell.seed}{ending}.png"

    @property
    def row(self) -> PictureRow:
        point = self.cell.point
        return PictureRow(point.checkpoint, point.weight, self.cell.prompt, self.cell.seed, self.hires, self.file)


@dataclass(frozen=True)
class Grid:
    """The prompts, seeds and settings that every point is drawn with."""

    prompts: PromptSet
    trigger: str
    class_word: str
    native: int
    step: int
    seeds: tuple[int, ...]
    steps: int
    cfg: float
    sampler: str
    set_name: str

    def shots(self, point: Point, prompts: Sequence[Prompt]) -> list[Shot]:
        """The pictures of a point, always in this order, so that every point is drawn in the same batches."""
        return [self.shot(point, prompt, seed) for prompt in prompts for seed in self.seeds]

    def shot(self, point: Point, prompt: Prompt, seed: int) -> Shot:
        text = self.plain(prompt) if point == BASE else prompt.drawn(self.trigger, self.class_word)
        order = Order(text, prompt.pixels(self.native, self.step), seed, "", self.steps, self.cfg, self.sampler)
        return Shot(Cell(point, prompt.name, prompt.family, seed), order)

    def plain(self, prompt: Prompt) -> str:
        """The text for the base and for encoders: the class word for the trigger, in a training caption too."""
        if prompt.family is not Family.RECALL:
            return prompt.plain(self.class_word)
        return prior_text(prompt.text, self.trigger, self.class_word) or prompt.text

    @property
    def first(self) -> tuple[Prompt, ...]:
        return self.prompts.first().prompts or self.prompts.prompts

    @property
    def rest(self) -> tuple[Prompt, ...]:
        early = {prompt.name for prompt in self.first}
        return tuple(prompt for prompt in self.prompts.prompts if prompt.name not in early)

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that is drawn, by a checkpoint or by the base; and the empty negative."""
        drawn = [prompt.drawn(self.trigger, self.class_word) for prompt in self.prompts.prompts]
        return tuple(dict.fromkeys([*drawn, *map(self.plain, self.prompts.prompts), ""]))

    @property
    def rows(self) -> tuple[PromptRow, ...]:
        early = {prompt.name for prompt in self.first}
        return tuple(
            PromptRow(prompt.name, str(prompt.family), prompt.drawn(self.trigger, self.class_word), self.plain(prompt),
                      prompt.style, prompt.name in early)
            for prompt in self.prompts.prompts
        )  # fmt: skip

    @property
    def settings(self) -> Settings:
        return Settings(
            self.steps, self.cfg, self.sampler, (self.native, self.native), self.seeds, self.set_name,
            self.prompts.hash,
        )  # fmt: skip


def grid_of(job: CompareJob, source: Source, *, native: int, step: int, own_set: str = "") -> Grid:
    """The grid of a job on a base of this native side; `own_set` is the path of the person's own prompt set.

    SDXL: 24 steps at guidance 6; the demo's base: 12 at 4.5. Raises PlanError for a set with mistakes.
    """
    small = native <= _SMALL
    chosen, name = _set_of(job, source, own_set, small=small)
    if chosen.kind != source.kind and not (small and name == DEMO):
        chosen = replace(chosen, kind=source.kind)
    steps, cfg = (12, 4.5) if small else (24, 6.0)
    seeds = tuple(range(1, SEEDS[job.depth] + 1))
    return Grid(
        chosen.with_captions(source.captions), source.trigger, source.class_word, native, step, seeds,
        job.steps or steps, job.cfg or cfg, "euler", name,
    )  # fmt: skip


def _set_of(job: CompareJob, source: Source, own_set: str, *, small: bool) -> tuple[PromptSet, str]:
    if own_set:
        from pathlib import Path

        return read_prompt_set(Path(own_set)), job.prompts
    name = job.prompts or (DEMO if small else source.kind)
    return prompt_set(name), name


@dataclass(frozen=True)
class Cost:
    """How many pictures a comparison takes: at least, and at most where everything stays close."""

    base: int
    first: int
    least: int
    most: int

    @property
    def likely(self) -> int:
        return (self.least + self.most) // 2


def cost(grid: Grid, checkpoints: int, job: CompareJob, kept: int | None = None) -> Cost:
    """Counts pictures before anything is drawn. Survivors are at least three, finalists one to three.

    kept: how many have survived, where that is known by now.
    """
    seeds = len(grid.seeds)
    first, rest = len(grid.first) * seeds, len(grid.rest) * seeds
    stage_one = (checkpoints + 1) * first
    if job.depth == "quick":
        return Cost(first, stage_one, stage_one, stage_one)
    survivors = min(3, checkpoints), checkpoints if job.depth == "thorough" else min(MOST_SURVIVORS, checkpoints)
    survivors = survivors if kept is None else (kept, kept)
    finalists = min(1, checkpoints), min(3, checkpoints)
    least, most = (
        stage_one + rest * (1 + s) + 2 * f * first + 2 * rest + first
        for s, f in zip(survivors, finalists, strict=True)
    )  # fmt: skip
    return Cost(first + rest, stage_one, least, most)
