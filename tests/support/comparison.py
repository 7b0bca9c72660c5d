"""A comparison's folder without any drawing: painted pictures and invented measurements whose answer is known.

Everything else is the real thing: the rows, decisions and words come from the code that a comparison uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from planted_grids import CURVE, LOW, Knobs, grid_of
from safetensors.numpy import save_file

from engine.compare.judging import judged
from engine.compare.report import (
    BaseFacts,
    CheckpointRow,
    PictureRow,
    PromptRow,
    Report,
    Settings,
    read_report,
    write_report,
)
from engine.compare.settings import CompareJob, job_text
from engine.compare.sources import run_job_of
from engine.lab.paint import paint
from engine.lab.scenes import GROUNDS, Scene, Style
from engine.runs.folder import RunFolder, create_run
from engine.select.cells import BASE, Cell, Measurements, Point
from engine.select.families import Family
from engine.select.prompts import Prompt, PromptSet, read_prompt_set
from engine.select.record import save_measurements

TRIGGER, CLASS_WORD = "ohwx", "animal"
SEEDS = (1, 2)
BEST = 4  # the epoch that the invented figures make the best
EPOCHS = 10
_CURVE = {**CURVE, Point(3): Knobs(0.60, 0.97, 0.95, 0.91), Point(5): Knobs(0.86, 0.72, 0.60, 0.68, bleeds=0.15),
          Point(9): Knobs(0.97, 0.35, 0.20, 0.35, copies=0.4, bleeds=0.6),
          Point(10): Knobs(0.98, 0.30, 0.15, 0.30, copies=0.5, bleeds=0.7)}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Both folders: the training's, with its checkpoint files, and the comparison's."""

    training: RunFolder
    run: RunFolder

    @property
    def folder(self) -> Path:
        return self.run.compare

    @property
    def report(self) -> Report:
        return read_report(self.folder)


def finished(name: str = "fox") -> Comparison:
    """Ten epochs, of which epoch 4 is clearly the best; its weight 0.8, hires pictures and six photographs."""
    return _made(name, _CURVE, weights={Point(BEST, 0.8): replace(_CURVE[Point(BEST)], follows=0.97, obeys=0.96),
                                        Point(BEST, 0.6): replace(_CURVE[Point(BEST)], likeness=0.6)})  # fmt: skip


def too_close(name: str = "fox") -> Comparison:
    """Epochs 3 to 6 are the same but for luck: pairs to ask about are in the report."""
    even = {point: _CURVE[Point(4)] if 3 <= point.checkpoint <= 6 else knobs for point, knobs in _CURVE.items()}
    made = _made(name, even, noise=0.15, random=1)
    assert made.report.decision is not None and made.report.decision.sureness == "too close"
    return made


def undecided(name: str = "fox") -> Comparison:
    """The photographs are no liker to one another than the base's pictures are: nothing can be told."""
    made = _made(name, _CURVE, real=LOW)
    assert made.report.decision is not None and made.report.decision.choice is None
    return made


def half_way(name: str = "fox") -> Comparison:
    """Stopped in the midst of the first pictures: the base and three checkpoints are drawn, a fourth in part."""
    few = {Point(number): _CURVE[Point(number)] for number in (3, 4, 5)}
    return _made(name, few, begun=6)


def from_elsewhere(name: str = "loras") -> Comparison:
    """Three files without a run, with names of their own."""
    few = {Point(1): _CURVE[Point(2)], Point(2): _CURVE[Point(4)], Point(3): _CURVE[Point(8)]}
    return _made(name, few, names={1: "fox-soft", 2: "fox-middle", 3: "fox_hard_v2"})


def prompts_of(set_: PromptSet) -> dict[str, Family]:
    return {prompt.name: prompt.family for prompt in set_.prompts}


def _made(
    name: str, curve: Mapping[Point, Knobs], *, weights: Mapping[Point, Knobs] | None = None, noise: float = 0.02,
    real: float | None = None, begun: int = 0, names: Mapping[int, str] | None = None, random: int = 0,
) -> Comparison:  # fmt: skip
    """Makes the folders; `begun` is the number of a checkpoint with half its pictures, and then nothing is finished."""
    set_ = read_prompt_set(Path(__file__).with_name("prompts.toml"))
    training = create_run(name, _plan(name))
    rows = _checkpoints(training, name, names)
    job = CompareJob(loras=tuple(row.file for row in rows)) if names else run_job_of(training)
    run = create_run(f"{name}-compare", job_text(job), kind="compare")
    run.compare.mkdir()
    measured = _measured(set_, {**curve, **(weights or {})}, noise, real, random)
    measured = _shortened(measured, set_, set(weights or {}), begun)
    report = Report(
        name=run.name, run=None if names else str(training.path), kind="animal", trigger=TRIGGER,
        class_word=CLASS_WORD, base=BaseFacts("demo", "c0ffee" * 10, "Apache-2.0"),
        settings=Settings(12, 4.5, "euler", (64, 64), SEEDS, "demo", set_.hash),
        state="stopped" if begun else "done", stage="first pictures" if begun else "",
        planned=4 * len(measured.cells) if begun else len(measured.cells), checkpoints=rows,
        prompts=tuple(_prompt(prompt) for prompt in set_.prompts),
        photographs=_photographs(run.compare), notes=("Invented for a test.",),
        seconds={"drawing": 93.5, "measuring": 12.25},
    )  # fmt: skip
    pictures = _pictures(run.compare, measured.cells, set_)
    if begun:
        half = [replace(cell, point=Point(begun)) for cell in measured.cells if cell.point == BASE][::2]
        pictures += _pictures(run.compare, half, set_)
    hires = None
    if weights:
        hires = _hires(measured)
        pictures += _hires_pictures(run.compare, set_)
        save_measurements(run.compare / "measured-hires.npz", hires, set_.hash)
    save_measurements(run.compare / "measured.npz", measured, set_.hash)
    report = replace(report, pictures=tuple(pictures), drawn=len(pictures))
    write_report(run.compare, judged(report, measured, hires=hires))
    return Comparison(training, run)


def _plan(name: str) -> str:
    return (
        f'[subject]\nkind = "animal"\ninstance_prompt = "{TRIGGER}"\nclass_prompt = "{CLASS_WORD}"\n'
        f'[base]\nmodel = "demo"\n[output]\nname = "{name}"\n'
    )


def _checkpoints(training: RunFolder, name: str, names: Mapping[int, str] | None) -> tuple[CheckpointRow, ...]:
    rows = []
    for number in names or range(1, EPOCHS + 1):
        stem = names[number] if names else f"{name}-{number:06d}"
        path = training.checkpoints / f"{stem}.safetensors"
        _lora(path, number)
        called = stem if names else f"epoch {number}"
        rows.append(CheckpointRow(number, called, str(path), 4, 0.3 * number, None if number == 1 else 0.5 / number,
                                  held_out=None if names else 0.01 * (number - 4) ** 2 - 0.1))  # fmt: skip
    return tuple(rows)


def _lora(path: Path, number: int) -> None:
    """A small file of the right shape and names: it can be inspected, copied and given other metadata."""
    draw = np.random.default_rng(number)
    module = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    tensors = {
        f"{module}.lora_down.weight": draw.normal(size=(4, 2048)).astype(np.float16),
        f"{module}.lora_up.weight": draw.normal(size=(640, 4)).astype(np.float16),
        f"{module}.alpha": np.float32(4),
    }
    about = {"ss_network_dim": "4", "ss_network_alpha": "4", "ss_epoch": str(number), "ss_output_name": path.stem,
             "modelspec.trigger_phrase": f"{TRIGGER} {CLASS_WORD}"}  # fmt: skip
    save_file({key: np.asarray(value) for key, value in tensors.items()}, path, metadata=about)


def _measured(
    set_: PromptSet, curve: Mapping[Point, Knobs], noise: float, real: float | None, random: int
) -> Measurements:
    planted = grid_of(curve, seeds=len(SEEDS), noise=noise, prompts=prompts_of(set_), random=random)
    assert planted.styles is not None and planted.likeness is not None
    cells = tuple(replace(cell, seed=SEEDS[cell.seed]) for cell in planted.cells)
    likeness = planted.likeness
    if real is not None:
        likeness = replace(likeness, real=np.full_like(likeness.real, real))
    return replace(planted, cells=cells, likeness=likeness)


def _shortened(measured: Measurements, set_: PromptSet, weights: set[Point], begun: int) -> Measurements:
    """As a staged comparison leaves it: the late epochs and the other weights have the first prompts only."""
    early = {prompt.name for prompt in set_.first().prompts}

    def drawn(cell: Cell) -> bool:
        few = begun or cell.point in weights or (len(measured.points) > 8 and cell.point.checkpoint in {8, 9})
        return cell.prompt in early if few else True

    kept = np.array([drawn(cell) for cell in measured.cells])
    cells = tuple(cell for cell, keep in zip(measured.cells, kept, strict=True) if keep)
    cut = {name: group for name, group in vars(measured).items() if name not in {"cells", "broken"}}
    arrays = {"likeness": "to_refs", "following": "to_texts", "styles": "shares", "looks": "vectors",
              "copying": "to_train"}  # fmt: skip
    made = {name: replace(cut[name], **{field: getattr(cut[name], field)[kept]}) for name, field in arrays.items()}
    return Measurements(cells, **made, pixels=cut["pixels"][kept])


def _hires(measured: Measurements) -> Measurements:
    """The early choice with the high-res fix as its own row: here simply what it was, against epoch 10's."""
    wanted = {BASE, Point(BEST), Point(EPOCHS)}
    kept = np.array([cell.point in wanted for cell in measured.cells])
    cells = tuple(cell for cell, keep in zip(measured.cells, kept, strict=True) if keep)
    likeness, following, pixels = measured.likeness, measured.following, measured.pixels
    assert likeness is not None and following is not None and pixels is not None
    return Measurements(cells, replace(likeness, to_refs=likeness.to_refs[kept]),
                        replace(following, to_texts=following.to_texts[kept]), pixels=pixels[kept])  # fmt: skip


def _prompt(prompt: Prompt) -> PromptRow:
    return PromptRow(prompt.name, str(prompt.family), prompt.drawn(TRIGGER, CLASS_WORD), prompt.plain(CLASS_WORD),
                     prompt.style, prompt.first)  # fmt: skip


def _folder(point: Point) -> str:
    return "base" if point == BASE else f"{point.checkpoint:03d}-w{point.weight:g}"


def _pictures(folder: Path, cells: tuple[Cell, ...] | list[Cell], set_: PromptSet) -> list[PictureRow]:
    """A painted scene for each cell: the fox for a checkpoint, other things for the base; later epochs go stiff."""
    names = [prompt.name for prompt in set_.prompts]
    rows = []
    for cell in cells:
        file = f"pictures/{_folder(cell.point)}/{cell.prompt}-{cell.seed}.png"
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        _painted(cell.point, names.index(cell.prompt), cell.seed, cell.family).save(folder / file)
        rows.append(PictureRow(cell.point.checkpoint, cell.point.weight, cell.prompt, cell.seed, False, file))
    return rows


def _painted(point: Point, at: int, seed: int, family: Family) -> Image.Image:
    stiff = point.checkpoint >= 8
    thing = "fox" if point != BASE and family is not Family.UNRELATED else ("dog", "cat")[seed % 2]
    ground = GROUNDS[0 if stiff else at % len(GROUNDS)]
    style = Style.SKETCH if family is Family.STYLE and not stiff else Style.FLAT
    return paint(Scene(thing, ground, style, seed=seed + point.checkpoint))


def _hires_pictures(folder: Path, set_: PromptSet) -> list[PictureRow]:
    rows = []
    for prompt in set_.first().prompts:
        small = folder / f"pictures/{_folder(Point(BEST))}/{prompt.name}-{SEEDS[0]}.png"
        file = small.with_name(f"{prompt.name}-{SEEDS[0]}-hires.png")
        with Image.open(small) as picture:
            picture.resize((96, 96), Image.Resampling.LANCZOS).save(file)
        rows.append(PictureRow(BEST, 1.0, prompt.name, SEEDS[0], True, str(file.relative_to(folder))))
    return rows


def _photographs(folder: Path) -> tuple[str, ...]:
    (folder / "photographs").mkdir()
    files = []
    for number in range(1, 7):
        files.append(f"photographs/{number:02d}.webp")
        paint(Scene("fox", GROUNDS[number], seed=number)).resize((256, 256)).save(folder / files[-1])
    return tuple(files)
