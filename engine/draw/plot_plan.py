"""From what a person asks of a plot to the plot as it will be drawn, checked before anything is loaded. Light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.base.configs import sdxl_configs
from engine.base.recognise import vae_scale
from engine.draw.order import Order, check_limits, size_of
from engine.draw.plot_axes import Axis, parse_axis, seed_of
from engine.draw.plot_settings import PLACES, Plot, checked
from engine.draw.plot_sources import BASE, Checkpoint, Sources, chosen, sources
from engine.draw.samplers import sampler_key
from engine.errors import LorasmithError, shown
from engine.estimate import base_shape
from engine.files import check_writable
from engine.plan import BaseChoice
from engine.plan_file import read_plan


@dataclass(frozen=True)
class PlotRequest:
    """What is asked for, as it is written: `axes` by place (x, y, z), `loras` as runs, folders or files, each
    with `:WEIGHT` behind it or without.

    `base` empty means the run's own, else the demo's; `size` empty the base's native square; a seed of -1 one drawn
    at random, the same for every cell.
    """

    prompt: str
    to: Path
    axes: Mapping[str, str]
    loras: Sequence[str] = ()
    base: str = ""
    base_column: bool = True
    negative: str = ""
    seed: int = 0
    steps: int = 25
    cfg: float = 5.0
    sampler: str = "euler"
    size: str = ""
    cell: int = 0
    margin: int | None = None


def settled(asked: PlotRequest) -> Plot:
    """The plot that is asked for. Raises LorasmithError in one sentence for whatever cannot be drawn."""
    if not asked.prompt.strip():
        raise LorasmithError("The prompt is empty: say what the pictures are to show.")
    if not 0 <= asked.cfg <= 100:
        raise LorasmithError(f"--cfg {asked.cfg:g} is out of range, 0 to 100: correct it.")
    check_limits(steps=asked.steps)
    axes = tuple(parse_axis(asked.axes[place], place) for place in PLACES if place in asked.axes)
    there = sources(asked.loras)
    if not axes:
        if not there.checkpoints:
            raise LorasmithError("The plot has no axis: name one, such as --x 'seed: 1-4', or add --lora RUN.")
        axes = (Axis("epoch", ("all",)),)
    axes, checkpoints = _checkpoints(axes, there, base_column=asked.base_column)
    base = _base(asked.base, there)
    configs, native = base_shape(base.model)
    configs = configs or sdxl_configs()
    # As `engine.draw.artist.drawing_step`, for a base that is not opened here.
    step = vae_scale(configs) * 2 ** (len(configs["unet"]["block_out_channels"]) - 1)
    order = Order(
        asked.prompt, size_of(asked.size, "--size") if asked.size else (native, native), _seed(asked.seed),
        asked.negative, asked.steps, asked.cfg, sampler_key(asked.sampler),
    )  # fmt: skip
    plot = Plot(
        order, axes, checkpoints, base, asked.cell, asked.margin, str(_target(asked.to))
    )
    return checked(plot, step, has_loras=bool(checkpoints))


def _checkpoints(
    axes: tuple[Axis, ...], there: Sources, *, base_column: bool
) -> tuple[tuple[Axis, ...], tuple[Checkpoint, ...]]:
    """The axes with checkpoints by name, and the checkpoints that are drawn."""
    epochs = next((axis for axis in axes if axis.kind == "epoch"), None)
    if epochs is None or not there.checkpoints:
        if len(there.checkpoints) > 1:
            raise LorasmithError(
                f"{len(there.checkpoints)} checkpoints are named and no axis shows them: add --x epoch, or name one "
                "file with --lora."
            )
        return axes, there.checkpoints
    settled = chosen(epochs, there.checkpoints, base=base_column)
    names = set(settled.values) - {BASE}
    if not names:
        raise LorasmithError(f"--{epochs.place} epoch names the untouched base alone: name a checkpoint too.")
    drawn = tuple(one for one in there.checkpoints if one.name in names)
    return tuple(settled if axis is epochs else axis for axis in axes), drawn


def _base(asked: str, there: Sources) -> BaseChoice:
    own = read_plan(there.run.plan).base if there.run is not None else BaseChoice(model="demo")
    if not asked or asked == own.model:
        return own
    path = Path(asked).expanduser()
    return BaseChoice(model=str(path.absolute()) if path.exists() else asked)


def _seed(seed: int) -> int:
    if not -1 <= seed < 2**32:
        raise LorasmithError(f"The seed {seed} is out of range, 0 to {2**32 - 1:,}, or -1 for one drawn at random.")
    return seed_of(seed)


def _target(to: Path) -> Path:
    path = to.expanduser().absolute()
    if path.suffix.lower() != ".png" or path.is_dir():
        raise LorasmithError(f"{shown(to)} does not end in .png, the only format that keeps how it was made: add that.")
    if not path.parent.is_dir():
        raise LorasmithError(f"There is no folder {shown(path.parent)}: make it first, or choose another.")
    check_writable(path.parent)
    return path


